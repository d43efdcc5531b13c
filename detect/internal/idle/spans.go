package idle

import "slices"

// Spans are times in which something went on, those that overlap made one. The newest are kept.
type Spans struct{ all []span } // in order; there is time between two of them

type span struct{ from, to int64 }

// maxSpans is how many are kept: what a close is asked about is seconds old at most.
const maxSpans = 64

// Add adds a time. What ends before it begins is none.
func (s *Spans) Add(from, to int64) {
	if to <= from {
		return
	}
	if n := len(s.all); n > 0 {
		if l := &s.all[n-1]; l.from <= from && from < l.to { // nearly all
			l.to = max(l.to, to)
			return
		}
	}
	i, _ := slices.BinarySearchFunc(s.all, from, func(x span, at int64) int {
		if x.to <= at {
			return -1
		}
		return 1
	})
	j := i
	for ; j < len(s.all) && s.all[j].from < to; j++ {
		from, to = min(from, s.all[j].from), max(to, s.all[j].to)
	}
	s.all = slices.Replace(s.all, i, j, span{from, to})
	if len(s.all) > maxSpans {
		s.all = slices.Delete(s.all, 0, 1)
	}
}

// Cover reports whether a time is within one.
func (s *Spans) Cover(at int64) bool {
	return slices.ContainsFunc(s.all, func(x span) bool { return x.from < at && at < x.to })
}

// Shift moves the times.
func (s *Spans) Shift(by int64) {
	for i := range s.all {
		s.all[i].from += by
		s.all[i].to += by
	}
}
