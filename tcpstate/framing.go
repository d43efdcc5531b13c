package tcpstate

// framing follows the application protocol of one connection as far as it tells where
// requests and answers begin and end. It is fed the octets of each side in order and
// looks only at those that the protocol says are a line or a header; all others are
// counted. What it remembers is of fixed size, whatever the peers send.
//
// The zero value has recognised nothing yet.
type framing struct {
	lane [2]lane
	// ids are, of HTTP/2, the newest stream of asks and the one of answers that ended last;
	// of HTTP/1, that of asks are the kinds of the outstanding requests, the oldest lowest.
	ids   [2]uint32
	keep  [2]uint16 // HTTP/1: seconds of Keep-Alive: timeout=
	open  uint16    // HTTP/1: requests without a final head; HTTP/2: open streams
	proto protocol
	flags uint8
}

// side is a direction of a connection: the index of its lane.
type side uint8

const (
	asks    side = iota // the LB's octets
	answers             // the target's
)

// protocol is what a connection was recognised to speak.
type protocol uint8

const (
	protoUnknown protocol = iota
	protoHTTP1
	protoTLS
	protoHTTP2
)

// lane is the framing state of one direction.
//
// Invariant: outside of a head, left is not 0 only in a state from octets on.
type lane struct {
	left   uint64    // octets of the body, chunk, record or frame still to come
	carry  uint16    // what is kept of an unfinished line or header; 0: nothing
	flags  laneFlags // of the message or frame at hand
	status uint16    // HTTP/1: status of an answer
	state  laneState
	unit   uint8 // HTTP/1: field name of the newest header line; TLS: kind of
	// the record; HTTP/2: type of the frame
}

type laneState uint8

const (
	// unsynced: it is not known what the next octet is. Octets are ignored until sync
	// succeeds.
	unsynced laneState = iota
	// misframed: what came cannot be; next says so and goes to unsynced.
	misframed
	// opaque: an upgraded connection or a tunnel; nothing is looked at any more.
	opaque
	// between messages.
	between
	startLine
	headerLines
	chunkSize
	chunkEnd
	trailerLines
	untilClose
	// complete: the message's last octet has been taken; next says so.
	complete
	// unitHeader: a TLS record's or an HTTP/2 frame's header.
	unitHeader
	// From here on left octets are skipped unseen.
	bodyOctets
	chunkOctets
	unitOctets
)

const octets = bodyOctets

// boundaryKind is what begins or ends at an octet of a stream.
type boundaryKind uint8

const (
	noBoundary boundaryKind = iota
	// messageBegins: the first octet of an HTTP/1 request or answer (interim ones, 1xx,
	// too), or of the HEADERS of an HTTP/2 stream.
	messageBegins
	// headEnds: behind the empty line of an HTTP/1 head.
	headEnds
	// messageEnds: behind the last octet of a message.
	messageEnds
	// dataBegins: the first octet of a TLS record of application data.
	dataBegins
	// setupBegins: the first octet of a TLS record that belongs to the handshake, or of
	// a PROXY header.
	setupBegins
	// closingBegins: the first octet of a TLS alert or an HTTP/2 GOAWAY.
	closingBegins
	// syncLost: from here on the octets are not understood.
	syncLost
)

// boundary is a point of a stream at which something begins or ends. It is nested so that
// the compiler keeps it in registers, as SegRef.
type boundary struct {
	kind boundaryKind
	// back is how many octets before the point the thing began, when its beginning
	// was recognised only in a later segment than it was in; 0 else.
	back uint8
	said
	numbers
}

type said struct {
	// close: the head announced that this message is the connection's last.
	close bool
	// bodiless: the head is all there is of the message.
	bodiless bool
	// disguised: a TLS application data record of the size that TLS 1.3 gives to an
	// alert. It is one if the FIN or an RST follows directly; it may be two octets
	// of data.
	disguised bool
	// upgraded: the head ended HTTP/1 on this connection (101, or 2xx to CONNECT).
	upgraded bool
}

