package tcpstate

// lookup finds or makes the flow of a segment and gives it Wireshark's stream number:
// a new number for a new pair of endpoints, and for a SYN whose sequence number is not
// the base of its direction (packet-tcp.c, conversation handling of 4.0).
func (t *Tracker) lookup(s *Segment, q *query) (*Flow, int) {
	dir := int(q.dir)
	f := t.find(q, s)
	if f == nil {
		f = t.revive(q, s)
	} else if f.flags&flowStale != 0 && !f.Half[dir].isOther(s) {
		t.renumber(f)
	}
	switch s.Flags & (SYN | ACK) {
	case SYN:
		switch h := &f.Half[dir]; {
		case !h.isOther(s):
		case h.SentSYN() && t.synSeq(f, dir) == s.Seq:
			t.renumber(f) // the same, whose first SYN is in the capture before
		default:
			f = t.supersede(f, q, s)
		}
	case SYN | ACK:
		if h := &f.Half[dir]; h.flags&flagBase != 0 {
			h.ISN = s.Seq
		}
	}
	if h, p := f.halves(dir); h.flags&p.flags&flagBase == 0 && !s.Quoted && !s.NoLength {
		h.learnBase(p, s)
	}
	return f, dir
}

// isKnown reports whether f, which may be nil, is the flow that a query of IPv4 asks for with
// segment s, and lookup would do nothing else but find it: its numbers are known, and s begins
// no other one.
func (f *Flow) isKnown(q *query, s *Segment) bool {
	return f != nil && f.flags&(flowLive|flowDetached|flowV6|flowStale) == flowLive && f.key == q.key && !q.v6 &&
		s.Flags&SYN == 0 && f.Half[0].flags&f.Half[1].flags&flagBase != 0
}

// find returns the flow that a query asks for with segment s; nil when there is none.
func (t *Tracker) find(q *query, s *Segment) *Flow {
	x := &t.index
	for p := x.home(q.hash); ; p = x.next(p) {
		switch e := x.slots[p]; {
		case e.place == 0:
			return nil
		case e.hash == q.hash:
			if f := t.flows.at(e.place - 1); q.matches(&f.key, f.flags&flowV6 != 0, &t.v6, s) {
				return f
			}
		}
	}
}

// learnBase sets the base of a direction by the first segment that tells it.
func (h *Half) learnBase(p *Half, s *Segment) {
	if h.flags&flagBase == 0 {
		h.flags |= flagBase
		h.ISN = s.Seq - 1
		if s.Flags&SYN != 0 {
			h.ISN = s.Seq
		}
	}
	if p.flags&flagBase == 0 && s.Flags&ACK != 0 && s.Src != s.Dst {
		p.flags |= flagBase
		p.ISN = s.Ack - 1
	}
}

// isOther reports whether a segment is the SYN of another incarnation.
func (h *Half) isOther(s *Segment) bool {
	return s.Flags&(SYN|ACK) == SYN && h.flags&flagBase != 0 && h.ISN != s.Seq
}

// revive makes the flow of two endpoints that have none now. If they had one before, the
// number goes on unless a SYN begins another.
func (t *Tracker) revive(q *query, s *Segment) *Flow {
	r, old := t.retired.remove(q, s) // before it makes room for another
	f := t.newFlow(q, s)
	if !old {
		t.doubtNumber(s)
		f.stream = t.newStream()
		return f
	}
	f.stream = r.stream
	for i := range f.Half {
		if r.flags&(retiredBase<<i) != 0 {
			f.Half[i].ISN, f.Half[i].flags = r.base[i], flagBase
		}
	}
	if r.flags&retiredFIN != 0 && s.Flags&RST != 0 {
		t.RSTAfterFIN++
	}
	f.flags |= flowRevived
	return f
}

// supersede gives two endpoints to a new incarnation. The old one stays in the arena, out
// of the index, until it has settled.
func (t *Tracker) supersede(f *Flow, q *query, s *Segment) *Flow {
	t.index.remove(f.index, f.hash())
	f.flags |= flowDetached
	old, keep := f.index, f.flags&(flowWatched|flowWaiting) != 0
	if !keep {
		t.forget(f)
	}
	g := t.newFlow(q, s)
	g.stream = t.newStream()
	if f = t.flows.at(old); !keep || f.flags&flowDetached == 0 {
		return g // for want of room it was the old one that had to go
	}
	t.inherit(g, f, int(q.dir), s.Seq)
	if f.flags&flowWatched == 0 {
		t.forget(f)
		return g
	}
	g.flags |= flowHasPrevious
	t.previous[g.index], t.next[old] = old, g.index
	t.arm(f, t.now+lingerMin)
	return g
}

// unlink lets the incarnation before a flow have no more segments.
func (t *Tracker) unlink(f *Flow) {
	if f.flags&flowHasPrevious != 0 {
		f.flags &^= flowHasPrevious
		delete(t.next, t.previous[f.index])
		delete(t.previous, f.index)
	}
}

// renumber gives a flow that lives on from an earlier capture its number in this one.
func (t *Tracker) renumber(f *Flow) {
	if f.recent[0].newestFrame|f.recent[1].newestFrame != 0 {
		t.markRenumbered(f)
	}
	f.flags &^= flowStale
	f.stream = t.newStream()
	f.Half[0].flags &^= flagBase
	f.Half[1].flags &^= flagBase
}

