package tcpstate

// The sequencer puts a flow's segments into the order in which things happened before the
// tracker looks at them. The queues of a network card, two taps that are merged and
// `-i any` hand over one direction late, by some milliseconds; what happened first, the
// acknowledgments tell: a segment that acknowledges octets of its peer came behind them,
// and one beyond a gap of its own side comes behind what fills the gap. Such a segment
// waits until what it came behind has been captured, or until it is clear that the
// capture lacks that. All others pass, at the cost of two comparisons.

// Bounds of waiting. A segment that there is no room for makes the one go that has waited
// longest.
const (
	maxSkew    = 10 * millisecond // how late the capture may hand over what was sent before
	maxMissing = 3 * second       // how long what was lost on the path may take to be sent again
	maxWaiting = 1 << 11          // segments
	maxOfSide  = 1 << 8           // segments of one side of a flow
	maxCopied  = 8 << 20          // octets of payload
	maxAhead   = 1 << 20          // how far behind its SYN a new incarnation's segments lie
)

// hold is why a segment waits.
type hold uint8

const (
	noHold     hold = iota
	behindPeer      // it acknowledges what the peer's segments that were captured do not hold
	behindGap       // octets of its own side before it are missing
	behindAll       // it does not say what it answers: a bare RST, an ACK that tells nothing new
)

// holds tells why segment s has to wait.
func (t *Tracker) holds(f *Flow, dir int, s *Segment) hold {
	h, p := f.halves(dir)
	switch {
	case s.Flags&(SYN|ACK) == SYN:
		return noHold
	case s.Flags&SYN != 0:
		if !p.SentSYN() || !s.Ack.After(t.synSeq(f, 1-dir)) || s.Ack.After(p.Nxt) || !h.SentSYN() && t.answersLaterSYN(f, dir, s) {
			return behindPeer
		}
		return noHold
	case s.Flags&(RST|ACK) == RST:
		return behindAll
	case s.Flags&RST != 0:
		if p.SentSYN() && !h.SentSYN() {
			return noHold // it refuses the SYN, or is of the connection before
		}
		if s.Seq == 0 {
			return behindPeer // as one that refuses a SYN
		}
	}
	if f.flags&flowBegun == 0 {
		// The capture began in the middle of the connection: what the other side sends next
		// tells whether this was first.
		if p.waiting == 0 || s.sawStartOf(&t.waiting.at(p.waiting).seg) {
			return behindPeer
		}
		return noHold
	}
	switch {
	case h.flags&flagCaptured != 0 && s.Seq.After(h.Nxt):
		return behindGap
	case s.Flags&ACK == 0:
	case h.flags&flagAck != 0 && s.Ack.AtOrBefore(h.Ack):
		if s.Flags == ACK && s.Len == 0 && s.Time-f.LastTime > copyApart {
			return behindAll // it answers something: a probe, or a SYN that met the old connection
		}
	case p.flags&flagArrived == 0 && h.flags&flagAck != 0 && s.Flags&FIN == 0: // and never will be
	case p.flags&flagCaptured == 0 && h.SentSYN():
		return behindPeer
	case p.flags&flagCaptured != 0 && s.Ack.After(p.Nxt):
		return behindPeer
	}
	return noHold
}

// answersLaterSYN reports whether a SYN-ACK answers a copy of the SYN that was not captured
// yet: by its TSecr (RFC 7323 §3.2), else by its coming when a repetition is due.
func (t *Tracker) answersLaterSYN(f *Flow, dir int, s *Segment) bool {
	syns := t.Notes(f).Half[1-dir].SYNs
	if len(syns) == 0 {
		return false
	}
	last := &syns[len(syns)-1]
	if s.HasTS && last.HasTS {
		return int32(s.TSEcr-last.TSVal) > 0
	}
	return s.Time-last.Time > second-maxSkew
}

