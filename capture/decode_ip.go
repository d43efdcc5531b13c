package capture

import (
	"encoding/binary"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"connrace/tcpstate"
)

const (
	ip4Fixed = 20
	ip6Fixed = 40
)

// ip decodes a packet that is IPv4 or IPv6 by its first nibble.
func (d *Decoder) ip(o view) {
	if !o.has(1) {
		d.why = shortIP
		return
	}
	switch o.b[0] >> 4 {
	case 4:
		d.ipv4(o)
	case 6:
		d.ipv6(o)
	default:
		d.why = badIP
	}
}

// ipv4 decodes an IPv4 packet (RFC 791).
func (d *Decoder) ipv4(o view) {
	if !d.deeper() {
		return
	}
	if !o.has(ip4Fixed) {
		d.why = shortIP
		return
	}
	hlen := int(o.b[0]&0xf) * 4
	total := int(o.u16(2))
	if total == 0 {
		total = o.wire // TCP segmentation offload: written before the length is known
	}
	if hlen < ip4Fixed || total < hlen {
		d.why = badIP
		return
	}
	if !o.has(hlen) {
		d.why = shortIP
		return
	}
	h := &d.ip4
	_ = h.DecodeFromBytes(o.b, gopacket.NilDecodeFeedback) // it can fail in the options only
	d.why = notTCP
	d.outer.src = tcpstate.Addr4(h.SrcIP)
	d.outer.dst = tcpstate.Addr4(h.DstIP)
	if hop := sourceRoute(o.b[ip4Fixed:hlen]); hop != nil {
		d.outer.dst = tcpstate.Addr4(hop)
	}
	d.outer.ipID, d.outer.ttl = h.Id, h.TTL
	proto, off, more := uint8(h.Protocol), int(h.FragOffset)*8, h.Flags&layers.IPv4MoreFragments != 0

	o, _ = o.first(total).from(hlen)
	d.outer.fragment = more // unless what follows can put it together
	if off > 0 || more {
		if n := total - hlen; n > 0 && o.has(n) {
			whole := d.reasms.add(d.fragmentKey4(proto), off, o.b[:n], more)
			if whole == nil {
				d.why = fragment
				return
			}
			o = view{whole, len(whole)}
			d.outer.fragment = false
		} else if off > 0 {
			d.why = fragment
			return
		}
	}
	if o.wire > 0 {
		d.ipProto(proto, o)
	}
}

// sourceRoute returns the last address of a source route that is not used up: the packet's
// final destination (RFC 791 §3.1).
func sourceRoute(b []byte) []byte {
	const loose, strict = 131, 137
	for len(b) > 0 && b[0] != 0 {
		if b[0] == 1 {
			b = b[1:]
			continue
		}
		if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
			return nil
		}
		n := int(b[1])
		if b[0] == loose || b[0] == strict {
			if n < 7 {
				return nil
			}
			if ptr := int(b[2]); ptr < 4 || ptr&3 != 0 || ptr > n {
				return nil
			}
			return b[n-4 : n]
		}
		b = b[n:]
	}
	return nil
}

// ipv6 decodes an IPv6 packet (RFC 8200). gopacket's decoder is not used: it allocates for
// the options of a hop-by-hop header and refuses a length of 0.
func (d *Decoder) ipv6(o view) {
	if !d.deeper() {
		return
	}
	if !o.has(ip6Fixed) {
		d.why = shortIP
		return
	}
	if o.b[0]>>4 != 6 {
		d.why = badIP
		return
	}
	d.why = notTCP
	next, size := o.b[6], int(o.u16(4))
	d.outer.src = tcpstate.Addr16(o.b[8:])
	d.outer.dst = tcpstate.Addr16(o.b[24:])
	d.outer.ipID, d.outer.ttl = 0, o.b[7]

	o, _ = o.from(ip6Fixed)
	d.outer.fragLen = size
	switch {
	case size > 0:
	case next == protoHopByHop:
		size = jumbo(o.b)
	case next == protoTCP:
		size = o.wire // segmentation offload, as for IPv4
	}
	d.ipProto(next, o.first(size))
}

