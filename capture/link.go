package capture

import (
	"encoding/binary"

	"github.com/google/gopacket/layers"
)

// The link types that are decoded (LINKTYPE_ values of
// https://www.tcpdump.org/linktypes.html). 11 to 14 are DLT_ values that differ between
// systems; files have them all the same, and Wireshark reads them as here.
const (
	LinkNull            LinkType = 0
	LinkEthernet        LinkType = 1
	LinkTokenRing       LinkType = 6
	LinkARCNET          LinkType = 7
	LinkPPP             LinkType = 9
	LinkFDDI            LinkType = 10
	LinkATMRFC1483      LinkType = 11
	LinkRaw             LinkType = 12
	LinkEncOpenBSD      LinkType = 13
	LinkRawOpenBSD      LinkType = 14
	LinkCLIPOld         LinkType = 16
	LinkPFLogOld        LinkType = 17
	LinkCLIP            LinkType = 18
	LinkCLIPLinux       LinkType = 19
	LinkPPPHDLC         LinkType = 50
	LinkPPPoE           LinkType = 51
	LinkATMLLC          LinkType = 100
	LinkRawIP           LinkType = 101
	LinkCiscoHDLC       LinkType = 104
	LinkIEEE80211       LinkType = 105
	LinkATMCLIP         LinkType = 106
	LinkFrameRelay      LinkType = 107
	LinkLoop            LinkType = 108
	LinkEnc             LinkType = 109
	LinkCiscoHDLCBSD    LinkType = 112
	LinkLinuxSLL        LinkType = 113
	LinkPFLog           LinkType = 117
	LinkPrism           LinkType = 119
	LinkIPOverFC        LinkType = 122
	LinkSunATM          LinkType = 123
	LinkRadiotap        LinkType = 127
	LinkTZSP            LinkType = 128
	LinkARCNETLinux     LinkType = 129
	LinkJuniperMLPPP    LinkType = 130
	LinkJuniperATM2     LinkType = 135
	LinkJuniperServices LinkType = 136
	LinkJuniperATM1     LinkType = 137
	LinkFireWire        LinkType = 138
	LinkDOCSIS          LinkType = 143
	LinkAVS             LinkType = 163
	LinkJuniperPPPoE    LinkType = 167
	LinkJuniperEther    LinkType = 178
	LinkJuniperPPP      LinkType = 179
	LinkJuniperRelay    LinkType = 180
	LinkJuniperHDLC     LinkType = 181
	LinkJuniperVP       LinkType = 183
	LinkPPI             LinkType = 192
	LinkERF             LinkType = 197
	LinkPPPWithDir      LinkType = 204
	LinkIPNET           LinkType = 226
	LinkIPv4            LinkType = 228
	LinkIPv6            LinkType = 229
	LinkNFLog           LinkType = 239
	LinkNetAnalyzer     LinkType = 240
	LinkNetAnalyzerRaw  LinkType = 241
	LinkIPoIB           LinkType = 242
	LinkUpperPDU        LinkType = 252
	LinkPKTAP           LinkType = 258
	LinkEPON            LinkType = 259
	LinkMPacket         LinkType = 274
	LinkLinuxSLL2       LinkType = 276
)

// opened are the link types of pcap files that Wireshark 4.0 opens (pcap_to_wtap_map of
// wiretap/pcap-common.c), in turn the first and the last of a range.
var opened = [...]LinkType{
	0, 3, 6, 14, 16, 16, 18, 19, 32, 32, 50, 51, 99, 101, 104, 109,
	112, 114, 117, 119, 121, 123, 127, 131, 133, 133, 135, 144, 147, 163, 165, 165,
	167, 167, 169, 173, 177, 181, 183, 184, 186, 190, 192, 192, 195, 197, 199, 204,
	209, 215, 220, 220, 224, 231, 235, 237, 239, 243, 245, 245, 248, 256, 258, 260,
	264, 264, 266, 266, 268, 268, 270, 276, 279, 280, 283, 283, 287, 288, 290, 290,
	292, 295,
}

