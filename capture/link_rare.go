package capture

import (
	"bytes"
	"encoding/binary"

	"github.com/google/gopacket/layers"

	"connrace/tcpstate"
)

// pflogOld decodes the header of OpenBSD's packet filter log before 2003.
func (d *Decoder) pflogOld(o view) {
	const header = 28
	if o.has(header) {
		d.family(o.u32(0), header, o)
	}
}

// snapHeader begins an LLC frame with a SNAP header.
const snapHeader = 0xaaaa03

// sunATM decodes a frame with a direction, a circuit and the kind of traffic
// (LINKTYPE_SUNATM).
func (d *Decoder) sunATM(o view) {
	const lane, llc = 1, 2
	if !d.need(o, 4) {
		return
	}
	switch rest, _ := o.from(4); o.b[0] & 0xf {
	case lane:
		d.behind(2, rest, (*Decoder).ethernet)
	case llc:
		d.logicalLink(rest)
	default:
		if rest.has(4) && rest.u32(0)>>8 == snapHeader {
			d.logicalLink(rest)
		}
	}
}

// ipoib decodes IP over InfiniBand behind a global routing header (RFC 4391 §6).
func (d *Decoder) ipoib(o view) {
	const route, header = 40, 4
	rest, ok := d.past(o, route+header)
	if !ok {
		return
	}
	switch t := layers.EthernetType(o.u16(route)); t {
	case layers.EthernetTypeIPv4, layers.EthernetTypeIPv6:
		d.etherType(t, rest)
	}
}

// ipnet decodes the header of Solaris' ipnet(4D): its length is what the packet, whose
// length it gives, leaves of the frame.
func (d *Decoder) ipnet(o view) {
	const family, length = 1, 4
	const ip4, ip6 = 2, 26
	if !d.need(o, length+4) {
		return
	}
	rest, ok := o.from(len(o.b) - int(o.u32(length)))
	switch {
	case !ok:
		d.why = shortLink
	case o.b[family] == ip4:
		d.ip(rest)
	case o.b[family] == ip6:
		d.ipv6(rest)
	}
}

// arcnet decodes an ARCNET header (RFC 1201 §2) whose type stands at byte at. exceptions:
// exception frames can occur.
func (d *Decoder) arcnet(o view, at int, exceptions bool) {
	const ip1051, ip1201, ip6, exception = 0xf0, 0xd4, 0xc4, 0xff
	if !d.need(o, at+2) {
		return
	}
	size := at + 1
	if o.b[at] != ip1051 {
		if exceptions && o.b[size] == exception {
			size += 4
		}
		size += 3 // split flag, sequence number
	}
	rest, ok := d.past(o, size)
	if !ok {
		return
	}
	switch o.b[at] {
	case ip1051, ip1201:
		d.ip(rest)
	case ip6:
		d.ipv6(rest)
	}
}

// pktap decodes Apple's packet tap header, which names the link type of the rest
// (LINKTYPE_PKTAP).
func (d *Decoder) pktap(o view) {
	const least, packet = 108, 1
	if !d.need(o, 12) {
		return
	}
	size, kind, t := binary.LittleEndian.Uint32(o.b), binary.LittleEndian.Uint32(o.b[4:]), binary.LittleEndian.Uint32(o.b[8:])
	if size < least || size > uint32(len(o.b)) || kind != packet || t > 0xffff || !d.deeper() {
		return
	}
	rest, _ := o.from(int(size))
	d.link(LinkType(t), rest)
}

