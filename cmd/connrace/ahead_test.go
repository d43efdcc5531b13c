package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connrace/cmd/connrace/internal/cli"
	"connrace/pcaps"
)

// onProcessors is a run on so many processors: with one nobody reads ahead.
func onProcessors(ctx context.Context, n int, stdin io.Reader, stdout io.Writer, args ...string) (code int, stderr string) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(n))
	var errs bytes.Buffer
	code = run(ctx, args, stdin, stdout, &errs)
	return code, errs.String()
}

// file writes a file for a test.
func file(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// largeRecord is the least size of records, in bytes, with which a file is read ahead.
const largeRecord = 400

// large is a capture of many frames that are so large that they are read ahead.
func large(t *testing.T, n int) (file []byte, frames int) {
	t.Helper()
	return repeated(t, "crowder", n, func(i int, f *pcaps.Frame) {
		apart(i, f)
		f.Data = append(f.Data, make([]byte, max(2*largeRecord-len(f.Data), 0))...) // as Ethernet pads
		f.Length = len(f.Data)
	})
}

// Reading ahead changes nothing but the time it takes, whatever the files are like.
func TestAhead(t *testing.T) {
	data, _ := large(t, 300)
	if len(data) < 4<<20 {
		t.Fatalf("%d octets: hardly more than is read ahead", len(data))
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(data)
	z.Close()
	damaged := bytes.Clone(data)
	for at := 1 << 20; at < len(damaged); at += 1 << 20 {
		copy(damaged[at:], bytes.Repeat([]byte{0xff}, 100))
	}
	whole := file(t, "x.pcap", data)
	broken := file(t, "broken.pcap", damaged)
	cut := file(t, "cut.pcap", data[:len(data)/2+5])
	for _, c := range []struct {
		name  string
		stdin []byte
		args  []string
		least int // findings
	}{
		{"plain", nil, []string{whole}, 300},
		{"gzip", nil, []string{file(t, "x.pcap.gz", packed.Bytes())}, 300},
		{"stream", data, []string{"-"}, 300},
		{"cut off", nil, []string{cut}, 149},
		{"damaged", nil, []string{broken}, 1},
		{"damaged, resync", nil, []string{"--resync", broken}, 290},
		{"some", nil, []string{cut, "--resync", broken, whole}, 590}, // those of the part are known to be the same
	} {
		var want string
		for procs := 1; procs <= 2; procs++ {
			var stdin io.Reader
			if c.stdin != nil {
				stdin = bytes.NewReader(c.stdin)
			}
			var out bytes.Buffer
			code, stderr := onProcessors(t.Context(), procs, stdin, &out, append(c.args, "--format", "json")...)
			if code != cli.ExitOK {
				t.Fatalf("%s: exit %d: %s", c.name, code, stderr)
			}
			got := out.String() + stderr
			if procs == 1 {
				want = got
			}
			if n := strings.Count(got, `"rule":"fin-request-crossing"`); n < c.least {
				t.Errorf("%s: %d findings, want %d at least", c.name, n, c.least)
			}
			if got != want {
				t.Errorf("%s: with a goroutine that reads ahead it differs", c.name)
			}
		}
	}
}

// Where next to nothing is analysed, reading ahead is given up, and nothing is lost by that.
func TestAheadGivenUp(t *testing.T) {
	data, frames := repeated(t, "fin-request-crossing", 1, func(int, *pcaps.Frame) {})
	head, rest := data[:24], data[24:] // the file header
	other := bytes.Clone(rest[:16])    // a record with a frame of 1400 bytes that is not IP
	binary.LittleEndian.PutUint32(other[8:], 1400)
	binary.LittleEndian.PutUint32(other[12:], 1400)
	other = append(other, make([]byte, 1400)...)
	other[16+12], other[16+13] = 0x88, 0xb5 // for experiments (IEEE 802)
	const others = 40 << 20 / 1400
	path := file(t, "x.pcap", slices.Concat(head, bytes.Repeat(other, others), rest))
	for procs := 1; procs <= 2; procs++ {
		var out bytes.Buffer
		code, stderr := onProcessors(t.Context(), procs, nil, &out, path, "--format", "json")
		if code != cli.ExitOK {
			t.Fatalf("exit %d: %s", code, stderr)
		}
		var r struct {
			Totals   struct{ Frames int }
			Findings []struct{ Rule string }
		}
		if err := json.Unmarshal(out.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		if len(r.Findings) != 1 || r.Findings[0].Rule != "fin-request-crossing" || r.Totals.Frames != others+frames {
			t.Errorf("%d processors: %d findings in %d frames, want 1 in %d", procs, len(r.Findings), r.Totals.Frames, others+frames)
		}
	}
}

// What has been read stays what it is until it has been analysed, however far reading is
// ahead meanwhile.
func TestAheadKeeps(t *testing.T) {
	data, frames := repeated(t, "fin-request-crossing", 1500, func(i int, f *pcaps.Frame) {
		f.Data = append(f.Data, make([]byte, 1200+i%7-len(f.Data))...) // a few fill a buffer
	})
	if frames < 8000 {
		t.Fatalf("%d frames: hardly more than are read ahead", frames)
	}
	path := file(t, "x.pcap", data)
	var quick, slow bytes.Buffer
	onProcessors(t.Context(), 1, nil, &quick, "--format", "jsonl", path)
	onProcessors(t.Context(), 2, nil, &pauses{w: &slow}, "--format", "jsonl", path)
	if n := bytes.Count(quick.Bytes(), []byte(`"fin-request-crossing"`)); n < 1500 {
		t.Fatalf("%d findings", n)
	}
	if quick.String() != slow.String() {
		t.Error("it differs when the reader gets far ahead")
	}
}

// pauses is slow at first.
type pauses struct {
	w io.Writer
	n int
}

func (p *pauses) Write(b []byte) (int, error) {
	if p.n++; p.n < 20 {
		time.Sleep(10 * time.Millisecond)
	}
	return p.w.Write(b)
}

// interruptedLater is a context that ends when it has been asked a number of times.
type interruptedLater struct {
	context.Context
	left atomic.Int32
}

func (c *interruptedLater) Err() error {
	if c.left.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}

// All frames that an interrupted run says it has read have been analysed.
func TestAheadInterrupted(t *testing.T) {
	data, frames := large(t, 300)
	path := file(t, "x.pcap", data)
	var seen []int
	for procs := 1; procs <= 2; procs++ {
		for _, left := range []int32{2, 3, 4, 5, 7, 10, 15, 20, 30} {
			ctx := &interruptedLater{Context: t.Context()}
			ctx.left.Store(left)
			var out bytes.Buffer
			code, stderr := onProcessors(ctx, procs, nil, &out, "--format", "json", path)
			var r struct {
				Totals struct {
					Frames   int
					Segments int `json:"tcp_segments"`
				}
			}
			if err := json.Unmarshal(out.Bytes(), &r); err != nil {
				t.Fatalf("exit %d: %s: %v", code, stderr, err)
			}
			n := r.Totals.Frames
			if code != cli.ExitInterrupted || n == 0 || n >= frames || r.Totals.Segments != n {
				t.Errorf("%d processors, %d looks: exit %d, %d frames, %d segments", procs, left, code, n, r.Totals.Segments)
			}
			seen = append(seen, n)
		}
	}
	if slices.Sort(seen); len(slices.Compact(seen)) < 5 {
		t.Errorf("interrupted after %v frames only", seen)
	}
}
