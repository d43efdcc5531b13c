package detect

import (
	"slices"
)

// RSTRequestCrossing: the target aborted an idle connection while a request was on its
// way.
//
// The closing point is an active RST, RST+ACK with the connection's own seq and ack
// (tcp_send_active_reset), and the target sent no FIN before it. With A that RST:
// ack(A) <= d, it does not acknowledge the request. An RST takes no sequence number, so
// no ack can cover it; that the LB sent D at all shows that it had not received the RST.
// RFC 9293 §3.5.2, §3.5.3.
var RSTRequestCrossing = &Rule{
	ID:       "rst-request-crossing",
	Severity: Error,
	Mildest:  Error,
	Lost:     LostAlways,
	Title:    "RST and request crossed",
	Diagram: `
LB                                target
 | <-- P. 1:201 ack 101 ----------- |   the last answer
 |           ... idle ...           |
 | <-- R. 201:201 ack 101 ----\ /-- |   active RST: has not seen the request
 | --- P. 101:201 ack 201 -----X--> |   request: has not seen the RST
 | <-- R  201:201 ----------------- |   no socket for it any more`,
	Sequence: "The target aborted an idle connection (active RST, no FIN) while a request was on its " +
		"way.",
	Apart: "fin-request-crossing: there the target closed with FIN. closed-with-request-outstanding: " +
		"there the RST acknowledges the request. A bare RST without ACK is a reply, not a close: " +
		"stale-connection.",
	Trigger:  "requests on connections that were idle as long as before",
	Decisive: "the request's first",
	Views: Views{
		Target:  "RST with ACK, then the request, then a bare RST for it.",
		LB:      "The request, then RST with ACK whose ack lies before the request, then a bare RST.",
		Between: "RST and request in either order, less than one round trip apart.",
	},
	Cause: "The target closes abortively: SO_LINGER 0, close() with data unread, or the process was " +
		"killed.",
	Causes: []string{
		"SO_LINGER with a time of 0 on the target's sockets",
		"a restart or deploy that kills the process with data unread",
		"servers that reset idle connections instead of closing them (reported of IIS)",
	},
	Fix: "Let the target close with FIN (no SO_LINGER 0; Tomcat connectionLinger=\"-1\"), keep its " +
		"keep-alive timeout above the load balancer's idle timeout, and take it out of rotation before it " +
		"stops (deregistration_delay.timeout_seconds, preStop). Until then " + repeatIdempotent + ".",
	Servers: slices.Concat(lingerKnobs, keepAliveKnobs),
	LBs:     slices.Concat(drainKnobs, poolKnobs),
	Logs:    closedLogs,

	Race:         true,
	Crossed:      true,
	FollowsClose: AnyClose,
	Behind:       LogClosed,
	Timer:        noTimer,

	Match: matchRSTRequestCrossing,
}

func matchRSTRequestCrossing(x *Facts) *Finding {
	if !x.aborted || !x.crossed() {
		return nil
	}
	f := x.closeRace()
	f.Summary = says("the target's RST (frame ", x.frame(x.closing), ") and the load balancer's request (frame ",
		f.Request.Frame, ") crossed: neither had seen the other", afterIdle(f))
	return f
}
