package tcpstate

// SegRef is a segment worth remembering: the facts of it that rules compare and evidence
// shows. It has no more than four fields on a level, for then the compiler keeps it in
// registers.
type SegRef struct {
	Time  int64  // ns since the Unix epoch
	frame uint64 // Frame above the eight bits of TTL and those of Flags; 0: no such segment
	seqAck
	extent
}

type seqAck struct {
	Seq Seq // for data the first new octet
	Ack Seq
}

type extent struct {
	Len uint32 // payload octets
	// Stream is Wireshark's tcp.stream of the segment. It is the flow's own but for
	// segments of an old incarnation that arrive behind a new SYN, and those of a flow that
	// goes on in another capture.
	Stream uint32
}

// Set reports whether there is such a segment.
func (m SegRef) Set() bool { return m.frame != 0 }

// Frame is the segment's ordinal over all captures of the run, see Tracker.Locate; 0: no
// such segment.
func (m SegRef) Frame() uint64 { return m.frame >> 16 }

// TTL is the time to live, or hop limit, of the packet that had the segment.
func (m SegRef) TTL() uint8 { return uint8(m.frame >> 8) }

// Flags are the segment's control bits.
func (m SegRef) Flags() Flags { return Flags(m.frame) }

// End is the sequence number behind the payload.
func (m SegRef) End() Seq { return m.Seq.Add(m.Len) }

// Ref refers to a segment of the flow, for readers of events.
func (t *Tracker) Ref(f *Flow, s *Segment) SegRef { return t.ref(s, f.stream, s.Seq) }

// ref refers to a segment; seq is its first octet that matters.
func (t *Tracker) ref(s *Segment, stream uint32, seq Seq) SegRef {
	return SegRef{
		Time: s.Time, frame: t.packFrame(s),
		seqAck: seqAck{seq, s.Ack}, extent: extent{s.lenFrom(seq), stream},
	}
}

// packFrame is a segment's SegRef.frame.
func (t *Tracker) packFrame(s *Segment) uint64 {
	return (t.base+s.Frame)<<16 | uint64(s.TTL)<<8 | uint64(s.Flags)
}

// recent are the two segments of a half that are always remembered: the first one of its
// newest turn and the newest one. They are a SegRef each, without the stream, in an order that
// wastes no octet.
type recent struct {
	turnTime, newestTime   int64
	turnFrame, newestFrame uint64 // as SegRef.frame
	turn, newest           seqAck
	turnLen, newestLen     uint32
}

// setTurn makes a segment the first one of its side's newest turn, which begins at at.
func (t *Tracker) setTurn(f *Flow, dir int, s *Segment, at Seq) {
	d := &f.recent[dir&1]
	d.turnTime, d.turnFrame, d.turn, d.turnLen = s.Time, t.packFrame(s), seqAck{at, s.Ack}, s.lenFrom(at)
	if f.flags&flowRenumbered != 0 {
		t.setNumber(f, dir)
	}
}

// setNewest makes a segment the newest one with new octets, of which at is the first.
func (t *Tracker) setNewest(f *Flow, dir int, s *Segment, at Seq) {
	d := &f.recent[dir&1]
	d.newestTime, d.newestFrame, d.newest, d.newestLen = s.Time, t.packFrame(s), seqAck{at, s.Ack}, s.lenFrom(at)
	if f.flags&flowRenumbered != 0 {
		t.setNumber(f, 2+dir)
	}
}

// turnRef is the first segment of the newest turn of half i: the first data the side sent
// after it had seen the peer answer (or speak). Its Ack is the lowest of all copies: what
// the side had seen when it first sent it.
func (t *Tracker) turnRef(f *Flow, i int) SegRef {
	d := &f.recent[i&1]
	return SegRef{d.turnTime, d.turnFrame, d.turn, extent{d.turnLen, t.numberOf(f, i)}}
}

