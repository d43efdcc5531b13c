package detect

import (
	"fmt"
	"slices"

	"connrace/tcpstate"
)

// StaleConnection: the LB used a connection that the target's host did not know any
// more.
//
// The connection is used (T has sent octets with ack <= d, and ack(D) covers them), D is
// outstanding and no FIN, active RST or other closing point of the target was seen. Then
// either a reply RST (flags exactly RST, seq = ack(D), no options, window 0) answers D;
// or D is never acknowledged: at least 3 copies, 150 ms apart or more, for more than 0.5 s
// until the LB's close shows, or at least 4 for more than 3 s and none due any more. RFC 9293
// §3.10.7.1: a host without the connection answers data with an RST. It is path-loss where smaller
// segments to that host were acknowledged meanwhile, where an ICMP error quotes the request, or
// where the target's close shows that it knows the connection.
//
// So is a connection that was opened ahead of need: its first data came only after the last
// repeated SYN-ACK (TCP_DEFER_ACCEPT), or a second or more behind the handshake, and was answered
// by a bare RST or by nothing.
//
// The idle times after which requests were answered and connections were gone tell whether an
// idle limit in between can be behind it (idlelimit.go).
var StaleConnection = &Rule{
	ID:       "stale-connection",
	Severity: Error,
	Mildest:  Error,
	Lost:     LostAlways,
	Title:    "Request on a connection that was gone",
	Diagram: `
LB                                target
 | <-- P. 1:201 ack 101 ----------- |   the last answer
 |   ... idle, no FIN, no RST ...   |
 | --- P. 101:201 ack 201 --------> |   request on this used connection
 | <-- R  201:201 ----------------- |   the host knows no such connection
 |     or, instead of the RST,      |
 | --- P. 101:201 ack 201 ------x   |   the same again, never acknowledged`,
	Sequence: "A request on a used connection was answered by a bare RST although no close was ever " +
		"seen, or was never acknowledged at all.",
	Apart: "fin-request-crossing: there a FIN was seen; the same incident looks like this one where " +
		"the FIN was lost on the path or missed by the capture. accept-queue-overflow: there the " +
		"connection is fresh.",
	Trigger:  "requests on connections that were idle as long as before",
	Decisive: "the request's first",
	Views: Views{
		Target: "A bare RST sent here means that the host has lost the connection; no request here at " +
			"all means that it was dropped on the path.",
		LB: "The request, then a bare RST; or the request again and again without any answer. A " +
			"TTL unlike that of the target's other packets would mean that something between the " +
			"two sent the RST.",
		Between: "The same.",
	},
	Cause: "Something lost the connection's state: a NAT, firewall or network LB dropped the idle " +
		"flow, or the target was rebooted or replaced. Or the capture missed the close.",
	Causes: []string{
		"an idle timeout between the two: AWS NLB 350 s, Azure LB 240 s, firewalls, NAT",
		"the target's host, container or pod was replaced",
		"the target's FIN was lost on the path or missed by the capture",
	},
	Fix: "Keep the load balancer's pool timeout below that of whatever is in between (nginx keepalive_timeout " +
		"in upstream, Envoy idle_timeout), or send TCP keep-alives from the load balancer (nginx " +
		"proxy_socket_keepalive on, HAProxy option srvtcpka, net.ipv4.tcp_keepalive_time).",
	Servers: keepAliveKnobs,
	LBs:     slices.Concat(tcpKeepaliveKnobs, poolKnobs),
	Logs:    slices.Concat(closedLogs, readTimeoutLogs),

	Behind: LogClosed | LogReadTimeout | LogClientGone,
	Learnt: BySilence,
	Timer: TimerNote{
		Head: "No timer of the target",
		Text: "Something between the two, or the target's host, forgot the connection.",
		Also: TimerIdle,
	},

	advise: movedAway,
	Match:  matchStaleConnection,
}

func matchStaleConnection(x *Facts) *Finding {
	if !x.outstanding() || x.closing.Set() || x.hole() || x.vague() {
		return nil
	}
	rst, reset := x.replyRST()
	if s, by := x.eaten(); by == theOblivion {
		f := x.inVain(&s)
		x.idle(f, s.first)
		f.Summary = says("the request (frame ", x.frame(s.first), ") on a used connection ", s.times(x.Ended), afterIdle(f))
		return f
	} else if by != nobody {
		return nil
	}
	ahead := x.openedAhead(rst)
	if !reset || x.lbGaveUp() || !x.used() && !ahead {
		return nil
	}
	f := x.lost(x.request)
	f.Confidence = min(f.Confidence, Likely)
	x.idle(f, x.request)
	f.Measures.RST = "reply"
	if ahead {
		f.Evidence = append(x.handshakeTimeline(), f.Evidence...)
		sortEvidence(f.Evidence)
		opened := x.request.Time - x.ln.FinalACK.Time
		f.Summary = fmt.Sprintf("the first request (frame %d), %s after its connection was opened, was answered by an RST (frame %d)%s",
			f.Request.Frame, about(opened), x.frame(rst), x.repeatedSYNACKs())
		return f
	}
	f.Summary = says("the request (frame ", f.Request.Frame, ") on a used connection was answered by an RST (frame ", x.frame(rst), ") although no close was ever seen", afterIdle(f))
	return f
}

// openedAhead reports whether the connection's first request came so long after its handshake
// that an RST which answers it is about a connection that was forgotten, not about one that was
// never accepted: a listener without room resets the final ACK itself.
func (x *Facts) openedAhead(rst tcpstate.SegRef) bool {
	first, _ := x.firstOctets()
	if !rst.Set() || !x.fresh() || !x.ln.FinalACK.Set() || x.ln.FinalACK.Len > 0 || !x.request.Set() || x.request.Seq != first {
		return false
	}
	return x.request.Time-x.ln.FinalACK.Time > openedAheadBy && rst.Time >= x.request.Time
}

// openedAheadBy is longer than a load balancer takes from a connection that it needs to the
// request, ns; by judgement.
const openedAheadBy = second

// repeatedSYNACKs says that SYN-ACKs were repeated, behind a sentence.
func (x *Facts) repeatedSYNACKs() string {
	n := x.tn.NSYN - 1
	if n < 1 {
		return ""
	}
	times := "once"
	if n > 1 {
		times = fmt.Sprintf("%d times", n)
	}
	return fmt.Sprintf("; the target had repeated its SYN-ACK %s before", times)
}
