package join

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

// What an edge says is what the sample says that says most, whichever that is.
func TestEdge(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		all := make([]sample, 1+r.IntN(40))
		for i := range all {
			all[i] = sample{at: r.Int64N(1e9), ahead: r.Int64N(1e6)}
		}
		slices.SortFunc(all, func(a, b sample) int { return cmp.Compare(a.at, b.at) })
		for _, sign := range []int64{1, -1} {
			e := newEdge(all, all[0].at, all[len(all)-1].at, sign)
			for at := int64(-2e8); at < 12e8; at += 17e6 {
				best := e.says(0, at)
				for i := range e.samples {
					if s := e.says(i, at); sign*s > sign*best {
						best = s
					}
				}
				if got := e.at(at); got-best > 1 || best-got > 1 { // slack is rounded
					t.Fatalf("at %d: %d, not %d of %v", at, got, best, e.samples)
				}
			}
		}
	}
}

// Times of damaged captures are further apart than an int64 holds.
func TestFarApart(t *testing.T) {
	const most = 1<<63 - 1
	up := []sample{{at: -most, ahead: 5}, {at: most, ahead: 5}}
	down := []sample{{at: -most + 1, ahead: 4}, {at: most - 1, ahead: 4}}
	if c := newClock(up, down); !c.Known || c.At != 0 {
		t.Errorf("%+v", c)
	}
}
