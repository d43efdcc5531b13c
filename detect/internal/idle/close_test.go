package idle

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	"connrace/detect/internal/ring"
)

// Of the closes the newest are kept, and the idle times of all.
func TestCloses(t *testing.T) {
	c := Closes{Ring: ring.Ring[Close]{Max: 3}}
	for range 10 {
		c.Add(Close{Gap: second})
	}
	sum := uint32(0)
	for _, n := range c.Gaps {
		sum += n
	}
	if c.Len() != 3 || sum != 10 {
		t.Errorf("%d closes kept, %d idle times", c.Len(), sum)
	}
}

// The closes of a moment are among those around it, whether they were announced long before,
// or the clock was set back.
func TestClosesAround(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		c := Closes{Ring: ring.Ring[Close]{Max: 50}}
		now, announced := 1000*second, r.Int64N(10)
		for n := range 200 {
			if now += r.Int64N(40 * millisecond); r.IntN(150) == 0 {
				now -= second
			}
			s := Close{Time: now, Known: now}
			if announced > 7 {
				s.Time -= r.Int64N(100 * millisecond)
			}
			c.Add(s)
			at := now - r.Int64N(2*second)
			from, to := c.around(at-Moment, at+Moment)
			for i := range c.Len() {
				if s := c.At(i); s.Time >= at-Moment && s.Time <= at+Moment && (i < from || i >= to) {
					t.Fatalf("%d: place %d is not in [%d, %d)", n, i, from, to)
				}
			}
			if announced <= 7 && !c.setBack && to-from > 30 {
				t.Fatalf("%d: [%d, %d) for 100 ms", n, from, to)
			}
		}
	}
}

// Those that are alike are as many as a look at every pair of clock and beginning finds, and where in a
// ring the oldest close lies decides nothing.
func TestAlike(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		cs := make([]Close, 1+r.IntN(20))
		var some readings
		for i := range cs {
			cs[i] = Close{Time: r.Int64N(300 * millisecond), Gap: r.Int64N(second) - 100*millisecond, Out: r.Int64N(second) - 500*millisecond, Age: r.Int64N(second)}
			some.add(cs[i].reading())
		}
		want := 0
		for i := range cs {
			n := 0
			for j := range cs {
				if x, y := cs[i].reading(), cs[j].reading(); y.ns >= x.ns && y.alike(x) {
					n++
				}
			}
			want = max(want, n)
		}
		if got := some.mostAlike(); got != want || some.n() != len(cs) {
			t.Fatalf("%d of %d are alike, want %d of %d: %v", got, some.n(), want, len(cs), cs)
		}
		slices.SortFunc(cs, func(a, b Close) int { return cmp.Compare(a.Time, b.Time) })
		mass, k := MassCloses(cs), r.IntN(len(cs))
		if got := MassCloses(slices.Concat(cs[k:], cs[:k])); !slices.Equal(got, slices.Concat(mass[k:], mass[:k])) {
			t.Fatalf("%v, turned by %d: %v", mass, k, got)
		}
	}
}
