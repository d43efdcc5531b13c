package tcpstate

// sent are the two segments of a half that are always remembered: a SegRef each, without the
// stream, in an order that wastes no octet.
type sent struct {
	turnTime, lastTime   int64
	turnFrame, lastFrame uint64 // as SegRef.frame
	turn, last           place
	turnLen, lastLen     uint32
}

// setLast makes a segment the newest one with new octets, of which at is the first.
func (t *Tracker) setLast(f *Flow, dir int, s *Segment, at Seq) {
	d := &f.sent[dir&1]
	d.lastTime, d.lastFrame, d.last, d.lastLen = s.Time, t.frameOf(s), place{at, s.Ack}, s.lenFrom(at)
	if f.flags&flowOdd != 0 {
		t.setNumber(f, 2+dir)
	}
}

// setTurn makes a segment the first one of its side's newest turn, which begins at at.
func (t *Tracker) setTurn(f *Flow, dir int, s *Segment, at Seq) {
	d := &f.sent[dir&1]
	d.turnTime, d.turnFrame, d.turn, d.turnLen = s.Time, t.frameOf(s), place{at, s.Ack}, s.lenFrom(at)
	if f.flags&flowOdd != 0 {
		t.setNumber(f, dir)
	}
}

// setOdd says that what a flow sends from here on may have other stream numbers than what
// is remembered: another capture begins, or a new incarnation has the flow's endpoints.
// These numbers are kept apart: of the turns, then of the last segments.
func (t *Tracker) setOdd(f *Flow) {
	if f.flags&flowOdd == 0 {
		f.flags |= flowOdd
		t.odd[f.index] = [4]uint32{f.stream, f.stream, f.stream, f.stream}
	}
}

// setNumber notes that what is remembered there now has the flow's number of now.
func (t *Tracker) setNumber(f *Flow, i int) {
	o := t.odd[f.index]
	o[i] = f.stream
	t.odd[f.index] = o
}

// numberOf is the stream number of what is remembered, counted as in setOdd.
func (t *Tracker) numberOf(f *Flow, i int) uint32 {
	if f.flags&flowOdd != 0 {
		return t.odd[f.index][i]
	}
	return f.stream
}

// newestTurn is the first segment of the newest turn of half i: the first data the side sent
// after it had seen the peer answer (or speak). Its Ack is the lowest of all copies: what
// the side had seen when it first sent it.
func (t *Tracker) newestTurn(f *Flow, i int) SegRef {
	d := &f.sent[i&1]
	return SegRef{d.turnTime, d.turnFrame, d.turn, extent{d.turnLen, t.numberOf(f, i)}}
}

// last is, of half i, the newest segment with octets not seen before (TLS alerts left out).
func (t *Tracker) last(f *Flow, i int) SegRef {
	d := &f.sent[i&1]
	return SegRef{d.lastTime, d.lastFrame, d.last, extent{d.lastLen, t.numberOf(f, 2+i)}}
}

// Request is the LB's newest turn.
func (t *Tracker) Request(f *Flow) SegRef { return t.newestTurn(f, f.LB()) }

// Answer is the target's newest turn.
func (t *Tracker) Answer(f *Flow) SegRef { return t.newestTurn(f, 1-f.LB()) }

// NewestFromLB is the newest segment with octets of the LB.
func (t *Tracker) NewestFromLB(f *Flow) SegRef { return t.last(f, f.LB()) }

// NewestFromTarget is the newest segment with octets of the target.
func (t *Tracker) NewestFromTarget(f *Flow) SegRef { return t.last(f, 1-f.LB()) }

// TurnLow is where the newest turn of half i may have begun: below its first octet if the
// octets before that are missing in the capture.
func (t *Tracker) TurnLow(f *Flow, i int) Seq {
	if f.Half[i].flags&flagLow != 0 {
		return t.Notes(f).Half[i].TurnLow
	}
	return f.sent[i].turn.Seq
}
