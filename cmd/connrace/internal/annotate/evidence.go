package annotate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"connrace/capture"
	"connrace/cmd/connrace/internal/outfile"
	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
	"connrace/tcpstate"
)

// maxHeld bounds the bytes that wait in memory to be written: a variable for tests.
var maxHeld = 16 << 20

// Evidence writes for each finding a small capture with all packets of the streams that
// its evidence names, in a second pass over the captures. The packets wait in memory, and
// on disk when they become many; at the end, when it is known which number each has got,
// the comments are put in.
type Evidence struct {
	o        EvidenceOptions
	dir      *os.Root // nil: not opened
	captures []report.Capture
	cases    []*exhibit
	streams  map[streamOf][]*exhibit
	held     int
	parts    *os.Root // a directory in dir; nil: not made
	partsIn  string   // its name
}

// EvidenceOptions say where and how to write.
type EvidenceOptions struct {
	Dir     string // made if it is not there
	Snaplen int    // to cut packets to, in bytes; 0: not at all
	Umask   outfile.Umask
}

// streamOf is a stream of a capture, by its index in the report.
type streamOf struct {
	capture int
	stream  uint32
}

// frameOf is a frame of a capture, by its index in the report.
type frameOf struct {
	capture int
	frame   uint64
}

// exhibit is the capture of one finding.
type exhibit struct {
	finding
	name   string
	w      *frameWriter // nil: nothing written
	buf    bytes.Buffer
	spilt  bool // to a part: what was in buf before
	frames uint64
	last   frameOf
	number map[frameOf]uint64 // of the segments of evidence, here
}

// exhibitName is what the files are called.
var exhibitName = regexp.MustCompile(`^\d{4,}-[a-z-]+-\d+\.pcapng$`)

