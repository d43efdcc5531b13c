package capture

import (
	"bytes"
	"compress/flate"
	"io"

	"github.com/google/gopacket/layers"
)

// tunnel decodes the IP protocols that carry packets or frames.
func (d *Decoder) tunnel(p uint8, o view) {
	switch p {
	case protoGRE:
		d.gre(o)
	case protoEtherIP:
		d.etherIP(o)
	case protoEthernet: // RFC 8986 §4.9
		d.ethernet(o)
	case protoMPLS: // RFC 4023 §3
		d.mpls(o)
	case protoIPComp:
		d.ipComp(o)
	case protoPIM:
		d.pim(o)
	}
}

// Bits of a GRE header (RFC 2784 §2, RFC 2890 §2, RFC 1701, RFC 2637 §4.1).
const (
	greChecksum = 0x8000
	greRouting  = 0x4000
	greKey      = 0x2000
	greSequence = 0x1000
	greAck      = 0x0080
	greVersion  = 0x0007
)

// Types of GRE payload that are no Ethernet types.
const (
	greWCCP    = 0x883e
	grePPP     = 0x880b
	greEoIP    = 0x6400 // MikroTik
	greRelay   = 0x6559
	greERSPAN  = 0x88be // types I and II
	greERSPAN3 = 0x22eb
	greAruba   = 0x8200 // to 0x8370: 802.11
)

// gre decodes a GRE header. gopacket's reads beyond the end of short ones.
func (d *Decoder) gre(o view) {
	if !o.has(4) {
		d.why = shortIP
		return
	}
	flags, t := o.u16(0), o.u16(2)
	size := 4
	if flags&(greChecksum|greRouting) != 0 {
		size += 4
	}
	if flags&greKey != 0 {
		size += 4
	}
	if flags&greSequence != 0 {
		size += 4
	}
	if t == grePPP && flags&greVersion != 0 && flags&greAck != 0 {
		size += 4
	}
	if flags&greRouting != 0 {
		for { // source route entries: family, offset, length, address
			if !o.has(size + 4) {
				d.why = shortIP
				return
			}
			family, n := o.u16(size), int(o.b[size+3])
			if size += 4; family == 0 && n == 0 {
				break
			}
			size += n
		}
	}
	if t == greWCCP && o.has(5) && o.b[4]>>4 != 4 {
		size += 4 // WCCP version 2 redirect header
	}
	rest, ok := o.from(size)
	if !ok {
		d.why = shortIP
		return
	}
	d.greProtocol(t, rest, flags&greSequence != 0)
}

// greProtocol decodes what GRE announces as t. header: ERSPAN has one.
func (d *Decoder) greProtocol(t uint16, o view, header bool) {
	switch {
	case t == greWCCP:
		d.ip(o)
	case t == grePPP:
		d.pppHDLC(o)
	case t == greEoIP:
		d.ethernet(o)
	case t == greRelay:
		d.frameRelay(o)
	case t == greERSPAN && !header:
		d.ethernet(o)
	case t == greERSPAN || t == greERSPAN3:
		d.erspan(o)
	case t >= greAruba && t <= 0x8370 && t&0xf == 0:
		d.wlan(o, wlanPlain)
	case t == uint16(etherTypeCMD):
		if rest, ok := o.from(8); ok {
			d.greProtocol(o.u16(0), rest, false)
		}
	default:
		switch e := layers.EthernetType(t); e {
		case layers.EthernetTypeIPv4, layers.EthernetTypeIPv6, layers.EthernetTypeMPLSUnicast,
			etherTypeMPLSMulti, etherTypeTEB, etherTypeNSH:
			d.etherType(e, o)
		}
	}
}

// erspan decodes a header of type II or III (draft-foschiano-erspan-03 §4).
func (d *Decoder) erspan(o view) {
	if !d.need(o, 8) {
		return
	}
	vlan := o.u16(0) & 0xfff
	size := 8
	switch o.b[0] >> 4 {
	case 1:
		const encapsulation, preserved = 0x1800, 0x1800
		if d.outer.vlan == 0 && o.u16(2)&encapsulation != preserved {
			d.outer.vlan = vlan
		}
	case 2:
		const frameType, subheader = 0x7c, 0x01
		d.outer.vlan = vlan
		if size = 12; !o.has(size) || o.b[10]&frameType != 0 {
			return
		}
		if o.b[11]&subheader != 0 {
			size += 8
		}
	default:
		return
	}
	if rest, ok := o.from(size); ok {
		d.ethernet(rest)
	}
}

// etherIP decodes Ethernet in IP (RFC 3378 §3).
func (d *Decoder) etherIP(o view) {
	if rest, ok := o.from(2); ok {
		d.ethernet(rest)
	}
}

// pim decodes the packet in a PIM register message (RFC 7761 §4.9.3).
func (d *Decoder) pim(o view) {
	const register2, null = 0x21, 0x40
	if rest, ok := o.from(8); ok && o.b[0] == register2 && o.b[4]&null == 0 && rest.has(1) {
		d.ip(rest)
	}
}

// maxInflated bounds what an IPComp payload may expand to: an IP packet.
const maxInflated = 1 << 16

// ipComp decodes an IP payload compression header (RFC 3173 §3.1) and tries DEFLATE (RFC
// 2394), whatever the algorithm is, but not again on what came out. It allocates; such
// packets are rare.
func (d *Decoder) ipComp(o view) {
	rest, ok := o.from(4)
	if !ok || d.outer.inflated {
		d.why = shortIP
		return
	}
	d.outer.inflated = true
	next := o.b[0]
	plain, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(rest.b)), maxInflated))
	if len(plain) == 0 || err != nil && err != io.ErrUnexpectedEOF {
		d.why = encrypted
		return
	}
	d.outer.excerpt = d.outer.excerpt || err != nil // cut off
	d.ipProto(next, view{plain, len(plain)})
}
