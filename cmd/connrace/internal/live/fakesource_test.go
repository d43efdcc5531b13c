package live

import (
	"bytes"
	"cmp"
	"io"
	"testing"
	"time"

	"connrace/capture"
	"connrace/pcaps"
)

// fakeSource is an interface on which a script of the corpus happens.
type fakeSource struct {
	frames []capture.Frame
	each   int // frames that a Read returns
	next   int
	idle   int // Reads that return nothing at the end
	drops  uint64
	end    error // how it ends; nil: as wanted
	stop   chan struct{}
	hook   func(next int) // before a Read
	closed bool
}

func newFakeSource(t testing.TB, script string) *fakeSource {
	t.Helper()
	s, err := pcaps.Load(script)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := s.WritePCAP(&b, pcaps.FileFormat{Nano: true}); err != nil {
		t.Fatal(err)
	}
	return fakeCapture(t, script, &b)
}

// fakeCapture is an interface on which what was captured happens again.
func fakeCapture(t testing.TB, name string, r io.Reader) *fakeSource {
	t.Helper()
	f, err := capture.NewFile(name, r, capture.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	src := &fakeSource{each: 7, idle: 3, stop: make(chan struct{}, 1)}
	batch := make([]capture.Frame, 16)
	for {
		n, err := f.Read(batch)
		if err == io.EOF {
			return src
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range batch[:n] {
			x.Data = bytes.Clone(x.Data)
			x.Interface, x.Direction = 1, capture.Inbound
			src.frames = append(src.frames, x)
		}
	}
}

// again is what happens on a source, so many times, ten seconds apart.
func (s *fakeSource) again(times int) *fakeSource {
	src := &fakeSource{each: 64, stop: make(chan struct{}, 1)}
	step := s.frames[len(s.frames)-1].Time - s.frames[0].Time + int64(10*time.Second)
	for i := range times {
		for _, f := range s.frames {
			f.Number = uint64(len(src.frames) + 1)
			f.Time += int64(i) * step
			src.frames = append(src.frames, f)
		}
	}
	return src
}

func (s *fakeSource) Read(batch []capture.Frame) (int, error) {
	if s.hook != nil {
		s.hook(s.next)
	}
	select {
	case <-s.stop:
		return 0, io.EOF
	default:
	}
	if s.next == len(s.frames) {
		if s.idle--; s.idle < 0 {
			return 0, cmp.Or(s.end, io.EOF)
		}
		return 0, nil
	}
	n := copy(batch[:min(s.each, len(batch))], s.frames[s.next:])
	s.next += n
	return n, nil
}

func (s *fakeSource) Stop() { s.stop <- struct{}{} }

func (s *fakeSource) Stats() capture.LiveStats {
	return capture.LiveStats{Packets: uint64(s.next), Drops: s.drops}
}

func (s *fakeSource) Info() capture.Info {
	i := capture.Info{Format: "live", Snaplen: 1024, DropsKnown: true, Drops: s.drops, Frames: uint64(s.next), LinkTypes: []capture.LinkType{1}}
	if s.next > 0 {
		i.First, i.Last = s.frames[0].Time, s.frames[s.next-1].Time
	}
	return i
}

func (s *fakeSource) InterfaceName(uint32) string { return "fake0" }

func (s *fakeSource) Close() error { s.closed = true; return nil }
