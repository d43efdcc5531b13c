package detect

import (
	"fmt"
	"slices"

	"connrace/tcpstate"
)

// HandshakeReset: the LB's host resets or ignores the target's SYN-ACK, although the LB wants the
// connection.
//
// SYN, SYN-ACK with ack = ISN(LB)+1, an RST without ACK by the LB's address whose seq is that
// number, and then the same SYN again. A host that has the socket completes the handshake, one
// that does not want it would not send the SYN again (RFC 9293 §3.10.7.3): the SYN-ACK arrived
// there with an address or port that belongs to no socket, because what had translated the SYN
// did not translate the answer back. Captured at the LB, it is that SYN-ACK which shows it: from
// another address or port, to the LB's port, with ack = ISN(LB)+1. Or no RST comes, and the SYN
// is sent again behind its SYN-ACK until the LB gives up: the SYN-ACK is lost on its way back, or
// a filter of the LB's host drops it.
var HandshakeReset = &Rule{
	ID:       "handshake-reset",
	Severity: Error,
	Mildest:  Warning,
	Lost:     LostIfGivenUp,
	Title:    "The SYN-ACK reaches no socket",
	Diagram: `
LB                                target
 | --- S  0:1 --------------------> |   SYN
 | <-- S. 0:1 ack 1 --------------- |   SYN-ACK
 | --- R  1:1 --------------------> |   the LB's host knows no such socket
 | --- S  0:1 --------------------> |   the LB still waits: the same SYN
 | <-- S. 0:1 ack 1 --------------- |
 | --- R  1:1 --------------------> |   and so on`,
	Sequence: "The load balancer's host answered the SYN-ACK by a bare RST, or not at all, and then sent the same SYN " +
		"again; or the SYN-ACK came from another address or port than the SYN went to.",
	Apart: "connection-refused: there the target sends the RST. port-reuse: there the target answers by " +
		"an ACK of an older connection, and the RST is for that. syn-unanswered: there no SYN-ACK was " +
		"captured. A scanner resets, too, but does not try the same SYN again.",
	Trigger:  "new connections by the same way",
	Decisive: "the load balancer's first RST, without one the first SYN",
	Views: Views{
		Target: "SYN, SYN-ACK, bare RST, again and again.",
		LB: "The SYN to one address, the SYN-ACK from another: two connections, of which the second " +
			"begins with a SYN-ACK.",
		Between: "Either, on the two sides of what translates addresses.",
	},
	Cause: "The SYN's destination was translated (a Service, DNAT), but the SYN-ACK took another way " +
		"home or was not translated back, so that the load balancer's host has no socket for it.",
	Causes: []string{
		"a target that answers a client of its own subnet directly, past the NAT (hairpin)",
		"asymmetric routing past the load balancer or firewall that translated the SYN",
		"no masquerading of a Service's traffic: externalTrafficPolicy, masquerade-all, ip-masq-agent",
		"bridged traffic that does not pass netfilter: br_netfilter is not loaded",
		"a filter of the load balancer's host that drops the SYN-ACK: conntrack INVALID, rp_filter",
	},
	Fix: "Let the answer come back through what translated the SYN: masquerade it there (iptables -j " +
		"MASQUERADE, kube-proxy masqueradeAll), route the target's answers through it, and on " +
		"Kubernetes nodes set net.bridge.bridge-nf-call-iptables=1.",
	Servers: hairpinKnobs,
	LBs:     connectKnobs,
	Logs:    connectTimeoutLogs,

	About:  AboutHandshake,
	Behind: LogConnectError | LogConnectTimeout | LogClientGone,
	Learnt: BySilence,
	Timer: TimerNote{
		Head: "No timer: the way back",
		Text: "The target answers, and its answers do not find the load balancer's socket.",
	},

	Match: matchHandshakeReset,
}

