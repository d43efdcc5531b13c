package tcpstate

import "connrace/tcpstate/internal/framing"

// data accounts for the payload and the acknowledgment of a segment.
func (t *Tracker) data(f *Flow, dir int, s *Segment) {
	h, _ := f.halves(dir)
	if s.Len > 0 {
		t.payload(f, dir, s, s.Seq)
	} else {
		h.beginAt(s.Seq)
	}
	if s.Flags&ACK != 0 && (s.Ack.After(h.Ack) || h.flags&flagAck == 0) {
		t.acknowledge(f, dir, s)
	} else if s.Len == 0 {
		h.spoke(s)
	}
}

// acknowledge notes a new highest acknowledgment.
func (t *Tracker) acknowledge(f *Flow, dir int, s *Segment) {
	h, p := f.halves(dir)
	before, first := h.Ack, h.flags&flagAck == 0
	if f.flags&flowNoted != 0 {
		t.takeAnswer(f, dir, s)
	}
	h.Ack = s.Ack
	h.flags = h.flags&^flagShut | flagAck
	p.beginAt(s.Ack)
	if f.flags&(flowNoted|flowClosing) == 0 {
		return
	}
	m, changed := &t.noteArena[f.notes].Half[1-dir], false
	if turn := f.recent[1-dir].turn.Seq; p.HasTurn() && s.Ack.After(turn) {
		t.noteTurnAcked(f, m, s)
		changed = f.Stalled() && (first || !before.After(turn))
	}
	if fin := m.FIN.Seq; m.FINRepeated() && s.Ack.After(fin) {
		changed = changed || first || !before.After(fin)
	}
	if changed {
		t.fire(StallChanged, f, 1-dir, s)
	}
}

// payload accounts for a segment's payload; seq is the number of its first octet. Most
// segments continue the body of a message and change only what is newest.
func (t *Tracker) payload(f *Flow, dir int, s *Segment, seq Seq) {
	h, _ := f.halves(dir)
	if f.flags&flowPayload == 0 && (uint32(len(s.Payload)) == s.Len || framing.Decides(f.side(dir), s.Payload)) {
		f.flags |= flowPayload
	}
	end := seq.Add(s.Len)
	h.beginAt(seq)
	if end.AtOrBefore(h.Nxt) {
		t.repeated(f, dir, s, seq, end)
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
		t.advance(f, dir, s, at, end) // inside of a body: nothing begins
		return
	}
	var v content
	t.classify(&v, f, sd, s, h.Nxt, at)
	t.newBytes(f, dir, s, at, end, &v)
}

// newBytes records octets [at, end) of s that extend the stream; v says what the framing made
// of them.
func (t *Tracker) newBytes(f *Flow, dir int, s *Segment, at, end Seq, v *content) {
	h, p := f.halves(dir)
	if v.control != 0 {
		t.noteControl(f, dir, s, at, v)
		h.Nxt = end
		return
	}
	if v.begins {
		at = v.at
	}
	if f.flags&flowNoted != 0 {
		t.forgetNotify(f, dir)
	}
	if p.Outstanding() && s.Flags&ACK != 0 && s.Ack.After(f.recent[dir&1^1].turn.Seq) && (!v.known || v.answers) {
		t.beginAnswer(f, dir, s, at)
	}
	if v.begins && !v.byTurn || (!v.known || v.begins) && t.beginsTurn(f, dir, s, at) {
		t.beginTurn(f, dir, s, at, v.head)
	} else if h.Outstanding() {
		if f.notes != 0 {
			t.notes(f).Half[dir].Continuation = t.ref(s, f.stream, at)
		}
		t.sentBefore(f, dir, s.Ack)
		if dir == f.LB() {
			t.heads.extend(f, s, at)
		}
	}
	t.advance(f, dir, s, at, end)
	if f.head != 0 && dir != f.LB() && f.flags&flowClosing == 0 && p.Answered() && !f.framing.Unfinished(framing.Answers) && !f.framing.Unfinished(framing.Requests) &&
		(f.notes == 0 || t.noteArena[f.notes].Half[f.LB()].NCopies == 0) {
		t.heads.drop(f) // the exchange is complete, nothing will be said of a request that did not have to be sent again
	}
}

