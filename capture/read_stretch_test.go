package capture

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"testing"
)

func described(x *Frame) string {
	return fmt.Sprint(x.Number, x.Time, x.Offset, x.Length, x.LinkType, x.NoPacket, x.Data)
}

// framesOf reads n at a time, and writes them down.
func framesOf(f *File, n int) (out []string, err error) {
	for batch := make([]Frame, n); ; {
		k, err := f.Read(batch)
		for i := range batch[:k] {
			out = append(out, described(&batch[i]))
		}
		if k == 0 {
			return out, err
		}
	}
}

// From wherever a stretch begins the same frames are read, and, unless more than frames are there, any that
// follow each other within it: also where the file's interfaces and byte order change on the way, where records
// are too far apart for it, and where there were too many stretches.
func TestStretches(t *testing.T) {
	sections := new(ngWriter).section().iface(1, 0).enhanced(0, 7_000_000, payload)
	sections.file(30)
	sections.big = true
	sections.section().iface(101, 0, sections.option(9, []byte{9})).enhanced(0, 7_000_000_000, payload).iface(1, 80)
	for i := range 30 {
		sections.enhanced(1, 8_000_000+uint64(i), payload)
	}
	snoop := new(snoopWriter).header(4)
	for i := range 40 {
		snoop.record(uint32(t0sec+i), 0, payload)
	}
	large := new(pcapWriter).header()
	for i := range uint32(40) {
		large.record(t0sec+i, 0, make([]byte, 10+i%10/9*math.MaxUint16))
	}
	for name, file := range map[string]struct {
		b    []byte
		most uint64
	}{
		"pcap": {new(pcapWriter).file(5 * mostStretches / 2), 1 << 20}, "big-endian": {(&pcapWriter{big: true, magic: magicNano}).file(50), 1 << 20},
		"pcapng": {new(ngWriter).file(50), 1 << 20}, "sections": {sections.b, 1 << 20}, "snoop": {snoop.b, 1 << 20},
		"large": {large.b, 1 << 20}, "not all": {new(pcapWriter).file(50), 20},
	} {
		open := func() *File {
			f, err := NewFile(name, bytes.NewReader(file.b), ReadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
		whole := open()
		whole.Note(file.most)
		whole.places.size = 200
		want, err := framesOf(whole, 3)
		if !errors.Is(err, io.EOF) {
			t.Fatalf("%s: %v", name, err)
		}
		p := whole.Places()
		n := len(p.Stretches)
		if n < len(want)/12 || n > mostStretches {
			t.Errorf("%s: %d stretches of %d frames", name, n, len(want))
		}
		f, pieces := open(), 0
		visit := func(i int, first, last uint64) {
			begin, err := f.Visit(p, i, first, last)
			if err != nil || begin > first || first-begin > 7 {
				t.Fatal(begin, first, err)
			}
			first = begin
			var got []string
			for batch := make([]Frame, 5); uint64(len(got)) <= last-first; {
				k, err := f.Read(batch[:min(5, last-first+1-uint64(len(got)))])
				if k == 0 {
					t.Errorf("%s: %d frames from %d to %d: %v", name, len(got), first, last, err)
					return
				}
				for i := range batch[:k] {
					got = append(got, described(&batch[i]))
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(want[first-1:last]) {
				t.Errorf("%s: frames %d to %d: %v", name, first, last, got)
			}
		}
		for i := 0; i < n; i += 1 + n/50 {
			first, last := p.Frames(i, uint64(len(want)))
			if first > last {
				continue
			}
			if p.Stretches[i].Whole || i%2 == 0 {
				visit(i, first, last)
				continue
			}
			pieces++
			visit(i, last, last)
			visit(i, first, first)
			for from := first; from <= last; from += 2 {
				visit(i, from, from)
			}
		}
		if pieces == 0 && n > 2 {
			t.Errorf("%s: no stretch could be read in pieces", name)
		}
	}
}

// The times of a stretch are those of its frames, also of stretches that were put together.
func TestStretchTimes(t *testing.T) {
	f, err := NewFile("pcap", bytes.NewReader(new(pcapWriter).file(9*mostStretches)), ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f.Note(1 << 20)
	f.places.size = 1
	if _, err := framesOf(f, 1); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	at := func(frame uint64) int64 { return t0sec*second + int64(frame-1)*1e6 }
	all := f.Places().Stretches
	for i := range len(all) - 1 {
		s, next := &all[i], all[i+1].Before
		if s.First != at(s.Before+1) || s.Last != at(next) {
			t.Fatalf("stretch %d of %d, frames %d to %d: %d to %d", i, len(all), s.Before+1, next, s.First, s.Last)
		}
	}
}

// A capture that is another one by now is not read on in the middle.
func TestStretchChanged(t *testing.T) {
	read := func(sec uint32) *File {
		w := new(pcapWriter).header()
		for i := range uint32(20) {
			w.record(sec+i, 0, payload)
		}
		f, err := NewFile("pcap", bytes.NewReader(w.b), ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := read(t0sec)
	f.Note(1 << 20)
	f.places.size = 1
	if _, err := framesOf(f, 2); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	other := read(t0sec + 1)
	if _, err := other.Visit(f.Places(), 3, f.Places().Stretches[3].Before+1, 20); err != nil {
		t.Fatal(err)
	}
	if got, err := framesOf(other, 2); len(got) > 0 || !errors.Is(err, errChanged) {
		t.Errorf("%d frames, %v", len(got), err)
	}
}

// What is compressed, or no file, is read from its beginning.
func TestNoStretches(t *testing.T) {
	f, err := NewFile("pipe", io.LimitReader(bytes.NewReader(new(pcapWriter).file(9)), 1<<20), ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f.Note(1)
	if _, err := f.Visit(f.Places(), 0, 1, 1); err == nil {
		t.Error("a pipe has stretches")
	}
}
