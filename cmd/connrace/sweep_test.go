package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"connrace/pcaps"
)

// sample is a capture of which is known where its records end.
type sample struct {
	name string
	data []byte
	ends []int // ends[i]: behind frame i, 0: of the file header
}

// swept are captures of different kinds, each with findings.
func swept(t *testing.T) (samples []sample) {
	for _, c := range []struct {
		name, script string
		format       pcaps.FileFormat
		write        func([]pcaps.Frame) sample // nil: as the format says
	}{
		{"pcap", "fin-request-crossing-inferred", pcaps.FileFormat{}, nil},
		{"pcap, big-endian, nanoseconds", "response-truncated-second", pcaps.FileFormat{BigEndian: true, Nano: true}, nil},
		{"pcapng", "syn-dropped", pcaps.FileFormat{NG: true}, nil},
		{"pcapng, big-endian, nanoseconds", "rst-request-crossing-deploy", pcaps.FileFormat{NG: true, BigEndian: true, Nano: true}, nil},
		{"snaplen", "fin-request-crossing-snaplen", pcaps.FileFormat{}, nil},
		{"VLAN", "fin-request-crossing-vlan", pcaps.FileFormat{NG: true}, nil},
		{"IPv6", "fin-request-crossing-ipv6", pcaps.FileFormat{}, nil},
		{"crowder", "crowder", pcaps.FileFormat{}, nil},
		{"TLS", "fin-request-crossing-tls13", pcaps.FileFormat{}, nil},
		{"SLL2", "fin-request-crossing-sll2", pcaps.FileFormat{NG: true}, nil},
		{"gzip", "closed-with-request-outstanding-second", pcaps.FileFormat{}, gzipped},
		{"snoop", "lb-closed-with-request-outstanding", pcaps.FileFormat{}, snooped},
		{"VXLAN", "accept-queue-overflow", pcaps.FileFormat{}, vxlan},
	} {
		s, err := pcaps.Load(c.script)
		if err != nil {
			t.Fatal(err)
		}
		frames, err := s.Frames()
		if err != nil {
			t.Fatal(err)
		}
		var x sample
		if c.write != nil {
			x = c.write(frames)
		} else {
			x = written(frames, c.format, s.Capture.Link)
		}
		x.name = c.name
		samples = append(samples, x)
	}
	return samples
}

func written(frames []pcaps.Frame, format pcaps.FileFormat, link pcaps.Link) (s sample) {
	var b bytes.Buffer
	w := pcaps.NewWriter(&b, format, link, 0)
	for i := range frames {
		w.Frame(&frames[i])
		if i == 0 {
			record := len(frames[0].Data) + 16
			if format.NG {
				record = (len(frames[0].Data)+3)&^3 + 32
			}
			s.ends = []int{b.Len() - record}
		}
		s.ends = append(s.ends, b.Len())
	}
	s.data = b.Bytes()
	return s
}

// gzipped compresses record by record: what is behind a place says nothing of what is before.
func gzipped(frames []pcaps.Frame) (s sample) {
	plain := written(frames, pcaps.FileFormat{}, pcaps.Ethernet)
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	from := 0
	for _, end := range plain.ends {
		z.Write(plain.data[from:end])
		z.Flush()
		from = end
		s.ends = append(s.ends, b.Len())
	}
	z.Close()
	s.data = b.Bytes()
	return s
}

// snooped writes a file of RFC 1761.
func snooped(frames []pcaps.Frame) (s sample) {
	be := binary.BigEndian
	s.data = []byte("snoop\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x04")
	s.ends = []int{len(s.data)}
	for i := range frames {
		f := &frames[i]
		pad := -len(f.Data) & 3
		for _, v := range []uint32{
			uint32(f.Length), uint32(len(f.Data)), uint32(24 + len(f.Data) + pad), 0, uint32(f.Time / 1e9), uint32(f.Time % 1e9 / 1e3),
		} {
			s.data = be.AppendUint32(s.data, v)
		}
		s.data = append(append(s.data, f.Data...), make([]byte, pad)...)
		s.ends = append(s.ends, len(s.data))
	}
	return s
}

