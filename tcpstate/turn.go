package tcpstate

import "connrace/tcpstate/internal/framing"

// octets takes a segment's payload: seq is its first octet's number. Most segments are
// the next octets of a turn that goes on and change Nxt and Last only.
func (t *Tracker) octets(f *Flow, dir int, s *Segment, seq Seq) {
	h, _ := f.halves(dir)
	if len(s.Payload) > 0 {
		f.flags |= flowPayload
	}
	if uint32(len(s.Payload)) < s.Len {
		f.flags |= flowCut
	}
	end := seq.Add(s.Len)
	if h.flags&flagCaptured == 0 {
		h.Nxt = seq
		h.flags |= flagCaptured
	}
	if end.AtOrBefore(h.Nxt) {
		if h.flags&flagHoles != 0 && t.notes(f).Half[dir].beforeFIN(seq, end) {
			t.lateOctets(f, dir, s, seq, end)
			return
		}
		if h.flags&flagHoles != 0 && t.lateHead(f, dir, s, seq, end) {
			return
		}
		t.oldOctets(f, dir, s, seq, end)
		return
	}
	at := h.Nxt
	if seq.After(at) {
		h.openHole(&t.notes(f).Half[dir], at, seq)
		at = seq
	}
	if f.framing.Protocol() == framing.Unknown && f.Basis() >= ByHTTP && dir != f.LB() && framing.LooksLikeRequest(s.Payload) {
		t.setLB(f, dir, ByHTTP, s) // guessed wrong so far
	}
	sd := f.side(dir)
	if at == h.Nxt && f.framing.SkipBody(sd, uint32(end.Sub(at))) {
		t.carryOn(f, dir, s, at, end) // inside of a body: nothing begins
		return
	}
	var v sight
	t.see(&v, f, sd, s, h.Nxt, at)
	t.take(f, dir, s, at, end, &v)
}

// lateOctets takes octets that come behind the FIN that follows them: out of order.
func (t *Tracker) lateOctets(f *Flow, dir int, s *Segment, seq, end Seq) {
	h := &f.Half[dir]
	h.fillHole(&t.notes(f).Half[dir], seq, end)
	v := sight{verdict: verdict{known: true}}
	if sd := f.side(dir); !f.framing.Synced(sd) { // else the FIN has counted them
		v.known = false
		t.see(&v, f, sd, s, seq, seq)
	}
	nxt := h.Nxt
	t.take(f, dir, s, seq, end, &v)
	h.Nxt = nxt
}

// lateHead takes the first segment of a request that comes behind the next ones of it,
// which said nothing without (see mute); false: it is not one.
func (t *Tracker) lateHead(f *Flow, dir int, s *Segment, seq, end Seq) bool {
	h, sd := &f.Half[dir], f.side(dir)
	if sd != framing.Requests || f.framing.Protocol() != framing.HTTP1 || f.framing.Synced(sd) || !framing.LooksLikeRequest(s.Payload) ||
		!t.notes(f).Half[dir].HoleBetween(seq, end) || h.HasTurn() && f.sent[dir].turn.Seq.AtOrAfter(seq) {
		return false
	}
	nxt, rest := h.Nxt, t.last(f, dir)
	t.lateOctets(f, dir, s, seq, end)
	m := &t.notes(f).Half[dir]
	if m.FIN.Set() {
		nxt = m.FIN.Seq
	}
	t.skip(f, sd, uint32(max(nxt.Sub(end), 0)))
	if rest.Set() && rest.Seq.AtOrAfter(end) {
		m.Continuation = rest
		t.sentBefore(f, dir, rest.Ack)
	}
	return true
}

// sentBefore takes for what a side had seen when it began its turn what a later segment of
// the turn acknowledges, if that is less: then the first one captured is a retransmission.
func (t *Tracker) sentBefore(f *Flow, dir int, ack Seq) {
	if d := &f.sent[dir].turn; ack.Before(d.Ack) {
		t.notes(f).Half[dir].Resent = t.newestTurn(f, dir)
		d.Ack = ack
	}
}