// jumbo returns the length that a jumbo payload option gives (RFC 2675 §2), or 0.
func jumbo(b []byte) int {
	const pad1, option = 0, 0xc2
	if len(b) < 2 {
		return 0
	}
	b = b[2:min(len(b), int(b[1])*8+8)]
	for len(b) >= 6 {
		if b[0] == pad1 {
			b = b[1:]
			continue
		}
		n := int(b[1])
		if b[0] == option && n == 4 {
			if v := binary.BigEndian.Uint32(b[2:]); v > 0xffff {
				return int(v)
			}
			return 0
		}
		b = b[min(2+n, len(b)):]
	}
	return 0
}

// IP protocol numbers that lead to TCP.
const (
	protoHopByHop = 0
	protoICMP     = 1
	protoIPIP     = 4
	protoTCP      = 6
	protoUDP      = 17
	protoIPv6     = 41
	protoRouting  = 43
	protoFragment = 44
	protoGRE      = 47
	protoESP      = 50
	protoAH       = 51
	protoICMPv6   = 58
	protoDstOpts  = 60
	protoEtherIP  = 97
	protoPIM      = 103
	protoIPComp   = 108
	protoL2TP     = 115
	protoUDPLite  = 136
	protoMPLS     = 137
	protoShim6    = 140
	protoEthernet = 143
)

// ipProto decodes what an IP header announces as protocol or next header p.
func (d *Decoder) ipProto(p uint8, o view) {
	if !d.deeper() {
		return
	}
	switch p {
	case protoTCP:
		d.segment(o)
	case protoUDP, protoUDPLite:
		d.datagram(o)
	case protoICMP:
		d.icmp(o)
	case protoICMPv6:
		d.icmpv6(o)
	case protoIPIP:
		d.ip(o)
	case protoIPv6:
		d.ipv6(o)
	case protoHopByHop, protoDstOpts, protoShim6:
		d.extension(o, 8)
	case protoRouting:
		d.routing(o)
	case protoFragment:
		d.fragment6(o)
	case protoAH:
		d.extension(o, 4)
	case protoESP:
		d.why = encrypted
	default:
		d.tunnel(p, o)
	}
}

// extension skips an extension header whose length field counts units: of 8 bytes without
// the first 8 (RFC 8200 §4.3), or, in AH, of 4 bytes without the first 8 (RFC 4302 §2.2).
func (d *Decoder) extension(o view, unit int) {
	if !o.has(2) {
		d.why = shortIP
		return
	}
	next, size := o.b[0], int(o.b[1])*unit+8
	o, ok := o.from(size)
	if !ok {
		d.why = shortIP
		return
	}
	d.outer.fragLen = max(d.outer.fragLen-size, 0)
	d.ipProto(next, o)
}

// routing skips a routing header (RFC 8200 §4.4). If it has segments left, its final
// destination is the connection's.
func (d *Decoder) routing(o view) {
	const type0, mobile, segment = 0, 2, 4 // RFC 5095, RFC 6275 §6.4, RFC 8754
	if size := 8; o.has(size) && o.b[3] > 0 && !d.outer.dst.Is4() {
		size += int(o.b[1]) * 8
		switch {
		case o.b[2] == segment && o.has(24):
			d.outer.dst = tcpstate.Addr16(o.b[8:])
		case (o.b[2] == type0 || o.b[2] == mobile) && size >= 24 && o.has(size):
			d.outer.dst = tcpstate.Addr16(o.b[8+(size-24)&^15:])
		}
	}
	d.extension(o, 8)
}

// fragment6 decodes an IPv6 fragment header (RFC 8200 §4.5).
func (d *Decoder) fragment6(o view) {
	const size = 8
	if !o.has(size) {
		d.why = shortIP
		return
	}
	next, off, more := o.b[0], int(o.u16(2)&^7), o.b[3]&1 != 0
	id := o.u32(4)
	o, _ = o.from(size)
	n := d.outer.fragLen - size
	d.outer.fragLen = max(n, 0)
	if n > 0 && (off > 0 || more) {
		var whole []byte
		if o.has(n) {
			whole = d.reasms.add(fragmentKey{src: d.outer.src, dst: d.outer.dst, id: id, v6: true}, off, o.b[:n], more)
		}
		if whole == nil {
			d.why = fragment
			return
		}
		o = view{whole, len(whole)}
		d.outer.fragLen = 0
	}
	d.ipProto(next, o)
}
