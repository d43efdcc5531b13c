package detect

import (
	"fmt"
)

// RequestAfterFIN: the LB's kernel had the target's FIN, its process sent a request all
// the same.
//
// With D, d, F and f as in FINRequestCrossing: ack(F) <= d, the target had not seen the
// request, but ack(D) > f, the request acknowledges the closing point. So the order is
// known, and the LB is the one that was late: by 0.01 to 0.3 ms where its process was
// just writing, by seconds where its pool does not watch idle connections.
//
// If ack(F) > d as well, it is no new request, or a half-close: then this rule is
// silent.
var RequestAfterFIN = &Rule{
	ID:       "request-after-fin",
	Severity: Error,
	Mildest:  Error,
	Lost:     LostAlways,
	Title:    "Request sent after the FIN had arrived",
	Diagram: `
LB                                target
 | <-- P. 1:201 ack 101 ----------- |   the last answer
 |           ... idle ...           |
 | <-- F. 201:201 ack 101 --------- |   FIN: has not seen the request
 | --- P. 101:201 ack 202 --------> |   request: its kernel had the FIN
 | <-- R  202:202 ----------------- |   no socket for it any more`,
	Sequence: "The load balancer's kernel had acknowledged the target's FIN, and the load balancer still sent a request on " +
		"that connection.",
	Streams: "In HTTP/2, the load balancer's kernel had acknowledged the target's GOAWAY or FIN, and the load balancer still sent a request on " +
		"that connection.",
	Apart: "fin-request-crossing: there the request does not acknowledge the FIN. The time between " +
		"FIN and request tells a load balancer that was just writing from one that does not watch its idle " +
		"connections.",
	Trigger:  "requests on connections that were idle as long as before",
	Decisive: "the request's first",
	Views: Views{
		Target: "FIN, then the request at least one round trip later, acknowledging the FIN; then the " +
			"target's RST.",
		LB: "FIN, then the request, often within a millisecond; then the RST one round trip " +
			"later.",
		Between: "FIN, then the request, which acknowledges it.",
	},
	Cause: "The target closed an idle connection, and the load balancer's process picked that connection before " +
		"it had acted on the FIN.",
	Causes: []string{
		"the target's keep-alive timeout is not above the load balancer's idle timeout",
		"the FIN reached the load balancer's kernel just before its process wrote",
		"the load balancer's pool does not watch idle connections for a close",
	},
	Fix: "Raise the target's keep-alive timeout (Node.js server.keepAliveTimeout, gunicorn " +
		"--keep-alive, ...) above the load balancer's idle timeout. Where the FIN is much older than the " +
		"request, also shorten the load balancer's pool timeout (nginx keepalive_timeout in upstream, Envoy " +
		"idle_timeout): its pool does not watch idle connections.",
	Servers: keepAliveKnobs,
	LBs:     poolKnobs,
	Logs:    closedLogs,

	Race:         true,
	LBKnew:       true,
	FollowsClose: AnyClose,
	Behind:       LogClosed,
	Timer:        noTimer,

	Match: matchRequestAfterFIN,
}

func matchRequestAfterFIN(x *Facts) *Finding {
	if x.aborted || !x.taken() || x.closeHadSeenRequest() || !x.requestHadSeenClose() || x.hole() {
		return nil
	}
	f := x.closeRace()
	f.Summary = fmt.Sprintf("the load balancer sent a request (frame %d) %s after its kernel had acknowledged the target's %s (frame %d)",
		f.Request.Frame, seconds(max(x.request.Time-x.closing.Time, 0)), x.closeName(), x.frame(x.closing))
	// As seen at the LB: the close had to get there, and the request from there.
	if late := x.request.Time - x.closing.Time - max(x.rtt()-x.of.told.far(), 0); late > max(4*x.rtt(), unwatchedFor) {
		f.Unwatched = true
		f.own = &advice{
			fmt.Sprintf("The load balancer's pool does not watch its connections: the target had closed this one %s before, the load balancer's host had acknowledged that, "+
				"and the load balancer still sent a request on it.", about(late)),
			"Let the load balancer's pool watch its idle connections for a close (an update, or a check before a connection is used again), or let it give them up " +
				"before the target does: its pool timeout below the target's keep-alive timeout. Until then " + repeatIdempotent +
				", and take a target out before it stops.",
		}
	}
	return f
}

// unwatchedFor is longer than any process that watches its connections takes to act on a close,
// ns; by judgement.
const unwatchedFor = 100 * millisecond
