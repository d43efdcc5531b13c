package detect

import (
	"fmt"
	"slices"

	"connrace/tcpstate"
)

// HandshakeReset: the LB's host resets the target's SYN-ACK, although the LB wants the
// connection.
//
// SYN, SYN-ACK with ack = ISN(LB)+1, an RST without ACK by the LB's address whose seq is that
// number, and then the same SYN again. A host that has the socket completes the handshake, one
// that does not want it would not send the SYN again (RFC 9293 §3.10.7.3): the SYN-ACK arrived
// there with an address or port that belongs to no socket, because what had translated the SYN
// did not translate the answer back.
var HandshakeReset = &Rule{
	ID:       "handshake-reset",
	Severity: Error,
	Mildest:  Error,
	Lost:     LostAlways,
	Title:    "Handshake reset by the LB's own host",
	Diagram: `
LB                                target
 | --- S  0:1 --------------------> |   SYN
 | <-- S. 0:1 ack 1 --------------- |   SYN-ACK
 | --- R  1:1 --------------------> |   the LB's host knows no such socket
 | --- S  0:1 --------------------> |   the LB still waits: the same SYN
 | <-- S. 0:1 ack 1 --------------- |
 | --- R  1:1 --------------------> |   and so on`,
	Sequence: "The LB's host answered the SYN-ACK by a bare RST, and then sent the same SYN again.",
	Apart: "connection-refused: there the target sends the RST. port-reuse: there the target answers by " +
		"an ACK of an older connection, and the RST is for that. A scanner resets, too, but does not " +
		"try the same SYN again.",
	Views: Views{
		Target: "SYN, SYN-ACK, bare RST, again and again.",
		LB: "The SYN to one address, the SYN-ACK from another: two connections, of which the second " +
			"begins with a SYN-ACK.",
		Between: "Either, on the two sides of what translates addresses.",
	},
	Cause: "The SYN's destination was translated (a Service, DNAT), but the SYN-ACK took another way " +
		"home or was not translated back, so that the LB's host has no socket for it.",
	Causes: []string{
		"a target that answers a client of its own subnet directly, past the NAT (hairpin)",
		"asymmetric routing past the load balancer or firewall that translated the SYN",
		"no masquerading of a Service's traffic: externalTrafficPolicy, masquerade-all, ip-masq-agent",
		"bridged traffic that does not pass netfilter: br_netfilter is not loaded",
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
		Text: "The target answers, and its answers do not find the LB's socket.",
	},

	Match: matchHandshakeReset,
}

func matchHandshakeReset(x *Facts) *Finding {
	if x.Outcome != SYNReset {
		return nil
	}
	rst, _ := x.ownReset()
	f := x.handshake(rst)
	f.Measures.RST = "reply"
	f.Measures.RSTOrigin, f.Measures.RSTOriginBasis = x.origin(x.ln.RSTs[0], true)
	for _, r := range x.ln.RSTs {
		f.Evidence = append(f.Evidence, x.evidence(r.SegRef, true, RoleLBRST, "RST by the LB's host: it knows no such socket"))
	}
	sortEvidence(f.Evidence)
	f.Confidence = min(f.Confidence, Likely)
	f.Summary = fmt.Sprintf("the LB's host reset the target's SYN-ACK (frame %d) and tried again: the SYN was sent %d times", f.Frame, f.Measures.Attempts)
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

// resetByOwnHost reports whether the handshake failed like that.
func (x *Facts) resetByOwnHost() bool {
	_, ok := x.ownReset()
	return ok
}
