package tcpstate

import "slices"

// retiredFlow is what remains of a forgotten flow: enough to number its late segments
// and a new use of its ports as Wireshark does. It is 32 octets.
type retiredFlow struct {
	key       key
	base      [2]Seq
	stream    uint32
	retiredAt uint32 // in this second
	flags     uint32
}

const (
	retiredBase = 1 << iota // base[0] is valid; the next bit: base[1] is
	_                       //
	retiredFIN              // a FIN was seen: late RSTs count as RSTs after a FIN
	retiredV6               // key stands for IPv6 addresses
)

// retired hold tombstones, a bounded number: an old one makes room.
type retired struct {
	flows  arena[retiredFlow]
	index  index
	v6     v6pairs
	oldest uint32 // where to look for an old one

	dropped      bool // a tombstone was taken away
	droppedYoung bool // so soon that its connection may not have been over
}

// freshGrave is how long a SYN may still be repeated, in seconds: the sixth time on Linux
// comes after 63, the pause behind it ends after 127.
const youngFor = 130

func (x *retiredFlow) hash() uint32 {
	if x.flags&retiredV6 != 0 {
		return x.key.v6Hash()
	}
	return x.key.hash()
}

// remove removes the tombstone that a query asks for with segment s, if there is one.
func (g *retired) remove(q *query, s *Segment) (tomb retiredFlow, ok bool) {
	if g.index.n == 0 {
		return tomb, false
	}
	x := &g.index
	for p := x.home(q.hash); x.slots[p].place != 0; p = x.next(p) {
		if x.slots[p].hash != q.hash {
			continue
		}
		i := x.slots[p].place - 1
		if o := g.flows.at(i); q.matches(&o.key, o.flags&retiredV6 != 0, &g.v6, s) {
			tomb = *o
			g.unindex(i)
			g.flows.release(i)
			return tomb, true
		}
	}
	return tomb, false
}

// unindex takes the tombstone of a place away. The place stays taken.
func (g *retired) unindex(i uint32) {
	x := g.flows.at(i)
	g.index.remove(i, x.hash())
	if x.flags&retiredV6 != 0 {
		g.v6.release(x.key.lo)
	}
}

// add adds a tombstone, whose endpoints must have none. There is room for most.
func (g *retired) add(tomb retiredFlow, addrs addrPair, most int) {
	if tomb.flags&retiredV6 != 0 {
		tomb.key.lo = g.v6.alloc()
		*g.v6.at(tomb.key.lo) = addrs
	}
	i := g.place(tomb.retiredAt, uint32(most))
	*g.flows.at(i) = tomb
	g.index.add(i, tomb.hash())
}

// place finds a place for a tombstone: a free one, a new one, or an old one's.
func (g *retired) place(now, most uint32) uint32 {
	if len(g.flows.unused) > 0 || g.flows.made < most {
		return g.flows.alloc()
	}
	// Places are dug in order, but those that became free in between: of a few the oldest.
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
	g.dropped = true
	g.droppedYoung = g.droppedYoung || now-g.flows.at(i).retiredAt < youngFor
	g.unindex(i)
	return i
}

// retire leaves a tombstone for a flow.
func (t *Tracker) retire(f *Flow) {
	tomb := retiredFlow{key: f.key, stream: f.stream, retiredAt: uint32(t.now / second)}
	if f.flags&flowClosing != 0 {
		tomb.flags |= retiredFIN
	}
	for i := range f.Half {
		if tomb.base[i] = f.Half[i].ISN; f.Half[i].flags&flagBase != 0 {
			tomb.flags |= retiredBase << i
		}
	}
	var addrs addrPair
	if f.flags&flowV6 != 0 {
		tomb.flags |= retiredV6
		addrs = *t.v6.at(f.key.lo)
	}
	t.retired.add(tomb, addrs, t.cfg.MaxRetired)
}

// doubtNumber takes note that the first segment of what looks like a new connection may
// belong to one whose tombstone was taken away: Wireshark then goes on with its number,
// and all later numbers here are too high by one.
func (t *Tracker) doubtNumber(s *Segment) {
	if g := &t.retired; g.droppedYoung || g.dropped && s.Flags&(SYN|ACK) != SYN {
		t.exact[t.capture] = min(t.exact[t.capture], t.nextStream)
	}
}

// Exact reports whether a stream number in a capture is certainly Wireshark's. It is not
// if a connection before it had been forgotten for want of room and may have gone on.
func (t *Tracker) Exact(capture int, stream uint32) bool { return stream < t.exact[capture] }

// ExactStreams is, for each capture, how many stream numbers from 0 on are certainly
// Wireshark's; MaxUint32: all.
func (t *Tracker) ExactStreams() []uint32 { return slices.Clone(t.exact) }
