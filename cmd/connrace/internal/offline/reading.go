package offline

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"

	"connrace/capture"
	"connrace/cmd/connrace/internal/pipeline"
	"connrace/cmd/connrace/internal/text"
)

// reading is one of the files. It is opened, placed and read in its turn or before that, and told of in its turn.
type reading struct {
	index int // among the files
	path  string
	src   *capture.File // nil: not opened
	done  func()
	err   error // why it cannot be opened

	first  int64 // time of its first frame, once it was looked for; 0: it does not tell where it belongs
	looked bool

	session *pipeline.Session // what reads it; nil: not begun
	in      pipeline.Input
	capture int    // its index in report.Captures, as soon as it is told of
	n       int    // frames that were read first
	point   *point // where it belongs; nil: that is not known yet
	overlap bool   // it begins before the end of the file before it, by how much is known in its turn
	apart   string // why it was not taken for a continuation
	ended   chan struct{}
	busy    bool  // it is being read
	readErr error // what ended that
	stopped bool  // there was no use in going on
	last    int64 // time at which its point ended when it had been read
}

// begin reads the first frames.
func (s *session) begin(r *reading) {
	if s.Connections {
		r.src.Note(s.room)
		r.in.Contents = capture.NewContents(s.room)
	}
	r.in.Decoder = capture.NewDecoder()
	batch := r.session.Batch
	if r.n, r.readErr = r.src.Read(batch); !s.Connections {
		return
	}
	// Where it belongs does not depend on how many come at once. A pipe's may be all for long.
	if _, size := r.src.Progress(); size >= 0 {
		r.src.Keep(len(batch))
		for n := r.n; n > 0 && r.n < len(batch); r.n += n {
			n, r.readErr = r.src.Read(batch[r.n:])
		}
		r.src.Keep(0)
	}
}

// frames are those that were read first.
func (r *reading) frames() []capture.Frame { return r.session.Batch[:r.n] }

// read reads the file to its end.
func (r *reading) read() {
	r.session.Cur = r.point.Analysis
	r.session.Newest.Forget()
	if r.n > 0 {
		r.readErr = r.session.ReadLoop(r.src, &r.in, r.n)
	}
	r.stopped = r.session.Stopped()
}

// noteEnd notes how reading a file ended at the point where it belongs.
func (s *session) noteEnd(r *reading) {
	r.busy = false
	if !r.stopped && r.readErr != nil && !errors.Is(r.readErr, io.EOF) {
		r.point.Broken = true
	}
	r.point.ended(r.src.Info().Last, r.session.Newest.All())
	r.last = r.point.Last
}

// soFar says what has been found in a file so far.
func (r *reading) soFar(s *session) func() string {
	if r.session != nil {
		return r.session.SoFar
	}
	return s.SoFar
}

// Files are read before their turn, beside the one whose turn it is, where it is certain to which point they belong: nothing
// that has not been read yet could change that. The rest of what a file is judged by is its point's own, so that the
// report is the same, byte for byte, as if all of them had been read one after the other.

// mostLooked is of how many files behind the present one it is found out when they begin.
const mostLooked = 64

// movedEvery is after how many batches of frames who reads a file aside says that it has got on.
const movedEvery = 64

// readOthers begins to read files before their turn, so many that the processors are busy.
func (s *session) readOthers() {
	if s.Workers < 2 || !s.Connections || s.Listeners != nil || s.Stopped() {
		return
	}
	now, busy := len(s.files)-1-s.left, 0
	for _, r := range s.files[now:] {
		if r.busy && r.ended != nil {
			select {
			case <-r.ended:
				s.noteEnd(r)
			default:
			}
		}
		if r.busy {
			busy++
		}
	}
	earliest, unplaced := int64(math.MaxInt64), -1 // of the files before that have no place yet: when the first begins, and which comes last
	for i := now + 1; i < len(s.files) && i <= now+mostLooked && busy < s.Workers; i++ {
		r := s.files[i]
		if r.point != nil {
			continue
		}
		if s.look(r); r.first == 0 {
			return
		}
		if r.first < earliest && s.certain(r.first, unplaced) && s.readAside(r, s.Workers-busy) {
			busy++
			continue
		}
		if earliest, unplaced = min(earliest, r.first), i; r.first == 0 {
			return
		}
	}
}

