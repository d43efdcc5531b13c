package tcpstate

import (
	"math/bits"
	"math/rand/v2"
)

// tuple is the key of a connection: both endpoints, the lower one first.
type tuple struct {
	addr [2]Addr
	port [2]uint16
}

// tupleOf orders the segment's endpoints; dir is the place of the sender's.
func tupleOf(s *Segment) (k tuple, dir int) {
	a, b := &s.Src, &s.Dst
	if b.Addr.Hi < a.Addr.Hi || b.Addr.Hi == a.Addr.Hi && (b.Addr.Lo < a.Addr.Lo || b.Addr.Lo == a.Addr.Lo && b.Port < a.Port) {
		a, b, dir = b, a, 1
	}
	return tuple{[2]Addr{a.Addr, b.Addr}, [2]uint16{a.Port, b.Port}}, dir
}

// seeds keep a capture from being made of tuples whose hashes are all alike.
var seeds = [4]uint64{rand.Uint64(), rand.Uint64(), rand.Uint64(), rand.Uint64()}

// hash mixes by multiplication as wyhash does; its high bits are as good as any.
func (k *tuple) hash() uint64 {
	a, b := &k.addr[0], &k.addr[1]
	x, y := a.Lo<<32^b.Lo&0xffffffff, uint64(k.port[0])<<16|uint64(k.port[1])
	if !a.Is4() || !b.Is4() {
		x ^= mix(a.Hi^seeds[2], b.Lo^seeds[3])
		y ^= mix(b.Hi^seeds[3], a.Lo^seeds[2])
	}
	return mix(x^seeds[0], y^seeds[1])
}

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

func (t *Tracker) grow(n int) {
	old := t.index
	t.index = make([]uint32, n)
	t.shift = 64
	for 1<<(64-t.shift) < n {
		t.shift--
	}
	t.indexed = 0
	for _, v := range old {
		if v != 0 {
			t.insert(v - 1)
		}
	}
}

// insert puts a flow into the index; its tuple must not be there.
func (t *Tracker) insert(i uint32) {
	if t.indexed*4 >= len(t.index)*3 {
		t.grow(2 * len(t.index))
	}
	f := t.at(i)
	k := tuple{f.addr, f.port}
	mask := uint64(len(t.index) - 1)
	p := k.hash() >> t.shift
	for t.index[p] != 0 {
		p = (p + 1) & mask
	}
	t.index[p] = i + 1
	t.indexed++
}

// find returns the index slot of a tuple's flow, and the flow; nil when it is not there.
func (t *Tracker) find(k *tuple, hash uint64) (uint64, *Flow) {
	mask := uint64(len(t.index) - 1)
	p := hash >> t.shift
	for {
		v := t.index[p]
		if v == 0 {
			return p, nil
		}
		f := t.at(v - 1)
		if f.has(k) {
			return p, f
		}
		p = (p + 1) & mask
	}
}

// has compares field by field: == on arrays calls the runtime.
func (f *Flow) has(k *tuple) bool {
	return f.addr[0].Lo == k.addr[0].Lo && f.addr[1].Lo == k.addr[1].Lo && f.port[0] == k.port[0] && f.port[1] == k.port[1] &&
		f.addr[0].Hi == k.addr[0].Hi && f.addr[1].Hi == k.addr[1].Hi
}

// prepareSize is how many segments are prepared at once.
const prepareSize = 64

// prepared are segments whose flows have been touched, with the hashes of their tuples.
type prepared struct {
	segs []Segment
	next int // the first of them not tracked yet
	hash [prepareSize]uint64
	sum  uint64 // keeps the reads alive
}

// TrackAll takes the next segments of the capture; after is called behind each. It
// touches their index slots first, then their flows, a block at a time, so that the
// cache misses overlap instead of following one another.
func (t *Tracker) TrackAll(segs []Segment, after func()) {
	for len(segs) > 0 {
		n := min(len(segs), prepareSize)
		t.prepare(segs[:n])
		for i := range segs[:n] {
			t.Track(&segs[i])
			after()
		}
		segs = segs[n:]
	}
	t.prepared.segs = nil
}

