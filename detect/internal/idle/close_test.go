package idle

import (
	"math/rand/v2"
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
