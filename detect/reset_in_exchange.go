package detect

import (
	"fmt"
	"slices"

	"connrace/tcpstate"
)

// ResetInExchange: an RST that its alleged sender cannot have meant.
//
// A request is outstanding, or its answer is not complete by the framing, and neither end has
// closed. Then either an RST comes that by its time to live or its shape neither end sent; or
// one without ACK, by either side, although the socket that it denies had proved that it is
// there: of the target, it acknowledged the request or sent part of the answer; of the LB, it
// went on behind that, as the target's reply RST shows. A host resets a connection like that only where it has no socket (RFC
// 9293 §3.10.7.1), and an application that aborts sends RST with ACK (tcp_send_active_reset).
// It is at most likely unless the time to live decides, because the end's FIN may be what the
// capture lacks.
var ResetInExchange = &Rule{
	ID:       "reset-in-exchange",
	Severity: Error,
	Mildest:  Warning,
	Lost:     LostAlways,
	Title:    "Reset in a live exchange",
	Diagram: `
LB                                target
 | --- P. 101:201 ack 201 --------> |   request
 | <-- .  201:201 ack 201 --------- |   the target has it
 | <-- R  201:201 ------+           |   an RST without ACK, by neither:
 |                      |           |   its TTL is not the target's, or
 |                      |           |   the socket was there`,
	Sequence: "An RST came into an exchange that was going on, although its alleged sender had the " +
		"connection, or by its time to live or shape did not send it.",
	Apart: "stale-connection: there the host proved nothing; it may have lost the connection. " +
		"closed-with-request-outstanding: there the target closed, by FIN or by an RST with ACK.",
	Trigger:  "the same requests, under as much load",
	Decisive: "the RST",
	Views: Views{
		Target: "An RST in the load balancer's name, or none at all: the one that the load balancer got was sent in between.",
		LB: "The request, then an RST sooner than the path allows, or with a TTL unlike that of the " +
			"target's other packets.",
		Between: "On one side of the culprit the RST, on the other none.",
	},
	Cause: "Something on the path broke the connection: a firewall that rejects with a TCP reset, a " +
		"load balancer or NAT that dropped it, or a host that was handed segments which belonged " +
		"to another (conntrack took them for INVALID and did not translate them).",
	Causes: []string{
		"conntrack: a segment outside of its window is INVALID, passes untranslated, and the host that gets it answers by RST",
		"a firewall or an intrusion prevention system that rejects with tcp-reset",
		"the idle timeout of an L4 load balancer in between: AWS NLB 350 s, Azure LB 240 s",
		"an L4 load balancer or NAT that was replaced or failed over",
	},
	Fix: "Look on the path, not at the target: compare captures from both ends, then look for a rule " +
		"that rejects with tcp-reset. With NAT or Kubernetes on the path set nf_conntrack_tcp_be_liberal=1, " +
		"or drop INVALID segments. If the connection had been idle for long, keep the load balancer's pool timeout " +
		"below the idle timeout of what lies between.",
	Servers:  resetKnobs,
	LBs:      slices.Concat(idlePathKnobs, tcpKeepaliveKnobs),
	LBsAfter: 30e9, // what lies between forgets none sooner
	Logs:     closedLogs,

	Behind: LogClosed | LogTruncated | LogReadTimeout,
	Timer: TimerNote{
		Head: "No timer of the target",
		Text: "Something between the two ended the connection.",
		Also: TimerIdle,
	},

	advise: resetLimit,
	Match:  matchResetInExchange,
}

func matchResetInExchange(x *Facts) *Finding {
	if !x.request.Set() || x.flow.Upgraded() || len(x.tn.RSTs)+len(x.ln.RSTs) == 0 {
		return nil
	}
	if r, ok := x.resetOf(false); ok {
		return x.resetInExchange(r, false)
	}
	if r, ok := x.resetOf(true); ok {
		return x.resetInExchange(r, true)
	}
	return nil
}

// resetOf is the first RST in the name of one end that it cannot have meant.
func (x *Facts) resetOf(lb bool) (tcpstate.RSTRef, bool) {
	n := x.tn
	if lb {
		n = x.ln
	}
	for _, r := range n.RSTs {
		if x.closedBefore(r.SegRef) {
			break
		}
		if x.foreign(r, lb) {
			return r, x.pendingAt(r.SegRef)
		}
		if r.Reply() && (x.alive(lb) || !lb && x.wentOn(r.SegRef) && x.lb.Captured()) && x.endedBy(r.SegRef, lb) {
			return r, true
		}
	}
	return tcpstate.RSTRef{}, false
}

