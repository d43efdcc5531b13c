package framing

import (
	"bytes"
	"encoding/binary"
)

// preface is what an HTTP/2 client sends first (RFC 9113 §3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// HTTP/2 frame types (RFC 9113 §6).
const (
	frameData = iota
	frameHeaders
	framePriority
	frameRSTStream
	frameSettings
	framePushPromise
	framePing
	frameGoAway
	frameWindowUpdate
	frameContinuation
)

const (
	frameHead = 9
	// frameMax is the longest payload that is allowed until the peers agree on more.
	frameMax = 1 << 14

	flagEndStream  = 1
	flagAck        = 1
	flagEndHeaders = 4
	flagPadded     = 8
	flagPriority   = 0x20

	goAwayLength = 8 // last stream and code; debug data may follow

	settingSize      = 6
	settingTableSize = 1
	settingFrameMax  = 5

	// maxSettings bounds what is kept of the first SETTINGS of a side: there are seven for HTTP itself.
	maxSettings = 8
)

// frameFlags are those that are defined for each type.
var frameFlags = [...]uint8{
	frameData: flagEndStream | flagPadded, frameHeaders: flagEndStream | flagEndHeaders | flagPadded | flagPriority,
	frameSettings: flagAck, framePushPromise: flagEndHeaders | flagPadded, framePing: flagAck, frameContinuation: flagEndHeaders,
}

// h2FromStart is the flag of framing that says that the client's preface was seen.
const h2FromStart uint8 = 1

// h2Frame is a frame's header.
type h2Frame struct {
	length uint32
	typ    uint8
	flags  uint8
	stream uint32
}

func parseFrame(h []byte) h2Frame {
	return h2Frame{
		length: uint32(h[0])<<16 | uint32(h[1])<<8 | uint32(h[2]),
		typ:    h[3],
		flags:  h[4],
		stream: binary.BigEndian.Uint32(h[5:]) &^ (1 << 31),
	}
}

// valid reports whether length and stream are such as the type demands. Unknown types
// are extensions (RFC 9113 §4.1).
func (h h2Frame) valid() bool {
	switch h.typ {
	case frameData, frameHeaders, framePushPromise, frameContinuation:
		return h.stream != 0
	case framePriority:
		return h.stream != 0 && h.length == 5
	case frameRSTStream:
		return h.stream != 0 && h.length == 4
	case frameSettings:
		return h.stream == 0 && h.length%6 == 0 && (h.flags&flagAck == 0 || h.length == 0)
	case framePing:
		return h.stream == 0 && h.length == 8
	case frameGoAway:
		return h.stream == 0 && h.length >= goAwayLength
	case frameWindowUpdate:
		return h.length == 4
	}
	return true
}

// likely reports whether a frame is one even where none is expected.
func (h h2Frame) likely() bool {
	return h.valid() && h.typ <= frameContinuation && h.length <= frameMax && h.flags&^frameFlags[min(int(h.typ), len(frameFlags)-1)] == 0
}

// frames reports whether p can be a row of frames, and whether the last one ends with p.
func frames(p []byte) (ok, whole bool) {
	for n := 0; ; n++ {
		if len(p) < frameHead {
			return n > 0, len(p) == 0
		}
		h := parseFrame(p)
		if p[5]&0x80 != 0 || !h.likely() {
			return false, false
		}
		p = p[min(frameHead+int(h.length), len(p)):]
	}
}

