package tcpstate

// Unacked is what one side sends again and again: its first octet that the peer has not
// acknowledged.
type Unacked struct {
	// First is the first copy of the octet that is known, its Seq the octet's own; Last is the
	// newest.
	First, Last SegRef
	// Copies counts them, the first included; those closer than 150 ms do not count.
	Copies int
	// Least is how many octets the smallest copy carried.
	Least uint32

	pause   int64 // between the last two copies
	lacking bool  // the capture lacks frames: a copy may be among them
	overdue bool  // it has been said that it is
	over    bool  // it has been said that no more copies come
}

const (
	// overdueAfter is how long octets must go unacknowledged for an event to say that they
	// still are: two losses in a row are over by then.
	overdueAfter  = 3 * second
	overdueCopies = 3
	// retryMax is the longest pause between two copies: TCP_RTO_MAX, 120 s, and some more.
	retryMax = 130 * second
)

// Patience is how long after the last copy the next one may come, ns: pauses double
// (RFC 6298 §5.5). Where frames are missing that may be the one behind it.
func (u *Unacked) Patience() int64 {
	next := 2 * u.pause
	if u.lacking {
		next += 4 * u.pause
	}
	return min(max(next+next/8+100*millisecond, second), retryMax)
}

// noteUnacked notes a segment all of whose octets, [seq, end), had been sent before, if the
// first octet is among them that the peer has not acknowledged. One octet alone is a probe:
// of a closed window (RFC 9293 §3.8.6.1), or of whether the peer is alive (RFC 1122 §4.2.3.6).
func (t *Tracker) noteUnacked(f *Flow, dir int, s *Segment, seq, end Seq) {
	h, p := f.halves(dir)
	first := p.Ack
	if p.flags&flagAck == 0 {
		if h.flags&flagSYN == 0 {
			return
		}
		first = h.ISN + 1
	}
	if s.Len < 2 || first.Before(seq) || first.AtOrAfter(end) {
		return
	}
	m := &t.notes(f).Half[dir]
	if m.unacked == nil {
		m.unacked = new(Unacked)
	}
	u := m.unacked
	if u.Copies == 0 || u.First.Seq != first {
		*u = Unacked{First: t.ref(s, f.stream, first), Copies: 1, Least: s.Len}
		for _, r := range [2]SegRef{t.turnRef(f, dir), t.newestRef(f, dir)} {
			if r.Set() && r.Seq == first && r.Time < u.First.Time {
				u.First = r
				break
			}
		}
		u.Last = u.First
	}
	if n := s.Time - u.Last.Time; n >= copyApart {
		u.Copies++
		u.pause, u.lacking = n, t.waiting.lacking
		u.Last = t.ref(s, f.stream, first)
	}
	u.Least = min(u.Least, s.Len)
	if u.Copies >= overdueCopies {
		t.arm(f, u.look(t.now))
	}
}

// look is when to look at it next.
func (u *Unacked) look(now int64) int64 {
	at := u.Last.Time + u.Patience()
	if due := u.First.Time + overdueAfter; !u.overdue && due < at {
		return max(due, now)
	}
	return at
}

// checkUnacked says, once each, that octets of a side have not been acknowledged for long, and
// that they are not sent any more.
func (t *Tracker) checkUnacked(f *Flow) {
	if f.flags&(flowNoted|flowClosing) != flowNoted {
		return
	}
	m := t.noteArena[f.notes]
	for i := range m.Half {
		u := m.Half[i].unacked
		if u == nil || u.Copies < overdueCopies || u.over || !u.still(&f.Half[1-i]) {
			continue
		}
		if at := u.look(t.now); t.now < at {
			t.arm(f, at)
			continue
		}
		u.overdue = true
		u.over = t.now >= u.Last.Time+u.Patience()
		if !u.over {
			t.arm(f, u.look(t.now))
		}
		t.fire(Unacknowledged, f, i, nil)
	}
}

// StillUnacked is what half i sent again and its peer has not acknowledged; nil: nothing.
func (t *Tracker) StillUnacked(f *Flow, i int) *Unacked {
	if f.flags&flowNoted == 0 {
		return nil // the notes need not be looked at
	}
	if u := t.Notes(f).Half[i].unacked; u != nil && u.still(&f.Half[1-i]) {
		return u
	}
	return nil
}

// still reports whether the peer has not acknowledged it.
func (u *Unacked) still(peer *Half) bool { return u.Copies > 0 && !peer.HadReceived(u.First.Seq) }

// SentAgain is when the side last sent again what the peer had not acknowledged, be it that it has
// since; 0: it did not, or other things were in order meanwhile.
func (h *HalfNotes) SentAgain() int64 {
	if h.unacked == nil || h.unacked.Copies < 2 {
		return 0
	}
	return h.unacked.Last.Time
}

// takeAnswer says if s of the LB is the first to acknowledge the answer to a turn that was sent again.
func (t *Tracker) takeAnswer(f *Flow, dir int, s *Segment) {
	h, _ := f.halves(dir)
	if dir == f.LB() && h.Answered() && s.Ack.After(h.AnswerSeq) && !h.HadReceived(h.AnswerSeq) && t.noteArena[f.notes].Half[dir].NCopies > 0 {
		t.fire(AnswerTaken, f, dir, s)
	}
}

// noteTurnAcked notes of the notes of a side that s of its peer acknowledges the newest turn, if that was sent
// again before.
func (t *Tracker) noteTurnAcked(f *Flow, m *HalfNotes, s *Segment) {
	if m.NCopies > 0 && !m.TurnAcked.Set() {
		m.TurnAcked = t.ref(s, f.stream, s.Seq)
	}
}

// spoke notes a segment without octets that acknowledges nothing new: an answer to a probe, an update of the window.
func (h *Half) spoke(s *Segment) {
	h.flags |= flagSpoke
	switch {
	case s.Flags&RST != 0, s.Ack != h.Ack: // its window is not what the receiver offers, or offered when it had less
	case s.Window == 0:
		h.flags |= flagShut
	default:
		h.flags &^= flagShut
	}
}