func matchHandshakeReset(x *Facts) *Finding {
	switch {
	case x.elsewhere.ref.Set():
		return x.answeredElsewhere()
	case x.Outcome == SYNReset:
	case x.wantsMore() && (x.Outcome == SYNGivenUp || x.Outcome == SYNOpen):
		f := x.handshake(x.ln.SYNs[0].SegRef)
		f.Confidence = min(f.Confidence, Likely)
		f.Measures.Outstanding = Duration{max(x.ln.SYNs[len(x.ln.SYNs)-1].Time-f.Time, 0), true}
		f.Summary = fmt.Sprintf("the target answered the SYN (frame %d), and the load balancer's host went on sending it, %d times in %s: the SYN-ACK (frame %d) is lost on its way back, or dropped there",
			f.Frame, f.Measures.Attempts, about(f.Measures.Outstanding.NS), x.frame(x.tn.SYNs[0].SegRef))
		return f
	default:
		return nil
	}
	rst, _ := x.ownReset()
	f := x.handshake(rst)
	f.Measures.RST = "reply"
	f.Measures.RSTOrigin, f.Measures.RSTOriginBasis = x.origin(x.ln.RSTs[0], true)
	for _, r := range x.ln.RSTs {
		f.Evidence = append(f.Evidence, x.evidence(r.SegRef, true, RoleLBRST, "RST by the load balancer's host: it knows no such socket"))
	}
	sortEvidence(f.Evidence)
	f.Confidence = min(f.Confidence, Likely)
	f.Summary = fmt.Sprintf("the load balancer's host reset the target's SYN-ACK (frame %d) and tried again: the SYN was sent %d times", f.Frame, f.Measures.Attempts)
	return f
}

// ownReset is the first reply RST by which the LB's host answered the SYN-ACK; ok is false
// unless the LB sent its SYN again behind it, and its host reset the answer to that, too.
func (x *Facts) ownReset() (rst tcpstate.SegRef, ok bool) {
	if !x.target.SentSYN() {
		return rst, false
	}
	first, _ := x.firstOctets()
	for _, r := range x.ln.RSTs {
		switch {
		case !r.Reply() || r.Seq != first:
		case !rst.Set():
			rst = r.SegRef
		case slices.ContainsFunc(x.ln.SYNs, func(s tcpstate.SYNRef) bool { return rst.Frame() < s.Frame() && s.Frame() < r.Frame() }):
			return rst, true
		}
	}
	return rst, false
}

// wantsMore reports whether the LB sent its SYN again behind the target's SYN-ACK.
func (x *Facts) wantsMore() bool {
	n := len(x.ln.SYNs)
	return n > 1 && len(x.tn.SYNs) > 0 && x.ln.SYNs[n-1].Frame() > x.tn.SYNs[0].Frame()
}

// strayAnswer is a SYN-ACK without a SYN, to the LB, and who sent it.
type strayAnswer struct {
	ref      tcpstate.SegRef
	from, to tcpstate.Endpoint
}

// onStrayAnswer keeps a SYN-ACK in mind whose SYN went elsewhere.
func (d *Detector) onStrayAnswer(e *tcpstate.Event) {
	d.strays.Add(strayAnswer{d.tracker.Ref(e.Flow, e.Seg), e.Seg.Src, e.Seg.Dst})
}

// answerTo is the SYN-ACK that answers a SYN in another's name; unset: there is none.
func (d *Detector) answerTo(x *Facts) (a strayAnswer) {
	for _, o := range d.strays.All() {
		if o.to == x.ends[0] && o.from != x.ends[1] && o.ref.Ack == x.ln.SYNs[0].Seq+1 && o.ref.Time >= x.ln.SYNs[0].Time-second {
			return o
		}
	}
	return a
}

// answeredFromElsewhere reports whether the SYN was sent again although another answered it.
func (x *Facts) answeredFromElsewhere(d *Detector) bool {
	if len(x.ln.SYNs) > 1 && !x.target.SentSYN() {
		x.elsewhere = d.answerTo(x)
	}
	return x.elsewhere.ref.Set()
}

// answeredElsewhere makes the finding of a SYN that another address or port answered.
func (x *Facts) answeredElsewhere() *Finding {
	f := x.handshake(x.ln.SYNs[0].SegRef)
	f.Evidence = append(f.Evidence, x.settings.evidence(x.elsewhere.ref, false, RoleSYNACK, "SYN-ACK from "+x.elsewhere.from.String()+", which the SYN did not go to"))
	sortEvidence(f.Evidence)
	f.Summary = fmt.Sprintf("the SYN to %s (frame %d) was answered by %s (frame %d): the load balancer's host has no socket for that", x.ends[1], f.Frame, x.elsewhere.from, x.frame(x.elsewhere.ref))
	return f
}

// resetByOwnHost reports whether the handshake failed like that.
func (x *Facts) resetByOwnHost() bool {
	_, ok := x.ownReset()
	return ok
}
