package join

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"sync/atomic"

	"connrace/capture"
	"connrace/tcpstate"
)

// Look reads the captures of cases once more: of the connections that findings are about the
// segments around that time.
type Look struct {
	captures map[int]*watch // by index in the report
	room     int            // segments that may yet be kept
	stopped  atomic.Bool    // see Stop
}

// watch is what is looked for in one capture.
type watch struct {
	windows []window // in order, apart from each other
	asked   map[ends]*asked
	wanted  []wanted     // in order
	keys    capture.Keys // of those: most segments are of other connections
}

// wanted are the segments of a connection from one time to another.
type wanted struct {
	window
	latest int64 // of those up to it, the last time
	key    capture.Key
}

// keysOf sets keys to those of the connections that are looked for in a stretch.
func (w *watch) keysOf(s *capture.Stretch, keys *capture.Keys) {
	*keys = capture.Keys{}
	keys.Add(capture.AnyKey)
	i, _ := slices.BinarySearchFunc(w.wanted, s.First, func(x wanted, t int64) int { return cmp.Compare(x.latest, t) })
	for ; i < len(w.wanted) && w.wanted[i].from <= s.Last; i++ {
		if w.wanted[i].to >= s.First {
			keys.Add(w.wanted[i].key)
		}
	}
}

// asked is what is looked for between two ends: of each of their connections that findings are
// about a few windows, all in order, those of one connection apart from each other.
type asked struct {
	asks []ask
	at   int // those before it have passed
}

type ask struct {
	window
	*trail
}

// ends are those of a connection, the lower one first.
type ends [2]tcpstate.Endpoint

func endsOf(a, b tcpstate.Endpoint) ends {
	if cmp.Or(cmp.Compare(a.Addr.Hi, b.Addr.Hi), cmp.Compare(a.Addr.Lo, b.Addr.Lo), cmp.Compare(a.Port, b.Port)) > 0 {
		a, b = b, a
	}
	return ends{a, b}
}

// window is a stretch of time, ns.
type window struct{ from, to int64 }

// trail is what one point saw of a connection, while it was looked at.
type trail struct {
	lb      tcpstate.Endpoint
	windows []window // in which it is looked at
	segs    []seg
	full    bool // there were more than are kept, or than could be read again
}

// seg is a segment that a point saw.
type seg struct {
	capture  int // index in the report
	frame    uint64
	time     int64
	seq, ack tcpstate.Seq
	len      uint32
	stamp    uint32 // TSval; 0: none
	flags    tcpstate.Flags
	ttl      uint8
	fromLB   bool
}

const (
	maxTrail = 2048    // segments of a connection at a point
	maxSegs  = 1 << 19 // of all: 36 MB
)

// around is how much longer than its evidence lasts a finding's connection is looked at.
const around = int64(1e9)

func newLook() *Look { return &Look{captures: map[int]*watch{}, room: maxSegs} }

// follow asks for a connection in the captures of a point, at a time of its clock.
func (l *Look) follow(t *trail, p *Point, a, b tcpstate.Endpoint, w window) {
	w.from, w.to = w.from-around, w.to+around
	if n := len(t.windows); n > 0 && t.windows[n-1].from <= w.from && w.from <= t.windows[n-1].to {
		t.windows[n-1].to = max(t.windows[n-1].to, w.to)
	} else {
		t.windows = append(t.windows, w)
	}
	for _, s := range p.Spans {
		if s.First == 0 || s.First > w.to || s.Last < w.from {
			continue
		}
		x := l.captures[s.Capture]
		if x == nil {
			x = &watch{asked: map[ends]*asked{}}
			x.keys.Add(capture.AnyKey)
			l.captures[s.Capture] = x
		}
		key := capture.KeyOf((&tcpstate.Segment{Src: a, Dst: b}).Hash())
		x.windows = append(x.windows, w)
		x.wanted = append(x.wanted, wanted{window: w, key: key})
		x.keys.Add(key)
		k := endsOf(a, b)
		if x.asked[k] == nil {
			x.asked[k] = &asked{}
		}
		x.asked[k].asks = append(x.asked[k].asks, ask{w, t})
	}
}

