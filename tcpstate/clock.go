package tcpstate

import "math"

// maxLeap is how much the time may differ from one segment to the next before it is doubted:
// a frame with a wrong stamp must neither end every connection nor stop the clock.
const maxLeap = 3600 * second

// clock is what is known of the capture's clock besides the time.
type clock struct {
	doubted      int64  // time that nothing has confirmed yet; 0: none
	doubtedFrame uint64 // ordinal
	calm         int64  // until then nothing is due; 0 where a time is doubted
	Leaps
}

// Leaps are the places where the capture's clock went wrong.
type Leaps struct {
	Count uint64
	Frame uint64 // ordinal of the first such frame
	By    int64  // by how much it went wrong there, ns
}

// Leaps are where the stamps of a capture went wrong: frames with a time of their own that
// no other shares, and places where the clock goes back by more than an hour and stays there.
// A long pause is no leap, and what Shift was told of is none.
func (t *Tracker) Leaps() Leaps { return t.clock.Leaps }

// Now is the capture time, ns.
func (t *Tracker) Now() int64 { return t.now }

// tick takes the time of a segment. The capture time is the newest time seen, for frames
// of several queues or interfaces come a little out of order.
func (t *Tracker) tick(s *Segment) {
	if s.Time >= t.now && s.Time < t.calm {
		t.now = s.Time
	} else {
		t.turnClock(s) // apart, so that the rest is inlined
	}
}

// turnClock is tick where something may be due, or the time is not the next.
func (t *Tracker) turnClock(s *Segment) {
	by := since(s.Time, t.now)
	if by < -maxLeap || by > maxLeap {
		t.leap(s, by)
		return
	}
	if c := &t.clock; c.doubted != 0 {
		c.noteLeap(c.doubtedFrame, since(c.doubted, t.now))
		c.doubted = 0
	}
	if by >= 0 {
		t.setNow(s.Time)
	}
}

// Advance says that the capture has come to a time without a segment: who watches an
// interface does not wait for the next one. Times that have passed are ignored.
func (t *Tracker) Advance(now int64) {
	if now <= t.now {
		return
	}
	t.setNow(now)
	t.sweep()
}

// setNow lets the time pass.
func (t *Tracker) setNow(now int64) {
	if t.wheel.due(now) || now >= t.waiting.due {
		t.elapse(now)
	}
	if t.now, t.calm = now, 0; t.doubted == 0 {
		t.calm = min(t.wheel.next, t.waiting.due, timeAfter(now, maxLeap))
	}
}

// elapse does what is due until a time, in the order in which it is due.
func (t *Tracker) elapse(now int64) {
	for t.waiting.n > 0 && t.waiting.due <= now {
		if t.now = max(t.waiting.due, t.now); t.wheel.due(t.now) {
			t.serveDue()
		}
		if t.waiting.due <= t.now {
			t.giveUp()
		}
	}
	if t.now = now; t.wheel.due(now) {
		t.serveDue()
	}
}

// timeAfter is the time after a while, or the last that there is.
func timeAfter(now, while int64) int64 {
	if now > math.MaxInt64-while {
		return math.MaxInt64
	}
	return now + while
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
		t.setNow(s.Time)
	case c.doubted == 0 || (c.doubted > t.now) != (by > 0):
		if c.doubted != 0 {
			c.noteLeap(c.doubtedFrame, since(c.doubted, t.now))
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
		t.setNow(now)
	default:
		now := max(c.doubted, s.Time)
		c.noteLeap(c.doubtedFrame, since(now, t.now))
		c.doubted = 0
		t.setBack(now)
	}
}

func (c *clock) doubt(t *Tracker, s *Segment) {
	c.doubted, c.doubtedFrame, c.calm = s.Time, t.base+s.Frame, 0
}

func (c *clock) noteLeap(frame uint64, by int64) {
	if c.Count++; c.Count == 1 {
		c.Frame, c.By = frame, by
	}
}

// setBack ends everything and begins anew at another time. Numbers go on.
func (t *Tracker) setBack(now int64) {
	for _, x := range t.settleAll() {
		t.forget(t.flows.at(uint32(x)))
	}
	if t.flows.made > arenaChunk { // else it is cheaper to use them again: the clock may go on like that
		t.flows, t.v6, t.index, t.sweepAt = arena[Flow]{}, v6pairs{}, index{}, 0
		t.index.resize(minIndex)
	}
	t.wheel.restart()
	t.retired.setBack()
	t.now, t.calm = now, 0
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

// Shift says that the clock which segments are stamped with was set, forwards or back:
// all that is remembered moves by that much, as if it had always gone right. It is for live,
// where the host says that its clock was set; of captures, leap decides.
func (t *Tracker) Shift(by int64) {
	shift(&t.clock.doubted, by)
	t.wheel.restart()
	t.waiting.shift(by)
	t.retired.shift(uint32((t.now+by)/second - t.now/second))
	t.calm = 0
	t.Each(func(f *Flow) {
		f.LastTime += by
		for i := range f.Half {
			shift(&f.recent[i].turnTime, by)
			shift(&f.recent[i].newestTime, by)
		}
		if f.notes != 0 {
			m := t.noteArena[f.notes]
			shift(&m.CloseTime, by)
			m.Half[0].shift(by)
			m.Half[1].shift(by)
		}
		if h := t.http2[f.index]; h != nil {
			h.shift(by)
		}
		if f.due != 0 {
			tick := t.dueTick(f) + by/wheelTick
			f.due = max(uint32(tick), 1)
			t.wheel.add(f.index, tick)
		}
	})
	t.now += by
}

// shift moves a time that is 0 where there is none.
func shift(at *int64, by int64) {
	if *at != 0 {
		*at += by
	}
}
