package annotate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"sync"

	"connrace/capture"
	"connrace/cmd/connrace/internal/outfile"
	"connrace/cmd/connrace/internal/report"
	"connrace/tcpstate"
)

// maxHeld bounds the bytes that wait in memory to be written: a variable for tests.
var maxHeld = 16 << 20

// Evidence writes for each finding a small capture with all packets of the streams that
// its evidence names, in a second pass over the captures; of joined captures, with what each
// point has of its connection. The packets wait in memory, and on disk when they become many;
// at the end, when it is known which number each gets, they are written with the comments.
type Evidence struct {
	o       EvidenceOptions
	dir     *os.Root // nil: not opened
	report  *report.Report
	cases   []*exhibit
	streams map[streamOf][]*part
	later   map[endsOf][]*part // connections that go on in a capture
	held    int
	parts   *os.Root // a directory in dir; nil: not made
	partsIn string   // its name
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

// endsOf are the ends of a connection in a capture.
type endsOf struct {
	capture int
	a, b    tcpstate.Endpoint
}

// frameOf is a frame of a capture, by its index in the report, as a point has it.
type frameOf struct {
	point   int
	capture int
	frame   uint64
}

// exhibit is the capture of one finding.
type exhibit struct {
	finding
	name   string
	parts  []*part            // one for each point of the path
	number map[frameOf]uint64 // of the frames of evidence in the file; 0: not there
}

// exhibitName is what the files are called.
var exhibitName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^\d{4,}-[a-z-]+-\d+\.pcapng$`) })

// Earlier are the files in a directory that have names such as Evidence gives: an earlier
// run's, most likely.
func Earlier(dir string) (names []string, err error) {
	es, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range es {
		if exhibitName().MatchString(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// NewEvidence prepares the captures of the findings that a report shows.
func NewEvidence(to EvidenceOptions, r *report.Report, o *report.Options) *Evidence {
	e := &Evidence{o: to, report: r, streams: map[streamOf][]*part{}, later: map[endsOf][]*part{}}
	for f := range shown(r, o) {
		x := &exhibit{finding: f, number: map[frameOf]uint64{}}
		for i := range max(len(f.analysis.Points), 1) {
			x.parts = append(x.parts, &part{of: x, point: i})
		}
		stream := f.Stream
		if f.HasStream {
			e.want(streamOf{f.indexOf(f.Capture), f.Stream}, x.parts[f.analysis.PointOf(f.Capture)])
		} else if ss := f.Streams(); len(ss) > 0 {
			stream = ss[0]
		} else {
			continue
		}
		for i := range f.Evidence {
			v := &f.Evidence[i]
			e.want(streamOf{f.capture(v), v.Stream}, x.parts[f.analysis.Own(v)])
			for _, s := range f.sightings(v) {
				if !s.Absent {
					x.number[frameOf{s.Point, s.Capture, s.Frame}] = 0
				}
			}
		}
		e.follow(x)
		x.name = fmt.Sprintf("%04d-%s-%d.pcapng", f.id(), f.Rule.ID, stream)
		e.cases = append(e.cases, x)
	}
	return e
}

// want asks for a stream.
func (e *Evidence) want(k streamOf, p *part) {
	if !slices.Contains(e.streams[k], p) {
		e.streams[k] = append(e.streams[k], p)
	}
}

// follow asks for a finding's connection at all points. Where it goes on in another capture of a
// point its stream has another number, which shows when its ends do.
func (e *Evidence) follow(x *exhibit) {
	for i := range x.Views {
		v := &x.Views[i]
		begins, p := x.indexOf(v.Capture), x.parts[x.analysis.OfView(v)]
		e.want(streamOf{begins, v.Stream}, p)
		for k := range x.number {
			if k.capture != begins && k.point == p.point {
				ends := endsOf{k.capture, v.LB, v.Target}
				if !slices.Contains(e.later[ends], p) {
					e.later[ends] = append(e.later[ends], p)
				}
			}
		}
	}
}

// Captures are the captures that have to be read again, in this order, by their index in
// the report.
func (e *Evidence) Captures() []int {
	in := map[int]bool{}
	for k := range e.streams {
		in[k.capture] = true
	}
	for k := range e.later {
		in[k.capture] = true
	}
	return slices.Sorted(maps.Keys(in))
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
				k := streamOf{index, numberer.Number(&segs[j])}
				e.goesOn(k, &segs[j])
				for _, p := range e.streams[k] {
					if err := e.take(p, index, f); err != nil {
						return err
					}
				}
			}
		}
	}
	return ctx.Err()
}

// goesOn asks for a stream that continues one of another capture: the first of its ends, unless
// it begins here.
func (e *Evidence) goesOn(k streamOf, s *tcpstate.Segment) {
	if len(e.later) == 0 {
		return
	}
	for _, ends := range [...]endsOf{{k.capture, s.Src, s.Dst}, {k.capture, s.Dst, s.Src}} {
		if s.Flags&(tcpstate.SYN|tcpstate.ACK) != tcpstate.SYN {
			for _, p := range e.later[ends] {
				e.want(k, p)
			}
		}
		delete(e.later, ends)
	}
}

// take adds a frame to the capture of a finding.
func (e *Evidence) take(p *part, index int, f *capture.Frame) error {
	k := frameOf{p.point, index, f.Number}
	if k == p.last {
		return nil // a second segment in it
	}
	p.last = k
	p.frames++
	if _, is := p.of.number[k]; is {
		p.of.number[k] = p.frames
	}
	before := p.buf.Len()
	if err := p.write(f, e.o.Snaplen); err != nil {
		return err
	}
	if e.held += p.buf.Len() - before; e.held > maxHeld {
		return e.spill()
	}
	return nil
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
		for i, p := range x.parts {
			if err := p.spill(e.parts, x.partName(i)); err != nil {
				return err
			}
		}
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
		if !slices.ContainsFunc(x.parts, func(p *part) bool { return p.frames > 0 }) {
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
