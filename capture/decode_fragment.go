package capture

import (
	"container/list"

	"connrace/tcpstate"
)

// fragmentKey identifies a datagram whose fragments are held.
type fragmentKey struct {
	src, dst tcpstate.Addr
	id       uint32
	v6       bool
}

// fragmentKey4 mixes what else belongs to the identity of an IPv4 datagram (RFC 791 §2.3,
// and its VLAN, where addresses can stand for different hosts) into the id, as Wireshark
// does in packet-ip.c.
func (d *Decoder) fragmentKey4(proto uint8) fragmentKey {
	e := &d.outer
	k := fragmentKey{src: e.src, dst: e.dst, id: uint32(e.ipID) ^ uint32(proto)}
	if local(e.src) || local(e.dst) {
		k.id ^= uint32(e.vlan)
	}
	return k
}

// local reports whether an IPv4 address can stand for different hosts in different VLANs.
func local(a tcpstate.Addr) bool {
	ip := a.Netip()
	return ip.IsPrivate() || ip.IsLinkLocalUnicast()
}

// Bounds of what is held of incomplete datagrams. When one is reached, the oldest datagram
// is given up. maxHeldBytes is 128 datagrams of the largest size: a judgement, generous for
// traffic whose fragments arrive together.
const (
	maxHeldBytes     = 8 << 20
	maxHeldFragments = 8192 // of one datagram: 64 KiB in pieces of 8
	pieceOverhead    = 64   // counted for each fragment beside its data
)

// reassembly puts fragmented datagrams together. Fragments may come in any order and more
// than once; where they overlap, the one that starts first counts, among equals the one
// that came first (fragment_add_work in Wireshark's epan/reassemble.c).
type reassembly struct {
	held  map[fragmentKey]*list.Element
	order list.List // of *datagramParts, the oldest first
	bytes int
}

// datagramParts is a datagram with fragments missing.
type datagramParts struct {
	key    fragmentKey
	pieces []piece // by offset
	size   int     // -1: the last fragment is missing
	bytes  int
}

type piece struct {
	off  int
	data []byte
}

// add notes a fragment and returns the datagram if that completes it, else nil. It copies
// data.
func (r *reassembly) add(k fragmentKey, off int, data []byte, more bool) []byte {
	e := r.held[k]
	if e == nil {
		if r.held == nil {
			r.held = make(map[fragmentKey]*list.Element)
		}
		e = r.order.PushBack(&datagramParts{key: k, size: -1})
		r.held[k] = e
	}
	p := e.Value.(*datagramParts)
	n := len(data) + pieceOverhead
	p.bytes += n
	r.bytes += n
	p.insert(piece{off, append([]byte(nil), data...)})
	if !more && p.size < 0 {
		p.size = off + len(data)
	}
	whole := p.assemble()
	if whole != nil || len(p.pieces) > maxHeldFragments {
		r.drop(e)
	}
	for r.bytes > maxHeldBytes {
		r.drop(r.order.Front())
	}
	return whole
}

func (r *reassembly) drop(e *list.Element) {
	p := r.order.Remove(e).(*datagramParts)
	delete(r.held, p.key)
	r.bytes -= p.bytes
}

// insert keeps the pieces sorted by offset, equals in the order they came.
func (p *datagramParts) insert(f piece) {
	i := len(p.pieces)
	for i > 0 && p.pieces[i-1].off > f.off {
		i--
	}
	p.pieces = append(p.pieces, piece{})
	copy(p.pieces[i+1:], p.pieces[i:])
	p.pieces[i] = f
}

// assemble returns the datagram if no byte of it is missing.
func (p *datagramParts) assemble() []byte {
	if p.size < 0 {
		return nil
	}
	end := 0
	for _, f := range p.pieces {
		if f.off <= end {
			end = max(end, f.off+len(f.data))
		}
	}
	if end < p.size {
		return nil
	}
	whole := make([]byte, 0, p.size)
	for _, f := range p.pieces {
		if have := len(whole) - f.off; have >= 0 && have < len(f.data) {
			whole = append(whole, f.data[have:min(len(f.data), p.size-f.off)]...)
		}
		if len(whole) == p.size {
			break
		}
	}
	return whole
}