// erf decodes a record of Endace's Extensible Record Format (LINKTYPE_ERF).
func (d *Decoder) erf(o view) {
	const header, extension, more = 16, 8, 0x80
	if !d.need(o, header) {
		return
	}
	kind, wire := o.b[8], int(o.u16(14))
	size := header
	for next := kind; next&more != 0; size += extension {
		if !d.need(o, size+extension) {
			return
		}
		next = o.b[size]
	}
	switch kind &^ more {
	case 2, 11, 16, 20: // Ethernet: two bytes of padding
		if rest, ok := o.from(size + 2); ok {
			d.ethernet(view{rest.b, max(wire, len(rest.b))})
		}
	case 22, 23: // IPv4, IPv6
		if rest, ok := o.from(size); ok {
			d.ip(view{rest.b, max(wire, len(rest.b))})
		}
	case 1: // PPP in HDLC
		if rest, ok := o.from(size); ok {
			d.pppHDLC(view{rest.b, max(wire, len(rest.b))})
		}
	}
}

// docsis decodes a frame of a cable network (DOCSIS MULPI 3.1 §6.2): only packets, neither
// pieces of them nor several in one.
func (d *Decoder) docsis(o view) {
	const packet, isolation, extended = 0x00, 0x80, 0x01
	const privacyUp, privacyDown, privacyUp2, enabled = 3, 4, 7, 0x80
	size := 6
	if !d.need(o, size) {
		return
	}
	if kind := o.b[0] & 0xc0; kind != packet && kind != isolation {
		return
	}
	if o.b[0]&extended != 0 {
		if size += int(o.b[1]); !o.has(size) {
			d.why = shortLink
			return
		}
		for x := o.b[4 : size-2]; len(x) > 2; x = x[min(len(x), 1+int(x[0]&0xf)):] {
			if t := x[0] >> 4; (t == privacyUp || t == privacyDown || t == privacyUp2) && x[2]&enabled != 0 {
				d.why = encrypted
				return
			}
		}
	}
	d.behind(size, o, (*Decoder).ethernet)
}

// mpacket decodes a frame with its preamble and checksum (IEEE 802.3br §99.3). Pieces of
// preempted ones are left alone.
func (d *Decoder) mpacket(o view) {
	const preamble, express = 8, 0xd5
	if !o.has(preamble) || o.b[0] != 0x55 {
		d.ethernet(o)
		return
	}
	if o.b[preamble-1] == express {
		d.behind(preamble, o.first(o.wire-4), (*Decoder).ethernet)
	}
}

// upperPDU decodes what Wireshark exported from a capture: tags that name its dissector and
// the endpoints, then the packet (epan/exported_pdu.h).
func (d *Decoder) upperPDU(o view) {
	const end, dissector, src4, dst4, src6, dst6 = 0, 12, 20, 21, 22, 23
	var name []byte
	for {
		if !d.need(o, 4) {
			return
		}
		tag, n := o.u16(0), int(o.u16(2))
		value, ok := o.from(4)
		if !ok || !value.has(n) {
			d.why = shortLink
			return
		}
		o, _ = value.from(n)
		switch v := value.b[:n]; {
		case tag == dissector:
			name = bytes.TrimRight(v, "\x00")
		case tag == src4 && n == 4:
			d.outer.src = tcpstate.Addr4(v)
		case tag == dst4 && n == 4:
			d.outer.dst = tcpstate.Addr4(v)
		case tag == src6 && n == 16:
			d.outer.src = tcpstate.Addr16(v)
		case tag == dst6 && n == 16:
			d.outer.dst = tcpstate.Addr16(v)
		}
		if tag == end {
			break
		}
	}
	if next := upperPDUs[string(name)]; next != nil {
		next(d, o)
	}
}

// upperPDUs are the dissectors that lead to TCP, by Wireshark's names.
var upperPDUs = map[string]func(*Decoder, view){
	"ip":             (*Decoder).ip,
	"ipv6":           (*Decoder).ipv6,
	"tcp":            (*Decoder).segment,
	"eth_withoutfcs": (*Decoder).ethernet,
	"eth_maybefcs":   (*Decoder).ethernet,
	"llc":            (*Decoder).logicalLink,
	"mpls":           (*Decoder).mpls,
	"ppp":            (*Decoder).ppp,
	"raw_ip":         (*Decoder).raw,
}
