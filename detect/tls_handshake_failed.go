package detect

import (
	"fmt"
	"slices"

	"connrace/tcpstate"
)

// TLSHandshakeFailed: the connection ended before the TLS handshake was complete.
//
// A ClientHello was captured, and a close by either side before the handshake was complete: a
// fatal alert (RFC 8446 §6.2; its name is in the clear until its sender encrypts), a FIN or an
// RST. A server that answers in another protocol was asked by a probe, an info, unless the same LB
// agreed on TLS with others and is not served plain there: then the port is wrong. Whoever leaves behind the server's part of the handshake, without an alert, has seen what it wanted.
var TLSHandshakeFailed = &Rule{
	ID:       "tls-handshake-failed",
	Severity: Error,
	Mildest:  Info,
	Lost:     LostIfGivenUp,
	Probing:  true,
	Title:    "TLS handshake failed",
	Diagram: `
LB                                target
 | --- P. 1:518 ack 1 ------------> |   ClientHello
 | <-- P. 1:8   ack 518 ----------- |   alert: handshake_failure
 | <-- F. 8:8   ack 518 ----------- |   FIN (or R., alert or not)`,
	Sequence: "One side broke off the TLS handshake, by an alert, a FIN or an RST, before it was complete.",
	Apart: "connection-refused: there TCP itself was refused. closed-with-request-outstanding: there " +
		"the handshake was complete; a client certificate that TLS 1.3 rejects looks like that.",
	Trigger:  "as many new connections",
	Decisive: "the alert, FIN or RST that ended it",
	Views: Views{
		Target:  "ClientHello, then an alert, a FIN or an RST.",
		LB:      "The same.",
		Between: "The same.",
	},
	Cause: "The two could not agree: certificate, protocol version, cipher suite or server name; or the " +
		"target was restarting, or does not speak TLS on that port.",
	Causes: []string{
		"a certificate that has expired, or whose issuer the other side does not know",
		"no TLS version or cipher suite in common; a server name (SNI) that is not configured",
		"a target that is restarting, or speaks plain HTTP on that port",
	},
	Fix: "Look up the alert's name in both logs. Try `openssl s_client -connect TARGET -servername NAME` " +
		"from the load balancer's host; check certificate, versions and the server name that the load balancer sends (nginx " +
		"proxy_ssl_name and proxy_ssl_server_name, HAProxy sni).",
	Servers: []Knob{
		{"nginx", "ssl_protocols TLSv1.2 TLSv1.3;", "and ssl_certificate with the whole chain"},
		{"Apache", "SSLProtocol -all +TLSv1.2 +TLSv1.3", ""},
	},
	LBs: slices.Concat([]Knob{
		{"nginx", "proxy_ssl_server_name on; proxy_ssl_name app.internal;", "default off: no SNI is sent"},
		{"HAProxy", "server app 10.0.1.9:443 ssl verify required ca-file ca.pem sni str(app.internal)", ""},
	}, retryKnobs),
	Logs: []LogLine{
		{"nginx", "502", "SSL_do_handshake() failed", "or: peer closed connection in SSL handshake"},
		{"HAProxy", "503", "SSL handshake failure", "in a server's state or its health check; SC-- in the log"},
		{"Envoy", "503", "UF upstream_reset_before_response_started{connection_failure,TLS_error", ""},
		{"ALB", "502", "TargetTLSNegotiationErrorCount", "a metric"},
	},

	AnyProtocol: true,
	Behind:      LogClosed | LogConnectError,
	Timer:       TimerNote{Head: "No timer", Text: "The two could not agree on how to encrypt."},

	Match: matchTLSHandshakeFailed,
}

