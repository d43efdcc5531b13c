package tcpstate

import "connrace/tcpstate/internal/framing"

// hole is a range of sequence numbers, [from, to), that was passed over.
type hole struct{ from, to Seq }

// openHole notes that [from, to) was passed over.
func (h *Half) openHole(m *HalfNotes, from, to Seq) {
	h.flags |= flagHoles
	if len(m.holes) < maxHoles {
		m.holes = append(m.holes, hole{from, to})
		return
	}
	// No room: the last one swallows everything up to here and stays open.
	m.holes[maxHoles-1].to = to
}

// fillHole removes [from, to) from the holes.
func (h *Half) fillHole(m *HalfNotes, from, to Seq) {
	for i := 0; i < len(m.holes); i++ {
		g := &m.holes[i]
		if to.AtOrBefore(g.from) || from.AtOrAfter(g.to) {
			continue
		}
		left, right := g.from.Before(from), to.Before(g.to)
		switch {
		case left && right:
			if len(m.holes) < maxHoles {
				m.holes = append(m.holes, hole{to, g.to})
				m.holes[i].to = from
			}
		case left:
			g.to = from
		case right:
			g.from = to
		default:
			m.dropHole(i)
			i--
		}
	}
	if len(m.holes) == 0 {
		h.flags &^= flagHoles
	}
}

// forgetHoles drops the holes below x.
func (h *HalfNotes) forgetHoles(x Seq) {
	for i := 0; i < len(h.holes); i++ {
		if h.holes[i].to.AtOrBefore(x) {
			h.dropHole(i)
			i--
		}
	}
}

// dropHole takes a hole out; the last one has its place then.
func (h *HalfNotes) dropHole(i int) {
	last := len(h.holes) - 1
	h.holes[i] = h.holes[last]
	h.holes = h.holes[:last]
}

// HoleBetween reports whether an octet of [from, to) is missing in the capture.
func (h *HalfNotes) HoleBetween(from, to Seq) bool {
	for _, g := range h.holes {
		if g.from.Before(to) && g.to.After(from) {
			return true
		}
	}
	return false
}

// skip tells the framing that n octets, from at on, are missing in the capture.
func (t *Tracker) skip(f *Flow, sd framing.Side, at Seq, n uint32) {
	if f.HTTP2() {
		t.skipHTTP2(f, sd, at, n)
		return
	}
	for {
		b, used := f.framing.Next(sd, nil, n, &t.carries)
		if b.Kind == framing.None {
			return
		}
		n -= used
	}
}

// TurnLow is where the newest turn of half i may have begun: below its first octet if the
// octets before that are missing in the capture.
func (t *Tracker) TurnLow(f *Flow, i int) Seq {
	if f.Half[i].flags&flagTurnLow != 0 {
		return t.Notes(f).Half[i].TurnLow
	}
	return f.recent[i].turn.Seq
}

// sentBefore corrects what a side had received when it began its turn to what a later segment
// of the turn acknowledges, if that is less: the first one captured is a retransmission.
func (t *Tracker) sentBefore(f *Flow, dir int, ack Seq) {
	if d := &f.recent[dir].turn; ack.Before(d.Ack) {
		t.notes(f).Half[dir].Resent = t.turnRef(f, dir)
		d.Ack = ack
	}
}
