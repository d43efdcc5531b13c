package capture

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"connrace/tcpstate"
)

// The segment that the tests wrap in headers.
var (
	src4 = netip.MustParseAddrPort("10.0.0.2:41000")
	dst4 = netip.MustParseAddrPort("10.0.1.9:8080")
	src6 = netip.MustParseAddrPort("[2001:db8::2]:41000")
	dst6 = netip.MustParseAddrPort("[2001:db8::9]:8080")

	request = []byte("GET / HTTP/1.1\r\n\r\n")
)

const (
	macs   = "020000000002" + "020000000001"
	vendor = "001b21000002" + "001b21000001"
)

// unhex reads hexadecimal, spaces apart.
func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		panic(err)
	}
	return b
}

// put joins pieces: strings are hexadecimal, 16-bit numbers big-endian.
func put(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch v := p.(type) {
		case string:
			b = append(b, unhex(v)...)
		case []byte:
			b = append(b, v...)
		case int:
			b = binary.BigEndian.AppendUint16(b, uint16(v))
		default:
			panic(fmt.Sprintf("put %T", p))
		}
	}
	return b
}

// serialize has gopacket write layers, with lengths and checksums.
func serialize(ls ...gopacket.SerializableLayer) []byte {
	buf := gopacket.NewSerializeBuffer()
	opt := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(buf, opt, ls...); err != nil {
		panic(err)
	}
	return bytes.Clone(buf.Bytes())
}

func header4(proto layers.IPProtocol) *layers.IPv4 {
	return &layers.IPv4{
		Version: 4, TTL: 64, Id: 77, Protocol: proto,
		SrcIP: src4.Addr().AsSlice(), DstIP: dst4.Addr().AsSlice(),
	}
}

func header6(next layers.IPProtocol) *layers.IPv6 {
	return &layers.IPv6{
		Version: 6, HopLimit: 64, NextHeader: next,
		SrcIP: src6.Addr().AsSlice(), DstIP: dst6.Addr().AsSlice(),
	}
}

func headerTCP(options ...layers.TCPOption) *layers.TCP {
	return &layers.TCP{
		SrcPort: 41000, DstPort: 8080, Seq: 1001, Ack: 2002, PSH: true, ACK: true, Window: 502,
		Options: options,
	}
}

// tcp4 is the segment in IPv4, tcp6 in IPv6.
func tcp4(options ...layers.TCPOption) []byte {
	ip, tcp := header4(layers.IPProtocolTCP), headerTCP(options...)
	tcp.SetNetworkLayerForChecksum(ip)
	return serialize(ip, tcp, gopacket.Payload(request))
}

func tcp6(options ...layers.TCPOption) []byte {
	ip, tcp := header6(layers.IPProtocolTCP), headerTCP(options...)
	tcp.SetNetworkLayerForChecksum(ip)
	return serialize(ip, tcp, gopacket.Payload(request))
}

// in4 and in6 put b into IP as protocol p.
func in4(p uint8, b []byte) []byte {
	return serialize(header4(layers.IPProtocol(p)), gopacket.Payload(b))
}

// in6 writes the header itself: gopacket's has its own mind about hop-by-hop options.
func in6(p uint8, b []byte) []byte {
	return put("60000000", len(b), []byte{p, 64}, src6.Addr().AsSlice(), dst6.Addr().AsSlice(), b)
}

// inUDP puts b into UDP to port p, in IPv4.
func inUDP(p int, b []byte) []byte {
	return in4(protoUDP, put(51000, p, 8+len(b), 0, b))
}

// inEther puts b into Ethernet as type t.
func inEther(t int, b []byte) []byte { return put(macs, t, b) }

func ether4() []byte { return inEther(0x0800, tcp4()) }

// deflated compresses b.
func deflated(b []byte) []byte {
	var buf bytes.Buffer
	w, err := flate.NewWriter(&buf, flate.BestCompression)
	if err != nil {
		panic(err)
	}
	w.Write(b)
	w.Close()
	return buf.Bytes()
}

// frameOf makes a frame of which everything was captured.
func frameOf(t LinkType, b []byte) *Frame {
	return &Frame{Number: 7, Time: 1e9, LinkType: t, Length: uint32(len(b)), Data: b}
}

func decode(f *Frame) []tcpstate.Segment { return NewDecoder().Decode(f, nil) }