func matchTLSHandshakeFailed(x *Facts) *Finding {
	state := x.flow.Handshake()
	hello := x.newestFromLB
	if state != tcpstate.TLSHandshakeBegun && state != tcpstate.TLSHandshakeInPlain ||
		!x.flow.BeginCaptured() || !hello.Set() || x.lb.Holes() || x.target.Holes() || x.request.Set() {
		return nil
	}
	if x.lb.HasAck() && x.lb.Ack.After(x.target.Nxt) || !x.target.HadReceived(hello.Seq) {
		return nil // octets that decide are missing, or never arrived
	}
	end, byLB, alert := x.brokenOff()
	if !end.Set() || !byLB && end.Flags().Has(tcpstate.ACK) && end.Ack.After(x.lb.Nxt) {
		return nil
	}
	f := x.finding(end)
	f.Lost = true
	f.Measures.Outstanding = Duration{max(end.Time-hello.Time, 0), true}
	f.Evidence = append(x.timeline(), x.evidence(hello, true, RoleTLSHandshake, "the load balancer's part of the TLS handshake"))
	if byLB && end == x.ln.Notify {
		note := "TLS alert"
		if alert != 0 {
			note += ": " + alertName(alert)
		}
		f.Evidence = append(f.Evidence, x.evidence(end, true, RoleCloseNotify, note))
	}
	sortEvidence(f.Evidence)
	who, other, what := "target", "load balancer", "closed"
	if byLB {
		who, other = other, who
	}
	if end.Flags().Has(tcpstate.RST) {
		what = "reset"
	}
	switch {
	case alert != 0:
		f.own = alertAdvice(alert, who, other)
		f.Summary = fmt.Sprintf("the %s broke off the TLS handshake (frame %d) with the alert %s", who, f.Frame, alertName(alert))
	case byLB && end == x.ln.Notify && end.Len == sealedAlert:
		f.Confidence = min(f.Confidence, Likely)
		f.Grounds += "; TLS 1.3 seals what the alert says"
		f.Summary = fmt.Sprintf("the load balancer broke off the TLS handshake (frame %d) behind the target's part of it, with an alert that is sealed", f.Frame)
	case byLB && state == tcpstate.TLSHandshakeInPlain:
		f.Summary = fmt.Sprintf("the target answered the load balancer's TLS hello in another protocol, and the load balancer %s the connection (frame %d)", what, f.Frame)
	case byLB && x.newestFromTarget.Set():
		return nil // a health check has seen enough
	default:
		if byLB && !round(f.Measures.Outstanding.NS) {
			f.Severity, f.Lost = Warning, false // a client that went away, or a probe
		}
		f.Summary = fmt.Sprintf("the %s %s the connection (frame %d) %s after the load balancer's TLS hello, before the handshake was complete", who, what, f.Frame, seconds(f.Measures.Outstanding.NS))
	}
	if state == tcpstate.TLSHandshakeInPlain || x.of.plain {
		f.Grounds += "; the target speaks another protocol there"
		if x.servedPlain() || !x.settings.speaksTLS(x.ends[0].Addr) {
			f.Severity, f.Lost = Info, false
			f.Grounds += ": a probe, or the wrong port"
			f.own = &advice{"Somebody spoke TLS to a port of the target that does not: a probe, or a load balancer with the wrong scheme or port.", wrongScheme}
		} else {
			f.own = &advice{"The load balancer, which speaks TLS with others, spoke TLS to a port of the target that does not.", wrongScheme}
		}
	}
	return f
}

// wrongScheme is the fix where a load balancer speaks TLS to a port that does not.
const wrongScheme = "Correct the scheme or the port of this target in the load balancer's configuration (nginx proxy_pass http://, HAProxy server without ssl, Envoy " +
	"transport_socket), or let the target speak TLS there."

// brokenOff is what first ended the connection, by whom, and the alert if it was one. Who had seen
// the other's close closed second.
func (x *Facts) brokenOff() (end tcpstate.SegRef, byLB bool, alert uint8) {
	target, lb := firstClose(x.tn), firstClose(x.ln)
	switch {
	case !lb.Set():
	case !target.Set(), target.Flags().Has(tcpstate.ACK) && target.Ack.After(lb.Seq):
		byLB = true
	case lb.Flags().Has(tcpstate.ACK) && lb.Ack.After(target.Seq):
	default:
		byLB = lb.Frame() < target.Frame()
	}
	h := x.tn
	if end = target; byLB {
		end, h = lb, x.ln
	}
	if end == h.Notify {
		alert = h.Alert
	}
	return end, byLB, alert
}

// firstClose is what a side first closed with: an alert, a FIN or an RST.
func firstClose(h *tcpstate.HalfNotes) (first tcpstate.SegRef) {
	for _, m := range [...]tcpstate.SegRef{h.Notify, h.FIN, h.Abort} {
		if m.Set() && !first.Set() {
			first = m
		}
	}
	if !first.Set() && len(h.RSTs) > 0 {
		first = h.RSTs[0].SegRef
	}
	return first
}
