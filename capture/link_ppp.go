package capture

import (
	"bytes"
	"encoding/binary"

	"github.com/google/gopacket/layers"
)

// PPP protocol numbers (https://www.iana.org/assignments/ppp-numbers).
const (
	pppIPv4     = 0x0021
	pppOSI      = 0x0023
	pppVJ       = 0x002f // not compressed
	pppMPLS     = 0x0281
	pppMPLSMult = 0x0283
	pppIPv6     = 0x0057
	pppLLC      = 0x004b
	pppMP       = 0x003d
	pppMux      = 0x0059
)

// ppp decodes a PPP packet without address and control bytes (RFC 1661 §2).
func (d *Decoder) ppp(o view) {
	if !d.need(o, 1) {
		return
	}
	// An odd first byte is a compressed protocol field (§6.5).
	protocol, size := uint16(o.b[0]), 1
	if protocol&1 == 0 {
		if !d.need(o, 2) {
			return
		}
		protocol, size = o.u16(0), 2
	}
	o, _ = o.from(size)
	d.pppProtocol(protocol, o)
}

func (d *Decoder) pppProtocol(protocol uint16, o view) {
	if !d.deeper() {
		return
	}
	switch protocol {
	case pppIPv4, uint16(layers.EthernetTypeIPv4):
		d.ip(o)
	case pppIPv6, uint16(layers.EthernetTypeIPv6):
		d.ipv6(o)
	case pppOSI:
		d.osi(o)
	case pppVJ:
		d.vanJacobson(o)
	case pppMPLS, pppMPLSMult:
		d.mpls(o)
	case pppLLC:
		d.logicalLink(o)
	case pppMP:
		d.pppMultilink(o)
	case pppMux:
		d.pppMultiplexed(o)
	}
}

// vanJacobson decodes a packet whose header is the one that others will be compressed by: in
// place of the protocol, which is TCP, it has a number (RFC 1144 §3.2.2).
func (d *Decoder) vanJacobson(o view) {
	if !o.has(ip4Fixed) || o.b[0]>>4 != 4 {
		return
	}
	b := bytes.Clone(o.b)
	b[9] = protoTCP
	d.ipv4(view{b, o.wire})
}

// pppMultilink decodes a multilink header (RFC 1990 §3) in front of a packet that was not
// split.
func (d *Decoder) pppMultilink(o view) {
	const begins, ends = 0x80, 0x40
	rest, ok := o.from(4)
	switch {
	case !ok:
		d.why = shortLink
	case o.b[0]&(begins|ends) == begins|ends:
		d.ppp(rest)
	default:
		d.why = fragment
	}
}

// pppMultiplexed decodes several PPP packets in one (RFC 3153 §1.1).
func (d *Decoder) pppMultiplexed(o view) {
	const named, long = 0x80, 0x40
	var protocol uint16
	around := d.outer
	for o.has(2) {
		first, head, n := o.b[0], 1, int(o.b[0]&0x3f)
		if first&long != 0 {
			head, n = 2, int(o.u16(0)&0x3fff)
		}
		frame, ok := o.from(head)
		if !ok || n > len(frame.b) || n == 0 {
			return
		}
		o, _ = frame.from(n)
		frame = frame.first(n)
		if first&named != 0 {
			size := 1
			if protocol = uint16(frame.b[0]); protocol&1 == 0 {
				if !frame.has(2) {
					return
				}
				protocol, size = frame.u16(0), 2
			}
			frame, _ = frame.from(size)
		}
		d.pppProtocol(protocol, frame)
		d.outer = around
	}
}

// pppHDLC decodes PPP in HDLC-like framing (RFC 1662 §3.1), or Cisco HDLC by its address.
func (d *Decoder) pppHDLC(o view) {
	const allStations, unicast, multicast = 0xff, 0x0f, 0x8f
	if !d.need(o, 1) {
		return
	}
	switch o.b[0] {
	case unicast, multicast:
		d.ciscoHDLC(o)
	case allStations:
		if o, ok := o.from(2); ok {
			d.ppp(o)
		}
	default: // address and control compressed
		d.ppp(o)
	}
}

// ciscoHDLC decodes address, control and an Ethernet type.
func (d *Decoder) ciscoHDLC(o view) {
	if rest, ok := d.past(o, 4); ok {
		d.hdlcType(layers.EthernetType(o.u16(2)), rest)
	}
}

// hdlcType decodes the few types that Cisco HDLC and frame relay carry.
func (d *Decoder) hdlcType(t layers.EthernetType, o view) bool {
	switch t {
	case layers.EthernetTypeIPv4, layers.EthernetTypeIPv6, layers.EthernetTypeMPLSUnicast,
		etherTypeMPLSMulti, etherTypeTEB:
		d.etherType(t, o)
		return true
	}
	return false
}

// pppoe decodes a PPPoE session header (RFC 2516 §4).
func (d *Decoder) pppoe(o view) {
	const size, credits = 6, 0x0106
	rest, ok := d.past(o, size)
	if !ok {
		return
	}
	rest = rest.first(int(o.u16(4)))
	if rest.has(2) && rest.u16(0) == credits {
		if rest, ok = rest.from(8); !ok { // RFC 5578 §7, after which Wireshark looks
			return
		}
	}
	d.ppp(rest)
}