// Earlier are the files in a directory that have names such as Evidence gives: an earlier
// run's, most likely.
func Earlier(dir string) (names []string, err error) {
	es, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range es {
		if exhibitName.MatchString(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// NewEvidence prepares the captures of the findings that a report shows.
func NewEvidence(to EvidenceOptions, r *report.Report, o *report.Options) *Evidence {
	e := &Evidence{o: to, captures: r.Captures, streams: map[streamOf][]*exhibit{}}
	for f := range shown(r, o) {
		x := &exhibit{finding: f, number: map[frameOf]uint64{}}
		add := func(k streamOf) {
			if !slices.Contains(e.streams[k], x) {
				e.streams[k] = append(e.streams[k], x)
			}
		}
		stream := f.Stream
		if f.HasStream {
			add(streamOf{f.indexOf(f.Capture), f.Stream})
		} else if ss := f.Streams(); len(ss) > 0 {
			stream = ss[0]
		} else {
			continue
		}
		for i := range f.Evidence {
			v := &f.Evidence[i]
			add(streamOf{f.capture(v), v.Stream})
			x.number[frameOf{f.capture(v), v.Frame}] = 0
		}
		x.name = fmt.Sprintf("%04d-%s-%d.pcapng", f.id(), f.Rule.ID, stream)
		e.cases = append(e.cases, x)
	}
	return e
}

// Captures are the captures that have to be read again, in this order, by their index in
// the report.
func (e *Evidence) Captures() []int {
	var is []int
	for k := range e.streams {
		if !slices.Contains(is, k.capture) {
			is = append(is, k.capture)
		}
	}
	slices.Sort(is)
	return is
}

// Read takes what belongs to the findings from the first frames of a capture that was
// just opened.
func (e *Evidence) Read(ctx context.Context, index int, in *capture.File, frames uint64) error {
	decoder, numberer := capture.NewDecoder(), tcpstate.NewNumberer()
	batch := make([]capture.Frame, 256)
	segs := make([]tcpstate.Segment, 0, 4)
	for ctx.Err() == nil {
		n, err := in.Read(batch)
		if err != nil {
			return nil // how it ended was said when it was analysed
		}
		for i := range batch[:n] {
			f := &batch[i]
			if f.Number > frames {
				return nil
			}
			segs = decoder.Decode(f, segs[:0])
			for j := range segs {
				for _, x := range e.streams[streamOf{index, numberer.Number(&segs[j])}] {
					if err := e.take(x, index, f); err != nil {
						return err
					}
				}
			}
		}
	}
	return ctx.Err()
}

// take adds a frame to the capture of a finding.
func (e *Evidence) take(x *exhibit, index int, f *capture.Frame) error {
	k := frameOf{index, f.Number}
	if k == x.last {
		return nil // a second segment in it
	}
	x.last = k
	x.frames++
	if _, is := x.number[k]; is {
		x.number[k] = x.frames
	}
	before := x.buf.Len()
	if err := x.write(f, e); err != nil {
		return err
	}
	if e.held += x.buf.Len() - before; e.held > maxHeld {
		return e.spill()
	}
	return nil
}

// write appends a frame to the buffer.
func (x *exhibit) write(f *capture.Frame, e *Evidence) (err error) {
	if x.w == nil {
		if x.w, err = newFrameWriter(&x.buf, e.about(x), e.o.Snaplen, nil); err != nil {
			return err
		}
	}
	g := *f
	g.Interface, g.Direction = 0, 0 // which only some captures know
	return x.w.write(&g, nil)
}

// about is what the capture says of itself.
func (e *Evidence) about(x *exhibit) []string {
	return append(x.finding.about(), fmt.Sprintf("from %s, whose frame numbers these are: %s", e.source(x.indexOf(x.Capture)), x.DisplayFilter()))
}

// source is how comments call a capture.
func (e *Evidence) source(index int) string {
	if index < 0 || index >= len(e.captures) || e.captures[index].Path == "-" {
		return "standard input"
	}
	return text.Clean(filepath.Base(e.captures[index].Path))
}

// open opens the directory.
func (e *Evidence) open() (err error) {
	if e.dir == nil {
		e.dir, err = outfile.OpenDir(e.o.Dir, e.o.Umask)
	}
	return err
}

// spill moves what is held in memory to disk.
func (e *Evidence) spill() error {
	if err := e.openParts(); err != nil {
		return err
	}
	for _, x := range e.cases {
		if x.buf.Len() == 0 {
			continue
		}
		flag := os.O_APPEND
		if !x.spilt {
			flag = os.O_CREATE | os.O_EXCL
		}
		h, err := e.parts.OpenFile(x.name, os.O_WRONLY|flag, 0o600)
		if err != nil {
			return err
		}
		x.spilt = true
		_, err = x.buf.WriteTo(h)
		if err := errors.Join(err, h.Close()); err != nil {
			return err
		}
		x.buf = bytes.Buffer{}
	}
	e.held = 0
	return nil
}

// openParts makes a directory that nobody else can write to.
func (e *Evidence) openParts() error {
	if e.parts != nil {
		return nil
	}
	if err := e.open(); err != nil {
		return err
	}
	name := fmt.Sprintf(".parts-%08x", rand.Uint32())
	if err := e.dir.Mkdir(name, 0o700); err != nil {
		return err
	}
	e.partsIn = name
	var err error
	e.parts, err = e.dir.OpenRoot(name)
	return err
}

// Finish writes the files, and returns how many.
func (e *Evidence) Finish() (files int, err error) {
	for _, x := range e.cases {
		if x.frames == 0 {
			continue
		}
		if err := e.open(); err != nil {
			return 0, err
		}
		if err := e.finish(x); err != nil {
			return files, err
		}
		files++
	}
	return files, nil
}

// Close removes what Finish did not.
func (e *Evidence) Close() {
	if e.parts != nil {
		e.parts.Close()
	}
	if e.partsIn != "" {
		e.dir.RemoveAll(e.partsIn)
	}
	if e.dir != nil {
		e.dir.Close()
	}
}

// finish writes the file of a finding.
func (e *Evidence) finish(x *exhibit) error {
	var r io.Reader = &x.buf
	if x.spilt {
		h, err := e.parts.Open(x.name)
		if err != nil {
			return err
		}
		defer e.parts.Remove(x.name)
		defer h.Close()
		r = io.MultiReader(h, r)
	}
	in, err := capture.NewFile(x.name, r, capture.ReadOptions{})
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := outfile.New(e.dir, x.name, filepath.Join(e.o.Dir, x.name), e.o.Umask)
	if err != nil {
		return err
	}
	defer out.Discard()
	a, err := Copy(context.Background(), out, in, x.frames, e.comments(x))
	if err == nil {
		err = a.Damage
	}
	x.buf = bytes.Buffer{}
	return err
}

// comments are those of a finding's own capture, where frames have other numbers.
func (e *Evidence) comments(x *exhibit) Comments {
	here := func(p *detect.Evidence) uint64 { return x.number[frameOf{x.capture(p), p.Frame}] }
	c := Comments{}
	for i := range x.Evidence {
		v := &x.Evidence[i]
		if n := here(v); n != 0 {
			c[n] = append(c[n], fmt.Sprintf("%s; frame %d of %s", x.comment(i, here), v.Frame, e.source(x.capture(v))))
		}
	}
	return c
}
