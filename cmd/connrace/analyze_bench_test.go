package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"connrace/cmd/connrace/internal/cli"
	"connrace/pcaps"
)

// copies is a capture of a script again and again, a minute apart, from another LB each
// time, and how many frames that are.
func copies(t testing.TB, script string, n int) (file []byte, frames int) {
	t.Helper()
	return repeated(t, script, n, apart)
}

// apart gives the LBs, 10.0.0.n, of each copy addresses of their own.
func apart(i int, f *pcaps.Frame) {
	for _, at := range [...]int{26, 30} { // the IPv4 addresses
		if f.Data[at+2] == 0 {
			f.Data[at+1], f.Data[at+2] = byte(i>>8)+1, byte(i)
		}
	}
}

// repeated is a capture of a script n times, a minute apart, each frame changed.
func repeated(t testing.TB, script string, n int, change func(i int, f *pcaps.Frame)) (file []byte, frames int) {
	t.Helper()
	s, err := pcaps.Load(script)
	if err != nil {
		t.Fatal(err)
	}
	fs, err := s.Frames()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := pcaps.NewWriter(&b, pcaps.FileFormat{}, pcaps.Ethernet, 0)
	for i := range n {
		for _, f := range fs {
			f.Time += int64(i) * int64(time.Minute)
			f.Data = bytes.Clone(f.Data)
			change(i, &f)
			if err := w.Frame(&f); err != nil {
				t.Fatal(err)
			}
		}
	}
	return b.Bytes(), n * len(fs)
}

// BenchmarkAnalyze is the whole command over a file. In CONNRACE_CAPTURES stand more files.
func BenchmarkAnalyze(b *testing.B) {
	file, frames := copies(b, "healthy-keep-alive", 2000)
	path := filepath.Join(b.TempDir(), "x.pcap")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		b.Fatal(err)
	}
	b.Run("healthy", func(b *testing.B) {
		analyzing(b, path, int64(len(file)))
		b.ReportMetric(float64(b.N)*float64(frames)/b.Elapsed().Seconds(), "packets/s")
	})
	for _, path := range filepath.SplitList(os.Getenv("CONNRACE_CAPTURES")) {
		st, err := os.Stat(path)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(filepath.Base(path), func(b *testing.B) { analyzing(b, path, st.Size()) })
	}
}

func analyzing(b *testing.B, path string, size int64) {
	b.Helper()
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		var stderr bytes.Buffer
		if code := run(b.Context(), []string{"-q", "--format", "json", path}, nil, io.Discard, &stderr); code != cli.ExitOK {
			b.Fatal(fmt.Sprint("exit ", code, ": ", stderr.String()))
		}
	}
}
