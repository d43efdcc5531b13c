package detect

import (
	"fmt"
	"slices"

	"connrace/tcpstate"
)

// PathLoss: segments of a request or an answer were sent again and again and never arrived, on
// a connection that was alive.
//
// An answer: at least 3 copies of the first octets that the LB has not acknowledged, 150 ms
// apart or more, for more than 0.5 s; or, where the capture lacks them, a hole that the LB
// never acknowledges beyond while later octets of the target did arrive. A request: its octets
// sent as often and never acknowledged, where another segment of it was, or the target's own
// close shows that it knows the connection, or smaller segments reached that target in that
// time while all as large did not (an MTU black hole, RFC 2923 §2.1), or an ICMP error quotes
// them, which makes it certain; and on a connection without an answer so far where nothing speaks for a full accept queue: no SYN-ACK was
// repeated meanwhile, no other connection to the listener suffered likewise. At the target's end,
// octets of a request that never came, which the target did not acknowledge either when the LB
// went on behind them. Who closes then does not matter, nor does it help if the request arrives
// when the LB has given up: its FIN then follows the acknowledgment at once, or it answers the
// answer by a bare RST. If the request is answered in the end, and the LB takes the answer, at
// least 4 copies over more than 3 s make a warning.
var PathLoss = &Rule{
	ID:       "path-loss",
	Severity: Error,
	Mildest:  Warning,
	Lost:     LostIfGivenUp,
	Title:    "Segments lost on the path",
	Diagram: `
LB                                target
 | <-- P. 1:201 ack 101 ----------- |   small segments arrive
 | --- P. 101:1549 ack 201 -----x   |   request: a large segment
 | --- P. 101:1549 ack 201 -----x   |   again (0.2, 0.4, 0.9 s ...)
 | --- P. 101:1549 ack 201 -----x   |   and again: never acknowledged`,
	Sequence: "A request or an answer was sent again and again and never acknowledged, on a connection " +
		"that was alive.",
	Apart: "stale-connection: there the target's host, or something in between, had forgotten an idle " +
		"connection. accept-queue-overflow: there SYN-ACKs are repeated too, or other new connections " +
		"suffer. closed-with-request-outstanding: there the request was acknowledged.",
	Trigger:  "requests and answers as large as those that were lost",
	Decisive: "the first copy of what was lost; where that was not captured, the request",
	Views: Views{
		Target:  "Of a request nothing, or only its small segments; of an answer all copies.",
		LB:      "Of a request all copies; of an answer nothing, or only its small segments.",
		Between: "What is sent again is lost behind this place; what is missing, before it.",
	},
	Cause: "Something on the way drops these segments. If only large ones are lost, the path has a " +
		"smaller MTU than its ends believe and the ICMP messages that say so are filtered.",
	Causes: []string{
		"a tunnel, VPN or overlay network with a smaller MTU, ICMP \"fragmentation needed\" filtered",
		"a firewall or security appliance that drops what it does not like",
		"asymmetric routing: a stateful filter sees only one direction",
		"the other host has vanished",
	},
	Fix:     "Compare captures at both ends. If only large segments are lost, " + mtuFix + " Else " + filterFix,
	Servers: filterKnobs,
	LBs:     filterKnobs,
	Large:   mtuKnobs,
	Logs:    slices.Concat(readTimeoutLogs, clientGoneLogs),

	Behind: LogClosed | LogTruncated | LogReadTimeout | LogClientGone,
	Learnt: BySilence,
	Timer: TimerNote{
		Head: "No timer: the way between the two",
		Text: "Segments are lost on it, again and again.",
	},

	Recovered: matchPathLossOvercome,
	Match:     matchPathLoss,
}

func matchPathLoss(x *Facts) *Finding {
	if f := x.answerLost(); f != nil {
		return f
	}
	s, by := x.eaten()
	if by != thePath || x.hole() {
		if f := x.tookTooLong(); f != nil {
			return f
		}
		return x.requestHole()
	}
	f := x.inVain(&s)
	what := "the load balancer's first data"
	switch {
	case x.request.Set() && s.first.Seq == x.request.Seq:
		what = "the request"
	case x.request.Set():
		what = "a segment of the request"
	}
	f.Summary = says(what, " (frame ", x.frame(s.first), ") ", s.times(x.Ended))
	x.whyLost(f, &s)
	if x.closing.Set() && !x.lbGaveUp() {
		f.Summary += fmt.Sprintf("; the target closed (%s, frame %d) without having seen it", x.closeName(), x.frame(x.closing))
	}
	return f
}

// onAnswerTaken asks what there is to say of a request that had to be sent again, and has an answer.
func (d *Detector) onAnswerTaken(e *tcpstate.Event) {
	f := e.Flow
	if f.Decided() {
		return
	}
	x := d.facts(f, e)
	switch p := d.hold(x, x.ask(AboutConnection, (*Rule).recovered)); {
	case p == nil:
	case f.HTTP2(), len(d.mended) >= maxOpen:
		f.SetDecided()
	default:
		d.mended[f.Index()] = p
	}
	d.conclude(f, wasAnswered)
}

