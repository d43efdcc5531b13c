package framing

// State follows the application protocol of one connection as far as it tells where
// requests and answers begin and end. It is fed the octets of each side in order and
// looks only at those that the protocol says are a line or a header; all others are
// counted. What it remembers is of fixed size, whatever the peers send.
//
// The zero value has recognised nothing yet.
type State struct {
	proto Protocol // first, where the flow is that asks for it most
	flags uint8
	open  uint16    // HTTP/1: requests without a final head
	keep  [2]uint16 // HTTP/1: seconds of Keep-Alive: timeout=
	// ids are, of HTTP/1, the kinds of the outstanding requests, the oldest lowest, and how many
	// were answered; of HTTP/2, the place in the Pool of what else is kept of the connection; 0:
	// nothing yet.
	ids [2]uint32
	dir [2]direction
}

// Side is a direction of a connection: an index into State.dir.
type Side uint8

const (
	Requests Side = iota // the LB's octets
	Answers              // the target's
)

// Protocol is what a connection was recognised to speak.
type Protocol uint8

const (
	Unknown Protocol = iota
	HTTP1
	TLS
	HTTP2
	// Turns is FastCGI, uwsgi, AJP or SMB 2: each request is answered. Their octets are not
	// looked at.
	Turns
)

// direction is the state of one side.
//
// Invariant: outside of a head, left is not 0 only in a state from unitPayload on.
type direction struct {
	left   uint64         // octets of the body, chunk, record or frame still to come
	kept   uint16         // what is kept of an unfinished line or header; 0: nothing
	flags  directionFlags // of the message or frame at hand
	status uint16         // HTTP/1: status of an answer
	state  dirState
	unit   uint8 // HTTP/1: field name of the newest header line; TLS: kind of
	// the record; HTTP/2: type of the frame
}

type dirState uint8

const (
	// unsynced: it is not known what the next octet is. Octets are ignored until sync
	// succeeds.
	unsynced dirState = iota
	// misframed: what came cannot be; Next says so and goes to unsynced.
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
	// complete: the message's last octet has come; Next says so.
	complete
	// unitHeader: a TLS record's or an HTTP/2 frame's header.
	unitHeader
	// unitPayload: octets of an HTTP/2 frame that are read, left of them.
	unitPayload
	// From here on left octets are skipped unseen.
	bodyOctets
	chunkOctets
	unitOctets
)

const octets = bodyOctets

// Kind is what begins or ends at an octet of a stream.
type Kind uint8

// The kinds of boundary.
const (
	None Kind = iota
	// MessageBegins: the first octet of an HTTP/1 request or answer (interim ones, 1xx,
	// too), or of the HEADERS that open an HTTP/2 stream or answer on it, trailers too.
	MessageBegins
	// HeadEnds: behind the empty line of an HTTP/1 head, or an HTTP/2 header block.
	HeadEnds
	// BodyBegins: the first octet of an HTTP/2 DATA frame.
	BodyBegins
	// MessageEnds: behind the last octet of a message.
	MessageEnds
	// StreamReset: the first octet of an HTTP/2 RST_STREAM.
	StreamReset
	// DataBegins: the first octet of a TLS record of application data.
	DataBegins
	// SetupBegins: the first octet of a TLS record that belongs to the handshake, or of
	// a PROXY header.
	SetupBegins
	// ClosingBegins: the first octet of a TLS alert or an HTTP/2 GOAWAY.
	ClosingBegins
	// SyncLost: from here on the octets are not understood.
	SyncLost
)

// Boundary is a point of a stream at which something begins or ends. It is nested so that
// the compiler keeps it in registers: no more than four fields on a level.
type Boundary struct {
	Kind Kind
	// Back is how many octets before the point the thing began, when its beginning
	// was recognised only in a later segment than it was in; 0 else.
	Back uint8
	// Close: the head announced that this message is the connection's last.
	Close bool
	numbers
}

type numbers struct {
	// status of an HTTP/1 answer: with HeadEnds; with MessageBegins if the segment
	// shows it, else 0. Of RST_STREAM and GOAWAY the error code.
	Status uint16
	// Stream is the HTTP/2 stream, of a GOAWAY the last one; of a TLS record, its length.
	Stream uint32
}

// Interim reports whether the boundary belongs to an answer that is not the final one
// (RFC 9110 §15.2); 101 is final.
func (b *Boundary) Interim() bool { return b.Status/100 == 1 && b.Status != 101 }

