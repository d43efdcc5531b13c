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

	alertLen13 = 2 + 1 + 16 // alert, content type, tag, as a record of application data
	alertLen12 = 8 + 2 + 16 // nonce, alert, tag with AES-GCM (RFC 5288 §3)
)

// IsAlertSize reports whether n octets can be a TLS alert alone, by their number: 24 in TLS
// 1.3, 31 in TLS 1.2 with AES-GCM.
func IsAlertSize(n int32) bool { return n == recordHead+alertLen13 || n == recordHead+alertLen12 }

// Flags of framing for TLS.
const (
	tlsShook uint8 = 1 << iota // the handshake's beginning was seen
	tlsAsked                   // the client has sent application data
)

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
		return f.noUnit(s, used, pool)
	}
	typ, length, ok := tlsRecord(head)
	if !ok {
		l.state = misframed
		return f.noUnit(s, used, pool)
	}
	kind := f.recordKind(s, typ, length)
	l.unit = uint8(kind)
	l.state, l.left = unitOctets, uint64(recordHead-back+length)
	return Boundary{Kind: kind, Back: uint8(back)}, used
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
		return ClosingBegins
	case recordData:
	case recordCCS:
		l.flags |= recordAfterCCS
		return SetupBegins
	default:
		f.flags |= tlsShook
		return SetupBegins
	}
	switch {
	case length == alertLen13:
		return ClosingBegins
	case s == Answers && f.flags&(tlsShook|tlsAsked) == tlsShook:
		return SetupBegins
	case s == Requests && afterCCS && (length == 4+32+1+16 || length == 4+48+1+16):
		return SetupBegins
	case s == Requests:
		f.flags |= tlsAsked
	}
	return DataBegins
}
