package capture

import (
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

const (
	macHeader = 14
	macLenMax = 1500 // up to here the type field of IEEE 802.3 is a length
	macTypes  = 1536 // from here on it is a type
)

// Types beside those that gopacket names.
const (
	etherTypeTEB        layers.EthernetType = 0x6558 // transparent Ethernet bridging
	etherTypeMPLSMulti  layers.EthernetType = 0x8848
	etherTypeCMD        layers.EthernetType = 0x8909 // Cisco metadata
	etherTypeQinQOld    layers.EthernetType = 0x9100
	etherTypeJumboLLC   layers.EthernetType = 0x8870
	etherTypeMACsec     layers.EthernetType = 0x88e5
	etherTypePBB        layers.EthernetType = 0x88e7 // IEEE 802.1ah I-TAG
	etherTypeFabricPath layers.EthernetType = 0x8903
	etherTypeVNTag      layers.EthernetType = 0x8926
	etherTypeHSR        layers.EthernetType = 0x892f
	etherTypeETag       layers.EthernetType = 0x893f // IEEE 802.1BR
	etherTypeNSH        layers.EthernetType = 0x894f
	etherTypeRTag       layers.EthernetType = 0xf1c1 // IEEE 802.1CB
	etherTypeTRILL      layers.EthernetType = 0x22f3
	etherTypeBATMAN     layers.EthernetType = 0x4305
	etherTypeArista     layers.EthernetType = 0xd28b
)

// ethernet decodes an Ethernet frame.
func (d *Decoder) ethernet(o view) {
	if !d.need(o, macHeader) {
		return
	}
	if d.fabricPath(o) || d.isl(o) {
		return
	}
	_ = d.eth.DecodeFromBytes(o.b, gopacket.NilDecodeFeedback)
	t, n := d.eth.EthernetType, int(d.eth.Length)
	o, _ = o.from(macHeader)
	switch {
	case n > macLenMax: // neither length nor type
	case n > 0:
		d.logicalLink(o.first(n))
	default:
		d.etherType(t, o)
	}
}

// typeOrLength decodes what follows a tag: a type, or a length and LLC.
func (d *Decoder) typeOrLength(t uint16, o view) {
	if t > macLenMax {
		d.etherType(layers.EthernetType(t), o)
	} else {
		d.logicalLink(o.first(int(t)))
	}
}

// etherType decodes the payload that an Ethernet type announces.
func (d *Decoder) etherType(t layers.EthernetType, o view) {
	if !d.deeper() {
		return
	}
	switch t {
	case layers.EthernetTypeIPv4:
		d.ip(o)
	case layers.EthernetTypeIPv6:
		d.ipv6(o)
	case layers.EthernetTypeDot1Q, etherTypeQinQOld:
		d.vlan(o)
	case layers.EthernetTypeQinQ:
		d.tagged(o, 4) // service tag; only the VLAN of an inner tag counts
	case layers.EthernetTypeMPLSUnicast, etherTypeMPLSMulti:
		d.mpls(o)
	case layers.EthernetTypePPPoESession:
		d.pppoe(o)
	case etherTypeTEB:
		d.ethernet(o)
	case etherTypeJumboLLC:
		d.logicalLink(o)
	case etherTypeCMD:
		d.tagged(o, 8) // version, length, option, SGT; as Wireshark, of that length always
	case etherTypePBB:
		d.tagged(o, 18) // I-TAG TCI, C-DA, C-SA (IEEE 802.1Q-2018 §9.7)
	case etherTypeHSR, etherTypeRTag:
		d.tagged(o, 6) // IEC 62439-3 §5; IEEE 802.1CB §7.8
	case etherTypeVNTag:
		if rest, ok := o.from(6); ok {
			d.typeOrLength(o.u16(4), rest)
		}
	case etherTypeETag:
		d.tagged(o, 8) // IEEE 802.1BR §7.5
	case etherTypeMACsec:
		d.macsec(o)
	case etherTypeNSH:
		d.nsh(o)
	case etherTypeTRILL:
		d.trill(o)
	case etherTypeBATMAN:
		d.batman(o)
	case etherTypeArista:
		d.timestamped(o)
	}
}

// knownType reports whether t is the length of an LLC frame or the type of traffic that can
// have TCP in it.
func knownType(t uint16) bool {
	switch layers.EthernetType(t) {
	case layers.EthernetTypeIPv4, layers.EthernetTypeIPv6, layers.EthernetTypeARP,
		layers.EthernetTypeDot1Q, layers.EthernetTypeQinQ, etherTypeQinQOld,
		layers.EthernetTypeMPLSUnicast, etherTypeMPLSMulti, layers.EthernetTypePPPoESession,
		etherTypeTEB, etherTypeJumboLLC, etherTypeCMD, etherTypePBB, etherTypeVNTag, etherTypeHSR,
		etherTypeRTag, etherTypeETag, etherTypeMACsec, etherTypeNSH, etherTypeTRILL, etherTypeBATMAN, etherTypeArista:
		return true
	}
	return t > 0 && t <= macLenMax
}

// vlan decodes an IEEE 802.1Q tag.
func (d *Decoder) vlan(o view) {
	if d.tag.DecodeFromBytes(o.b, gopacket.NilDecodeFeedback) != nil {
		d.why = shortLink
		return
	}
	if d.outer.vlan == 0 {
		d.outer.vlan = d.tag.VLANIdentifier
	}
	t := uint16(d.tag.Type)
	o, _ = o.from(4)
	d.typeOrLength(t, o)
}

// tagged skips a header of size bytes, the last two of which are an Ethernet type.
func (d *Decoder) tagged(o view, size int) {
	if rest, ok := d.past(o, size); ok {
		d.etherType(layers.EthernetType(o.u16(size-2)), rest)
	}
}

// timestamped decodes the header that Arista switches put into mirrored frames.
func (d *Decoder) timestamped(o view) {
	const timestamp, bits64, bits48 = 1, 0x10, 0x20
	if !d.need(o, 4) {
		return
	}
	size := 2 // subtype, which others may follow
	if o.u16(0) == timestamp {
		switch o.u16(2) &^ 0x100 { // TAI or UTC
		case bits64:
			size = 4 + 8
		case bits48:
			size = 4 + 6
		default:
			return
		}
	}
	d.tagged(o, size+2)
}

// macsec decodes an IEEE 802.1AE SecTAG. Only where it authenticates and leaves the data as
// they are (§9.5, bits E and C) is there something to see.
func (d *Decoder) macsec(o view) {
	const version, sci, changed, icv = 0x80, 0x20, 0x0c, 16
	if !o.has(1) || o.b[0]&version != 0 {
		return
	}
	size := 6
	if o.b[0]&sci != 0 {
		size += 8
	}
	if len(o.b) <= size+icv {
		d.why = shortLink
		return
	}
	if o.b[0]&changed != 0 {
		d.why = encrypted
		return
	}
	d.tagged(o, size+2)
}

// fabricPath decodes a Cisco FabricPath header: switch addresses in place of MAC addresses,
// its type, a forwarding tag, then an Ethernet frame, then a checksum.
func (d *Decoder) fabricPath(o view) bool {
	const checksum = 4
	size := macHeader + 2
	switch layers.EthernetType(o.u16(12)) {
	case etherTypeFabricPath:
	case layers.EthernetTypeDot1Q, layers.EthernetTypeQinQ:
		if size += 4; !o.has(size) || layers.EthernetType(o.u16(16)) != etherTypeFabricPath {
			return false
		}
	default:
		return false
	}
	inner, ok := o.first(o.wire - checksum).from(size)
	if !ok || !d.deeper() {
		return true
	}
	d.ethernet(inner)
	return true
}

// isl decodes Cisco's Inter-Switch Link header, known by its destination address, which
// puts a 26-byte header before an Ethernet frame.
func (d *Decoder) isl(o view) bool {
	const size, checksum = 26, 4
	b := o.b
	if o.u16(12) > macLenMax || b[0] != 0x01 && b[0] != 0x0c || b[1] != 0 || b[2] != 0x0c || b[3] != 0 || b[4] != 0 {
		return false
	}
	if n := int(o.u16(12)); n > 0 {
		o = o.first(macHeader + n)
	}
	inner, ok := o.from(size)
	if !ok || b[5]>>4 != 0 || !d.deeper() {
		return true
	}
	d.ethernet(inner.first(inner.wire - checksum))
	return true
}

// logicalLink decodes an IEEE 802.2 LLC header.
func (d *Decoder) logicalLink(o view) {
	if d.llc.DecodeFromBytes(o.b, gopacket.NilDecodeFeedback) != nil {
		d.why = shortLink
		return
	}
	// Only information frames, numbered or not, have payload.
	control, size := d.llc.Control, len(d.llc.Contents)
	information := size == 4 && control>>8&1 == 0 || size == 3 && control == 3
	rest, _ := o.from(size)
	switch dsap, ssap := o.b[0], o.b[1]; {
	case dsap == 0xaa && ssap == 0xaa:
		d.snap(rest, information, 2)
	case dsap == 0x06 && information && rest.wire > 0:
		d.ip(rest)
	case dsap == 0xfe && information && size == 3:
		d.osi(rest) // RFC 2684 §5.1
	}
}

// snap decodes an OUI and a type behind LLC or frame relay; pad bytes precede a bridged
// frame (RFC 2684 §5.2, RFC 2427 §4.2).
func (d *Decoder) snap(o view, information bool, pad int) {
	const encapsulated, cisco, ieee8021 = 0x000000, 0x0000f8, 0x0080c2
	rest, ok := d.past(o, 5)
	if !ok {
		return
	}
	switch oui, t := o.u32(0)>>8, o.u16(3); {
	case (oui == encapsulated || oui == cisco) && information:
		d.etherType(layers.EthernetType(t), rest)
	case oui == ieee8021 && (t == 1 || t == 7):
		if rest, ok = rest.from(pad); ok && d.deeper() {
			d.ethernet(rest)
		}
	case oui == ieee8021 && (t == 3 || t == 9):
		if rest, ok = rest.from(pad); ok && d.deeper() {
			d.tokenRing(rest)
		}
	case oui == ieee8021 && (t == 4 || t == 10):
		if rest, ok = rest.from(pad + 1); ok && d.deeper() {
			d.fddi(rest)
		}
	}
}

// fddi decodes an FDDI frame: of those only asynchronous LLC has packets in it.
func (d *Decoder) fddi(o view) {
	rest, ok := d.past(o, 13)
	if !ok {
		return
	}
	if o.b[0]&0xf0 == 0x50 {
		d.logicalLink(rest)
	}
}

// tokenRing decodes an IEEE 802.5 frame.
func (d *Decoder) tokenRing(o view) {
	const size, routed = 14, 0x80
	if !d.need(o, size) {
		return
	}
	routing := 0
	if o.b[8]&routed != 0 {
		if !d.need(o, size+1) {
			return
		}
		routing = int(o.b[size] & 0x1f)
	}
	rest, ok := o.from(size + routing)
	if ok && o.b[1]>>6 == 1 {
		d.logicalLink(rest)
	}
}

// batman decodes a B.A.T.M.A.N. advanced header, version 15, of those that carry a frame
// (Linux include/uapi/linux/batadv_packet.h).
func (d *Decoder) batman(o view) {
	const version, broadcast, unicast, unicast4 = 15, 0x01, 0x40, 0x42
	if !o.has(2) || o.b[1] != version {
		return
	}
	size := 0
	switch o.b[0] {
	case broadcast:
		size = 14
	case unicast:
		size = 10
	case unicast4:
		size = 18
	default:
		return
	}
	if rest, ok := o.from(size); ok {
		d.ethernet(rest)
	}
}

// nsh decodes a network service header (RFC 8300 §2.2).
func (d *Decoder) nsh(o view) {
	if !d.need(o, 8) {
		return
	}
	size, next := int(o.b[1]&0x3f)*4, o.b[3]
	switch o.b[2] & 0xf {
	case 1:
		size = 24
	default:
		size = max(size, 8)
	}
	if rest, ok := d.past(o, size); ok {
		d.nextProtocol(next, rest)
	}
}

// nextProtocol decodes the payload of NSH (RFC 8300 §11.2.5) or VXLAN-GPE
// (draft-ietf-nvo3-vxlan-gpe §3.2), which number alike.
func (d *Decoder) nextProtocol(next uint8, o view) {
	if !d.deeper() {
		return
	}
	switch next {
	case 1:
		d.ip(o)
	case 2:
		d.ipv6(o)
	case 3:
		d.ethernet(o)
	case 4:
		d.nsh(o)
	case 5:
		d.mpls(o)
	}
}

// trill decodes a TRILL header (RFC 6325 §3.1).
func (d *Decoder) trill(o view) {
	if !d.need(o, 6) {
		return
	}
	if rest, ok := o.from(6 + int(o.u16(0)>>6&0x1f)*4); ok {
		d.ethernet(rest)
	}
}
