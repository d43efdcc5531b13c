package tcpstate

import "connrace/tcpstate/internal/framing"

// beginFlow decides at the first segment of a flow who is who, and whether the user's filter
// selects it.
func (t *Tracker) beginFlow(f *Flow, dir int, s *Segment) {
	if f.flags&flowBegun != 0 {
		return
	}
	f.flags |= flowBegun
	if f.flags&flowRevived == 0 {
		t.Streams++
	}
	if f.flags&flowCopy == 0 && t.watches(f) {
		f.flags |= flowWatched
	}
	switch {
	case s.Flags&(SYN|ACK) == SYN:
		f.SetLB(dir, ByHandshake)
	case s.Flags&(SYN|ACK) == SYN|ACK:
		f.SetLB(1-dir, ByHandshake)
	default:
		f.flags |= flowEstablished // before the capture began
		f.SetLB(t.guessRole(f, dir, s))
	}
	if f.flags&flowRevived != 0 {
		t.arm(f, t.now+lingerMax)
	}
	t.fire(Opened, f, dir, s)
}

// watches reports whether the user's filter selects a flow.
func (t *Tracker) watches(f *Flow) bool {
	return t.cfg.Watch == nil || t.cfg.Watch(t.Endpoint(f, 0), t.Endpoint(f, 1))
}

// setLB decides the roles of a flow that has begun.
func (t *Tracker) setLB(f *Flow, lb int, b Basis, s *Segment) {
	was := f.LB()
	if f.SetLB(lb, b); lb != was {
		t.fire(RolesChanged, f, lb, s)
	}
}

// guessRole decides who is the LB of a flow that began before the capture.
func (t *Tracker) guessRole(f *Flow, dir int, s *Segment) (int, Basis) {
	if t.cfg.Role != nil {
		if i, b := t.cfg.Role(t.Endpoint(f, 0), t.Endpoint(f, 1)); i >= 0 {
			return i, b
		}
	}
	switch {
	case framing.LooksLikeRequest(s.Payload):
		return dir, ByHTTP
	case framing.LooksLikeResponse(s.Payload):
		return 1 - dir, ByHTTP
	case f.key.port(0) != f.key.port(1):
		if f.key.port(0) < f.key.port(1) {
			return 1, ByPort
		}
		return 0, ByPort
	}
	return dir, ByPort
}

// syn accounts for a SYN or a SYN-ACK.
func (t *Tracker) syn(f *Flow, dir int, s *Segment) {
	h, p := f.halves(dir)
	answer := s.Flags&ACK != 0
	if answer && p.SentSYN() && (s.Ack.AtOrBefore(t.synSeq(f, 1-dir)) || s.Ack.After(p.Nxt)) {
		m := &t.notes(f).Half[dir]
		m.Old = appendRef(m.Old, t.ref(s, f.stream, s.Seq))
		return
	}
	m := &t.setupNotes(f).Half[dir]
	if f.flags&flowEstablished != 0 && !h.SentSYN() && h.HasTurn() {
		return // a stray SYN inside a connection that the capture joined late
	}
	if !h.SentSYN() {
		h.Nxt = s.Seq + 1
	}
	h.flags |= flagSYN | flagCaptured
	if answer {
		if h.flags&flagAck == 0 || s.Ack.After(h.Ack) { // else a late copy
			h.Ack = s.Ack
			h.flags |= flagAck
		}
		p.beginAt(s.Ack)
		if len(m.SYNs) == 0 || m.SYNs[0].Flags()&ACK != 0 { // else both have sent a SYN
			t.setLB(f, 1-dir, ByHandshake, s)
		}
		t.arm(f, t.now+handshakeMax)
	} else if !p.SentSYN() {
		t.setLB(f, dir, ByHandshake, s)
	} else if sent := t.Notes(f).Half[1-dir].SYNs; len(m.SYNs) == 0 && len(sent) > 0 && sent[0].Flags()&ACK == 0 {
		lb, b := t.guessRole(f, dir, s) // neither listens (RFC 9293 §3.5): what they say tells
		t.setLB(f, lb, b, s)
	}
	if n := len(m.SYNs); n > 0 && s.Time-m.SYNs[n-1].Time < copyApart && s.Seq == m.SYNs[n-1].Seq {
		return // a duplicate, not a repetition
	}
	m.NSYN++
	c := SYNRef{SegRef: t.ref(s, f.stream, s.Seq), HasTS: s.HasTS, TSVal: s.TSVal, TSEcr: s.TSEcr, Behind: uint8(len(t.Notes(f).Half[1-dir].SYNs))}
	if m.NSYN > 1 {
		t.notes(f)
	}
	if len(m.SYNs) == maxCopies {
		m.SYNs[maxCopies-1] = c
	} else {
		m.SYNs = append(m.SYNs, c)
	}
	if s.Len > 0 { // TCP Fast Open (RFC 7413)
		t.payload(f, dir, s, s.Seq+1)
	}
	if answer && !p.SentSYN() {
		t.fire(StrayAnswer, f, dir, s)
	}
	if !answer {
		t.arm(f, t.now+m.Patience())
		if m.NSYN > 1 {
			t.fire(SYNRepeated, f, dir, s)
		}
	}
}

