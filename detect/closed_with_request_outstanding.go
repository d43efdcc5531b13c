package detect

import (
	"fmt"
	"slices"
)

// ClosedWithRequestOutstanding: the target had the request and closed without an answer.
//
// With D, d, F and f as in FINRequestCrossing, F being the FIN or the active RST:
// ack(F) > d, the target's kernel had the request when the target closed, ack(D) <= f,
// and no octet of the target has a first copy with ack > d. An active RST (RST+ACK)
// means that the request, or some of its body, was still unread (RFC 9293 §3.6.1,
// TCPAbortOnClose); a FIN, that the process had read it all.
//
// An idle gap equal to the target's keep-alive timer, and no time to serve, tell the
// race inside the target's host: the request lay in the kernel when the timer fired.
var ClosedWithRequestOutstanding = &Rule{
	ID:       "closed-with-request-outstanding",
	Severity: Error,
	Mildest:  Error,
	Lost:     LostAlways,
	Title:    "Closed with the request outstanding",
	Diagram: `
LB                                target
 | --- P. 101:201 ack 201 --------> |   request
 | <-- .  201:201 ack 201 --------- |   the target's kernel has it
 | <-- F. 201:201 ack 201 --------- |   FIN (or R.): has seen the request
 | --- F. 201:201 ack 202 --------> |   no answer: the LB fails the request`,
	Sequence: "The target had the request (its FIN or RST acknowledges it) and closed without one byte " +
		"of an answer.",
	Streams: "In HTTP/2, the target had the requests (its FIN or RST acknowledges them) and closed without one byte of an answer " +
		"to them.",
	Apart: "fin-request-crossing: there the FIN does not acknowledge the request. " +
		"response-truncated: there the answer had begun. lb-closed-with-request-outstanding: " +
		"there the load balancer closed first.",
	Trigger:  "the same requests, under as much load",
	Decisive: "the target's closing point",
	Views: Views{
		Target:  "Request, often an ACK of it, then FIN or RST acknowledging it.",
		LB:      "The same, one way later; then the load balancer's own FIN.",
		Between: "The same.",
	},
	Cause: "The process serving the request was killed, recycled or crashed; or the keep-alive timer " +
		"fired just as the request arrived (then the idle gap equals the timer).",
	Causes: []string{
		"a watchdog: gunicorn --timeout, uWSGI harakiri, Go http.Server.WriteTimeout",
		"recycling: max-requests, cheaper, max-worker-lifetime, a reload",
		"out of memory, a crash, a container killed",
		"the keep-alive timer fired with the request unread in the kernel",
	},
	Fix: "Look at that second for what ended the worker: the kernel's log (out of memory), that of the " +
		"server's own master (its time limit for a request, max-requests), and what deploys (a stop, a reload). " +
		"Then give it more memory, raise that limit, or drain before stopping. Until then " + repeatIdempotent + ".",
	Servers: slices.Concat(endedKnobs, keepAliveKnobs),
	LBs:     slices.Concat(drainKnobs, poolKnobs),
	Logs:    closedLogs,

	FollowsClose: AnyClose,
	Behind:       LogClosed,
	Timer:        noTimer,

	Match: matchClosedWithRequestOutstanding,
}

func matchClosedWithRequestOutstanding(x *Facts) *Finding {
	if !x.taken() || !x.closeHadSeenRequest() || x.hole() {
		return nil
	}
	f := x.closeRace()
	x.decide(f, x.closing)
	f.Measures.Outstanding = x.outstandingAt(x.closing)
	f.Summary = says("the target had the request (frame ", f.Request.Frame, ") and closed (", x.closeName(), ", frame ", f.Frame, ") ",
		seconds(f.Measures.Outstanding.NS), " later without an answer")
	switch {
	case x.waitedForRest() && x.target.WindowShut():
		f.Summary = fmt.Sprintf("the target took the beginning of the request (frame %d), then its receive window was closed, and it closed (%s, frame %d) %s later without an answer",
			f.Request.Frame, x.closeName(), f.Frame, seconds(f.Measures.Outstanding.NS))
		f.own = notReading
	case x.waitedForRest():
		f.Summary = fmt.Sprintf("the target had the beginning of the request (frame %d) and closed (%s, frame %d) %s later: the rest had not come",
			f.Request.Frame, x.closeName(), f.Frame, seconds(f.Measures.Outstanding.NS))
		f.own = &advice{
			"The target gave up waiting for the rest of the request: the load balancer had not got that from its client, or it was lost on the way to the target.",
			"If the load balancer did send it, look on the path: compare a capture at the load balancer, and look for an MTU that is too small for large segments. If it did " +
				"not, let it take the whole request before it connects (nginx proxy_request_buffering on, HAProxy option http-buffer-request).",
		}
	case x.flow.TLS() && !x.used() && f.Measures.Outstanding.NS < second:
		f.also = " Or it rejected the load balancer's client certificate, which in TLS 1.3 shows only behind the first request."
	}
	return f
}

// notReading is what a finding says of a target that did not read the request while the LB was sending it.
var notReading = &advice{
	"The target did not read the request: its receive window was closed, so the load balancer could not send the rest. The process was stopped or blocked, or has " +
		"more to do than it can. If the load balancer gave up meanwhile, its FIN had to wait behind what it could not send.",
	"Find what kept the application from reading at that time: a stopped process, a blocked event loop, a long garbage collection, workers that all wait for something.",
}

// waitedForRest reports whether by its framing the request was not complete, and the LB had been
// silent for long, when the target closed.
func (x *Facts) waitedForRest() bool {
	return x.stream == nil && x.flow.RequestUnfinished() && x.closing.Time-x.newestFromLB.Time >= second
}
