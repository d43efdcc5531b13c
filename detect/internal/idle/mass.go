package idle

import (
	"cmp"
	"math"
	"slices"
	"sync"
)

// Mass is what else was closed in the moment of a close.
type Mass struct {
	N      int   // connections that were closed in that moment
	Alike  int   // those of them that one timer may have closed with this one, for their clocks say the same
	Busy   int   // those that had a request outstanding
	Lo, Hi int64 // how long they had been idle; Lo is very large where none was
	LoOut  int64 // the shortest time that one had had a request for; very large where none had
	Closed int32 // connections that were closed in that moment, right behind answers, too
	Left   int32 // those that were open still shortly after it
	unlike bool  // there are two whose clocks differ
	near   int64 // others, as N, that were closed in the second before and behind that moment
	over   int64 // of how much of these two seconds that is known, ns
}

// Together looks which connections were closed in the same moment as c.
func (x *Closes) Together(c *Close) (m Mass) {
	m.Lo, m.LoOut = 1<<62, 1<<62
	some := rooms.Get().(*readings)
	defer rooms.Put(some)
	some.reset()
	var first reading
	own := c.reading()
	open, atOnce := int32(0), int32(0)
	m.Left = math.MaxInt32
	for i, end := x.around(c.Time-Moment, c.Time+Linger); i < end; i++ {
		s := x.At(i)
		if s.Time < c.Time-Moment || s.Time > c.Time+Linger {
			continue
		}
		m.Left = min(m.Left, s.Left)
		if s.Time > c.Time+Moment {
			continue
		}
		open = max(open, s.Open+1)
		if s.AtOnce() {
			atOnce++
			continue
		}
		r := s.reading()
		if some.add(r); m.N == 0 {
			first = r
		}
		if m.N++; r.alike(own) {
			m.Alike++
		}
		if s.Out >= 0 {
			m.Busy++
		}
		if r.clock == 'o' {
			m.LoOut = min(m.LoOut, r.ns)
		} else if r.clock == 'i' {
			m.Lo, m.Hi = min(m.Lo, r.ns), max(m.Hi, r.ns)
		}
		m.unlike = m.unlike || !first.alike(r)
	}
	if m.Alike > 1 { // those that are alike to this one need not be to each other
		m.Alike = min(m.Alike, some.mostAlike())
	}
	if m.N == 0 && atOnce == 0 {
		m.Left = 0 // none was noted
	}
	m.Closed = max(int32(m.N)+atOnce, open-m.Left)
	x.background(c, &m)
	return m
}

// background counts what was closed shortly before and after the moment of c.
func (x *Closes) background(c *Close, m *Mass) {
	if x.Len() == 0 || x.setBack {
		return
	}
	i, j := x.around(c.Time-second, c.Time+second)
	if i >= j {
		return
	}
	first, last := x.At(i), x.At(j-1)
	all := int64(last.timed - first.timed)
	if !first.AtOnce() {
		all++
	}
	m.near = max(all-int64(m.N), 0)
	m.over = max(min(c.Time+second, x.Newest().Time)-max(c.Time-second, x.At(0).Time)-2*Moment, 2*Moment)
}

// OfAll reports whether most of the connections that the target had were closed then.
func (m *Mass) OfAll() bool { return m.Left <= m.Closed }

// StandsOut reports whether more were closed in that moment than so many as are closed in others let
// expect: connections that end one by one, each for itself, meet in a moment now and then. Five times as
// many and three are about one of a thousand moments, where they come as by chance (Poisson); of
// two there must be none nearby.
func (m *Mass) StandsOut() bool {
	if m.near == 0 {
		return m.N >= 2
	}
	return m.N >= 3 && (int64(m.N)-3)*m.over >= 5*m.near*2*Moment
}

// Several reports whether they are a mass close: at least three that no one timer has closed, for
// their clocks differ.
func (m *Mass) Several() bool { return m.N >= 3 && 3*m.Alike <= 2*m.N && m.unlike }

// Two reports whether they are two that had requests, and whose clocks differ.
func (m *Mass) Two() bool { return m.N == 2 && m.Busy == 2 && m.unlike }

// OnlyBusy reports whether all had requests outstanding for long.
func (m *Mass) OnlyBusy() bool { return m.Lo == 1<<62 && m.LoOut < 1<<62 }

// NoneBusy reports whether none had.
func (m *Mass) NoneBusy() bool { return m.LoOut == 1<<62 }

