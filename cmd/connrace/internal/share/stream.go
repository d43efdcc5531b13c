package share

import "connrace/tcpstate"

// maxConns bounds the connections that are followed: those of the newest so many, and of as many
// before. The payload of one that was forgotten begins anew.
const maxConns = 1 << 15

// table are the connections by their endpoints.
type table struct {
	key      *secret
	now, old map[ends]*conn
	room     int // for what HPACK tables of all connections hold
}

type ends struct{ a, b tcpstate.Endpoint }

func newTable(k *secret) *table {
	return &table{key: k, now: map[ends]*conn{}, room: 64 << 20}
}

// conn is a connection: what its sides speak, and what one has to know of the other.
type conn struct {
	t    *table
	half [2]half
	// proto is what its first known octets were of.
	proto protocol
	asked requests
}

type protocol uint8

const (
	unknown protocol = iota
	http1
	http2
	tls
	turns
)

// add gives a packet to its connection.
func (t *table) add(p *packet) {
	s := &p.seg
	e, dir := ends{s.Src, s.Dst}, 0
	if a, b := s.Src, s.Dst; a.Addr.Hi > b.Addr.Hi || a.Addr.Hi == b.Addr.Hi && (a.Addr.Lo > b.Addr.Lo || a.Addr.Lo == b.Addr.Lo && a.Port > b.Port) {
		e, dir = ends{b, a}, 1
	}
	c := t.now[e]
	if c == nil {
		if c = t.old[e]; c != nil {
			delete(t.old, e)
		} else {
			c = &conn{t: t}
			c.reset()
		}
		if len(t.now) == maxConns {
			for _, o := range t.old {
				o.reset()
			}
			t.old, t.now = t.now, map[ends]*conn{}
		}
		t.now[e] = c
	}
	if s.Flags&tcpstate.SYN != 0 {
		c.syn(dir, s)
	}
	c.half[dir].packet(p)
}

// syn begins a connection, unless the SYN is a copy of the one that did.
func (c *conn) syn(dir int, s *tcpstate.Segment) {
	next := s.Seq.Add(1)
	if h := &c.half[dir]; h.set && h.isn == next {
		return
	}
	if s.Flags&tcpstate.ACK == 0 {
		c.reset()
	}
	h := &c.half[dir]
	h.reset(c)
	h.next, h.isn, h.set = next, next, true
}

// reset forgets what is known of the connection.
func (c *conn) reset() {
	c.proto, c.asked = unknown, c.asked[:0]
	for i := range c.half {
		c.half[i].reset(c)
	}
}

// reset forgets what is known of one direction.
func (h *half) reset(c *conn) {
	h.release()
	h.conn = c
	h.forget()
	*h = half{conn: c, frames: frames{most: defaultTable}}
}

// half is one direction of a connection: its octets in order, cut into units, each of which is
// masked by what it is.
type half struct {
	next, isn tcpstate.Seq
	set       bool // next is known
	waiting   []*packet
	conn      *conn

	state state
	left  uint64 // octets to skip, or of the unit
	unit  spans
	after state // where skipping, or a unit, leads to
	long  bool  // the line at hand is too long
	message
	frames
}

// maxWaiting is how many segments wait for the one before them.
const maxWaiting = 16

// packet takes the half's next packet in the order of the capture.
func (h *half) packet(p *packet) {
	if len(p.raw) == 0 && p.seg.Len == 0 {
		return
	}
	p.half = h
	if !h.set {
		h.next, h.set = p.start(), true
	}
	if p.start().After(h.next) {
		p.holds++
		if h.waiting = append(h.waiting, p); len(h.waiting) > maxWaiting {
			h.skipHole()
		}
		return
	}
	h.take(p)
	h.catchUp()
}

// start is the number of a packet's first octet of payload.
func (p *packet) start() tcpstate.Seq {
	if p.seg.Flags&tcpstate.SYN != 0 {
		return p.seg.Seq.Add(1)
	}
	return p.seg.Seq
}

// take reads the octets of a packet that are new. Of a packet that has none, which was sent again
// or comes late, what it begins with is read as if nothing else were known; what else was there
// before stays zeros, for it may be others now.
func (h *half) take(p *packet) {
	off := int64(h.next.Sub(p.start()))
	if off >= int64(p.seg.Len) {
		if b := p.raw; h.conn.proto != http2 && (beginsRequest(b) || beginsAnswer(b) || isRecord(b)) {
			c := &conn{t: h.conn.t}
			c.reset()
			c.half[0].recognise(p)
			c.half[0].read(p, 0)
			c.reset()
		}
		return
	}
	h.next = p.start().Add(p.seg.Len)
	if off > 0 || !h.recognise(p) {
		h.read(p, int(min(off, int64(len(p.raw)))))
	}
	if n := int64(p.seg.Len) - max(off, int64(len(p.raw))); n > 0 {
		h.missing(uint64(n))
	}
}

// catchUp takes the packets whose turn it is now.
func (h *half) catchUp() {
	for again := true; again; {
		again = false
		for i, p := range h.waiting {
			if p.start().AtOrBefore(h.next) {
				h.waiting = append(h.waiting[:i], h.waiting[i+1:]...)
				p.holds--
				h.take(p)
				again = true
				break
			}
		}
	}
}

// skipHole gives up to wait for the octets before the first packet that waits.
func (h *half) skipHole() {
	first := h.waiting[0]
	for _, p := range h.waiting[1:] {
		if p.start().Before(first.start()) {
			first = p
		}
	}
	h.missing(uint64(first.start().Sub(h.next)))
	h.next = first.start()
	h.catchUp()
}

// release decides all that is not decided: nothing waits any more.
func (h *half) release() {
	for len(h.waiting) > 0 {
		h.skipHole()
	}
	h.giveUp()
}

// span is a part of a packet's payload.
type span struct {
	p        *packet
	from, to int
}

// spans are octets that belong together, from one packet or more.
type spans []span

// maxUnit is how many octets wait for the rest of what they belong to.
const maxUnit = 64 << 10

func (u *spans) add(p *packet, from, to int) {
	p.holds++
	*u = append(*u, span{p, from, to})
}

func (u spans) size() (n int) {
	for _, s := range u {
		n += s.to - s.from
	}
	return n
}

// join are the octets, as they were captured.
func (u spans) join() []byte {
	if len(u) == 1 {
		return u[0].p.raw[u[0].from:u[0].to]
	}
	var b []byte
	for _, s := range u {
		b = append(b, s.p.raw[s.from:s.to]...)
	}
	return b
}

// write decides how the octets are seen; nil: as zeros.
func (u *spans) write(b []byte) {
	for _, s := range *u {
		if b != nil {
			b = b[copy(s.p.out[s.from:s.to], b):]
		}
		s.p.holds--
	}
	*u = (*u)[:0]
}

// take moves the first n octets to another row.
func (u *spans) take(n int) (first spans) {
	for n > 0 && len(*u) > 0 {
		s := &(*u)[0]
		k := min(n, s.to-s.from)
		first.add(s.p, s.from, s.from+k)
		n -= k
		if s.from += k; s.from == s.to {
			s.p.holds--
			*u = (*u)[1:]
		}
	}
	return first
}