// vxlan puts frames into tunnels, RFC 7348.
func vxlan(frames []pcaps.Frame) sample {
	be := binary.BigEndian
	out := slices.Clone(frames)
	for i := range out {
		f := &out[i]
		b := []byte("\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x08\x00\x45\x00")
		b = be.AppendUint16(b, uint16(20+8+8+f.Length))
		b = append(b, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 0x80, 1, 0x12, 0xb5)
		b = be.AppendUint16(b, uint16(8+8+f.Length))
		b = append(b, 0, 0, 8, 0, 0, 0, 0, 0, 7, 0)
		f.Data, f.Length = append(b, f.Data...), len(b)+f.Length
	}
	return written(out, pcaps.FileFormat{}, pcaps.Ethernet)
}

// told is what a report says of a capture.
type told struct {
	Captures []struct {
		Last      *time.Time
		Truncated bool
	}
	Totals   struct{ Frames int }
	Findings []struct {
		Rule     string
		Stream   *int
		Evidence []struct {
			Stream, Frame int
			Role          string
			Time          time.Time
		}
	}
}

// all are the findings: rule, stream and evidence.
func (r *told) all() []string { return r.settled(time.Unix(1<<40, 0)) }

// settled are the findings whose evidence ends so long before a time that nothing may
// change them any more.
func (r *told) settled(until time.Time) (out []string) {
	for i := range r.Findings {
		f := &r.Findings[i]
		if len(f.Evidence) == 0 || f.Evidence[len(f.Evidence)-1].Time.Add(time.Second).After(until) {
			continue
		}
		text := f.Rule
		if f.Stream != nil {
			text += fmt.Sprintf(" in %d:", *f.Stream)
		}
		for _, e := range f.Evidence {
			text += fmt.Sprintf(" %d/%d %s", e.Stream, e.Frame, e.Role)
		}
		out = append(out, text)
	}
	return out
}

// last is the time of the last frame.
func (r *told) last() time.Time {
	if p := r.Captures[0].Last; p != nil {
		return *p
	}
	return time.Time{}
}

// reportOn runs the program within this process.
func reportOn(t *testing.T, data []byte, args ...string) (status int, r *told, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	begun := time.Now()
	status = run(context.Background(), append(args, "--format", "json", "-"), bytes.NewReader(data), &out, &errs)
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
	r = &told{}
	if status == 0 {
		if err := json.Unmarshal(out.Bytes(), r); err != nil {
			t.Fatalf("%v\n%.300s", err, out.Bytes())
		}
	} else if out.Len() > 0 {
		t.Errorf("status %d and a report", status)
	}
	return status, r, errs.String()
}

// prefixes are the reports on the first frames of a sample, by their number.
func (s *sample) prefixes(t *testing.T) (out []*told) {
	for _, end := range s.ends {
		_, r, _ := reportOn(t, s.data[:end])
		out = append(out, r)
	}
	if whole := out[len(out)-1]; len(whole.Findings) == 0 || whole.Totals.Frames != len(s.ends)-1 {
		t.Fatalf("%+v", whole)
	}
	return out
}

// frames are how many are whole in the first octets; -1: not even the header.
func (s *sample) frames(octets int) (n int, exact bool) {
	n, exact = slices.BinarySearch(s.ends, octets)
	if !exact {
		n--
	}
	return n, exact
}

// steps go from 0 to n, in few steps unless CONNRACE_FLOOD=full asks for all.
func steps(t *testing.T, n, few int) func(yield func(int) bool) {
	step := max(n/few, 1)
	if _, full := floodFrames(t); full {
		step = 1
	} else if raced {
		step *= 8
	}
	return func(yield func(int) bool) {
		for i := 0; i < n && yield(i); i += step {
		}
	}
}

func without(all, some []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(f string) bool { return slices.Contains(some, f) })
}

