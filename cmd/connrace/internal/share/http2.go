package share

import (
	"encoding/binary"
	"sync"

	"golang.org/x/net/http2/hpack"
)

// preface is what a client of HTTP/2 sends first (RFC 9113 §3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

const frameHead = 9

// Types of frames (RFC 9113 §6).
const (
	frameData = iota
	frameHeaders
	framePriority
	frameReset
	frameSettings
	framePush
	framePing
	frameGoAway
	frameWindow
	frameContinuation
)

const (
	flagEndHeaders = 4
	flagPadded     = 8
	flagPriority   = 0x20
)

// frames is what is known of a half that speaks HTTP/2.
type frames struct {
	typ, flags byte
	block      spans // of the header block at hand
	holed      bool  // not all of it is there
	table      []entry
	size, most int // of table, as HPACK counts it
}

// entry is one of the dynamic table (RFC 7541 §2.3.2).
type entry struct {
	name   string // "": not shown, or not known
	octets int    // of the name
	size   int
}

const (
	defaultTable = 4096
	maxTable     = 64 << 10
)

// forget gives the memory of the table back.
func (h *half) forget() {
	h.conn.t.room += h.size
	h.table, h.size = nil, 0
}

// loseTable says that header blocks may be missing.
func (h *half) loseTable() {
	h.block.write(nil)
	h.forget()
}

// defined are the flags of each type.
var defined = [...]byte{frameData: 9, frameHeaders: 0x2d, frameSettings: 1, framePush: 12, framePing: 1, frameContinuation: 4}

// isShort reports whether a number, of a stream or an error, is not so large that it might as well
// be four octets of a text that was taken for a frame.
func isShort(n uint32) bool { return n < 1<<20 }

// areFrames reports whether b can be a row of frames, in whole ones if nothing else says so.
func areFrames(b []byte, whole bool) bool {
	for n := 0; ; n++ {
		if len(b) < frameHead {
			return n > 0 && (!whole || len(b) == 0)
		}
		length, typ, stream := frameLength(b), b[3], binary.BigEndian.Uint32(b[5:])
		ok := isShort(stream) && length <= 1<<14 && typ <= frameContinuation
		if !ok || b[4]&^defined[typ] != 0 {
			return false
		}
		switch typ {
		case frameData, frameHeaders, framePush, frameContinuation:
			ok = stream != 0
		case framePriority:
			ok = stream != 0 && length == 5
		case frameReset:
			ok = stream != 0 && length == 4
		case frameSettings:
			ok = stream == 0 && length%6 == 0
		case framePing:
			ok = stream == 0 && length == 8
		case frameGoAway:
			ok = stream == 0 && length >= 8
		case frameWindow:
			ok = length == 4
		}
		if !ok {
			return false
		}
		b = b[min(frameHead+length, len(b)):]
	}
}

func frameLength(b []byte) int { return int(b[0])<<16 | int(b[1])<<8 | int(b[2]) }

// frameHeader reads the header of a frame, which is shown as far as it is defined.
func (h *half) frameHeader() {
	b := h.unit.join()
	n, stream := frameLength(b), binary.BigEndian.Uint32(b[5:])&^(1<<31)
	if h.typ, h.flags = b[3], b[4]; !isShort(stream) || n >= 1<<20 {
		h.lose()
		h.loseTable()
		return
	}
	out := make([]byte, frameHead)
	copy(out, b[:3])
	binary.BigEndian.PutUint32(out[5:], stream)
	if out[3] = h.typ; int(h.typ) < len(defined) {
		out[4] = h.flags & defined[h.typ]
	} else {
		out[3] = 0xff // all that are not known are ignored alike (RFC 9113 §4.1)
	}
	if h.unit.write(out); len(h.block) > 0 && h.typ != frameContinuation {
		h.loseTable() // a header block that does not end
	}
	switch h.typ {
	case frameHeaders, frameReset, frameSettings, framePush, frameGoAway, frameWindow, frameContinuation:
		if n > 0 && n <= maxUnit {
			h.state, h.left = h2Payload, uint64(n)
			return
		}
	}
	h.skip(uint64(n), h2Header)
}

// framePayload masks the payload of a frame.
func (h *half) framePayload() {
	h.enter(h2Header)
	b := h.unit.join()
	out := make([]byte, len(b))
	number := func(at int) { // of a stream, an error, a window
		if at+4 > len(b) {
			return
		}
		if n := binary.BigEndian.Uint32(b[at:]); isShort(n) || n == 1<<31-1 {
			copy(out[at:], b[at:at+4])
		}
	}
	switch h.typ {
	case frameReset, frameWindow:
		number(0)
	case frameGoAway:
		number(0)
		number(4)
	case frameSettings:
		for i := 0; i+6 <= len(b); i += 6 {
			if id := binary.BigEndian.Uint16(b[i:]); id >= 1 && id <= 9 {
				out[i+1] = b[i+1]
				number(i + 2)
			}
		}
	default:
		h.fragment(b)
		return
	}
	h.unit.write(out)
}

