package tcpstate

import (
	"math"

	"connrace/tcpstate/internal/framing"
)

// Tracker follows every connection of a capture.
type Tracker struct {
	cfg   Config
	now   int64 // capture time: the newest time seen, ns
	clock       // what is known of the clock besides
	ended bool  // the capture ends: said with each event
	ev    Event // the event being fired

	// The flow table.
	flows    arena[Flow]
	nflows   int // in use
	v6       v6pairs
	index    index // of flows
	prepared prepared
	hashes   []uint32 // see Hashes
	sweepAt  uint32   // place of the arena that sweep has come to
	sweepIn  int      // segments until it goes on
	Evicted  uint64   // flows forgotten for want of room

	// What flows hold that few of them need, by Flow.index or a place that the flow keeps.
	noteArena      []*Notes
	noteFree       []uint32
	heads          heads
	carries        framing.Pool
	wheel          wheel
	waiting        sequencer
	previous, next map[uint32]uint32    // from a flow to its old incarnation, and back
	renumbered     map[uint32][4]uint32 // see markRenumbered

	http2 map[uint32]*HTTP2 // by Flow.index
	// UnfollowedStreams are those of HTTP/2 that were not followed, for want of room.
	UnfollowedStreams uint64

	numbering
	copies  copies
	retired retired
	stats   streamStats

	Segments    uint64 // that belong to a stream
	Streams     uint64 // opened by segments
	RSTAfterFIN uint64
	RSTs        uint64 // of them BareRSTs, without an ACK
	BareRSTs    uint64
}

// Config steers a Tracker. The zero value tracks everything within default bounds.
type Config struct {
	// MaxFlows bounds the flows in the table, and what the streams of HTTP/2 take beside them;
	// 0: DefaultMaxFlows.
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
	// Hashes keeps those of the segments that were tracked: see Tracker.Hashes.
	Hashes bool
	// Copy is called with each segment of a flow that is another one, which the capture shows once more
	// with other addresses, and with the number of its stream. Such flows are numbered and counted only;
	// nil: they are analysed as any other.
	Copy func(s *Segment, stream uint32)
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
// or closes, with the retired flows that its place is good for and what the garbage
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
	t := &Tracker{cfg: cfg, http2: map[uint32]*HTTP2{}, previous: map[uint32]uint32{}, next: map[uint32]uint32{}, renumbered: map[uint32][4]uint32{}}
	t.carries.HTTP2Room = http2Room(cfg.MaxFlows)
	t.index.resize(minIndex)
	t.numbering = newNumbering()
	t.waiting.due = math.MaxInt64
	return t
}

// Track accounts for one segment, the next of the capture; its Frame counts in the current
// capture. In this order:
//
//  1. The clock advances to the segment's time. Flows that are due by then settle: events may
//     fire for any other flow before this one is even looked up (clock.go, wheel.go).
//  2. Now and then flows that have been idle for hours are forgotten (table.go).
//  3. The segment's flow is found or made and gets its stream number. A new flow may drive
//     out an old one, which settles first (table.go, retired.go).
//  4. The segment is counted (streams.go).
//  5. A segment that came behind others which were not captured yet waits for them, within
//     bounds; it may let others go on that wait for it (sequencer.go).
//  6. The first segment of a flow decides who is the LB (handshake.go).
//  7. What the segment says is applied to the flow, in the order of what happened.
func (t *Tracker) Track(s *Segment) {
	var q query
	queryOf(s, &q)
	t.track(s, &q)
}

// TrackAll tracks segments that follow one another; after is called behind each with which
// the capture time has come to *due, or is beyond it. It touches their index slots first, then
// their flows, a block at a time, so that the cache misses overlap instead of following one
// another.
func (t *Tracker) TrackAll(segs []Segment, due *int64, after func()) {
	t.hashes = t.hashes[:0]
	for len(segs) > 0 {
		n := min(len(segs), prepareSize)
		queries := t.prepare(segs[:n])
		if t.cfg.Hashes {
			t.hashes = append(t.hashes, t.prepared.hashes[:n]...)
		}
		for i := range queries {
			t.track(&segs[i], &queries[i])
			if t.now >= *due {
				after()
			}
		}
		segs = segs[n:]
	}
}

