package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"connrace/pcaps"
)

// copies is a capture of a script again and again, a minute apart, from another LB each
// time, and how many frames that are.
func copies(t testing.TB, script string, n int) (file []byte, frames int) {
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
			for _, at := range [...]int{26, 30} { // the IPv4 addresses, 10.0.0.n of LBs
				if f.Data[at+2] == 0 {
					f.Data[at+1], f.Data[at+2] = byte(i>>8)+1, byte(i)
				}
			}
			if err := w.Frame(&f); err != nil {
				t.Fatal(err)
			}
		}
	}
	return b.Bytes(), n * len(fs)
}

// Reading ahead changes nothing but the time it takes.
func TestAhead(t *testing.T) {
	data, _ := copies(t, "crowder", 3000)
	if len(data) < 4<<20 {
		t.Fatalf("%d octets: hardly more than is read ahead", len(data))
	}
	path := filepath.Join(t.TempDir(), "x.pcap")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	analyze := func(procs int, stdin io.Reader, path string) string {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
		var out, errs bytes.Buffer
		if code := run(t.Context(), []string{"-q", "--format", "json", path}, stdin, &out, &errs); code != exitOK {
			t.Fatalf("exit %d: %s", code, &errs)
		}
		return out.String()
	}
	want := analyze(1, nil, path)
	if bytes.Count([]byte(want), []byte(`"rule":"fin-request-crossing"`)) < 3000 {
		t.Fatal("not each copy's finding is there")
	}
	if got := analyze(2, nil, path); got != want {
		t.Error("with a goroutine that reads ahead it differs")
	}
	one, two := analyze(1, bytes.NewReader(data), "-"), analyze(2, bytes.NewReader(data), "-")
	if one != two || len(one) < len(want)/2 {
		t.Error("of a stream it differs")
	}
}

// BenchmarkAnalyze is the whole command over a file.
func BenchmarkAnalyze(b *testing.B) {
	file, frames := copies(b, "healthy-keep-alive", 2000)
	path := filepath.Join(b.TempDir(), "x.pcap")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		var stderr bytes.Buffer
		if code := run(b.Context(), []string{"-q", "--format", "json", path}, nil, io.Discard, &stderr); code != exitOK {
			b.Fatal(fmt.Sprint("exit ", code, ": ", stderr.String()))
		}
	}
	b.ReportMetric(float64(b.N)*float64(frames)/b.Elapsed().Seconds(), "packets/s")
}
