package capture

import (
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"connrace/tcpstate"
)

// datagram decodes a UDP header. UDP-Lite (RFC 3828) has the same, with a checksum coverage
// in place of the length.
func (d *Decoder) datagram(o view) {
	const size = 8
	rest, ok := o.from(size)
	if !ok {
		return
	}
	n := int(o.u16(4))
	if n < size && (n != 0 || d.outer.src.Is4()) { // 0 is a jumbogram's: RFC 2675 §4
		return
	}
	_ = d.udp.DecodeFromBytes(o.b, gopacket.NilDecodeFeedback)
	if n != 0 {
		rest = rest.first(n - size)
	}
	src, dst := uint16(d.udp.SrcPort), uint16(d.udp.DstPort)
	// The lower port is likelier to be the well-known one (decode_udp_ports in Wireshark's
	// packet-udp.c).
	if !d.port(min(src, dst), rest) {
		d.port(max(src, dst), rest)
	}
}

// port decodes what a UDP port carries that has packets in it; false where it is not known
// for that.
func (d *Decoder) port(p uint16, o view) bool {
	switch p {
	case 1701:
		return d.l2tp(o)
	case 2123, 2152, 3386:
		return d.gtp(o)
	case 2268:
		d.amt(o)
	case 3544:
		d.teredo(o)
	case 4341:
		d.lisp(o)
	case 4754:
		d.gre(o)
	case 4789:
		d.vxlan(o)
	case 4790:
		d.vxlanGPE(o)
	case 5072:
		d.ayiya(o)
	case 5247:
		d.capwap(o)
	case 6081:
		d.geneve(o)
	case 6343:
		return d.sflow(o)
	case 6635:
		d.mpls(o)
	case 12220:
		d.ethernet(o)
	case 30030:
		if rest, ok := o.from(8); ok && rest.has(1) { // mirrored by Juniper's routers
			d.ip(rest)
		}
	case 37008:
		d.tzsp(o)
	default:
		return false
	}
	return true
}

// vxlan decodes a VXLAN header (RFC 7348 §5).
func (d *Decoder) vxlan(o view) {
	if rest, ok := o.from(8); ok {
		d.ethernet(rest)
	}
}

// vxlanGPE decodes a VXLAN header that names the next protocol
// (draft-ietf-nvo3-vxlan-gpe §3).
func (d *Decoder) vxlanGPE(o view) {
	if rest, ok := o.from(8); ok {
		d.nextProtocol(o.b[3], rest)
	}
}

// geneve decodes a Geneve header (RFC 8926 §3.4). gopacket's keeps appending options.
func (d *Decoder) geneve(o view) {
	const size = 8
	if !o.has(size) {
		return
	}
	t := o.u16(2)
	if rest, ok := o.from(size + int(o.b[0]&0x3f)*4); ok {
		d.etherType(layers.EthernetType(t), rest)
	}
}

// gtp decodes a GTP header of version 0 or 1 (3GPP TS 29.060 §6, TS 29.281 §5.1) and the
// user packet behind it. gopacket's reads beyond the end of short ones.
func (d *Decoder) gtp(o view) bool {
	const (
		tpdu                 = 0xff
		notPrime             = 0x10
		extension, any       = 0x04, 0x07
		size0, size1, option = 20, 8, 4
	)
	if !o.has(4) || o.b[0]>>5 > 1 || o.b[0]&notPrime == 0 || o.b[1] != tpdu {
		return false
	}
	flags, size := o.b[0], size1
	if flags>>5 == 0 {
		size = size0
	}
	o = o.first(size + int(o.u16(2)))
	if flags>>5 == 1 && flags&any != 0 {
		size += option
		for more := flags&extension != 0; more; {
			if !o.has(size + 1) {
				return true
			}
			if o.b[size-1] == 0 {
				break
			}
			n := int(o.b[size]) * 4
			if n == 0 {
				return true
			}
			size += n
		}
	}
	if rest, ok := o.from(size); ok && rest.has(1) {
		d.tpdu(rest)
	}
	return true
}

