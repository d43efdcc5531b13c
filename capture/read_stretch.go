package capture

import (
	"errors"
	"io"
	"math"
)

// A Stretch is a part of a capture. Reading can go on where it begins.
type Stretch struct {
	Before      uint64 // frames of the capture that come before it
	First, Last int64  // earliest and latest Frame.Time; First is after Last where no frame had one

	offset int64
	begins firstFrame
	c      container // as it was there: interfaces, byte order
}

// firstFrame tells the frame that a stretch begins with from what a file that was changed
// meanwhile has there.
type firstFrame struct {
	time   int64
	length uint32
}

func (s *Stretch) take(first, last int64) {
	s.First, s.Last = min(s.First, first), max(s.Last, last)
}

const (
	stretchLen    = 512 << 10 // octets, at least; twice as many each time there are too many
	mostStretches = 4096
)

// stretches are the parts of a capture as far as it has been read.
type stretches struct {
	all  []Stretch
	size int64 // of each, at least
}

// Note lets the File note the stretches that it reads. Of a compressed file there are none.
func (f *File) Note() {
	if f.stream == nil {
		f.parts = &stretches{size: stretchLen}
		f.parts.begin(f)
	}
}

// Stretches returns the parts of what has been read since Note, in order; nil: there are none.
func (f *File) Stretches() []Stretch {
	if f.parts == nil {
		return nil
	}
	return f.parts.all
}

// begin begins a stretch at the next frame.
func (x *stretches) begin(f *File) {
	x.all = append(x.all, Stretch{
		Before: f.info.Frames, First: math.MaxInt64, Last: math.MinInt64, offset: f.w.offset(), c: f.c.clone(),
	})
}

// delivered notes frames with times between two, and begins another stretch where this one is
// long enough.
func (x *stretches) delivered(f *File, batch []Frame, first, last int64) {
	s := &x.all[len(x.all)-1]
	if s.Before+uint64(len(batch)) == f.info.Frames {
		s.begins = firstFrame{batch[0].Time, batch[0].Length}
	}
	s.take(first, last)
	if f.w.offset()-s.offset < x.size {
		return
	}
	if len(x.all) == mostStretches {
		x.size *= 2
		for i := range mostStretches / 2 {
			s := x.all[2*i]
			s.take(x.all[2*i+1].First, x.all[2*i+1].Last)
			x.all[i] = s
		}
		clear(x.all[mostStretches/2:])
		x.all = x.all[:mostStretches/2]
	}
	x.begin(f)
}

// errChanged is what GoTo leads to where the capture is another one by now.
var errChanged = errors.New("the capture has changed since it was read")

// GoTo goes on reading where a stretch of the same capture begins, which must not be compressed.
func (f *File) GoTo(s *Stretch) error {
	seeker, ok := f.raw.r.(io.Seeker)
	if !ok || f.stream != nil {
		return errors.ErrUnsupported
	}
	if _, err := seeker.Seek(s.offset, io.SeekStart); err != nil {
		return err
	}
	f.raw.n.Store(s.offset)
	f.w = newWindow(f.raw)
	f.w.base = s.offset
	f.c, f.err, f.begins = s.c.clone(), nil, &s.begins
	f.info.Frames = s.Before
	return nil
}
