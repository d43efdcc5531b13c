package detect

import (
	"bytes"
	"fmt"
	"slices"

	"connrace/tcpstate"
)

// LBClosedWithRequestOutstanding: the LB gave up before an answer came.
//
// The LB's first FIN, TLS close_notify or RST+ACK (bare reply RSTs do not count) has an ack at or
// before both the target's first answer octet and its closing point: the LB had seen neither
// when it closed. A later close by the target does not win. A FIN behind which the LB takes the
// answer and sends no RST is a half-close, and nothing. Where neither shows, a bare RST at the first
// octets of the answer, none of which the LB took, is as good: its host has no socket any more, and
// the FIN never came; that makes a warning. D must be acknowledged (a T
// segment with ack > d): if it is not, see accept-queue-overflow, stale-connection and path-loss.
// Where a capture ends within 25 s behind a close without an RST, an answer may have been taken yet: likely.
// It is an error (a time-out, 504) when the wait is within 15 ms of a multiple of 0.5 s
// or repeated, a warning (the client went away, 499) when not, or when by its framing the request
// itself was not complete.
var LBClosedWithRequestOutstanding = &Rule{
	ID:       "lb-closed-with-request-outstanding",
	Severity: Error,
	Mildest:  Warning,
	Lost:     LostUnlessClientGone,
	Title:    "The load balancer gave up waiting",
	Diagram: `
LB                                target
 | --- P. 101:201 ack 201 --------> |   request
 | <-- .  201:201 ack 201 --------- |   acknowledged, not answered
 |           ... 60 s ...           |
 | --- F. 201:201 ack 201 --------> |   FIN (or R.): has seen no answer
 | <-- P. 201:401 ack 202 --------- |   too late
 | --- R  202:202 ----------------> |   nobody reads it any more`,
	Sequence: "The load balancer closed before any answer to its request had arrived.",
	Apart: "closed-with-request-outstanding: there the target closed first. If the request was never " +
		"acknowledged: accept-queue-overflow on a fresh connection, stale-connection on a used " +
		"one.",
	Trigger:  "requests that keep the target as busy",
	Decisive: "the load balancer's FIN, RST or RST_STREAM",
	Views: Views{
		Target:  "Request, ACK, nothing; then the load balancer's FIN or RST, and an answer too late.",
		LB:      "The same.",
		Between: "The same.",
	},
	Cause: "A round wait is the load balancer's own timeout: the application is slow. One that is always the same is " +
		"that, too, or a timeout of its clients; any other is most likely a client that went away, but for load balancers that look at " +
		"their clocks only once a second (lighttpd, Traffic Server).",
	Causes: []string{
		"the load balancer's read timeout (nginx 60 s, ALB 60 s idle timeout)",
		"an application slow, blocked or waiting for its database",
		"the request sits in the accept queue: its kernel acknowledges, nobody reads",
		"the client closed its connection, and the load balancer passed that on",
	},
	Fix: "For a round wait, make the request faster or raise the load balancer's timeout (nginx " +
		"proxy_read_timeout, HAProxy timeout server, ALB idle_timeout.timeout_seconds). For any " +
		"other, look at the client's timeout and at the load balancer's log for 499 or 460.",
	Servers: backlogKnobs,
	LBs:     readTimeoutKnobs,
	Tells:   whoseLimit,
	Logs:    slices.Concat(readTimeoutLogs, clientGoneLogs),

	Behind: LogReadTimeout | LogClientGone,
	Learnt: ByOwnClose,
	Timer:  TimerNote{Also: TimerPatience},

	Repeated: true,
	Match:    matchLBClosedWithRequestOutstanding,
}

