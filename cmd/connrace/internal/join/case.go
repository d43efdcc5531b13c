package join

import (
	"cmp"
	"slices"

	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
	"connrace/tcpstate"
)

// Point is a place at which packets were captured: one analysis.
type Point struct {
	Name   string // what texts call it
	Result *detect.Result
	Spans  []Span // of the captures that Result counts from 0
	// Behind: the point before shows the same captures; what is here they show once more, behind the
	// translation of addresses.
	Behind bool
}

// NotCompared says that the point has more connections than are kept to be compared; "": it has not.
func (p *Point) NotCompared() string {
	if !p.Result.ConnectionsCut {
		return ""
	}
	return p.Name + ": only its first " + text.Plural(uint64(listed(p.Result.Connections)), "connection") +
		" could be compared, and later ones only where both captures show a failure"
}

// listed is how many connections there are that were not kept for the sake of findings alone.
func listed(all []detect.Connection) (n int) {
	for i := range all {
		if !all[i].Late {
			n++
		}
	}
	return n
}

// Span is one capture of a point.
type Span struct {
	Capture     int    // its index in the report
	Name        string // what texts call it; "": as the point
	First, Last int64  // times of frames; 0: it has none
	Dropped     bool   // the capturing system says that it lost packets
}

// Case is what points show of the same connections.
type Case struct {
	Of     []int // the points as they were given, from the LB's end of the path to the target's
	Points []Point
	Links  Links

	conns   []conn
	room    []int                                     // for conn.at of others
	shifts  [][2]tcpstate.Seq                         // likewise
	classOf [][]int32                                 // place in conns of each point's connections
	called  []map[tcpstate.Endpoint]tcpstate.Endpoint // see names
	hosts   []map[tcpstate.Addr]bool                  // of those, as the point nearest to the LB calls them
}

// Link is what two points that follow one another on the path have in common.
type Link struct {
	A, B   int // places in Case.Points, A nearer to the LB
	Shared int // connections
	OnlyAt [2]int
	// Guessed: nothing shows which of the two is nearer to the LB; A was given first.
	Guessed bool
	// Inside: they are the same captures, which show connections twice.
	Inside bool
	Clock  Clock
	NAT    []Translation
	Ways   []Way

	pairs []pair
	samples
}

// Translation is an address that is another one behind something on the path.
type Translation struct {
	Role     string // "lb" or "target"
	From, To string // an address of the LB, an endpoint of the target; as A and as B have it
	N        int    // connections
}

// Way is how long segments took on the way to a target and back, by the estimate of the clocks.
type Way struct {
	Target   tcpstate.Endpoint
	ToTarget int64 // the least, ns
	ToLB     int64
}

// conn is a connection of the case.
type conn struct {
	at    []int             // its place in each point's list; -1: it is not there
	shift [][2]tcpstate.Seq // what was added to its numbers on the way there
}

// mostTranslations bounds what is listed of them, and of ways.
const mostTranslations = 64

// Cases finds the points that have connections in common. Others are in none.
func Cases(points []Point) (cases []*Case) {
	n := len(points)
	links := map[[2]int]*Link{}
	group := make([]int, n)
	before := make([]int, n) // how many points lie before it on the path
	of := make([]int, n)     // which captures: those of the first that shows them
	for i := range group {
		group[i], of[i] = i, i
		if points[i].Behind {
			of[i] = of[i-1]
		}
	}
	for a := range n {
		for b := a + 1; b < n; b++ {
			x, y := points[a].Result, points[b].Result
			inside := of[a] == of[b]
			var pairs []pair
			if inside {
				pairs = straighten(x, y)
			} else if pairs = match(x, y); len(pairs) == 0 {
				continue
			}
			l := &Link{A: a, B: b, pairs: pairs, Inside: inside}
			l.samples = sampled(x, y, pairs)
			if !inside {
				first, known := l.nearer()
				if l.Guessed = !known; !first {
					l.turn()
				}
			}
			before[l.B]++
			l.Shared = len(pairs)
			l.learnClock()
			links[[2]int{a, b}] = l
			from, to := group[b], group[a]
			for i := range group {
				if group[i] == from {
					group[i] = to
				}
			}
		}
	}
	for g := range n {
		c := &Case{}
		for i := range n {
			if group[i] == g {
				c.Of = append(c.Of, i)
			}
		}
		if len(c.Of) > 1 {
			slices.SortStableFunc(c.Of, func(x, y int) int { return cmp.Compare(before[x], before[y]) })
			c.build(points, links)
			cases = append(cases, c)
		}
	}
	return cases
}

