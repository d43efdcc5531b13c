package detect

import (
	"fmt"
	"slices"

	"connrace/tcpstate"
)

// AcceptQueueOverflow: the handshake was done for the LB, but the target never took its
// final ACK.
//
//	LB                                target
//	 | --- S  0:1 --------------------> |   SYN
//	 | <-- S. 0:1 ack 1 --------------- |
//	 | --- .  1:1 ack 1 ------------x   |   dropped: the accept queue is full
//	 | --- P. 1:101 ack 1 ----------x   |   request: dropped too
//	 | --- P. 1:101 ack 1 ----------x   |   again (0.2, 0.4, 0.9 s ...)
//	 | <-- S. 0:1 ack 1 --------------- |   often: repeated after 1, 3, 7 s
//
// SYN, SYN-ACK and the LB's ACK were seen, and no segment of the target has
// ack > ISN(LB)+1. Then either the LB's first data was sent at least 3 times, 150 ms
// apart or more, unacknowledged for more than 0.5 s; or a reply RST (no ACK flag,
// seq = ISN(T)+1) answers the handshake's last ACK or the data behind it
// (tcp_abort_on_overflow, tcp_check_req). A SYN-ACK repeated after 1, 3, 7 s supports
// it, but SYN cookies repeat nothing, and TCP_DEFER_ACCEPT drops the bare ACK on
// purpose: only unacknowledged data speaks.
var AcceptQueueOverflow = &Rule{
	ID:       "accept-queue-overflow",
	Severity: Error,
	Mildest:  Warning,
	Lost:     LostIfGivenUp,
	Title:    "Accept queue full at the last ACK",
	Diagram: `
LB                                target
 | --- S  0:1 --------------------> |   SYN
 | <-- S. 0:1 ack 1 --------------- |
 | --- .  1:1 ack 1 ------------x   |   dropped: the accept queue is full
 | --- P. 1:101 ack 1 ----------x   |   request: dropped too
 | --- P. 1:101 ack 1 ----------x   |   again (0.2, 0.4, 0.9 s ...)
 | <-- S. 0:1 ack 1 --------------- |   often: repeated after 1, 3, 7 s`,
	Sequence: "The handshake was complete for the LB, but the target never took the final ACK: the " +
		"first data was sent 3 times or more, unacknowledged, or a bare RST came right after the " +
		"handshake.",
	Apart: "syn-dropped: there the SYN itself got no answer. stale-connection: there the connection " +
		"had served requests before. A request that is acknowledged but not answered waits in the " +
		"application, or in the queue.",
	Views: Views{
		Target: "SYN, SYN-ACK, ACK, request; then the request and the SYN-ACK again and again.",
		LB: "The same. The LB holds the connection for established, so it runs into its read " +
			"timeout, not its connect timeout.",
		Between: "The same.",
	},
	Cause: "The listen backlog is too small for the burst, or the application has stopped calling " +
		"accept().",
	Causes: []string{
		"all threads or workers busy, an event loop blocked",
		"a small listen backlog, or net.core.somaxconn below it",
		"net.ipv4.tcp_abort_on_overflow=1, where it is an RST",
	},
	Fix: "Raise the listen backlog (uWSGI listen, Tomcat acceptCount, gunicorn --backlog, ...) and " +
		"net.core.somaxconn, and find what kept the application from calling accept(). On the " +
		"target `nstat -az TcpExtListenOverflows` counts them, and `ss -ltn` shows Recv-Q above " +
		"Send-Q while it lasts.",
	Servers: backlogKnobs,
	LBs:     connectKnobs,
	Logs:    slices.Concat(readTimeoutLogs, closedLogs),

	Queue:   FullForACKs,
	SameFix: SYNDropped,
	Behind:  LogClosed | LogConnectError | LogConnectTimeout | LogReadTimeout | LogClientGone,
	Learnt:  BySilence,
	Timer:   queueTimer,

	match: matchAcceptQueueOverflow,
}

func matchAcceptQueueOverflow(c *conn) *Finding {
	if !c.flow.BeginCaptured() || c.lastAnswered().Set() || c.closing.Set() || !c.tm.HasSYN() {
		return nil
	}
	if c.target.HadReceived(c.lb.ISN+1) || c.lb.HadReceived(c.target.ISN+1) {
		return nil // the LB had octets of the target, or its FIN, that the capture may not have
	}
	rst, ok := c.replyRST()
	if ok = ok && rst.Seq == c.target.ISN+1; ok && (!c.lbClose().Set() || c.lbClose().Frame() > rst.Frame()) {
		at := rst
		if c.request.Set() {
			at = c.request
		}
		f := c.overflow(at)
		f.Lost = true
		f.Measures.RST = "reply"
		_, n := c.d.tracker.Locate(rst.Frame())
		f.Summary = fmt.Sprintf("the target reset the connection (frame %d) right after its handshake: no room in the accept queue (tcp_abort_on_overflow)", n)
		return f
	}
	if c.request.Set() && c.lbGaveUp() && c.overdue(c.lbClose().Time) {
		f := c.overflow(c.request)
		f.Lost = true
		f.Summary = fmt.Sprintf("the handshake was complete for the LB, but the target never took its final ACK: the first data was sent %d times and never acknowledged", f.Measures.Attempts)
		return f
	}
	return nil
}

// overdue: the first data was sent at least three times and not acknowledged for more
// than half a second.
func (c *conn) overdue(until int64) bool {
	return c.lm.NCopies >= 2 && until-c.request.Time > second/2
}

func (c *conn) overflow(at tcpstate.SegRef) *Finding {
	f := c.finding(at)
	if f.Confidence == Certain {
		f.Confidence = Likely
	}
	c.withRequest(f)
	f.Evidence = append(c.handshakeStory(), c.story()...)
	sortEvidence(f.Evidence)
	if c.request.Set() {
		f.Measures.Attempts = c.lm.NCopies + 1
	}
	c.moments = []int64{at.Time}
	for _, m := range c.lm.Copies {
		c.moments = append(c.moments, m.Time)
	}
	f.Measures.Waiting = c.t.waitingAt(at.Time)
	return f
}
