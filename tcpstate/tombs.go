package tcpstate

import "slices"

// tombstone is what remains of a forgotten flow: enough to number its late segments
// and a new use of its ports as Wireshark does. It is 32 octets.
type tombstone struct {
	key    key
	base   [2]Seq
	stream uint32
	dug    uint32 // in this second
	flags  uint32
}

const (
	tombBase = 1 << iota // base[0] is valid; the next bit: base[1] is
	_                    //
	tombFIN              // a FIN was seen: late RSTs count as RSTs after a FIN
	tombWide             // key stands for IPv6 addresses
)

// graves hold tombstones, a bounded number: an old one makes room.
type graves struct {
	stones arena[tombstone]
	index  index
	wides  wides
	next   uint32 // where to look for an old one

	lost  bool // a tombstone was taken away
	fresh bool // so soon that its connection may not have been over
}

// freshGrave is how long a SYN may still be repeated, in seconds: the sixth time on Linux
// comes after 63, the pause behind it ends after 127.
const freshGrave = 130

func (x *tombstone) hash() uint32 {
	if x.flags&tombWide != 0 {
		return x.key.wideHash()
	}
	return x.key.hash()
}

// take removes the tombstone that a query asks for with segment s, if there is one.
func (g *graves) take(q *query, s *Segment) (tomb tombstone, ok bool) {
	if g.index.n == 0 {
		return tomb, false
	}
	x := &g.index
	for p := x.home(q.hash); x.slots[p].place != 0; p = x.next(p) {
		if x.slots[p].hash != q.hash {
			continue
		}
		i := x.slots[p].place - 1
		if o := g.stones.at(i); q.is(&o.key, o.flags&tombWide != 0, &g.wides, s) {
			tomb = *o
			g.remove(i)
			g.stones.give(i)
			return tomb, true
		}
	}
	return tomb, false
}

// remove takes the tombstone of a place away. The place stays taken.
func (g *graves) remove(i uint32) {
	x := g.stones.at(i)
	g.index.remove(i, x.hash())
	if x.flags&tombWide != 0 {
		g.wides.give(x.key.lo)
	}
}

// put adds a tombstone, whose endpoints must have none. There is room for most.
func (g *graves) put(tomb tombstone, addrs pair, most int) {
	if tomb.flags&tombWide != 0 {
		tomb.key.lo = g.wides.take()
		*g.wides.at(tomb.key.lo) = addrs
	}
	i := g.place(tomb.dug, uint32(most))
	*g.stones.at(i) = tomb
	g.index.add(i, tomb.hash())
}

// place finds a place for a tombstone: a free one, a new one, or an old one's.
func (g *graves) place(now, most uint32) uint32 {
	if len(g.stones.free) > 0 || g.stones.made < most {
		return g.stones.take()
	}
	// Places are dug in order, but those that became free in between: of a few the oldest.
	i := g.next
	for range min(8, most) {
		if g.next++; g.next == most {
			g.next = 0
		}
		if j := g.next; g.stones.at(j).dug-g.stones.at(i).dug > 1<<31 { // serial numbers
			i = j
		}
	}
	g.next = (i + 1) % most
	g.lost = true
	g.fresh = g.fresh || now-g.stones.at(i).dug < freshGrave
	g.remove(i)
	return i
}

// bury leaves a tombstone for a flow.
func (t *Tracker) bury(f *Flow) {
	tomb := tombstone{key: f.key, stream: f.stream, dug: uint32(t.now / second)}
	if f.flags&flowClosing != 0 {
		tomb.flags |= tombFIN
	}
	for i := range f.Half {
		if tomb.base[i] = f.Half[i].ISN; f.Half[i].flags&flagBase != 0 {
			tomb.flags |= tombBase << i
		}
	}
	var addrs pair
	if f.flags&flowWide != 0 {
		tomb.flags |= tombWide
		addrs = *t.wides.at(f.key.lo)
	}
	t.graves.put(tomb, addrs, t.cfg.MaxRetired)
}

// doubtNumber takes note that the first segment of what looks like a new connection may
// belong to one whose tombstone was taken away: Wireshark then goes on with its number,
// and all later numbers here are too high by one.
func (t *Tracker) doubtNumber(s *Segment) {
	if g := &t.graves; g.fresh || g.lost && s.Flags&(SYN|ACK) != SYN {
		t.exact[t.capture] = min(t.exact[t.capture], t.nextStream)
	}
}

// Exact reports whether a stream number in a capture is certainly Wireshark's. It is not
// if a connection before it had been forgotten for want of room and may have gone on.
func (t *Tracker) Exact(capture int, stream uint32) bool { return stream < t.exact[capture] }

// ExactStreams is, for each capture, how many stream numbers from 0 on are certainly
// Wireshark's; MaxUint32: all.
func (t *Tracker) ExactStreams() []uint32 { return slices.Clone(t.exact) }