// Protocol is what the connection was recognised to speak.
func (f *State) Protocol() Protocol { return f.proto }

// Open is how many requests of HTTP/1 have no final head.
func (f *State) Open() int { return int(f.open) }

// AnswersNewest reports whether the HTTP/1 answer that begins is the newest request's.
func (f *State) AnswersNewest() bool { return f.open <= 1 }

// Upgraded reports whether the connection has left HTTP: a 101 or a tunnel.
func (f *State) Upgraded() bool { return f.dir[Answers].state == opaque }

// Status is the status of the newest HTTP/1 answer; 0: unknown.
func (f *State) Status() int { return int(f.dir[Answers].status) }

// KeepAlive is what the newest answer's Keep-Alive: timeout= says, in seconds; 0: nothing.
func (f *State) KeepAlive() uint16 { return f.keep[Answers] }

// Held is how many lines or headers in pieces are kept for the connection in a Pool.
func (f *State) Held() (n int) {
	for i := range f.dir {
		if f.dir[i].kept != 0 {
			n++
		}
	}
	return n
}

// Synced reports whether a side's octets are understood.
func (f *State) Synced(s Side) bool { return f.dir[s&1].state > misframed }

// Sync looks whether p, the first octets of a segment, begin something known. It is for
// a side that is not synced and to be called where a message may begin. A protocol once
// recognised stays.
func (f *State) Sync(s Side, p []byte) bool {
	if f.Synced(s) {
		return true
	}
	switch f.proto {
	case Unknown:
		return f.recognise(s, p)
	case HTTP1:
		return f.syncHTTP1(s, p)
	case TLS:
		return f.syncTLS(s, p)
	case HTTP2:
		return f.syncHTTP2(s, p)
	}
	return false
}

// Decisive is how many octets decide always: a method of 20 octets and what follows it.
const Decisive = 20 + len(" /")

// Decides reports whether p, of a segment whose other octets were not captured, is enough to
// tell what it belongs to. The first octets of a method, a status line or a record's header
// are not: such a segment is as good as one of which only the headers were captured.
func Decides(s Side, p []byte) bool {
	switch {
	case len(p) < recordHead:
		return false
	case len(p) >= Decisive:
		return true
	case s == Requests:
		return LooksLikeRequest(p) || !beginsRequestLine(p) || isPreface(p)
	}
	return LooksLikeResponse(p) || !beginsStatusLine(p)
}

// recognise tells the protocol from the first octets of one side. The other side is
// taken to be between two messages; it loses sync by itself if it is not.
func (f *State) recognise(s Side, p []byte) bool {
	state := between
	switch {
	case s == Requests && isPreface(p):
		f.proto, f.flags, state = HTTP2, h2FromStart, unitHeader
		f.dir[Requests].state, f.dir[Requests].left = unitOctets, uint64(len(preface))
	case s == Requests && LooksLikeRequest(p), s == Answers && LooksLikeResponse(p):
		f.proto = HTTP1
	case isRecord(p):
		f.proto, state = TLS, unitHeader
	case s == Requests && proxyHeader(p) > 0:
		f.dir[Requests].state, f.dir[Requests].left = unitHeader, uint64(proxyHeader(p))
		return true
	case s == Requests && takesTurns(p):
		f.proto = Turns
		return false
	default:
		if ok, whole := frames(p); ok && whole { // from the middle of a connection
			f.proto, f.dir[s].state = HTTP2, unitHeader
			return true
		}
		return false
	}
	for i := range f.dir {
		if l := &f.dir[i]; Side(i) != s || l.state == unsynced {
			l.state, l.left = state, 0
		}
	}
	return true
}

// SkipBody counts n octets and reports true if all of them, and at least one more, belong to
// a body, chunk, record or frame that has begun. Most segments go this way.
func (f *State) SkipBody(s Side, n uint32) bool {
	l := &f.dir[s&1]
	if l.left <= uint64(n) || l.state < octets {
		return false
	}
	l.left -= uint64(n)
	return true
}

// Next goes on to the next boundary within n octets, of which p is what was captured;
// for octets missing in the capture p is nil. It returns the boundary and how many
// octets lie before it. The caller goes on behind these until there is no boundary:
//
//	for {
//		b, used := f.Next(s, p, n, pool)
//		if b.Kind == None {
//			break // all n octets are taken
//		}
//		…
//		p, n = p[min(int(used), len(p)):], n-used
//	}
func (f *State) Next(s Side, p []byte, n uint32, pool *Pool) (Boundary, uint32) {
	switch f.proto {
	case HTTP1:
		return f.nextHTTP1(s, p, n, pool)
	case TLS:
		return f.nextTLS(s, p, n, pool)
	case HTTP2:
		return f.nextHTTP2(s, p, n, pool)
	}
	return f.nextUnknown(s, p, n, pool)
}