func matchLBClosedWithRequestOutstanding(x *Facts) *Finding {
	if !x.request.Set() || !x.acknowledged() || x.hole() || x.flow.Upgraded() {
		return nil
	}
	if rst, ok := x.refusedAnswer(); ok {
		return x.answerRefused(rst)
	}
	if !x.lbGaveUp() || x.mayBeHalfClose() {
		return nil
	}
	cl := x.lbClose()
	f := x.lost(cl)
	f.Measures.Outstanding = x.outstandingAt(cl)
	if x.answerDue() {
		f.Confidence = min(f.Confidence, Likely)
		f.Grounds += "; its end was not captured: the load balancer may have taken an answer behind its close"
	}
	f.Severity = Warning
	f.atOnce = x.closedAtOnce(cl)
	f.round = x.stream == nil && round(max(cl.Time-x.newestFromLB.Time, 0))
	if f.round || round(f.Measures.Outstanding.NS) {
		f.Severity = Error
	}
	if x.deadline(f.Measures.Outstanding.NS) {
		f.Severity, f.own = Error, x.deadlineAdvice("the load balancer passed on that its caller gave up")
	}
	f.Summary = says("the load balancer gave up (frame ", f.Frame, ") ", seconds(f.Measures.Outstanding.NS), " after the request (frame ", f.Request.Frame, "); ")
	if x.stream != nil && x.stream.ResetByTarget.Set() {
		f.Summary += fmt.Sprintf("the target reset the stream, too (frame %d), which the load balancer had not seen", x.frame(x.stream.ResetByTarget))
	} else if x.answered && x.newestAnswer.Set() { // asked as if whole, it may be what is missing
		f.Summary += says("the target answered (frame ", x.frame(x.newestAnswer), "), which the load balancer had not seen when it closed")
	} else if x.awaitsContinue() {
		f.Summary += "it waits for a 100 (Continue) before it sends the body, and the target had acknowledged its head and " + x.silent() + " by then"
	} else if x.target.WindowShut() && x.flow.RequestUnfinished() {
		f.Summary += fmt.Sprintf("the target had taken %d bytes of that, and its receive window was closed", f.Request.Bytes)
		f.own = notReading
	} else if x.flow.RequestUnfinished() {
		f.Severity = Warning
		f.Summary += fmt.Sprintf("it had sent %d bytes of that, and more was to come", f.Request.Bytes)
		f.own = &advice{
			"The request was not complete: the load balancer had not got all of it from its client, who was slow or went away, or its host could not send it.",
			"Look at the client's side in the load balancer's log (499, 460, a request time-out), and at the load balancer's limits for reading a request " +
				"(nginx client_body_timeout, HAProxy timeout client).",
		}
	} else {
		f.Summary += "the target had acknowledged it and " + x.silent() + " by then"
	}
	return f
}

// closedAtOnce reports whether, seen at the target or in between, the LB closed as soon as it could know that its request, on
// a used connection, had arrived: a FIN that waited for the acknowledgment comes just then (see gaveUpMeanwhile), and copies
// of the request that were lost before they came this far do not show.
func (x *Facts) closedAtOnce(cl tcpstate.SegRef) bool {
	const delayed = 40 * millisecond // an acknowledgment, at most (TCP_DELACK_MIN)
	v := x.of.told.vantage()
	return x.stream == nil && x.used() && (v == "target" || v == "between") && cl.Flags().Has(tcpstate.FIN) && x.ln.NCopies == 0 &&
		cl.Time-x.newestFromLB.Time <= x.rtt()+delayed+stuckFIN
}

// awaitsContinue reports whether of the newest request only the head was sent, for the target was to say first
// that it wants the body (RFC 9110 §10.1.1), and has said nothing.
func (x *Facts) awaitsContinue() bool {
	return x.stream == nil && x.flow.RequestUnfinished() && x.newestFromLB.End() == x.request.Seq.Add(uint32(len(x.head))) &&
		!(x.newestFromTarget.Set() && x.newestFromTarget.Ack.After(x.request.Seq)) && bytes.HasSuffix(x.head, []byte("\r\n\r\n")) && expectsContinue(x.head)
}

// expectsContinue reports whether a request's head has the field Expect: 100-continue.
func expectsContinue(head []byte) bool {
	for line := range bytes.Lines(head) {
		if name, value, ok := bytes.Cut(line, []byte{':'}); ok && bytes.EqualFold(name, []byte("Expect")) {
			return bytes.EqualFold(bytes.TrimSpace(value), []byte("100-continue"))
		}
	}
	return false
}

