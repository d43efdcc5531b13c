package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"connrace/cmd/connrace/internal/cli"
	"connrace/pcaps"
)

// rotated are the files of a capture that is cut at parts of its octets, by a clock that is ahead.
func rotated(t *testing.T, name string, ahead int64, cuts ...float64) (files [][]byte) {
	t.Helper()
	b, err := pcaps.File(name)
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	if le.Uint32(b) != 0xa1b2c3d4 {
		t.Fatalf("%s: not in microseconds", name)
	}
	header := b[:24]
	files = append(files, header[:24:24])
	for rest := b[24:]; len(rest) > 0; {
		if len(cuts) > 0 && float64(len(b)-len(rest)) > cuts[0]*float64(len(b)) {
			cuts = cuts[1:]
			files = append(files, header[:24:24])
		}
		record := append([]byte(nil), rest[:16+le.Uint32(rest[8:])]...)
		at := int64(le.Uint32(record))*1e6 + int64(le.Uint32(record[4:])) + ahead/1e3
		le.PutUint32(record, uint32(at/1e6))
		le.PutUint32(record[4:], uint32(at%1e6))
		files[len(files)-1] = append(files[len(files)-1], record...)
		rest = rest[len(record):]
	}
	return files
}

// joinedReport is what a report says of captures that were joined.
type joinedReport struct {
	Totals struct {
		Failed   uint64 `json:"failed_tries"`
		Requests uint64
	}
	Findings []struct {
		Lost    bool
		Stream  int
		Capture int
	}
	Joined []struct {
		Points      []int
		Connections uint64
		Offset      float64   `json:"clock_offset_seconds"`
		Bounds      []float64 `json:"offset_bounds_seconds"`
	}
}

func (r *joinedReport) lost() (n uint64) {
	for _, f := range r.Findings {
		if f.Lost {
			n++
		}
	}
	return n
}

