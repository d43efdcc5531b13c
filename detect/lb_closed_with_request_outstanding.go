package detect

import (
	"fmt"
	"slices"
)

// LBClosedWithRequestOutstanding: the LB gave up before an answer came.
//
//	LB                                target
//	 | --- P. 101:201 ack 201 --------> |   request
//	 | <-- .  201:201 ack 201 --------- |   acknowledged, not answered
//	 |           ... 60 s ...           |
//	 | --- F. 201:201 ack 201 --------> |   FIN (or R.): has seen no answer
//	 | <-- P. 201:401 ack 202 --------- |   too late
//	 | --- R  202:202 ----------------> |   nobody reads it any more
//
// The LB's first FIN or RST+ACK (bare reply RSTs do not count) has an ack at or before
// both the target's first answer octet and its closing point: the LB had seen neither
// when it closed. A later close by the target does not win. D must be acknowledged (a T
// segment with ack > d): if it is not, see accept-queue-overflow and stale-connection.
// It is an error (a time-out, 504) when the wait is within 15 ms of a multiple of 0.5 s
// or repeated, a warning (the client went away, 499) when not.
var LBClosedWithRequestOutstanding = &Rule{
	ID:       "lb-closed-with-request-outstanding",
	Severity: Error,
	Mildest:  Warning,
	Lost:     LostAlways,
	Title:    "The LB gave up waiting",
	Diagram: `
LB                                target
 | --- P. 101:201 ack 201 --------> |   request
 | <-- .  201:201 ack 201 --------- |   acknowledged, not answered
 |           ... 60 s ...           |
 | --- F. 201:201 ack 201 --------> |   FIN (or R.): has seen no answer
 | <-- P. 201:401 ack 202 --------- |   too late
 | --- R  202:202 ----------------> |   nobody reads it any more`,
	Sequence: "The LB closed before any answer to its request had arrived.",
	Apart: "closed-with-request-outstanding: there the target closed first. If the request was never " +
		"acknowledged: accept-queue-overflow on a fresh connection, stale-connection on a used " +
		"one.",
	Views: Views{
		Target:  "Request, ACK, nothing; then the LB's FIN or RST, and an answer too late.",
		LB:      "The same.",
		Between: "The same.",
	},
	Cause: "A round or repeated wait is the LB's own timeout: the application is slow. Any other is " +
		"most likely a client that went away.",
	Causes: []string{
		"the LB's read timeout (nginx 60 s, ALB 60 s idle timeout)",
		"an application slow, blocked or waiting for its database",
		"the request sits in the accept queue: its kernel acknowledges, nobody reads",
		"the client closed its connection, and the LB passed that on",
	},
	Fix: "For a round wait, make the request faster or raise the LB's timeout (nginx " +
		"proxy_read_timeout, HAProxy timeout server, ALB idle_timeout.timeout_seconds). For any " +
		"other, look at the client's timeout and at the LB's log for 499 or 460.",
	Servers: backlogKnobs,
	LBs:     readTimeoutKnobs,
	Logs:    slices.Concat(readTimeoutLogs, clientGoneLogs),

	Behind: LogReadTimeout | LogClientGone,
	Learnt: ByOwnClose,
	Timer:  TimerNote{Also: TimerPatience},

	match: matchLBClosedWithRequestOutstanding,
}

func matchLBClosedWithRequestOutstanding(c *conn) *Finding {
	if !c.request.Set() || !c.lbGaveUp() || !c.acknowledged() || c.hole() {
		return nil
	}
	cl := c.lbClose()
	if c.answered && c.lm.NRST == 0 {
		return nil // a half-close: the LB went on to take the answer
	}
	if !c.lm.Abort.Set() && c.tm.NRST == 0 && !c.closing.Set() && !c.ended && c.now-cl.Time < halfClose {
		return nil // it may be a half-close: the answer may still come
	}
	if c.flow.Upgraded() {
		return nil
	}
	f := c.finding(cl)
	f.Lost = true
	c.withRequest(f)
	f.Evidence = c.story()
	last := c.lastAsked().Time
	f.Measures.Outstanding = Duration{max(cl.Time-c.request.Time, 0), true}
	wait := max(cl.Time-last, 0)
	f.Severity = Warning
	if round(wait) || round(f.Measures.Outstanding.NS) {
		f.Severity = Error
	}
	if c.flow.Opaque() {
		f.Severity, f.Confidence, f.Lost = Warning, Suspected, false
		f.Grounds = "the payload is not HTTP: the last message may have been a farewell that wants no answer"
	}
	_, at := c.d.tracker.Locate(cl.Frame())
	f.Summary = fmt.Sprintf("the LB gave up (frame %d) %s after the request (frame %d); the target had acknowledged it and not answered",
		at, seconds(f.Measures.Outstanding.NS), f.Request.Frame)
	return f
}

// halfClose is how long an answer may take to come behind the LB's FIN, ns.
const halfClose = 25 * second

// round reports whether a wait looks configured: within 15 ms of a multiple of 0.5 s.
func round(ns int64) bool {
	r := ns % (second / 2)
	return ns > second/2-15*millisecond && (r <= 15*millisecond || r >= second/2-15*millisecond)
}