// learnClock works out how the clocks of the points stand to each other.
func (l *Link) learnClock() {
	if l.Clock = oneClock; !l.Inside {
		l.Clock = newClock(l.up, l.down)
	}
}

// turn lets the other point be the one nearer to the LB.
func (l *Link) turn() {
	l.A, l.B = l.B, l.A
	for i := range l.pairs {
		p := &l.pairs[i]
		p.a, p.b = p.b, p.a
		p.shift = [2]tcpstate.Seq{-p.shift[0], -p.shift[1]}
	}
	l.samples.turn()
}

// build puts a case together, of points that are in order.
func (c *Case) build(points []Point, links map[[2]int]*Link) {
	place := map[int]int{}
	most := 0 // connections of a point: mostly the others have the same ones
	for _, i := range c.Of {
		most = max(most, len(points[i].Result.Connections))
	}
	c.conns = make([]conn, 0, most)
	for k, i := range c.Of {
		place[i] = k
		c.Points = append(c.Points, points[i])
		c.classOf = append(c.classOf, make([]int32, len(points[i].Result.Connections)))
		for j := range c.classOf[k] {
			c.classOf[k][j] = -1
		}
	}
	for x := range c.Of {
		for y := x + 1; y < len(c.Of); y++ {
			l := links[[2]int{min(c.Of[x], c.Of[y]), max(c.Of[x], c.Of[y])}]
			if l == nil {
				continue
			}
			if place[l.A] != x { // three clocks that contradict each other: the order stands
				l.turn()
				l.learnClock()
			}
			l.A, l.B = x, y
			c.unite(l)
			if !c.passesBetween(l, links) {
				c.describe(l)
				c.Links = append(c.Links, *l)
			}
		}
	}
	for k := range c.classOf { // connections of one point alone
		for i, at := range c.classOf[k] {
			if at < 0 {
				c.enter(k, i)
			}
		}
	}
}

// passesBetween reports whether a point between those of a link has connections of both.
func (c *Case) passesBetween(l *Link, links map[[2]int]*Link) bool {
	linked := func(x, y int) bool {
		i, j := c.Of[x], c.Of[y]
		return links[[2]int{min(i, j), max(i, j)}] != nil
	}
	for m := l.A + 1; m < l.B; m++ {
		if linked(l.A, m) && linked(m, l.B) {
			return true
		}
	}
	return false
}

// enter begins a connection that a point shows.
func (c *Case) enter(k, i int) *conn {
	n := len(c.Points)
	if len(c.room) < n { // many at once
		c.room, c.shifts = make([]int, 512*n), make([][2]tcpstate.Seq, 512*n)
	}
	x := conn{at: c.room[:n:n], shift: c.shifts[:n:n]}
	c.room, c.shifts = c.room[n:], c.shifts[n:]
	for j := range x.at {
		x.at[j] = -1
	}
	x.at[k] = i
	c.classOf[k][i] = int32(len(c.conns))
	c.conns = append(c.conns, x)
	return &c.conns[len(c.conns)-1]
}

// unite enters the connections of a link.
func (c *Case) unite(l *Link) {
	for _, p := range l.pairs {
		var x *conn
		if at := c.classOf[l.A][p.a]; at >= 0 {
			x = &c.conns[at]
		} else {
			x = c.enter(l.A, p.a)
		}
		if c.classOf[l.B][p.b] < 0 && x.at[l.B] < 0 {
			x.at[l.B] = p.b
			for s := range 2 {
				x.shift[l.B][s] = x.shift[l.A][s] + p.shift[s]
			}
			c.classOf[l.B][p.b] = c.classOf[l.A][p.a]
		}
	}
}