// newFlow makes the flow that a query asks for with segment s. There must be none.
func (t *Tracker) newFlow(q *query, s *Segment) *Flow {
	for tries := 0; tries < 2 && t.nflows+t.http2Flows() >= t.cfg.MaxFlows; tries++ {
		t.evict()
	}
	i := t.flows.alloc()
	f := t.flows.at(i)
	*f = Flow{} // cleared in place: a literal with values is made elsewhere and copied
	f.key = t.v6.makeKey(q, s)
	f.index, f.flags = i, flowLive
	if q.v6 {
		f.flags |= flowV6
	}
	f.LastTime = s.Time
	t.nflows++
	t.index.add(i, q.hash)
	return f
}

// forget gives up a flow's place; its number stays among the retired unless a new
// incarnation has its endpoints.
func (t *Tracker) forget(f *Flow) {
	if f.flags&flowDetached == 0 {
		t.index.remove(f.index, f.hash())
		if f.flags&flowStale == 0 {
			t.retire(f)
		}
	} else if h, ok := t.next[f.index]; ok {
		t.unlink(t.flows.at(h))
	}
	t.unlink(f)
	if f.flags&flowRenumbered != 0 {
		delete(t.renumbered, f.index)
	}
	t.finishStats(f)
	if f.flags&flowWaiting != 0 {
		t.discard(f)
	}
	t.dropNotes(f)
	t.heads.drop(f)
	if f.HTTP2() {
		t.dropHTTP2(f)
	}
	f.framing.Reset(&t.carries)
	if f.flags&flowV6 != 0 {
		t.v6.release(f.key.lo)
	}
	f.flags = 0
	f.due = 0
	t.nflows--
	t.flows.release(f.index)
}

// expire settles a flow and forgets it.
func (t *Tracker) expire(f *Flow) {
	if f.flags&flowWaiting != 0 {
		t.flush(f)
	}
	if f.flags&flowWatched != 0 {
		t.settle(f)
	}
	t.fire(Gone, f, 0, nil)
	t.forget(f)
}

// evict forgets the most idle of a handful of flows. The retired keep its number.
func (t *Tracker) evict() {
	var worst *Flow
	for tries := 0; tries < 4096 && (worst == nil || tries < 16); tries++ {
		if f := t.nextPlace(); f.flags&flowLive != 0 && (worst == nil || f.LastTime < worst.LastTime) {
			worst = f
		}
	}
	if worst == nil {
		return
	}
	t.Evicted++
	t.expire(worst)
}

// sweep looks at a few old places of the arena and retires what has been idle longer
// than any pool keeps a connection.
func (t *Tracker) sweep() {
	if t.flows.made == 0 {
		return
	}
	for range 16 {
		if f := t.nextPlace(); f.flags&flowLive != 0 && t.now-f.LastTime > idleRetire {
			t.expire(f)
		}
	}
}

// nextPlace is the flow at the next place of the arena; behind the last comes the first.
func (t *Tracker) nextPlace() *Flow {
	if t.sweepAt++; t.sweepAt >= t.flows.made {
		t.sweepAt = 0
	}
	return t.flows.at(t.sweepAt)
}

// hash is that of the flow's key.
func (f *Flow) hash() uint32 {
	if f.flags&flowV6 != 0 {
		return f.key.v6Hash()
	}
	return f.key.hash()
}

// Endpoint is one end of a flow: 0 or 1.
func (t *Tracker) Endpoint(f *Flow, i int) Endpoint {
	return Endpoint{t.v6.addrs(&f.key, f.flags&flowV6 != 0)[i], f.key.port(i)}
}

// Flow returns the flow at an index, nil if there is none now.
func (t *Tracker) Flow(i uint32) *Flow {
	if i >= t.flows.made {
		return nil
	}
	f := t.flows.at(i)
	if f.flags&flowLive == 0 {
		return nil
	}
	return f
}

// Each calls fn with every flow in the table.
func (t *Tracker) Each(fn func(*Flow)) {
	for i := range t.flows.made {
		if f := t.flows.at(i); f.flags&flowLive != 0 {
			fn(f)
		}
	}
}

// Live is the number of flows in the table.
func (t *Tracker) Live() int { return t.nflows }

// prepareSize is how many segments are prepared at once.
const prepareSize = 64

// prepared are the queries of segments whose flows have been touched.
type prepared struct {
	queries [prepareSize]query
	hashes  [prepareSize]uint32 // theirs
	sum     uint32              // keeps the reads alive
}

// touch reads from the lines of a flow that most have a look at, so that the processor fetches those of several flows
// at once.
func (f *Flow) touch() uint32 { return uint32(f.flags) + uint32(f.framing.Protocol()) }

// prepare makes the queries of segments and touches what they will need. Nothing is decided by what
// was touched in the same loop: the processor would have to wait for it, and could not go on to the
// next miss.
func (t *Tracker) prepare(segs []Segment) []query {
	p := &t.prepared
	queries := p.queries[:len(segs)]
	x := t.index
	sum := uint32(0)
	for i := range queries {
		q := &queries[i]
		queryOf(&segs[i], q)
		p.hashes[i] = q.hash
		sum += x.slots[x.home(q.hash)].hash
	}
	for i := range queries {
		q := &queries[i]
		place := uint32(0)
		if e := &x.slots[x.home(q.hash)]; e.hash == q.hash {
			place = e.place // mostly it lies there
		} else {
			place = x.first(q.hash)
		}
		if place == 0 {
			q.flow = nil
			continue
		}
		f := t.flows.at(place - 1)
		q.flow = f
		sum += f.touch()
		if segs[i].Len > 0 {
			sum += uint32(f.recent[0].newestTime) + f.recent[1].newestLen
		}
	}
	p.sum = sum
	return queries
}