// look finds out when a file begins.
func (s *session) look(r *reading) {
	if r.looked {
		return
	}
	r.looked = true
	if st, err := os.Stat(r.path); r.path == "-" || err != nil || !st.Mode().IsRegular() {
		return
	}
	h, err := s.openFile(r.path)
	if err != nil {
		return
	}
	defer h.Close()
	f, err := capture.NewFile(r.path, h, capture.ReadOptions{Resync: s.flags.resync})
	if err != nil {
		return
	}
	defer f.Close()
	var batch [1]capture.Frame
	if n, _ := f.Read(batch[:]); n > 0 {
		r.first = max(batch[0].Time, 0)
	}
}

// certain reports whether it is certain where a file belongs that begins at a time: neither a point whose file is still being read nor
// one that a file before it may yet continue is a place for it. All those, of which the given one is the last, begin later: it
// cannot continue what they belong to.
func (s *session) certain(first int64, unplaced int) bool {
	for _, p := range s.points {
		ends := p.Last
		if s.reading(p) {
			ends = p.Reached()
		} else if unplaced < p.created {
			continue
		}
		if !p.over(first, ends) {
			return false
		}
	}
	return true
}

// over reports whether a point that comes to such a time at least goes on behind the one at which a file begins.
func (p *point) over(first, ends int64) bool {
	return ends > 0 && first < max(ends-int64(overlap), p.First)
}

// reading reports whether a file of a point is being read.
func (s *session) reading(p *point) bool {
	for _, r := range s.files {
		if r.busy && r.point == p {
			return true
		}
	}
	return false
}

// readAside begins to read a file in a goroutine of its own, with so many processors, and reports whether it did.
func (s *session) readAside(r *reading, workers int) bool {
	if s.open(r); r.err != nil {
		r.first = 0 // it is told in its turn
		return false
	}
	r.session = s.Aside()
	r.session.Workers = workers
	s.begin(r)
	if r.n == 0 || r.frames()[0].Time != r.first {
		r.first = 0 // another file by now
		return false
	}
	s.place(r)
	r.in.Index = -1 - r.index
	n := 0
	r.session.Meanwhile = func() {
		if n++; n%movedEvery == 0 {
			s.hasMoved()
		}
	}
	r.busy, r.ended = true, make(chan struct{})
	go func() {
		r.read()
		close(r.ended)
		s.hasMoved()
	}()
	return true
}

// hasMoved says that reading a file aside has got on.
func (s *session) hasMoved() {
	select {
	case s.moved <- struct{}{}:
	default:
	}
}

// await waits until a file has been read aside.
func (s *session) await(r *reading) {
	for r.busy {
		if s.readOthers(); !r.busy {
			return
		}
		select {
		case <-r.ended:
			s.noteEnd(r)
		case <-s.moved:
		}
	}
}

// number gives the files of a point that were read before their turn their numbers among the captures.
func (s *session) number(p *point) {
	for i, c := range p.Captures {
		if c < 0 {
			p.Captures[i] = s.files[-1-c].capture
		}
	}
}

// processorsOf says how a file was read by several processors, or why not.
func (s *session) processorsOf(r *reading) string {
	if s.Workers < 2 {
		return "read by one processor: more are not to be used, or not there (--workers)"
	}
	var how []string
	if r.ended != nil {
		how = append(how, "beside the files before it")
	}
	switch n := r.src.Inflaters(); {
	case n > 1:
		how = append(how, fmt.Sprintf("its members inflated by %d processors", n))
	case n == 1:
		how = append(how, "inflated ahead")
	}
	if r.in.Ahead {
		how = append(how, "decoded ahead")
	}
	if how == nil {
		return "read by one processor: a second one would save nothing with small or few packets"
	}
	return "read " + strings.Join(how, ", ")
}

// begunBefore says that a file begins before what came before it ended.
func begunBefore(first, last int64) string {
	return "begins " + text.Length(last-first) + " before the end of what came before it: analysed by itself, not as its continuation"
}
