package dump

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"connrace/capture"
	"connrace/cmd/connrace/internal/outfile"
)

const second = int64(time.Second)

var start = time.Date(2026, 3, 9, 7, 5, 0, 0, time.UTC).UnixNano()

func options(path string) Options {
	return Options{Path: path, Umask: outfile.Private, Zone: time.UTC, Name: func(i uint32) string { return string('a' + rune(i)) }}
}

// frame is the i-th of a capture, one each second.
func frame(i int) *capture.Frame {
	return &capture.Frame{
		Number: uint64(i + 1), Time: start + int64(i)*second, LinkType: capture.LinkType(1 + i%2*100), Interface: uint32(i % 3),
		Direction: capture.Direction(i % 3), Length: 5000, Data: bytes.Repeat([]byte{byte(i)}, 1000),
	}
}

func dump(t *testing.T, o Options, n int) *Dump {
	t.Helper()
	d, err := New(o, start)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := d.Frame(frame(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Close(uint64(n), 3, start); err != nil {
		t.Fatal(err)
	}
	return d
}

// read returns which frames a file has.
func read(t *testing.T, path string) (got []int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := capture.NewFile(path, bytes.NewReader(data), capture.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	batch := make([]capture.Frame, 16)
	for {
		n, err := f.Read(batch)
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range batch[:n] {
			i := int((x.Time - start) / second)
			want := frame(i)
			if x.LinkType != want.LinkType || x.Length != want.Length || !bytes.Equal(x.Data, want.Data) {
				t.Errorf("%s: frame %d is not as it was", path, i)
			}
			got = append(got, i)
		}
	}
}

// files reads all files of a directory.
func files(t *testing.T, dir string) map[string][]int {
	t.Helper()
	es, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	fs := map[string][]int{}
	for _, e := range es {
		fs[e.Name()] = read(t, filepath.Join(dir, e.Name()))
	}
	return fs
}

func count(from, to int) (is []int) {
	for i := from; i < to; i++ {
		is = append(is, i)
	}
	return is
}

func TestRotation(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(*Options)
		n    int
		want map[string][]int
		done bool
	}{
		{"one file", func(*Options) {}, 20, map[string][]int{"x": count(0, 20)}, false},
		{"size", func(o *Options) { o.Size = 5000 }, 11, map[string][]int{"x": count(0, 5), "x1": count(5, 10), "x2": count(10, 11)}, false},
		{"size, a ring", func(o *Options) { o.Size, o.Files = 3000, 11 }, 36, map[string][]int{
			"x00": count(33, 36), "x01": count(3, 6), "x02": count(6, 9), "x03": count(9, 12), "x04": count(12, 15), "x05": count(15, 18),
			"x06": count(18, 21), "x07": count(21, 24), "x08": count(24, 27), "x09": count(27, 30), "x10": count(30, 33),
		}, false},
		{"size, a ring of one", func(o *Options) { o.Size, o.Files = 3000, 1 }, 7, map[string][]int{"x": count(6, 7)}, false},
		{"age", func(o *Options) { o.Every, o.Path = 4*time.Second, o.Path+"-%H%M%S" }, 10, map[string][]int{
			"x-070500": count(0, 4), "x-070504": count(4, 8), "x-070508": count(8, 10),
		}, false},
		{"age, the same name", func(o *Options) { o.Every = 4 * time.Second }, 10, map[string][]int{"x": count(8, 10)}, false},
		{"age, so many", func(o *Options) { o.Every, o.Files, o.Path = 4*time.Second, 2, o.Path+"%S" }, 10, map[string][]int{
			"x00": count(0, 4), "x04": count(4, 8),
		}, true},
		{"age and size", func(o *Options) { o.Every, o.Size, o.Path = 6*time.Second, 3000, o.Path+"%S" }, 10, map[string][]int{
			"x00": count(0, 3), "x001": count(3, 6), "x06": count(6, 9), "x061": count(9, 10),
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			o := options(filepath.Join(dir, "x"))
			c.set(&o)
			d := dump(t, o, c.n)
			if got := files(t, dir); !maps.EqualFunc(got, c.want, slices.Equal[[]int]) {
				t.Errorf("wrote %v\nwant  %v", got, c.want)
			}
			if d.Done() != c.done || d.Lost != 0 {
				t.Errorf("done %v, %d lost", d.Done(), d.Lost)
			}
		})
	}
}

// At any time the file can be read up to what was flushed last.
func TestFlush(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	d, err := New(options(path), start)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); len(got) != 0 {
		t.Errorf("%v at once", got)
	}
	for i := range 3 {
		d.Frame(frame(i))
	}
	d.Flush()
	d.Frame(frame(3))
	if got := read(t, path); !slices.Equal(got, count(0, 3)) {
		t.Errorf("read %v", got)
	}
	d.Close(4, 0, start)
	if got := read(t, path); !slices.Equal(got, count(0, 4)) {
		t.Errorf("read %v", got)
	}
}

// A full disk costs frames, which are counted, and nothing else: the file stays whole, and
// goes on when there is room.
func TestDiskFull(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Skip("needs /dev/full: ", err)
	}
	path := filepath.Join(t.TempDir(), "x")
	d, err := New(options(path), start)
	if err != nil {
		t.Fatal(err)
	}
	d.Frame(frame(0))
	d.Flush()
	good := d.file
	d.file = full
	for i := 1; i < 7; i++ { // two interfaces are declared meanwhile
		err := errors.Join(d.Frame(frame(i)), d.Flush())
		if first := i == 1; first != (err != nil) || first && !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("frame %d: %v", i, err)
		}
	}
	d.file = good
	d.Frame(frame(7))
	d.Flush()
	d.file = full
	if err := errors.Join(d.Frame(frame(8)), d.Flush()); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("no error the second time: %v", err)
	}
	d.file = good
	d.Frame(frame(9))
	if err := d.Close(10, 0, start); err != nil {
		t.Error(err)
	}
	if got := read(t, path); !slices.Equal(got, []int{0, 7, 9}) || d.Lost != 7 {
		t.Errorf("read %v, %d lost", got, d.Lost)
	}
}

func TestNew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "no", "x")
	if _, err := New(options(path), start); err == nil || !strings.HasPrefix(err.Error(), path+": ") {
		t.Errorf("error %v", err)
	}
}

func TestStrftime(t *testing.T) {
	at := time.Date(2026, 3, 9, 17, 5, 1, 0, time.UTC)
	for in, want := range map[string]string{
		"/var/%Y-%m-%d/%H%M%S.pcap": "/var/2026-03-09/170501.pcap", "%F_%T": "2026-03-09_17:05:01", "%s": "1773075901",
		"%j %u %y": "068 1 26", "100%": "100%", "%%": "%", "%Q": "%Q", "": "",
	} {
		if got := strftime(in, at); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func BenchmarkFrame(b *testing.B) {
	d, err := New(options(filepath.Join(b.TempDir(), "x")), start)
	if err != nil {
		b.Fatal(err)
	}
	f := frame(0)
	f.Data = f.Data[:200]
	b.ReportAllocs()
	b.SetBytes(200)
	d.o.Size, d.o.Files = 50<<20, 2
	for b.Loop() {
		d.Frame(f)
	}
}
