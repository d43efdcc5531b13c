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
	tables    int // of HPACK
}

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
