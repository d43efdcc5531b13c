package tcpstate

// retiredFlow is what remains of a forgotten flow: enough to number its late segments
// and a new use of its ports as Wireshark does. It is 32 octets.
type retiredFlow struct {
	key       key
	base      [2]Seq
	stream    uint32
	retiredAt uint32 // in this second of the capture's time
	flags     uint32
}

const (
	retiredBase = 1 << iota // base[0] is valid; the next bit: base[1] is
	_                       //
	retiredFIN              // a FIN was seen: late RSTs count as RSTs after a FIN
	retiredV6               // key stands for IPv6 addresses
)

// retired holds what is kept of forgotten flows, a bounded number: an old one makes room.
type retired struct {
	flows  arena[retiredFlow]
	index  index
	v6     v6pairs
	oldest uint32 // where to look for an old one

	dropped      bool // one was dropped to make room
	droppedYoung bool // so soon that its connection may not have been over
	silent       ends // of those dropped: who had not told where its numbers begin
}

// ends is a set of endpoints that may hold others, too.
type ends [1 << 10]uint64

func (x *ends) bit(e Endpoint) (word *uint64, bit uint64) {
	h := e.hash()
	return &x[h>>6%uint32(len(x))], 1 << (h % 64)
}

func (x *ends) add(e Endpoint) {
	word, bit := x.bit(e)
	*word |= bit
}

func (x *ends) has(e Endpoint) bool {
	word, bit := x.bit(e)
	return *word&bit != 0
}

// youngFor is how long a SYN may still be repeated, in seconds: the sixth time on Linux
// comes after 63, the pause behind it ends after 127.
const youngFor = 130

func (x *retiredFlow) hash() uint32 {
	if x.flags&retiredV6 != 0 {
		return x.key.v6Hash()
	}
	return x.key.hash()
}

// remove removes and returns the retired flow that a query asks for with segment s, if there
// is one.
func (g *retired) remove(q *query, s *Segment) (r retiredFlow, ok bool) {
	if g.index.n == 0 {
		return r, false
	}
	x := &g.index
	for p := x.home(q.hash); x.slots[p].place != 0; p = x.next(p) {
		if x.slots[p].hash != q.hash {
			continue
		}
		i := x.slots[p].place - 1
		if o := g.flows.at(i); q.matches(&o.key, o.flags&retiredV6 != 0, &g.v6, s) {
			r = *o
			g.unindex(i)
			g.flows.release(i)
			return r, true
		}
	}
	return r, false
}

// unindex makes a retired flow unfindable. Its place stays taken.
func (g *retired) unindex(i uint32) {
	x := g.flows.at(i)
	g.index.remove(i, x.hash())
	if x.flags&retiredV6 != 0 {
		g.v6.release(x.key.lo)
	}
}

// add adds a retired flow, whose endpoints must have none. There is room for most.
func (g *retired) add(r retiredFlow, addrs addrPair, most int) {
	if r.flags&retiredV6 != 0 {
		r.key.lo = g.v6.alloc()
		*g.v6.at(r.key.lo) = addrs
	}
	i := g.place(r.retiredAt, uint32(most))
	*g.flows.at(i) = r
	g.index.add(i, r.hash())
}

// place finds a place for a retired flow: a free one, a new one, or an old one's.
func (g *retired) place(now, most uint32) uint32 {
	if len(g.flows.unused) > 0 || g.flows.made < most {
		return g.flows.alloc()
	}
	// Places are taken in order, but those that became free in between: of a few the oldest.
	i := g.oldest
	for range min(8, most) {
		if g.oldest++; g.oldest == most {
			g.oldest = 0
		}
		if j := g.oldest; g.flows.at(j).retiredAt-g.flows.at(i).retiredAt > 1<<31 { // serial numbers
			i = j
		}
	}
	g.oldest = (i + 1) % most
	g.noteDropped(g.flows.at(i), now)
	g.unindex(i)
	return i
}

// noteDropped notes what may come of a retired flow that is being dropped.
func (g *retired) noteDropped(r *retiredFlow, now uint32) {
	g.dropped = true
	// What was retired in the future was so before the clock was set back.
	g.droppedYoung = g.droppedYoung || int32(now-r.retiredAt) < youngFor
	for i, addr := range g.v6.addrs(&r.key, r.flags&retiredV6 != 0) {
		if r.flags&(retiredBase<<i) == 0 {
			g.silent.add(Endpoint{addr, r.key.port(i)})
		}
	}
}

// mayGoOn reports whether the first segment of what looks like a new connection may belong to
// one that was dropped. A SYN begins another one, unless it is repeated, or the first of a side
// that had been silent. That a SYN has the number of an older one by chance is left out.
func (g *retired) mayGoOn(s *Segment) bool {
	return g.droppedYoung || g.dropped && (s.Flags&(SYN|ACK) != SYN || g.silent.has(s.Src))
}

// setBack says that the clock was wrong: how old those were that were dropped is not known.
func (g *retired) setBack() { g.droppedYoung = g.dropped }

// shift moves the times of all by seconds.
func (g *retired) shift(by uint32) {
	for i := range g.flows.made {
		g.flows.at(i).retiredAt += by
	}
}

// retire keeps what is needed of a flow that is being forgotten.
func (t *Tracker) retire(f *Flow) {
	r := retiredFlow{key: f.key, stream: f.stream, retiredAt: uint32(t.now / second)}
	if f.flags&flowClosing != 0 {
		r.flags |= retiredFIN
	}
	for i := range f.Half {
		if r.base[i] = f.Half[i].ISN; f.Half[i].flags&flagBase != 0 {
			r.flags |= retiredBase << i
		}
	}
	var addrs addrPair
	if f.flags&flowV6 != 0 {
		r.flags |= retiredV6
		addrs = *t.v6.at(f.key.lo)
	}
	t.retired.add(r, addrs, t.cfg.MaxRetired)
}
