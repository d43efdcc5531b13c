package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"connrace/cmd/connrace/internal/cli"
)

// manyWorkers are numbers of processors.
var manyWorkers = []int{2, 3, 8}

// sameByWorkers runs connrace with so many processors and with one, and fails where that changes a byte of what it says.
func sameByWorkers(t *testing.T, numbers []int, args ...string) {
	t.Helper()
	var want string
	for _, n := range append([]int{1}, numbers...) {
		var out, errs bytes.Buffer
		code := run(t.Context(), append([]string{"--workers", fmt.Sprint(n)}, args...), nil, &out, &errs)
		got := fmt.Sprintf("exit %d\n%s%s", code, &errs, &out)
		if n == 1 {
			want = got
		}
		if got != want {
			t.Errorf("%q: %d processors say something else than one:\n%.3000s\n%.3000s", args, n, got, want)
		}
	}
}

// bgzipped is a file whose members say how long they are, as bgzip writes it.
func bgzipped(t *testing.T, data []byte) []byte {
	t.Helper()
	var all bytes.Buffer
	for part := range slices.Chunk(data, 2000) {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		z.Extra = []byte("BC\x02\x00\x00\x00")
		z.Write(part)
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		binary.LittleEndian.PutUint16(b.Bytes()[16:], uint16(b.Len()-1))
		all.Write(b.Bytes())
	}
	return all.Bytes()
}

// However many processors there are, what is said of a capture is the same: of each, beside itself compressed, as if it were
// another point's.
func TestWorkers(t *testing.T) {
	formats := []string{"table", "json", "jsonl", "csv", "markdown"}
	dir := t.TempDir()
	captures := capturesOf(t)
	for i, name := range slices.Sorted(maps.Keys(captures)) {
		plain, packed := filepath.Join(dir, fmt.Sprint(i)+".pcap"), filepath.Join(dir, fmt.Sprint(i)+"-b.pcap.gz")
		for path, data := range map[string][]byte{plain: captures[name], packed: bgzipped(t, captures[name])} {
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for k, format := range formats {
			numbers := manyWorkers[(i+k)%len(manyWorkers):][:1]
			if format == "json" && !raced {
				numbers = manyWorkers
			}
			if k == i%len(formats) || !raced { // the race detector looks at how they are read
				sameByWorkers(t, numbers, "--format", format, plain, packed)
			}
		}
	}
}

// Files are read before their turn where it is certain where they belong, and told of in their turn: in whatever order they
// are given, and whatever is wrong with one.
func TestWorkersFiles(t *testing.T) {
	dir := t.TempDir()
	put := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var lb, target []string
	for i, data := range rotated(t, "real/nginx-node-race-lb.pcap", 0, 0.3, 0.7) {
		lb = append(lb, put(fmt.Sprintf("l%d.pcap", i), data))
	}
	for i, data := range rotated(t, "nginx-node-race.pcap", 7e6, 0.4, 0.6) {
		target = append(target, put(fmt.Sprintf("t%d.pcap", i), data))
	}
	t0, err := os.ReadFile(target[0])
	if err != nil {
		t.Fatal(err)
	}
	whole := rotated(t, "nginx-node-race.pcap", 7e6)[0]
	cut := put("cut.pcap", whole[:len(whole)-5])
	packed := put("packed.pcap.gz", bgzipped(t, whole))
	empty := put("empty.pcap", t0[:24])
	none := put("none.pcap", []byte("no capture at all"))
	missing := filepath.Join(dir, "missing.pcap")
	all := slices.Concat(lb, target)
	for _, files := range [][]string{
		all,
		slices.Concat(target, lb),
		{lb[0], target[0], lb[1], target[1], lb[2], target[2]},
		{target[0], lb[0], lb[1], target[1], target[2], lb[2]},
		{lb[2], lb[1], lb[0], target[2], target[0], target[1]},
		{lb[0], cut, lb[1], lb[2]},
		{cut, lb[0], packed, lb[1], lb[2]},
		{lb[0], missing, target[0], lb[1], none, target[1], empty, lb[2], target[2]},
		{lb[0], lb[1], target[0], missing, lb[2], target[1], target[2]},
		{empty, lb[0], target[0], lb[1], lb[2], lb[0], target[1]},
	} {
		for _, more := range [][]string{{"--format", "json"}, {"--format", "jsonl", "--target", ":8080"}, {"--no-join"}, {"--streams", "--format", "json", "--since", "+1s"}} {
			sameByWorkers(t, manyWorkers, append(more, files...)...)
		}
	}
	var errs bytes.Buffer
	if code := run(t.Context(), append([]string{"-v", "--workers", "2"}, all...), nil, &bytes.Buffer{}, &errs); code != cli.ExitOK {
		t.Fatalf("exit %d: %s", code, &errs)
	}
	if want := target[0] + ": read beside the files before it\n"; !strings.Contains(errs.String(), want) {
		t.Errorf("%q is not in %q", want, &errs)
	}
}

// However many processors are asked for, no more are counted on than there can be.
func TestWorkersVeryMany(t *testing.T) {
	var files []string
	for i, data := range rotated(t, "nginx-node-race.pcap", 0, 0.3, 0.7) {
		files = append(files, file(t, fmt.Sprintf("%d.pcap.gz", i), bgzipped(t, data)))
	}
	sameByWorkers(t, []int{math.MaxInt, math.MaxInt32}, files...)
}

// endsAt ends a run when it says something.
type endsAt struct {
	bytes.Buffer
	what string
	end  func()
}

func (e *endsAt) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(e.what)) {
		e.end()
	}
	return e.Buffer.Write(p)
}

// Of a run that is interrupted the report has all files that were begun, and says which of them were not read to their end.
func TestWorkersInterrupted(t *testing.T) {
	lb := file(t, "lb.pcap", rotated(t, "real/nginx-node-race-lb.pcap", 0)[0])
	target := file(t, "target.pcap", rotated(t, "nginx-node-race.pcap", 7e6)[0])
	later := file(t, "later.pcap", capturePCAP(t, "crowder"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	errs := endsAt{what: lb + ": read", end: cancel}
	var out bytes.Buffer
	if code := run(ctx, []string{"-v", "--workers", "2", "--format", "json", lb, target, later}, nil, &out, &errs); code != cli.ExitInterrupted {
		t.Errorf("exit %d: %s", code, &errs.Buffer)
	}
	var r struct {
		Captures []struct{ Path string }
		Findings []struct{ Capture int }
	}
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Captures) < 2 || r.Captures[1].Path != target { // the third may have been begun
		t.Errorf("captures %+v, want %s and %s", r.Captures, lb, target)
	}
	for _, f := range r.Findings {
		if f.Capture < 0 || f.Capture >= len(r.Captures) {
			t.Errorf("a finding in capture %d", f.Capture)
		}
	}
}
