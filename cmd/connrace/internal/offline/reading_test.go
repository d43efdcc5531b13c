package offline

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"

	"connrace/cmd/connrace/internal/cli"
	"connrace/pcaps"
)

// As many frames are read first, by which it is decided where a file belongs, however it is read.
func TestBegin(t *testing.T) {
	data, err := pcaps.File("real/nginx-node-race-lb.pcap")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	for part := data; len(part) > 0; part = part[min(len(part), 3000):] {
		z.Write(part[:min(len(part), 3000)])
		z.Flush()
	}
	z.Close()
	var lengths []int
	for name, content := range map[string][]byte{"plain.pcap": data, "packed.pcap.gz": packed.Bytes()} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		for workers := 1; workers <= 2; workers++ {
			a, _ := NewFlags()
			a.files, a.workers = []string{path, path}, workers
			s := newSession(t.Context(), &cli.Env{Stdout: io.Discard, Stderr: io.Discard}, a)
			r := &reading{path: path, session: s.Session}
			if s.open(r); r.err != nil {
				t.Fatal(r.err)
			}
			s.begin(r)
			for i, f := range r.frames() {
				if f.Number != uint64(i+1) || len(f.Data) == 0 || f.Data[12] != 8 { // IPv4
					t.Fatalf("%s, %d: frame %d: % x", name, workers, f.Number, f.Data)
				}
			}
			lengths = append(lengths, r.n)
			r.close()
		}
	}
	for _, n := range lengths {
		if n != len(newSession(t.Context(), &cli.Env{Stdout: io.Discard, Stderr: io.Discard}, &Flags{}).Batch) {
			t.Errorf("%v frames, want all that there is room for", lengths)
			break
		}
	}
}