// newestRef is, of half i, the newest segment with octets not seen before (TLS alerts left out).
func (t *Tracker) newestRef(f *Flow, i int) SegRef {
	d := &f.recent[i&1]
	return SegRef{d.newestTime, d.newestFrame, d.newest, extent{d.newestLen, t.numberOf(f, 2+i)}}
}

// Request is the LB's newest turn.
func (t *Tracker) Request(f *Flow) SegRef { return t.turnRef(f, f.LB()) }

// Answer is the target's newest turn.
func (t *Tracker) Answer(f *Flow) SegRef { return t.turnRef(f, 1-f.LB()) }

// NewestFromLB is the newest segment with octets of the LB.
func (t *Tracker) NewestFromLB(f *Flow) SegRef { return t.newestRef(f, f.LB()) }

// NewestFromTarget is the newest segment with octets of the target.
func (t *Tracker) NewestFromTarget(f *Flow) SegRef { return t.newestRef(f, 1-f.LB()) }

// markRenumbered says that what a flow sends from here on may have other stream numbers than
// what is remembered: another capture begins, or a new incarnation has the flow's endpoints.
// These numbers are kept apart: of the turns, then of the last segments.
func (t *Tracker) markRenumbered(f *Flow) {
	if f.flags&flowRenumbered == 0 {
		f.flags |= flowRenumbered
		t.renumbered[f.index] = [4]uint32{f.stream, f.stream, f.stream, f.stream}
	}
}

// setNumber notes that what is remembered there now has the flow's number of now.
func (t *Tracker) setNumber(f *Flow, i int) {
	o := t.renumbered[f.index]
	o[i] = f.stream
	t.renumbered[f.index] = o
}

// numberOf is the stream number of what is remembered, counted as in markRenumbered.
func (t *Tracker) numberOf(f *Flow, i int) uint32 {
	if f.flags&flowRenumbered != 0 {
		return t.renumbered[f.index][i]
	}
	return f.stream
}

// Notes are the segments of a flow that only matter while it is being set up, while it
// closes or while something goes wrong. They lie beside the flow, in an arena of
// their own, and are given back when the connection is in order again.
type Notes struct {
	CloseTime int64 // time of the first FIN or RST, ns; 0: none
	Half      [2]HalfNotes

	rare *[2]rareNotes // nil: nothing was ever noted in them
}

// Bounds of the lists of one flow: the first ones tell the story, the rest is counted.
const (
	maxCopies = 12
	maxRSTs   = 24
	maxHoles  = 8
)

// HalfNotes are the notes of one side.
type HalfNotes struct {
	// SYNs are the copies of the SYN (of the SYN-ACK), NSYN how many there were. Mostly
	// there is one, which lies here.
	SYNs []SYNRef
	syn  [1]SYNRef
	NSYN int
	// FinalACK is the first segment that acknowledges the peer's SYN.
	FinalACK SegRef
	// FIN is the FIN; its Seq is the FIN's own number, its Ack the lowest of all copies.
	FIN     SegRef
	lastFIN int64 // time of its newest copy; 0: there is one only

	// What a connection that is set up, used and closed as most are has nothing of lies apart:
	// in nothingRare, which is never written, unless flowNoted is set.
	*rareNotes
}

