package detect

import (
	"fmt"
	"slices"

	"connrace/tcpstate"
)

// ConnectionRefused: the target's host answered the SYN with an RST.
//
// RST+ACK of the target, without options, whose ack is the SYN's seq + 1 (RFC 9293
// §3.10.7.1: no socket listens). It must be tied to the SYN by that ack, not by arrival
// order: an RST of the connection that had the same ports before does not count.
var ConnectionRefused = &Rule{
	ID:       "connection-refused",
	Severity: Error,
	Mildest:  Error,
	Lost:     LostAlways,
	Title:    "Connection refused",
	Diagram: `
LB                                target
 | --- S  0:1 --------------------> |   SYN
 | <-- R. 0:0 ack 1 --------------- |   nothing listens on that port`,
	Sequence: "The target's host answered the SYN with an RST: nothing listens on that port.",
	Apart: "syn-unanswered: there no answer came at all. port-reuse: there the answer belongs to an " +
		"old connection.",
	Trigger:  "a restart of the target, if that was behind it",
	Decisive: "the first SYN",
	Views: Views{
		Target:  "SYN, RST with ACK within microseconds.",
		LB:      "The same, one round trip apart.",
		Between: "The same.",
	},
	Cause: "The target was not listening: starting, restarting, crashed, or on another port.",
	Causes: []string{
		"a deploy or restart while the load balancer still sends traffic here",
		"a crashed process, a wrong port",
		"a firewall rule that rejects with a TCP reset",
	},
	Fix: "Let the target take traffic only once it listens, and take it out of rotation before it " +
		"stops: a health check or readiness probe on that port, " +
		"deregistration_delay.timeout_seconds, preStop.",
	Servers: gracefulKnobs,
	LBs:     slices.Concat(drainKnobs, retryKnobs),
	Logs:    refusedLogs,

	About:     AboutHandshake,
	Shared:    SharedByListener,
	IfStopped: true,
	Behind:    LogRefused | LogConnectError,
	Timer: TimerNote{
		Head: "No timer",
		Text: "Nothing was listening at that moment.",
	},

	Match: matchConnectionRefused,
}

func matchConnectionRefused(x *Facts) *Finding {
	if x.Outcome != SYNRefused {
		return nil
	}
	if len(x.tn.Refusals) == 0 {
		return x.byFilter(x.ln.SYNUnreachable())
	}
	at := x.tn.Refusals[0]
	if len(x.ln.SYNs) > 0 {
		at = x.ln.SYNs[0].SegRef
	}
	f := x.handshake(at)
	f.Measures.Attempts = max(f.Measures.Attempts, 1)
	f.Measures.RST = "reply"
	f.Summary = "the target answered the SYN with an RST: nothing listens on " + f.Target.String()
	if rst := (tcpstate.RSTRef{SegRef: x.tn.Refusals[0]}); x.foreign(rst, false) {
		f.Confidence = min(f.Confidence, Likely)
		f.Summary = fmt.Sprintf("the SYN was answered by an RST (frame %d) that %s did not send: its TTL is %d, that of the target's other segments %s",
			x.frame(rst.SegRef), f.Target.Addr, rst.TTL(), x.hops(false))
		f.own = &advice{
			"Something in between refused the connection in the target's name: a firewall that rejects with a TCP reset, or a load balancer without a target.",
			"Look on the path for a rule that rejects with tcp-reset (iptables -nvL; nft list ruleset), not at the target.",
		}
	}
	return f
}
