package tcpstate

import "slices"

// tombstone is what remains of a forgotten flow: enough to number its late segments
// and a new use of its ports as Wireshark does.
type tombstone struct {
	key     tuple
	base    [2]Seq
	stream  uint32
	dug     uint32 // in this second
	hasBase [2]bool
	fin     bool // a FIN was seen: late RSTs count as RSTs after a FIN
	stands  bool
}

// graves hold tombstones, a bounded number: an old one makes room. They are an open hash
// table of places in chunks that never move.
type graves struct {
	chunks [][]tombstone
	free   []uint32 // places without a tombstone
	next   int      // where to look for an old one
	n      int      // standing
	index  []uint32 // by hash: place + 1
	shift  uint

	lost  bool // a tombstone was taken away
	fresh bool // so soon that its connection may not have been over
}

// freshGrave is how long a SYN may still be repeated, in seconds: the sixth time on Linux
// comes after 63, the pause behind it ends after 127.
const freshGrave = 130

const graveBits = 8

func (g *graves) at(i uint32) *tombstone { return &g.chunks[i>>graveBits][i&(1<<graveBits-1)] }

// places is how many there are.
func (g *graves) places() int {
	n := len(g.chunks)
	if n == 0 {
		return 0
	}
	return (n-1)<<graveBits + len(g.chunks[n-1])
}

// find returns the index slot of a key, and whether its tombstone is there.
func (g *graves) find(k *tuple, hash uint64) (slot uint64, found bool) {
	mask := uint64(len(g.index) - 1)
	for p := hash >> g.shift; ; p = (p + 1) & mask {
		switch v := g.index[p]; {
		case v == 0:
			return p, false
		case g.at(v-1).key == *k:
			return p, true
		}
	}
}

// take removes the tombstone of a key, if it has one.
func (g *graves) take(k *tuple, hash uint64) (tomb tombstone, ok bool) {
	if g.n == 0 {
		return tomb, false
	}
	slot, ok := g.find(k, hash)
	if !ok {
		return tomb, false
	}
	i := g.index[slot] - 1
	x := g.at(i)
	tomb = *x
	g.remove(slot)
	g.free = append(g.free, i)
	return tomb, true
}

// remove takes the tombstone of an index slot away, closing the run behind it (Knuth 6.4 R).
func (g *graves) remove(slot uint64) {
	g.at(g.index[slot] - 1).stands = false
	g.n--
	mask := uint64(len(g.index) - 1)
	hole := slot
	g.index[hole] = 0
	for p := (slot + 1) & mask; g.index[p] != 0; p = (p + 1) & mask {
		home := g.at(g.index[p]-1).key.hash() >> g.shift
		if (p-home)&mask >= (p-hole)&mask { // its home is not in (hole, p]
			g.index[hole], g.index[p] = g.index[p], 0
			hole = p
		}
	}
}

// put adds a tombstone, whose key must have none. There is room for most.
func (g *graves) put(tomb *tombstone, hash uint64, most int) {
	i := g.place(tomb.dug, most)
	*g.at(i) = *tomb
	g.n++
	if 2*g.n > len(g.index) {
		g.grow()
		return
	}
	slot, _ := g.find(&tomb.key, hash)
	g.index[slot] = i + 1
}

// grow makes the index larger.
func (g *graves) grow() {
	size := max(2*len(g.index), 1<<6)
	g.index = make([]uint32, size)
	for g.shift = 64; 1<<(64-g.shift) < size; g.shift-- {
	}
	for i := range uint32(g.places()) {
		if x := g.at(i); x.stands {
			slot, _ := g.find(&x.key, x.key.hash())
			g.index[slot] = i + 1
		}
	}
}

// place finds a place for a tombstone: a free one, a new one, or an old one's.
func (g *graves) place(now uint32, most int) uint32 {
	if n := len(g.free); n > 0 {
		i := g.free[n-1]
		g.free = g.free[:n-1]
		return i
	}
	if n := g.places(); n < most {
		if n == len(g.chunks)<<graveBits {
			g.chunks = append(g.chunks, make([]tombstone, 0, 1<<graveBits))
		}
		c := &g.chunks[len(g.chunks)-1]
		*c = (*c)[:len(*c)+1]
		return uint32(n)
	}
	// Places are dug in order, but those that became free in between: of a few the oldest.
	i := uint32(g.next)
	for range min(8, g.n) {
		if g.next++; g.next == g.places() {
			g.next = 0
		}
		j := uint32(g.next)
		if g.at(j).dug-g.at(i).dug > 1<<31 { // serial numbers
			i = j
		}
	}
	g.next = (int(i) + 1) % g.places()
	old := g.at(i)
	g.lost = true
	g.fresh = g.fresh || now-old.dug < freshGrave
	slot, _ := g.find(&old.key, old.key.hash())
	g.remove(slot)
	return i
}

// bury leaves a tombstone for a flow.
func (t *Tracker) bury(f *Flow) {
	tomb := tombstone{
		key: tuple{f.addr, f.port}, stream: f.stream, dug: uint32(t.now / second), fin: f.flags&flowClosing != 0, stands: true,
	}
	for i := range f.Half {
		tomb.base[i], tomb.hasBase[i] = f.Half[i].ISN, f.Half[i].flags&flagBase != 0
	}
	t.graves.put(&tomb, tomb.key.hash(), t.cfg.MaxTombs)
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
