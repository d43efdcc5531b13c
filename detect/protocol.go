package detect

import (
	"bytes"
	"slices"

	"connrace/tcpstate"
)

// leastRequest is how many octets the shortest HTTP/1 request has ("GET / HTTP/1.0" and its
// empty line), leastSealed how many as a record of any TLS suite: header and tag are 21 more.
const (
	leastRequest = 18
	leastSealed  = leastRequest + 5 + 16
)

// limit holds a finding about an exchange to what is known of the protocol: where that is not
// followed, a message need be no request, and what looks like its answer need be none. It is
// the only place that decides so.
func (x *Facts) limit(f *Finding) {
	if f.Rule.AnyProtocol || f.Severity == Info || f.Request == nil {
		return
	}
	why := ""
	switch fl := x.flow; {
	case fl.HTTP2InTLS():
		why = "HTTP/2 may be inside of TLS, whose streams cannot be told apart: whether an answer was outstanding is not known"
	case x.of.mayBeHTTP2(fl):
		why = "no payload was captured, and by the lengths it is HTTP/2, whose streams cannot be told apart then: whether an answer was outstanding is not known"
	case fl.Opaque():
		why = "the protocol is not followed: the last message may have wanted no answer"
	case x.of.told.oneWay && !x.of.told.answers && !fl.HasPayload() && (f.Rule.FollowsClose != NoClose || f.Rule.Learnt == ByOwnClose):
		why = "no payload was captured, and the target has answered nothing so far, although the load balancer went on sending: the protocol may be one that wants no answers"
	case x.maybeHandshake():
		why = "no payload was captured, and by its place and its length what the load balancer sent last may be the end of a TLS handshake"
	case x.tooShort():
		why = "what the load balancer sent is too short for an HTTP request: it may have wanted no answer"
	case fl.TLS() && !fl.HTTP1InTLS() && f.Confidence > Likely:
		f.Confidence = Likely
		f.Grounds += "; inside of TLS, HTTP/1 is assumed"
		return
	case !fl.HasPayload() && f.Confidence > Likely:
		f.Confidence = Likely
		f.Grounds += "; no payload was captured, HTTP/1 is assumed"
		return
	default:
		return
	}
	f.Severity, f.Confidence, f.Lost = Warning, Suspected, false
	f.Grounds = why
}

// mayBeHTTP2 reports whether a connection of which no payload was captured is HTTP/2 by the lengths
// of its segments, or as most requests of its target are.
func (t *target) mayBeHTTP2(f *tcpstate.Flow) bool {
	return !f.HasPayload() && (f.HTTP2Unread() || t.unread > t.requests/2)
}

// goesOneWay reports whether a connection of which no payload was captured shows that its protocol may be one in
// which only the client speaks: it went on for a second or more, and the target said nothing. Acknowledgments cannot
// decide that: who sends a body in parts speaks again behind the acknowledgment of all it said, too. The time only keeps short
// uploads out, and all that comes of it is that less is said.
func (x *Facts) goesOneWay() bool {
	return !x.flow.HasPayload() && x.request.Set() && !x.answered && !x.newestFromTarget.Set() && x.acknowledged() && x.newestFromLB.Time-x.request.Time >= second
}

// lastFlights are how long what a client sends last in a TLS handshake is: change_cipher_spec, 6 octets, and
// Finished. Of TLS 1.2, where a session is resumed, with GCM, ChaCha20, CBC and SHA-1, SHA-256 or SHA-384
// (RFC 5246 §7.4.9, §6.2.3); of 1.3 by its two hashes, with change_cipher_spec and without (RFC 8446 §4.4.4).
var lastFlights = []uint32{51, 43, 75, 91, 107, 64, 80, 58, 74}

// maybeHandshake reports whether the newest request of a connection of which no payload was captured may
// be the end of a handshake of TLS: sent early, soon behind the connection's begin and at once behind an answer, and
// not behind others of its length, as requests are that repeat themselves. Such connections may be opened ahead of need.
func (x *Facts) maybeHandshake() bool {
	const (
		atOnce = 10 * millisecond // what the arithmetic of a handshake takes, at most
		early  = 50 * millisecond // and what both sides do until then
		hello  = 64               // octets of a ClientHello, at least
		long   = 2048             // and at most, but for what hardly anybody sends
	)
	if x.flow.HasPayload() || !x.flow.BeginCaptured() || !x.outstanding() || !slices.Contains(lastFlights, x.request.Len) || !x.newestFromTarget.Set() {
		return false
	}
	first, _ := x.firstOctets()
	before := x.request.Seq.Sub(first)
	return before >= hello && before <= long && uint32(before)%x.request.Len != 0 &&
		x.request.Time-x.newestFromTarget.Time <= x.rtt()+atOnce && (x.accepted == 0 || x.request.Time-x.accepted <= 2*x.rtt()+early)
}

// tooShort reports whether the newest request has fewer octets than a request of HTTP/1.
func (x *Facts) tooShort() bool {
	if !x.request.Set() || x.flow.PlainHTTP() || x.flow.TakesTurns() {
		return false
	}
	least := uint32(leastRequest)
	if x.flow.TLS() {
		least = leastSealed
	}
	return x.request.Len > 0 && x.request.Len < least
}

// forgetNoRequest takes back the newest request where it is none that could be lost: a head
// that the LB itself cut off, as probes do, or another protocol's farewell.
func (x *Facts) forgetNoRequest() {
	if x.request.Set() && x.outstanding() && (x.cutOff() || x.farewell()) {
		x.request, x.head = tcpstate.SegRef{}, nil
	}
}

// cutOff reports whether the LB closed in the middle of its request's head, before the target
// did, and all octets that it had sent were captured.
func (x *Facts) cutOff() bool {
	return x.flow.RequestHeadUnfinished() && !x.lb.Holes() && x.lbGaveUp()
}

// goodbyes are messages behind which their senders close, and wait for no answer: SMTP, POP3,
// FTP, IRC and Redis; MySQL's COM_QUIT, PostgreSQL's Terminate, MQTT's DISCONNECT.
var goodbyes = []string{"QUIT", "RSET\r\n", "quit", "\x01\x00\x00\x00\x01", "X\x00\x00\x00\x04", "\xe0\x00"}

// farewell reports whether the newest message, of a protocol that is not followed, was the
// LB's last and wanted no answer.
func (x *Facts) farewell() bool {
	if x.flow.TakesTurns() {
		return tcpstate.WantsNoAnswer(x.head)
	}
	if !x.flow.Opaque() && !x.tooShort() {
		return false
	}
	const atOnce = 10 * millisecond // an application that has said all it had to say
	if cl := x.lbClose(); cl.Set() && cl.Time-x.newestFromLB.Time <= max(x.rtt(), atOnce) {
		return true
	}
	for _, g := range goodbyes {
		if bytes.HasPrefix(x.head, []byte(g)) {
			return true
		}
	}
	return isLogout(x.head) || isUnbind(x.head)
}

// isLogout reports whether p is IMAP's tag and LOGOUT (RFC 9051 §6.1.3).
func isLogout(p []byte) bool {
	_, word, ok := bytes.Cut(p, []byte{' '})
	return ok && len(word) >= 6 && bytes.EqualFold(word[:6], []byte("LOGOUT"))
}

// isUnbind reports whether p is an LDAP unbind request (RFC 4511 §4.3): a sequence of a message
// id and an empty value of application tag 2.
func isUnbind(p []byte) bool {
	return len(p) >= 7 && len(p) <= 12 && p[0] == 0x30 && p[2] == 2 && p[len(p)-2] == 0x42 && p[len(p)-1] == 0
}