// tpdu tells by its first bytes what a GTP user packet is.
func (d *Decoder) tpdu(o view) {
	switch first := o.b[0]; {
	case first >= 0x45 && first <= 0x4e || first>>4 == 6:
		d.ip(o)
	case o.has(macHeader + 1):
		switch layers.EthernetType(o.u16(12)) {
		case layers.EthernetTypeIPv4, layers.EthernetTypeIPv6:
			d.ethernet(o)
		}
	}
}

// l2tp decodes a data message of version 2 (RFC 2661 §3.1). Those of version 3 tell nothing
// of what they carry.
func (d *Decoder) l2tp(o view) bool {
	const control, length, sequence, offset, version = 0x8000, 0x4000, 0x0800, 0x0200, 0x0f
	if !o.has(2) || o.u16(0)&version != 2 {
		return o.has(2) && o.u16(0)&version == 3
	}
	flags, size := o.u16(0), 2
	if flags&control != 0 {
		return true
	}
	if flags&length != 0 {
		if !o.has(4) {
			return true
		}
		o = o.first(int(o.u16(2)))
		size += 2
	}
	size += 4
	if flags&sequence != 0 {
		size += 4
	}
	if flags&offset != 0 {
		if !o.has(size + 2) {
			return true
		}
		size += 2 + int(o.u16(size))
	}
	if rest, ok := o.from(size); ok && rest.has(1) {
		d.pppHDLC(rest)
	}
	return true
}

// teredo decodes IPv6 in UDP behind the indicators of RFC 4380 §5.1.1.
func (d *Decoder) teredo(o view) {
	const authentication, origin = 1, 0
	ok := true
	if o.has(4) && o.u16(0) == authentication {
		o, ok = o.from(13 + int(o.b[2]) + int(o.b[3]))
	}
	if o.has(2) && o.u16(0) == origin {
		o, ok = o.from(8)
	}
	if ok && o.has(1) {
		d.ipv6(o)
	}
}

// lisp decodes a LISP data header (RFC 9300 §5.1).
func (d *Decoder) lisp(o view) {
	if rest, ok := o.from(8); ok && rest.has(1) {
		d.ip(rest)
	}
}

// amt decodes multicast data of an AMT tunnel (RFC 7450 §5.1.6).
func (d *Decoder) amt(o view) {
	const query, update, data = 4, 5, 6
	if !o.has(1) {
		return
	}
	size := 12
	switch o.b[0] {
	case query, update:
	case data:
		size = 2
	default:
		return
	}
	if rest, ok := o.from(size); ok && rest.has(1) {
		d.ip(rest)
	}
}

// ayiya decodes IPv6 of an AYIYA tunnel (draft-massar-v6ops-ayiya-02 §5).
func (d *Decoder) ayiya(o view) {
	const forward = 1
	if !o.has(4) || o.b[2]&0xf != forward {
		return
	}
	next := o.b[3]
	if rest, ok := o.from(8 + 1<<(o.b[0]>>4) + int(o.b[1]>>4)*4); ok {
		d.ipProto(next, rest)
	}
}

// capwap decodes a CAPWAP data header (RFC 5415 §4.3) that is not encrypted and not a
// fragment.
func (d *Decoder) capwap(o view) {
	const (
		dtls                     = 1
		native, split, keepAlive = 0x01, 0x80, 0x08
		ieee80211                = 1
	)
	if !o.has(8) {
		return
	}
	if o.b[0]&0xf == dtls {
		d.why = encrypted
		return
	}
	size := int(o.b[1]>>3) * 4
	binding := o.b[2] >> 1 & 0x1f
	rest, ok := o.from(size)
	if !ok || o.b[3]&(split|keepAlive) != 0 {
		return
	}
	switch {
	case o.b[2]&native == 0:
		d.ethernet(rest)
	case binding == ieee80211:
		d.wlan(rest, wlanSwapped)
	}
}

