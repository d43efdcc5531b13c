package tcpstate

import "slices"

// fin accounts for the FIN of a segment whose payload has been accounted for.
func (t *Tracker) fin(f *Flow, dir int, s *Segment) {
	h := &f.Half[dir]
	m := &t.setupNotes(f).Half[dir]
	at := s.Seq.Add(s.Len)
	ref := t.ref(s, f.stream, s.Seq)
	ref.Seq = at
	if m.FIN.Set() {
		if at == m.FIN.Seq && s.Ack.Before(m.FIN.Ack) {
			m.FIN = ref // sent before the copy known so far
		} else if at == m.FIN.Seq && s.Time-max(m.lastFIN, m.FIN.Time) >= copyApart && !f.Half[1-dir].HadReceived(at) {
			m.lastFIN = s.Time
			t.fire(FINRepeated, f, dir, s)
		}
		return
	}
	if at.After(h.Nxt) {
		h.openHole(&t.notes(f).Half[dir], h.Nxt, at)
		t.skip(f, f.side(dir), h.Nxt, uint32(at.Sub(h.Nxt))) // they may still come
	}
	if at.AtOrAfter(h.Nxt) {
		h.Nxt = at + 1
	}
	m.FIN = ref
	t.noteClose(f, s)
	t.fireGap(CloseBegan, f, dir, s, f.idleAt(s.Time))
}

// rst accounts for an RST of an established or closing connection.
func (t *Tracker) rst(f *Flow, dir int, s *Segment) {
	h := &f.Half[dir]
	if f.flags&flowHasPrevious != 0 && s.Flags&ACK == 0 && h.flags&flagCaptured != 0 && uint32(s.Seq.Sub(h.ISN)) > 1<<30 {
		t.toPrevious(f, dir, s) // outside of the new sequence space
		return
	}
	mm := t.notes(f)
	m := &mm.Half[dir]
	if n := len(m.RSTs); n > 0 {
		l := &m.RSTs[n-1]
		if l.Seq == s.Seq && l.Ack == s.Ack && l.Flags() == s.Flags && l.sameFrame(s) {
			return // the same segment captured twice
		}
	}
	ref := t.ref(s, f.stream, s.Seq)
	if mm.AfterFIN(dir, ref) {
		t.RSTAfterFIN++
		m.NRSTAfterFIN++
	}
	m.NRST++
	if len(m.RSTs) < maxRSTs {
		m.RSTs = append(m.RSTs, RSTRef{ref, s.IPID, s.Window, s.Options})
	}
	first := m.NRST == 1
	if s.Flags&ACK != 0 {
		if !m.Abort.Set() || s.Ack.Before(m.Abort.Ack) {
			m.Abort = ref
		}
		if h.flags&flagAck == 0 || s.Ack.After(h.Ack) {
			t.acknowledge(f, dir, s)
		}
		if h.flags&flagCaptured != 0 && s.Seq.After(h.Nxt) {
			h.openHole(m, h.Nxt, s.Seq)
		}
	}
	gap := f.idleAt(s.Time)
	f.flags |= flowReset
	t.noteClose(f, s)
	if first {
		t.fireGap(CloseBegan, f, dir, s, gap)
	}
}

// sameFrame reports whether an RST with the same numbers is r once more, captured on another interface. Reply
// RSTs and those of IPv6 have no identification: there the host must have forwarded it in between, as it
// would have answered two segments with the same time to live.
func (r *RSTRef) sameFrame(s *Segment) bool {
	if s.IPID != r.IPID {
		return false
	}
	if s.IPID != 0 {
		return s.Time-r.Time < 100*millisecond
	}
	return s.TTL == r.TTL()-1 && s.Time-r.Time < 10*millisecond && s.Window == r.Window && s.Options == r.Options
}

// refuse notes an RST that answers the peer's SYN.
func (t *Tracker) refuse(f *Flow, dir int, s *Segment) {
	m := &t.notes(f).Half[dir]
	m.Refusals = appendRef(m.Refusals, t.ref(s, f.stream, s.Seq))
	f.flags &^= flowSettled
	t.noteClose(f, s)
}

// noteClose notes that the connection closes, or that something new belongs to its close.
func (t *Tracker) noteClose(f *Flow, s *Segment) {
	at := max(min(s.Time, t.now), t.now-maxMissing) // it may have waited; a wrong stamp does not count
	if f.flags&flowClosing == 0 || f.flags&flowSettled != 0 {
		t.noteArena[f.notes].CloseTime = at
	}
	f.flags |= flowClosing
	f.flags &^= flowSettled
	t.arm(f, t.closeDue(f, at))
}