// mayBeHalfClose reports whether the LB closed only its own direction, as far as can be told by now.
func (x *Facts) mayBeHalfClose() bool {
	switch {
	case x.stream != nil && x.stream.ResetByLB.Set(), x.ln.NRST > 0:
		return false
	case x.answered:
		return true // it went on to take the answer
	}
	return x.answerDue() && !x.Ended
}

// answerDue reports whether an answer may still come behind the LB's close, and be taken.
func (x *Facts) answerDue() bool {
	return !(x.stream != nil && x.stream.ResetByLB.Set()) && x.ln.NRST == 0 && x.tn.NRST == 0 && !x.answered && !x.closing.Set() &&
		x.Now-x.lbClose().Time < halfClose
}

// refusedAnswer is the bare RST by which the LB's host answers the first octets of the answer: it has
// no socket for them, so the LB had closed, although its FIN never came this way.
func (x *Facts) refusedAnswer() (tcpstate.SegRef, bool) {
	const least = 200 * millisecond // TCP_RTO_MIN: what comes later may answer a copy, or a probe
	if !x.answered || x.stream != nil || x.newestAnswer.Seq != x.answer || x.lbClose().Set() || x.lb.HadReceived(x.answer) {
		return tcpstate.SegRef{}, false
	}
	for _, r := range x.ln.RSTs {
		if x.closing.Set() && x.closing.Frame() < r.Frame() || r.Time-x.newestAnswer.Time > max(4*x.rtt(), least) {
			break // it answers the target's close, or it is not known what
		}
		if r.Reply() && r.Seq.After(x.request.Seq) && !x.foreign(r, true) {
			return r.SegRef, true
		}
	}
	return tcpstate.SegRef{}, false
}

// answerRefused makes the finding of an answer that the LB's host refused. How long the LB had waited
// is not known.
func (x *Facts) answerRefused(rst tcpstate.SegRef) *Finding {
	f := x.lost(rst)
	f.Severity, f.Confidence = Warning, min(f.Confidence, Likely)
	f.Summary = fmt.Sprintf("the target answered the request (frame %d; frame %d), and the load balancer's host had no connection for that any more: it sent a bare RST (frame %d)",
		f.Request.Frame, x.frame(x.newestAnswer), f.Frame)
	f.own = &advice{
		"The load balancer had given the request up before the answer came, and its FIN never arrived: it waits behind octets that are not acknowledged, so the request most likely was late, too.",
		"Look at the way between the two: capture at the load balancer, and see how often it sent the request. If it arrived at once, look at the load balancer's time-outs and at its log.",
	}
	return f
}

// deadline reports whether a wait was as long as the gRPC call's own deadline, which its caller sent
// with it.
func (x *Facts) deadline(wait int64) bool {
	if x.stream == nil || x.stream.Timeout == 0 {
		return false
	}
	const most = second / 4 // by judgement: what a request and the news of its end take to the LB and through it
	d, late := x.stream.Timeout, max(roundSlack, x.rtt())
	if away := max(wait-d, d-wait); round(wait) && away > late {
		return false // the LB's own time-out may have been up
	}
	return wait >= d-min(d/10, most) && wait <= d+max(late, min(d/20, most))
}

// deadlineAdvice is the cause and the fix then.
func (x *Facts) deadlineAdvice(how string) *advice {
	return &advice{
		"The call's own deadline was up: it came with a grpc-timeout of " + seconds(x.stream.Timeout) + ", and " + how + ".",
		"Make the call faster, or give it more time where it is made (Go context.WithTimeout, Java withDeadlineAfter): no time-out of the load balancer is behind this.",
	}
}

// halfClose is how long an answer may take to come behind the LB's FIN, ns, by judgement: a
// flow is settled long before.
const halfClose = 25 * second

const (
	// roundTo is what timeouts are set in multiples of, roundSlack how late a timer fires:
	// the tick of nginx and HAProxy is 1 ms, of others up to 10 ms.
	roundTo    = second / 2
	roundSlack = 15 * millisecond
)

// round reports whether a wait looks configured.
func round(ns int64) bool {
	r := ns % roundTo
	return ns > roundTo-roundSlack && (r <= roundSlack || r >= roundTo-roundSlack)
}
