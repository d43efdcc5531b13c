package detect

import (
	"fmt"
	"slices"
)

// EarlyResponseReset: the target answered and aborted while the LB was still sending the
// body.
//
// The answer to D has begun, an active RST (RST+ACK) of the target follows it, and its
// ack does not cover the end of the request: the LB's data goes on past ack(RST). Reply
// RSTs alone are nothing: they lie below what the LB's kernel expects and are ignored. A
// kernel that has the answer keeps it readable behind the RST, so nearly every client
// gets it: never an error, never lost, always suspected. Apache and Varnish do not read it
// once they failed to write, be it for a reply RST. With octets of the answer missing it is response-truncated.
var EarlyResponseReset = &Rule{
	ID:       "early-response-reset",
	Severity: Warning,
	Mildest:  Warning,
	Lost:     LostNever,
	Title:    "Early answer, then RST",
	Diagram: `
LB                                target
 | --- P. 1:1449 ack 1 -----------> |   POST: head, and some of the body
 | <-- P. 1:141 ack 1449 ---------- |   HTTP 413, at once
 | <-- R. 141:141 ack 1449 ---\ /-- |   active RST: has not seen the rest
 | --- .  1449:9000 ack 1 -----X--> |   the rest of the body
 | <-- R  1:1 --------------------- |   one per segment still arriving`,
	Sequence: "The target answered and closed while the load balancer was still sending the request's body: with an " +
		"active RST, or one that only the rest of the body met (told of Apache and Varnish, which then pass no answer on).",
	Apart: "response-truncated: there bytes of the answer are missing. The bare RSTs that answer the " +
		"rest of the body, one per segment, are harmless at other load balancers.",
	Trigger:  "requests with bodies as large",
	Decisive: "the target's RST",
	Views: Views{
		Target: "Part of the request, the answer, RST with ACK, then more of the body and a bare RST " +
			"for each segment.",
		LB:      "The body goes on until the answer and the RST arrive.",
		Between: "The answer and the body cross.",
	},
	Cause: "The target answers (413, 401, 503 ...) without reading the body and closes with it " +
		"unread.",
	Causes: []string{
		"a limit on the body's size, checked before it is read",
		"an application that answers without reading its input (uWSGI)",
	},
	Fix: "Let the target read the body before it closes (Tomcat maxSwallowSize, uWSGI " +
		"post-buffering), or refuse large bodies at the load balancer (nginx client_max_body_size).",
	Servers: drainBodyKnobs,
	LBs:     bodyLimitKnobs,
	Logs:    earlyLogs,

	Behind: LogClosed | LogTruncated,
	Timer:  TimerNote{Head: "No timer"},

	Match: matchEarlyResponseReset,
}

func matchEarlyResponseReset(x *Facts) *Finding {
	abort := x.abort(false)
	if !x.request.Set() || !x.answered || x.flow.Opaque() || x.flow.HTTP2() {
		return nil
	}
	if !abort.Set() {
		return x.answerUnread()
	}
	if !abort.Ack.Before(x.newestFromLB.End()) && !x.flow.RequestUnfinished() {
		return nil // it covers the request's end
	}
	if cl := x.lbClose(); cl.Set() && !cl.Ack.After(abort.Seq) && cl.Frame() < abort.Frame() && abort.Ack.After(cl.Seq) {
		return nil // the LB had closed before
	}
	f := x.exchange(abort)
	f.Severity, f.Confidence = Warning, Suspected
	f.Grounds = "whether the load balancer read the answer before its write failed does not show on the wire"
	f.Measures.RST = "active"
	f.Summary = fmt.Sprintf("the target answered while the request's body was still being sent, and reset the connection (frame %d) without having read it all", f.Frame)
	return f
}

// failAtWrite are load balancers that do not read the answer any more once they failed to write the request: of six
// answers each that reply RSTs followed, to segments of the body, Apache and Varnish passed none on.
var failAtWrite = []string{"Apache", "Varnish"}

// answerUnread finds an early answer that the load balancer most likely did not read, for its kernel reports the
// reply RSTs that the rest of the body met.
func (x *Facts) answerUnread() *Finding {
	rst, ok := x.replyRST()
	fin, lb := x.closing, x.of.told.who.lb.Said()
	if !ok || !fin.Set() || !x.flow.PlainHTTP() || lb == nil || !slices.Contains(failAtWrite, lb.Name) || !fin.Ack.Before(x.newestFromLB.End()) ||
		!fin.Ack.After(x.request.Seq) || x.lbGaveUp() || x.hole() {
		return nil
	}
	f := x.exchange(rst)
	f.Severity, f.Confidence = Warning, Suspected
	f.Grounds = "whether the load balancer read the answer before its write failed does not show on the wire, but " + lb.Name + " mostly does not"
	f.Measures.RST = "reply"
	f.Summary = fmt.Sprintf("the target answered while the request's body was still being sent, and closed (%s, frame %d) without having read it all: what came then met an RST (frame %d)",
		x.closeName(), x.frame(fin), f.Frame)
	return f
}