// take takes octets not seen before, of which the framing says v.
func (t *Tracker) take(f *Flow, dir int, s *Segment, at, end Seq, v *sight) {
	h, p := f.halves(dir)
	if v.only != 0 {
		t.besides(f, dir, s, at, v.only)
		h.Nxt = end
		return
	}
	if v.begins {
		at = v.at
	}
	if f.flags&flowNoted != 0 {
		t.forgetNotify(f, dir)
	}
	if p.Outstanding() && s.Flags&ACK != 0 && s.Ack.After(f.sent[dir&1^1].turn.Seq) && (!v.known || v.answers) {
		t.answer(f, dir, s, at)
	}
	if v.begins && !v.byTurn || (!v.known || v.begins) && t.startsTurn(f, dir, s, at) {
		t.turn(f, dir, s, at, v.head)
	} else if h.Outstanding() {
		if f.notes != 0 {
			t.notes(f).Half[dir].Continuation = t.ref(s, f.stream, at)
		}
		if dir == f.LB() {
			t.heads.more(f, s, at)
		}
	}
	t.carryOn(f, dir, s, at, end)
	if f.head != 0 && dir != f.LB() && f.flags&flowClosing == 0 && p.Answered() && !f.framing.Unfinished(framing.Answers) && !f.framing.Unfinished(framing.Requests) {
		t.heads.drop(f) // the exchange is complete, nothing will be said of its request
	}
}

// carryOn takes new octets whatever they mean.
func (t *Tracker) carryOn(f *Flow, dir int, s *Segment, at, end Seq) {
	h, p := f.halves(dir)
	h.Nxt = end
	h.flags &^= flagPeerReply
	t.setLast(f, dir, s, at)
	if p.flags&flagPeerReply == 0 && s.Flags&ACK != 0 && s.Ack.AtOrAfter(p.Nxt) {
		p.peerReply = at
		p.flags |= flagPeerReply
	}
}

// besides takes octets that are neither request nor answer: TLS set-up, an alert, what
// announces a close.
func (t *Tracker) besides(f *Flow, dir int, s *Segment, at Seq, what NotifyKind) {
	if what == setUp {
		t.setLast(f, dir, s, at)
		return
	}
	m := &t.notes(f).Half[dir]
	if !m.Notify.Set() {
		m.Notify, m.NotifyKind = t.ref(s, f.stream, at), what
	}
}

// forgetNotify: more data follows, so what looked like the announcement of a close was
// none.
func (t *Tracker) forgetNotify(f *Flow, dir int) {
	m := &t.noteArena[f.notes].Half[dir]
	if m.NotifyKind == CloseNotify {
		m.Notify, m.NotifyKind = SegRef{}, NoNotify
	}
}

// startsTurn reports whether the new octets of a segment begin a new turn of their side
// (domain: the peer has sent an octet when it had all octets before these, and this
// side had seen it), or are the connection's first.
func (t *Tracker) startsTurn(f *Flow, dir int, s *Segment, at Seq) bool {
	h, p := f.halves(dir)
	if h.flags&flagPeerReply != 0 && s.Ack.After(h.peerReply) {
		return true
	}
	if s.Flags&ACK != 0 && p.flags&flagCaptured != 0 && s.Ack.Sub(p.Nxt) > 1 && h.HasTurn() {
		// It acknowledges octets of the peer that the capture does not have (yet):
		// most likely the answer to the turn before. One octet alone may be a FIN.
		return true
	}
	if dir != f.LB() {
		// The target answers a request that had not seen all of the answer before it.
		return p.Answered() && p.AnswerSeq == at && p.HasTurn()
	}
	if h.HasTurn() {
		return false
	}
	return f.BeginCaptured() || framing.LooksLikeRequest(s.Payload)
}

