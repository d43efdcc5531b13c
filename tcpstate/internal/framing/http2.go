package framing

import "encoding/binary"

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
	// frameLikely is a length that no frame exceeds unless the peers have agreed on it.
	frameLikely = 1 << 14

	flagEndStream = 1
)

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
		return h.stream == 0 && h.length%6 == 0
	case framePing:
		return h.stream == 0 && h.length == 8
	case frameGoAway:
		return h.stream == 0 && h.length >= 8
	case frameWindowUpdate:
		return h.length == 4
	}
	return true
}

// isPreface reports whether p begins with the client's preface, as far as it goes.
func isPreface(p []byte) bool {
	n := min(len(p), len(preface))
	return n >= len("PRI *") && string(p[:n]) == preface[:n]
}

// syncHTTP2 resumes at a frame.
func (f *State) syncHTTP2(s Side, p []byte) bool {
	if len(p) < frameHead {
		return false
	}
	if h := parseFrame(p); h.typ > frameContinuation || h.length > frameLikely || !h.valid() {
		return false
	}
	f.dir[s].state = unitHeader
	return true
}

// nextHTTP2 is Next for HTTP/2. Boundaries are HEADERS, GOAWAY and the ends of streams.
func (f *State) nextHTTP2(s Side, p []byte, n uint32, pool *Pool) (Boundary, uint32) {
	l := &f.dir[s]
	var used uint32
	for {
		used += l.pass(n - used)
		if l.state == unitHeader && l.flags&frameEnding != 0 {
			l.flags &^= frameEnding
			return Boundary{Kind: MessageEnds, numbers: numbers{Stream: f.ids[s]}}, used
		}
		head, back, at := l.unitHead(frameHead, p, n, used, pool)
		if used = at; head == nil {
			return f.noUnit(s, used, pool)
		}
		h := parseFrame(head)
		if !h.valid() {
			l.state = misframed
			return f.noUnit(s, used, pool)
		}
		l.unit = h.typ
		l.state, l.left = unitOctets, uint64(frameHead-back)+uint64(h.length)
		if kind := f.frame(s, h); kind != None {
			return Boundary{Kind: kind, Back: uint8(back), numbers: numbers{Stream: h.stream}}, used
		}
	}
}

// frame interprets a frame's header and keeps count of the open streams.
//
// A stream counts as answered with its first HEADERS and ends with the answer's
// END_STREAM or an RST_STREAM of either side, whichever comes first.
func (f *State) frame(s Side, h h2Frame) Kind {
	l := &f.dir[s]
	kind := None
	switch h.typ {
	case frameGoAway:
		return ClosingBegins
	case frameHeaders:
		switch {
		case s == Answers:
			kind = MessageBegins
		case h.stream > f.ids[Requests]: // else trailers
			kind, f.ids[Requests] = MessageBegins, h.stream
			f.open = max(f.open, f.open+1) // a flood does not wrap it
		}
	case frameData:
	case frameRSTStream:
		h.flags = flagEndStream
		if s == Requests && h.stream != f.ids[Answers] && f.open > 0 {
			f.open--
		}
	default:
		return None
	}
	if s == Answers && h.flags&flagEndStream != 0 && h.stream != f.ids[Answers] {
		f.ids[Answers] = h.stream
		l.flags |= frameEnding
		if f.open > 0 {
			f.open--
		}
	}
	return kind
}