type numbers struct {
	// status of an HTTP/1 answer: with headEnds; with messageBegins if the segment
	// shows it, else 0.
	status uint16
	// keepAlive is what Keep-Alive: timeout= says, in seconds; with headEnds; 0: nothing.
	keepAlive uint16
	// stream is the HTTP/2 stream.
	stream uint32
}

// interim reports whether the boundary belongs to an answer that is not the final one
// (RFC 9110 §15.2); 101 is final.
func (b *boundary) interim() bool { return b.status/100 == 1 && b.status != 101 }

// synced reports whether a side's octets are understood.
func (f *framing) synced(s side) bool { return f.lane[s&1].state > misframed }

// sync looks whether p, the first octets of a segment, begin something known. It is for
// a side that is not synced and to be called where a message may begin. A protocol once
// recognised stays.
func (f *framing) sync(s side, p []byte) bool {
	if f.synced(s) {
		return true
	}
	switch f.proto {
	case protoUnknown:
		return f.recognise(s, p)
	case protoHTTP1:
		return f.syncHTTP1(s, p)
	case protoTLS:
		return f.syncTLS(s, p)
	default:
		return f.syncHTTP2(s, p)
	}
}

// recognise tells the protocol from the first octets of one side. The other side is
// taken to be between two messages; it loses sync by itself if it is not.
func (f *framing) recognise(s side, p []byte) bool {
	state := between
	switch {
	case s == asks && isPreface(p):
		f.proto, state = protoHTTP2, unitHeader
		f.lane[asks].state, f.lane[asks].left = unitOctets, uint64(len(preface))
	case s == asks && looksLikeRequest(p), s == answers && looksLikeResponse(p):
		f.proto = protoHTTP1
	case isRecord(p):
		f.proto, state = protoTLS, unitHeader
	case s == asks && proxyHeader(p) > 0:
		f.lane[asks].state, f.lane[asks].left = unitHeader, uint64(proxyHeader(p))
		return true
	default:
		return false
	}
	for i := range f.lane {
		if l := &f.lane[i]; side(i) != s || l.state == unsynced {
			l.state, l.left = state, 0
		}
	}
	return true
}

// within takes n octets if all of them, and at least one more, are of a body, chunk,
// record or frame that has begun: nothing to look at. It is the way of most segments.
func (f *framing) within(s side, n uint32) bool {
	l := &f.lane[s&1]
	if l.left <= uint64(n) || l.state < octets {
		return false
	}
	l.left -= uint64(n)
	return true
}

// next goes on to the next boundary within n octets, of which p is what was captured;
// for octets missing in the capture p is nil. It returns the boundary and how many
// octets lie before it. The caller goes on behind these until there is no boundary:
//
//	for {
//		b, used := f.next(s, p, n, pool)
//		if b.kind == noBoundary {
//			break // all n octets are taken
//		}
//		…
//		p, n = p[min(int(used), len(p)):], n-used
//	}
func (f *framing) next(s side, p []byte, n uint32, pool *carryPool) (boundary, uint32) {
	switch f.proto {
	case protoHTTP1:
		return f.nextHTTP1(s, p, n, pool)
	case protoTLS:
		return f.nextTLS(s, p, n, pool)
	case protoHTTP2:
		return f.nextHTTP2(s, p, n, pool)
	}
	return f.nextUnknown(s, p, n, pool)
}

// answeredBefore says that the newest request's answer was captured before it.
func (f *framing) answeredBefore() {
	if f.proto == protoHTTP1 && f.open > 0 {
		f.open--
		f.ids[asks] &= 1<<(kindBits*min(uint32(f.open), maxOpen)) - 1
	}
}

// inside tells what a side's next octet belongs to if it begins nothing new: to a
// message (messageBegins), TLS data (dataBegins), setting up (setupBegins), an alert or
// GOAWAY (closingBegins), or noBoundary if that is not known or between two of them.
func (f *framing) inside(s side) boundaryKind {
	l := &f.lane[s&1]
	switch {
	case l.state <= between || l.state == complete || l.state == unitHeader:
		return noBoundary
	case f.proto == protoTLS, f.proto == protoUnknown:
		return boundaryKind(l.unit)
	case f.proto == protoHTTP2 && l.unit == frameGoAway:
		return closingBegins
	}
	return messageBegins
}

