package tcpstate

import "math"

// maxLeap is how much the time may differ from one segment to the next before it is doubted:
// a frame with a wrong stamp must neither end every connection nor stop the clock.
const maxLeap = 3600 * second

// clock is what is known of the capture's clock besides the time.
type clock struct {
	doubted      int64  // time that nothing has confirmed yet; 0: none
	doubtedFrame uint64 // ordinal
	Leaps
}

// Leaps are the places where the capture's clock went wrong.
type Leaps struct {
	Count uint64
	Frame uint64 // ordinal of the first such frame
	By    int64  // by how much it went wrong there, ns
}

func (c *clock) doubt(t *Tracker, s *Segment) {
	c.doubted, c.doubtedFrame = s.Time, t.base+s.Frame
}

// Leaps are frames with a time of their own that no other shares, and places where the
// clock goes back by more than an hour and stays there. A long pause is no leap.
func (t *Tracker) Leaps() Leaps { return t.clock.Leaps }

func (c *clock) leapt(frame uint64, by int64) {
	if c.Count++; c.Count == 1 {
		c.Frame, c.By = frame, by
	}
}

// tick takes the time of a segment. The capture time is the newest time seen, for frames
// of several queues or interfaces come a little out of order.
func (t *Tracker) tick(s *Segment) {
	if s.Time >= t.now && uint64(s.Time-t.now) <= uint64(maxLeap) && t.clock.doubted == 0 {
		t.pass(s.Time)
		return
	}
	by := since(s.Time, t.now)
	if by < -maxLeap || by > maxLeap {
		t.leap(s, by)
		return
	}
	if c := &t.clock; c.doubted != 0 {
		c.leapt(c.doubtedFrame, since(c.doubted, t.now))
		c.doubted = 0
	}
	if by > 0 {
		t.pass(s.Time)
	}
}

// since is a - b, as far as that can be said.
func since(a, b int64) int64 {
	d := a - b
	if (a < b) != (d < 0) {
		d = math.MaxInt64
		if a < b {
			d = math.MinInt64
		}
	}
	return d
}

// pass lets the time pass.
func (t *Tracker) pass(now int64) {
	t.now = now
	if t.timers.due(now) {
		t.wake()
	}
}

// leap believes a time that differs much only when the next segment shares the view: it
// is either after a long pause, then those that wait have waited in vain, or the clock was
// set back (or older frames were appended), then what goes on ends as at the end of a
// capture.
func (t *Tracker) leap(s *Segment, by int64) {
	c := &t.clock
	switch {
	case s.Time == 0: // it has none
	case t.now == 0: // the first
		t.pass(s.Time)
	case c.doubted == 0 || (c.doubted > t.now) != (by > 0):
		if c.doubted != 0 {
			c.leapt(c.doubtedFrame, since(c.doubted, t.now))
		}
		c.doubt(t, s)
	case by > 0:
		// The nearer one: the other may still be wrong.
		now := min(c.doubted, s.Time)
		if s.Time > now {
			c.doubt(t, s)
		}
		if since(c.doubted, now) <= maxLeap {
			c.doubted = 0
		}
		t.pass(now)
	default:
		now := max(c.doubted, s.Time)
		c.leapt(c.doubtedFrame, since(now, t.now))
		c.doubted = 0
		t.setBack(now)
	}
}

// setBack ends everything and begins anew at another time. Numbers go on.
func (t *Tracker) setBack(now int64) {
	for _, x := range t.settleAll() {
		t.forget(t.flows.at(uint32(x)))
	}
	if t.flows.made > arenaChunk { // else it is cheaper to use them again: the clock may go on like that
		t.flows, t.wides, t.index, t.sweepAt = arena[Flow]{}, wides{}, index{}, 0
		t.index.resize(minIndex)
		t.prepared.forget()
	}
	t.timers.restart()
	t.now = now
}