// frameRelay decodes a Q.922 address and what RFC 2427, or Cisco, puts behind it.
func (d *Decoder) frameRelay(o view) {
	const last, longest, unnumbered = 1, 4, 3
	size := 0
	for {
		if size++; !o.has(size) {
			d.why = shortLink
			return
		}
		if o.b[size-1]&last != 0 {
			break
		}
		if size == longest {
			return
		}
	}
	rest, _ := o.from(size)
	if !d.need(rest, 2) {
		return
	}
	if rest.b[0] == unnumbered {
		rest, _ = rest.from(1)
		d.nlpid(rest)
		return
	}
	if payload, _ := rest.from(2); !d.hdlcType(layers.EthernetType(rest.u16(0)), payload) &&
		rest.has(macHeader) && knownType(rest.u16(12)) {
		d.ethernet(rest) // unannounced, as some bridges do
	}
}

// nlpid decodes a network layer protocol identifier, padded to an even place where needed
// (RFC 2427 §3).
func (d *Decoder) nlpid(o view) {
	const snap = 0x80
	if o.has(1) && o.b[0] == 0 {
		o, _ = o.from(1)
	}
	if o.has(1) && o.b[0] == snap {
		o, _ = o.from(1)
		d.snap(o, true, 0)
		return
	}
	d.osi(o)
}

// osi decodes the identifiers that need nothing more (ISO/IEC TR 9577).
func (d *Decoder) osi(o view) {
	const ip4, ip6, ppp = 0xcc, 0x8e, 0xcf
	rest, ok := d.past(o, 1)
	if !ok {
		return
	}
	switch o.b[0] {
	case ip4:
		d.ip(rest)
	case ip6:
		d.ipv6(rest)
	case ppp:
		d.ppp(rest)
	}
}

// Juniper's metadata in front of a frame: a magic number, flags, and extensions.
const (
	juniperMagic      = 0x4d4743 // "MGC"
	juniperExtensions = 0x80
	juniperNoLink     = 0x02
	juniperIncoming   = 0x01
)

// juniper decodes a frame of one of Juniper's link types. next gets what follows the
// metadata.
func (d *Decoder) juniper(o view, next func(d *Decoder, flags byte, o view)) {
	if !d.need(o, 6) {
		return
	}
	size, flags := 0, o.b[3]
	if o.u32(0)>>8 == juniperMagic {
		size = 4
		if flags&juniperExtensions != 0 {
			size = 6 + int(o.u16(4))
		}
	}
	rest, ok := d.past(o, size)
	if !ok {
		return
	}
	if size == 0 || flags&juniperNoLink == 0 {
		next(d, flags, rest)
		return
	}
	if payload, ok := rest.from(4); ok {
		d.juniperProto(binary.LittleEndian.Uint32(rest.b), payload)
	}
}

// juniperProto decodes a payload by Juniper's own numbers.
func (d *Decoder) juniperProto(p uint32, o view) {
	switch p {
	case 2, 3:
		d.ip(o)
	case 6, 7:
		d.ipv6(o)
	case 4, 5, 8, 32:
		d.mpls(o)
	case 200:
		d.ppp(o)
	case 202, 203:
		d.logicalLink(o)
	case 204:
		d.ethernet(o)
	case 207:
		d.frameRelay(o)
	case 208:
		d.ciscoHDLC(o)
	}
}

func juniperEthernet(d *Decoder, _ byte, o view) { d.ethernet(o) }
func juniperRelay(d *Decoder, _ byte, o view)    { d.frameRelay(o) }
func juniperHDLC(d *Decoder, _ byte, o view)     { d.ciscoHDLC(o) }

func juniperPPP(d *Decoder, _ byte, o view) {
	if o, ok := o.from(2); ok {
		d.ppp(o)
	}
}

// juniperMultilink decodes PPP with or without a cookie.
func juniperMultilink(d *Decoder, _ byte, o view) {
	const cookie = 2
	if o.has(2) && o.u16(0) == 0 {
		o, _ = o.from(cookie)
	}
	d.pppHDLC(o)
}

func juniperVP(d *Decoder, _ byte, o view) { d.behind(18, o, (*Decoder).ip) }

func juniperServices(d *Decoder, flags byte, o view) {
	cookie := 12
	if flags&juniperIncoming != 0 {
		cookie = 16
	}
	if o, ok := o.from(cookie); ok {
		d.ip(o)
	}
}

// juniperATM guesses what the cells of an ATM interface carried, cookie bytes into them.
func (d *Decoder) juniperATM(flags byte, o view, cookie int) {
	const osi, gap = 0xfefe03, 0x3f
	rest, ok := o.from(cookie)
	if !ok || !rest.has(4) {
		d.why = shortLink
		return
	}
	atm2 := cookie == 8
	switch kind := rest.u32(0) >> 8; {
	case kind == snapHeader || kind == osi:
		d.logicalLink(rest)
	case atm2 && flags&juniperIncoming == 0 && o.u32(0)&gap != 0:
		d.ethernet(rest)
	case atm2 && (rest.u16(0) == pppIPv4 || rest.u16(0) == pppIPv6 || rest.u16(0) == pppMPLS):
		d.ppp(rest)
	default:
		d.ip(rest)
	}
}

func juniperATM1(d *Decoder, flags byte, o view) { d.juniperATM(flags, o, 4) }
func juniperATM2(d *Decoder, flags byte, o view) { d.juniperATM(flags, o, 8) }