// unfinished reports whether, by the framing, octets of a side's message are still to
// come. A body that ends with the connection is never unfinished.
func (f *framing) unfinished(s side) bool {
	l := &f.lane[s&1]
	if f.proto == protoHTTP2 {
		return s == answers && f.open > 0 && f.synced(s)
	}
	return f.proto == protoHTTP1 && l.state > between && l.state != untilClose && l.state != complete
}

// pass takes those of n octets that belong to the body, chunk, record or frame at hand.
func (l *lane) pass(n uint32) (used uint32) {
	if l.state < octets {
		return 0
	}
	used = uint32(min(l.left, uint64(n)))
	if l.left -= uint64(used); l.left == 0 && l.state == unitOctets {
		l.state = unitHeader
	}
	return used
}

// unitHead is the header of a record or frame, size octets, that begins behind the used
// ones; back of them were in segments before. Octets of p beyond used stay to be
// counted. No header: all n octets are taken or, if the lane is misframed then, octets
// are needed that were not captured.
func (l *lane) unitHead(size int, p []byte, n, used uint32, pool *carryPool) (head []byte, back int, taken uint32) {
	switch {
	case l.state != unitHeader || used == n:
		return nil, 0, n
	case used >= uint32(len(p)):
		l.state = misframed
		return nil, 0, used
	}
	p = p[used:]
	if l.carry == 0 && len(p) >= size {
		return p[:size], 0, used
	}
	if l.carry != 0 {
		back = len(pool.get(l.carry))
	}
	k := min(size-back, len(p))
	if !pool.add(&l.carry, p[:k]) {
		l.state = misframed
		return nil, 0, used
	}
	if back+k == size {
		head = pool.get(l.carry)
		pool.free(&l.carry)
		return head, back, used
	}
	if used += uint32(k); used < n {
		l.state = misframed
	}
	return nil, 0, used
}

// noUnit is what next returns when there is no header.
func (f *framing) noUnit(s side, used uint32, pool *carryPool) (boundary, uint32) {
	if f.lane[s].state == misframed {
		f.lose(s, pool)
		return boundary{kind: syncLost}, used
	}
	return boundary{}, used
}

// lose says that what a side sends next is not known.
func (f *framing) lose(s side, pool *carryPool) {
	l := &f.lane[s&1]
	pool.free(&l.carry)
	l.state, l.left = unsynced, 0
}

// reset forgets everything.
func (f *framing) reset(pool *carryPool) {
	f.lose(asks, pool)
	f.lose(answers, pool)
	*f = framing{}
}

// carrySize is how much of an unfinished line is kept. The field values that matter are
// much shorter; a longer line is followed to its end without being kept.
const carrySize = 254

// maxCarries bounds the lines kept at one time, 4 MB; beyond it sync is lost.
const maxCarries = 1 << 14

// carryPool holds what lanes keep of lines and headers that a segment's end has cut.
type carryPool struct {
	bufs   []carry
	unused []uint16
}

type carry struct {
	n uint8
	b [carrySize]byte
}

// add keeps octets behind those of a handle, taking a new one if it is 0; false: there
// is no room for another.
func (c *carryPool) add(h *uint16, p []byte) bool {
	if *h == 0 {
		switch n := len(c.unused); {
		case n > 0:
			*h = c.unused[n-1]
			c.unused = c.unused[:n-1]
		case len(c.bufs) < maxCarries:
			c.bufs = append(c.bufs, carry{})
			*h = uint16(len(c.bufs))
		default:
			return false
		}
		c.bufs[*h-1].n = 0
	}
	b := &c.bufs[*h-1]
	b.n += uint8(copy(b.b[b.n:], p))
	return true
}

// get is what a handle keeps; it is valid until the next add.
func (c *carryPool) get(h uint16) []byte {
	b := &c.bufs[h-1]
	return b.b[:b.n]
}

// free gives a handle back.
func (c *carryPool) free(h *uint16) {
	if *h != 0 {
		c.unused = append(c.unused, *h)
		*h = 0
	}
}
