package detect

import (
	"fmt"
	"slices"

	"connrace/tcpstate"
)

// AcceptQueueOverflow: the handshake was done for the LB, but the target never took its
// final ACK.
//
// SYN, SYN-ACK and the LB's ACK were seen, and no segment of the target acknowledges more than
// the SYN (tcp_v4_syn_recv_sock refuses the final ACK while sk_acceptq_is_full). The LB's first
// data was sent at least 3 times, 150 ms apart or more, for more than 0.5 s, until somebody closed
// or it was answered; at least 4 times for more than 3 s where nobody did. Given up, it is this
// only where SYN-ACKs were repeated while the data was, after 1, 3, 7 s, or where first data on
// another connection to the listener went unacknowledged at that time, for SYN cookies repeat no
// SYN-ACK: else the path may have lost it (path-loss). Where data of accepted connections was lost
// at that time, too, it is the path that recovers, not the queue. The bare ACK says nothing:
// TCP_DEFER_ACCEPT drops it on purpose.
//
// Or a reply RST (flags exactly RST, seq = ISN(T)+1) answers the final ACK or the first data
// within two round trips and 10 ms, and no SYN-ACK was repeated before (tcp_abort_on_overflow,
// tcp_check_req).
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
 | <-- S. 0:1 ack 1 --------------- |   again (1, 3, 7 s), or others wait too
 | --- P. 1:101 ack 1 ----------x   |   again`,
	Sequence: "The handshake was complete for the load balancer, but the target never took the final ACK: the " +
		"first data was sent 3 times or more, unacknowledged, while SYN-ACKs were repeated or other " +
		"connections waited likewise; or a bare RST came right after the handshake.",
	Apart: "syn-dropped: there the SYN itself got no answer. stale-connection: there the connection " +
		"had served requests before. path-loss: there no SYN-ACK was repeated and nobody else waited, " +
		"or data of accepted connections was lost as well. A request that is acknowledged but not answered waits in the " +
		"application, or in the queue.",
	Trigger:  "as many new connections at once, to a target as busy",
	Decisive: "the request's first, without a request the RST",
	Views: Views{
		Target: "SYN, SYN-ACK, ACK, request; then the request and the SYN-ACK again and again.",
		LB: "The same. The load balancer holds the connection for established, so it runs into its read " +
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
	Fix: "Find what kept the application from calling accept(), and raise its listen backlog (uWSGI listen, Tomcat " +
		"acceptCount, gunicorn --backlog, ...) and net.core.somaxconn: the smaller of the two counts. On the " +
		"target `nstat -az TcpExtListenOverflows` counts them, and `ss -ltn` shows Recv-Q above " +
		"Send-Q while it lasts.",
	Servers: backlogKnobs,
	LBs:     reuseKnobs,
	Logs:    slices.Concat(readTimeoutLogs, closedLogs),

	AnyProtocol: true,

	Queue:   FullForACKs,
	IfLossy: PathLoss,
	SameFix: SYNDropped,
	Shared:  SharedByListener,
	Behind:  LogClosed | LogConnectError | LogConnectTimeout | LogReadTimeout | LogClientGone,
	Learnt:  BySilence,
	Timer:   queueTimer,

	Settle:    settleOverflow,
	Recovered: matchAcceptQueueDelay,
	Match:     matchAcceptQueueOverflow,
}

func matchAcceptQueueOverflow(x *Facts) *Finding {
	if !x.fresh() {
		return x.acceptedTooLate()
	}
	if s, by := x.eaten(); by == theQueue {
		f := x.inVain(&s)
		x.ignoredCopies(f)
		f.Summary = fmt.Sprintf("the handshake was complete for the load balancer, but the target never took its final ACK: the first data (frame %d) %s%s",
			x.frame(s.first), s.times(x.Ended), x.repeatedMeanwhile(&s))
		if rst, ok := x.replyRST(); ok {
			f.Measures.RST = "reply"
			f.Summary += fmt.Sprintf("; then an RST (frame %d)", x.frame(rst))
		}
		return f
	}
	rst, ok := x.replyRST()
	_, fromTarget := x.firstOctets()
	if cl := x.lbClose(); ok && !x.closing.Set() && rst.Seq == fromTarget && (!cl.Set() || cl.Frame() > rst.Frame()) && x.resetAtOnce(rst) {
		at := rst
		if x.request.Set() {
			at = x.request
		}
		f := x.overflow(at)
		f.Lost = true
		f.Measures.RST = "reply"
		f.Summary = fmt.Sprintf("the target reset the connection (frame %d) right after its handshake"+noRoom, x.frame(rst))
		return f
	}
	return nil
}

// noRoom says why a target resets connections at once, behind a sentence.
const noRoom = ": no room in the accept queue (tcp_abort_on_overflow)"

// acceptedTooLate finds a connection that the target took at last, when the load balancer had given up.
func (x *Facts) acceptedTooLate() *Finding {
	first, fromTarget := x.firstOctets()
	if !x.flow.BeginCaptured() || x.used() || !x.request.Set() || x.request.Seq != first || x.newestFromTarget.Set() && !(x.answered && x.answer == fromTarget) {
		return nil
	}
	took, end, ok := x.gaveUpMeanwhile()
	if !ok {
		return nil
	}
	f := x.overflow(x.request)
	f.ignored = f.ignored[:len(f.ignored)-1] // the last copy got through
	f.Lost = true
	f.Measures.Delay = Duration{took, true}
	f.Summary = fmt.Sprintf("the target took the load balancer's final ACK only after %s: the first data (frame %d) was sent %d times, and the load balancer had given up by then (frame %d)",
		seconds(took), x.frame(x.request), f.Measures.Attempts, x.frame(end))
	return f
}

// resetAtOnce reports whether an RST answers the handshake's final ACK or the first data at
// once, without a SYN-ACK that was repeated before: so does a listener without room
// (tcp_abort_on_overflow).
func (x *Facts) resetAtOnce(rst tcpstate.SegRef) bool {
	if len(x.tn.SYNs) > 1 && x.tn.SYNs[1].Time < rst.Time || x.openedAhead(rst) {
		return false
	}
	since := x.ln.FinalACK.Time
	if x.request.Set() && x.request.Time <= rst.Time {
		since = max(since, x.request.Time)
	}
	return since == 0 || rst.Time-since <= 2*x.rtt()+10*millisecond
}

// repeatedMeanwhile says that SYN-ACKs were repeated while data was, behind a sentence.
func (x *Facts) repeatedMeanwhile(s *silence) string {
	n := 0
	for _, m := range x.tn.SYNs[1:] {
		if m.Time > s.first.Time {
			n++
		}
	}
	if n == 0 {
		return ", as on other connections to this listener"
	}
	return ", while the SYN-ACK was repeated"
}

// matchAcceptQueueDelay finds a first request that had to be sent again and is answered now.
func matchAcceptQueueDelay(x *Facts) *Finding {
	if x.lbClose().Set() || !x.firstOfAll() {
		return nil
	}
	acked := x.Now
	if x.ln.TurnAcked.Set() {
		acked = x.ln.TurnAcked.Time
	}
	if !x.overdue(acked) {
		return nil
	}
	f := x.overflow(x.request)
	f.ignored = f.ignored[:len(f.ignored)-1] // the last copy got through
	f.Severity = Warning
	f.Measures.Delay = Duration{acked - x.request.Time, true}
	f.Summary = fmt.Sprintf("the target took the load balancer's final ACK only after %s: the first data was sent %d times", seconds(f.Measures.Delay.NS), f.Measures.Attempts)
	return f
}

// firstOfAll reports whether the request that is answered now is the connection's first data, and its answer
// the target's.
func (x *Facts) firstOfAll() bool {
	first, fromTarget := x.firstOctets()
	return x.flow.BeginCaptured() && !x.used() && x.request.Seq == first && x.answered && x.answer == fromTarget
}

// overdue reports whether the first data was sent at least three times and not acknowledged
// for more than half a second. A segment that is lost on the path is sent again after 0.2 s
// (TCP_RTO_MIN) and 0.4 s more: it takes two losses to look like this.
func (x *Facts) overdue(until int64) bool {
	return x.ln.NCopies >= 2 && until-x.request.Time > second/2
}

// overflow begins the finding of a handshake that was done for the LB only.
func (x *Facts) overflow(at tcpstate.SegRef) *Finding {
	f := x.exchange(at)
	f.Confidence = min(f.Confidence, Likely)
	if x.request.Set() {
		f.Measures.Attempts = x.ln.NCopies + 1
	}
	x.ignoredCopies(f)
	f.Measures.Waiting, _ = x.of.told.waits.at(forQueue, at.Time)
	return f
}

// ignoredCopies notes when the first data was ignored, for the kernel to be asked about, and the
// handshake.
func (x *Facts) ignoredCopies(f *Finding) {
	f.Evidence = append(x.handshakeTimeline(), f.Evidence...)
	sortEvidence(f.Evidence)
	f.ignored = []int64{f.Time}
	for _, m := range x.ln.Copies {
		f.ignored = append(f.ignored, m.Time)
	}
}

// settleOverflow gives the kernel, where it is asked, time for its next samples.
func settleOverflow(x *Facts) int64 {
	if x.settings.kernel {
		return x.Now + second
	}
	return 0
}
