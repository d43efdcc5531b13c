package detect

import "connrace/detect/internal/idle"

// theClose is what is known of a target's close, for its cause to be found: what its clocks said,
// and what else was closed then. The causes ask it in the order of CloseCauses.
type theClose struct {
	idle.Close
	aborted   bool  // it closed by an RST, the request unread
	announced int64 // how long before it a GOAWAY came, ns; 0: none did
	rtt       int64
	mass      idle.Mass
	wentOn    bool // the target served connections before and after that it had all the time
}

// What a cause is known from (Measures.CloseCauseBasis).
const (
	fromCloses  = "inferred"
	fromHeaders = "advertised"
	fromDefault = "hint"
	fromRefusal = "refused"
)

func (c *theClose) shift(by int64) {
	c.Time += by
	c.Known += by
	c.Ref.Time += by
}

// cause says why a target closed, and from what that is known.
func (c *theClose) cause(t *target) (cause *CloseCause, basis string) {
	t.timers() // as they are known now
	c.wentOn = c.wentOn || t.told.served.Cover(c.Time)
	for _, cause := range CloseCauses {
		if basis, ok := cause.shows(c, t); ok {
			return cause, basis
		}
	}
	return nil, "" // the last one fits all
}

// busy reports whether the target had had a request for too long for an idle timer to be behind its close:
// what comes within a few round trips may have met the timer. A request that is unread in the
// kernel does not stop it.
func (c *theClose) busy() bool { return c.Out > max(4*c.rtt, idle.ShortGap) }

// inBatch: several overdue ones at once.
func (c *theClose) inBatch(t *target) (string, bool) {
	own, _ := t.timers()
	return "", c.mass.Several() && !c.fits(own) && c.overdue(t)
}

// overdue reports whether all that were closed in that moment had been idle for longer than the
// target's timer, or were outstanding for longer than its limit.
func (c *theClose) overdue(t *target) bool {
	own, _ := t.timers()
	var timer *idle.Timer
	if own != nil {
		timer = &own.Timer
	}
	in := &t.told.inferred
	return c.mass.NoneBusy() && (timer.Overdue(c.mass.Lo) || in.sweep.Overdue(c.mass.Lo))
}

func (c *theClose) fits(own *timer) bool {
	return own != nil && !c.busy() && c.Gap >= 0 && own.Timer.Fits(c.Gap)
}

// ofSome reports whether what was closed with it were some of the target's connections, and it kept
// others: it served them before and after, or they were open still when it had closed those.
func (c *theClose) ofSome() bool { return c.wentOn || !c.mass.OfAll() }

// inMass: several at once whose clocks differ, so that no timer is behind all of them.
func (c *theClose) inMass(t *target) (string, bool) {
	return "", !c.ofSome() && c.together(t)
}

// inShare: so, but of some of its connections. Those of a busy target that are closed one by one meet
// now and then.
func (c *theClose) inShare(t *target) (string, bool) {
	return "", c.ofSome() && c.mass.StandsOut() && c.together(t)
}

// together reports whether several were closed at once that no one timer has closed.
func (c *theClose) together(t *target) bool {
	own, _ := t.timers()
	if !c.mass.Several() || c.overdue(t) {
		return false
	}
	if _, aged := c.byAge(t); aged {
		return false
	}
	if _, refused := c.asRefusal(t); refused {
		return false
	}
	r := t.told.inferred.limits.Request
	return !(c.fits(own) && c.mass.Alike > 1) && !(c.mass.OnlyBusy() && r.Overdue(c.mass.LoOut))
}

// byIdleTimer: it had been idle for as long as the timer that is inferred, or announced.
func (c *theClose) byIdleTimer(t *target) (string, bool) {
	own, _ := t.timers()
	switch {
	case c.busy() || c.Gap < 0:
		return "", false
	case c.fits(own):
		return fromCloses, true
	case c.Gap <= idle.ShortGap:
		return "", false
	case t.told.inferred.sweep.Fits(c.Gap):
		return fromCloses, true
	case t.advertised > 0 && c.Gap >= t.advertised-int64(closesEarly) && c.Gap <= t.advertised+int64(closesLate):
		return fromHeaders, true
	}
	return "", false
}