// want is the segment of tcp4 or tcp6.
func want(six bool) tcpstate.Segment {
	s := tcpstate.Segment{
		Frame: 7, Time: 1e9, Src: tcpstate.EndpointFrom(src4), Dst: tcpstate.EndpointFrom(dst4),
		Seq: 1001, Ack: 2002, Len: uint32(len(request)), Flags: tcpstate.PSH | tcpstate.ACK,
		Window: 502, IPID: 77, TTL: 64, Payload: request,
	}
	if six {
		s.Src, s.Dst, s.IPID = tcpstate.EndpointFrom(src6), tcpstate.EndpointFrom(dst6), 0
	}
	return s
}

// encapsulations are frames with the segment of tcp4 or tcp6 in them.
var encapsulations = []struct {
	name string
	link LinkType
	data []byte
	six  bool
}{
	{"Ethernet", LinkEthernet, ether4(), false},
	{"Ethernet IPv6", LinkEthernet, inEther(0x86dd, tcp6()), true},
	{"IPv6 in an IPv4 type", LinkEthernet, inEther(0x0800, tcp6()), true},
	{"VLAN", LinkEthernet, put(macs, "8100 0005 0800", tcp4()), false},
	{"VLAN IPv6", LinkEthernet, put(macs, "8100 0005 86dd", tcp6()), true},
	{"VLAN with LLC", LinkEthernet, put(macs, "8100 0005", 8+len(tcp4()), "aaaa03 000000 0800", tcp4()), false},
	{"QinQ", LinkEthernet, put(macs, "88a8 0005 8100 0006 0800", tcp4()), false},
	{"three tags", LinkEthernet, put(macs, "9100 0005 8100 0006 8100 0007 0800", tcp4()), false},
	{"LLC with SNAP", LinkEthernet, put(macs, 8+len(tcp4()), "aaaa03 000000 0800", tcp4()), false},
	{"LLC with SAP", LinkEthernet, put(macs, 3+len(tcp4()), "060603", tcp4()), false},
	{"bridged Ethernet in SNAP", LinkEthernet, put(macs, 10+len(ether4()), "aaaa03 0080c2 0007 0000", ether4()), false},
	{"jumbo LLC", LinkEthernet, put(macs, "8870 aaaa03 000000 0800", tcp4()), false},
	{"PPPoE", LinkEthernet, put(macs, "8864 1100 0001", 2+len(tcp4()), "0021", tcp4()), false},
	{"PPPoE IPv6 compressed", LinkEthernet, put(macs, "8864 1100 0001", 1+len(tcp6()), "57", tcp6()), true},
	{"MPLS", LinkEthernet, put(macs, "8847 00010040 00011140", tcp4()), false},
	{"MPLS IPv6", LinkEthernet, put(macs, "8848 00011140", tcp6()), true},
	{"MPLS pseudowire with control word", LinkEthernet, put(macs, "8847 00011140 00000000", vendor, "0800", tcp4()), false},
	{"MPLS pseudowire", LinkEthernet, put(macs, "8847 00011140", vendor, "0800", tcp4()), false},
	{"MPLS channel", LinkEthernet, put(macs, "8847 00011140 10000021", tcp4()), false},
	{"Cisco metadata", LinkEthernet, put(macs, "8909 0101 0001 000a 0800", tcp4()), false},
	{"MAC in MAC", LinkEthernet, put(macs, "88a8 0001 88e7 00000001", macs, "0800", tcp4()), false},
	{"MACsec", LinkEthernet, put(macs, "88e5 2000 00000001 0000000000000001 0800", tcp4(), make([]byte, 16)), false},
	{"VN-Tag", LinkEthernet, put(macs, "8926 00000000 0800", tcp4()), false},
	{"E-Tag", LinkEthernet, put(macs, "893f 000000000000 0800", tcp4()), false},
	{"HSR", LinkEthernet, put(macs, "892f 0000 0001 0800", tcp4()), false},
	{"R-Tag", LinkEthernet, put(macs, "f1c1 0000 0001 0800", tcp4()), false},
	{"Arista timestamp", LinkEthernet, put(macs, "d28b 0001 0110 0000000000000000 0800", tcp4()), false},
	{"TRILL", LinkEthernet, put(macs, "22f3 0044 0001 0002 00000000", ether4()), false},
	{"B.A.T.M.A.N.", LinkEthernet, put(macs, "4305 400f 3200 020000000001", ether4()), false},
	{"FabricPath", LinkEthernet, put("020001000001 020002000001 8903 0040", ether4(), "00000000"), false},
	{"ISL", LinkEthernet, put("01000c0000 00 020000000001", 12+len(ether4())+4, "aaaa03 00000c 0002 0000 0000", ether4(), "00000000"), false},
	{"NSH", LinkEthernet, put(macs, "894f 0fc2 0201 00000100", tcp4()), false},
	{"IP in IP", LinkIPv4, in4(4, in4(4, tcp4())), false},
	{"6in4", LinkIPv4, in4(41, tcp6()), true},
	{"4in6", LinkIPv6, in6(4, tcp4()), false},
	{"GRE", LinkIPv4, in4(47, put("0000 0800", tcp4())), false},
	{"GRE with everything", LinkIPv4, in4(47, put("f000 86dd 00000000 00000001 00000002 0800 0004 01020304 00000000", tcp6())), true},
	{"GRE bridging", LinkIPv4, in4(47, put("2000 6558 00000100", ether4())), false},
	{"GRE MPLS", LinkIPv4, in4(47, put("0000 8847 00011140", tcp4())), false},
	{"GRE WCCP 2", LinkIPv4, in4(47, put("0000 883e 01020304", tcp4())), false},
	{"GRE Cisco metadata", LinkIPv4, in4(47, put("0000 8909 0800 0101 0001 000a", tcp4())), false},
	{"PPTP", LinkIPv4, in4(47, put("3081 880b 0000 0000 00000001 00000002 ff03 0021", tcp4())), false},
	{"EoIP", LinkIPv4, in4(47, put("2001 6400 0000 0000", ether4())), false},
	{"ERSPAN I", LinkIPv4, in4(47, put("0000 88be", ether4())), false},
	{"ERSPAN II", LinkIPv4, in4(47, put("1000 88be 00000001 10050000 00000000", ether4())), false},
	{"ERSPAN III", LinkIPv4, in4(47, put("1000 22eb 00000001 20050000 00000000 0000 0001 0000000000000000", ether4())), false},
	{"EtherIP", LinkIPv4, in4(97, put("3000", ether4())), false},
	{"Ethernet in IPv6", LinkIPv6, in6(143, ether4()), false},
	{"MPLS in IP", LinkIPv4, in4(137, put("00011140", tcp4())), false},
	{"PIM register", LinkIPv4, in4(103, put("2100 0000 00000000", tcp4())), false},
	{"AH", LinkIPv4, in4(51, put("0604 0000 00000001 00000001 000000000000000000000000", tcp4()[20:])), false},
	{"VXLAN", LinkIPv4, inUDP(4789, put("0800000000000100", ether4())), false},
	{"VXLAN-GPE", LinkIPv4, inUDP(4790, put("0c00000100000100", tcp4())), false},
	{"VXLAN-GPE with NSH", LinkIPv4, inUDP(4790, put("0c00000400000100 0fc60103 00000100 00000000000000000000000000000000", ether4())), false},
	{"Geneve", LinkIPv4, inUDP(6081, put("0000655800000100", ether4())), false},
	{"Geneve with options", LinkIPv4, inUDP(6081, put("0200 0800 00000100 0102 8001 00000000", tcp4())), false},
	{"GTP-U", LinkIPv4, inUDP(2152, put("30ff", len(tcp4()), "00000001", tcp4())), false},
	{"GTP-U with extensions", LinkIPv4, inUDP(2152, put("34ff", 4+4+len(tcp6()), "00000001 000000 85 01100900", tcp6())), true},
	{"GTP version 0", LinkIPv4, inUDP(2152, put("1eff", len(tcp4()), "00000000000000000000000000000000", tcp4())), false},
	{"L2TP", LinkIPv4, inUDP(1701, put("4802", 12+4+len(tcp4()), "0001 0002 0003 0004 ff03 0021", tcp4())), false},
	{"Teredo", LinkIPv4, inUDP(3544, put("0001 0000 000000000000000000 0000 ffff ffffffff", tcp6())), true},
	{"LISP", LinkIPv4, inUDP(4341, put("8000000000000001", tcp4())), false},
	{"GRE in UDP", LinkIPv4, inUDP(4754, put("0000 0800", tcp4())), false},
	{"MPLS in UDP", LinkIPv4, inUDP(6635, put("00011140", tcp4())), false},
	{"AYIYA", LinkIPv4, inUDP(5072, put("4452 1129 00000000", make([]byte, 36), tcp6())), true},
	{"AMT", LinkIPv4, inUDP(2268, put("0600", tcp4())), false},
	{"TZSP", LinkIPv4, inUDP(37008, put("0100 0001 0a0105 00 01", ether4())), false},
	{"CAPWAP", LinkIPv4, inUDP(5247, put("00 100200 0000 0000", ether4())), false},
	{"CAPWAP 802.11", LinkIPv4, inUDP(5247, put("00 100300 0000 0000", "0108 0000 020000000001", macs, "0000 aaaa03 000000 0800", tcp4())), false},
	{"NULL", LinkNull, put("02000000", tcp4()), false},
	{"NULL big-endian", LinkNull, put("00000002", tcp4()), false},
	{"NULL Linux", LinkNull, put("0a000000", tcp6()), true},
	{"NULL BSD", LinkNull, put("18000000", tcp6()), true},
	{"NULL FreeBSD", LinkNull, put("0000001c", tcp6()), true},
	{"NULL Darwin", LinkNull, put("1e000000", tcp6()), true},
	{"NULL of 16 bits", LinkNull, put("0002 0000", tcp4()), false},
	{"LOOP", LinkLoop, put("00000018", tcp6()), true},
	{"raw", LinkRaw, tcp4(), false},
	{"raw 14", LinkRawOpenBSD, tcp6(), true},
	{"raw 101", LinkRawIP, tcp6(), true},
	{"raw with PPP", LinkRawIP, put("ff03 0021", tcp4()), false},
	{"IPv4", LinkIPv4, tcp4(), false},
	{"IPv6", LinkIPv6, tcp6(), true},
	{"PPP", LinkPPP, put("ff03 0021", tcp4()), false},
	{"PPP compressed", LinkPPPHDLC, put("21", tcp4()), false},
	{"PPP MPLS", LinkPPP, put("ff03 0281 00011140", tcp6()), true},
	{"PPP multilink", LinkPPP, put("ff03 003d c0000001 0021", tcp4()), false},
	{"PPP multiplexed", LinkPPP, put("ff03 0059", 0xc000|(1+len(tcp4())), "21", tcp4()), false},
	{"PPP with direction", LinkPPPWithDir, put("00 ff03 0021", tcp4()), false},
	{"PPPoE link", LinkPPPoE, put("1100 0001", 2+len(tcp4()), "0021", tcp4()), false},
	{"Cisco HDLC", LinkCiscoHDLC, put("0f00 0800", tcp4()), false},
	{"Cisco HDLC in PPP", LinkPPP, put("8f00 86dd", tcp6()), true},
	{"frame relay NLPID", LinkFrameRelay, put("1841 03cc", tcp4()), false},
	{"frame relay SNAP", LinkFrameRelay, put("1841 0300 80 000000 86dd", tcp6()), true},
	{"frame relay Cisco", LinkFrameRelay, put("1841 0800", tcp4()), false},
	{"Linux cooked", LinkLinuxSLL, put("0000 0001 0006 0200000000010000 0800", tcp4()), false},
	{"Linux cooked VLAN", LinkLinuxSLL, put("0000 0001 0006 0200000000010000 8100 0005 86dd", tcp6()), true},
	{"Linux cooked with a bad address length", LinkLinuxSLL, put("0000 0001 ffff 0200000000010000 0800", tcp4()), false},
	{"Linux cooked GRE", LinkLinuxSLL, put("0000 030a 0004 0000000000000000 0800", tcp4()), false},
	{"Linux cooked 2", LinkLinuxSLL2, put("0800 0000 00000002 0001 04 06 0200000000010000", tcp4()), false},
	{"Linux cooked 2 IPv6", LinkLinuxSLL2, put("86dd 0000 00000002 0304 00 00 0000000000000000", tcp6()), true},
	{"NFLOG", LinkNFLog, put("0200 0001 0800 0100 0800 0300", binary.LittleEndian.AppendUint16(nil, uint16(4+len(tcp4()))), "0900", tcp4()), false},
	{"NFLOG without type", LinkNFLog, put("0a00 0001", binary.LittleEndian.AppendUint16(nil, uint16(4+len(tcp6()))), "0900", tcp6()), true},
	{"PFLOG", LinkPFLog, put("3d02", make([]byte, 62), tcp4()), false},
	{"OpenBSD enc", LinkEnc, put("00000018 00000001 00000000", tcp6()), true},
	{"FDDI", LinkFDDI, put("50", macs, "aaaa03 000000 0800", tcp4()), false},
	{"token ring", LinkTokenRing, put("1040 020000000002 820000000001 0270 aaaa03 000000 0800", tcp4()), false},
	{"ATM LLC", LinkATMLLC, put("aaaa03 000000 0800", tcp4()), false},
	{"SunATM", LinkSunATM, put("02 00 0021 aaaa03 000000 0800", tcp4()), false},
	{"IP over InfiniBand", LinkIPoIB, put(make([]byte, 40), "0800 0000", tcp4()), false},
	{"ARCNET", LinkARCNETLinux, put("0102 0000 d4 00 0001", tcp4()), false},
	{"PKTAP", LinkPKTAP, put("6c000000 01000000 01000000", make([]byte, 96), ether4()), false},
	{"PPI", LinkPPI, put("0000 0800 01000000", ether4()), false},
	{"ERF", LinkERF, put("0000000000000000 82 00 0000 0000", len(ether4()), "0300000000000000 0000", ether4()), false},
	{"Juniper Ethernet", LinkJuniperEther, put("4d4743 80 0006 0102 0000 0000", ether4()), false},
	{"Juniper without link header", LinkJuniperPPP, put("4d4743 02 02000000", tcp4()), false},
	{"Juniper ATM", LinkJuniperATM2, put("4d4743 01 0000000000000000 aaaa03 000000 0800", tcp4()), false},
	{"802.11", LinkIEEE80211, put("0801 0000", macs, "020000000009 0000 aaaa03 000000 0800", tcp4()), false},
	{"802.11 QoS, four addresses", LinkIEEE80211, put("8803 0000", macs, "020000000009 0000 020000000008 0000 aaaa03 000000 86dd", tcp6()), true},
	{"802.11 aggregate", LinkIEEE80211, put("8801 0000", macs, "020000000009 0000 8000", macs, 8+len(tcp4()), "aaaa03 000000 0800", tcp4()), false},
	{"802.11 mesh", LinkIEEE80211, put("8803 0000", macs, "020000000009 0000 020000000008 0000 001f00000000 aaaa03 000000 0800", tcp4()), false},
	{"radiotap", LinkRadiotap, put("0000 0900 02000000 10 0801 0000", macs, "020000000009 0000 aaaa03 000000 0800", tcp4(), "00000000"), false},
	{"radiotap padded", LinkRadiotap, put("0000 1200 03000000 0000000000000000 20 00", "8801 0000", macs, "020000000009 0000 0000 0000 aaaa03 000000 0800", tcp4()), false},
	{"Prism", LinkPrism, put("44000000 90000000", make([]byte, 136), "0801 0000", macs, "020000000009 0000 aaaa03 000000 0800", tcp4()), false},
	{"AVS", LinkAVS, put("80211001 00000040", make([]byte, 56), "0801 0000", macs, "020000000009 0000 aaaa03 000000 0800", tcp4()), false},
	{"LLC with an OSI identifier", LinkATMLLC, put("fefe03 cc", tcp4()), false},
	{"LLC with PPP", LinkATMLLC, put("fefe03 cf 0057", tcp6()), true},
	{"PPP with an OSI identifier", LinkPPP, put("ff03 0023 8e", tcp6()), true},
	{"PPP uncompressed by Van Jacobson", LinkPPP, put("ff03 002f", tcp4()[:9], "05", tcp4()[10:]), false},
	{"OpenBSD enc 13", LinkEncOpenBSD, put("02000000 00000001 00000000", tcp4()), false},
	{"classical IP over ATM", LinkCLIPLinux, tcp4(), false},
	{"FireWire", LinkFireWire, put("0000000000000001 0000000000000002 86dd", tcp6()), true},
	{"DOCSIS", LinkDOCSIS, put("0000", len(ether4())+4, "0000", ether4(), "00000000"), false},
	{"DOCSIS extended", LinkDOCSIS, put("0105", 5+len(ether4())+4, "4400012300", "0000", ether4(), "00000000"), false},
	{"EPON", LinkEPON, put("5555d555 5500 0100", ether4()), false},
	{"mPacket", LinkMPacket, put("55555555555555d5", ether4(), "00000000"), false},
	{"exported IP", LinkUpperPDU, put("000c 0004 69707636 0000 0000", tcp6()), true},
	{"exported TCP", LinkUpperPDU, put("000c 0004 74637000 0014 0004 0a000002 0015 0004 0a000109 0000 0000", tcp4()[20:]), false},
	{"Juniper multilink", LinkJuniperMLPPP, put("4d4743 01 0000 0021", tcp4()), false},
	{"Juniper VP", LinkJuniperVP, put("4d4743 01", make([]byte, 18), tcp4()), false},
	{"Juniper mirror", LinkIPv4, inUDP(30030, put("0000000000000000", tcp6())), true},
	{"Ethernet in UDP", LinkIPv4, inUDP(12220, ether4()), false},
	{"LLC with bridged token ring", LinkATMLLC, put("aaaa03 0080c2 0009 0000 1040 020000000002 020000000001 aaaa03 000000 0800", tcp4()), false},
	{"LLC with bridged FDDI", LinkATMLLC, put("aaaa03 0080c2 000a 0000 00 50", macs, "aaaa03 000000 0800", tcp4()), false},
	{"MPLS pseudowire with LLC", LinkEthernet, put(macs, "8847 00011140 001b21", "000002 001b21000001", 8+len(tcp4()), "aaaa03 000000 0800", tcp4()), false},
	{"MPLS channel IPv6", LinkEthernet, put(macs, "8847 0000d140 10000057", tcp6()), true},
	{"Arista short timestamp", LinkEthernet, put(macs, "d28b 0001 0020 000000000000 0800", tcp4()), false},
	{"B.A.T.M.A.N. broadcast", LinkEthernet, put(macs, "4305 010f 3200 00000001 020000000001", ether4()), false},
	{"FabricPath in a VLAN", LinkEthernet, put("020001000001 020002000001 8100 0005 8903 0040", ether4(), "00000000"), false},
	{"NSH IPv6", LinkEthernet, put(macs, "894f 0fc2 0202 00000100", tcp6()), true},
	{"GRE frame relay", LinkIPv4, in4(47, put("0000 6559 1841 03cc", tcp4())), false},
	{"GRE Aruba", LinkIPv4, in4(47, put("0000 8200 0801 0000", macs, "020000000009 0000 aaaa03 000000 0800", tcp4())), false},
	{"IPComp", LinkIPv4, in4(108, put("0600 0002", deflated(tcp4()[ip4Fixed:]))), false},
	{"Ethernet in GTP-U", LinkIPv4, inUDP(2152, put("30ff", len(ether4()), "00000001", ether4())), false},
	{"L2TP with offset", LinkIPv4, inUDP(1701, put("0202 0001 0002 0002 0000 21", tcp4())), false},
	{"AMT membership", LinkIPv4, inUDP(2268, put("0500 000000000000 00000000", tcp4())), false},
	{"TZSP 802.11", LinkIPv4, inUDP(37008, put("0100 0012 01 0801 0000", macs, "020000000009 0000 aaaa03 000000 0800", tcp4())), false},
	{"TZSP PPP", LinkIPv4, inUDP(37008, put("0100 0004 01 0021", tcp4())), false},
	{"TZSP raw", LinkIPv4, inUDP(37008, put("0100 0007 01", tcp4())), false},
	{"NULL with a type", LinkNull, put("dd860000", tcp6()), true},
	{"NULL with PPP", LinkNull, put("ff03 0021", tcp4()), false},
	{"NULL of 16 bits, other order", LinkNull, put("0200 0000", tcp4()), false},
	{"raw behind zeros", LinkRawIP, put("00000000000000000000", tcp4()), false},
	{"PPP LLC", LinkPPP, put("ff03 004b aaaa03 000000 0800", tcp4()), false},
	{"PPP with an Ethernet type", LinkPPP, put("ff03 0800", tcp4()), false},
	{"PPPoE with credits", LinkPPPoE, put("1100 0001", 10+len(tcp4()), "0106 0004 0000 0000 0021", tcp4()), false},
	{"frame relay PPP", LinkFrameRelay, put("1841 03cf 0021", tcp4()), false},
	{"frame relay padded", LinkFrameRelay, put("1841 0300 8e", tcp6()), true},
	{"frame relay Ethernet", LinkFrameRelay, put("1841", ether4()), false},
	{"Linux cooked Ethernet", LinkLinuxSLL, put("0000 0001 0006 0200000000010000 0003", ether4()), false},
	{"Linux cooked LLC", LinkLinuxSLL, put("0000 0001 0006 0200000000010000 0004 aaaa03 000000 0800", tcp4()), false},
	{"Linux cooked PPP", LinkLinuxSLL, put("0000 0200 0000 0000000000000000 0007 ff03 0021", tcp4()), false},
	{"Linux cooked frame relay", LinkLinuxSLL, put("0000 0302 0000 0000000000000000 0000 1841 03cc", tcp4()), false},
	{"Linux cooked radiotap", LinkLinuxSLL, put("0000 0323 0006 0200000000010000 0004 0000 0800 00000000 0801 0000", macs, "020000000009 0000 aaaa03 000000 0800", tcp4()), false},
	{"old PFLOG", LinkPFLogOld, put("00000002", make([]byte, 24), tcp4()), false},
	{"SunATM LANE", LinkSunATM, put("01 00 0021 ff00", ether4()), false},
	{"SunATM of no kind", LinkSunATM, put("00 00 0021 aaaa03 000000 0800", tcp4()), false},
	{"ARCNET exception", LinkARCNET, put("0102 d4 ff ffff d4 00 0001", tcp4()), false},
	{"ARCNET RFC 1051", LinkARCNET, put("0102 f0", tcp4()), false},
	{"netANALYZER", LinkNetAnalyzer, put("00000000", ether4(), "00000000"), false},
	{"netANALYZER transparent", LinkNetAnalyzerRaw, put("00000000 55555555555555d5", ether4(), "00000000"), false},
	{"ERF PPP", LinkERF, put("0000000000000000 01 00 0000 0000", 4+len(tcp4()), "ff03 0021", tcp4()), false},
	{"ERF IPv4", LinkERF, put("0000000000000000 16 00 0000 0000", len(tcp4()), tcp4()), false},
	{"Juniper PPP", LinkJuniperPPP, put("4d4743 01 ff03 0021", tcp4()), false},
	{"Juniper frame relay", LinkJuniperRelay, put("4d4743 01 1841 03cc", tcp4()), false},
	{"Juniper HDLC", LinkJuniperHDLC, put("4d4743 01 0f00 0800", tcp4()), false},
	{"Juniper services", LinkJuniperServices, put("4d4743 01", make([]byte, 16), tcp4()), false},
	{"Juniper ATM1", LinkJuniperATM1, put("4d4743 01 00000000", tcp6()), true},
	{"Juniper ATM2 PPP", LinkJuniperATM2, put("4d4743 01 0000000000000000 0021", tcp4()), false},
	{"Juniper ATM2 Ethernet", LinkJuniperATM2, put("4d4743 00 0000000100000000", ether4()), false},
	{"802.11 with Ethernet", LinkIEEE80211, put("0801 0000", macs, "020000000009 0000", "020000000009 020000000001 0800", tcp4()), false},
	{"802.11 with a type", LinkIEEE80211, put("0801 0000", macs, "020000000009 0000 0800", tcp4()), false},
	{"802.11 with two odd octets", LinkIEEE80211, put("0801 0000", macs, "020000000009 0000 0000 aaaa03 000000 0800", tcp4()), false},
	{"IP over Fibre Channel", LinkIPOverFC, put(make([]byte, 16), "aaaa03 000000 0800", tcp4()), false},
	{"ipnet", LinkIPNET, put("01 02 0001 0000", len(tcp4()), make([]byte, 16), tcp4()), false},
	{"ipnet IPv6", LinkIPNET, put("01 1a 0001 0000", len(tcp6()), make([]byte, 16), tcp6()), true},
	{"MPLS pseudowire of Xerox", LinkEthernet, put(macs, "8847 00011140 000000000001 000000000002 0800", tcp4()), false},
	{"PPI 802.11", LinkPPI, put("0000 2000 69000000 0200 1400 0000000000000000 0100 0000 0000 0000 00 00 00 00", "0801 0000", macs, "020000000009 0000 aaaa03 000000 0800", tcp4(), "00000000"), false},
}
