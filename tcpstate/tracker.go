package tcpstate

import (
	"math"
	"slices"
	"sort"

	"connrace/tcpstate/internal/framing"
)

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

// On registers a handler for one kind of event.
func (c *Config) On(k Kind, h Handler) { c.Handlers[k] = h }

// Times of the analysis. They decide when to look, never what is found.
const (
	millisecond = int64(1e6)
	second      = int64(1e9)

	copyApart   = 150 * millisecond // closer copies are duplicates, not repetitions
	stallAfter  = 200 * millisecond
	lingerMin   = 200 * millisecond
	lingerMax   = second
	lastLook    = 30 * second       // after a close that the other side leaves unanswered
	idleRetire  = 2 * 3600 * second // longer than any pool keeps a connection idle
	sweepPeriod = 256               // segments between two looks at an old flow
)

// Tracker follows every connection of a capture.
type Tracker struct {
	cfg Config
	now int64 // capture time: the newest time seen
	clock

	flows    arena[Flow]
	nflows   int // in use
	wides    wides
	index    index // of flows
	prepared prepared

	graves  graves
	exact   []uint32 // of each capture: how many stream numbers are certainly Wireshark's
	Evicted uint64   // flows forgotten for want of room

	elder, heirs map[uint32]uint32    // from a flow to its old incarnation, and back
	odd          map[uint32][4]uint32 // see Tracker.setOdd

	noteArena []*Notes
	noteFree  []uint32
	heads     heads
	carries   framing.Pool
	timers    timers
	sweepAt   uint32
	sweepIn   int

	capture    int
	bases      []uint64 // ordinal of the first frame of each capture, less one
	base       uint64   // that of the current one
	lastFrame  uint64   // ordinal
	nextStream uint32
	stream     uint32 // of the newest segment
	stats      []StreamStats

	statsBefore int    // figures of the captures before
	statsCut    bool   // there are streams without
	Segments    uint64 // that belong to a stream
	Streams     uint64 // opened by segments
	RSTAfterFIN uint64
	ended       bool
	ev          Event
}

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
	t := &Tracker{cfg: cfg, elder: map[uint32]uint32{}, heirs: map[uint32]uint32{}, odd: map[uint32][4]uint32{}}
	t.index.resize(minIndex)
	t.bases = []uint64{0}
	t.exact = []uint32{math.MaxUint32}
	return t
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
	t.graves = graves{}
	t.Each(func(f *Flow) { f.flags |= flowStale })
	t.exact = append(t.exact, math.MaxUint32)
}

// Locate tells capture (counted from 0) and frame number of a SegRef's ordinal.
func (t *Tracker) Locate(ordinal uint64) (capture int, frame uint64) {
	i := sort.Search(len(t.bases), func(i int) bool { return t.bases[i] >= ordinal }) - 1
	return i, ordinal - t.bases[i]
}

// Now is the capture time, ns.
func (t *Tracker) Now() int64 { return t.now }

// Live is the number of flows in the table.
func (t *Tracker) Live() int { return t.nflows }

// Flow returns the flow at an index, nil if there is none now.
func (t *Tracker) Flow(i uint32) *Flow {
	if i >= t.flows.made {
		return nil
	}
	f := t.flows.at(i)
	if f.flags&flowLive == 0 {
		return nil
	}
	return f
}

// Each calls fn with every flow in the table.
func (t *Tracker) Each(fn func(*Flow)) {
	for i := range t.flows.made {
		if f := t.flows.at(i); f.flags&flowLive != 0 {
			fn(f)
		}
	}
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

// Track takes the next segment of the capture. The segment's Frame counts in the
// current capture.
func (t *Tracker) Track(s *Segment) {
	var q query
	queryOf(s, &q)
	t.track(s, &q)
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
	t.stream = f.stream
	if s.Quoted {
		return
	}
	if t.cfg.Streams {
		t.count(f, dir, s)
	}
	t.Segments++
	if f.flags&flowBegun == 0 {
		t.begin(f, dir, s)
	}
	if s.Time > f.LastTime {
		f.LastTime = s.Time
	}
	const busy = flowWatched | flowEstablished // and not closing
	switch {
	case f.flags&(busy|flowClosing) == busy && s.Flags&(SYN|FIN|RST) == 0 && !s.NoLength:
		t.data(f, dir, s)
	case f.flags&flowWatched != 0 && !s.NoLength:
		t.control(f, dir, s)
	}
}

// End says that the capture is over: every flow settles and is gone.
func (t *Tracker) End() {
	t.settleAll()
	t.ended = true
}

// settleAll settles every flow as it is when the capture ends, and says that it is gone.
func (t *Tracker) settleAll() (all []uint64) {
	t.ended = true
	defer func() { t.ended = false }()
	all = t.byAge()
	for _, x := range all {
		if f := t.flows.at(uint32(x)); f.flags&flowWatched != 0 {
			t.settle(f)
		}
	}
	for _, x := range all {
		f := t.flows.at(uint32(x))
		t.fire(Gone, f, 0, nil)
		t.finishStats(f)
	}
	return all
}

// byAge are the places of all flows, the oldest first, below their stream numbers. Sorting
// does not touch the flows, which are far apart in memory.
func (t *Tracker) byAge() []uint64 {
	all := make([]uint64, 0, t.nflows)
	t.Each(func(f *Flow) { all = append(all, uint64(f.stream)<<32|uint64(f.index)) })
	slices.Sort(all)
	return all
}

// data takes a segment of an established connection that neither opens nor closes it.
func (t *Tracker) data(f *Flow, dir int, s *Segment) {
	h, _ := f.halves(dir)
	if s.Len > 0 {
		t.octets(f, dir, s, s.Seq)
	} else if h.flags&flagCaptured == 0 {
		h.Nxt = s.Seq
		h.flags |= flagCaptured
	}
	if s.Flags&ACK != 0 && (s.Ack.After(h.Ack) || h.flags&flagAck == 0) {
		t.acknowledge(f, dir, s)
	}
}

// acknowledge takes a new highest acknowledgment.
func (t *Tracker) acknowledge(f *Flow, dir int, s *Segment) {
	h, p := f.halves(dir)
	h.Ack = s.Ack
	h.flags |= flagAck
	if p.flags&flagCaptured == 0 {
		p.Nxt = s.Ack
		p.flags |= flagCaptured
	}
	if f.flags&flowNoted != 0 && p.HasTurn() && s.Ack.After(f.sent[1-dir].turn.Seq) {
		if m := &t.noteArena[f.notes].Half[1-dir]; m.NCopies > 0 && !m.TurnAcked.Set() {
			m.TurnAcked = t.ref(s, f.stream, s.Seq)
		}
	}
}

// ref refers to a segment; seq is its first octet that matters.
func (t *Tracker) ref(s *Segment, stream uint32, seq Seq) SegRef {
	return SegRef{
		Time: s.Time, frame: t.frameOf(s),
		place: place{seq, s.Ack}, extent: extent{s.lenFrom(seq), stream},
	}
}

// frameOf is a segment's SegRef.frame.
func (t *Tracker) frameOf(s *Segment) uint64 { return (t.base+s.Frame)<<8 | uint64(s.Flags) }

// lenFrom is how many payload octets there are from seq on.
func (s *Segment) lenFrom(seq Seq) uint32 { return uint32(s.Seq.Add(s.Len).Sub(seq)) }

// Ref refers to a segment of the flow, for readers of events.
func (t *Tracker) Ref(f *Flow, s *Segment) SegRef { return t.ref(s, f.stream, s.Seq) }
