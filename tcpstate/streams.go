package tcpstate

import (
	"math"
	"slices"
	"sort"
)

// numbering counts frames over all captures of the run, and streams as Wireshark does in
// each of them.
type numbering struct {
	capture      int
	bases        []uint64 // ordinal of the first frame of each capture, less one
	base         uint64   // that of the current one
	lastFrame    uint64   // ordinal
	nextStream   uint32
	newestStream uint32   // of the newest segment
	exact        []uint32 // of each capture: how many stream numbers are certainly Wireshark's
	given        uint32   // number of the stream of the segment that is tracked; valid iff hasGiven, see TrackCopy
	hasGiven     bool
}

func newNumbering() numbering {
	return numbering{bases: []uint64{0}, exact: []uint32{math.MaxUint32}}
}

// newStream is the next stream number.
func (n *numbering) newStream() uint32 {
	if n.hasGiven {
		return n.given
	}
	n.nextStream++
	return n.nextStream - 1
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
	t.exact = append(t.exact, math.MaxUint32)
	t.nextStream = 0
	t.retired = retired{}
	t.stats.before = len(t.stats.all)
	t.Each(func(f *Flow) { f.flags |= flowStale })
}

// Locate tells capture (counted from 0) and frame number of a SegRef's ordinal.
func (n *numbering) Locate(ordinal uint64) (capture int, frame uint64) {
	i := sort.Search(len(n.bases), func(i int) bool { return n.bases[i] >= ordinal }) - 1
	return i, ordinal - n.bases[i]
}

// Newest is the newest segment's frame, and the number of the stream that it belongs to.
func (n *numbering) Newest() (frame uint64, stream uint32) {
	return n.lastFrame - n.base, n.newestStream
}

func (m *SegRef) shift(by int64) {
	if m.Set() {
		m.Time += by
	}
}

func (h *HalfNotes) shift(by int64) {
	h.FinalACK.shift(by)
	h.FIN.shift(by)
	shift(&h.lastFIN, by)
	for i := range h.SYNs {
		h.SYNs[i].shift(by)
	}
	if h.rareNotes != &nothingRare {
		h.rareNotes.shift(by)
	}
}

func (h *rareNotes) shift(by int64) {
	for _, m := range []*SegRef{&h.Abort, &h.Notify, &h.PrevTurn, &h.TurnAcked, &h.Continuation} {
		m.shift(by)
	}
	if u := h.unacked; u != nil {
		u.First.shift(by)
		u.Last.shift(by)
	}
	for i := range h.RSTs {
		h.RSTs[i].shift(by)
	}
	if h.icmp != nil {
		for i := range *h.icmp {
			(*h.icmp)[i].shift(by)
		}
	}
	for _, l := range [][]SegRef{h.Copies, h.Old, h.Refusals} {
		for i := range l {
			l[i].shift(by)
		}
	}
}

// doubtNumber notes that the first segment of what looks like a new connection may belong to
// one that was dropped from the retired: Wireshark then goes on with its number, and all later
// numbers here are too high by one.
func (t *Tracker) doubtNumber(s *Segment) {
	if t.retired.mayGoOn(s) {
		t.exact[t.capture] = min(t.exact[t.capture], t.nextStream)
	}
}

// Exact reports whether a stream number in a capture is certainly Wireshark's. It is not
// if a connection before it had been forgotten for want of room and may have gone on.
func (n *numbering) Exact(capture int, stream uint32) bool { return stream < n.exact[capture] }

// ExactStreams is, for each capture, how many stream numbers from 0 on are certainly
// Wireshark's; MaxUint32: all.
func (n *numbering) ExactStreams() []uint32 { return slices.Clone(n.exact) }

// StreamStats are the figures of one stream as Wireshark counts them; A is the sender
// of its first segment.
type StreamStats struct {
	Capture          int // index of the capture that Stream counts in
	Stream           uint32
	A, B             Endpoint
	FirstFrame       uint64
	Segments         uint64
	SYN, SYNACK      uint64 // SYN without, and with ACK
	FIN, RST         uint64
	BytesAB, BytesBA uint64 // payload by the headers, retransmissions included
	AIsLB            bool   // valid iff RolesKnown
	RolesKnown       bool
	StateA, StateB   State
}

// streamStats are the figures of all streams.
type streamStats struct {
	all    []StreamStats
	before int  // how many are of the captures before
	cut    bool // there are streams without
}

// StreamStats are the figures of all streams, in order; streams
// that only ICMP errors quoted are left out.
func (t *Tracker) StreamStats() []StreamStats {
	out := t.stats.all[:0:0]
	for _, x := range t.stats.all {
		if x.Segments > 0 {
			out = append(out, x)
		}
	}
	return out
}

// StreamsCut reports whether there were more than MaxStreams.
func (t *Tracker) StreamsCut() bool { return t.stats.cut }

// count adds a segment to its stream's figures.
func (t *Tracker) count(f *Flow, s *Segment) {
	x := t.statsOf(f)
	if x == nil {
		return
	}
	if x.Segments == 0 {
		x.Capture, x.Stream, x.FirstFrame = t.capture, f.stream, s.Frame
		x.A, x.B = s.Src, s.Dst
	}
	x.Segments++
	if s.Flags&SYN != 0 {
		if s.Flags&ACK != 0 {
			x.SYNACK++
		} else {
			x.SYN++
		}
	}
	if s.Flags&FIN != 0 {
		x.FIN++
	}
	if s.Flags&RST != 0 {
		x.RST++
	}
	if s.Src == x.A && s.Dst == x.B {
		x.BytesAB += uint64(s.Len)
	} else {
		x.BytesBA += uint64(s.Len)
	}
}

// statsOf are the figures of the flow's stream in the current capture; nil where they are
// not kept.
func (t *Tracker) statsOf(f *Flow) *StreamStats {
	if int64(f.stream) >= int64(t.cfg.MaxStreams) {
		t.stats.cut = true
		return nil
	}
	i := t.stats.before + int(f.stream)
	for len(t.stats.all) <= i {
		t.stats.all = append(t.stats.all, StreamStats{})
	}
	return &t.stats.all[i]
}

// finishStats puts a flow's last state into its stream's figures.
func (t *Tracker) finishStats(f *Flow) {
	if !t.cfg.Streams || f.flags&flowStale != 0 || f.flags&flowRevived != 0 {
		return
	}
	x := t.statsOf(f)
	if x == nil || x.Segments == 0 {
		return
	}
	a := 0
	if t.Endpoint(f, 0) != x.A {
		a = 1
	}
	x.StateA, x.StateB = t.State(f, a), t.State(f, 1-a)
	x.AIsLB, x.RolesKnown = f.LB() == a, true
}

// Numberer tells the stream numbers of segments and follows nothing: for a second look at a
// capture.
type Numberer struct{ t *Tracker }

// NewNumberer makes a numberer for one capture.
func NewNumberer() Numberer { return Numberer{NewTracker(Config{})} }

// Number is Wireshark's tcp.stream of a segment, the next of the capture; MaxUint32: it has none.
func (n Numberer) Number(s *Segment) uint32 {
	var q query
	queryOf(s, &q)
	if s.Unnumbered {
		return math.MaxUint32
	}
	f, _ := n.t.lookup(s, &q)
	f.LastTime = max(f.LastTime, s.Time)
	return f.stream
}