// Patience is how long after the newest copy a SYN must stay silent before it counts as
// given up, ns: longer than the pause before its next retry. Pauses double (RFC 6298
// §5.5), but the first ones may all be alike (tcp_syn_linear_timeouts, Linux 6.5: four
// more of a second each); two equal pauses tell.
func (m *HalfNotes) Patience() int64 {
	n := len(m.SYNs)
	if n < 2 {
		return 30 * second // the first pause is one second on Linux, up to nine elsewhere
	}
	last := m.SYNs[n-1].Time - m.SYNs[n-2].Time
	next := 2 * last
	if n >= 3 && n <= 5 {
		if before := m.SYNs[n-2].Time - m.SYNs[n-3].Time; last < before+before/4 {
			next = last
		}
	}
	return min(max(next+next/8+100*millisecond, second), 70*second)
}

// beforeEstablished accounts for a segment without SYN that comes before the handshake is
// known to be complete; true: there is no more to it.
func (t *Tracker) beforeEstablished(f *Flow, dir int, s *Segment) bool {
	h, p := f.halves(dir)
	lb := dir == f.LB()
	if p.SentSYN() && !h.SentSYN() && !lb {
		// The target's, between the SYN and its SYN-ACK.
		answers := s.Flags&ACK != 0 && s.Ack == t.synSeq(f, 1-dir)+1
		switch {
		case answers && s.Flags&RST != 0 && !s.HasTS: // a refusal has no options
			t.refuse(f, dir, s)
			return true
		case !answers:
			t.toPrevious(f, dir, s)
			return true
		}
		// It acknowledges the SYN: the SYN-ACK was not captured.
		t.establish(f, s)
		return false
	}
	if lb && h.SentSYN() && !p.SentSYN() {
		if s.Flags&RST != 0 {
			t.toPrevious(f, dir, s)
			return true
		}
		// The SYN-ACK was not captured.
		m := &t.setupNotes(f).Half[dir]
		m.FinalACK = t.ref(s, f.stream, s.Seq)
		t.establish(f, s)
		return false
	}
	if lb && p.SentSYN() && s.Flags&(ACK|RST) == ACK && t.completes(f, dir, s.Ack) {
		m := t.setupNotes(f)
		m.Half[dir].FinalACK = t.ref(s, f.stream, s.Seq)
		syn, sa := &m.Half[dir], &m.Half[1-dir]
		if syn.NSYN == 1 && sa.NSYN == 1 {
			f.setRTT(max(s.Time-syn.SYNs[0].Time, 1))
		}
		t.establish(f, s)
		return false
	}
	if !lb && h.SentSYN() && s.Flags&RST == 0 && (s.Len > 0 || s.Flags&FIN != 0) {
		t.establish(f, s) // the target goes on: it has the final ACK
	}
	return false
}

// synSeq is the number of a side's SYN. Half.ISN is another one where a capture began behind
// it.
func (t *Tracker) synSeq(f *Flow, dir int) Seq {
	if syns := t.Notes(f).Half[dir&1].SYNs; len(syns) > 0 {
		return syns[0].Seq
	}
	return f.Half[dir&1].ISN
}

// completes reports whether an acknowledgment of side dir completes the handshake. Of two
// SYN-ACKs with different sequence numbers that one counts which it acknowledges: the peer's Nxt
// is set behind it.
func (t *Tracker) completes(f *Flow, dir int, ack Seq) bool {
	_, p := f.halves(dir)
	for _, syn := range t.Notes(f).Half[1-dir].SYNs {
		if ack == syn.Seq+1 {
			p.Nxt = ack
		}
	}
	return ack.AtOrAfter(p.Nxt)
}

// establish notes that the handshake is complete.
func (t *Tracker) establish(f *Flow, s *Segment) {
	f.flags |= flowEstablished
	t.fire(EstablishedNow, f, f.LB(), s)
}

// toPrevious applies a segment to the incarnation before, if that is still there, and notes
// it in the new one.
func (t *Tracker) toPrevious(f *Flow, dir int, s *Segment) {
	m := &t.notes(f).Half[dir]
	m.Old = appendRef(m.Old, t.ref(s, f.stream, s.Seq))
	if f.flags&flowHasPrevious == 0 {
		return
	}
	old := t.flows.at(t.previous[f.index])
	t.unlink(old) // one generation back is enough
	t.markRenumbered(old)
	own := old.stream
	old.stream = f.stream // as Wireshark numbers this segment
	t.apply(old, dir, s)
	old.stream = own
}