// overcome reports whether a request that is answered had been sent again and again, as often and
// long as where nobody gives up.
func (x *Facts) overcome() bool {
	first, _ := x.firstOctets()
	return !(x.flow.BeginCaptured() && !x.used() && x.request.Seq == first) && !x.lbClose().Set() && x.ln.TurnAcked.Set() &&
		whenSilent.met(x.ln.NCopies+1, x.ln.TurnAcked.Time-x.request.Time)
}

// matchPathLossOvercome finds a request that got through in the end. It is asked when the LB takes the
// answer: it may have given up meanwhile, and then its host meets the answer with an RST.
func matchPathLossOvercome(x *Facts) *Finding {
	if !x.overcome() || x.hole() {
		return nil
	}
	took := x.ln.TurnAcked.Time - x.request.Time
	f := x.exchange(x.request)
	f.Severity, f.Confidence = Warning, min(f.Confidence, Likely)
	f.Measures.Attempts, f.Measures.Delay = x.ln.NCopies+1, Duration{took, true}
	f.Summary = says("the request (frame ", x.frame(x.request), ") got through only after ", about(took), ": it was sent ", f.Measures.Attempts, " times")
	x.arrivedAsLarge(f)
	return f
}

// arrivedAsLarge says of a request that arrived in the end that it was not its size for which it had been lost
// before, if it was sent in segments of one size.
func (x *Facts) arrivedAsLarge(f *Finding) {
	n := x.request.Len
	if !slices.ContainsFunc(x.ln.Copies, func(c tcpstate.SegRef) bool { return c.Len != n }) {
		f.sized("on the way", n, n)
	}
}

// tookTooLong finds at the LB's end a request that was sent again and again, and arrived only when
// the LB had given up. Its FIN waits behind octets that are not acknowledged: it goes out as soon
// as they are, or never, and then the LB's host answers the answer by a bare RST. On a connection
// without an answer before, the accept queue may have been full.
func (x *Facts) tookTooLong() *Finding {
	took, end, ok := x.gaveUpMeanwhile()
	if !ok || !x.used() {
		return nil
	}
	f := x.lost(x.request)
	f.Confidence = min(f.Confidence, Likely)
	f.Measures.Attempts, f.Measures.Outstanding = x.ln.NCopies+1, Duration{took, true}
	f.Summary = fmt.Sprintf("the request (frame %d) was sent %d times in %s before the target acknowledged it (frame %d), and the load balancer had given up by then (frame %d)",
		x.frame(x.request), f.Measures.Attempts, about(took), x.frame(x.ln.TurnAcked), x.frame(end))
	x.arrivedAsLarge(f)
	if e := x.evidence(x.ln.TurnAcked, false, RoleACK, "acknowledges the request"); !slices.ContainsFunc(f.Evidence, func(o Evidence) bool { return o.Frame == e.Frame && o.Capture == e.Capture }) {
		f.Evidence = append(f.Evidence, e)
		sortEvidence(f.Evidence)
	}
	return f
}

// gaveUpMeanwhile reports how long a request took that was sent again and again before it was acknowledged, and what
// shows that the LB had given up by then.
func (x *Facts) gaveUpMeanwhile() (took int64, end tcpstate.SegRef, ok bool) {
	if !x.request.Set() || x.stream != nil || x.flow.Upgraded() || !x.ln.TurnAcked.Set() || x.hole() {
		return 0, end, false
	}
	took = x.ln.TurnAcked.Time - x.request.Time
	end, refused := x.refusedAnswer()
	if !refused {
		end = x.lbClose()
		if !x.lbGaveUp() || x.mayBeHalfClose() || end.Time-x.ln.TurnAcked.Time > x.rtt()+stuckFIN {
			return 0, end, false
		}
	}
	return took, end, whenClosed.met(x.ln.NCopies+1, took)
}

// stuckFIN is how soon, besides a round trip, a FIN follows the acknowledgment that it waited for, ns: the kernel
// sends it at once, what a capture adds is some milliseconds.
const stuckFIN = 10 * millisecond

// requestHole finds at the target's end that a part of a request never came, although the LB went
// on behind it: the target acknowledged what is before, and for long nothing more.
func (x *Facts) requestHole() *Finding {
	cl := x.lbClose()
	if !x.outstanding() || !cl.Set() || !x.acknowledged() || x.hole() || cl.Seq.AtOrBefore(x.target.Ack) ||
		!x.ln.HoleBetween(x.target.Ack, x.target.Ack+1) || cl.Time-x.newestFromLB.Time < whenClosed.over {
		return nil
	}
	f := x.lost(x.request)
	f.Confidence = min(f.Confidence, Likely)
	f.Measures.Outstanding = x.outstandingAt(cl)
	f.Summary = fmt.Sprintf("of the request (frame %d) at least %d bytes never came, and the load balancer gave up (frame %d) %s after it",
		x.frame(x.request), cl.Seq.Sub(x.target.Ack), x.frame(cl), seconds(f.Measures.Outstanding.NS))
	f.hole(uint32(cl.Seq.Sub(x.target.Ack)), max(x.request.Len, x.of.told.reached[0].largest(x.request.Time, cl.Time)))
	return f
}