// readable reports whether a pcap file of link type t is opened at all. Findings cite frame
// numbers, which are of no use in a file that Wireshark refuses; of those only the link types
// that are decoded here are opened.
func readable(t LinkType) bool {
	for i := 0; i < len(opened); i += 2 {
		if opened[i] <= t && t <= opened[i+1] {
			return true
		}
	}
	return t == LinkPFLogOld
}

// links are the decoders of the link types.
var links [LinkLinuxSLL2 + 1]func(*Decoder, view)

// Some of them name a link type again: the table refers to them and they to it.
func init() {
	behind := func(n int, next func(*Decoder, view)) func(*Decoder, view) {
		return func(d *Decoder, o view) { d.behind(n, o, next) }
	}
	juniper := func(next func(*Decoder, byte, view)) func(*Decoder, view) {
		return func(d *Decoder, o view) { d.juniper(o, next) }
	}
	links = [...]func(*Decoder, view){
		LinkEthernet:        (*Decoder).ethernet,
		LinkNull:            (*Decoder).null,
		LinkLoop:            (*Decoder).loop,
		LinkRaw:             (*Decoder).raw,
		LinkRawOpenBSD:      (*Decoder).raw,
		LinkRawIP:           (*Decoder).raw,
		LinkIPv4:            (*Decoder).ip,
		LinkATMCLIP:         (*Decoder).ip,
		LinkCLIPOld:         (*Decoder).ip,
		LinkCLIP:            (*Decoder).ip,
		LinkCLIPLinux:       (*Decoder).ip,
		LinkIPv6:            (*Decoder).ipv6,
		LinkLinuxSLL:        (*Decoder).cooked,
		LinkLinuxSLL2:       (*Decoder).cooked2,
		LinkPPP:             (*Decoder).pppHDLC,
		LinkPPPHDLC:         (*Decoder).pppHDLC,
		LinkPPPWithDir:      behind(1, (*Decoder).pppHDLC),
		LinkPPPoE:           (*Decoder).pppoe,
		LinkCiscoHDLC:       (*Decoder).ciscoHDLC,
		LinkCiscoHDLCBSD:    (*Decoder).ciscoHDLC,
		LinkFrameRelay:      (*Decoder).frameRelay,
		LinkATMRFC1483:      (*Decoder).logicalLink,
		LinkATMLLC:          (*Decoder).logicalLink,
		LinkTokenRing:       (*Decoder).tokenRing,
		LinkFDDI:            (*Decoder).fddi,
		LinkIEEE80211:       func(d *Decoder, o view) { d.wlan(o, wlanPlain) },
		LinkRadiotap:        (*Decoder).radiotap,
		LinkPrism:           (*Decoder).prism,
		LinkAVS:             (*Decoder).avs,
		LinkPPI:             (*Decoder).ppi,
		LinkTZSP:            (*Decoder).tzsp,
		LinkNFLog:           (*Decoder).nflog,
		LinkPFLog:           (*Decoder).pflog,
		LinkPFLogOld:        (*Decoder).pflogOld,
		LinkEnc:             (*Decoder).enc,
		LinkEncOpenBSD:      (*Decoder).enc,
		LinkSunATM:          (*Decoder).sunATM,
		LinkIPoIB:           (*Decoder).ipoib,
		LinkIPOverFC:        behind(16, (*Decoder).logicalLink), // network header (RFC 2625 §3.1)
		LinkIPNET:           (*Decoder).ipnet,
		LinkARCNET:          func(d *Decoder, o view) { d.arcnet(o, 2, true) },
		LinkARCNETLinux:     func(d *Decoder, o view) { d.arcnet(o, 4, false) },
		LinkPKTAP:           (*Decoder).pktap,
		LinkERF:             (*Decoder).erf,
		LinkFireWire:        func(d *Decoder, o view) { d.tagged(o, 18) }, // two EUI-64 and a type
		LinkDOCSIS:          (*Decoder).docsis,
		LinkUpperPDU:        (*Decoder).upperPDU,
		LinkEPON:            behind(8, (*Decoder).ethernet), // preamble with the logical link
		LinkMPacket:         (*Decoder).mpacket,
		LinkNetAnalyzer:     func(d *Decoder, o view) { d.behind(4, o.first(o.wire-4), (*Decoder).ethernet) },   // frame check sequence
		LinkNetAnalyzerRaw:  func(d *Decoder, o view) { d.behind(4+8, o.first(o.wire-4), (*Decoder).ethernet) }, // and preamble
		LinkJuniperEther:    juniper(juniperEthernet),
		LinkJuniperPPPoE:    juniper(juniperEthernet),
		LinkJuniperPPP:      juniper(juniperPPP),
		LinkJuniperRelay:    juniper(juniperRelay),
		LinkJuniperHDLC:     juniper(juniperHDLC),
		LinkJuniperATM1:     juniper(juniperATM1),
		LinkJuniperATM2:     juniper(juniperATM2),
		LinkJuniperMLPPP:    juniper(juniperMultilink),
		LinkJuniperVP:       juniper(juniperVP),
		LinkJuniperServices: juniper(juniperServices),
	}
}