// closedBefore reports whether either end had closed when an RST was captured: it does not say
// what its sender had seen, so the order of the capture must do.
func (x *Facts) closedBefore(rst tcpstate.SegRef) bool {
	for _, m := range [...]tcpstate.SegRef{x.closing, x.lbClose(), x.tn.FIN} {
		if m.Set() && m.Frame() < rst.Frame() {
			return true
		}
	}
	return x.unseenFIN
}

// pendingAt reports whether the newest request had no answer, or not all of it, when a segment
// was captured. The request may have been captured behind it: its sender had not seen it.
func (x *Facts) pendingAt(m tcpstate.SegRef) bool {
	return !x.hole() && (!x.answered || x.unfinished() || x.answerBehind(m) || x.wentOn(m))
}

// wentOn reports whether octets of the target came behind an RST in its name, and the LB took
// none of them: its kernel had closed the connection for that RST.
func (x *Facts) wentOn(rst tcpstate.SegRef) bool {
	n := x.newestFromTarget
	return x.answered && n.Frame() > rst.Frame() && !x.lb.HadReceived(n.Seq)
}

// answerBehind reports whether the answer began behind a segment in the capture, and the LB
// took none of it.
func (x *Facts) answerBehind(m tcpstate.SegRef) bool {
	return x.answered && x.newestAnswer.Seq == x.answer && x.newestAnswer.Frame() > m.Frame() && !x.lb.HadReceived(x.answer)
}

// alive reports whether an end had proved that its socket is there, in an exchange that is not
// complete, and nothing is missing in the capture that could show its close.
func (x *Facts) alive(lb bool) bool {
	switch {
	case x.closing.Set() || x.lbClose().Set() || x.hole() || x.vague() || !x.lb.Captured() || !x.target.Captured():
		return false
	case lb && x.target.HadReceived(x.lb.Nxt):
		return false // of octets or a FIN that the capture does not have
	}
	return x.outstanding() && x.acknowledged() || x.answered && x.unfinished()
}

// endedBy reports whether a reply RST in the name of one end is what ended the exchange. In the
// name of the target: the LB had sent none before. In the LB's: the target answered a segment of
// the LB by a reply RST behind it, so that one ended the target's socket, and the LB went on.
func (x *Facts) endedBy(rst tcpstate.SegRef, lb bool) bool {
	if !lb {
		return len(x.ln.RSTs) == 0 || x.ln.RSTs[0].Frame() > rst.Frame()
	}
	for _, r := range x.tn.RSTs {
		if r.Reply() && r.Frame() > rst.Frame() {
			return true
		}
	}
	return false
}

// resetInExchange makes the finding of an RST in the name of one end.
func (x *Facts) resetInExchange(r tcpstate.RSTRef, lb bool) *Finding {
	f := x.lost(r.SegRef)
	m := &f.Measures
	m.RST = rstKind(r)
	m.RSTOrigin, m.RSTOriginBasis = x.origin(r, lb)
	if x.used() {
		x.idle(f, x.request)
	}
	m.Outstanding = x.outstandingAt(r.SegRef)
	who, has := "target", "acknowledged the request"
	if lb {
		who, has = "LB", "been waiting for the answer"
	} else if x.answered {
		has = "begun its answer"
	}
	switch {
	case m.RSTOrigin == OriginBetween && m.RSTOriginBasis == OriginByTTL:
		f.Grounds += fmt.Sprintf("; the RST's TTL is %d, that of the %s's other segments %s", r.TTL(), who, x.hops(lb))
		f.Summary = fmt.Sprintf("the request (frame %d) was cut off by an RST (frame %d) that the %s did not send", f.Request.Frame, f.Frame, who)
	case m.RSTOrigin == OriginBetween:
		f.Confidence = min(f.Confidence, Likely)
		f.Grounds += "; no host sends an RST with such options or window"
		f.Summary = fmt.Sprintf("the request (frame %d) was cut off by an RST (frame %d) that the %s's kernel does not send", f.Request.Frame, f.Frame, who)
	default:
		m.RSTOrigin, m.RSTOriginBasis = OriginUnknown, "" // its kernel has a socket, so it need not be its own
		f.Confidence = min(f.Confidence, Likely)
		f.Grounds += "; it is not an RST of a socket, although there was one"
		f.Summary = fmt.Sprintf("the request (frame %d) was cut off by a bare RST (frame %d) in the name of the %s, which had %s",
			f.Request.Frame, f.Frame, who, has)
	}
	if m.RSTOrigin == OriginBetween && !lb {
		f.Grounds += x.tooSoon(r)
	}
	f.Summary += afterIdle(f)
	if x.answerBehind(r.SegRef) {
		f.Summary += fmt.Sprintf("; it was answered (frame %d) too late", x.frame(x.newestAnswer))
	}
	return f
}
