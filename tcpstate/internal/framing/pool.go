package framing

// carrySize is how much of an unfinished line is kept. The field values that matter are
// much shorter; a longer line is followed to its end without being kept.
const carrySize = 254

// maxCarries bounds the lines kept at one time, 4 MB; beyond it sync is lost.
const maxCarries = 1 << 14

// Pool holds what directions keep of lines and headers that a segment's end has cut, and what
// is kept of HTTP/2 connections.
type Pool struct {
	bufs   []carry
	unused []uint16

	conns     []*http2 // [0] unused
	freeConns []uint32

	// HTTP2Room bounds what is kept of all HTTP/2 connections beside their own structures: tables,
	// header blocks, streams. Beyond it requests have no names, or are not followed. 0: no bound.
	HTTP2Room int64
	taken     int64 // of that
}

// Take takes room for n octets; false: there is none.
func (c *Pool) Take(n int) bool {
	if c.HTTP2Room > 0 && c.taken+int64(n) > c.HTTP2Room {
		return false
	}
	c.taken += int64(n)
	return true
}

// Give gives room back.
func (c *Pool) Give(n int) { c.taken -= int64(n) }

// Taken is how much room is taken.
func (c *Pool) Taken() int64 { return c.taken }

// keep appends octets to a buffer of a frame or a header block; false: there is no room.
func (c *Pool) keep(buf *[]byte, p []byte) bool {
	if len(*buf)+len(p) > maxBlock || !c.Take(slack*len(p)) {
		return false
	}
	*buf = append(*buf, p...)
	return true
}

// drop forgets such a buffer.
func (c *Pool) drop(buf *[]byte) {
	c.Give(slack * len(*buf))
	*buf = nil
}

// slack is how many times its length a slice may take that grows.
const slack = 2

type carry struct {
	n uint8
	b [carrySize]byte
}

// add keeps octets behind those of a handle, taking a new one if it is 0; false: there
// is no room for another.
func (c *Pool) add(h *uint16, p []byte) bool {
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
func (c *Pool) get(h uint16) []byte {
	b := &c.bufs[h-1]
	return b.b[:b.n]
}

// release gives a handle back.
func (c *Pool) release(h *uint16) {
	if *h != 0 {
		c.unused = append(c.unused, *h)
		*h = 0
	}
}

// Held is how many lines and headers are kept now.
func (c *Pool) Held() int { return len(c.bufs) - len(c.unused) }
