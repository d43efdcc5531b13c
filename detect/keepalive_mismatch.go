package detect

// KeepAliveMismatch: the target closes idle connections before the LB does.
//
//	LB                                target
//	 | <-- P. 1:201 ack 101 ----------- |   the last answer
//	 |         ... idle 5 s ...         |
//	 | <-- F. 201:201 ack 101 --------- |   FIN: the target's timer fires first
//	 | --- F. 101:101 ack 202 --------> |   no request was on its way: luck
//
// No segment decides this one, but the timers of a target as a whole: its idle timeout
// is claimed (gaps from the last octet of an answer to a close by the target, with
// nothing outstanding: at least 3 closing moments in a tight cluster, and no answered
// reuse after a longer gap), and the LB keeps connections at least as long:
// --lb-idle-timeout or the inferred LB timeout is not below it, or the target closed
// idle connections at 3 moments or more and the LB never closed one after a shorter gap.
var KeepAliveMismatch = &Rule{
	ID:       "keepalive-mismatch",
	Severity: Warning,
	Mildest:  Warning,
	Lost:     LostNever,
	Title:    "Keep-alive timeouts in the wrong order",
	Diagram: `
LB                                target
 | <-- P. 1:201 ack 101 ----------- |   the last answer
 |         ... idle 5 s ...         |
 | <-- F. 201:201 ack 101 --------- |   FIN: the target's timer fires first
 | --- F. 101:101 ack 202 --------> |   no request was on its way: luck`,
	Sequence: "The target closes idle connections after a time that the LB would have kept them for: " +
		"the race is possible.",
	Apart: "fin-request-crossing: the race itself. This one is about the target as a whole and names " +
		"no request.",
	Views: Views{
		Target:  "Idle connections end with the target's FIN, always after the same time.",
		LB:      "The same, one way later.",
		Between: "The same.",
	},
	Cause: "The target's keep-alive timeout is not above the LB's idle timeout.",
	Causes: []string{
		"defaults: 5 s in Node.js before 26, uvicorn and Apache, 2 s in gunicorn; against 60 s in an ALB or nginx, 90 s in Traefik, 1 h in Envoy",
	},
	Fix: "Before the 502s come: raise the target's keep-alive timeout (Node.js " +
		"server.keepAliveTimeout, gunicorn --keep-alive, uvicorn --timeout-keep-alive, ...) above " +
		"the LB's idle timeout, to 65 s or more behind an ALB at 60 s.",
	Servers: keepAliveKnobs,
	LBs:     poolKnobs,

	About: AboutTarget,
	Timer: TimerNote{Head: "No timer"},
}
