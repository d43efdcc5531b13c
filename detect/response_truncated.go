package detect

import (
	"fmt"
)

// ResponseTruncated: the target closed in the middle of an answer.
//
// The answer to D has begun (a T octet whose first copy has ack > d), its HTTP/1 framing
// (Content-Length, or chunked without the last chunk) says that octets are missing, and
// the target's first FIN or active RST has the seq of the last octet seen. It takes
// framing, so it is silent without plaintext. It is silent too where T's stream has a
// gap between request and close, where the close's seq lies beyond the last octet seen,
// or where the LB acknowledges octets that the capture lacks.
var ResponseTruncated = &Rule{
	ID:       "response-truncated",
	Severity: Error,
	Mildest:  Error,
	Lost:     LostAlways,
	Title:    "Answer cut short",
	Diagram: `
LB                                target
 | --- P. 101:201 ack 201 --------> |   request
 | <-- P. 201:1201 ack 201 -------- |   answer: "Content-Length: 5000"
 | <-- F. 1201:1201 ack 201 ------- |   FIN (or R.): most of it is missing
 | --- F. 201:201 ack 1202 -------> |`,
	Sequence: "The target closed in the middle of an answer: Content-Length or chunked framing says " +
		"that bytes are missing.",
	Apart: "closed-with-request-outstanding: there no byte of an answer came. An answer delimited by " +
		"the close itself cannot be told from a complete one. Without readable payload (TLS, " +
		"short snaplen) this is not reported.",
	Trigger:  "answers as large as those that were cut off",
	Decisive: "the target's closing point",
	Views: Views{
		Target:  "Part of the answer, then FIN or RST.",
		LB:      "The same.",
		Between: "The same.",
	},
	Cause: "The process sending the answer was killed, crashed or ran into a write timeout.",
	Causes: []string{
		"a watchdog or recycling killed the worker: gunicorn --timeout, uWSGI harakiri",
		"a write timeout of the server: Go http.Server.WriteTimeout",
		"the application failed after it had sent the head",
		"Content-Length larger than the body that the application sends",
	},
	Fix: "Look at that second in the target's log for an exception or a killed worker (gunicorn " +
		"--timeout, uWSGI harakiri, Go WriteTimeout), and drain before stopping.",
	Servers: endedKnobs,
	LBs:     drainKnobs,
	Logs:    truncatedLogs,

	FollowsClose: KnownClose,
	Partial:      true,
	Behind:       LogClosed | LogTruncated,
	Timer:        noTimer,

	Match: matchResponseTruncated,
}

func matchResponseTruncated(x *Facts) *Finding {
	if !x.request.Set() || !x.answered || !x.closing.Set() || !x.unfinished() || x.hole() ||
		x.stream != nil && x.stream.ResetByTarget.Set() { // see stream-reset
		return nil
	}
	if cl := x.lbClose(); cl.Set() && !cl.Ack.After(x.closing.Seq) {
		return nil // the LB had closed before
	}
	f := x.lost(x.closing)
	x.resets(f)
	f.Measures.Outstanding = x.outstandingAt(x.closing)
	f.Summary = fmt.Sprintf("the target closed (%s, frame %d) in the middle of its answer to the request (frame %d)", x.closeName(), f.Frame, f.Request.Frame)
	return f
}
