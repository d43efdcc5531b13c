package share

import (
	"bytes"
	"strings"
)

// state is what a half's next octets are.
type state uint8

const (
	// lost: not known. They are zeros until a segment begins with something known.
	lost state = iota
	// skipped: left octets that nobody may see; then after.
	skipped
	// endless: nobody may see what is still to come.
	endless
	// startLine to trailerLine: a line of HTTP/1.
	startLine
	headerLine
	chunkLine
	chunkEnd
	trailerLine
	// From here on a unit of left octets.
	h2Preface
	h2Header
	h2Payload
	tlsHeader
	tlsHandshake
	tlsAlert
	proxyHead
)

// read reads the octets of a packet from an offset on.
func (h *half) read(p *packet, at int) {
	for at < len(p.raw) {
		switch {
		case h.state == lost || h.state == endless:
			h.conn.t.key.mark(p.out[at:], p.raw[at:])
			return
		case h.state == skipped:
			n := min(uint64(len(p.raw)-at), h.left)
			if h.after == tlsHeader {
				h.conn.t.key.mark(p.out[at:], p.raw[at:at+int(n)])
			}
			at += int(n)
			if h.left -= n; h.left == 0 {
				h.enter(h.after)
			}
		case h.state < h2Preface:
			i := bytes.IndexByte(p.raw[at:], '\n')
			n := i + 1
			if i < 0 {
				n = len(p.raw) - at
			}
			h.unit.add(p, at, at+n)
			at += n
			if h.unit.size() > maxUnit {
				h.unit.write(nil)
				h.long = true
			}
			if i >= 0 {
				h.line()
			}
		default:
			n := min(len(p.raw)-at, int(h.left)-h.unit.size())
			h.unit.add(p, at, at+n)
			if at += n; h.unit.size() == int(h.left) {
				h.whole(p, at)
			}
		}
	}
}

// enter goes on in a state whose left is known: that of a header.
func (h *half) enter(s state) {
	h.state = s
	switch s {
	case h2Header:
		h.left = frameHead
	case tlsHeader:
		h.left = recordHead
	}
}

// skip lets n octets be zeros, and goes on behind them.
func (h *half) skip(n uint64, then state) {
	if n == 0 {
		h.enter(then)
		return
	}
	h.state, h.left, h.after = skipped, n, then
}

// lose says that what follows is not known.
func (h *half) lose() {
	h.giveUp()
	h.state = lost
}

// giveUp decides the octets that wait for more to come: they are shown as far as they are
// understood, and the rest of what they belong to is not.
func (h *half) giveUp() {
	switch n := h.unit.size(); {
	case n == 0 && !h.long:
	case h.state == startLine:
		b := make([]byte, n)
		h.conn.t.key.startLine(b, h.unit.join())
		h.unit.write(b)
		h.long = true
	case h.state < h2Preface:
		h.unit.write(nil)
		h.long = true
	case h.state == h2Preface:
		h.unit.write([]byte(preface))
		h.skip(h.left-uint64(n), h2Header)
	case h.state == tlsHandshake:
		h.unit.write(h.conn.t.key.hello(h.unit.join()))
		h.skip(h.left-uint64(n), tlsHeader)
	case h.state == h2Payload:
		h.unit.write(nil)
		h.holed = true
		h.skip(h.left-uint64(n), h2Header)
	default:
		h.unit.write(nil)
		h.state = lost
	}
	h.block.write(nil)
}

// missing says that the next n octets were not captured.
func (h *half) missing(n uint64) {
	h.giveUp()
	switch {
	case h.state == skipped && h.left >= n:
		if h.left -= n; h.left == 0 {
			h.enter(h.after)
		}
		return
	case h.state == endless:
		return
	}
	h.loseTable()
	h.state, h.long = lost, false
}

// whole masks a unit that is complete, and ends before the octet of p at an offset.
func (h *half) whole(p *packet, at int) {
	switch h.state {
	case h2Preface:
		h.unit.write([]byte(preface))
		h.enter(h2Header)
	case h2Header:
		h.frameHeader()
	case h2Payload:
		h.framePayload()
	case tlsHeader:
		h.recordHeader()
	case tlsHandshake:
		h.unit.write(h.conn.t.key.hello(h.unit.join()))
		h.enter(tlsHeader)
	case tlsAlert:
		h.unit.write(h.unit.join())
		h.enter(tlsHeader)
	case proxyHead:
		b := h.unit.join()
		h.unit.write(maskProxy(b))
		h.state = lost
		if at < len(p.raw) {
			h.sync(p.raw[at:])
		}
	}
}

// recognise looks what a segment begins with where it is not known. What is recognised is shown
// as far as the parser of it goes, and no further.
//
// It reports whether that is all: nothing behind it can be read.
func (h *half) recognise(p *packet) (all bool) {
	b := p.raw
	switch {
	case h.state == endless && h.conn.proto == http1 && bytes.HasPrefix(b, []byte(preface)):
		h.state = lost
		h.conn.proto = unknown
	case h.state != lost:
		return false
	}
	if h.sync(b) {
		return false
	}
	if h.conn.proto == unknown || h.conn.proto == turns {
		if m := maskOther(b); m != nil {
			h.conn.t.key.mark(p.out[copy(p.out, m):], b)
			return true
		}
	}
	return false
}

// sync goes on with what b begins with; false: that is not known.
func (h *half) sync(b []byte) bool {
	c := h.conn
	is := func(p protocol) bool { return c.proto == unknown || c.proto == p }
	switch {
	case is(http2) && len(b) >= len("PRI *") && strings.HasPrefix(preface, string(b[:min(len(b), len(preface))])):
		c.proto, h.state, h.left = http2, h2Preface, uint64(len(preface))
		c.half[0].forget()
		c.half[1].forget()
		h.other().expect(h2Header)
	case is(http1) && (beginsRequest(b) || beginsAnswer(b)):
		if h.state = startLine; c.proto == unknown {
			h.other().expect(startLine)
		}
		c.proto = http1
	case is(tls) && isRecord(b):
		if h.enter(tlsHeader); c.proto == unknown {
			h.other().expect(tlsHeader)
		}
		c.proto = tls
	case is(unknown) && proxySize(b) > 0:
		h.state, h.left = proxyHead, uint64(proxySize(b))
	case is(http2) && areFrames(b, c.proto == unknown):
		c.proto = http2
		h.enter(h2Header)
	default:
		return false
	}
	return true
}

// expect says what a direction that is not understood begins with.
func (h *half) expect(s state) {
	if h.state == lost || h.state == endless {
		h.enter(s)
	}
}

// other is the other direction.
func (h *half) other() *half {
	if h == &h.conn.half[0] {
		return &h.conn.half[1]
	}
	return &h.conn.half[0]
}
