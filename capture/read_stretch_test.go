package capture

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
)

// framesOf reads n at a time, and writes them down.
func framesOf(f *File, n int) (out []string, err error) {
	for batch := make([]Frame, n); ; {
		k, err := f.Read(batch)
		for i := range batch[:k] {
			x := &batch[i]
			out = append(out, fmt.Sprint(x.Number, x.Time, x.Offset, x.Length, x.LinkType, x.NoPacket, x.Data))
		}
		if k == 0 {
			return out, err
		}
	}
}

// From wherever a stretch begins the same frames are read, also where the file's interfaces and byte
// order change on the way, and where there were too many stretches.
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
	for name, file := range map[string][]byte{
		"pcap": new(pcapWriter).file(5 * mostStretches / 2), "big-endian": (&pcapWriter{big: true, magic: magicNano}).file(50),
		"pcapng": new(ngWriter).file(50), "sections": sections.b, "snoop": snoop.b,
	} {
		open := func() *File {
			f, err := NewFile(name, bytes.NewReader(file), ReadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
		whole := open()
		whole.Note()
		whole.parts.size = 1
		want, err := framesOf(whole, 3)
		if !errors.Is(err, io.EOF) {
			t.Fatalf("%s: %v", name, err)
		}
		all := whole.Stretches()
		if len(all) < len(want)/12 || len(all) > mostStretches {
			t.Errorf("%s: %d stretches of %d frames", name, len(all), len(want))
		}
		f := open()
		for i := len(all) - 1; i >= 0; i -= 1 + len(all)/50 {
			if err := f.GoTo(&all[i]); err != nil {
				t.Fatal(err)
			}
			got, err := framesOf(f, 5)
			if rest := want[all[i].Before:]; !errors.Is(err, io.EOF) || fmt.Sprint(got) != fmt.Sprint(rest) {
				t.Errorf("%s: %d frames from stretch %d, not %d: %v", name, len(got), i, len(rest), err)
			}
		}
	}
}

// The times of a stretch are those of its frames, also of stretches that were put together.
func TestStretchTimes(t *testing.T) {
	f, err := NewFile("pcap", bytes.NewReader(new(pcapWriter).file(9*mostStretches)), ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f.Note()
	f.parts.size = 1
	if _, err := framesOf(f, 1); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	at := func(frame uint64) int64 { return t0sec*second + int64(frame-1)*1e6 }
	all := f.Stretches()
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
	f.Note()
	f.parts.size = 1
	if _, err := framesOf(f, 2); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	other := read(t0sec + 1)
	if err := other.GoTo(&f.Stretches()[3]); err != nil {
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
	if f.Stretches() != nil || f.GoTo(&Stretch{}) == nil {
		t.Error("a pipe has stretches")
	}
}
