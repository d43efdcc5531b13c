package annotate

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"connrace/capture"
	"connrace/cmd/connrace/internal/outfile"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

// part are the packets of an exhibit that one point has, in their order.
type part struct {
	of     *exhibit
	point  int          // its place in the analysis's Points
	w      *frameWriter // nil: nothing written
	buf    bytes.Buffer
	spilt  bool // to a file: what was in buf before
	frames uint64
	last   frameOf
}

// write appends a frame to the buffer.
func (p *part) write(f *capture.Frame, snaplen int) (err error) {
	if p.w == nil {
		if p.w, err = newFrameWriter(&p.buf, nil, snaplen, nil); err != nil {
			return err
		}
	}
	g := *f
	g.Interface, g.Direction = 0, 0 // which only some captures know
	return p.w.write(&g, nil)
}

// spill moves what is in the buffer to a file.
func (p *part) spill(dir *os.Root, name string) error {
	if p.buf.Len() == 0 {
		return nil
	}
	flag := os.O_APPEND
	if !p.spilt {
		flag = os.O_CREATE | os.O_EXCL
	}
	h, err := dir.OpenFile(name, os.O_WRONLY|flag, 0o600)
	if err != nil {
		return err
	}
	p.spilt = true
	_, err = p.buf.WriteTo(h)
	p.buf = bytes.Buffer{}
	return errors.Join(err, h.Close())
}

func (x *exhibit) partName(i int) string { return fmt.Sprintf("%s.%d", x.name, i) }

// finish writes the file of a finding.
func (e *Evidence) finish(x *exhibit) error {
	if len(x.parts) > 1 {
		if err := e.renumber(x); err != nil {
			return err
		}
	}
	out, err := outfile.New(e.dir, x.name, filepath.Join(e.o.Dir, x.name), e.o.Umask)
	if err != nil {
		return err
	}
	defer out.Discard()
	b := bufio.NewWriterSize(out.Writer(), 1<<16)
	w, err := newFrameWriter(b, e.about(x), e.o.Snaplen, nil)
	if err != nil {
		return err
	}
	if err := e.declare(x, w); err != nil {
		return err
	}
	comments := e.comments(x)
	n := uint64(0)
	err = e.each(x, func(point int, f *capture.Frame) error {
		n++
		f.Interface = uint32(point)
		return w.write(f, comments[n])
	})
	for i, p := range x.parts {
		if p.buf = (bytes.Buffer{}); p.spilt {
			e.parts.Remove(x.partName(i))
		}
	}
	return errors.Join(err, b.Flush(), out.Commit())
}

// renumber finds out which numbers frames of evidence get in the file, of those that they have
// among the frames of their points.
func (e *Evidence) renumber(x *exhibit) error {
	at := make([]map[uint64][]frameOf, len(x.parts))
	for k, n := range x.number {
		p := k.point
		if at[p] == nil {
			at[p] = map[uint64][]frameOf{}
		}
		at[p][n] = append(at[p][n], k)
	}
	n := uint64(0)
	return e.each(x, func(point int, f *capture.Frame) error {
		n++
		for _, k := range at[point][f.Number] {
			x.number[k] = n
		}
		return nil
	})
}

// source are the frames of a part, one by one.
type source struct {
	in    *capture.File
	close func()
	batch []capture.Frame
	left  []capture.Frame // of the batch, from the next one on
	at    int64           // time of that, by the first point's clock
}

// each calls a function with the frames of all parts. Those of a part stay in their order; of the
// next ones of all the earliest comes first, by the clock of the first point, by which its time is
// then told.
func (e *Evidence) each(x *exhibit, do func(point int, f *capture.Frame) error) (err error) {
	srcs := make([]*source, len(x.parts))
	next := func(i int) error {
		s := srcs[i]
		if len(s.left) == 0 {
			n, err := s.in.Read(s.batch)
			if s.left = s.batch[:n]; n == 0 {
				s.close()
				if srcs[i] = nil; errors.Is(err, io.EOF) {
					return nil
				}
				return err
			}
		}
		s.at = s.left[0].Time + x.correction(i, s.left[0].Time)
		return nil
	}
	defer func() {
		for _, s := range srcs {
			if s != nil {
				s.close()
			}
		}
	}()
	for i, p := range x.parts {
		if p.frames == 0 {
			continue
		}
		if srcs[i], err = e.read(x, i); err != nil {
			return err
		}
		if err := next(i); err != nil {
			return err
		}
	}
	for {
		first := -1
		for i, s := range srcs {
			if s != nil && (first < 0 || s.at < srcs[first].at) {
				first = i
			}
		}
		if first < 0 {
			return nil
		}
		s := srcs[first]
		f := s.left[0]
		f.Time, s.left = s.at, s.left[1:]
		if err := do(first, &f); err != nil {
			return err
		}
		if err := next(first); err != nil {
			return err
		}
	}
}

