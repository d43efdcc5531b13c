package capture

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

var compressors = map[string]func(io.Writer) io.WriteCloser{
	"gzip": func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
	"zstd": func(w io.Writer) io.WriteCloser {
		z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
		if err != nil {
			panic(err)
		}
		return z
	},
	"lz4": func(w io.Writer) io.WriteCloser {
		z := lz4.NewWriter(w)
		if err := z.Apply(lz4.BlockSizeOption(lz4.Block64Kb)); err != nil {
			panic(err)
		}
		return z
	},
}

func compress(t testing.TB, name string, parts ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, part := range parts {
		w := compressors[name](&b)
		if _, err := w.Write(part); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func TestCompressed(t *testing.T) {
	for _, data := range [][]byte{(&pcapWriter{}).file(5000), (&ngWriter{}).file(5000)} {
		want, _, err := readAll(t, data, ReadOptions{}, 100)
		if err != nil {
			t.Fatal(err)
		}
		for name := range compressors {
			for _, parts := range [][][]byte{{data}, {data[:3], data[3:100], nil, data[100:]}} {
				c := compress(t, name, parts...)
				got, info, err := readAll(t, c, ReadOptions{}, 100)
				if err != nil || !reflect.DeepEqual(got, want) {
					t.Fatalf("%s in %d parts: %d frames, %v", name, len(parts), len(got), err)
				}
				if info.Compression != name || info.Bytes != int64(len(data)) || info.Warnings != nil {
					t.Errorf("%s: %+v", name, info)
				}
				// From a pipe, in pieces of a few bytes.
				f, err := NewFile("pipe", &chunks{c, 7}, ReadOptions{})
				if err != nil {
					t.Fatal(name, err)
				}
				n := 0
				for batch := make([]Frame, 100); err == nil; {
					var k int
					k, err = f.Read(batch)
					n += k
				}
				if err != io.EOF || n != len(want) {
					t.Errorf("%s from a pipe: %d frames, %v", name, n, err)
				}
				if got, _ := f.Progress(); got != int64(len(c)) {
					t.Errorf("%s: progress %d of %d compressed bytes", name, got, len(c))
				}
				f.Close()
			}
		}
	}
}

// TestCompressedDamage cuts and spoils compressed files.
func TestCompressedDamage(t *testing.T) {
	data := (&pcapWriter{}).file(5000)
	all, _, err := readAll(t, data, ReadOptions{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	for name := range compressors {
		c := compress(t, name, data)
		most := 0
		for cut := 0; cut < len(c); cut += 1 + len(c)/200 {
			for _, spoil := range []bool{false, true} {
				d := bytes.Clone(c)
				if spoil {
					d[cut] ^= 0xff
				} else {
					d = d[:cut]
				}
				frames, _, err := readAll(t, d, ReadOptions{}, 100)
				checkFrames(t, d, frames, err)
				if len(frames) > 0 && !spoil && !reflect.DeepEqual(frames, all[:len(frames):len(frames)]) {
					t.Fatalf("%s at %d: %d frames, not those of the file", name, cut, len(frames))
				}
				if !spoil {
					if err == nil || cut > 6 && !errors.Is(err, io.ErrUnexpectedEOF) {
						t.Fatalf("%s cut to %d of %d: %v", name, cut, len(c), err)
					}
					if len(frames) < most {
						t.Fatalf("%s cut to %d: %d frames, cut shorter there were %d", name, cut, len(frames), most)
					}
					most = len(frames)
				}
			}
		}
		if most < 3000 {
			t.Errorf("%s: never more than %d frames", name, most)
		}
	}
}

func TestGzipTrailing(t *testing.T) {
	data := (&pcapWriter{}).file(10)
	c := compress(t, "gzip", data)
	for _, tail := range []string{"\x00", strings.Repeat("\x00", 512), "x", "garbage"} {
		frames, info, err := readAll(t, append(bytes.Clone(c), tail...), ReadOptions{}, 100)
		if err != nil || len(frames) != 10 || !slices.Equal(info.Warnings, []string{"test: what follows the gzip data was ignored"}) {
			t.Errorf("%q behind: %d frames, %v, %q", tail, len(frames), err, info.Warnings)
		}
	}
	_, _, err := readAll(t, append(bytes.Clone(c), "\x1f\x8b\x08"...), ReadOptions{}, 100)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a cut second member: %v", err)
	}
}

func TestCompressedOther(t *testing.T) {
	for name := range compressors {
		_, err := NewFile("x", bytes.NewReader(compress(t, name, []byte("hello world, this is text"))), ReadOptions{})
		want := "x: " + name + ` data: not a capture file (starts with "hello worl…"); expected pcap or pcapng`
		if err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
		if _, err := NewFile("x", bytes.NewReader(compress(t, name, nil)), ReadOptions{}); err == nil || err.Error() != "x: "+name+" data: empty, not a capture file" {
			t.Error(err)
		}
	}
}

// TestBomb: what is small compressed takes no memory uncompressed either.
func TestBomb(t *testing.T) {
	header := (&pcapWriter{}).header().b
	for name, compressor := range compressors {
		var b bytes.Buffer
		w := compressor(&b)
		zeros := make([]byte, 1<<20)
		w.Write(header)
		for range 64 {
			w.Write(zeros)
		}
		w.Close()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f, err := NewFile("bomb", bytes.NewReader(b.Bytes()), ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for batch := make([]Frame, 100); err == nil; {
			_, err = f.Read(batch)
		}
		f.Close()
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 32<<20 || err != io.EOF || f.Info().Frames != 64<<16 {
			t.Errorf("%s: %d MB allocated for %d frames, %v", name, got>>20, f.Info().Frames, err)
		}
	}
	// A frame header that asks for a window of 1 GB.
	_, err := NewFile("bomb", strings.NewReader("\x28\xb5\x2f\xfd\x00\xa0\x00\x00\x00"), ReadOptions{})
	if !errors.Is(err, zstd.ErrWindowSizeExceeded) {
		t.Error(err)
	}
}
