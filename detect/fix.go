package detect

import "fmt"

// The causes of a target's close (Measures.CloseCause).
const (
	CloseIdleTimeout   = "idle-timeout"   // the gap fits the target's idle timer
	CloseMass          = "mass-close"     // several connections at once, at unlike ages
	CloseOverdueBatch  = "overdue-batch"  // several overdue ones at once
	CloseAfterResponse = "after-response" // right behind an answer that did not announce it
	CloseUnknown       = "unknown"
)

// Timers are the idle timeouts of a target and its LB, ns; 0: unknown.
type Timers struct{ Target, LB int64 }

// CauseFor says why, for a finding whose target closed for the given cause; "" where
// the target did not close.
func CauseFor(r *Rule, cause string, t Timers) string {
	if !r.closesFor(cause) {
		return r.Cause
	}
	switch cause {
	case CloseIdleTimeout:
		while := "just as a request arrived on that idle connection"
		if r.Race {
			while = "while the LB was sending a request on that idle connection"
		}
		return fmt.Sprintf("The target's keep-alive timer%s fired %s.", known(" (%s)", t.Target), while)
	case CloseMass:
		return "The target closed several connections at once, whatever their age: a restart, a deploy or a killed worker."
	case CloseOverdueBatch:
		return "The target closed several overdue connections in one sweep, as gunicorn does."
	case CloseAfterResponse:
		return "The target closed right behind its answer without announcing it (no Connection: close)."
	}
	return "The target closed for a reason that the packets do not show."
}

// FixFor says what to change, for a finding whose target closed for the given cause,
// because the fix follows the cause; "" where the target did not close.
func FixFor(r *Rule, cause string, t Timers) string {
	if !r.closesFor(cause) {
		return r.Fix
	}
	above := fmt.Sprintf("above the LB's idle timeout%s, to %s or more", known(" (%s)", t.LB), t.enough())
	switch cause {
	case CloseIdleTimeout:
		return fmt.Sprintf("Raise the target's keep-alive timeout%s %s, so that the LB closes first.", known(" (%s now)", t.Target), above)
	case CloseMass:
		return "Take the target out of the LB before it stops or reloads (deregistration_delay.timeout_seconds, " +
			"readiness probe, preStop sleep) and let it go on serving meanwhile. A longer keep-alive timeout does not help here."
	case CloseOverdueBatch:
		return fmt.Sprintf("Raise the target's keep-alive timeout%s (gunicorn --keep-alive, default 2 s) %s.", known(", %s now", t.Target), above)
	case CloseAfterResponse:
		return "Let the target say Connection: close with an answer that it closes behind, or keep the connection open " +
			"(uWSGI: http with http-keepalive, instead of http-socket)."
	}
	if !r.Race {
		return r.Fix
	}
	return "Look at that moment in the target's log for a restart, a reload, a killed worker or a limit on connections " +
		"(gunicorn --max-requests, uWSGI cheaper). If there is none, keep its keep-alive timeout " + above + "."
}

// closesFor reports whether a rule's cause and fix follow the cause of the close.
func (r *Rule) closesFor(cause string) bool {
	switch r.FollowsClose {
	case AnyClose:
		return cause != ""
	case MassClose:
		return cause == CloseMass
	}
	return false
}

// enough is a keep-alive timeout that outlives the LB's, five seconds to spare.
func (t Timers) enough() string {
	if t.LB == 0 {
		return "65 s (for an ALB at 60 s)"
	}
	const second = 1e9
	return fmt.Sprintf("%d s", (max(t.LB, t.Target)+second-1)/second+5)
}

// known formats a time that is known, to a tenth of a second.
func known(format string, ns int64) string {
	if ns == 0 {
		return ""
	}
	return fmt.Sprintf(format, fmt.Sprintf("%g s", float64((ns+5e7)/1e8)/10))
}