// tzsp decodes the TaZmen Sniffer Protocol, which mirrors frames.
func (d *Decoder) tzsp(o view) {
	const null, port, pad, end = 3, 4, 0, 1
	if !o.has(4) || o.b[1] == null || o.b[1] == port {
		return
	}
	t := o.u16(2)
	o, _ = o.from(4)
	for o.has(1) && o.b[0] != end {
		n := 1
		if o.b[0] != pad {
			if !o.has(2) {
				return
			}
			n = 2 + int(o.b[1])
		}
		var ok bool
		if o, ok = o.from(n); !ok {
			return
		}
	}
	o, ok := o.from(1)
	if !ok || !d.deeper() {
		return
	}
	switch t {
	case 1:
		d.ethernet(o)
	case 2:
		d.tokenRing(o)
	case 4:
		d.ppp(o)
	case 5:
		d.fddi(o)
	case 7:
		d.raw(o)
	case 18:
		d.wlan(o, wlanPlain)
	case 119:
		d.prism(o)
	case 126:
		d.radiotap(o)
	case 127:
		d.avs(o)
	}
}

// sflow decodes the packet headers in an sFlow datagram (sFlow Version 5, 2004). They are
// samples: no lengths can be had from them.
func (d *Decoder) sflow(o view) bool {
	const ip4, ip6, samples = 1, 2, 255
	if !o.has(8) {
		return false
	}
	v := o.u32(0)
	if v != 2 && v != 4 && v != 5 || o.u32(4) > ip6 {
		return false
	}
	size := 8
	switch o.u32(4) {
	case ip4:
		size += 4
	case ip6:
		size += 16
	}
	if v == 5 {
		size += 4 // sub-agent
	}
	size += 8 // sequence number, uptime
	if !o.has(size+4) || v != 5 {
		return true
	}
	count := o.u32(size) & samples
	o, _ = o.from(size + 4)
	around := d.outer
	for ; count > 0 && o.has(8); count-- {
		format, n := o.u32(0), int(o.u32(4))
		o, _ = o.from(8)
		d.sample(format, o.first(n))
		d.outer = around
		var ok bool
		if o, ok = o.from(n); !ok {
			break
		}
	}
	return true
}

// sample decodes one sample of an sFlow datagram.
func (d *Decoder) sample(format uint32, o view) {
	const flow, expanded, records = 1, 3, 255
	size := 0
	switch format {
	case flow:
		size = 32
	case expanded:
		size = 44
	default:
		return
	}
	if !o.has(size) {
		return
	}
	count := o.u32(size-4) & records
	o, _ = o.from(size)
	around := d.outer
	for ; count > 0 && o.has(8); count-- {
		format, n := o.u32(0), int(o.u32(4))
		o, _ = o.from(8)
		if format == flow {
			d.sampled(o.first(n))
			d.outer = around
		}
		var ok bool
		if o, ok = o.from(n); !ok {
			return
		}
	}
}

// sampled decodes the beginning of a packet.
func (d *Decoder) sampled(o view) {
	const ethernet, ppp, ip4, ip6, mpls, wlan = 1, 7, 11, 12, 13, 15
	const size = 16
	if !o.has(size) {
		return
	}
	protocol, length, n := o.u32(0), int(o.u32(4)), int(o.u32(12))
	o, _ = o.from(size)
	n = (n + 3) &^ 3
	if n < 0 || n > len(o.b) {
		return
	}
	o = view{o.b[:n], max(n, length)}
	d.outer.excerpt = true
	d.outer.src, d.outer.dst = tcpstate.Addr{}, tcpstate.Addr{}
	switch protocol {
	case ethernet:
		d.ethernet(o)
	case ppp:
		d.pppHDLC(o)
	case ip4:
		d.ip(o)
	case ip6:
		d.ipv6(o)
	case mpls:
		d.mpls(o)
	case wlan:
		d.wlan(o, wlanPlain)
	}
}
