package framing

import "encoding/binary"

// TLS record types (RFC 8446 §5.1, RFC 6520).
const (
	recordCCS       = 20
	recordAlert     = 21
	recordHandshake = 22
	recordData      = 23
	recordHeartbeat = 24
)

const (
	recordHead = 5
	recordMax  = 1<<14 + 2048 // RFC 5246 §6.2.3; TLS 1.3 allows less

	alertLenPlain = 2

	alertLen13 = 2 + 1 + 16 // alert, content type, tag, as a record of application data
	alertLen12 = 8 + 2 + 16 // nonce, alert, tag with AES-GCM (RFC 5288 §3)
)

// IsAlertSize reports whether n octets can be a TLS alert alone, by their number: 24 in TLS
// 1.3, 31 in TLS 1.2 with AES-GCM.
func IsAlertSize(n int32) bool { return n == recordHead+alertLen13 || n == recordHead+alertLen12 }

// Flags of framing for TLS.
const (
	tlsShook   uint8 = 1 << iota // the handshake's beginning was seen
	tlsAsked                     // the client has sent application data
	tlsTalked                    // the server has, behind that
	tlsNoHTTP2                   // HTTP/2 was neither offered nor agreed
	tlsHTTP1                     // nothing but HTTP/1 could be agreed, or it was
	tls13                        // the server chose TLS 1.3
	tlsDone                      // the handshake was complete
	tlsRefused                   // the server answered the ClientHello in no TLS at all
)

// controlLength is the longest record that one control frame of HTTP/2 fits into, whatever the
// suite: a GOAWAY or PING of 17 octets and the nonce and tag of AES-GCM in TLS 1.2 (RFC 9113
// §6.7, §6.8, RFC 5288 §3). CBC suites are not for HTTP/2 (RFC 9113 §9.2.2).
const controlLength = frameHead + 8 + 8 + 16

// tlsRecord reads the record header that p begins with.
func tlsRecord(p []byte) (typ uint8, length int, ok bool) {
	if len(p) < recordHead {
		return 0, 0, false
	}
	typ, length = p[0], int(binary.BigEndian.Uint16(p[3:]))
	ok = typ >= recordCCS && typ <= recordHeartbeat && p[1] == 3 && p[2] <= 4 && length <= recordMax
	return typ, length, ok
}

// isRecord reports whether p begins with a record header that is likely to be one even
// where none is expected.
func isRecord(p []byte) bool {
	typ, length, ok := tlsRecord(p)
	switch {
	case !ok || length == 0:
		return false
	case typ == recordCCS:
		return length == 1
	case typ == recordAlert:
		return length <= 256
	}
	return true
}

// syncTLS resumes at a record.
func (f *State) syncTLS(s Side, p []byte) bool {
	if !isRecord(p) {
		return false
	}
	f.dir[s].state = unitHeader
	return true
}

// nextTLS is Next for TLS: every record is a boundary.
func (f *State) nextTLS(s Side, p []byte, n uint32, pool *Pool) (Boundary, uint32) {
	l := &f.dir[s]
	used := l.pass(n)
	head, back, used := l.unitHead(recordHead, p, n, used, pool)
	if head == nil {
		if l.state == misframed && uint32(len(p)) < n && (s == Requests || f.dir[Requests].flags&recordSentCCS != 0) {
			f.flags |= tlsDone // what is cut off behind the client's hello has its Finished; behind that, the server's
		}
		return f.noUnit(s, used, pool)
	}
	typ, length, ok := tlsRecord(head)
	if !ok {
		if s == Answers && f.flags&tlsShook != 0 && l.unit == 0 {
			f.flags |= tlsRefused
		}
		l.state = misframed
		return f.noUnit(s, used, pool)
	}
	kind := f.recordKind(s, typ, length)
	l.unit = uint8(kind)
	l.state, l.left = unitOctets, uint64(recordHead-back+length)
	if typ == recordHandshake && back == 0 {
		f.hello(s, p[used+recordHead:], uint32(len(p)) < n)
	}
	return Boundary{Kind: kind, Back: uint8(back), numbers: numbers{Stream: uint32(length)}}, used
}