// delaySettling lets a closing flow wait for more, since something came.
func (t *Tracker) delaySettling(f *Flow) {
	if f.flags&(flowClosing|flowSettled) == flowClosing {
		t.arm(f, t.closeDue(f, t.now))
	}
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

// idleAt is the time since the newest payload octet of either side, ns; -1: none.
func (f *Flow) idleAt(now int64) int64 {
	last := int64(-1)
	for i := range f.Half {
		if l := &f.recent[i]; l.newestFrame != 0 && l.newestTime > last {
			last = l.newestTime
		}
	}
	if last < 0 {
		return -1
	}
	return max(now-last, 0)
}

// linger is how long after the newest segment of a close more of it may come, ns: four round
// trips within bounds, for a FIN needs two and one may be lost; longer while what answers a
// request, even an RST, may wait for the request's retransmission.
func (t *Tracker) linger(f *Flow) int64 {
	if _, target := f.Sides(); f.flags&flowEstablished == 0 && target.SentSYN() {
		// The LB's host reset the SYN-ACK: does the LB send its SYN again?
		return min(t.Notes(f).Half[f.LB()].Patience(), lingerSYN)
	}
	if f.flags&(flowEstablished|flowWaiting) != flowEstablished {
		return lingerMax // refused: it may be tried again with the same SYN; or something is missing
	}
	if lb, target := f.Sides(); lb.Outstanding() && !target.HadReceived(f.recent[f.LB()].turn.Seq) && t.Notes(f).Half[1-f.LB()].NRST == 0 {
		return lingerMax
	}
	return min(max(4*f.RTT(), lingerMin), lingerMax)
}

// closeDue is when a closing flow may be judged if nothing more comes.
func (t *Tracker) closeDue(f *Flow, now int64) int64 {
	if f.flags&flowEstablished == 0 {
		return now + t.linger(f)
	}
	return min(now+t.linger(f), t.Notes(f).CloseTime+lingerMax)
}

// isOver reports whether nothing more can come of the connection.
func (t *Tracker) isOver(f *Flow) bool {
	m := t.Notes(f)
	return f.flags&flowReset != 0 || m.Half[0].FIN.Set() && m.Half[1].FIN.Set() ||
		f.flags&flowEstablished == 0
}

// onTimer does what is due with a flow and arms it again if more is to come.
func (t *Tracker) onTimer(f *Flow) {
	switch {
	case f.flags&flowDetached != 0:
		if quiet := f.LastTime + t.linger(f); f.flags&flowClosing != 0 && f.flags&flowSettled == 0 && t.now < min(quiet, t.Notes(f).CloseTime+lingerMax) {
			t.arm(f, t.closeDue(f, f.LastTime))
			return
		}
		t.expire(f)
		return
	case f.flags&flowClosing != 0:
		if f.flags&flowSettled == 0 {
			if at := t.closeDue(f, f.LastTime); t.now < at {
				t.arm(f, at)
				return
			}
			t.settle(f)
		}
		if t.isOver(f) {
			t.expire(f)
			return
		}
		// One side has closed and the other has not: look once more, much later.
		if f.flags&flowLastCheck == 0 {
			if at := t.Notes(f).CloseTime + lastCheck; t.now < at {
				t.arm(f, at)
				return
			}
			f.flags |= flowLastCheck
			t.fire(Settled, f, 0, nil)
		}
	case f.flags&flowEstablished == 0:
		lb, target := f.Sides()
		m := &t.Notes(f).Half[f.LB()]
		at := f.LastTime + handshakeMax
		if lb.SentSYN() && !target.SentSYN() && len(m.SYNs) > 0 {
			at = m.SYNs[len(m.SYNs)-1].Time + m.Patience()
			if len(m.SYNs) > 1 {
				at += 2 * m.Patience() // the capture may lack a copy: wait for the one after it too
			}
			if e := m.SYNUnreachable(); e != nil {
				at = e.Time + icmpSYN
			}
		}
		if t.now < at {
			t.arm(f, at)
			return
		}
		t.expire(f)
		return
	case f.flags&flowRevived != 0 && f.recent[0].turnFrame|f.recent[1].turnFrame == 0:
		if t.now-f.LastTime >= lingerMax {
			t.expire(f)
			return
		}
		t.arm(f, f.LastTime+lingerMax)
		return
	}
	t.checkStalled(f)
	t.checkUnacked(f)
	if f.HTTP2() {
		t.checkStreams(f)
	}
}

// settle says that what belongs to a handshake or a close has come.
func (t *Tracker) settle(f *Flow) {
	if f.flags&flowWaiting != 0 {
		t.flush(f)
	}
	if f.flags&flowSettled != 0 {
		return
	}
	f.flags |= flowSettled
	t.fire(Settled, f, 0, nil)
}

// settleAll settles every flow as it is when the capture ends, and says that it is gone.
func (t *Tracker) settleAll() (all []uint64) {
	t.flushAll()
	t.ended = true
	defer func() { t.ended = false }()
	all = t.byAge()
	t.eachOf(all, func(f *Flow) {
		if f.flags&flowWatched != 0 {
			t.settle(f)
		}
	})
	t.eachOf(all, func(f *Flow) {
		t.fire(Gone, f, 0, nil)
		t.finishStats(f)
	})
	return all
}

// eachOf calls fn with the flows that byAge has named. Some are touched in one go, as in prepare.
func (t *Tracker) eachOf(all []uint64, fn func(*Flow)) {
	for some := range slices.Chunk(all, prepareSize) {
		for _, x := range some {
			t.prepared.sum += t.flows.at(uint32(x)).touch()
		}
		for _, x := range some {
			fn(t.flows.at(uint32(x)))
		}
	}
}

// byAge are the places of all flows, the oldest first, below their stream numbers. Sorting
// does not touch the flows, which are far apart in memory.
func (t *Tracker) byAge() []uint64 {
	all := make([]uint64, 0, t.nflows)
	t.Each(func(f *Flow) { all = append(all, uint64(f.stream)<<32|uint64(f.index)) })
	slices.Sort(all)
	return all
}
