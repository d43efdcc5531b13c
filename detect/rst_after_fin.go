package detect

// RSTAfterFIN: an RST after a FIN that no other rule explains.
//
//	LB                                target
//	 | <-- P. 1:201 ack 101 ----------- |   a complete answer
//	 | <-- F. 201:201 ack 101 --------- |   FIN, nothing outstanding
//	 | --- R. 101:101 ack 202 --------> |   RST after it, by either side
//
// Some RST follows the first FIN of either side, and no rule above claims it. Reply
// (flags exactly RST, seq = the ack of the segment that it answers) or active (RST+ACK
// with current numbers) says how; the side says who. It is a warning if the LB's highest
// ack lies before the end of the target's answer, so that octets were lost with the RST,
// else an info: a close with unread data, or the last word between two hosts that have
// both closed. RFC 9293 §3.6.1.
var RSTAfterFIN = &Rule{
	ID:       "rst-after-fin",
	Severity: Warning,
	Mildest:  Info,
	Lost:     LostNever,
	Title:    "RST after a FIN",
	Diagram: `
LB                                target
 | <-- P. 1:201 ack 101 ----------- |   a complete answer
 | <-- F. 201:201 ack 101 --------- |   FIN, nothing outstanding
 | --- R. 101:101 ack 202 --------> |   RST after it, by either side`,
	Sequence: "An RST, by either side, after a FIN, which no other rule explains.",
	Apart: "Whatever took a request away is one of the rules above, and its RSTs are counted there. " +
		"HAProxy closes with RST by design.",
	Views: Views{
		Target: "A bare RST is the kernel's reply to a segment without a socket; an RST with ACK is " +
			"an application's close() with data unread, or SO_LINGER 0.",
		LB:      "The same.",
		Between: "The same.",
	},
	Cause: "Usually benign: a close with unread data, or a late ACK that meets a closed socket. A " +
		"warning means that answer bytes were lost with it.",
	Causes: []string{
		"close() with data unread, which the kernel turns into an RST",
		"segments that were still on their way when the socket was gone",
		"an LB that closes with RST by design (HAProxy)",
	},
	Fix: "Nothing to change where nothing was lost. Where answer bytes were lost, let the target " +
		"read the whole request before it closes (Tomcat maxSwallowSize, uWSGI post-buffering).",
	Servers: drainBodyKnobs,
	LBs:     bodyLimitKnobs,
	Logs:    resetAfterLogs,
}
