package tcpstate

// Notes are the segments of a flow that only matter while it is being set up, while it
// closes or while something goes wrong. They lie beside the flow, in an arena of
// their own, and are given back when the connection is in order again.
type Notes struct {
	CloseTime int64 // time of the first FIN or RST, ns; 0: none
	Half      [2]HalfNotes
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
	// What follows is touched only where flowNoted is set: a healthy handshake leaves
	// nothing in it.

	// FIN is the FIN; its Seq is the FIN's own number, its Ack the lowest of all copies.
	FIN SegRef
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
	// Before is the turn before Turn, kept where Turn may be no turn but a TLS alert;
	// BeforeAnswered and BeforeAnswer are its fate.
	PrevTurn     SegRef
	PrevAnswered bool
	PrevAnswer   Seq
	// TurnLow is where Turn may have begun, if the octets before it are missing in the
	// capture; see Tracker.TurnLow.
	TurnLow Seq
	// Resent is Turn as its segment is, where Turn.Ack is that of a later segment of the
	// turn, which was captured before: only a retransmission of the first one was.
	Resent SegRef
	// Copies are further copies of the first octet of Turn, at least 150 ms apart;
	// NCopies counts them. The first copy is Turn itself.
	Copies  []SegRef
	NCopies int
	// TurnAcked is the first segment of the peer that acknowledges Turn's first octet
	// after it was sent again.
	TurnAcked SegRef
	// Rest is the newest segment of the turn behind its first.
	Continuation SegRef
	// Old are segments before the SYN-ACK that belong to an earlier incarnation.
	Old []SegRef
	// Refusals are RSTs that answered the peer's SYN.
	Refusals []SegRef

	holes  [maxHoles]hole
	nholes int
}

// AfterFIN reports whether an RST of side dir came after a FIN: behind its own, or when
// it had seen the peer's. A bare RST does not say what its sender had seen; there the
// order of the capture must do.
func (m *Notes) AfterFIN(dir int, rst SegRef) bool {
	own, peer := &m.Half[dir].FIN, &m.Half[1-dir].FIN
	if !rst.Flags().Has(ACK) {
		return own.Set() || peer.Set()
	}
	return own.Set() && rst.Seq.After(own.Seq) || peer.Set() && rst.Ack.After(peer.Seq)
}

// SYNMark is a copy of a SYN or SYN-ACK with its timestamps.
type SYNRef struct {
	SegRef
	HasTS        bool
	TSVal, TSEcr uint32
}

// RSTMark is an RST with its IPv4 identification, by which a frame captured twice is
// known.
type RSTRef struct {
	SegRef
	IPID uint16
}

// NotifyKind says what announced a close.
type NotifyKind uint8

// The announcements.
const (
	NoNotify NotifyKind = iota
	CloseNotify
	RequestTimeout408
	GoAway

	// setUp is TLS setting up: no announcement at all.
	setUp
)

type hole struct{ from, to Seq }

func newNotes() *Notes {
	m := new(Notes)
	for i := range m.Half {
		h := &m.Half[i]
		h.SYNs = h.syn[:0]
	}
	return m
}

func (h *HalfNotes) reset() {
	*h = HalfNotes{
		SYNs: h.SYNs[:0], RSTs: h.RSTs[:0], Copies: h.Copies[:0],
		Old: h.Old[:0], Refusals: h.Refusals[:0],
	}
}

// resetSetup is reset where flowNoted is not set.
func (h *HalfNotes) resetSetup() {
	h.SYNs, h.NSYN, h.FinalACK = h.SYNs[:0], 0, SegRef{}
}

// AsSent is a segment of this side with the acknowledgment that its segment carries.
func (h *HalfNotes) AsSent(m SegRef) SegRef {
	if h.Resent.Set() && h.Resent.frame == m.frame {
		m.Ack = h.Resent.Ack
	}
	return m
}

// plain reports whether nothing in a flow's notes needs to be remembered.
func (t *Tracker) plain(f *Flow) bool {
	if f.flags&flowNoted == 0 {
		return true
	}
	if f.flags&flowClosing != 0 || (f.Half[0].flags|f.Half[1].flags)&flagLow != 0 {
		return false
	}
	m := t.noteArena[f.notes]
	for i := range m.Half {
		h := &m.Half[i]
		if h.NSYN > 1 || h.FIN.Set() || h.NRST > 0 || h.Notify.Set() || h.NCopies > 0 || h.nholes > 0 || len(h.Old) > 0 || h.Resent.Set() {
			return false
		}
	}
	return true
}

// noNotes is what Tracker.Notes returns for a flow without: all zero.
var noNotes Notes

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
	f.flags |= flowNoted
	return t.setupNotes(f)
}

// setupNotes returns the notes of a flow for its first SYNs and final ACK to be noted in.
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

func (t *Tracker) dropNotes(f *Flow) {
	if f.notes == 0 {
		return
	}
	m := t.noteArena[f.notes]
	for i := range m.Half {
		if f.flags&flowNoted != 0 {
			m.CloseTime = 0
			m.Half[i].reset()
		} else {
			m.Half[i].resetSetup()
		}
	}
	f.flags &^= flowNoted
	t.noteFree = append(t.noteFree, f.notes)
	f.notes = 0
}

// openHole notes that [from, to) was passed over.
func (h *Half) openHole(m *HalfNotes, from, to Seq) {
	h.flags |= flagHoles
	if m.nholes < maxHoles {
		m.holes[m.nholes] = hole{from, to}
		m.nholes++
		return
	}
	// No room: the last one swallows everything up to here and stays open.
	m.holes[maxHoles-1].to = to
}

// fillHole takes [from, to) out of the holes.
func (h *Half) fillHole(m *HalfNotes, from, to Seq) {
	for i := 0; i < m.nholes; i++ {
		g := &m.holes[i]
		if to.AtOrBefore(g.from) || from.AtOrAfter(g.to) {
			continue
		}
		left, right := g.from.Before(from), to.Before(g.to)
		switch {
		case left && right:
			if m.nholes < maxHoles {
				m.holes[m.nholes] = hole{to, g.to}
				m.nholes++
				g.to = from
			}
		case left:
			g.to = from
		case right:
			g.from = to
		default:
			m.nholes--
			*g = m.holes[m.nholes]
			i--
		}
	}
	if m.nholes == 0 {
		h.flags &^= flagHoles
	}
}

// beforeFIN reports whether [from, to) lies in the hole right before the FIN.
func (h *HalfNotes) beforeFIN(from, to Seq) bool {
	if !h.FIN.Set() {
		return false
	}
	for _, g := range h.holes[:h.nholes] {
		if g.to == h.FIN.Seq && g.from.AtOrBefore(from) && to.AtOrBefore(g.to) {
			return true
		}
	}
	return false
}

// forgetHoles drops the holes below x.
func (h *HalfNotes) forgetHoles(x Seq) {
	for i := 0; i < h.nholes; i++ {
		if h.holes[i].to.AtOrBefore(x) {
			h.nholes--
			h.holes[i] = h.holes[h.nholes]
			i--
		}
	}
}

// HoleBetween reports whether an octet of [from, to) is missing in the capture.
func (h *HalfNotes) HoleBetween(from, to Seq) bool {
	for _, g := range h.holes[:h.nholes] {
		if g.from.Before(to) && g.to.After(from) {
			return true
		}
	}
	return false
}

// HasSYN reports whether a SYN (or SYN-ACK) of this side is among the notes.
func (h *HalfNotes) HasSYN() bool { return len(h.SYNs) > 0 }