// mtuFix and filterFix are what helps where only large segments are lost, and where others are, too.
const (
	mtuFix = "let ICMP type 3 code 4 (ICMPv6 type 2) through or clamp the MSS (iptables TCPMSS --clamp-mss-to-pmtu), and as a first aid " +
		"set net.ipv4.tcp_mtu_probing=1 on both hosts."
	filterFix = "look at firewalls, routes and net.netfilter.nf_conntrack_tcp_be_liberal between the two."
)

// whyLost says of a finding what an ICMP error says, or whether only large segments are lost.
func (x *Facts) whyLost(f *Finding, s *silence) {
	lost, delivered := x.sizes(s)
	size := sizeOf(lost, delivered)
	if e := x.complaint(s); e != nil {
		x.complained(f, s, e)
		if size == TooLarge && e.TooBig() {
			f.Measures.SmallestLost, f.Measures.LargestDelivered = lost, delivered
		}
		return
	}
	f.sized("on the way", lost, delivered)
	if size == TooLarge {
		f.Summary += fmt.Sprintf("; segments of up to %d bytes arrived meanwhile, this one has %d: an MTU black hole", delivered, lost)
	}
}

// answerLost finds an answer that never reached the LB.
func (x *Facts) answerLost() *Finding {
	if !x.request.Set() {
		return nil
	}
	cl := x.lbClose()
	var at int64
	if cl.Set() {
		at = cl.Time
	} else {
		at = x.copyRefused()
	}
	if s, ok := x.silenceOf(false, at); ok && s.first.Seq.AtOrAfter(x.request.Ack) {
		if s.copies < whenClosed.copies || s.until-s.first.Time < whenClosed.over {
			return nil
		}
		f := x.inVain(&s)
		f.Summary = fmt.Sprintf("the answer (frame %d) %s", x.frame(s.first), s.times(x.Ended))
		x.whyLost(f, &s)
		if at == 0 && f.Measures.ICMP == nil {
			// Nothing shows that the LB is still there.
			f.Severity, f.Confidence, f.Lost = min(f.Severity, Warning), Suspected, false
			f.Grounds += "; the load balancer's host may have vanished"
		}
		return f
	}
	return x.answerHole(cl.Time)
}

// copyRefused is when the LB's host answered a copy of what the target sent in vain by a bare RST; 0: never. It is
// there, and had closed: the FIN never came this way.
func (x *Facts) copyRefused() int64 {
	for _, r := range x.ln.RSTs {
		if u := x.targetUnacked; u != nil && r.Reply() && r.Frame() > u.First.Frame() && r.Seq.After(x.request.Seq) && !x.foreign(r, true) {
			return r.Time
		}
	}
	return 0
}

// answerHole finds at the LB's end that the beginning of an answer, or its middle, never came
// while later octets did.
func (x *Facts) answerHole(closed int64) *Finding {
	cl := x.lbClose()
	if !cl.Set() || !x.lb.HasAck() || !x.tn.HoleBetween(x.lb.Ack, x.lb.Ack+1) || cl.Ack.After(x.lb.Ack) {
		return nil
	}
	later := x.newestFromTarget
	if !later.Set() || later.Seq.AtOrBefore(x.lb.Ack) || later.Ack.AtOrBefore(x.request.Seq) || closed-later.Time < whenClosed.over {
		return nil
	}
	f := x.lost(x.request)
	f.Confidence = min(f.Confidence, Likely)
	f.Measures.Outstanding = x.outstandingAt(cl)
	e := x.evidence(later, false, RoleAnswer, "a later part of the answer: what is before it never came")
	if !slices.ContainsFunc(f.Evidence, func(o Evidence) bool { return o.Frame == e.Frame && o.Capture == e.Capture }) {
		f.Evidence = append(f.Evidence, e)
		sortEvidence(f.Evidence)
	}
	f.Summary = fmt.Sprintf("of the answer only a later part came (frame %d): the %d bytes before it never did, and the load balancer gave up (frame %d) %s after the request",
		e.Frame, later.Seq.Sub(x.lb.Ack), x.frame(cl), seconds(f.Measures.Outstanding.NS))
	f.hole(uint32(later.Seq.Sub(x.lb.Ack)), max(later.Len, x.of.told.reached[1].largest(x.request.Time, cl.Time)))
	return f
}