// read opens the frames of a part.
func (e *Evidence) read(x *exhibit, i int) (*source, error) {
	p := x.parts[i]
	s := &source{close: func() {}, batch: make([]capture.Frame, 64)}
	var r io.Reader = bytes.NewReader(p.buf.Bytes())
	if p.spilt {
		h, err := e.parts.Open(x.partName(i))
		if err != nil {
			return nil, err
		}
		r, s.close = io.MultiReader(h, r), func() { h.Close() }
	}
	in, err := capture.NewFile(x.name, r, capture.ReadOptions{})
	if err != nil {
		s.close()
		return nil, err
	}
	s.in = in
	release := s.close
	s.close = func() { in.Close(); release() }
	return s, nil
}

// correction is what is added to a time of a point to have it by the first point's clock.
func (x *exhibit) correction(point int, t int64) int64 {
	ahead, _, _ := x.analysis.Clocks.Ahead(point, 0, t)
	return ahead
}

// declare declares an interface for each point, whether it has packets or not.
func (e *Evidence) declare(x *exhibit, w *frameWriter) error {
	points := x.analysis.Points
	w.about = func(i uint32) (name, description string) {
		if len(points) == 0 {
			return "", ""
		}
		return points[i].String(), e.moved(x, int(i))
	}
	for i := range points {
		for _, kind := range e.report.Captures[points[i].Capture].LinkTypes {
			if _, err := w.id(link{uint32(i), capture.LinkType(kind)}); err != nil {
				return err
			}
		}
	}
	return nil
}

// moved says how the times of a point were corrected.
func (e *Evidence) moved(x *exhibit, point int) string {
	first := x.analysis.Points[0].Name
	if point == 0 {
		return "times as captured"
	}
	ahead, off, known := x.analysis.Clocks.Ahead(point, 0, e.report.Captures[x.analysis.Points[point].Capture].First)
	if !known {
		return "times as captured: how its clock stands to that of " + first + " cannot be told"
	}
	sign := ""
	if ahead < 0 {
		sign, ahead = "−", -ahead
	}
	return fmt.Sprintf("times moved by %s%s to the clock of %s, at most %s off", sign, text.Span(ahead), first, text.Span(off))
}

// about is what the capture says of itself.
func (e *Evidence) about(x *exhibit) []string {
	cs := x.finding.about()
	points := x.analysis.Points
	if len(points) == 0 {
		return append(cs, fmt.Sprintf("from %s, whose frame numbers these are: %s", e.report.NameOf(x.indexOf(x.Capture)), x.DisplayFilter()))
	}
	for i := range points {
		cs = append(cs, fmt.Sprintf("%s: here %s; %s; %s", points[i], x.here(i), e.there(x, i), e.moved(x, i)))
	}
	return append(cs, "each segment is here once for each place that saw it")
}

// there is how the connection is selected in a point's own capture.
func (e *Evidence) there(x *exhibit, point int) string {
	for i := range x.Views {
		if v := &x.Views[i]; x.analysis.OfView(v) == point {
			return fmt.Sprintf("in %s, whose frame numbers comments name, %s", e.report.NameOf(x.indexOf(v.Capture)), v.DisplayFilter())
		}
	}
	return "nothing of the connection was there"
}

// here is how a point's packets are selected in the file.
func (x *exhibit) here(point int) string {
	return fmt.Sprintf("frame.interface_name == %q", x.analysis.Points[point].String())
}

// comments are those of a finding's own capture, where frames have other numbers.
func (e *Evidence) comments(x *exhibit) Comments {
	c := Comments{}
	for i := range x.Evidence {
		for _, s := range x.sightings(&x.Evidence[i]) {
			n := x.number[frameOf{s.Point, s.Capture, s.Frame}]
			if s.Absent || n == 0 {
				continue
			}
			here := func(p *detect.Evidence) uint64 {
				o := x.nearest(p, s.Point)
				return x.number[frameOf{o.Point, o.Capture, o.Frame}]
			}
			c[n] = append(c[n], fmt.Sprintf("%s; frame %d of %s", x.comment(i, here), s.Frame, e.report.NameOf(s.Capture)))
		}
	}
	return c
}