// rareNotes are notes of one side that few connections have.
type rareNotes struct {
	// Abort is the first RST with ACK: the application's (tcp_send_active_reset).
	Abort SegRef
	// RSTs are all RSTs, NRST how many there were. Without ACK: reply RSTs
	// (tcp_v4_send_reset).
	RSTs []RSTRef
	NRST int
	// NRSTAfterFIN is how many of them came when a FIN of either side had been seen.
	NRSTAfterFIN int
	// Notify is what announced the close right before it: a TLS close_notify, an
	// unasked HTTP 408, an HTTP/2 GOAWAY.
	Notify     SegRef
	NotifyKind NotifyKind
	// Alert is the description of that TLS alert (RFC 8446 §6), where it was sent in the clear;
	// 0: it was not, or is close_notify.
	Alert uint8
	// PrevTurn is the turn before the newest, kept where the newest may be none but a TLS
	// alert; PrevAnswered and PrevAnswer are its fate.
	PrevTurn     SegRef
	PrevAnswered bool
	PrevAnswer   Seq
	// TurnLow is where the newest turn may have begun, if the octets before it are missing in the
	// capture; see Tracker.TurnLow.
	TurnLow Seq
	// Resent is the beginning of the newest turn as its segment is, where recent has the Ack of
	// a later segment of the turn, which was captured before: only a retransmission of the first
	// one was.
	Resent SegRef
	// Copies are further copies of the first octet of the newest turn, at least 150 ms apart;
	// NCopies counts them.
	Copies  []SegRef
	NCopies int
	// TurnAcked is the first segment of the peer that acknowledges that octet after it was
	// sent again.
	TurnAcked SegRef
	// unacked is what the side sends again and again, nil where it never did; see
	// Tracker.StillUnacked.
	unacked *Unacked
	// Continuation is the newest segment of the turn behind its first.
	Continuation SegRef
	// Old are segments before the SYN-ACK that belong to an earlier incarnation.
	Old []SegRef
	// Refusals are RSTs that answered the peer's SYN.
	Refusals []SegRef
	// icmp is what ICMP returns; nearly always there is none.
	icmp *[]ICMPRef

	holes []hole
}

// FINRepeated reports whether the FIN was sent again while the peer had not acknowledged it.
func (h *HalfNotes) FINRepeated() bool { return h.lastFIN != 0 }

// HasSYN reports whether a SYN (or SYN-ACK) of this side is among the notes.
func (h *HalfNotes) HasSYN() bool { return len(h.SYNs) > 0 }

// AsSent is a segment of this side with the acknowledgment that its segment carries.
func (h *HalfNotes) AsSent(m SegRef) SegRef {
	if h.Resent.Set() && h.Resent.frame == m.frame {
		m.Ack = h.Resent.Ack
	}
	return m
}

// SYNRef is a copy of a SYN or SYN-ACK with its timestamps.
type SYNRef struct {
	SegRef
	HasTS        bool
	Behind       uint8 // how many of the peer's SYNs, as they are in its notes, came before it
	TSVal, TSEcr uint32
}

// RSTRef is an RST with what tells who sent it, and its IPv4 identification, by which a frame
// captured twice is known.
type RSTRef struct {
	SegRef
	IPID    uint16
	Window  uint16
	Options bool // it has TCP options
}

// Reply reports whether an RST looks like those of a host that has no socket for the segment
// that it answers (tcp_v4_send_reset): its flags are exactly RST, it has no options, and its
// window is 0. One that answers a SYN has an ACK, too, and is not among rareNotes.RSTs.
func (r RSTRef) Reply() bool { return r.Flags() == RST && r.Plain() }

// Plain reports whether an RST is as Linux sends all that no socket stands behind: without
// options, its window 0.
func (r RSTRef) Plain() bool { return !r.Options && r.Window == 0 }

// NotifyKind says what announced a close.
type NotifyKind uint8

// The announcements.
const (
	NoNotify NotifyKind = iota
	CloseNotify
	RequestTimeout408
	GoAway

	// setupOnly is TLS setting up: no announcement at all.
	setupOnly
)

// nothingRare is what is rare of most flows: all zero.
var nothingRare rareNotes

// noNotes is what Tracker.Notes returns for a flow without: all zero.
var noNotes = Notes{Half: [2]HalfNotes{{rareNotes: &nothingRare}, {rareNotes: &nothingRare}}}

// Notes are the notes of a flow; all zero when it has none. They are valid until the
// tracker's next call.
func (t *Tracker) Notes(f *Flow) *Notes {
	if f.notes == 0 {
		return &noNotes
	}
	return t.noteArena[f.notes]
}