func analyseJoined(t *testing.T, paths ...string) (r joinedReport) {
	t.Helper()
	code, stdout, stderr := after(t, t.Context(), nil, append([]string{"--format", "json"}, paths...)...)
	if code != cli.ExitOK {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// Rotated files of each end continue each other, in whichever order the ends are given, and whatever
// their clocks say: each failed try is told once.
func TestRotatedFilesOfBothEnds(t *testing.T) {
	for _, x := range []struct {
		lb, target string
		failed     uint64
	}{
		{"real/nginx-node-race-lb.pcap", "nginx-node-race.pcap", 20},
		{"real/nginx-node-nat-reset-lb.pcap", "real/nginx-node-nat-reset-target.pcap", 18},
	} {
		for _, ahead := range []int64{0, 3e9, -3e9, 1e12} {
			dir := t.TempDir()
			name := map[string]string{}
			put := func(key string, files [][]byte) {
				for i, b := range files {
					k := fmt.Sprintf("%s%d", key, i+1)
					name[k] = filepath.Join(dir, k+".pcap")
					if err := os.WriteFile(name[k], b, 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			put("l", rotated(t, x.lb, 0, 0.3, 0.7))
			put("t", rotated(t, x.target, ahead, 0.4))
			var first joinedReport
			for _, order := range [][]string{
				{"l1", "l2", "l3", "t1", "t2"}, {"l1", "t1", "l2", "t2", "l3"}, {"t1", "l1", "l2", "t2", "l3"}, {"t1", "t2", "l1", "l2", "l3"},
			} {
				var paths []string
				for _, k := range order {
					paths = append(paths, name[k])
				}
				r := analyseJoined(t, paths...)
				if len(r.Joined) != 1 || r.Totals.Failed != x.failed || r.lost() != x.failed {
					t.Errorf("%s, %d ahead, %v: %+v, %d lost, %+v", x.lb, ahead, order, r.Totals, r.lost(), r.Joined)
					continue
				}
				if first.Joined == nil {
					first = r
				}
				if j, k := r.Joined[0], first.Joined[0]; j.Connections != k.Connections || j.Offset != k.Offset || r.Totals != first.Totals {
					t.Errorf("%s, %d ahead, %v: %+v, %+v; in another order %+v, %+v", x.lb, ahead, order, r.Totals, j, first.Totals, k)
				}
			}
		}
	}
}

// Ctrl-C while another capture of the same connections is read: what there is, each failed try told once, at once.
// The captures are not read again to be compared, and the report says so.
func TestJoinedInterrupted(t *testing.T) {
	whole := rotated(t, "nginx-node-race.pcap", 0, 0.8)
	lb := file(t, "lb.pcap", rotated(t, "real/nginx-node-race-lb.pcap", 0)[0])
	for _, format := range []string{"json", "table"} {
		r, w := io.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			w.Write(whole[0]) // returns when all was taken
			w.Write(nil)
			cancel()
		}()
		code, stdout, stderr := after(t, ctx, r, "--format", format, lb, "-")
		w.Close()
		const said = "were not compared to the end"
		if code != cli.ExitInterrupted || !strings.Contains(stderr, said) {
			t.Errorf("%s: exit %d: %s", format, code, stderr)
		}
		if format == "table" {
			if !strings.Contains(stdout, "were not compared") || !strings.Contains(stdout, "joined") {
				t.Errorf("%s", stdout)
			}
			continue
		}
		var x struct {
			joinedReport
			Captures []struct{ Warnings []string }
			Findings []struct {
				Evidence []struct{ Seen []any }
			}
		}
		if err := json.Unmarshal([]byte(stdout), &x); err != nil {
			t.Fatal(err)
		}
		if x.Totals.Failed != 20 || len(x.Joined) != 1 || len(x.Captures) != 2 || len(x.Captures[0].Warnings) != 1 || !strings.Contains(x.Captures[0].Warnings[0], said) {
			t.Errorf("%+v", x)
		}
		for _, f := range x.Findings {
			for _, e := range f.Evidence {
				if len(e.Seen) > 0 {
					t.Fatalf("was compared: %+v", f)
				}
			}
		}
	}
}

// What is said of a problem because captures prove it is not said of the findings of which they do not.
func TestJoinedProvedOfSome(t *testing.T) {
	lb := file(t, "lb.pcap", rotated(t, "real/nginx-node-nat-reset-lb.pcap", 0)[0])
	whole := rotated(t, "real/nginx-node-nat-reset-target.pcap", 0)[0]
	shorter := rotated(t, "real/nginx-node-nat-reset-target.pcap", 0, 0.7)[0]
	why := func(target []byte) string {
		_, stdout, _ := after(t, t.Context(), nil, "--format", "json", lb, file(t, "target.pcap", target))
		var x struct{ Problems []struct{ Why string } }
		if err := json.Unmarshal([]byte(stdout), &x); err != nil || len(x.Problems) != 1 {
			t.Fatalf("%v, %+v", err, x)
		}
		return x.Problems[0].Why
	}
	if got := why(whole); !strings.Contains(got, "prove that of 12 of 18 findings; 6 others look") {
		t.Error(got)
	}
	if got := why(shorter); !strings.Contains(got, "prove that of") || strings.Contains(got, "12 of 18") {
		t.Error(got)
	}
}

// manySYNs are those of many connections; more is what each record becomes.
func manySYNs(t *testing.T, n uint32, more func(record []byte) []byte) []byte {
	t.Helper()
	b, err := pcaps.File("nginx-node-race.pcap")
	if err != nil {
		t.Fatal(err)
	}
	le, be := binary.LittleEndian, binary.BigEndian
	syn := b[24:] // the first record
	syn = syn[:16+le.Uint32(syn[8:])]
	for syn[16+14+20+13] != 2 {
		rest := syn[len(syn):cap(syn)]
		syn = rest[:16+le.Uint32(rest[8:])]
	}
	all := append([]byte(nil), b[:24]...)
	for i := range n {
		r := append([]byte(nil), syn...)
		le.PutUint32(r[4:], i*20) // microseconds
		be.PutUint16(r[16+14+20:], uint16(1024+i))
		be.PutUint32(r[16+14+20+4:], i*64000)
		all = append(all, more(r)...)
	}
	return all
}

// Of very many connections the same ones are not looked for in a run that was interrupted, and that is said.
func TestJoinedInterruptedEarly(t *testing.T) {
	all := manySYNs(t, 40_000, func(r []byte) []byte { return r })
	const said = "were not searched for the same connections"
	if code, stdout, stderr := interruptedBehind(t, all, file(t, "a.pcap", all), "-"); code != cli.ExitInterrupted || !strings.Contains(stderr, said) || !strings.Contains(stdout, "not searched") {
		t.Errorf("exit %d: %s\n%s", code, stderr, stdout)
	}
}

// What one capture shows twice is joined all the same: nothing else tells what it shows behind the translation alone.
func TestTwiceInterruptedEarly(t *testing.T) {
	const ttl, dst = 16 + 14 + 8, 16 + 14 + 16
	all := manySYNs(t, 40_000, func(r []byte) []byte {
		y := append([]byte(nil), r...)
		y[ttl]--
		y[dst+3]++
		return append(r, y...)
	})
	for _, files := range [][]string{{"-"}, {file(t, "other.pcap", capturePCAP(t, "crowder")), "-"}} {
		if code, stdout, stderr := interruptedBehind(t, all, files...); code != cli.ExitInterrupted || !strings.Contains(stdout, "40,000 connections twice") {
			t.Errorf("%q: exit %d: %s\n%.3000s", files, code, stderr, stdout)
		}
	}
}

// interruptedBehind runs connrace with standard input that goes on behind some octets, when it is interrupted.
func interruptedBehind(t *testing.T, stdin []byte, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	r, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		w.Write(stdin) // returns when all was taken
		w.Write(nil)
		cancel()
	}()
	return after(t, ctx, r, args...)
}

// Of a capture that has changed before it is read again it is said that it could not be compared; the rest stands.
func TestJoinedOfChanged(t *testing.T) {
	target := rotated(t, "real/nginx-node-nat-reset-target.pcap", 0)[0]
	for what, change := range map[string]func(name string) error{
		"shorter than when it was read": func(name string) error { return os.Truncate(name, 1000) },
		"no such file|cannot find":      os.Remove,
	} {
		lb := file(t, "lb.pcap", rotated(t, "real/nginx-node-nat-reset-lb.pcap", 0)[0])
		r, w := io.Pipe()
		go func() {
			w.Write(target[:24])
			w.Write(target[24 : len(target)/2]) // returns when it was taken: the first file has been read
			if err := change(lb); err != nil {
				t.Error(err)
			}
			w.Write(target[len(target)/2:])
			w.Close()
		}()
		code, stdout, stderr := after(t, t.Context(), r, "--workers", "1", "--format", "json", lb, "-")
		const said = "lb.pcap could not be read again to compare its segments: "
		if code != 0 || !strings.Contains(stdout, said) || !strings.Contains(stderr, said) || !regexp.MustCompile(what).MatchString(stderr) {
			t.Errorf("%s: exit %d: %s", what, code, stderr)
		}
		if !strings.Contains(stdout, `"failed_tries":18`) {
			t.Errorf("%s: not each failure once", what)
		}
	}
}

// Of a stream that shows connections on both sides of a translation it is said that the sides were not compared; of a file they are.
func TestTwiceInAStream(t *testing.T) {
	b, err := pcaps.File("real/haproxy-python-nat-any.pcap")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "any.pcap")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	const said = "its segments were not compared"
	for _, from := range []string{"-", path} {
		var out, errs bytes.Buffer
		run(context.Background(), []string{"analyze", "--format", "json", from}, bytes.NewReader(b), &out, &errs)
		if want := from == "-"; strings.Contains(errs.String(), said) != want || strings.Contains(out.String(), said) != want {
			t.Errorf("%s: %s", from, errs.String())
		}
	}
}

// Copies of a capture are no further points: they would prove that what the load balancer's host shows came from the target's.
// What differs in one octet is no copy, however late.
func TestCopies(t *testing.T) {
	b, err := pcaps.File("real/nginx-node-race-lb.pcap")
	if err != nil {
		t.Fatal(err)
	}
	other := bytes.Clone(b)
	other[len(b)-1] ^= 1
	a, copied, again, changed := file(t, "a.pcap", b), file(t, "b.pcap", b), file(t, "c.pcap", b), file(t, "d.pcap", other)
	_, alone, _ := after(t, t.Context(), nil, a)
	code, stdout, stderr := after(t, t.Context(), nil, a, copied, again, a)
	if code != cli.ExitOK || stdout != alone {
		t.Errorf("exit %d, not what the capture alone shows:\n%s", code, stdout)
	}
	for _, said := range []string{"b.pcap: is a copy of " + a, "c.pcap: is a copy of " + a, "a.pcap: is given twice"} {
		if !strings.Contains(stderr, said) {
			t.Errorf("%q is not said: %s", said, stderr)
		}
	}
	if strings.Contains(stderr, "nearer") {
		t.Error(stderr)
	}
	if r := analyseJoined(t, a, changed); len(r.Joined) != 1 {
		t.Errorf("a capture that differs in its last octet is taken for a copy: %+v", r.Joined)
	}
}
