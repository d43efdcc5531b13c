package detect

import (
	"fmt"
	"slices"
)

// PortReuse: a SYN met an old connection with the same addresses and ports.
//
// Between a new SYN and its SYN-ACK, a segment of the target has ack != ISN+1: it
// acknowledges the old connection (challenge ACK, RFC 9293 §3.10.7.4; or TIME-WAIT's
// ACK, tcp_timewait_state_process). The LB's kernel answers it with an RST whose seq is
// that ack, unless a stateful filter eats one of the two; that RST is no condition. The SYN,
// repeated after 1 s, gets through: a warning; or is given up: an error. A SYN that is answered
// at once, as one that a TIME-WAIT makes room for, is nothing.
var PortReuse = &Rule{
	ID:       "port-reuse",
	Severity: Error,
	Mildest:  Warning,
	Lost:     LostIfGivenUp,
	Title:    "Ports reused too early",
	Diagram: `
LB                                target
 | (an old connection, same ports)  |
 | --- S  900:901 ----------------> |   SYN for a new one
 | <-- .  201:201 ack 101 --------- |   the target acknowledges the old one
 | --- R  101:101 ----------------> |   which the LB's kernel resets, mostly
 | --- S  900:901 ----------------> |   again after 1 s: now it works
 | <-- S. 0:1 ack 901 ------------- |`,
	Sequence: "A SYN met an old connection on the same ports: the target acknowledged the old one, and " +
		"the load balancer had to try again.",
	Apart: "syn-unanswered: there no answer came at all. Reuse of a port in TIME-WAIT that works at " +
		"once is normal.",
	Trigger:  "new connections in as quick a succession",
	Decisive: "the first SYN",
	Views: Views{
		Target:  "SYN, an ACK with old numbers, RST, SYN again a second later.",
		LB:      "The same.",
		Between: "The same; with NAT in between, the two sides may name different ports.",
	},
	Cause: "The load balancer is short of source ports, or two hosts share an address and port (NLB with client " +
		"IP preservation, NodePort).",
	Causes: []string{
		"many short connections to one target: the load balancer does not keep them alive",
		"a small net.ipv4.ip_local_port_range on the load balancer",
		"NLB client IP preservation with clients behind several load balancers",
		"TCP timestamps off, so that TIME-WAIT cannot tell new from old",
	},
	Fix: "Give the load balancer more source ports (net.ipv4.ip_local_port_range, more addresses) or fewer " +
		"new connections (nginx keepalive 64 in upstream); behind an NLB switch client IP " +
		"preservation off (preserve_client_ip.enabled=false).",
	Servers: timestampKnobs,
	LBs:     slices.Concat(portKnobs, reuseKnobs),
	Logs:    slices.Concat(connectTimeoutLogs, portLogs),

	About:  AboutHandshake,
	Behind: LogConnectError | LogConnectTimeout | LogClientGone,
	Learnt: BySilence,
	Timer: TimerNote{
		Head: "No timer: the load balancer's ports",
		Text: "It uses a port again before the target has forgotten the connection before.",
	},

	Match: matchPortReuse,
}

func matchPortReuse(x *Facts) *Finding {
	ack, ok := x.metOld()
	if !ok || len(x.ignoredSYNs()) == 0 {
		return nil
	}
	f := x.handshake(x.ln.SYNs[0].SegRef)
	f.Summary = fmt.Sprintf("the SYN met an old connection on the same ports: the target answered with an ACK of that (frame %d)", x.frame(ack))
	if x.Outcome == SYNOpen {
		f.Summary += ", each time until the capture ended"
	}
	if x.Outcome == SYNAnswered {
		f.Measures.Delay = Duration{x.Now - x.ln.SYNs[0].Time, true}
	}
	return f
}