// notes returns the notes of a flow for anything to be noted in, new ones if it has none.
func (t *Tracker) notes(f *Flow) *Notes {
	m := t.setupNotes(f)
	if f.flags&flowNoted == 0 {
		f.flags |= flowNoted
		if m.rare == nil {
			m.rare = new([2]rareNotes)
		}
		m.Half[0].rareNotes, m.Half[1].rareNotes = &m.rare[0], &m.rare[1]
	}
	return m
}

// setupNotes returns the notes of a flow for its SYNs, final ACK and FINs to be noted in.
func (t *Tracker) setupNotes(f *Flow) *Notes {
	if f.notes != 0 {
		return t.noteArena[f.notes]
	}
	if n := len(t.noteFree); n > 0 {
		f.notes = t.noteFree[n-1]
		t.noteFree = t.noteFree[:n-1]
	} else {
		if len(t.noteArena) == 0 {
			t.noteArena = append(t.noteArena, nil)
		}
		f.notes = uint32(len(t.noteArena))
		t.noteArena = append(t.noteArena, newNotes())
	}
	return t.noteArena[f.notes]
}

// nothingNoted reports whether nothing in a flow's notes needs to be remembered.
func (t *Tracker) nothingNoted(f *Flow) bool {
	if f.flags&(flowNoted|flowClosing) == 0 {
		return true
	}
	if f.flags&flowClosing != 0 || (f.Half[0].flags|f.Half[1].flags)&flagTurnLow != 0 {
		return false
	}
	m := t.noteArena[f.notes]
	for i := range m.Half {
		h := &m.Half[i]
		if h.NSYN > 1 || h.FIN.Set() || h.NRST > 0 || h.Notify.Set() || h.NCopies > 0 || len(h.holes) > 0 || len(h.Old) > 0 || h.icmp != nil || h.Resent.Set() ||
			h.unacked != nil && h.unacked.still(&f.Half[1-i]) {
			return false
		}
	}
	return true
}

// dropNotes gives the notes of a flow back.
func (t *Tracker) dropNotes(f *Flow) {
	if f.notes == 0 {
		return
	}
	m := t.noteArena[f.notes]
	m.CloseTime = 0
	for i := range m.Half {
		h := &m.Half[i]
		h.SYNs, h.NSYN, h.FinalACK, h.FIN, h.lastFIN = h.SYNs[:0], 0, SegRef{}, SegRef{}, 0
		if f.flags&flowNoted != 0 {
			h.rareNotes.reset()
			h.rareNotes = &nothingRare
		}
	}
	f.flags &^= flowNoted
	t.noteFree = append(t.noteFree, f.notes)
	f.notes = 0
}

// newNotes makes empty notes.
func newNotes() *Notes {
	m := new(Notes)
	for i := range m.Half {
		h := &m.Half[i]
		h.SYNs, h.rareNotes = h.syn[:0], &nothingRare
	}
	return m
}

// reset empties notes and keeps the room of their lists.
func (h *rareNotes) reset() {
	*h = rareNotes{RSTs: h.RSTs[:0], Copies: h.Copies[:0], Old: h.Old[:0], Refusals: h.Refusals[:0], unacked: h.unacked, holes: h.holes[:0]}
	if h.unacked != nil {
		*h.unacked = Unacked{}
	}
}

// appendRef appends to a bounded list.
func appendRef(l []SegRef, m SegRef) []SegRef {
	if len(l) < maxRSTs {
		l = append(l, m)
	}
	return l
}

// forgetNotify forgets the announcement of a close: more data follows, so it was none.
func (t *Tracker) forgetNotify(f *Flow, dir int) {
	m := &t.noteArena[f.notes].Half[dir]
	if m.NotifyKind == CloseNotify {
		m.Notify, m.NotifyKind, m.Alert = SegRef{}, NoNotify, 0
	}
}
