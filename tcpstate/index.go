package tcpstate

import (
	"math/bits"
	"math/rand/v2"
	"unsafe"

	"connrace/tcpstate/internal/slab"
)

// arena holds values in chunks that never move. A place is allocated and released; in
// between its value belongs to who has the place.
type arena[T any] struct {
	chunks []*[arenaChunk]T
	unused []uint32 // places given back
	made   uint32   // places so far
	slab   []T      // for further chunks
}

const (
	arenaBits  = 10
	arenaChunk = 1 << arenaBits
	// slabSize is of how many octets the room for further values is, once there are so many that a part of a huge
	// page that is not used yet matters less than many small ones do.
	slabSize = 8 << 20
)

// at is the value at a place.
func (a *arena[T]) at(i uint32) *T { return &a.chunks[i>>arenaBits][i%arenaChunk] }

// alloc returns a free place. Its value is what was left there.
func (a *arena[T]) alloc() uint32 {
	if n := len(a.unused); n > 0 {
		i := a.unused[n-1]
		a.unused = a.unused[:n-1]
		return i
	}
	if a.made%arenaChunk == 0 {
		a.chunks = append(a.chunks, a.chunk())
	}
	a.made++
	return a.made - 1
}

// chunk is room for further values.
func (a *arena[T]) chunk() *[arenaChunk]T {
	size := int(unsafe.Sizeof(*new(T)))
	if int(a.made)*size < slabSize/2 {
		return new([arenaChunk]T)
	}
	if len(a.slab) < arenaChunk {
		a.slab = slab.Make[T](slabSize / size)
	}
	c := (*[arenaChunk]T)(a.slab)
	a.slab = a.slab[arenaChunk:]
	return c
}

// release makes a place free.
func (a *arena[T]) release(i uint32) { a.unused = append(a.unused, i) }

// key is a connection's pair of endpoints in twelve octets, the lower endpoint first. Of
// IPv6 it holds the place of the addresses in v6pairs, and a hash of them.
type key struct {
	lo, hi uint32
	ports  uint32 // the lower endpoint's above the other's
}

// addrPair are the addresses of a connection's endpoints, the lower endpoint's first.
type addrPair [2]Addr

// v6pairs are pairs that do not fit in a key. Who has a key has its place here.
type v6pairs struct{ arena[addrPair] }

// query is what a segment's flow is looked for by.
type query struct {
	key  key // key.lo is not set if v6
	hash uint32
	dir  uint8 // the place of the sender's endpoint
	v6   bool
	// flow is the first one of the hash, from when the query was prepared; nil: not known.
	flow *Flow
}

// seeds keep a capture from being made of endpoints whose hashes are all alike.
var seeds = [4]uint64{rand.Uint64(), rand.Uint64(), rand.Uint64(), rand.Uint64()}

// mix multiplies as wyhash does.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// queryOf orders the segment's endpoints and hashes them.
func queryOf(s *Segment, q *query) {
	a, b := &s.Src, &s.Dst
	if a.Addr.Hi|b.Addr.Hi|(a.Addr.Lo>>32^0xffff)|(b.Addr.Lo>>32^0xffff) != 0 {
		v6QueryOf(s, q)
		return
	}
	// 48 bits each: address and port. Which is the lower one could not be predicted, so there
	// is no branch.
	from, to := a.Addr.Lo<<16|uint64(a.Port), b.Addr.Lo<<16|uint64(b.Port)
	x, y := min(from, to), max(from, to)
	q.dir, q.v6 = uint8((to-from)>>63), false // 1 if to is lower
	q.key = key{uint32(x >> 16), uint32(y >> 16), uint32(x)<<16 | uint32(uint16(y))}
	q.hash = q.key.hash()
}

func (k *key) hash() uint32 { return scatter(uint64(k.lo)<<32|uint64(k.hi), k.ports) }

// scatter mixes twice: once leaves the hashes of ports that follow one another in steps, which
// with some seeds are so small that they crowd in the index.
func scatter(addrs uint64, ports uint32) uint32 {
	return uint32(mix(mix(addrs^seeds[0], uint64(ports)^seeds[1]), seeds[2]))
}

func (e *Endpoint) hash() uint32 {
	return scatter(mix(e.Addr.Hi^seeds[2], e.Addr.Lo^seeds[3]), uint32(e.Port))
}

// Hash is a number that comes of the segment's two ends, whichever of them has sent it. Each run of the program has
// others.
func (s *Segment) Hash() uint32 {
	var q query
	queryOf(s, &q)
	return q.hash
}

