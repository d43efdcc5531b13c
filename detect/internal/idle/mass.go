package idle

import "sort"

// Mass is what else was closed in the moment of a close.
type Mass struct {
	N      int   // connections that were closed in that moment
	Alike  int   // those of them whose clocks say the same as that of the close
	Busy   int   // those that had a request outstanding
	Lo, Hi int64 // how long they had been idle; Lo is very large where none was
	LoOut  int64 // the shortest time that one had had a request for; very large where none had
	unlike bool  // there are two whose clocks differ
}

// Together looks which connections were closed in the same moment as c.
func (x *Closes) Together(c *Close) (m Mass) {
	m.Lo, m.LoOut = 1<<62, 1<<62
	var first *Close
	for i, end := x.around(c.Time); i < end; i++ {
		s := x.At(i)
		if s.Time < c.Time-Moment || s.Time > c.Time+Moment || s.AtOnce() {
			continue
		}
		m.N++
		if alike(s, c) {
			m.Alike++
		}
		if s.Out >= 0 {
			m.Busy++
		}
		if which, ns := s.clock(); which == 'o' {
			m.LoOut = min(m.LoOut, ns)
		} else if which == 'i' {
			m.Lo, m.Hi = min(m.Lo, ns), max(m.Hi, ns)
		}
		if first == nil {
			first = s
		}
		m.unlike = m.unlike || !alike(first, s)
	}
	return m
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
func alike(a, b *Close) bool {
	x, i := a.clock()
	y, j := b.clock()
	return x == y && !unlike(min(i, j), max(i, j))
}

// unlike reports whether times differ by more than a timer's scatter.
func unlike(lo, hi int64) bool { return hi-lo > max(hi/10, 100*millisecond) }

// massCloses marks the closes that belong to a mass close: at least three within one
// moment whose clocks differ. Of a busy target's timer many fire in one moment, all alike.
func massCloses(samples []Close) []bool {
	order := byTime(samples)
	mass := make([]bool, len(samples))
	var some []*Close
	for i := 0; i < len(order); {
		first := samples[order[i]].Time
		some = some[:0]
		j := i
		for ; j < len(order) && samples[order[j]].Time-samples[order[max(j-1, i)]].Time <= Moment && samples[order[j]].Time-first <= 4*Moment; j++ {
			if s := &samples[order[j]]; !s.AtOnce() {
				some = append(some, s)
			}
		}
		if len(some) >= 3 && 3*mostAlike(some) <= 2*len(some) {
			for _, k := range order[i:j] {
				mass[k] = true
			}
		}
		i = j
	}
	return mass
}

// mostAlike is how many of them are alike; it sorts them.
func mostAlike(cs []*Close) int {
	sort.Slice(cs, func(i, j int) bool {
		x, a := cs[i].clock()
		y, b := cs[j].clock()
		return x < y || x == y && a < b
	})
	most := 0
	for i, j := 0, 0; j < len(cs); j++ {
		for !alike(cs[i], cs[j]) {
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
	order := make([]int, len(c))
	for i := range order {
		order[i] = i
	}
	sort.Slice(order, func(i, j int) bool { return c[order[i]].Time < c[order[j]].Time })
	return order
}
