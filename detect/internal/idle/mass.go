package idle

import (
	"slices"
	"sort"
)

// Mass is what else was closed in the moment of a close.
type Mass struct {
	N      int   // connections that were closed in that moment
	Alike  int   // those of about the same idle age
	Lo, Hi int64 // their idle ages; Lo is very large where there are none
}

// Together looks which connections were closed in the same moment as one of the given idle
// age; -1: its age is not known.
func (c *Closes) Together(at, gap int64) (m Mass) {
	m.Lo = 1 << 62
	for i, end := c.around(at); i < end; i++ {
		s := c.At(i)
		if s.Time >= at-Moment && s.Time <= at+Moment && !s.AtOnce() {
			m.N++
			if gap >= 0 && !unlike(min(gap, s.Gap), max(gap, s.Gap)) {
				m.Alike++
			}
			m.Lo, m.Hi = min(m.Lo, s.Gap), max(m.Hi, s.Gap)
		}
	}
	return m
}

// Several reports whether they are a mass close: at least three, at unlike idle ages.
func (m *Mass) Several() bool { return m.N >= 3 && 3*m.Alike <= 2*m.N && unlike(m.Lo, m.Hi) }

// unlike reports whether idle ages differ by more than a timer's scatter.
func unlike(lo, hi int64) bool { return hi-lo > max(hi/10, 100*millisecond) }

// massCloses marks the closes that belong to a mass close: at least three within one
// moment at unlike idle ages. Of a busy target's timer many fire in one moment, all alike.
func massCloses(samples []Close) []bool {
	order := byTime(samples)
	mass := make([]bool, len(samples))
	var ages []int64
	for i := 0; i < len(order); {
		first := samples[order[i]].Time
		ages = ages[:0]
		j := i
		for ; j < len(order) && samples[order[j]].Time-samples[order[max(j-1, i)]].Time <= Moment && samples[order[j]].Time-first <= 4*Moment; j++ {
			if s := &samples[order[j]]; !s.AtOnce() {
				ages = append(ages, s.Gap)
			}
		}
		if len(ages) >= 3 && 3*mostAlike(ages) <= 2*len(ages) {
			for _, k := range order[i:j] {
				mass[k] = true
			}
		}
		i = j
	}
	return mass
}

// mostAlike is how many of the idle ages are alike; it sorts them.
func mostAlike(ages []int64) int {
	slices.Sort(ages)
	most := 0
	for i, j := 0, 0; j < len(ages); j++ {
		for unlike(ages[i], ages[j]) {
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
