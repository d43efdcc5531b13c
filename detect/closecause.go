package detect

import (
	"fmt"

	"connrace/detect/internal/idle"
)

// The causes of a target's close (Measures.CloseCause).
const (
	CloseIdleTimeout   = "idle-timeout"   // the gap fits the target's idle timer
	CloseMass          = "mass-close"     // several connections at once, at unlike ages
	CloseOverdueBatch  = "overdue-batch"  // several overdue ones at once
	CloseAfterResponse = "after-response" // right behind an answer that did not announce it
	CloseUnknown       = "unknown"
)

// closeCause is a cause of a target's close: what is said of it, and what is to be changed.
type closeCause struct {
	id         string
	cause, fix func(*Rule, Timers) string
}

// closeCauses are all causes. What is not among them is not known.
var closeCauses = []closeCause{
	{CloseIdleTimeout, func(r *Rule, t Timers) string {
		while := "just as a request arrived on that idle connection"
		if r.Race {
			while = "while the LB was sending a request on that idle connection"
		}
		return fmt.Sprintf("The target's keep-alive timer%s fired %s.", known(" (%s)", t.Target), while)
	}, func(_ *Rule, t Timers) string {
		return fmt.Sprintf("Raise the target's keep-alive timeout%s %s, so that the LB closes first.", known(" (%s now)", t.Target), t.above())
	}},
	{CloseMass, func(*Rule, Timers) string {
		return "The target closed several connections at once, whatever their age: a restart, a deploy or a killed worker."
	}, func(*Rule, Timers) string {
		return "Take the target out of the LB before it stops or reloads (deregistration_delay.timeout_seconds, " +
			"readiness probe, preStop sleep) and let it go on serving meanwhile. A longer keep-alive timeout does not help here."
	}},
	{CloseOverdueBatch, func(*Rule, Timers) string {
		return "The target closed several overdue connections in one sweep, as gunicorn does."
	}, func(_ *Rule, t Timers) string {
		return fmt.Sprintf("Raise the target's keep-alive timeout%s (gunicorn --keep-alive, default 2 s) %s.", known(", %s now", t.Target), t.above())
	}},
	{CloseAfterResponse, func(*Rule, Timers) string {
		return "The target closed right behind its answer without announcing it (no Connection: close)."
	}, func(*Rule, Timers) string {
		return "Let the target say Connection: close with an answer that it closes behind, or keep the connection open " +
			"(uWSGI: http with http-keepalive, instead of http-socket)."
	}},
}

// unknownClose is the cause of a close that fits none.
var unknownClose = closeCause{CloseUnknown, func(*Rule, Timers) string {
	return "The target closed for a reason that the packets do not show."
}, func(r *Rule, t Timers) string {
	if !r.Race {
		return r.Fix
	}
	return "Look at that moment in the target's log for a restart, a reload, a killed worker or a limit on connections " +
		"(gunicorn --max-requests, uWSGI cheaper). If there is none, keep its keep-alive timeout " + t.above() + "."
}}

// CauseFor says why, for a finding whose target closed for the given cause; "" where
// the target did not close.
func CauseFor(r *Rule, cause string, t Timers) string {
	if c := r.closeCause(cause); c != nil {
		return c.cause(r, t)
	}
	return r.Cause
}

// FixFor says what to change, for a finding whose target closed for the given cause,
// because the fix follows the cause; "" where the target did not close.
func FixFor(r *Rule, cause string, t Timers) string {
	if c := r.closeCause(cause); c != nil {
		return c.fix(r, t)
	}
	return r.Fix
}

// closeCause is the cause of a close where the rule's cause and fix follow it; nil: they are
// the rule's own.
func (r *Rule) closeCause(id string) *closeCause {
	if id == "" || r.FollowsClose == NoClose || r.FollowsClose == MassClose && id != CloseMass {
		return nil
	}
	for i := range closeCauses {
		if closeCauses[i].id == id {
			return &closeCauses[i]
		}
	}
	return &unknownClose
}

// Timers are the idle timeouts of a target and its LB, ns; 0: unknown.
type Timers struct{ Target, LB int64 }

// above says above what the target's keep-alive timeout must be: it outlives the LB's, five
// seconds to spare.
func (t Timers) above() string {
	enough := "65 s (for an ALB at 60 s)"
	if t.LB != 0 {
		enough = fmt.Sprintf("%d s", (max(t.LB, t.Target)+second-1)/second+5)
	}
	return fmt.Sprintf("above the LB's idle timeout%s, to %s or more", known(" (%s)", t.LB), enough)
}

// known formats a time that is known, to a tenth of a second.
func known(format string, ns int64) string {
	if ns == 0 {
		return ""
	}
	return fmt.Sprintf(format, fmt.Sprintf("%g s", float64((ns+5e7)/1e8)/10))
}

// theClose is what is known of a target's close, for its cause to be found.
type theClose struct {
	at      int64 // 0: it has not closed
	gap     int64 // how long the connection had been idle; -1: not known
	seen    bool  // the target had seen the request when it closed
	aborted bool  // it closed by an RST, the request unread
	mass    idle.Mass
}

// cause says why a target closed, and from what that is known.
func (c *theClose) cause(t *target) (cause, basis string) {
	own, _ := t.timers()
	var timer *idle.Timer
	if own != nil {
		timer = &own.Timer
	}
	sweep := t.told.inferred.sweep
	switch {
	case c.gap >= 0 && timer.Fits(c.gap):
		return CloseIdleTimeout, "inferred"
	case c.mass.Several() && (timer.Overdue(c.mass.Lo) || sweep.Overdue(c.mass.Lo)):
		return CloseOverdueBatch, ""
	case c.mass.Several():
		return CloseMass, ""
	case c.gap < 0:
		return CloseUnknown, ""
	case c.gap <= idle.ShortGap && (!c.seen || c.aborted && t.told.atOnce >= 3):
		return CloseAfterResponse, "" // a request unread in the kernel does not delay it
	case sweep.Fits(c.gap):
		return CloseIdleTimeout, "inferred"
	case t.advertised > 0 && c.gap >= t.advertised-int64(closesEarly) && c.gap <= t.advertised+int64(closesLate):
		return CloseIdleTimeout, "advertised"
	case own == nil && len(targetHints(c.gap)) > 0:
		return CloseIdleTimeout, "hint"
	}
	return CloseUnknown, ""
}