// turn begins a new turn with the octets of s from at on; head of them are the head of a
// request, if that is known.
func (t *Tracker) turn(f *Flow, dir int, s *Segment, at Seq, head uint32) {
	h, p := f.halves(dir)
	if h.HasTurn() && h.flags&flagAnswered != 0 {
		h.flags |= flagTwoTurns
	}
	if n := s.Seq.Add(s.Len).Sub(at); framing.IsAlertSize(n) && f.MayBeTLS() && h.HasTurn() {
		m := &t.notes(f).Half[dir]
		m.PrevTurn, m.PrevAnswered, m.PrevAnswer = t.newestTurn(f, dir), h.Answered(), h.AnswerSeq
	}
	h.flags = h.flags&^(flagAnswered|flagInferred) | flagTurn
	if s.Ack.After(p.Nxt) && p.flags&flagCaptured != 0 {
		h.flags |= flagInferred
	}
	t.setTurn(f, dir, s, at)
	h.flags &^= flagLow
	last := &f.sent[dir&1^1]
	heard := last.lastFrame != 0
	if h.Nxt.Before(at) && s.Seq.After(h.Nxt) && !(heard && last.last.Ack == at && s.Ack.After(last.last.Seq)) {
		h.flags |= flagLow // else the peer had answered what is missing
		t.notes(f).Half[dir].TurnLow = h.Nxt
	}
	if f.flags&flowNoted != 0 {
		m := &t.noteArena[f.notes].Half[dir]
		m.Copies, m.NCopies, m.TurnAcked, m.Continuation = m.Copies[:0], 0, SegRef{}, SegRef{}
		if m.Resent.frame != m.PrevTurn.frame {
			m.Resent = SegRef{}
		}
	}
	if heard && last.last.Ack.After(at) && Flags(last.lastFrame)&ACK != 0 {
		// The capture shows the answer before what it answers.
		h.AnswerSeq = last.last.Seq
		if p.HasTurn() && last.turn.Ack.After(at) {
			h.AnswerSeq = last.turn.Seq
		}
		h.flags |= flagAnswered
		if dir == f.LB() {
			f.framing.AnsweredBefore()
		}
	}
	if f.flags&flowNoted != 0 {
		t.noteArena[f.notes].Half[1-dir].forgetHoles(s.Ack) // this side has those octets
	}
	if dir != f.LB() {
		return
	}
	f.flags &^= flowStalled | flowDecided
	gap := int64(-1)
	if heard {
		gap = s.Time - last.lastTime
	}
	if f.framing.Unfinished(framing.Answers) && s.Ack == p.Nxt {
		f.framing.LoseSync(framing.Answers, &t.carries) // the LB took the answer for complete
	}
	t.heads.keep(f, s, at)
	t.arm(f, s.Time+stallAfter)
	t.ev.Head = int(head)
	t.fireGap(RequestBegan, f, dir, s, gap)
}

// answer notes that side dir answers its peer's turn with the octets of s from at on.
func (t *Tracker) answer(f *Flow, dir int, s *Segment, at Seq) {
	_, p := f.halves(dir)
	p.AnswerSeq = at
	p.flags |= flagAnswered
	if dir == f.LB() {
		return
	}
	t.fire(AnswerBegan, f, dir, s)
	if f.notes != 0 && t.plain(f) {
		t.dropNotes(f)
	}
}

// oldOctets takes a segment all of whose octets lie below Nxt: a retransmission, a
// duplicate, or one that the path or the capture put out of order.
func (t *Tracker) oldOctets(f *Flow, dir int, s *Segment, seq, end Seq) {
	h := &f.Half[dir]
	if h.flags&flagHoles != 0 {
		h.fillHole(&t.notes(f).Half[dir], seq, end)
	}
	d := &f.sent[dir]
	if d.turnFrame == 0 {
		return
	}
	switch {
	case seq.AtOrBefore(d.turn.Seq) && end.After(d.turn.Seq):
		if s.Ack.Before(d.turn.Ack) || s.Ack == d.turn.Ack && seq == d.turn.Seq && s.Time < d.turnTime {
			// Sent before the copy known so far: the first transmission (domain:
			// order each direction by ack).
			n := d.turnLen
			t.setTurn(f, dir, s, d.turn.Seq)
			d.turnLen = n
			return
		}
		if !h.Outstanding() {
			return
		}
		m := &t.notes(f).Half[dir]
		last := d.turnTime
		if n := len(m.Copies); n > 0 {
			last = m.Copies[n-1].Time
		}
		if s.Time-last >= copyApart {
			m.NCopies++
			if len(m.Copies) == maxCopies {
				m.Copies = append(m.Copies[:maxCopies-1], t.ref(s, f.stream, seq))
			} else {
				m.Copies = append(m.Copies, t.ref(s, f.stream, seq))
			}
		}
	case h.flags&flagLow != 0 && seq == t.TurnLow(f, dir) && seq.Before(d.turn.Seq) && h.Outstanding():
		// The turn's true beginning, behind its second segment.
		ack := d.turn.Ack
		t.setTurn(f, dir, s, seq)
		h.flags &^= flagLow
		t.sentBefore(f, dir, ack)
	}
}