// byUsualIdleTimer: it fits a well-known default, where no timer is known.
func (c *theClose) byUsualIdleTimer(t *target) (string, bool) {
	own, _ := t.timers()
	return fromDefault, own == nil && !c.busy() && c.Gap > idle.ShortGap && len(matching(targetDefaults, c.Gap)) > 0
}

// byTimerNotCancelled: an idle timer that goes on when a request has come.
func (c *theClose) byTimerNotCancelled(t *target) (string, bool) {
	return fromCloses, c.busy() && t.told.inferred.limits.Uncanceled.Fits(c.Gap)
}

// byRequestTimer: the request had been outstanding for as long as others that were closed upon.
// A request that waited to be accepted was outstanding for longer. One alone is told by a round
// time.
func (c *theClose) byRequestTimer(t *target) (string, bool) {
	if !c.busy() {
		return "", false
	}
	if r := t.told.inferred.limits.Request; r != nil {
		late := c.Out <= max(r.Hi+idle.Slack, r.Lo+r.Lo/20, r.Lo+sweepLate)
		return fromCloses, r.Overdue(c.Out) && (late || c.Gap < 0)
	}
	const shortest = 5 * second // a round time that is shorter says little
	off := (c.Out + int64(idle.Early)) % second
	return fromDefault, c.Out >= shortest-idle.Early && off <= idle.Early+idle.Moment && t.told.slow.From(c.Out+second) == 0
}

// sweepLate is how late a watchdog may be that looks once a second.
const sweepLate = second * 11 / 10

// byAge: the connection was as old as others that were closed.
func (c *theClose) byAge(t *target) (string, bool) {
	return fromCloses, c.Age >= 0 && t.told.inferred.limits.Age.Fits(c.Age)
}

// byCount: it had carried as many requests as others behind which the target closed.
func (c *theClose) byCount(t *target) (string, bool) {
	n := t.told.inferred.limits.Count
	return fromCloses, n != 0 && c.Nth == n && c.Gap <= idle.ShortGap && !c.busy()
}

// behindAnswer: right behind an answer. It had no other request then, or one that lay unread in
// the kernel.
func (c *theClose) behindAnswer(t *target) (string, bool) {
	return "", c.Gap >= 0 && c.Gap <= idle.ShortGap && (c.Out < 0 || c.aborted && t.told.atOnce >= 3)
}

// asItLeft: another was closed then that had a request, too; or others right behind their answers,
// as a worker does that is to end, and none shortly before or after.
func (c *theClose) asItLeft(t *target) (string, bool) {
	return "", !c.ofSome() && c.withAnother(t)
}

// asSomeLeft: so, but of some of its connections.
func (c *theClose) asSomeLeft(t *target) (string, bool) {
	return "", c.ofSome() && (t.told.behindAnswers.burst(c.Time) >= 2 || c.mass.StandsOut() && c.withAnother(t))
}

func (c *theClose) withAnother(t *target) bool {
	n := t.told.behindAnswers.burst(c.Time)
	return n >= 2 || n == 1 && c.mass.N > c.mass.Alike || c.mass.Two()
}

// asItStopped: connections were refused at that moment.
func (c *theClose) asItStopped(t *target) (string, bool) {
	return fromRefusal, !c.wentOn && t.told.refusedNear(c.Time)
}

// asSomeStopped: so, but the target went on with others that it had.
func (c *theClose) asSomeStopped(t *target) (string, bool) {
	return fromRefusal, c.wentOn && t.told.refusedNear(c.Time)
}

// behindGoAway: it had said GOAWAY, and waited for a while for the streams that were open.
func (c *theClose) behindGoAway(*target) (string, bool) {
	return fromHeaders, c.busy() && c.announced > max(4*c.rtt, idle.ShortGap)
}

// asRefusal: the target closes upon each such request as soon as it has it.
func (c *theClose) asRefusal(t *target) (string, bool) {
	return fromCloses, t.told.inferred.limits.Refused[c.What] && c.Refused(t.told.rtt.Median())
}

// asRefusalOfSome: so, and others were answered.
func (c *theClose) asRefusalOfSome(t *target) (string, bool) {
	basis, ok := c.asRefusal(t)
	return basis, ok && t.told.answers
}
