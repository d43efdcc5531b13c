package capture

import (
	"errors"
	"io"
	"math"
)

// Places says where the frames of a capture are, as far as it was read since File.Note.
type Places struct {
	Stretches []Stretch

	size    int64     // of a stretch, at least
	offsets [][]int64 // of the record of the first of so many frames, of all stretches that are not whole
	noted   uint64    // frames
	most    uint64    // of those
	was     int       // what the container had learnt when the newest stretch began
}

// A Stretch is a part of a capture. Reading can go on where it begins.
type Stretch struct {
	Before      uint64 // frames of the capture that come before it
	First, Last int64  // earliest and latest Frame.Time; First is after Last where no frame had one
	// Whole: it can be read only from its beginning on, since it holds more than frames (the
	// interfaces of those that follow), or the places of its frames are not known.
	Whole bool

	offset int64
	begins firstFrame
	c      container // as it was there: interfaces, byte order
}

// firstFrame is the frame that a stretch begins with: it is told from what a file that was changed
// meanwhile has there.
type firstFrame struct {
	offset int64
	time   int64
	length uint32
}

func (s *Stretch) take(first, last int64, whole bool) {
	s.First, s.Last, s.Whole = min(s.First, first), max(s.Last, last), s.Whole || whole
}

const (
	stretchLen    = 512 << 10 // octets, at least; twice as many each time there are too many
	mostStretches = 4096
	stepsBlock    = 1 << 16 // are allocated at once
	placed        = 8       // frames, of which the first one's place is noted
	// nearOctets lie so near that to read them, too, takes less than to ask the system once more.
	nearOctets = 4 << 10
)

// Note lets the File note where the frames are that it reads, of so many at most the very place.
// Nothing is noted of a compressed file.
func (f *File) Note(most uint64) {
	if f.stream == nil {
		f.places = &Places{size: stretchLen, most: most}
		f.places.begin(f)
	}
}

// Places returns what was noted of what has been read since Note; nil: nothing was.
func (f *File) Places() *Places { return f.places }

// begin begins a stretch at the next frame.
func (p *Places) begin(f *File) {
	p.was = f.c.learnt()
	p.Stretches = append(p.Stretches, Stretch{
		Before: f.info.Frames, First: math.MaxInt64, Last: math.MinInt64, offset: f.w.offset(), c: f.c.clone(),
	})
}

// delivered notes frames with times between two, and begins another stretch where this one is
// long enough.
func (p *Places) delivered(f *File, batch []Frame, first, last int64) {
	s := &p.Stretches[len(p.Stretches)-1]
	if s.Before+uint64(len(batch)) == f.info.Frames {
		s.begins = firstFrame{batch[0].Offset, batch[0].Time, batch[0].Length}
	}
	s.take(first, last, !p.step(batch) || p.was != f.c.learnt())
	if f.w.offset()-s.offset < p.size {
		return
	}
	if len(p.Stretches) == mostStretches {
		p.size *= 2
		for i := range mostStretches / 2 {
			s, next := p.Stretches[2*i], &p.Stretches[2*i+1]
			s.take(next.First, next.Last, next.Whole)
			p.Stretches[i] = s
		}
		clear(p.Stretches[mostStretches/2:])
		p.Stretches = p.Stretches[:mostStretches/2]
	}
	p.begin(f)
}

// step notes where frames are, and reports whether that could be done.
func (p *Places) step(batch []Frame) bool {
	if p.noted+uint64(len(batch)) > p.most || batch[0].Number != p.noted+1 {
		return false
	}
	for i := -p.noted % placed; i < uint64(len(batch)); i += placed {
		n := (p.noted + i) / placed
		if n%stepsBlock == 0 {
			p.offsets = append(p.offsets, make([]int64, stepsBlock))
		}
		p.offsets[n/stepsBlock][n%stepsBlock] = batch[i].Offset
	}
	p.noted += uint64(len(batch))
	return true
}

// at is where the record of a frame begins that is the first of those placed together.
func (p *Places) at(frame uint64) int64 {
	n := (frame - 1) / placed
	return p.offsets[n/stepsBlock][n%stepsBlock]
}

// since and behind are the first of the frames that are placed together with one, and the first one behind those.
func since(frame uint64) uint64  { return frame - (frame-1)%placed }
func behind(frame uint64) uint64 { return since(frame) + placed }

// Together reports whether two frames of a stretch that is not Whole are best read as one piece.
func (p *Places) Together(first, next uint64) bool {
	return since(next) <= behind(first) || p.at(since(next))-p.at(behind(first)) <= nearOctets
}

// Frames are the numbers of the first and the last frame of the i-th stretch, where the capture has so
// many of them.
func (p *Places) Frames(i int, all uint64) (first, last uint64) {
	if last = all; i+1 < len(p.Stretches) {
		last = p.Stretches[i+1].Before
	}
	return p.Stretches[i].Before + 1, last
}

// end is where the i-th stretch ends.
func (p *Places) end(i int) int64 {
	if i+1 < len(p.Stretches) {
		return p.Stretches[i+1].offset
	}
	return math.MaxInt64
}

// ranged reads from one place of a file up to another.
type ranged struct {
	io.ReaderAt
	at, end int64
}

func (r *ranged) Read(b []byte) (int, error) {
	if r.at >= r.end {
		return 0, io.EOF
	}
	n, err := r.ReadAt(b[:min(int64(len(b)), r.end-r.at)], r.at)
	r.at += int64(n)
	return n, err
}

// errChanged is what Visit leads to where the capture is another one by now.
var errChanged = errors.New("the capture has changed since it was read")

// Visit lets Read go on with some frames of the i-th stretch of the same capture, which must not be
// compressed: all from its first one on up to a last one, or, unless it is Whole, any that follow one
// another. The one that Read begins with may be a few before the first.
func (f *File) Visit(p *Places, i int, first, last uint64) (begin uint64, err error) {
	if f.visit == nil {
		at, ok := f.raw.r.(io.ReaderAt)
		if !ok || f.stream != nil {
			return 0, errors.ErrUnsupported
		}
		f.visit = &ranged{ReaderAt: at}
	}
	s, v := &p.Stretches[i], f.visit
	f.c = s.c.clone()
	if begin = since(first); begin <= s.Before+1 {
		begin, v.at, f.begins = s.Before+1, s.offset, &s.begins
	} else {
		v.at, f.begins = p.at(begin), nil
	}
	v.end = p.end(i)
	if next := behind(last); !s.Whole && next <= p.noted {
		v.end = min(v.end, p.at(next))
	}
	f.raw.r, f.err = v, nil
	f.info.Frames = begin - 1
	f.raw.n.Store(v.at)
	f.w.again(f.raw, v.at)
	return begin, nil
}
