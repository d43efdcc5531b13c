package detect

// SYNDropped: SYNs went unanswered while the listener's queue looked full.
//
// Copies of a SYN (same seq, 150 ms apart or more) got no SYN-ACK; which copy a SYN-ACK
// answers is told by its TSecr, the TSval of that SYN (RFC 7323 §3.2), and where it
// names an early copy, it was the SYN-ACK that was lost or slow: no finding. A copy
// votes "full" if at its time some request on another connection to the same listener
// was stalled: sent on a complete handshake, without an answer octet (ack > d) for 0.2 s
// or 10 round trips; on a connection that had been answered before only if the target
// acknowledged it, for an accepted connection's kernel does that whatever the queue does. At
// least half of the copies, or an accept-queue-overflow on that listener within 10 s, make it this
// rule (tcp_conn_request, sk_acceptq_is_full). It is syn-unanswered where a request or a FIN on an
// accepted connection was sent again and not acknowledged while half of the SYNs were (the host
// or the path is dead), and where the SYN got through in the end and data of accepted connections
// was lost at that time, too.
//
// That SYNs were dropped by a full queue is inferred, never seen: a live capture with the
// kernel's counters can make it certain, also of a SYN that has no answer yet when the
// capture ends. Without, it is likely where several connections suffered, else suspected.
var SYNDropped = &Rule{
	ID:       "syn-dropped",
	Severity: Error,
	Mildest:  Warning,
	Lost:     LostIfGivenUp,
	Title:    "SYN dropped: the listen queue looks full",
	Diagram: `
LB                                target
 | --- P. 1:101 ack 1 ------------> |   another connection: a request waits
 | --- S  0:1 ------------------x   |   SYN: no answer
 | --- S  0:1 ------------------x   |   again after 1 s, then 2, 3 or 3, 7 s
 | <-- P. 1:201 ack 101 ----------- |   the other: its answer, at last
 | --- S  0:1 --------------------> |   room in the queue again
 | <-- S. 0:1 ack 1 --------------- |`,
	Sequence: "A SYN was repeated without SYN-ACK while other requests to the same listener were " +
		"stalled.",
	Apart: "syn-unanswered: there nothing speaks for a full queue. accept-queue-overflow: there the " +
		"SYN was answered. Seen packet by packet, a full queue and a firewall look alike.",
	Trigger:  "as many new connections at once, to a target as busy",
	Decisive: "the first SYN",
	Views: Views{
		Target:  "The SYN arrives and gets no answer, while other connections wait.",
		LB:      "The same, so the SYN may also have been lost on its way.",
		Between: "The same.",
	},
	Cause: "The listen backlog is too small for the burst, or the application has stopped calling " +
		"accept().",
	Causes: []string{
		"all threads or workers busy, an event loop blocked",
		"a small listen backlog (uWSGI 100, Tomcat 100, Dropwizard's acceptQueueSize), or net.core.somaxconn below it",
		"many new connections at once, because the load balancer does not keep them alive",
	},
	Fix: "Find what kept the application from calling accept(), and raise its listen backlog (uWSGI listen, Tomcat " +
		"acceptCount, Jetty acceptQueueSize, ...) and net.core.somaxconn: the smaller of the two decides. On the " +
		"target `nstat -az TcpExtListenOverflows` counts these drops, for all ports of the host together.",
	Servers: backlogKnobs,
	LBs:     reuseKnobs,
	Logs:    connectTimeoutLogs,

	About:  AboutHandshake,
	Shared: SharedByListener,
	Queue:  FullForSYNs,
	Behind: LogConnectError | LogConnectTimeout | LogClientGone,
	Learnt: BySilence,
	Timer:  queueTimer,

	Settle: settleSYN,
	Match:  matchSYNDropped,
}

func matchSYNDropped(x *Facts) *Finding {
	ignored := x.ignoredSYNs()
	full, waiting, stalled := x.queueVotes(ignored)
	if len(ignored) == 0 || 2*full < len(ignored) {
		return nil
	}
	if _, dead := x.dead(ignored); dead {
		return nil
	}
	f := x.silence(ignored, waiting)
	f.Grounds = says(full, " of ", len(ignored), " ignored SYNs fell into the waits of stalled requests on the same listener (when the first came: frame ",
		x.frame(stalled), ", tcp.stream ", stalled.Stream, ")")
	if stalled.Time > f.Time-second/2 {
		f.Evidence = append(f.Evidence, x.evidence(stalled, true, RoleStalledRequest, "a request that waited for an answer when the SYN came"))
		sortEvidence(f.Evidence)
	}
	return f
}
