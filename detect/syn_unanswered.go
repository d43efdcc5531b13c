package detect

import (
	"connrace/tcpstate"
)

// SYNUnanswered: SYNs went unanswered, and nothing speaks for a full queue.
//
// As in SYNDropped, but fewer than half of the ignored copies fell into the wait of a
// stalled request on the same listener, and no accept-queue-overflow was seen there
// within 10 s; or a request or a FIN on an established, accepted connection to it was sent again
// and not acknowledged either, at the time of at least half of the SYNs: then the host or the way
// to it is dead, whatever stalled before. It says so where the TSvals of the ignored SYNs run back
// (paws.go). Or an ICMP error (net, host, prohibited unreachable,
// time exceeded) answers the SYN: then it is certain, and one SYN is enough, for Linux ends the
// connect (tcp_v4_err).
//
// Given up (error, lost) means silence beyond the next retry that was due, with no other segment
// of the LB on that connection. At the end of a capture a SYN whose next retry was not yet due is
// open if it was sent at least 3 times over 3 s, from 15 s on an error, and else undecided.
var SYNUnanswered = &Rule{
	ID:       "syn-unanswered",
	Severity: Error,
	Mildest:  Warning,
	Lost:     LostIfGivenUp,
	Title:    "SYN unanswered",
	Diagram: `
LB                                target
 | --- P. 1:101 ack 1 ------------> |   another connection
 | <-- P. 1:201 ack 101 ----------- |   is served without delay
 | --- S  0:1 ------------------x   |   SYN: no answer
 | --- S  0:1 ------------------x   |   again after 1 s, then 2, 3 or 3, 7 s`,
	Sequence: "A SYN was repeated without SYN-ACK, with no sign of a full queue at that listener.",
	Apart: "syn-dropped: there other requests to the listener waited at that time. " +
		"connection-refused: there an RST came back at once.",
	Trigger:  "as many new connections, and whatever else went on then",
	Decisive: "the first SYN",
	Views: Views{
		Target: "The SYN is here and gets no answer: a firewall on this host, or a queue after all. " +
			"The SYN is not here: it was lost on the path.",
		LB:      "The SYN goes out again after 1, 2, 3, 4 s (kernels from 6.5) or 1, 3, 7 s.",
		Between: "The same.",
	},
	Cause: "A firewall, security group or network ACL drops it, the path loses it, or the host is " +
		"dead.",
	Causes: []string{
		"a firewall or security group without a rule for the load balancer's addresses",
		"a full connection tracking table on the target's host",
		"a host, container or pod that is gone while the load balancer still holds its address",
		"packet loss on the path",
	},
	Fix: "Check security groups, network ACLs, `iptables -nvL` and the connection tracking table " +
		"(net.netfilter.nf_conntrack_count against nf_conntrack_max) before the listen backlog: " +
		"nothing in the capture points there. A short connect timeout at the load balancer (nginx " +
		"proxy_connect_timeout, HAProxy timeout connect) lets it try another target sooner.",
	Servers: pathKnobs,
	LBs:     connectKnobs,
	Gone:    goneKnobs,
	Logs:    connectTimeoutLogs,

	About:     AboutHandshake,
	Shared:    SharedByHost,
	IfStopped: true,
	Queue:     MaybeFull,
	IfFull:    SYNDropped,
	Behind:    LogConnectError | LogConnectTimeout | LogClientGone,
	Learnt:    BySilence,
	Timer: TimerNote{
		Head: "No timer: the way to the target",
		Text: "SYNs are lost or filtered; nothing speaks for a full queue.",
	},

	Settle: settleSYN,
	Match:  matchSYNUnanswered,
}

// matchSYNUnanswered comes behind SYNDropped.
func matchSYNUnanswered(x *Facts) *Finding {
	if x.Outcome == SYNUnreachable {
		return x.unreachable(x.ln.SYNUnreachable())
	}
	ignored := x.ignoredSYNs()
	if len(ignored) == 0 {
		return nil
	}
	_, waiting, _ := x.queueVotes(ignored)
	f := x.silence(ignored, waiting)
	if newest, ok := x.runsBack(ignored); ok {
		x.severalClocks(f, ignored, newest)
	}
	f.Grounds = "no request on this listener was waiting: nothing speaks for a full queue"
	if unacked, dead := x.dead(ignored); dead {
		f.Dead = true
		what := "request"
		if unacked.Flags().Has(tcpstate.FIN) && unacked.Len == 0 {
			what = "FIN"
		}
		f.Grounds = says("the host or the way to it fails: a ", what, " on an established connection (frame ",
			x.frame(unacked), ", tcp.stream ", unacked.Stream, ") was not acknowledged either")
		if x.Outcome != SYNAnswered {
			f.Summary += says("; nor did ", x.ends[1].Addr.String(), " acknowledge a ", what, " on an established connection (frame ", x.frame(unacked), ")")
		}
		f.Evidence = append(f.Evidence, x.evidence(unacked, true, RoleStalledRequest, "a "+what+" on an established connection that is not acknowledged either"))
		sortEvidence(f.Evidence)
	}
	return f
}
