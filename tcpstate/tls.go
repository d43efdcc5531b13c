package tcpstate

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

	// A TLS 1.3 alert is two octets, the content type and the tag in a record of
	// application data; as TCP payload, with its header, 24 octets. An alert of
	// TLS 1.2 with AES-GCM has 31.
	alertLen13  = 2 + 1 + 16
	alertSize13 = recordHead + alertLen13
	alertSize12 = recordHead + 8 + 2 + 16
)

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

// closeNotifyShape reports whether a segment's payload of n octets, of which p was
// captured, can be a TLS close_notify alone. Without captured octets only its size
// speaks, and only directly before a FIN or RST.
func closeNotifyShape(p []byte, n uint32) bool {
	if len(p) < recordHead {
		return n == alertSize13 || n == alertSize12
	}
	typ, length, ok := tlsRecord(p)
	return ok && n == uint32(recordHead+length) &&
		(typ == recordAlert || typ == recordData && length == alertLen13)
}

// syncTLS resumes at a record.
func (f *framing) syncTLS(s side, p []byte) bool {
	if !isRecord(p) {
		return false
	}
	f.lane[s].state = unitHeader
	return true
}

// nextTLS is next for TLS: every record is a boundary.
func (f *framing) nextTLS(s side, p []byte, n uint32, pool *carryPool) (boundary, uint32) {
	l := &f.lane[s]
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
	return boundary{kind: kind, back: uint8(back), said: said{disguised: kind == closingBegins && typ == recordData}}, used
}

// recordKind tells what a record is for.
//
// In TLS 1.3 all encrypted records have the type of application data. What the server
// sends before the client has sent any is its part of the handshake; the client's
// first, directly behind its change_cipher_spec (RFC 8446 §D.4) and as long as an
// encrypted Finished with SHA-256 or SHA-384, ends its own. The server's session tickets
// behind the first request cannot be told from data.
func (f *framing) recordKind(s side, typ uint8, length int) boundaryKind {
	l := &f.lane[s]
	afterCCS := l.flags&recordAfterCCS != 0
	l.flags &^= recordAfterCCS
	switch typ {
	case recordAlert:
		return closingBegins
	case recordData:
	case recordCCS:
		l.flags |= recordAfterCCS
		return setupBegins
	default:
		f.flags |= tlsShook
		return setupBegins
	}
	switch {
	case length == alertLen13:
		return closingBegins
	case s == answers && f.flags&(tlsShook|tlsAsked) == tlsShook:
		return setupBegins
	case s == asks && afterCCS && (length == 4+32+1+16 || length == 4+48+1+16):
		return setupBegins
	case s == asks:
		f.flags |= tlsAsked
	}
	return dataBegins
}
