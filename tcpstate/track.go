package tcpstate

import (
	"math"
	"sort"

	"connrace/tcpstate/internal/framing"
)

// Tracker follows every connection of a capture.
type Tracker struct {
	cfg Config
	now int64 // capture time: the newest time seen
	clock

	flows    arena[Flow]
	nflows   int // in use
	v6       v6pairs
	index    index // of flows
	prepared prepared

	retired retired
	exact   []uint32 // of each capture: how many stream numbers are certainly Wireshark's
	Evicted uint64   // flows forgotten for want of room

	previous, next map[uint32]uint32    // from a flow to its old incarnation, and back
	renumbered     map[uint32][4]uint32 // see Tracker.setOdd

	noteArena []*Notes
	noteFree  []uint32
	heads     heads
	carries   framing.Pool
	wheel     wheel
	sweepAt   uint32
	sweepIn   int

	capture      int
	bases        []uint64 // ordinal of the first frame of each capture, less one
	base         uint64   // that of the current one
	lastFrame    uint64   // ordinal
	nextStream   uint32
	newestStream uint32 // of the newest segment
	stats        []StreamStats

	statsBefore int    // figures of the captures before
	statsCut    bool   // there are streams without
	Segments    uint64 // that belong to a stream
	Streams     uint64 // opened by segments
	RSTAfterFIN uint64
	ended       bool
	ev          Event
}

// Config steers a Tracker. The zero value tracks everything within default bounds.
type Config struct {
	// MaxFlows bounds the flows in the table; 0: DefaultMaxFlows.
	MaxFlows int
	// MaxRetired bounds what remains of forgotten flows, for their late segments to be
	// numbered by; the oldest goes first. 0: as many as four times MaxFlows.
	MaxRetired int
	// Streams keeps the figures of every stream, but of no more than MaxStreams of one
	// capture; 0: DefaultMaxStreams.
	Streams    bool
	MaxStreams int
	// Watch reports whether a flow between the two endpoints is analysed; nil: all.
	// The others are numbered and counted only.
	Watch func(a, b Endpoint) bool
	// Role names the LB among two endpoints of a flow without a handshake: 0, 1, or -1
	// when it cannot tell; nil: it never can.
	Role func(a, b Endpoint) (int, Basis)
	// Handlers are called with the events, by kind; nil: nobody listens.
	Handlers [nKinds]Handler
}

// On registers a handler for one kind of event.
func (c *Config) On(k Kind, h Handler) { c.Handlers[k] = h }

// DefaultMaxFlows is the bound of the flow table when none is given.
const DefaultMaxFlows = 1 << 20

// DefaultMaxStreams is the bound of the kept figures of streams when none is given: about
// 1 GB.
const DefaultMaxStreams = 8 << 20

// FlowCost is the memory, in octets, that a flow takes at most while it is being set up
// or closes, with the tombstones that its place is good for and what the garbage
// collector (GOGC=50) leaves lying about. Established flows take a third of it;
// those whose peers fill every list of their Notes on purpose take four times as much.
const FlowCost = 3 << 10

// NewTracker makes a tracker.
func NewTracker(cfg Config) *Tracker {
	if cfg.MaxFlows <= 0 {
		cfg.MaxFlows = DefaultMaxFlows
	}
	if cfg.MaxRetired <= 0 {
		cfg.MaxRetired = 4 * cfg.MaxFlows
	}
	if cfg.MaxStreams <= 0 {
		cfg.MaxStreams = DefaultMaxStreams
	}
	t := &Tracker{cfg: cfg, previous: map[uint32]uint32{}, next: map[uint32]uint32{}, renumbered: map[uint32][4]uint32{}}
	t.index.resize(minIndex)
	t.bases = []uint64{0}
	t.exact = []uint32{math.MaxUint32}
	return t
}

// Track takes the next segment of the capture. The segment's Frame counts in the
// current capture.
func (t *Tracker) Track(s *Segment) {
	var q query
	queryOf(s, &q)
	t.track(s, &q)
}

// TrackAll takes the next segments of the capture; after is called behind each. It
// touches their index slots first, then their flows, a block at a time, so that the
// cache misses overlap instead of following one another.
func (t *Tracker) TrackAll(segs []Segment, after func()) {
	for len(segs) > 0 {
		n := min(len(segs), prepareSize)
		queries := t.prepare(segs[:n])
		for i := range queries {
			t.track(&segs[i], &queries[i])
			after()
		}
		segs = segs[n:]
	}
}

func (t *Tracker) track(s *Segment, q *query) {
	if o := t.base + s.Frame; o > t.lastFrame {
		t.lastFrame = o
	}
	t.tick(s)
	if t.sweepIn--; t.sweepIn < 0 {
		t.sweepIn = sweepPeriod
		t.sweep()
	}

	f, dir := t.lookup(s, q)
	if s.Bogus {
		c := *s
		c.Flags, c.NoLength = 0, true
		s = &c
	}
	t.newestStream = f.stream
	if s.Quoted {
		return
	}
	if t.cfg.Streams {
		t.count(f, dir, s)
	}
	t.Segments++
	if f.flags&flowBegun == 0 {
		t.beginFlow(f, dir, s)
	}
	if s.Time > f.LastTime {
		f.LastTime = s.Time
	}
	const busy = flowWatched | flowEstablished // and not closing
	switch {
	case f.flags&(busy|flowClosing) == busy && s.Flags&(SYN|FIN|RST) == 0 && !s.NoLength:
		t.data(f, dir, s)
	case f.flags&flowWatched != 0 && !s.NoLength:
		t.transition(f, dir, s)
	}
}