func (t *Tracker) prepare(segs []Segment) {
	p := &t.prepared
	p.segs, p.next = segs, 0
	var slot [prepareSize]uint32
	for i := range segs {
		k, _ := tupleOf(&segs[i])
		p.hash[i] = k.hash()
		slot[i] = t.index[p.hash[i]>>t.shift]
	}
	for _, v := range slot[:len(segs)] {
		if v != 0 {
			f := t.at(v - 1)
			p.sum += uint64(f.port[0]) + uint64(f.Half[0].Nxt) + uint64(f.Half[0].Last.Len) +
				uint64(f.Half[1].Nxt) + uint64(f.Half[1].Last.Len) + uint64(f.framing.proto) + uint64(f.flags)
		}
	}
}

// hashOf is a segment's hash, if it was prepared the one computed then.
func (t *Tracker) hashOf(s *Segment, k *tuple) uint64 {
	if p := &t.prepared; p.next < len(p.segs) && s == &p.segs[p.next] {
		p.next++
		return p.hash[p.next-1]
	}
	return k.hash()
}

// unindex takes a flow out of the index, closing the run behind it (Knuth 6.4 R).
func (t *Tracker) unindex(f *Flow) {
	k := tuple{f.addr, f.port}
	p, g := t.find(&k, k.hash())
	if g != f {
		return
	}
	mask := uint64(len(t.index) - 1)
	t.indexed--
	hole := p
	for {
		t.index[hole] = 0
		for {
			p = (p + 1) & mask
			v := t.index[p]
			if v == 0 {
				return
			}
			g := t.at(v - 1)
			kk := tuple{g.addr, g.port}
			home := kk.hash() >> t.shift
			// May v move to the hole? Not if its home lies in (hole, p].
			if (p-home)&mask < (p-hole)&mask {
				continue
			}
			t.index[hole] = v
			hole = p
			break
		}
	}
}