// Captures are those to be read, by their index in the report, in order.
func (l *Look) Captures() []int {
	var is []int
	for i, w := range l.captures {
		is = append(is, i)
		w.windows = merge(w.windows, func(w *window) (*window, *trail) { return w, nil })
		for _, q := range w.asked {
			q.asks = merge(q.asks, func(a *ask) (*window, *trail) { return &a.window, a.trail })
		}
		slices.SortFunc(w.wanted, func(a, b wanted) int { return cmp.Compare(a.from, b.from) })
		latest := int64(math.MinInt64)
		for i := range w.wanted {
			latest = max(latest, w.wanted[i].to)
			w.wanted[i].latest = latest
		}
	}
	slices.Sort(is)
	return is
}

// merge puts windows in order, and makes one of those of a trail that overlap.
func merge[T any](all []T, of func(*T) (*window, *trail)) []T {
	slices.SortStableFunc(all, func(a, b T) int {
		x, _ := of(&a)
		y, _ := of(&b)
		return cmp.Compare(x.from, y.from)
	})
	out, last := all[:0], map[*trail]int{}
	for i := range all {
		x, t := of(&all[i])
		if k, has := last[t]; has {
			if y, _ := of(&out[k]); x.from <= y.to {
				y.to = max(y.to, x.to)
				continue
			}
		}
		last[t] = len(out)
		out = append(out, all[i])
	}
	return out
}

// late is how much earlier than frames before it a frame of a capture may be.
const late = int64(1e9)

// Stop says that there is no time to compare what was read: findings are still told once, and
// nothing more is proved of them. Any goroutine may say so.
func (l *Look) Stop() { l.stopped.Store(true) }

// Missed says that a capture cannot be read again to where it was read before: what does not show
// there may have been there.
func (l *Look) Missed(index int) {
	for _, q := range l.captures[index].asked {
		for _, a := range q.asks {
			a.full = true
		}
	}
}

// Again is a capture that is read once more.
type Again struct {
	File   *capture.File
	Frames uint64 // that were read before
	// Places and Contents are where its frames are, and what is in them; nil: it is read from its
	// beginning, and all of it decoded.
	Places   *capture.Places
	Contents *capture.Contents
}

// What was noted of a frame is not so, or frames are gone.
var (
	errChanged = errors.New("it has changed since it was read")
	errShorter = errors.New("it is shorter than when it was read")
)

// Read looks through a capture that was opened again.
func (l *Look) Read(ctx context.Context, index int, in *Again) error {
	w := l.captures[index]
	r := reader{Look: l, watch: w, index: index, in: in, now: w.keys, decoder: capture.NewDecoder(), batch: make([]capture.Frame, 256)}
	err := r.all(ctx)
	if err != nil {
		l.Missed(index)
	}
	return err
}

// during reports whether frames of a stretch are looked for.
func (w *watch) during(s *capture.Stretch) bool {
	i, _ := slices.BinarySearchFunc(w.windows, s.First, func(w window, t int64) int { return cmp.Compare(w.to, t) })
	return s.First <= s.Last && i < len(w.windows) && w.windows[i].from <= s.Last
}

// reader reads a capture again.
type reader struct {
	*Look
	*watch
	index   int
	in      *Again
	decoder *capture.Decoder
	batch   []capture.Frame
	segs    []tcpstate.Segment
	part    *capture.Stretch // that is read: its frames have its times; nil: it is not read by stretches
	now     capture.Keys     // that are looked for in the stretch, or in all
	frames  []uint64         // of a stretch, that hold what is looked for
	at      int              // windows before it have passed
	ended   bool             // nothing more is to be seen
}

// all reads whatever holds what is looked for.
func (r *reader) all(ctx context.Context) error {
	if r.in.Places == nil {
		return r.read(ctx, 0, r.in.Frames)
	}
	for i := range r.in.Places.Stretches {
		if !r.during(&r.in.Places.Stretches[i]) {
			continue
		}
		if err := r.stretch(ctx, i); err != nil || r.ended {
			return err
		}
	}
	return nil
}