// recordKind tells what a record is for.
//
// In TLS 1.3 all encrypted records have the type of application data. What the server
// sends before the client has sent any is its part of the handshake; the client's
// first, directly behind its change_cipher_spec (RFC 8446 §D.4) and as long as an
// encrypted Finished with SHA-256 or SHA-384, ends its own. The server's session tickets
// behind the first request cannot be told from data.
func (f *State) recordKind(s Side, typ uint8, length int) Kind {
	l := &f.dir[s]
	afterCCS := l.flags&recordAfterCCS != 0
	l.flags &^= recordAfterCCS
	switch typ {
	case recordAlert:
		if length == alertLenPlain && l.flags&recordSentCCS == 0 {
			f.flags &^= tlsDone // its sender had no keys yet: what was cut off did not end the handshake
		}
		return ClosingBegins
	case recordData:
	case recordCCS:
		l.flags |= recordAfterCCS | recordSentCCS
		cut := s == Requests && l.flags&recordKeys == 0 && f.dir[Answers].state == unsynced // a session resumed: the server's came before
		if f.flags&tls13 == 0 && (f.dir[1-s].flags&recordSentCCS != 0 || cut) {
			f.flags |= tlsDone
		}
		return SetupBegins
	default:
		if l.flags&recordHello != 0 {
			l.flags |= recordKeys
		}
		l.flags |= recordHello
		f.flags |= tlsShook
		return SetupBegins
	}
	if length == alertLen13 {
		return ClosingBegins
	}
	if s == Requests {
		f.flags |= tlsDone
		if afterCCS && (length == 4+32+1+16 || length == 4+48+1+16) {
			return SetupBegins
		}
		f.flags |= tlsAsked
		return DataBegins
	}
	if f.flags&(tlsShook|tlsAsked) == tlsShook {
		return SetupBegins
	}
	f.flags |= tlsTalked
	return DataBegins
}

// HTTP2Inside reports whether HTTP/2 may be inside of TLS: it was offered or agreed, or the
// ClientHello was not captured.
func (f *State) HTTP2Inside() bool { return f.proto == TLS && f.flags&tlsNoHTTP2 == 0 }

// HTTP1Inside reports whether HTTP/1 was agreed on inside of TLS.
func (f *State) HTTP1Inside() bool { return f.proto == TLS && f.flags&tlsHTTP1 != 0 }

// Handshake says how far setting up TLS has come.
func (f *State) Handshake() Handshake {
	switch {
	case f.proto != TLS || f.flags&tlsShook == 0:
		return NoHandshake
	case f.flags&tlsDone != 0:
		return HandshakeDone
	case f.flags&tlsRefused != 0:
		return HandshakeInPlain
	}
	return HandshakeBegun
}

// Handshake is how far setting up TLS has come.
type Handshake uint8

// The states of a handshake.
const (
	NoHandshake      Handshake = iota // no TLS, or its beginning was not captured
	HandshakeBegun                    // not complete
	HandshakeInPlain                  // the target answered the ClientHello in another protocol
	HandshakeDone
)

// NoRequest reports whether a record of the LB's application data, which begins at b, proves no
// request: HTTP/2 may be inside, and it is part of the client's preface, or has room for no more
// than a control frame.
func (f *State) NoRequest(b *Boundary) bool {
	return f.HTTP2Inside() && (b.Stream <= controlLength || f.flags&(tlsShook|tlsTalked) == tlsShook)
}

// CutRecord is what begins with p, fewer octets than a record's header has, all that was
// captured of a segment; None: no record, or one of data, which only its direction explains.
func (f *State) CutRecord(p []byte) Kind {
	if len(p) < 2 || len(p) >= recordHead || p[1] != 3 || p[0] < recordCCS || p[0] > recordHeartbeat || f.proto != TLS && f.proto != Unknown {
		return None
	}
	f.proto = TLS
	switch p[0] {
	case recordData:
		return None
	case recordAlert:
		return ClosingBegins
	}
	return SetupBegins
}
