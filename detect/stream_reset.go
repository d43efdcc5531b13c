package detect

import (
	"fmt"
)

// StreamReset: the target gave up one stream of an HTTP/2 connection that goes on.
//
// The target sent RST_STREAM (RFC 9113 §6.4) on a stream whose answer has no END_STREAM, and the
// LB had not sent one before that the target had seen. By its code: REFUSED_STREAM says that the
// request was not processed and is safe to repeat, whatever its method (§8.7); CANCEL,
// INTERNAL_ERROR and the rest, that it may have been. An answer that is complete is complete,
// whatever follows (§8.1).
var StreamReset = &Rule{
	ID:       "stream-reset",
	Severity: Error,
	Mildest:  Error,
	Lost:     LostAlways,
	Title:    "Stream reset by the target",
	Diagram: `
LB                                target
 | --- HEADERS[5] GET /a ---------> |   a request on stream 5
 | <-- HEADERS[5] 200, DATA[5] ---- |   perhaps the beginning of an answer
 | <-- RST_STREAM[5] -------------- |   no END_STREAM: it has no end
 | --- HEADERS[7] GET /b ---------> |   the connection goes on`,
	Sequence: "In HTTP/2, the target sent RST_STREAM on a stream without a complete answer.",
	Apart: "lb-closed-with-request-outstanding: there the load balancer sent RST_STREAM first. " +
		"fin-request-crossing and request-after-fin: there GOAWAY refuses the stream. response-truncated: " +
		"there the connection ends.",
	Trigger:  "as many streams at once",
	Decisive: "the first RST_STREAM of the target",
	Views: Views{
		Target:  "The request's HEADERS, then RST_STREAM with its code; TCP goes on.",
		LB:      "The same.",
		Between: "The same.",
	},
	Cause: "The target refused or gave up that one request: its code says which.",
	Causes: []string{
		"REFUSED_STREAM: more streams at once than the target allows (SETTINGS_MAX_CONCURRENT_STREAMS), or it is shutting down",
		"INTERNAL_ERROR: the handler panicked or aborted (Go http.ErrAbortHandler), or the proxy in front lost its own upstream",
		"CANCEL: a deadline in the server, or a proxy in front of it gave up",
		"ENHANCE_YOUR_CALM: the target thinks that it is being flooded",
		"PROTOCOL_ERROR: load balancer and target do not agree on HTTP/2; look at the request's header fields",
	},
	Fix: "For REFUSED_STREAM raise the target's limit of concurrent streams (nginx http2_max_concurrent_streams) or let the load balancer open more connections, and let it " +
		"repeat refused requests: that is safe whatever the method. For any other code look at that second in the target's log.",
	Servers: streamKnobs,
	LBs:     streamLBKnobs,
	Logs:    streamLogs,

	Partial: true,
	Behind:  LogClosed | LogTruncated,
	Timer:   TimerNote{Head: "No timer", Text: "The connection went on: the target ended this request alone.", Also: TimerOutstanding},

	Match: matchStreamReset,
}

func matchStreamReset(x *Facts) *Finding {
	if x.stream == nil || !x.stream.ResetByTarget.Set() || x.stream.Done || x.lbGaveUp() || x.hole() {
		return nil
	}
	switch own := x.stream.ResetByLB; {
	case own.Set() && !own.Ack.After(x.closing.Seq):
		return nil // the LB had given it up, with a part of its answer
	case !own.Set() && x.answered && x.stop(x.target.Ack.After(x.lb.Nxt) || x.ln.HoleBetween(x.request.Seq, x.lb.Nxt)):
		return nil // so it may have in what the capture lacks
	}
	f := x.lost(x.closing)
	f.Measures.Outstanding = x.outstandingAt(x.closing)
	f.Measures.StreamCode = H2Code(x.stream.Code)
	f.own = resetAdvice[f.Measures.StreamCode]
	if x.stream.Code == h2Cancel && x.deadline(f.Measures.Outstanding.NS) {
		f.own = x.deadlineAdvice("the target gave it up then (gRPC servers do by CANCEL)")
	}
	after := "without an answer"
	if x.answered {
		after = "in the middle of its answer"
	}
	f.Summary = fmt.Sprintf("the target reset the stream of the request (frame %d) by RST_STREAM with %s (frame %d) %s later, %s",
		f.Request.Frame, f.Measures.StreamCode, f.Frame, seconds(f.Measures.Outstanding.NS), after)
	if x.stream.Code == h2Refused {
		f.Summary += ": it was not processed and is safe to repeat"
	}
	return f
}

// resetAdvice says what a code of RST_STREAM means of a target that sends it (RFC 9113 §7), where it means
// more than that there was an error.
var resetAdvice = map[string]*advice{
	H2Code(h2Refused): {
		"The target refused the request before it did anything with it: there were more streams at once than it allows, or it was stopping.",
		"Raise the target's limit of concurrent streams, or let the load balancer open more connections, and let it repeat refused requests: that is safe whatever the method.",
	},
	H2Code(h2Internal): {
		"The target began the request and failed: a handler that panicked or aborted (Go http.ErrAbortHandler), or, if it is a proxy, what it asked in its turn.",
		"Look at that second in the target's log: for a panic, an aborted handler or, if it is a proxy, what became of its own upstream.",
	},
	H2Code(h2Cancel): {
		"The target began the request and gave it up: a deadline of its own, or, if it is a proxy, a limit for what it asked in its turn.",
		"Look at that second in the target's log for a deadline that was over; make the request faster, or raise that deadline.",
	},
	H2Code(h2Calm): {
		"The target takes the load balancer for somebody who floods it: with resets, pings, settings or header fields.",
		"Look in the target's log for which of its limits that was; raise it, or let the load balancer open more connections with fewer streams.",
	},
	H2Code(h2Protocol): {
		"The target holds what the load balancer sent on this stream for no HTTP/2: most often a header field that the standard forbids.",
		"Look at that request in Wireshark and in the target's log for what it does not accept, and at the versions of both.",
	},
}