// sequence accepts the next segment of a flow, or lets it wait for its turn.
func (t *Tracker) sequence(f *Flow, dir int, s *Segment) {
	opens := f.flags&(flowBegun|flowWaiting) == flowWaiting && s.Flags&(SYN|ACK) != SYN
	if (opens || t.holds(f, dir, s) != noHold) && (f.flags&flowBegun != 0 || t.watches(f)) {
		t.hold(f, dir, s)
	} else {
		t.accept(f, dir, s)
	}
	if f.flags&flowWaiting != 0 {
		t.proceed(f)
	}
}

// hold lets a segment wait.
func (t *Tracker) hold(f *Flow, dir int, s *Segment) {
	q := &t.waiting
	for q.n >= maxWaiting || q.n > 0 && q.copied+len(s.Payload) > maxCopied {
		t.hurry(t.flows.at(q.at(q.oldest()).flow))
	}
	h := &f.Half[dir&1]
	if q.length(h) >= maxOfSide {
		t.hurry(f)
	}
	i := uint16(q.segs.alloc() + 1)
	w := q.at(i)
	q.copied -= cap(w.buf)
	w.buf = append(w.buf[:0], s.Payload...)
	q.copied += cap(w.buf)
	w.seg, w.seg.Payload, w.seg.Frame = *s, w.buf, t.base+s.Frame
	w.flow, w.stream, w.dir = f.index, f.stream, uint8(dir)
	q.enqueue(i, false, timeAfter(t.now, maxSkew))
	t.calm = min(t.calm, q.due)
	q.insert(h, i)
	q.n++
	f.flags |= flowWaiting
}

// hurry makes room: of a flow the segment goes that is to go first.
func (t *Tracker) hurry(f *Flow) {
	t.waiting.hurried++
	t.release(f, t.first(f))
	t.proceed(f)
}

// release accepts a segment that waits.
func (t *Tracker) release(f *Flow, i uint16) {
	w := t.drop(f, i)
	own := f.stream
	if w.stream != own && f.flags&flowRenumbered == 0 {
		t.markRenumbered(f)
	}
	f.stream = w.stream // as Wireshark numbers this segment
	w.seg.Frame -= t.base
	t.accept(f, int(w.dir), &w.seg)
	f.stream = own
	t.giveWaiting(i)
}

// proceed accepts those of a flow's segments that need not wait any longer.
func (t *Tracker) proceed(f *Flow) {
	for f.flags&flowWaiting != 0 {
		best := uint16(0)
		for dir := range f.Half {
			if i := f.Half[dir].waiting; i != 0 && t.sooner(i, best) && t.holds(f, dir, &t.waiting.at(i).seg) == noHold {
				best = i
			}
		}
		if best == 0 {
			return
		}
		t.release(f, best)
	}
}

// sooner reports whether a segment was captured before another one; 0: there is none.
func (t *Tracker) sooner(i, than uint16) bool {
	return than == 0 || t.waiting.at(i).seg.Frame < t.waiting.at(than).seg.Frame
}

// first is the segment of a flow that is to go first when one must not wait any longer:
// one beyond a gap rather than one that waits for the other side, else one that the other
// side's acknowledges.
func (t *Tracker) first(f *Flow) uint16 {
	i, j := f.Half[0].waiting, f.Half[1].waiting
	if i == 0 || j == 0 {
		return i + j
	}
	a, b := &t.waiting.at(i).seg, &t.waiting.at(j).seg
	free, other := t.holds(f, 0, a) != behindPeer, t.holds(f, 1, b) != behindPeer
	if free == other {
		free, other = b.sawStartOf(a), a.sawStartOf(b)
	}
	if free && !other || free == other && t.sooner(i, j) {
		return i
	}
	return j
}

// sawStartOf reports whether a segment acknowledges the first octet of one of its peer.
func (s *Segment) sawStartOf(o *Segment) bool { return s.Flags&ACK != 0 && o.Seq.Before(s.Ack) }