// Hashes are those of the segments that the last call of TrackAll was given, with Config.Hashes: to look for
// them costs what Hash does.
func (t *Tracker) Hashes() []uint32 { return t.hashes }

// track is Track for a segment whose endpoints are hashed. The numbers are its steps.
func (t *Tracker) track(s *Segment, q *query) {
	t.lastFrame = max(t.lastFrame, t.base+s.Frame)
	t.tick(s) // 1

	if t.sweepIn--; t.sweepIn < 0 { // 2
		t.sweepIn = sweepPeriod
		t.sweep()
	}

	if s.Quoted {
		t.quoted(s, q)
		return
	}
	f, dir := q.flow, int(q.dir) // 3
	if !f.isKnown(q, s) {
		f, dir = t.lookup(s, q)
	}
	t.newestStream = f.stream
	if s.Bogus {
		c := *s
		c.Flags, c.NoLength = 0, true
		s = &c
	}

	t.Segments++ // 4
	if t.cfg.Streams {
		t.count(f, s)
	}

	h, p := f.halves(dir)
	if h.flags&flagArrived == 0 {
		h.flags |= flagArrived
		if t.cfg.Copy != nil && t.watches(f) && t.copies.isCopy(s) && p.flags&flagArrived == 0 {
			f.flags |= flowCopy
		}
	}
	const usual, unusual = flowWatched | flowEstablished, flowClosing | flowWaiting
	if f.flags&(usual|unusual) == usual && s.Flags&(SYN|FIN|RST) == 0 && !s.NoLength &&
		s.Seq.AtOrBefore(h.Nxt) && s.Ack.AtOrBefore(p.Nxt) && (s.Len > 0 || s.Ack != h.Ack) {
		f.LastTime = max(f.LastTime, s.Time)
		t.data(f, dir, s) // 7
		return
	}
	if f.flags&flowCopy != 0 {
		t.beginFlow(f, dir, s)
		f.LastTime = max(f.LastTime, s.Time)
		t.cfg.Copy(s, f.stream)
		return
	}
	if s.Flags&RST != 0 {
		if t.RSTs++; s.Flags&ACK == 0 {
			t.BareRSTs++
		}
	}
	if s.NoLength || f.flags&(flowBegun|flowWatched) == flowBegun {
		t.beginFlow(f, dir, s) // 6
	} else {
		t.sequence(f, dir, s) // 5
	}
	f.LastTime = max(f.LastTime, s.Time)
}

// accept accounts for the next segment of a flow in the order of what happened.
func (t *Tracker) accept(f *Flow, dir int, s *Segment) {
	t.beginFlow(f, dir, s) // 6
	if f.flags&flowWatched != 0 {
		t.apply(f, dir, s) // 7
	}
}

// apply applies what a segment says to its flow. Nearly all are data or acknowledgments of
// a connection that neither begins nor ends.
func (t *Tracker) apply(f *Flow, dir int, s *Segment) {
	if f.flags&(flowEstablished|flowClosing) == flowEstablished && s.Flags&(SYN|FIN|RST) == 0 {
		t.data(f, dir, s)
		return
	}
	switch {
	case s.Flags&SYN != 0:
		t.syn(f, dir, s)
		return
	case f.flags&flowEstablished == 0 && t.beforeEstablished(f, dir, s):
		return
	case s.Flags&RST != 0:
		t.rst(f, dir, s)
		return
	}
	t.data(f, dir, s)
	if s.Flags&FIN != 0 {
		t.fin(f, dir, s)
	}
	t.delaySettling(f)
}

// End says that the capture is over: every flow settles and is gone.
func (t *Tracker) End() {
	t.settleAll()
	t.ended = true
}

// fire calls the handler of an event, for flows that are watched.
func (t *Tracker) fire(k Kind, f *Flow, side int, s *Segment) { t.fireGap(k, f, side, s, -1) }