// transition takes every segment of a connection that is not simply established.
func (t *Tracker) transition(f *Flow, dir int, s *Segment) {
	if s.Flags&SYN != 0 {
		t.syn(f, dir, s)
		return
	}
	if f.flags&flowEstablished == 0 && t.beforeEstablished(f, dir, s) {
		return
	}
	if s.Flags&RST != 0 {
		t.rst(f, dir, s)
		return
	}
	t.data(f, dir, s)
	if s.Flags&FIN != 0 {
		t.fin(f, dir, s)
	}
	if f.flags&flowClosing != 0 && f.flags&flowSettled == 0 {
		t.arm(f, t.closeDue(f, t.now))
	}
}

// BeginCapture says that the segments that follow belong to another file that
// continues the one before: frame and stream numbers start again, state carries over.
func (t *Tracker) BeginCapture() {
	if t.lastFrame == 0 && t.capture == 0 {
		return
	}
	t.capture++
	t.base = t.lastFrame
	t.bases = append(t.bases, t.base)
	t.statsBefore = len(t.stats)
	t.nextStream = 0
	t.retired = retired{}
	t.Each(func(f *Flow) { f.flags |= flowStale })
	t.exact = append(t.exact, math.MaxUint32)
}

// End says that the capture is over: every flow settles and is gone.
func (t *Tracker) End() {
	t.settleAll()
	t.ended = true
}

func (t *Tracker) fire(k Kind, f *Flow, side int, s *Segment) { t.fireGap(k, f, side, s, -1) }

func (t *Tracker) fireGap(k Kind, f *Flow, side int, s *Segment, gap int64) {
	h := t.cfg.Handlers[k]
	if f.flags&flowWatched == 0 || h == nil {
		return
	}
	e := &t.ev // filled in place: a literal would be made elsewhere and copied
	e.Kind, e.Flow, e.Side, e.Seg, e.Time, e.Ended, e.Gap = k, f, side, s, t.now, t.ended, gap
	h(e)
}

// Kind is what changed.
type Kind uint8

// The kinds of event. Plain data and acknowledgments of a healthy exchange fire none
// but the beginnings of turns.
const (
	// Opened: first segment of a flow.
	Opened Kind = iota
	// RolesChanged: the LB is the other side than was taken for it so far.
	RolesChanged
	// SYNRepeated: a SYN was sent again, at least 150 ms after the copy before.
	SYNRepeated
	// EstablishedNow: the handshake is complete.
	EstablishedNow
	// RequestBegan: the LB's half has a new Turn.
	RequestBegan
	// AnswerBegan: the target sent the first octet that answers the LB's Turn.
	AnswerBegan
	// RequestStalled: the LB's Turn has had no answer for 200 ms.
	RequestStalled
	// CloseBegan: the first FIN of a side, or an RST.
	CloseBegan
	// Settled: what belongs to a handshake or a close has been seen, or the capture
	// has ended. Rules decide now. It may come again when more happens.
	Settled
	// Gone: the flow is about to be forgotten.
	Gone
	nKinds
)

// Event is a change of a flow's facts.
type Event struct {
	Kind Kind
	Flow *Flow
	Side int      // index of the half concerned
	Seg  *Segment // the segment that brought it; nil for Settled, Gone and RequestStalled
	Time int64    // capture time, ns
	// Ended: the capture ended here; what has not happened yet is unknown.
	Ended bool
	// Gap is, with RequestBegan and CloseBegan, the idle time before it: since the last
	// payload octet of the exchange before; -1: there was none.
	Gap int64
	// Head is, with RequestBegan, how many octets of the segment are the head of an HTTP/1
	// request, up to and with its empty line, or up to where the snap length cut it; 0: that
	// is not known.
	Head int
}

// Handler is called with each event of the kind that it is registered for. The event
// and what it points to are valid during the call.
type Handler func(*Event)

// Times of the analysis. They decide when to look, never what is found.
const (
	millisecond = int64(1e6)
	second      = int64(1e9)

	copyApart   = 150 * millisecond // closer copies are duplicates, not repetitions
	stallAfter  = 200 * millisecond
	lingerMin   = 200 * millisecond
	lingerMax   = second
	lastCheck   = 30 * second       // after a close that the other side leaves unanswered
	idleRetire  = 2 * 3600 * second // longer than any pool keeps a connection idle
	sweepPeriod = 256               // segments between two looks at an old flow
)

// Locate tells capture (counted from 0) and frame number of a SegRef's ordinal.
func (t *Tracker) Locate(ordinal uint64) (capture int, frame uint64) {
	i := sort.Search(len(t.bases), func(i int) bool { return t.bases[i] >= ordinal }) - 1
	return i, ordinal - t.bases[i]
}