// link decodes a frame according to its link type.
func (d *Decoder) link(t LinkType, o view) {
	if int(t) < len(links) && links[t] != nil {
		links[t](d, o)
	} else {
		d.why = unknownLink
	}
}

// need reports whether the first n bytes of a link header were captured, and notes where not.
func (d *Decoder) need(o view, n int) bool {
	if !o.has(n) {
		d.why = shortLink
	}
	return o.has(n)
}

// past is what is behind the n bytes of a link header; false: they were not captured, which is
// noted.
func (d *Decoder) past(o view, n int) (rest view, ok bool) {
	if rest, ok = o.from(n); !ok {
		d.why = shortLink
	}
	return rest, ok
}

// behind skips a header of n bytes and hands the rest to next.
func (d *Decoder) behind(n int, o view, next func(*Decoder, view)) {
	if rest, ok := d.past(o, n); ok {
		next(d, rest)
	}
}

// Address families as the BSDs number them; each has its own number for IPv6.
const (
	familyINET        = 2
	familyINET6Linux  = 10
	familyINET6BSD    = 24
	familyINET6Free   = 28
	familyINET6Darwin = 30
)

// family decodes the packet behind a header of n bytes that gave its address family.
func (d *Decoder) family(f uint32, n int, o view) {
	rest, ok := d.past(o, n)
	if !ok {
		return
	}
	switch f {
	case familyINET:
		d.ip(rest)
	case familyINET6Linux, familyINET6BSD, familyINET6Free, familyINET6Darwin:
		d.ipv6(rest)
	}
}

// loop decodes OpenBSD's loopback header: the address family.
func (d *Decoder) loop(o view) {
	if d.need(o, 4) {
		d.family(o.u32(0), 4, o)
	}
}

// null decodes a BSD loopback header: the address family in the byte order of whoever wrote
// it, 16 or 32 bits wide (dissect_null in Wireshark's packet-null.c), or an Ethernet type,
// or PPP.
func (d *Decoder) null(o view) {
	const ppp, families = 0xff03, 6
	if !d.need(o, 4) {
		return
	}
	if o.u16(0) == ppp {
		d.pppHDLC(o)
		return
	}
	f := binary.LittleEndian.Uint32(o.b)
	switch {
	case f>>16 != 0 && f>>24 == 0 && f>>16 < families:
		f >>= 16
	case f>>16 != 0:
		f = o.u32(0)
	case f&0xff == 0 && f>>8 < families:
		f >>= 8
	}
	if f > macLenMax {
		rest, _ := o.from(4)
		d.etherType(layers.EthernetType(f), rest)
		return
	}
	d.family(f, 4, o)
}