// fragment adds to the header block what a frame has of it, and masks it where it ends.
func (h *half) fragment(b []byte) {
	skip, pad := 0, 0
	if h.typ == frameContinuation {
		h.holed = h.holed || len(h.block) == 0 // what it continues was not captured
	} else {
		if h.flags&flagPadded != 0 {
			skip, pad = 1, int(b[0])
		}
		switch {
		case h.typ == framePush:
			skip += 4
		case h.flags&flagPriority != 0:
			skip += 5
		}
	}
	if len(b) < skip+pad || h.block.size()+len(b) > maxUnit {
		h.unit.write(nil)
		h.holed = true
	} else {
		first := h.unit.take(skip)
		first.write(b[:min(skip, int(h.flags&flagPadded)/flagPadded)]) // how much padding there is
		part := h.unit.take(len(b) - skip - pad)
		h.block = append(h.block, part...)
		h.unit.write(nil)
	}
	if h.flags&flagEndHeaders == 0 {
		return
	}
	if h.holed {
		h.holed = false
		h.loseTable()
		return
	}
	if len(h.block) > 0 {
		h.block.write(h.hpack(h.block.join()))
	}
}

// hpack masks a header block representation by representation, each by one of the same kind and
// length, so that who decodes it has the same table with other words (RFC 7541 §6).
func (h *half) hpack(b []byte) []byte {
	out := make([]byte, len(b))
	r := reader{b: b}
	for r.at < len(b) && !r.bad {
		c, from := b[r.at], r.at
		switch {
		case c&0x80 != 0:
			r.number(7)
			r.show(out, from)
			continue
		case c&0xe0 == 0x20:
			if n := r.number(5); !r.bad {
				h.most = int(min(n, maxTable))
				h.evict()
			}
			r.show(out, from)
			continue
		}
		bits := 4
		if c&0x40 != 0 {
			bits = 6
		}
		index := r.number(bits)
		r.show(out, from)
		e := h.entry(index)
		if index == 0 {
			name := r.text(out, func(o, v []byte) {
				if names()[string(v)] {
					copy(o, v)
				} else {
					h.conn.t.key.letters(o, v)
				}
			})
			if e.octets, e.size = len(name), len(name)+entryCost; names()[name] {
				e.name = name
			}
		}
		value := r.text(out, func(o, v []byte) { h.conn.t.key.value(o, e.name, v) })
		e.size += len(value)
		if c&0x40 != 0 && !r.bad {
			h.insert(e)
		}
	}
	if r.bad {
		h.loseTable() // what it had to put there is not known
	}
	return out
}

// entryCost is what an entry counts besides its octets (RFC 7541 §4.1).
const entryCost = 32

// static are the names of the static table (RFC 7541 appendix A), from 1 on.
var static = sync.OnceValue(func() *[62]string {
	var of [62]string
	i := 0
	d := hpack.NewDecoder(0, func(f hpack.HeaderField) { of[i] = f.Name })
	for i = 1; i < len(of); i++ {
		if _, err := d.Write([]byte{0x80 | byte(i)}); err != nil {
			panic(err)
		}
	}
	return &of
})

// entry is the one with an index: its name, and what that counts.
func (h *half) entry(index uint64) entry {
	static := static()
	if index < uint64(len(static)) {
		return entry{static[index], len(static[index]), len(static[index]) + entryCost}
	}
	if i := index - uint64(len(static)); i < uint64(len(h.table)) {
		e := h.table[len(h.table)-1-int(i)]
		e.size = e.octets + entryCost
		return e
	}
	return entry{size: entryCost}
}

// insert adds an entry to the table.
func (h *half) insert(e entry) {
	if h.conn.t.room < e.size {
		h.forget()
		return
	}
	h.table = append(h.table, e)
	h.size += e.size
	h.conn.t.room -= e.size
	h.evict()
}

// evict removes the oldest entries, as many as are too many.
func (h *half) evict() {
	n := 0
	for h.size > h.most {
		h.size -= h.table[n].size
		h.conn.t.room += h.table[n].size
		n++
	}
	h.table = h.table[n:]
}

// reader reads a header block.
type reader struct {
	b   []byte
	at  int
	bad bool // it makes no sense from there on
}

// show shows what was read since an offset.
func (r *reader) show(out []byte, from int) {
	if !r.bad {
		copy(out[from:r.at], r.b[from:r.at])
	}
}

// number reads an integer whose prefix has so many bits (RFC 7541 §5.1).
func (r *reader) number(bits int) uint64 {
	if r.at >= len(r.b) {
		r.bad = true
		return 0
	}
	mask := uint64(1)<<bits - 1
	v := uint64(r.b[r.at]) & mask
	if r.at++; v < mask {
		return v
	}
	for shift := 0; shift <= 28 && r.at < len(r.b); shift += 7 {
		c := r.b[r.at]
		r.at++
		if v += uint64(c&0x7f) << shift; c&0x80 == 0 {
			return v
		}
	}
	r.bad = true
	return 0
}

// text reads a string (RFC 7541 §5.2) and lets mask fill in what is seen of it. What is not the
// same then is written without Huffman's code, in as many octets.
func (r *reader) text(out []byte, mask func(out, v []byte)) string {
	from := r.at
	n := r.number(7)
	if r.bad || n > uint64(len(r.b)-r.at) {
		r.bad = true
		return ""
	}
	head := r.at
	raw := r.b[head : head+int(n)]
	v, coded := raw, r.b[from]&0x80 != 0
	if coded {
		s, err := hpack.HuffmanDecodeToString(raw)
		if err != nil {
			r.bad = true
			return ""
		}
		v = []byte(s)
	}
	r.at += int(n)
	o := make([]byte, len(v))
	mask(o, v)
	r.show(out, from)
	if coded && string(o) != string(v) {
		out[from] &^= 0x80
		for len(o) < len(raw) {
			o = append(o, 'x')
		}
	} else if coded {
		o = raw
	}
	copy(out[head:r.at], o)
	return string(v)
}