// fireGap is fire for the events that have a Gap.
func (t *Tracker) fireGap(k Kind, f *Flow, side int, s *Segment, gap int64) {
	h := t.cfg.Handlers[k]
	if f.flags&flowWatched == 0 || h == nil {
		return
	}
	e := &t.ev // filled in place: a literal would be made elsewhere and copied
	e.Kind, e.Flow, e.Side, e.Seg, e.Time, e.Ended, e.Gap = k, f, side, s, t.now, t.ended, gap
	h(e)
}

// Times that decide when to look, and what is a copy and what a repetition; the order of segments is
// never decided by them. ns.
const (
	millisecond = int64(1e6)
	second      = int64(1e9)

	// copyApart is less than the least retransmission timeout of Linux, 200 ms (TCP_RTO_MIN):
	// copies that are closer to each other were duplicated on the way, or captured twice.
	copyApart = 150 * millisecond
	// stallAfter is TCP_RTO_MIN: behind it a request that did not arrive is sent again.
	stallAfter = 200 * millisecond
	// lingerMin and lingerMax bound how long the segments of a close take to come: TCP_RTO_MIN
	// and the initial retransmission timeout (RFC 6298 §2.1).
	lingerMin = 200 * millisecond
	lingerMax = second
	// lingerSYN is longer than the pause before the third copy of a SYN (RFC 6298 §5.5).
	lingerSYN = 5 * second
	// lastCheck is when a close that the other side leaves unanswered is judged again. It is
	// chosen freely: nothing in TCP bounds how long a side may stay half closed.
	lastCheck = 30 * second
	// handshakeMax is longer than Linux repeats a SYN-ACK: five times, until 63 s after the
	// first (tcp_synack_retries).
	handshakeMax = 64 * second
	// idleRetire is Linux's tcp_keepalive_time, longer than any pool keeps a connection idle.
	idleRetire = 2 * 3600 * second
)

// sweepPeriod is how many segments come between two calls of sweep.
const sweepPeriod = 256

// Kind is what changed.
type Kind uint8

// The kinds of event. Plain data and acknowledgments of a healthy exchange fire none
// but the beginnings of turns.
const (
	// Opened: first segment of a flow.
	Opened Kind = iota
	// RolesChanged: the LB is the other side than was taken for it so far.
	RolesChanged
	// FINRepeated: a FIN was sent again, at least 150 ms after the copy before; the peer has not
	// acknowledged it.
	FINRepeated
	// StrayAnswer: a SYN-ACK came whose SYN was not captured, or went elsewhere.
	StrayAnswer
	// SYNRepeated: a SYN was sent again, at least 150 ms after the copy before.
	SYNRepeated
	// EstablishedNow: the handshake is complete.
	EstablishedNow
	// RequestBegan: the LB began a new turn.
	RequestBegan
	// AnswerBegan: the target sent the first octet that answers the LB's turn.
	AnswerBegan
	// AnswerTaken: the LB acknowledged the first octet of the answer to a turn that had been sent again.
	AnswerTaken
	// ServerError: an answer of the target begins that says 5xx.
	ServerError
	// RequestStalled: the LB's turn has had no answer for 200 ms.
	RequestStalled
	// StallChanged: a request that stalls was sent again, or it or a repeated FIN was
	// acknowledged, for the first time.
	StallChanged
	// Unacknowledged: octets of a side have gone unacknowledged for 3 s, sent three times or
	// more; and again when a fourth or later copy was the last.
	Unacknowledged
	// StreamBegan, StreamAnswered: the header block of an HTTP/2 stream's request, or of its
	// final answer, is complete.
	StreamBegan
	StreamAnswered
	// StreamsFailed: streams were reset or refused, and what belongs to that has come. They are
	// those of HTTP2.Streams that are Due.
	StreamsFailed
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
	Seg  *Segment // the segment that brought it; nil for Settled, Gone, RequestStalled, Unacknowledged and StreamsFailed
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
	// Stream is, with StreamBegan and StreamAnswered, the stream.
	Stream *H2Stream
}

// Handler is called with each event of the kind that it is registered for. The event
// and what it points to are valid during the call.
type Handler func(*Event)