// describe says of a link what its connections show.
func (c *Case) describe(l *Link) {
	as, bs := c.Points[l.A].Result.Connections, c.Points[l.B].Result.Connections
	l.OnlyAt = [2]int{listed(as), listed(bs)}
	for _, p := range l.pairs {
		for k, c := range [...]*detect.Connection{&as[p.a], &bs[p.b]} {
			if !c.Late {
				l.OnlyAt[k]--
			}
		}
	}
	nat := map[Translation]int{}
	note := func(role, from, to string) {
		if t := (Translation{Role: role, From: from, To: to}); from != to && (nat[t] > 0 || len(nat) < mostTranslations) {
			nat[t]++
		}
	}
	for _, p := range l.pairs {
		a, b := &as[p.a], &bs[p.b]
		if a.LB.Addr != b.LB.Addr {
			note("lb", a.LB.Addr.String(), b.LB.Addr.String())
		}
		if a.Target != b.Target {
			note("target", a.Target.String(), b.Target.String())
		}
	}
	for t, n := range nat {
		t.N = n
		l.NAT = append(l.NAT, t)
	}
	slices.SortFunc(l.NAT, func(x, y Translation) int {
		return cmp.Or(cmp.Compare(x.Role, y.Role), cmp.Compare(y.N, x.N), cmp.Compare(x.From, y.From), cmp.Compare(x.To, y.To))
	})
	if l.Clock.Known {
		l.Ways = ways(&l.Clock, &l.samples)
	}
	l.samples = samples{}
}

// ways are those to the targets of samples.
func ways(k *Clock, s *samples) (out []Way) {
	const none = 1<<63 - 1
	all := make([]Way, len(s.targets))
	of := make([]*Way, len(s.targets))
	named := make(map[tcpstate.Endpoint]*Way, len(s.targets)) // a target that has several names further on is one
	for i := range all {
		all[i] = Way{Target: s.targets[i][0], ToTarget: none, ToLB: none}
		t := all[i].Target
		if named[t] == nil {
			named[t] = &all[i]
		}
		of[i] = named[t]
	}
	for _, x := range s.up {
		w := of[x.target]
		w.ToTarget = min(w.ToTarget, x.ahead-k.offset(x.at))
	}
	for _, x := range s.down {
		w := of[x.target]
		w.ToLB = min(w.ToLB, k.offset(x.at)-x.ahead)
	}
	for _, w := range all {
		if w.ToTarget != none && w.ToLB != none && len(out) < mostTranslations {
			out = append(out, w)
		}
	}
	slices.SortFunc(out, func(x, y Way) int { return cmp.Compare(x.Target.String(), y.Target.String()) })
	return out
}

// Links are those of points along a path.
type Links []Link

// of is the link of two points; nil: there is none that was kept.
func (ls Links) of(a, b int) *Link {
	for i := range ls {
		if l := &ls[i]; l.A == min(a, b) && l.B == max(a, b) {
			return l
		}
	}
	return nil
}

// Ahead is by how much the clock of point b was ahead of a's at a time of a's, and how far off
// that can be; known is false where it cannot be said.
func (ls Links) Ahead(a, b int, t int64) (ahead, off int64, known bool) {
	for a != b {
		step := 1
		if b < a {
			step = -1
		}
		next := -1
		for m := b; m != a; m -= step {
			if ls.of(a, m) != nil {
				next = m
				break
			}
		}
		if next < 0 {
			return 0, 0, false
		}
		k := &ls.of(a, next).Clock
		if !k.Known {
			return 0, 0, false
		}
		at := t // by the nearer clock
		if step < 0 {
			at -= k.offset(t)
		}
		lo, hi := k.bounds(at)
		d := k.offset(at)
		if off += hi - lo; step < 0 {
			d = -d
		}
		ahead, t, a = ahead+d, t+d, next
	}
	return ahead, off, true
}
