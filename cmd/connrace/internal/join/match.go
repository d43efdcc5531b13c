package join

import (
	"slices"

	"connrace/detect"
	"connrace/tcpstate"
)

// pair is a connection that two points show: its places in their lists. A firewall may have
// given it other sequence numbers on the way: shift is what was added to those of the LB and to
// those of the target.
type pair struct {
	a, b  int
	shift [2]tcpstate.Seq
}

// enough is how many segments two connections must share where no handshake shows that they are
// one. Their numbers agree in 64 bits each; what is guarded against is traffic made up alike.
const enough = 3

// match finds the connections that two points have in common.
func match(a, b *detect.Result) []pair {
	m := matcher{of: [2]*detect.Result{a, b}, a: a.Connections, b: b.Connections}
	m.takenA, m.takenB = make([]bool, len(m.a)), make([]bool, len(m.b))
	m.byNumbers()
	m.byOneNumber() // before a SYN alone, which is the same
	m.byMarks(true)
	m.byMarks(false)
	m.bySYN()
	return m.inOrder()
}

type matcher struct {
	of             [2]*detect.Result
	a, b           []detect.Connection // theirs
	takenA, takenB []bool
	pairs          []pair
	scratch        []detect.Mark
}

// marks are those of a connection of one of the results, until others are asked for.
func (m *matcher) marks(of int, c *detect.Connection) []detect.Mark {
	m.scratch = m.of[of].AppendMarks(m.scratch[:0], c)
	return m.scratch
}

// inOrder are the pairs in the order of the first point's connections.
func (m *matcher) inOrder() []pair {
	if len(m.pairs) == 0 {
		return nil
	}
	of := make([]int32, len(m.a)) // + 1
	for i := range m.pairs {
		of[m.pairs[i].a] = int32(i + 1)
	}
	pairs := make([]pair, 0, len(m.pairs))
	for _, i := range of {
		if i > 0 {
			pairs = append(pairs, m.pairs[i-1])
		}
	}
	return pairs
}

func (m *matcher) add(p pair) {
	m.pairs = append(m.pairs, p)
	m.takenA[p.a], m.takenB[p.b] = true, true
}

// byNumbers pairs connections with the same two initial sequence numbers: first those whose numbers
// no other connection of either capture has, then those between the same two ends.
func (m *matcher) byNumbers() {
	pairUp(m, func(c *detect.Connection) uint64 { return uint64(c.ISN[0])<<32 | uint64(c.ISN[1]) })
	pairUp(m, func(c *detect.Connection) numbered { return numbered{c.ISN, c.LB, c.Target} })
}

type numbered struct {
	isn        [2]tcpstate.Seq
	lb, target tcpstate.Endpoint
}

// pairUp pairs connections that were captured from the beginning and are not paired, of which no
// other of their capture has the same key.
func pairUp[K comparable](m *matcher, key func(*detect.Connection) K) {
	n := 0
	for i := range m.b {
		if begun(&m.b[i]) && !m.takenB[i] {
			n++
		}
	}
	if n == 0 {
		return
	}
	type places struct{ a, b int32 } // + 1; 0: there is none, -1: there are several
	note := func(at *int32, i int) {
		if *at != 0 {
			i = -2
		}
		*at = int32(i + 1)
	}
	of := make([]places, 0, n)
	index := make(map[K]int32, n) // in of
	for i := range m.b {
		if c := &m.b[i]; begun(c) && !m.takenB[i] {
			k := key(c)
			at, is := index[k]
			if !is {
				at = int32(len(of))
				of = append(of, places{})
				index[k] = at
			}
			note(&of[at].b, i)
		}
	}
	for i := range m.a {
		if c := &m.a[i]; begun(c) && !m.takenA[i] {
			if at, is := index[key(c)]; is {
				note(&of[at].a, i)
			}
		}
	}
	for _, p := range of {
		if p.a > 0 && p.b > 0 {
			m.add(pair{a: int(p.a - 1), b: int(p.b - 1)})
		}
	}
}

// begun reports whether a connection was captured from the beginning.
func begun(c *detect.Connection) bool { return c.HasISN[0] && c.HasISN[1] }

// markKey is what a mark is known by, with the ends of its connection or without.
type markKey struct {
	words      [4]uint32
	fromLB     bool
	lb, target tcpstate.Endpoint
}

func keyOf(x *detect.Mark, c *detect.Connection, withEnds bool) markKey {
	k := markKey{words: x.Identity(), fromLB: x.FromLB}
	if withEnds {
		k.lb, k.target = c.LB, c.Target
	}
	return k
}

