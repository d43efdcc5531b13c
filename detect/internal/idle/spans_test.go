package idle

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// A time is covered where one of those that were added covers it, in whatever order they came.
func TestSpans(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		var s Spans
		var added []span
		for range r.IntN(40) {
			from := r.Int64N(200)
			to := from + r.Int64N(20) - 4
			s.Add(from, to)
			added = append(added, span{from, to})
		}
		s.Shift(1000)
		for at := int64(-5); at < 230; at++ {
			one := slices.ContainsFunc(added, func(x span) bool { return x.from < at && at < x.to })
			// Two of which one begins in the other are one: also where it ends there is more.
			if s.Cover(1000+at) != one && !slices.ContainsFunc(added, func(x span) bool { return x.from == at || x.to == at }) {
				t.Fatalf("%v: at %d: %v, want %v", added, at, s.Cover(1000+at), one)
			}
		}
		for i := 1; i < len(s.all); i++ {
			if s.all[i].from < s.all[i-1].to {
				t.Fatalf("%v: not in order: %v", added, s.all)
			}
		}
	}
}

// Of many that do not overlap the newest are kept.
func TestSpansKept(t *testing.T) {
	var s Spans
	for i := range int64(10_000) {
		s.Add(10*i, 10*i+5)
	}
	if len(s.all) != maxSpans || !s.Cover(99_992) || s.Cover(2) {
		t.Errorf("%d kept, the newest %v", len(s.all), s.all[len(s.all)-1])
	}
}