// IsFrameSize reports whether n octets, the first of a turn that begins with them, can be frames of
// HTTP/2, and are too few to be a request of HTTP/1 or the status line of an answer; used: octets of
// the server came before. A connection that is used again needs HTTP/1.1, and so a Host. Of what
// is shorter than a frame, TLS and AJP have something to send.
func IsFrameSize(s Side, n int32, used bool) bool {
	const (
		status  = int32(len("HTTP/1.1 200 OK\r\n"))
		request = int32(len("GET / HTTP/1.0\r\n\r\n"))
		again   = int32(len("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
	)
	return n >= frameHead && (n < status || s == Requests && (n < request || used && n < again && !IsAlertSize(n)))
}

// isPreface reports whether p begins with the client's preface, as far as it goes.
func isPreface(p []byte) bool {
	n := min(len(p), len(preface))
	return n >= len("PRI *") && string(p[:n]) == preface[:n]
}

// syncHTTP2 begins with the preface or resumes at a frame.
func (f *State) syncHTTP2(s Side, p []byte) bool {
	if s == Requests && isPreface(p) {
		f.flags |= h2FromStart
		f.dir[s].state, f.dir[s].left = unitOctets, uint64(len(preface))
		return true
	}
	if ok, _ := frames(p); !ok {
		return false
	}
	f.dir[s].state = unitHeader
	return true
}

// nextHTTP2 is Next for HTTP/2. Of a frame with a header block, and of DATA, the boundary is
// behind the frame's header; of RST_STREAM and GOAWAY behind what they say: Back leads to the
// frame's first octet.
func (f *State) nextHTTP2(s Side, p []byte, n uint32, pool *Pool) (Boundary, uint32) {
	l, c := &f.dir[s&1], pool.http2(f)
	h := &c.side[s&1]
	c.begun = f.flags&h2FromStart != 0
	var used uint32
	for {
		used += l.pass(n - used)
		if l.state == unitPayload {
			payload, whole, now := h.take(l, p, n, used, pool)
			if used = now; !whole {
				return Boundary{}, used
			}
			if b := c.frame(l, s, payload, pool); b.Kind != None {
				return b, used
			}
			continue
		}
		if l.state == unitHeader && l.flags&frameEnding != 0 {
			l.flags &^= frameEnding
			return Boundary{Kind: MessageEnds, numbers: numbers{Stream: h.stream}}, used
		}
		head, back, at := l.unitHead(frameHead, p, n, used, pool)
		if used = at; head == nil {
			return f.noUnit(s, used, pool)
		}
		fr := parseFrame(head)
		if !fr.valid() || fr.length > h.frameMax {
			l.state = misframed
			return f.noUnit(s, used, pool)
		}
		used += uint32(frameHead - back)
		if kind := c.begin(l, s, fr, pool); kind != None {
			return Boundary{Kind: kind, Back: frameHead, numbers: numbers{Stream: fr.stream}}, used
		}
	}
}

// begin takes a frame's header. Kinds are MessageBegins and BodyBegins.
func (c *http2) begin(l *direction, s Side, fr h2Frame, pool *Pool) Kind {
	h := &c.side[s]
	l.unit, l.state, l.left = fr.typ, unitPayload, uint64(fr.length)
	h.flags, h.stream, h.rest = fr.flags, fr.stream, 0
	if h.block != 0 && (fr.typ != frameContinuation || fr.stream != h.block) {
		h.lost, h.block = true, 0 // a header block that does not end
		pool.drop(&h.fragments)
	}
	switch fr.typ {
	case frameHeaders, framePushPromise:
		h.block, h.holed = fr.stream, false
		h.ends, h.pushed = fr.flags&flagEndStream != 0, fr.typ == framePushPromise
		if h.pushed || fr.stream&1 == 0 {
			return None
		}
		if s == Answers {
			return MessageBegins
		}
		if fr.stream > c.newest { // else trailers
			c.newest = fr.stream
			return MessageBegins
		}
	case frameData:
		l.bodyOrHeader()
		if fr.flags&flagEndStream != 0 {
			l.flags |= frameEnding
		}
		return BodyBegins
	case frameRSTStream, frameContinuation:
	case frameSettings:
		if fr.flags&flagAck != 0 {
			l.bodyOrHeader()
		}
	case frameGoAway:
		l.left, h.rest = goAwayLength, fr.length-goAwayLength
	default:
		l.bodyOrHeader()
	}
	return None
}

// bodyOrHeader lets the left octets be skipped.
func (l *direction) bodyOrHeader() {
	if l.state = unitOctets; l.left == 0 {
		l.state = unitHeader
	}
}

// frame takes the payload of a frame that is read; of one that was not captured whole
// it is nil.
func (c *http2) frame(l *direction, s Side, p []byte, pool *Pool) Boundary {
	h := &c.side[s]
	l.state, l.left = unitHeader, uint64(h.rest)
	if h.rest > 0 {
		l.state = unitOctets
	}
	switch l.unit {
	case frameRSTStream:
		b := Boundary{Kind: StreamReset, Back: frameHead + 4, numbers: numbers{Stream: h.stream, Status: UnknownCode}}
		if p != nil {
			b.Status = uint16(min(binary.BigEndian.Uint32(p), UnknownCode-1))
		}
		return b
	case frameGoAway:
		b := Boundary{Kind: ClosingBegins, Back: frameHead + goAwayLength, numbers: numbers{Stream: NoLastStream, Status: UnknownCode}}
		if p != nil {
			b.Stream = binary.BigEndian.Uint32(p) &^ (1 << 31)
			b.Status = uint16(min(binary.BigEndian.Uint32(p[4:]), UnknownCode-1))
		}
		return b
	case frameSettings:
		if h.nsettings < 0 && c.begun {
			h.nsettings = 0
			if len(p) <= len(h.settings) {
				h.nsettings = int8(copy(h.settings[:], p))
			}
		}
		for ; len(p) >= settingSize; p = p[settingSize:] {
			switch o, v := &c.side[1-s], binary.BigEndian.Uint32(p[2:]); binary.BigEndian.Uint16(p) {
			case settingTableSize:
				o.setTable(v, pool)
			case settingFrameMax:
				o.frameMax = max(v, frameMax)
			}
		}
	case frameHeaders, framePushPromise, frameContinuation:
		return c.headers(l, s, p, pool)
	}
	return Boundary{}
}

// headers takes the payload of HEADERS, PUSH_PROMISE or CONTINUATION. The boundary is HeadEnds
// where the header block is complete.
func (c *http2) headers(l *direction, s Side, p []byte, pool *Pool) Boundary {
	h := &c.side[s]
	if h.block == 0 {
		return Boundary{} // its beginning was not captured
	}
	if p == nil || l.unit != frameContinuation && !trim(&p, l.unit, h.flags) {
		h.holed, p = true, nil
	}
	if h.flags&flagEndHeaders == 0 || len(h.fragments) > 0 {
		if h.holed = h.holed || !pool.keep(&h.fragments, p); h.holed {
			pool.drop(&h.fragments)
		}
		p = h.fragments
	}
	if h.flags&flagEndHeaders == 0 {
		return Boundary{}
	}
	if h.holed {
		h.lost, p = true, nil
	}
	h.lost = h.lost || h.table == nil && !c.begun
	h.decode(p, pool)
	stream := h.block
	h.block = 0
	pool.drop(&h.fragments)
	if h.pushed || stream&1 == 0 {
		return Boundary{}
	}
	if h.ends {
		l.flags |= frameEnding
	}
	b := Boundary{Kind: HeadEnds, numbers: numbers{Stream: stream}}
	if s == Answers {
		b.Status = h.fields.Status
	}
	return b
}

// trim cuts from the payload of HEADERS or PUSH_PROMISE what is no header block: padding,
// priority, the promised stream (RFC 9113 §6.2, §6.6).
func trim(p *[]byte, typ, flags uint8) bool {
	q, pad := *p, 0
	if flags&flagPadded != 0 {
		if len(q) == 0 {
			return false
		}
		pad, q = int(q[0]), q[1:]
	}
	skip := 0
	switch {
	case typ == framePushPromise:
		skip = 4
	case flags&flagPriority != 0:
		skip = 5
	}
	if len(q) < skip+pad {
		return false
	}
	*p = q[skip : len(q)-pad]
	return true
}

// take counts octets of the frame at hand, whose payload is read. payload is nil unless all of
// it was captured; valid until the next call.
func (h *h2side) take(l *direction, p []byte, n, used uint32, pool *Pool) (payload []byte, whole bool, now uint32) {
	k := uint32(min(l.left, uint64(n-used)))
	have := p[min(int(used), len(p)):min(int(used+k), len(p))]
	h.cut = h.cut || uint32(len(have)) < k || len(have) > maxBlock
	l.left -= uint64(k)
	if l.left > 0 || len(h.got) > 0 {
		if h.cut = h.cut || !pool.keep(&h.got, have); h.cut {
			pool.drop(&h.got)
		} else {
			have = h.got
		}
	}
	if l.left > 0 {
		return nil, false, used + k
	}
	if payload = have; payload == nil {
		payload = []byte{}
	}
	if h.cut {
		payload = nil
	}
	h.cut = false
	pool.drop(&h.got)
	return payload, true, used + k
}

// toHTTP2 says that the connection goes on in HTTP/2. What the server has sent since is not known.
func (f *State) toHTTP2(pool *Pool) {
	f.Reset(pool)
	f.proto, f.flags = HTTP2, h2FromStart
	f.dir[Requests].state, f.dir[Requests].left = unitOctets, uint64(len(preface))
}

// Upgrade goes on in HTTP/2 where p, of a connection that changed its protocol, begins that.
func (f *State) Upgrade(s Side, p []byte, pool *Pool) {
	if f.proto == HTTP1 && f.dir[s&1].state == opaque && isH2Upgrade(s, p) {
		f.toHTTP2(pool)
	}
}

// isH2Upgrade reports whether p, of a connection that changed its protocol, is the client's
// preface behind a 101 (RFC 7540 §3.2).
func isH2Upgrade(s Side, p []byte) bool {
	return s == Requests && len(p) >= len(preface) && bytes.HasPrefix(p, []byte(preface))
}