// raw decodes a packet without link header, or with what old Linux drivers put there
// (dissect_raw in Wireshark's packet-raw.c).
func (d *Decoder) raw(o view) {
	const ppp = 0xff03
	for _, at := range [...]int{0, 6, 1} {
		if o.has(at+2) && o.u16(at) == ppp {
			rest, _ := o.from(at)
			d.pppHDLC(rest)
			return
		}
	}
	if o.has(10) && [10]byte(o.b) == [10]byte{} {
		o, _ = o.from(10)
	}
	d.ip(o)
}

// Hardware types (Linux include/uapi/linux/if_arp.h).
const (
	hardwareRelay    = 770
	hardwareGRE      = 778
	hardwareRadiotap = 803
	hardwareNetlink  = 824
)

// cooked decodes a Linux cooked header (LINKTYPE_LINUX_SLL). gopacket's trusts the address
// length.
func (d *Decoder) cooked(o view) {
	const header = 16
	if rest, ok := d.past(o, header); ok {
		d.cookedPayload(o.u16(14), o.u16(2), rest)
	}
}

// cooked2 decodes a Linux cooked header of version 2 (LINKTYPE_LINUX_SLL2).
func (d *Decoder) cooked2(o view) {
	const header = 20
	if rest, ok := d.past(o, header); ok {
		d.cookedPayload(o.u16(0), o.u16(8), rest)
	}
}

// cookedPayload decodes what follows a cooked header.
func (d *Decoder) cookedPayload(protocol, hardware uint16, o view) {
	const ethernet, llc, ppp = 3, 4, 7 // Linux's ETH_P_ALL and so on, below macTypes
	switch {
	case hardware == hardwareNetlink:
	case protocol > macTypes && hardware == hardwareGRE:
		d.greProtocol(protocol, o, false)
	case protocol > macTypes:
		d.etherType(layers.EthernetType(protocol), o)
	case hardware == hardwareRelay:
		d.frameRelay(o)
	case hardware == hardwareRadiotap:
		d.radiotap(o)
	case protocol == ethernet:
		d.ethernet(o)
	case protocol == llc:
		d.logicalLink(o)
	case protocol == ppp:
		d.pppHDLC(o)
	}
}

// nflog decodes a netfilter log header: attributes, one of which is the packet
// (LINKTYPE_NFLOG; Linux include/uapi/linux/netfilter/nfnetlink_log.h).
func (d *Decoder) nflog(o view) {
	const packetHeader, payload = 1, 9
	const ip4, ip6 = 2, 10
	if !d.need(o, 4) {
		return
	}
	family := o.b[0]
	var protocol uint16
	var packet view
	for o, _ = o.from(4); o.has(4); {
		// Lengths are in the byte order of the host.
		n, kind := int(binary.LittleEndian.Uint16(o.b)), binary.LittleEndian.Uint16(o.b[2:])
		if n > o.wire {
			n, kind = int(o.u16(0)), o.u16(2)
		}
		if n < 4 {
			return
		}
		value, _ := o.first(n).from(4)
		switch kind & 0x7fff {
		case packetHeader:
			if value.has(2) {
				protocol = value.u16(0)
			}
		case payload:
			packet = value
		}
		var ok bool
		if o, ok = o.from((n + 3) &^ 3); !ok {
			break
		}
	}
	switch {
	case protocol != 0:
		d.etherType(layers.EthernetType(protocol), packet)
	case family == ip4:
		d.ip(packet)
	case family == ip6:
		d.ipv6(packet)
	}
}

// pflog decodes the header of OpenBSD's packet filter log (LINKTYPE_PFLOG).
func (d *Decoder) pflog(o view) {
	if d.need(o, 2) {
		d.family(uint32(o.b[1]), (int(o.b[0])+3)&^3, o)
	}
}

// enc decodes the header of OpenBSD's IPsec interface (LINKTYPE_ENC).
func (d *Decoder) enc(o view) {
	if !d.need(o, 4) {
		return
	}
	f := binary.LittleEndian.Uint32(o.b)
	if f>>16 != 0 {
		f = o.u32(0)
	}
	if f == familyINET || f == familyINET6BSD {
		d.family(f, 12, o)
	}
}