// byMarks pairs connections of which one end was not captured from the beginning, or whose
// SYN-ACK never came to one of the points: first those between the same ends, as others may have the
// same numbers, then those of which addresses were translated.
func (m *matcher) byMarks(withEnds bool) {
	index := map[markKey]int{} // -1: several have it
	for i := range m.b {
		if m.takenB[i] {
			continue
		}
		for _, x := range m.marks(1, &m.b[i]) {
			key := keyOf(&x, &m.b[i], withEnds)
			if j, is := index[key]; is && j != i && !withEnds {
				index[key] = -1
			} else {
				index[key] = i
			}
		}
	}
	if len(index) == 0 {
		return
	}
	for i := range m.a {
		if m.takenA[i] {
			continue
		}
		shared, stamped, syn := map[int]int{}, map[int]int{}, -1 // segments, and those with timestamps, which say more
		for _, x := range m.marks(0, &m.a[i]) {
			j, is := index[keyOf(&x, &m.a[i], withEnds)]
			if !is || j < 0 || m.takenB[j] {
				continue
			}
			if x.Stamp != 0 {
				stamped[j]++
			}
			if shared[j]++; x.SYN() && (x.Stamp != 0 || sameEnds(&m.a[i], &m.b[j])) {
				syn = j
			}
		}
		best := syn
		for j, n := range shared {
			if syn < 0 && (n >= enough || m.surely(i, j, n, stamped[j])) && (best < 0 || n > shared[best] || n == shared[best] && j < best) {
				best = j
			}
		}
		if best >= 0 {
			m.add(pair{a: i, b: best})
		}
	}
}

// surely reports whether fewer segments than enough make two connections one: those with a timestamp, of which the sender's clock is a
// part, or all that they could share.
func (m *matcher) surely(i, j, shared, stamped int) bool {
	a, b := &m.a[i], &m.b[j]
	if sameEnds(a, b) {
		return stamped > 0 || shared >= fewest(a, b)
	}
	return stamped >= 2
}

// fewest is how many segments two connections could share.
func fewest(a, b *detect.Connection) int { return max(min(a.NMarks(), b.NMarks()), 1) }

func sameEnds(a, b *detect.Connection) bool { return a.LB == b.LB && a.Target == b.Target }

// byOneNumber pairs connections of which a firewall has replaced one side's sequence numbers:
// the other side's are the same, and so are lengths and timestamps of their messages and SYNs, with the
// replaced numbers apart by what the SYNs are apart by.
func (m *matcher) byOneNumber() {
	for side := range 2 {
		index := map[tcpstate.Seq][]int{}
		for i := range m.b {
			if c := &m.b[i]; !m.takenB[i] && begun(c) && len(index[c.ISN[side]]) < enough {
				index[c.ISN[side]] = append(index[c.ISN[side]], i)
			}
		}
		for i := range m.a {
			c := &m.a[i]
			if m.takenA[i] || !begun(c) {
				continue
			}
			for _, j := range index[c.ISN[side]] {
				p := pair{a: i, b: j}
				p.shift[1-side] = m.b[j].ISN[1-side] - c.ISN[1-side]
				if !m.takenB[j] && m.alike(p) >= 2 {
					m.add(p)
					break
				}
			}
		}
	}
}

// alike counts the messages that the connections of a pair share, and the SYNs with a timestamp.
func (m *matcher) alike(p pair) (n int) {
	bs := m.of[1].AppendMarks(nil, &m.b[p.b])
	for _, x := range m.marks(0, &m.a[p.a]) {
		x = shifted(x, p.shift)
		if (x.SYN() && x.Stamp != 0 || !x.SYN() && x.Len > 0) && slices.ContainsFunc(bs, func(y detect.Mark) bool {
			return y.FromLB == x.FromLB && y.Identity() == x.Identity() && y.Len == x.Len
		}) {
			n++
		}
	}
	return n
}

// shifted is a mark as it is behind what replaces sequence numbers.
func shifted(x detect.Mark, shift [2]tcpstate.Seq) detect.Mark {
	x.Seq += shift[side(x.FromLB)]
	if x.Ack != 0 {
		x.Ack += shift[1-side(x.FromLB)]
	}
	return x
}

// side is the index of an end where the LB's comes first.
func side(fromLB bool) int {
	if fromLB {
		return 0
	}
	return 1
}
