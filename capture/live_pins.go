package capture

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
)

// pins remember for each direction of a flow on which interface, and in which direction, it
// was seen first, so that a packet that crosses several interfaces (a VLAN, a bridge, a
// bond, a router's two sides) is delivered once. It is a cache of fixed size: a flow that
// falls out is pinned anew.
type pins struct {
	seed    [2]uint64
	buckets []pinBucket
}

type pinBucket [8]pin

type pin struct {
	key   uint64 // of the flow's direction; 0: free
	where uint32
	seen  uint32 // ms
}

const (
	pinBuckets = 1 << 14
	// pinAge, in ms, is how long an interface may show nothing of a flow before another one
	// replaces it: longer than a packet waits between two interfaces of one host. A judgement;
	// queues of a host hold milliseconds, a route changes in seconds.
	pinAge = 1000
)

func newPins() *pins {
	return &pins{
		seed:    [2]uint64{rand.Uint64() | 1, rand.Uint64() | 1},
		buckets: make([]pinBucket, pinBuckets),
	}
}

// isCopy reports whether f is a packet that was delivered from another interface.
func (p *pins) isCopy(f *Frame) bool {
	key := p.key(f)
	if key == 0 {
		return false
	}
	where := f.Interface<<2 | uint32(f.Direction)
	now := uint32(f.Time / 1_000_000)
	b := &p.buckets[key>>32%pinBuckets]
	oldest := 0
	for i := range b {
		e := &b[i]
		if e.key == key {
			if e.where != where {
				if age := int32(now - e.seen); age > -pinAge && age < pinAge {
					return true
				}
				e.where = where
			}
			e.seen = now
			return false
		}
		if e.key == 0 {
			oldest = i
			break
		}
		if int32(e.seen-b[oldest].seen) < 0 {
			oldest = i
		}
	}
	b[oldest] = pin{key, where, now}
	return false
}

// key hashes the addresses and, where the packet shows them, the ports. It is 0 for what
// is not IP.
func (p *pins) key(f *Frame) uint64 {
	const (
		sllPayload  = 20
		ports4      = 4
		fragments   = 0x3fff // more fragments, or an offset
		destination = 24
	)
	b, off, t := f.Data, sllPayload, uint16(0)
	if f.LinkType == LinkEthernet {
		off = macHeader
		for t = be16(b, off-2); t == ethPVLAN || t == ethPServiceTag || t == ethPQinQOld; t = be16(b, off-2) {
			off += 4
		}
	} else {
		t = be16(b, 0)
	}
	switch {
	case t == ethPIP && len(b) >= off+ip4Fixed:
		b = b[off:]
		ports := uint32(0)
		if n := int(b[0]&0xf) * 4; b[9] == protoTCP && be16(b, 6)&fragments == 0 && len(b) >= n+ports4 {
			ports = binary.BigEndian.Uint32(b[n:])
		}
		return p.mix(binary.BigEndian.Uint64(b[12:]), uint64(ports))
	case t == ethPIPv6 && len(b) >= off+ip6Fixed+ports4:
		b = b[off:]
		ports := uint32(0)
		if b[6] == protoTCP {
			ports = binary.BigEndian.Uint32(b[ip6Fixed:])
		}
		h := p.mix(binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[16:]))
		h = p.mix(h^binary.BigEndian.Uint64(b[destination:]), binary.BigEndian.Uint64(b[destination+8:]))
		return p.mix(h, uint64(ports))
	}
	return 0
}

// mix is a keyed hash of two words, never 0.
func (p *pins) mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^p.seed[0], b^p.seed[1])
	return hi ^ lo | 1
}

// be16 is the big-endian number at off, 0 where there is none.
func be16(b []byte, off int) uint16 {
	if len(b) < off+2 {
		return 0
	}
	return binary.BigEndian.Uint16(b[off:])
}