// alike reports whether one timer may have ended both connections.
func (r reading) alike(o reading) bool {
	return r.clock == o.clock && !unlike(min(r.ns, o.ns), max(r.ns, o.ns))
}

// unlike reports whether times differ by more than a timer's scatter.
func unlike(lo, hi int64) bool { return hi-lo > max(hi/10, 100*millisecond) }

// MassCloses marks the closes that belong to a mass close: at least three within one
// moment whose clocks differ. Of a busy target's timer many fire in one moment, all alike.
func MassCloses(samples []Close) []bool {
	order := byTime(samples)
	mass := make([]bool, len(samples))
	var some readings
	for i := 0; i < len(order); {
		first := samples[order[i]].Time
		some.reset()
		j := i
		for ; j < len(order) && samples[order[j]].Time-samples[order[max(j-1, i)]].Time <= Moment && samples[order[j]].Time-first <= 4*Moment; j++ {
			if s := &samples[order[j]]; !s.AtOnce() {
				some.add(s.reading())
			}
		}
		if n := some.n(); n >= 3 && 3*some.mostAlike() <= 2*n {
			for _, k := range order[i:j] {
				mass[k] = true
			}
		}
		i = j
	}
	return mass
}

// readings are what the clocks of some closes said, each by itself: numbers are sorted several times as
// fast as what has to be compared by a function, and a busy target closes hundreds in one moment.
type readings struct{ idle, outstanding, age []int64 }

// rooms are readings to be used again: a busy target's fill pages for each of its findings.
var rooms = sync.Pool{New: func() any { return new(readings) }}

func (rs *readings) add(r reading) {
	switch r.clock {
	case 'i':
		rs.idle = append(rs.idle, r.ns)
	case 'o':
		rs.outstanding = append(rs.outstanding, r.ns)
	default:
		rs.age = append(rs.age, r.ns)
	}
}

// reset empties them and keeps their room.
func (rs *readings) reset() {
	rs.idle, rs.outstanding, rs.age = rs.idle[:0], rs.outstanding[:0], rs.age[:0]
}

// n is how many there are.
func (rs *readings) n() int { return len(rs.idle) + len(rs.outstanding) + len(rs.age) }

// mostAlike is how many of them are alike; it sorts them.
func (rs *readings) mostAlike() int {
	return max(mostAlike(rs.idle), mostAlike(rs.outstanding), mostAlike(rs.age))
}

// mostAlike is how many of the times of one clock are alike; it sorts them.
func mostAlike(ns []int64) int {
	if len(ns) == 0 || !unlike(slices.Min(ns), slices.Max(ns)) {
		return len(ns)
	}
	slices.Sort(ns)
	most := 0
	for i, j := 0, 0; j < len(ns); j++ {
		for unlike(ns[i], ns[j]) {
			i++
		}
		most = max(most, j-i+1)
	}
	return most
}

// moments numbers the distinct closing times among samples: those within sameMoment of
// each other are one.
func moments(c []Close) (ids []int32, n int) {
	order := byTime(c)
	ids = make([]int32, len(c))
	var last int64
	for _, i := range order {
		if n == 0 || c[i].Time-last > sameMoment {
			n++
		}
		last = c[i].Time
		ids[i] = int32(n - 1)
	}
	return ids, n
}

// byTime is the order of samples in time.
func byTime(c []Close) []int {
	first := 0 // in a ring the oldest one lies anywhere; from there on they are nearly in order
	for i := range c {
		if c[i].Time < c[first].Time {
			first = i
		}
	}
	return order(c, first, func(s *Close) int64 { return s.Time })
}

// order is the order of samples by a clock; sorting begins with one of them. Closes are large: what the clock
// says is sorted in their place.
func order(cs []Close, first int, clock func(*Close) int64) []int {
	type at struct {
		ns int64
		i  int
	}
	by := make([]at, 0, len(cs))
	for i := range cs[first:] {
		by = append(by, at{clock(&cs[first+i]), first + i})
	}
	for i := range cs[:first] {
		by = append(by, at{clock(&cs[i]), i})
	}
	slices.SortFunc(by, func(a, b at) int { return cmp.Compare(a.ns, b.ns) })
	order := make([]int, len(cs))
	for i := range by {
		order[i] = by[i].i
	}
	return order
}

// sorted are samples in the order of a clock.
func sorted(cs []Close, clock func(*Close) int64) []Close {
	out := make([]Close, len(cs))
	for i, j := range order(cs, 0, clock) {
		out[i] = cs[j]
	}
	return out
}
