// Package idle infers idle timeouts from the moments at which connections were closed and
// from how long they had been idle then. It tells a timer from a sweep and from a restart.
// It knows no connections and no findings.
package idle

import (
	"connrace/detect/internal/ring"
	"connrace/tcpstate"
)

const (
	millisecond = int64(1e6)
	second      = int64(1e9)

	// ShortGap is too short for an idle timeout: no default is below 2 s (gunicorn's), and a
	// close right behind an answer comes within a few round trips.
	ShortGap = 100 * millisecond
	// Slack is how late a timer fires and how much a path's delay varies, by judgement:
	// timeouts that differ by less are equal.
	Slack = 100 * millisecond
	// Moment is how near in time closes belong together, by judgement: a process that exits
	// closes all of its sockets at once.
	Moment = 50 * millisecond
	// Early is by how much a timer may seem to fire early, by the error of measurement.
	Early = 20 * millisecond
	// sweepPeriod is how late a server may be that looks for overdue connections now and
	// then: gunicorn and lighttpd do once a second.
	sweepPeriod = second * 12 / 10
	// sameMoment is how near closes are one event of a timer, not several.
	sameMoment = 10 * millisecond
)

// Close is a close by one side of a connection: when, and what its clocks said.
type Close struct {
	Time  int64           // of the FIN, or of what announced it
	Gap   int64           // how long the connection had been idle; -1: no octet of an answer was seen before
	Out   int64           // how long the target had had a request that it had not answered in full; -1: none
	Age   int64           // how long ago the connection was accepted; -1: not known
	What  uint64          // what kind of request it is that Out is about; 0: not known
	Ref   tcpstate.SegRef // the FIN or RST
	Known int64           // when it was known: Time, or later than that of an announcement
	Nth   uint32          // requests that were answered; 0: not known
	Open  int32           // connections of the target that were open still, of those that were when it began to close some
	Left  int32           // the fewest that were in Linger behind it, or until the next close
	timed uint32          // closes so far, this one among them, that did not follow right behind an answer
	Idle  bool            // nothing was outstanding as the closer saw it
}

// reading is the clock that a timer would go by that ended a connection, and what it said: it had
// been idle for so long, or a request had been outstanding for so long, or it was so old.
type reading struct {
	clock byte
	ns    int64
	of    *Close
}

func (c *Close) reading() reading {
	switch {
	case c.Out > ShortGap:
		return reading{'o', c.Out, c}
	case c.Gap >= 0:
		return reading{'i', c.Gap, c}
	}
	return reading{'a', c.Age, c}
}

// AtOnce reports whether the close followed right behind an answer: that is a habit of the
// target, no timer and no restart.
func (c *Close) AtOnce() bool { return c.Idle && c.Gap >= 0 && c.Gap <= ShortGap }

// Closes are the closes by one side: the newest ones, and the idle times of all.
type Closes struct {
	ring.Ring[Close]
	Gaps Histogram

	timed   uint32 // closes that did not follow right behind an answer
	late    int64  // how long a close was not known, at most
	setBack bool   // the clock was, and the closes are not in the order in which they were known
}

// Add adds a close.
func (c *Closes) Add(s Close) {
	if n := c.Newest(); n != nil && n.Known > s.Known {
		c.setBack = true
	}
	c.late = max(c.late, s.Known-s.Time)
	if !s.AtOnce() {
		c.timed++
	}
	s.timed = c.timed
	c.Ring.Add(s)
	if s.Gap >= 0 {
		c.Gaps.Add(s.Gap)
	}
}

// Linger is how long a process that ends may take to close all of its connections, or to let its
// requests finish, by judgement: longer than most requests take.
const Linger = 300 * millisecond

// Fell says how many connections are open behind a close that need not be one of those that are kept.
func (c *Closes) Fell(at int64, open int32) {
	if n := c.Newest(); n != nil && at <= n.Known+Linger {
		n.Left = min(n.Left, open)
	}
}

// around are the places, from i to before j, of the closes that may be of a time. They
// are few of those kept on a busy target, and each of its findings asks.
func (c *Closes) around(from, to int64) (i, j int) {
	if c.setBack {
		return 0, c.Len()
	}
	return c.Search(func(s *Close) bool { return s.Known >= from }),
		c.Search(func(s *Close) bool { return s.Known-c.late > to })
}

// Shift moves the times.
func (c *Closes) Shift(by int64) {
	c.Each(func(s *Close) {
		s.Time += by
		s.Ref.Time += by
		s.Known += by
	})
}
