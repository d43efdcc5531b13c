package detect

import (
	"fmt"
	"slices"
)

// FINRequestCrossing: the LB reused a connection that the target was closing.
//
// Let D be the first copy of the first segment of a new request, d its first octet, F
// the target's closing point and f its first sequence number (the FIN, or the
// close_notify, unasked 408 or GOAWAY directly before it). They crossed iff
// ack(F) <= d and ack(D) <= f: neither acknowledges the other, so no order of the two
// exists, whatever the order of the frames and whoever's clock stamped them. The request
// must have been taken away by that (Facts.taken). A FIN that was not captured is known by
// the LB's later acknowledgment of it: then it is suspected.
//
// What follows is evidence, not a condition: a reply RST per request segment, with the
// request's ack for its seq, because the socket is an orphan (RFC 9293 §3.6.1,
// tcp_rcv_state_process: TCPAbortOnData); or, where the target only shut down its
// sending side, an ACK of the request and silence (RFC 9112 §9.6). RFC 9112 §9.5 names
// the race itself.
var FINRequestCrossing = &Rule{
	ID:       "fin-request-crossing",
	Severity: Error,
	Mildest:  Error,
	Lost:     LostAlways,
	Title:    "FIN and request crossed",
	Diagram: `
LB                                target
 | <-- P. 1:201 ack 101 ----------- |   the last answer
 |           ... idle ...           |
 | <-- F. 201:201 ack 101 ----\ /-- |   FIN: has not seen the request
 | --- P. 101:201 ack 201 -----X--> |   request: has not seen the FIN
 | <-- R  201:201 ----------------- |   no socket for it any more
 | --- F. 201:201 ack 202 --------> |   by now the LB has seen the FIN
 | <-- R  202:202 ----------------- |   and one RST for that`,
	Sequence: "The target's FIN and a new request of the load balancer crossed: neither acknowledges the other.",
	Streams:  "In HTTP/2, the target's GOAWAY or FIN and a new request of the load balancer crossed: neither acknowledges the other.",
	Apart: "request-after-fin: there the request acknowledges the FIN. " +
		"closed-with-request-outstanding: there the FIN acknowledges the request. A FIN that " +
		"crosses the body of a request already answered is an early response. Where the capture " +
		"lacks the FIN, and no later acknowledgment shows it, the same incident is a stale-connection.",
	Trigger:  "requests on connections that were idle as long as before",
	Decisive: "the request's first",
	Views: Views{
		Target: "FIN, then the request, then the target's RST some tens of microseconds later.",
		LB: "The request, then the FIN, then the RST, one round trip after the request. The RST's " +
			"seq lies one below what the load balancer's kernel expects by then, so the kernel ignores it " +
			"and the load balancer sees end of file, hardly ever a reset.",
		Between: "FIN and request in either order, less than one round trip apart.",
	},
	Cause: "The target's keep-alive timer fired while the load balancer was sending the next request on that " +
		"idle connection: the target waits no longer than the load balancer.",
	Causes: []string{
		"the target's keep-alive timeout is not above the load balancer's idle timeout (the usual one)",
		"a restart, a deploy or a killed worker closed many connections at once",
		"the target closes right behind an answer without announcing Connection: close (uWSGI http-socket)",
		"gunicorn closes several overdue connections in one sweep",
	},
	Fix: "Make the load balancer close first: raise the target's keep-alive timeout (Node.js " +
		"server.keepAliveTimeout, gunicorn --keep-alive, Apache KeepAliveTimeout, ...) above the " +
		"load balancer's idle timeout, to 75 s or more behind an ALB at 60 s.",
	Servers: keepAliveKnobs,
	LBs:     slices.Concat(poolKnobs, drainKnobs),
	Logs:    closedLogs,

	Race:         true,
	Crossed:      true,
	FollowsClose: AnyClose,
	Behind:       LogClosed,
	Timer:        noTimer,

	Match: matchFINRequestCrossing,
}

func matchFINRequestCrossing(x *Facts) *Finding {
	if x.unseenFIN && x.outstanding() && x.used() && !x.request.Ack.After(x.target.Nxt) && !x.vague() {
		// The LB acknowledged the FIN later, the request had not.
		f := x.lost(x.request)
		f.Confidence = Suspected
		f.Grounds += "; the FIN itself was not captured, the load balancer's later acknowledgment and the reply RST show it"
		f.Measures.RST = "reply"
		f.Summary = fmt.Sprintf("the load balancer's request (frame %d) met a connection that the target had closed; the load balancer had not seen the FIN, nor has the capture", f.Request.Frame)
		return f
	}
	if x.aborted || !x.crossed() {
		return nil
	}
	f := x.closeRace()
	f.Summary = says("the target's ", x.closeName(), " (frame ", x.frame(x.closing), ") and the load balancer's request (frame ",
		f.Request.Frame, ") crossed: neither had seen the other", afterIdle(f))
	return f
}