// lookup finds or makes the flow of a segment and gives it Wireshark's stream number:
// a new number for a new pair of endpoints, and for a SYN whose sequence number is not
// the base of its direction (packet-tcp.c, conversation handling of 4.0).
func (t *Tracker) lookup(s *Segment) (*Flow, int) {
	k, dir := tupleOf(s)
	_, f := t.find(&k, t.hashOf(s, &k))
	if f == nil {
		f = t.revive(&k, s)
	} else if int(f.capture) != t.capture {
		t.renumber(f)
	}
	switch {
	case s.Flags&(SYN|ACK) == SYN:
		if h := &f.Half[dir]; h.flags&flagBase != 0 && h.ISN != s.Seq {
			f = t.supersede(f, &k, s)
		}
	case s.Flags&(SYN|ACK) == SYN|ACK:
		if h := &f.Half[dir]; h.flags&flagBase != 0 {
			h.ISN = s.Seq
		}
	}
	if !s.Quoted && !s.NoLength {
		h, p := &f.Half[dir], &f.Half[1-dir]
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
	return f, dir
}

// revive makes the flow of a tuple that has none now. If it had one before, the number
// goes on unless a SYN begins another.
func (t *Tracker) revive(k *tuple, s *Segment) *Flow {
	tomb, old := t.graves.take(k, k.hash()) // before it makes room for another
	f := t.newFlow(k, s)
	if !old {
		t.doubtNumber(s)
		f.stream = t.nextStream
		t.nextStream++
		return f
	}
	f.stream = tomb.stream
	for i := range f.Half {
		if tomb.hasBase[i] {
			f.Half[i].ISN, f.Half[i].flags = tomb.base[i], flagBase
		}
	}
	if tomb.fin && s.Flags&RST != 0 {
		t.RSTAfterFIN++
	}
	f.flags |= flowRevived
	return f
}

// supersede gives a tuple to a new incarnation. The old one stays in the arena, out of
// the index, until it has settled.
func (t *Tracker) supersede(f *Flow, k *tuple, s *Segment) *Flow {
	t.unindex(f)
	f.flags |= flowDetached
	old, watched := f.index, f.flags&flowWatched != 0
	if !watched {
		t.forget(f)
	}
	g := t.newFlow(k, s)
	g.stream = t.nextStream
	t.nextStream++
	if f = t.at(old); !watched || f.flags&flowDetached == 0 {
		return g // for want of room it was the old one that had to go
	}
	g.prev = old + 1
	t.arm(f, t.now+lingerMin)
	return g
}

// renumber gives a flow that lives on from an earlier capture its number in this one.
func (t *Tracker) renumber(f *Flow) {
	f.stream, f.capture = t.nextStream, uint16(t.capture)
	t.nextStream++
	f.Half[0].flags &^= flagBase
	f.Half[1].flags &^= flagBase
}

func (t *Tracker) newFlow(k *tuple, s *Segment) *Flow {
	if t.nflows >= t.cfg.MaxFlows {
		t.evict()
	}
	var i uint32
	if n := len(t.free); n > 0 {
		i = t.free[n-1]
		t.free = t.free[:n-1]
	} else {
		i = uint32(t.nextIndex())
	}
	f := t.at(i)
	*f = Flow{} // cleared in place: a literal with values is made elsewhere and copied
	f.addr, f.port = k.addr, k.port
	f.index, f.capture, f.flags = i, uint16(t.capture), flowLive
	f.Opened, f.LastTime = s.Time, s.Time
	t.nflows++
	t.insert(i)
	return f
}

func (t *Tracker) nextIndex() int {
	n := len(t.flows)
	if n == 0 || len(t.flows[n-1]) == cap(t.flows[n-1]) {
		t.flows = append(t.flows, make([]Flow, 0, 1<<chunkBits))
		n++
	}
	c := &t.flows[n-1]
	*c = (*c)[:len(*c)+1]
	return (n-1)<<chunkBits | (len(*c) - 1)
}

// forget gives up a flow's place; its number stays behind in a tombstone unless a new
// incarnation has its tuple.
func (t *Tracker) forget(f *Flow) {
	if f.flags&flowDetached == 0 {
		t.unindex(f)
		if int(f.capture) == t.capture {
			t.bury(f)
		}
	}
	t.finishStats(f)
	t.dropMarks(f)
	t.heads.drop(f)
	f.framing.reset(&t.carries)
	f.flags = 0
	f.due = 0
	t.nflows--
	t.free = append(t.free, f.index)
}

// evict forgets the most idle of a handful of flows. Its tombstone keeps its number.
func (t *Tracker) evict() {
	var worst *Flow
	n := len(t.flows) << chunkBits
	for tries := 0; tries < 4096 && (worst == nil || tries < 16); tries++ {
		if t.sweepAt++; t.sweepAt >= n {
			t.sweepAt = 0
		}
		if c := t.flows[t.sweepAt>>chunkBits]; t.sweepAt&(1<<chunkBits-1) < len(c) {
			f := &c[t.sweepAt&(1<<chunkBits-1)]
			if f.flags&flowLive != 0 && (worst == nil || f.LastTime < worst.LastTime) {
				worst = f
			}
		}
	}
	if worst == nil {
		return
	}
	t.Evicted++
	t.retire(worst)
}

// retire settles a flow and forgets it.
func (t *Tracker) retire(f *Flow) {
	if f.flags&flowWatched != 0 {
		t.settle(f)
	}
	t.fire(Gone, f, 0, nil)
	t.forget(f)
}

// sweep looks at a few old places of the arena and retires what has been idle longer
// than any pool keeps a connection.
func (t *Tracker) sweep() {
	n := len(t.flows) << chunkBits
	if n == 0 {
		return
	}
	for range 16 {
		if t.sweepAt++; t.sweepAt >= n {
			t.sweepAt = 0
		}
		c := t.flows[t.sweepAt>>chunkBits]
		if t.sweepAt&(1<<chunkBits-1) >= len(c) {
			t.sweepAt = n
			return
		}
		f := &c[t.sweepAt&(1<<chunkBits-1)]
		if f.flags&flowLive != 0 && t.now-f.LastTime > idleRetire {
			t.retire(f)
		}
	}
}