// stretch reads those frames of a stretch that hold what is looked for.
func (r *reader) stretch(ctx context.Context, i int) error {
	s := &r.in.Places.Stretches[i]
	first, last := r.in.Places.Frames(i, r.in.Frames)
	if r.in.Contents == nil {
		return r.piece(ctx, i, first, last)
	}
	r.keysOf(s, &r.now)
	r.frames = r.in.Contents.Among(&r.now, first, last, r.frames[:0])
	if len(r.frames) == 0 {
		return nil
	}
	if s.Whole {
		return r.piece(ctx, i, first, last)
	}
	for len(r.frames) > 0 && !r.ended {
		n := 1
		for n < len(r.frames) && r.in.Places.Together(r.frames[n-1], r.frames[n]) {
			n++
		}
		if err := r.piece(ctx, i, r.frames[0], r.frames[n-1]); err != nil {
			return err
		}
		r.frames = r.frames[n:]
	}
	return nil
}

// piece reads frames of a stretch that follow each other.
func (r *reader) piece(ctx context.Context, i int, first, last uint64) error {
	first, err := r.in.File.Visit(r.in.Places, i, first, last)
	if err != nil {
		return err
	}
	r.part = &r.in.Places.Stretches[i]
	return r.read(ctx, first-1, last)
}

// read reads on, from behind one frame up to another.
func (r *reader) read(ctx context.Context, from, to uint64) error {
	for from < to {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		n, _ := r.in.File.Read(r.batch[:min(uint64(len(r.batch)), to-from)])
		if n == 0 { // it had so many frames
			return errShorter
		}
		from += uint64(n)
		for i := range r.batch[:n] {
			f := &r.batch[i]
			if f.Time != 0 && r.part != nil && (f.Time < r.part.First || f.Time > r.part.Last) {
				return errChanged
			}
			for r.at < len(r.windows) && r.windows[r.at].to < f.Time-late {
				r.at++
			}
			if r.ended = r.at == len(r.windows); r.ended {
				return nil
			}
			// One without a time that holds what is looked for shows that the file has changed.
			if f.Time != 0 && f.Time < r.windows[r.at].from || !r.now.Has(r.in.Contents.Of(f.Number)) {
				continue
			}
			r.segs = r.decoder.Decode(f, r.segs[:0])
			if !r.in.Contents.Holds(f.Number, r.segs) {
				return errChanged
			}
			for j := range r.segs {
				r.take(r.watch, r.index, &r.segs[j])
			}
		}
	}
	return nil
}

// take keeps a segment of a connection that is looked at.
func (l *Look) take(w *watch, index int, s *tcpstate.Segment) {
	if !w.keys.Has(capture.KeyOf(s.Hash())) || s.Quoted || s.Bogus || s.NoLength {
		return
	}
	q := w.asked[endsOf(s.Src, s.Dst)]
	if q == nil {
		return
	}
	for q.at < len(q.asks) && q.asks[q.at].to < s.Time-late {
		q.at++
	}
	for _, a := range q.asks[q.at:] {
		if a.from > s.Time {
			break
		}
		t := a.trail
		if s.Time > a.to {
			continue
		}
		if l.room == 0 || len(t.segs) == maxTrail {
			t.full = true
			continue
		}
		x := seg{
			capture: index, frame: s.Frame, time: s.Time, seq: s.Seq, ack: s.Ack, len: s.Len,
			flags: s.Flags, ttl: s.TTL, fromLB: s.Src == t.lb,
		}
		if s.HasTS {
			x.stamp = s.TSVal
		}
		if t.twice(&x) {
			continue
		}
		l.room--
		t.segs = append(t.segs, x)
	}
}

// atOnce is within what time a capture shows a frame a second time (tcpdump -i any).
const atOnce = int64(10e6)

// twice reports whether a segment was captured a moment ago.
func (t *trail) twice(x *seg) bool {
	for i := len(t.segs) - 1; i >= 0 && x.time-t.segs[i].time < atOnce; i-- {
		o := t.segs[i]
		o.capture, o.frame, o.time, o.ttl = x.capture, x.frame, x.time, x.ttl
		if o == *x {
			return true
		}
	}
	return false
}