// advance records new octets [at, end), whatever they mean.
func (t *Tracker) advance(f *Flow, dir int, s *Segment, at, end Seq) {
	h, p := f.halves(dir)
	h.Nxt = end
	h.flags &^= flagPeerReply
	t.setNewest(f, dir, s, at)
	if p.flags&flagPeerReply == 0 && s.Flags&ACK != 0 && s.Ack.AtOrAfter(p.Nxt) {
		p.peerReply = at
		p.flags |= flagPeerReply
	}
}

// beginsTurn reports whether the new octets of a segment begin a new turn of their side, by
// direction and acknowledgment alone: the peer has sent an octet when it had all octets before
// these, and this side had received that octet; or they are the connection's first.
func (t *Tracker) beginsTurn(f *Flow, dir int, s *Segment, at Seq) bool {
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

// beginTurn begins a new turn with the octets of s from at on, of which the first head ones are
// the head of a request, if that is known.
func (t *Tracker) beginTurn(f *Flow, dir int, s *Segment, at Seq, head uint32) {
	h, p := f.halves(dir)
	if f.flags&flowNoted != 0 && s.Flags&ACK != 0 {
		t.takeAnswer(f, dir, s) // before its turn is forgotten
	}
	if h.HasTurn() && h.flags&flagAnswered != 0 {
		h.flags |= flagUsed
	}
	n := s.Seq.Add(s.Len).Sub(at)
	if framing.IsAlertSize(n) && f.MayBeTLS() && h.HasTurn() {
		m := &t.notes(f).Half[dir]
		m.PrevTurn, m.PrevAnswered, m.PrevAnswer = t.turnRef(f, dir), h.Answered(), h.AnswerSeq
	}
	h.flags = h.flags&^(flagAnswered|flagInferred) | flagTurn
	if s.Ack.After(p.Nxt) && p.flags&flagCaptured != 0 {
		h.flags |= flagInferred
	}
	t.setTurn(f, dir, s, at)
	h.flags &^= flagTurnLow
	last := &f.recent[dir&1^1]
	replied := last.newestFrame != 0
	if h.Nxt.Before(at) && s.Seq.After(h.Nxt) && !(replied && last.newest.Ack == at && s.Ack.After(last.newest.Seq)) {
		h.flags |= flagTurnLow // else the peer had answered what is missing
		t.notes(f).Half[dir].TurnLow = h.Nxt
	}
	if f.flags&flowPayload == 0 && h.flags&flagTurnLow == 0 && at == s.Seq &&
		framing.IsFrameSize(f.side(dir), n, replied && s.Ack.After(last.newest.Seq)) {
		f.flags |= flowUnread
	}
	if f.flags&flowNoted != 0 {
		m := &t.noteArena[f.notes].Half[dir]
		m.Copies, m.NCopies, m.TurnAcked, m.Continuation = m.Copies[:0], 0, SegRef{}, SegRef{}
		if m.Resent.frame != m.PrevTurn.frame {
			m.Resent = SegRef{}
		}
	}
	if replied && last.newest.Ack.After(at) && Flags(last.newestFrame)&ACK != 0 {
		// The answer came before what it answers: of that only a repetition was captured.
		h.AnswerSeq = last.newest.Seq
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
	if replied {
		gap = s.Time - last.newestTime
	}
	if f.framing.Unfinished(framing.Answers) && s.Ack == p.Nxt {
		f.framing.LoseSync(framing.Answers, &t.carries) // the LB took the answer for complete
	}
	if f.framing.Protocol() != framing.HTTP2 {
		t.heads.keep(f, s, at)
	}
	t.arm(f, s.Time+stallAfter)
	t.ev.Head = int(head)
	t.fireGap(RequestBegan, f, dir, s, gap)
}

// beginAnswer notes that side dir answers its peer's turn with the octets of s from at on.
func (t *Tracker) beginAnswer(f *Flow, dir int, s *Segment, at Seq) {
	h, p := f.halves(dir)
	p.AnswerSeq = at
	p.flags |= flagAnswered
	if dir == f.LB() {
		return
	}
	if turn := f.recent[1-dir].turn.Seq; f.flags&flowNoted != 0 && !h.HadReceived(turn) {
		t.noteTurnAcked(f, &t.noteArena[f.notes].Half[1-dir], s) // its acknowledgment is accounted for behind its octets
	}
	t.fire(AnswerBegan, f, dir, s)
	if f.notes != 0 && t.nothingNoted(f) {
		t.dropNotes(f)
	}
}

// repeated accounts for a segment all of whose octets lie below Nxt: a retransmission, a
// duplicate, or one that the path or the capture put out of order.
func (t *Tracker) repeated(f *Flow, dir int, s *Segment, seq, end Seq) {
	h := &f.Half[dir]
	if h.flags&flagHoles != 0 {
		h.fillHole(&t.notes(f).Half[dir], seq, end)
	}
	t.noteUnacked(f, dir, s, seq, end)
	d := &f.recent[dir]
	if d.turnFrame == 0 {
		return
	}
	if seq.After(d.turn.Seq) || end.AtOrBefore(d.turn.Seq) {
		return
	}
	if s.Ack.Before(d.turn.Ack) || s.Ack == d.turn.Ack && seq == d.turn.Seq && s.Time < d.turnTime {
		// Sent before the copy known so far: the first transmission.
		// The acknowledgments of one side only grow.
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
		if m.NCopies == 1 && f.Stalled() && dir == f.LB() {
			t.fire(StallChanged, f, dir, s)
		}
	}
}

// noteControl records octets that are neither request nor answer: TLS set-up, an alert, what
// announces a close.
func (t *Tracker) noteControl(f *Flow, dir int, s *Segment, at Seq, v *content) {
	what := v.control
	if what == setupOnly {
		t.setNewest(f, dir, s, at)
		return
	}
	m := &t.notes(f).Half[dir]
	if !m.Notify.Set() {
		m.Notify, m.NotifyKind, m.Alert = t.ref(s, f.stream, at), what, v.alert
	}
}

// content is what the framing says of a segment's new octets.
type content struct {
	verdict
	at      Seq    // where it begins; valid iff begins
	head    uint32 // octets of the request's head, as far as it was captured; 0: not known
	control NotifyKind
	alert   uint8 // the description of an alert in the clear, 0: none
}

type verdict struct {
	known   bool // it understands them; else only their direction speaks
	begins  bool // a request or an answer begins
	byTurn  bool // whether that is a new turn, the direction must say: TLS data
	answers bool // they answer the newest request
}

// classify feeds a segment's new octets, from at on, to the framing and fills v. next is the
// octet that was expected; those from it up to at are missing in the capture.
func (t *Tracker) classify(v *content, f *Flow, sd framing.Side, s *Segment, next, at Seq) {
	if n := at.Sub(next); n > 0 {
		t.skip(f, sd, next, uint32(n))
	}
	off := uint32(at.Sub(s.Seq))
	if s.Flags&SYN != 0 {
		off--
	}
	var p []byte
	if off < uint32(len(s.Payload)) {
		p = s.Payload[off:]
	}
	n := s.Len - off
	fr := &f.framing
	if uint32(len(p)) < n && len(p) < framing.Decisive && !framing.Decides(sd, p) {
		p = nil
	}
	if uint32(len(p)) < n && (fr.Protocol() == framing.HTTP1 || fr.Protocol() == framing.Unknown && fr.Sync(sd, p) && fr.Protocol() == framing.HTTP1) {
		if status, ok := fr.CutHead(sd, p, &t.carries); ok {
			v.known = true
			if sd == framing.Answers && status/100 == 5 {
				t.fire(ServerError, f, 1-f.LB(), s)
			}
			if status/100 != 1 {
				v.begins, v.at, v.answers, v.head = true, at, true, uint32(len(p))
			}
			return
		}
	}
	if uint32(len(p)) < n {
		if k := fr.CutRecord(p); k != framing.None {
			if v.control = setupOnly; k == framing.ClosingBegins {
				v.control = CloseNotify
			}
			return
		}
	}
	if !fr.Synced(sd) && !(len(p) > 0 && fr.Sync(sd, p)) {
		v.known = fr.Meaningless(sd, p)
		if fr.Protocol() == framing.HTTP2 {
			t.doubtStreams(f, int(sd)^f.LB())
		}
		return
	}
	fr.Upgrade(sd, p, &t.carries)
	if fr.Protocol() == framing.HTTP2 {
		t.classifyHTTP2(v, f, int(sd)^f.LB(), s, p, n, at)
		return
	}
	v.known = true
	switch fr.Inside(sd) {
	case framing.ClosingBegins:
		v.control = CloseNotify
	case framing.SetupBegins:
		v.control = setupOnly
	}
	data := false
	for {
		b, used := fr.Next(sd, p, n, &t.carries)
		if b.Kind == framing.None {
			break
		}
		p, n = p[min(int(used), len(p)):], n-used
		at = at.Add(used)
		switch b.Kind {
		case framing.MessageBegins:
			if b.Interim() {
				continue
			}
			if sd == framing.Answers && fr.Protocol() == framing.HTTP1 && b.Status == 408 && fr.Open() == 0 {
				v.control = RequestTimeout408
				continue
			}
			v.begins, v.at, v.head = true, at-Seq(b.Back), 0
			data = true
			v.answers = fr.AnswersNewest()
			if sd == framing.Answers && b.Status/100 == 5 {
				t.fire(ServerError, f, 1-f.LB(), s)
			}
		case framing.HeadEnds:
			if sd == framing.Requests && v.begins {
				v.head = uint32(at.Sub(v.at))
			}
			if sd == framing.Answers && !b.Interim() {
				f.flags &^= flowCloseAnnounced
				if b.Close {
					f.flags |= flowCloseAnnounced
				}
			}
		case framing.DataBegins:
			if sd == framing.Requests && fr.NoRequest(&b) {
				if v.control == 0 && !data {
					v.control = setupOnly
				}
				continue
			}
			if !v.begins {
				v.begins, v.at, v.byTurn = true, at-Seq(b.Back), true
			}
			v.answers, data = true, true
		case framing.SetupBegins:
			if v.control == 0 {
				v.control = setupOnly
			}
		case framing.ClosingBegins:
			v.control = CloseNotify
			if len(p) >= 7 && b.Back == 0 && b.Stream == 2 {
				v.alert = p[6]
			}
		case framing.SyncLost:
			if !v.begins && !data {
				v.known = fr.Meaningless(sd, p)
			}
		}
	}
	if data {
		v.control = 0
	}
}

// side is what a half does in the application protocol.
func (f *Flow) side(dir int) framing.Side {
	return framing.Side(dir^f.LB()) & 1
}

// checkStalled says, once, that the newest request has waited long, or waits for that.
func (t *Tracker) checkStalled(f *Flow) {
	if lb, _ := f.Sides(); !lb.Outstanding() || f.flags&flowStalled != 0 {
		return
	}
	if at := f.recent[f.LB()].turnTime + stallAfter; t.now < at {
		t.arm(f, at)
		return
	}
	f.flags |= flowStalled
	t.fire(RequestStalled, f, f.LB(), nil)
}
