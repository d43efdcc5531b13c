package capture

import (
	"errors"
	"io"
	"math"
)

// Places says where the frames of a capture are, as far as it was read since File.Note.
type Places struct {
	Stretches []Stretch

	size  int64      // of a stretch, at least
	steps [][]uint16 // from the record of a frame to the next one's, of the frames of all stretches that are not whole
	noted uint64     // frames
	most  uint64     // of those
	last  int64      // where the record of the newest frame begins
	was   int        // what the container had learnt when the newest stretch began
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
	// nearOctets lie so near that to read them, too, takes less than to ask the system once more.
	nearOctets = 32 << 10
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
	last, all := p.last, int64(0)
	for len(batch) > 0 {
		at := p.noted % stepsBlock
		if at == 0 {
			p.steps = append(p.steps, make([]uint16, stepsBlock))
		}
		block := p.steps[p.noted/stepsBlock][at:]
		block = block[:min(len(block), len(batch))]
		for i := range block {
			d := batch[i].Offset - last
			last += d
			all |= d
			block[i] = uint16(d)
		}
		p.noted += uint64(len(block))
		batch = batch[len(block):]
	}
	p.last = last
	return uint64(all) <= math.MaxUint16
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

// visit is what is read of a capture that was read before.
type visit struct {
	from    *ranged
	stretch int
	frame   uint64 // whose record begins at offset
	offset  int64
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
// another.
func (f *File) Visit(p *Places, i int, first, last uint64) error {
	at, ok := f.raw.r.(io.ReaderAt)
	if f.visit != nil {
		at = f.visit.from.ReaderAt
	} else if !ok || f.stream != nil {
		return errors.ErrUnsupported
	}
	s := &p.Stretches[i]
	if v := f.visit; v == nil || v.stretch != i || first < v.frame {
		f.visit = &visit{from: &ranged{ReaderAt: at}, stretch: i, frame: s.Before + 1, offset: s.begins.offset}
		f.c = s.c.clone()
	}
	v := f.visit
	if first <= s.Before+1 {
		v.from.at, f.begins = s.offset, &s.begins
	} else {
		v.offset += p.distance(v.frame, first)
		v.frame, v.from.at, f.begins = first, v.offset, nil
	}
	v.from.end = p.end(i)
	if _, behind := p.Frames(i, math.MaxUint64); !s.Whole && last < min(behind, p.noted) {
		v.from.end = v.offset + p.distance(v.frame, last+1)
	}
	f.raw.r, f.err = v.from, nil
	f.info.Frames = first - 1
	read := f.w.base + int64(f.w.end)
	if f.w.r == io.Reader(f.raw) && v.from.at >= f.w.base && v.from.end <= read {
		f.w.pos = int(v.from.at - f.w.base)
		v.from.at = read
		return nil
	}
	if gap := v.from.at - read; gap >= 0 && gap < nearOctets { // the next visit will be near, too
		v.from.end = max(v.from.end, min(v.from.at+windowSize, p.end(i)))
	}
	f.raw.n.Store(v.from.at)
	f.w.again(f.raw, v.from.at)
	return nil
}

// distance is how far the record of one frame begins behind that of another.
func (p *Places) distance(from, to uint64) (d int64) {
	for n := from; n < to; n++ { // the step to frame n+1
		d += int64(p.steps[n/stepsBlock][n%stepsBlock])
	}
	return d
}