// giveUp looks at the segment that is due first: what it waits for will not come, unless
// it was lost on the path.
func (t *Tracker) giveUp() {
	q := &t.waiting
	i := q.skewed.first
	if i == 0 || q.at(i).until > q.due {
		i = q.missing.first
	}
	w := q.at(i)
	f := t.flows.at(w.flow)
	if !w.missing && t.mayBeSentAgain(f, w) {
		q.dequeue(i)
		q.enqueue(i, true, timeAfter(t.now, maxMissing))
		return
	}
	q.lacking = q.lacking || t.lacks(f, w)
	for {
		j := t.first(f)
		t.release(f, j)
		if j == i || q.due > t.now {
			break
		}
	}
	t.proceed(f)
}

// lacks reports whether a segment waits for what the capture does not have although the other
// end does: octets that a segment acknowledges, or that were acknowledged.
func (t *Tracker) lacks(f *Flow, w *waiting) bool {
	h, p := f.halves(int(w.dir))
	if f.flags&flowBegun == 0 || h.flags&p.flags&flagArrived == 0 {
		return false
	}
	switch t.holds(f, int(w.dir), &w.seg) {
	case behindPeer:
		return p.flags&flagCaptured != 0
	case behindGap:
		return p.Ack.After(h.Nxt)
	}
	return false
}

// mayBeSentAgain reports whether what is missing before a segment was lost on the path, not
// by the capture: the other side has not acknowledged it.
func (t *Tracker) mayBeSentAgain(f *Flow, w *waiting) bool {
	q := &t.waiting
	h, p := f.halves(int(w.dir))
	if h.flags&flagCaptured == 0 || q.at(h.waiting).seg.Seq.AtOrBefore(h.Nxt) || w.seg.Flags&RST != 0 ||
		p.flags&flagArrived == 0 || p.flags&flagAck != 0 && p.Ack.After(h.Nxt) {
		return false
	}
	if p.waiting == 0 {
		return true
	}
	last := &q.at(q.at(p.waiting).prev).seg
	return !last.Flags.Has(ACK) || last.Ack.AtOrBefore(h.Nxt)
}

// flush accepts all segments of a flow that wait.
func (t *Tracker) flush(f *Flow) {
	for f.flags&flowWaiting != 0 {
		t.release(f, t.first(f))
		t.proceed(f)
	}
}

// flushAll accepts all segments that wait.
func (t *Tracker) flushAll() {
	for t.waiting.n > 0 {
		t.flush(t.flows.at(t.waiting.at(t.waiting.oldest()).flow))
	}
}

// discard forgets the segments of a flow that wait.
func (t *Tracker) discard(f *Flow) {
	for f.flags&flowWaiting != 0 {
		i := max(f.Half[0].waiting, f.Half[1].waiting)
		t.drop(f, i)
		t.giveWaiting(i)
	}
}

// inherit gives a new incarnation those waiting segments of the one before that belong to
// it: they acknowledge its SYN, or lie behind that.
func (t *Tracker) inherit(f, old *Flow, dir int, syn Seq) {
	q := &t.waiting
	for side := range old.Half {
		h := &old.Half[side]
		for i, n := h.waiting, q.length(h); n > 0; n-- {
			w := q.at(i)
			j := w.next
			x := w.seg.Seq
			if side != dir {
				x = w.seg.Ack
			}
			if x.After(syn) && x.Before(syn.Add(maxAhead)) && (side == dir || w.seg.Flags&ACK != 0) || side != dir && w.seg.Flags == ACK && w.seg.Len == 0 {
				q.remove(h, i)
				w.flow = f.index
				q.insert(&f.Half[side], i)
				f.flags |= flowWaiting
			}
			i = j
		}
	}
	if old.Half[0].waiting|old.Half[1].waiting == 0 {
		old.flags &^= flowWaiting
	}
	t.flush(old)
}
