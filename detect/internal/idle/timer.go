package idle

import "sort"

// Timer is an inferred timeout with the cluster of gaps that it stands on.
type Timer struct {
	After   int64 // ns
	Lo, Hi  int64 // the shortest and the longest gap of the cluster
	Moments int   // distinct closing times
	Closes  []Close
}

// Fits reports whether a gap belongs to the timer. A timer may fire late, or the packets
// around it be delayed, but what it let pass it has not closed. A nil timer fits nothing.
func (t *Timer) Fits(gap int64) bool {
	return t.Overdue(gap) && gap <= t.Hi+max(Slack, t.After/20)
}

// Overdue reports whether the timer had run out after a gap.
func (t *Timer) Overdue(gap int64) bool { return t != nil && gap >= t.Lo-Early }

// Infer infers an idle timeout from closes: a tight cluster of gaps from at least three
// distinct moments, or of two within 20 ms, that no answered reuse outlived; longest is
// the longest gap after which a connection was used again; mass are their MassCloses. Nil: none.
func Infer(samples []Close, mass []bool, longest int64) *Timer {
	i := -1
	gs := timed(samples, func() bool { i++; return !mass[i] })
	ids, n := moments(gs)
	var best []Close
	bestMoments := 0
	seen := make([]int32, n) // how often a moment occurs in the window
	distinct := 0
	for i, j := 0, 0; i < len(gs); i++ {
		for j < len(gs) && gs[j].Gap-gs[i].Gap <= min(gs[i].Gap/20, second*11/10) {
			if seen[ids[j]]++; seen[ids[j]] == 1 {
				distinct++
			}
			j++
		}
		if m, c := distinct, gs[i:j]; m > bestMoments && c[len(c)-1].Gap+Early >= longest && 2*len(c) >= nearby(gs, c) &&
			(m >= 3 || m == 2 && c[len(c)-1].Gap-c[0].Gap <= Early) {
			best, bestMoments = c, m
		}
		if seen[ids[i]]--; seen[ids[i]] == 0 {
			distinct--
		}
	}
	if best == nil {
		return nil
	}
	return &Timer{After: best[len(best)/2].Gap, Lo: best[0].Gap, Hi: best[len(best)-1].Gap, Moments: bestMoments, Closes: best}
}

// nearby is how many of the sorted samples lie within a sweep's period of a cluster. A
// timer's closes are most of them; of closes spread evenly over the period some lie near
// each other by chance.
func nearby(gs, cluster []Close) int {
	lo, hi := cluster[0].Gap-sweepPeriod, cluster[len(cluster)-1].Gap+sweepPeriod
	i := sort.Search(len(gs), func(i int) bool { return gs[i].Gap >= lo })
	j := sort.Search(len(gs), func(i int) bool { return gs[i].Gap > hi })
	return j - i
}

// InferSweep infers from closes that no timer fits that the target sweeps: three quarters
// of at least five idle ages, from three moments, lie within one period, and no reuse was
// longer. What it says is too vague to be a timeout, but tells such closes from a
// restart's.
func InferSweep(samples []Close, longest int64) *Timer {
	gs := timed(samples, func() bool { return true })
	var best []Close
	for i, j := 0, 0; i < len(gs); i++ {
		for j < len(gs) && gs[j].Gap-gs[i].Gap <= sweepPeriod {
			j++
		}
		if j-i > len(best) {
			best = gs[i:j]
		}
	}
	if 4*len(best) < 3*len(gs) || len(best) < 5 || best[0].Gap < sweepPeriod/2 || best[len(best)-1].Gap+Early < longest {
		return nil
	}
	if _, n := moments(best); n < 3 {
		return nil
	}
	return &Timer{After: best[0].Gap, Lo: best[0].Gap, Hi: best[len(best)-1].Gap, Closes: best}
}

// timed are the closes that a timer may be behind, by gap: keep is asked for each sample
// in turn.
func timed(samples []Close, keep func() bool) []Close {
	var which []int // closes are large: they are copied once, not each time that there is no room for more
	for i := range samples {
		if s := &samples[i]; keep() && s.Idle && s.Gap > ShortGap {
			which = append(which, i)
		}
	}
	gs := make([]Close, len(which))
	for i, k := range which {
		gs[i] = samples[k]
	}
	return sorted(gs, func(s *Close) int64 { return s.Gap })
}