// Served is how many requests of HTTP/1 were answered; 0: it is not known.
func (f *State) Served() uint32 {
	if f.proto != HTTP1 {
		return 0
	}
	return f.ids[Answers]
}

// AnsweredBefore says that the newest request's answer was captured before it.
func (f *State) AnsweredBefore() {
	if f.proto == HTTP1 && f.open > 0 {
		f.open--
		f.ids[Requests] &= 1<<(kindBits*min(uint32(f.open), maxOpen)) - 1
	}
}

// Inside tells what a side's next octet belongs to if it begins nothing new: to a
// message (MessageBegins), TLS data (DataBegins), setting up (SetupBegins), an alert or
// GOAWAY (ClosingBegins), or None if that is not known or it lies between two of them.
func (f *State) Inside(s Side) Kind {
	l := &f.dir[s&1]
	switch {
	case l.state <= between || l.state == complete || l.state == unitHeader:
		return None
	case f.proto == TLS, f.proto == Unknown:
		return Kind(l.unit)
	}
	return MessageBegins
}

// Unfinished reports whether, by the framing, octets of a side's HTTP/1 message are still to
// come. A body that ends with the connection is never unfinished.
func (f *State) Unfinished(s Side) bool {
	l := &f.dir[s&1]
	return f.proto == HTTP1 && l.state > between && l.state != untilClose && l.state != complete
}

// InHead reports whether the head of a side's HTTP/1 message has begun and not ended.
func (f *State) InHead(s Side) bool {
	st := f.dir[s&1].state
	return f.proto == HTTP1 && (st == startLine || st == headerLines)
}

// pass counts those of n octets that belong to the body, chunk, record or frame at hand.
func (l *direction) pass(n uint32) (used uint32) {
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
// counted. No header: all n octets are taken or, if the direction is misframed then, octets
// are needed that were not captured.
func (l *direction) unitHead(size int, p []byte, n, used uint32, pool *Pool) (head []byte, back int, taken uint32) {
	switch {
	case l.state != unitHeader || used == n:
		return nil, 0, n
	case used >= uint32(len(p)):
		l.state = misframed
		return nil, 0, used
	}
	p = p[used:]
	if l.kept == 0 && len(p) >= size {
		return p[:size], 0, used
	}
	if l.kept != 0 {
		back = len(pool.get(l.kept))
	}
	k := min(size-back, len(p))
	if !pool.add(&l.kept, p[:k]) {
		l.state = misframed
		return nil, 0, used
	}
	if back+k == size {
		head = pool.get(l.kept)
		pool.release(&l.kept)
		return head, back, used
	}
	if used += uint32(k); used < n {
		l.state = misframed
	}
	return nil, 0, used
}

// noUnit is what Next returns when there is no header.
func (f *State) noUnit(s Side, used uint32, pool *Pool) (Boundary, uint32) {
	if f.dir[s].state == misframed {
		f.LoseSync(s, pool)
		return Boundary{Kind: SyncLost}, used
	}
	return Boundary{}, used
}

// LoseSync says that what a side sends next is not known.
func (f *State) LoseSync(s Side, pool *Pool) {
	if f.proto == HTTP2 {
		pool.loseHTTP2(f, s&1)
	}
	f.dir[s&1].lose(pool)
}

// lose is LoseSync of all protocols but HTTP/2.
func (l *direction) lose(pool *Pool) {
	pool.release(&l.kept)
	l.state, l.left = unsynced, 0
}

// Meaningless reports whether octets p, which the framing does not understand, say nothing
// by their direction either. Of HTTP/2 it never does: both sides send as they like. In HTTP/1 a request
// begins with a request line: other octets of the LB are of a body, or of a protocol
// that it changed to in a part that the capture does not have.
func (f *State) Meaningless(s Side, p []byte) bool {
	return f.proto == HTTP2 || f.proto == HTTP1 && s == Requests && len(p) > 0
}

// Reset forgets everything.
func (f *State) Reset(pool *Pool) {
	f.LoseSync(Requests, pool)
	f.LoseSync(Answers, pool)
	pool.dropHTTP2(f)
	*f = State{}
}