// TestCutOffSweep cuts captures off at many places, or at all: what is whole is reported
// as if it were all, and the report says that it is not. What was found long before stays
// as it is when more comes.
func TestCutOffSweep(t *testing.T) {
	for _, s := range swept(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			clean := s.prefixes(t)
			whole := clean[len(clean)-1]
			for frames, r := range clean {
				now := r.last()
				if x := without(r.settled(now), whole.all()); len(x) > 0 {
					t.Errorf("%d frames: %v, not in the whole capture: %v", frames, x, whole.all())
				}
				if x := without(whole.settled(now), r.all()); len(x) > 0 {
					t.Errorf("%d frames: %v is missing", frames, x)
				}
			}
			for cut := range steps(t, len(s.data), 50) {
				status, r, stderr := reportOn(t, s.data[:cut])
				k, exact := s.frames(cut)
				if k < 0 && status == 2 && strings.HasPrefix(stderr, "connrace: standard input: ") && strings.Count(stderr, "\n") == 1 {
					continue
				}
				if status != 0 {
					t.Fatalf("cut at %d: status %d, %s", cut, status, stderr)
				}
				if k < 0 && r.Totals.Frames == 0 {
					continue // the first block of pcapng is a beginning
				}
				packed := s.name == "gzip" // some bytes more, and a cut is always one
				frames := r.Totals.Frames
				if frames < k || frames > k && !packed {
					t.Fatalf("cut at %d: %d frames, want %d", cut, frames, k)
				}
				if want := !exact || packed; r.Captures[0].Truncated != want ||
					want != strings.HasPrefix(stderr, "connrace: warning: standard input: ") || strings.Count(stderr, "\n") > 1 {
					t.Fatalf("cut at %d: truncated %v, %s", cut, r.Captures[0].Truncated, stderr)
				}
				if got, want := r.all(), clean[frames].all(); !slices.Equal(got, want) {
					t.Fatalf("cut at %d: %v, without the rest %v", cut, got, want)
				}
			}
		})
	}
}

// TestCorruptionSweep changes bytes here and there, or each: what was found long before is
// reported as it was.
func TestCorruptionSweep(t *testing.T) {
	for _, s := range swept(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			clean := s.prefixes(t)
			data := bytes.Clone(s.data)
			for at := range steps(t, len(data), 20) {
				frames, _ := s.frames(at)
				for _, x := range []byte{^data[at], data[at] ^ 1, 0} {
					data[at] = x
					for _, args := range [][]string{nil, {"--resync"}} {
						status, r, stderr := reportOn(t, data, args...)
						if status != 0 && (frames >= 0 || status != 2 || stderr == "") {
							t.Fatalf("octet %d set to %#x: status %d, %s", at, x, status, stderr)
						}
						if frames < 0 {
							continue
						}
						if r.Totals.Frames < frames {
							t.Fatalf("octet %d set to %#x: %d frames, %d are whole before", at, x, r.Totals.Frames, frames)
						}
						if lost := without(clean[frames].settled(clean[frames].last()), r.all()); len(lost) > 0 {
							t.Fatalf("octet %d of frame %d set to %#x: %v is missing: %v", at, frames+1, x, lost, r.all())
						}
					}
				}
				data[at] = s.data[at]
			}
		})
	}
}

// TestDamageStatus is the same through the program as it is installed, now and then.
func TestDamageStatus(t *testing.T) {
	for _, s := range swept(t) {
		for _, c := range []struct {
			name   string
			data   []byte
			status int
			say    string
		}{
			{"whole", s.data, 0, ""},
			{"cut off", s.data[:len(s.data)-3], 0, "warning: standard input: "},
			{"cut off in the header", s.data[:11], 2, "standard input: "},
		} {
			cmd := exec.Command("connrace", "--fail-on", "never", "-")
			cmd.Stdin = bytes.NewReader(c.data)
			var errs strings.Builder
			cmd.Stdout, cmd.Stderr = io.Discard, &errs
			cmd.Run()
			if got := cmd.ProcessState.ExitCode(); got != c.status || !strings.Contains(errs.String(), c.say) || (errs.Len() > 0) != (c.say != "") {
				t.Errorf("%s, %s: status %d, %s", s.name, c.name, got, &errs)
			}
		}
	}
}