func v6QueryOf(s *Segment, q *query) {
	a, b := s.Src, s.Dst
	q.dir, q.v6 = 0, true
	if b.Addr.Hi < a.Addr.Hi || b.Addr.Hi == a.Addr.Hi && (b.Addr.Lo < a.Addr.Lo || b.Addr.Lo == a.Addr.Lo && b.Port < a.Port) {
		a, b = b, a
		q.dir = 1
	}
	h := mix(a.Addr.Hi^seeds[2], a.Addr.Lo^seeds[3]) ^ bits.RotateLeft64(mix(b.Addr.Hi^seeds[3], b.Addr.Lo^seeds[2]), 32)
	q.key = key{0, uint32(h >> 32), uint32(a.Port)<<16 | uint32(b.Port)}
	q.hash = q.key.v6Hash()
}

// v6Hash is hash for a key whose lo is a place in v6pairs.
func (k *key) v6Hash() uint32 { return scatter(uint64(k.hi), k.ports) }

// matches reports whether k, of IPv6 or not, is the key that q asks for with segment s.
func (q *query) matches(k *key, v6 bool, w *v6pairs, s *Segment) bool {
	if k.hi != q.key.hi || k.ports != q.key.ports || v6 != q.v6 {
		return false
	}
	if !v6 {
		return k.lo == q.key.lo
	}
	p := w.at(k.lo)
	return p[q.dir] == s.Src.Addr && p[1-q.dir] == s.Dst.Addr
}

// makeKey is the key for what q asks for with segment s.
func (w *v6pairs) makeKey(q *query, s *Segment) key {
	k := q.key
	if q.v6 {
		k.lo = w.alloc()
		p := w.at(k.lo)
		p[q.dir], p[1-q.dir] = s.Src.Addr, s.Dst.Addr
	}
	return k
}

// addrs are the addresses of a key.
func (w *v6pairs) addrs(k *key, v6 bool) addrPair {
	if v6 {
		return *w.at(k.lo)
	}
	return addrPair{{Lo: 0xffff<<32 | uint64(k.lo)}, {Lo: 0xffff<<32 | uint64(k.hi)}}
}

// port is that of endpoint i.
func (k *key) port(i int) uint16 { return uint16(k.ports >> (16 - 16*i)) }

// slot of an index: a place in an arena, counted from 1, and the hash of what lies there.
type slot struct{ place, hash uint32 }

// index finds places by hash: an open table with linear probing. The hashes in it keep it
// from touching what it need not.
type index struct {
	slots []slot
	shift uint8 // of a hash, to its slot
	n     int
}

// minIndex is the logarithm of the smallest index's size.
const minIndex = 6

// home is the slot at which the search for a hash begins.
func (x *index) home(hash uint32) uint32 { return hash >> (x.shift & 31) }

// next is the slot behind p.
func (x *index) next(p uint32) uint32 { return (p + 1) & uint32(len(x.slots)-1) }

// first is the first place of a hash, counted from 1; 0: there is none.
func (x *index) first(hash uint32) uint32 {
	p := x.home(hash)
	for x.slots[p].hash != hash && x.slots[p].place != 0 {
		p = x.next(p)
	}
	return x.slots[p].place
}

// resize makes the index one of 1<<logSize slots, at most 32.
func (x *index) resize(logSize uint8) {
	old := x.slots
	x.slots, x.shift, x.n = slab.Make[slot](1<<logSize), 32-logSize, 0
	clear(x.slots) // a page that is read before it is written costs two faults
	for _, s := range old {
		if s.place != 0 {
			x.put(s)
		}
	}
}

// add puts a place into the index. It must not be there.
func (x *index) add(place, hash uint32) {
	if len(x.slots) == 0 {
		x.resize(minIndex)
	} else if 4*(x.n+1) > 3*len(x.slots) {
		x.resize(33 - x.shift)
	}
	x.put(slot{place + 1, hash})
}

func (x *index) put(s slot) {
	p := x.home(s.hash)
	for x.slots[p].place != 0 {
		p = x.next(p)
	}
	x.slots[p] = s
	x.n++
}

// remove takes a place out, closing the run behind it (Knuth 6.4 R).
func (x *index) remove(place, hash uint32) {
	hole := x.home(hash)
	for ; x.slots[hole].place != place+1; hole = x.next(hole) {
		if x.slots[hole].place == 0 {
			return
		}
	}
	x.n--
	mask := uint32(len(x.slots) - 1)
	for p := x.next(hole); x.slots[p].place != 0; p = x.next(p) {
		// May it move to the hole? Not if its home lies in (hole, p].
		if home := x.home(x.slots[p].hash); (p-home)&mask >= (p-hole)&mask {
			x.slots[hole] = x.slots[p]
			hole = p
		}
	}
	x.slots[hole] = slot{}
}
