package live

import "time"

// stepClock notices when the clock is set: it compares with one that cannot be.
type stepClock struct {
	base time.Time // read off the clock that cannot be set
	wall int64     // the other one then, ns since the Unix epoch
	off  int64     // ns by which it has been set since
}

// smallStep is what a clock may be off from one look to the next without having been set.
const smallStep = int64(200 * time.Millisecond)

func newStepClock(now time.Time, wall int64) *stepClock { return &stepClock{base: now, wall: wall} }

// step returns by how much the clock has been set since the last look, ns; 0: it was not.
func (c *stepClock) step(now time.Time, wall int64) int64 {
	by := wall - c.wall - int64(now.Sub(c.base)) - c.off
	c.off += by
	if by > smallStep || by < -smallStep {
		return by
	}
	return 0
}
