package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"connrace/pcaps"
)

// BenchmarkAnalyze is the whole command over a file: one script again and again, a minute
// apart, from another LB each time.
func BenchmarkAnalyze(b *testing.B) {
	s, err := pcaps.Load("healthy-keep-alive")
	if err != nil {
		b.Fatal(err)
	}
	const copies = 2000
	frames, err := s.Frames()
	if err != nil {
		b.Fatal(err)
	}
	var file bytes.Buffer
	w := pcaps.NewWriter(&file, pcaps.FileFormat{}, pcaps.Ethernet, 0)
	for i := range copies {
		for _, f := range frames {
			f.Time += int64(i) * int64(time.Minute)
			f.Data = bytes.Clone(f.Data)
			for _, at := range [...]int{26, 30} { // the IPv4 addresses, 10.0.0.n of LBs
				if f.Data[at+2] == 0 {
					f.Data[at+1], f.Data[at+2] = byte(i>>8)+1, byte(i)
				}
			}
			if err := w.Frame(&f); err != nil {
				b.Fatal(err)
			}
		}
	}
	path := filepath.Join(b.TempDir(), "x.pcap")
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(file.Len()))
	b.ReportAllocs()
	for b.Loop() {
		var stderr bytes.Buffer
		if code := run(b.Context(), []string{"-q", "--format", "json", path}, nil, io.Discard, &stderr); code != exitOK {
			b.Fatal(fmt.Sprint("exit ", code, ": ", stderr.String()))
		}
	}
	b.ReportMetric(float64(b.N)*float64(copies*len(frames))/b.Elapsed().Seconds(), "packets/s")
}
