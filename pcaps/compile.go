package pcaps

import (
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"connrace/tcpstate"
)

// Link is what frames begin with.
type Link uint8

// The link types that the compiler writes.
const (
	Ethernet Link = iota
	Raw
	Null
	SLL
	SLL2
)

var (
	linkNames = [...]string{"ethernet", "raw", "null", "sll", "sll2"}
	linkTypes = [...]uint16{1, 101, 0, 113, 276} // LINKTYPE_ values, pcap-linktype(7)
	linkSizes = [...]int{14, 0, 4, 16, 20}
)

func (l Link) String() string { return linkNames[l] }

// Type is the LINKTYPE_ value that files have.
func (l Link) Type() uint16 { return linkTypes[l] }

// ethernetMin is the length of the shortest Ethernet frame without its checksum.
const ethernetMin = 60

// Frame is a compiled packet.
type Frame struct {
	Time   int64 // ns since the Unix epoch
	Data   []byte
	Length int // on the wire, not less than len(Data)
}

// Frames compiles the script.
func (s *Script) Frames() ([]Frame, error) {
	r := s.Resolve()
	out := make([]Frame, 0, len(r.Packets))
	for i := range r.Packets {
		p := &r.Packets[i]
		data, err := r.frame(p)
		if err != nil {
			return nil, err
		}
		out = append(out, Frame{Time: r.Time(p), Data: data[:r.captured(p)], Length: len(data)})
	}
	return out, nil
}

// frame serialises what was captured of a resolved packet, or of the ICMP error about it.
func (s *Script) frame(p *Packet) ([]byte, error) {
	src, dst := s.Hosts[p.Src].Addr, s.Hosts[p.Dst].Addr
	data, err := s.packet(p)
	if err == nil && p.ICMP != nil {
		src, dst = s.Hosts[p.ICMP.From].Addr, src
		data, err = s.quote(p, data)
	}
	if err != nil {
		return nil, err
	}
	data = append(s.link(src.Addr(), dst.Addr()), data...)
	if n := ethernetMin - len(data); s.Capture.Pad && n > 0 {
		data = append(data, make([]byte, n)...)
	}
	return data, nil
}

// packet serialises a resolved packet from its IP header on.
func (s *Script) packet(p *Packet) ([]byte, error) {
	src, dst := s.Hosts[p.Src].Addr, s.Hosts[p.Dst].Addr
	tcp := s.tcp(p)
	var ip interface {
		gopacket.SerializableLayer
		gopacket.NetworkLayer
	}
	if src.Addr().Is4() {
		ip = &layers.IPv4{
			Version: 4, TTL: p.ttl(), Id: uint16(p.IPID.N), Flags: layers.IPv4DontFragment, Protocol: layers.IPProtocolTCP,
			SrcIP: src.Addr().AsSlice(), DstIP: dst.Addr().AsSlice(),
		}
	} else {
		ip = &layers.IPv6{
			Version: 6, HopLimit: p.ttl(), NextHeader: layers.IPProtocolTCP,
			SrcIP: src.Addr().AsSlice(), DstIP: dst.Addr().AsSlice(),
		}
	}
	if err := tcp.SetNetworkLayerForChecksum(ip); err != nil {
		return nil, err
	}
	return serialize(ip, tcp, gopacket.Payload(p.payload()))
}

func serialize(ls ...gopacket.SerializableLayer) ([]byte, error) {
	b := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, ls...)
	return b.Bytes(), err
}

// tcp is the packet's header.
func (s *Script) tcp(p *Packet) *layers.TCP {
	src, dst := &s.Hosts[p.Src], &s.Hosts[p.Dst]
	t := &layers.TCP{
		SrcPort: layers.TCPPort(src.Addr.Port()), DstPort: layers.TCPPort(dst.Addr.Port()),
		Seq: uint32(src.ISN + p.Seq), Window: p.window(),
		FIN: p.Flags.Has(tcpstate.FIN), SYN: p.Flags.Has(tcpstate.SYN), RST: p.Flags.Has(tcpstate.RST),
		PSH: p.Flags.Has(tcpstate.PSH), ACK: p.Flags.Has(tcpstate.ACK), URG: p.Flags.Has(tcpstate.URG),
		ECE: p.Flags.Has(tcpstate.ECE), CWR: p.Flags.Has(tcpstate.CWR),
		Options: s.options(p),
	}
	if t.ACK {
		t.Ack = uint32(dst.ISN + p.Ack)
	}
	return t
}

func (p *Packet) ttl() uint8 { return uint8(p.TTL.Or(64)) }

func (p *Packet) window() uint16 {
	if p.reply() {
		return uint16(p.Win.Or(0))
	}
	return uint16(p.Win.Or(65535))
}

// options are the packet's TCP options in the order of Linux (tcp_options_write), filled
// up to a multiple of four bytes.
func (s *Script) options(p *Packet) []layers.TCPOption {
	var os []layers.TCPOption
	add := func(kind layers.TCPOptionKind, data ...byte) {
		os = append(os, layers.TCPOption{OptionType: kind, OptionLength: uint8(2 + len(data)), OptionData: data})
	}
	nop := func(n int) {
		for range n {
			os = append(os, layers.TCPOption{OptionType: layers.TCPOptionKindNop, OptionLength: 1})
		}
	}
	if p.MSS.Set {
		add(layers.TCPOptionKindMSS, byte(p.MSS.N>>8), byte(p.MSS.N))
	}
	ts := s.hasTS(p)
	if p.SACKOK {
		if !ts {
			nop(2)
		}
		add(layers.TCPOptionKindSACKPermitted)
	}
	if ts {
		if !p.SACKOK {
			nop(2)
		}
		v := p.TS
		if v == nil {
			v = &Timestamps{} // not resolved: only the length is asked for
		}
		add(layers.TCPOptionKindTimestamps, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, v.Val), v.Ecr)...)
	}
	if p.WScale.Set {
		nop(1)
		add(layers.TCPOptionKindWindowScale, byte(p.WScale.N))
	}
	return os
}

// hasTS reports whether the packet has the timestamps option, resolved or not.
func (s *Script) hasTS(p *Packet) bool {
	if p.TS != nil {
		return !p.TS.Off
	}
	return s.Hosts[p.Src].HasTS && !p.reply()
}

// headers is how many bytes stand in front of the TCP header of a packet.
func (s *Script) headers(p *Packet) int {
	n := s.Capture.size() + ipHeader(s.Hosts[p.Src].Addr)
	if p.ICMP != nil {
		n += ipHeader(s.Hosts[p.ICMP.From].Addr) + icmpHeader
	}
	return n
}

// ipHeader is the length of the IP header of a host's packets.
func ipHeader(a netip.AddrPort) int {
	if a.Addr().Is4() {
		return 20
	}
	return 40
}

// size is the length of the header in front of the IP header.
func (c *Capture) size() int {
	n := linkSizes[c.Link]
	if c.VLAN != 0 {
		n += 4
	}
	return n
}

// tcpHeader is the length of the packet's TCP header.
func (s *Script) tcpHeader(p *Packet) int {
	n := 20
	for _, o := range s.options(p) {
		n += int(o.OptionLength)
	}
	return n
}

// length is the length of the packet's frame.
func (s *Script) length(p *Packet) int {
	n := s.headers(p) + s.tcpHeader(p)
	if p.ICMP == nil {
		n += p.Len
	}
	if s.Capture.Pad {
		n = max(n, ethernetMin)
	}
	return n
}

// captured is how much of the packet's frame is in the capture.
func (s *Script) captured(p *Packet) int {
	n := s.length(p)
	switch {
	case s.Capture.Headers:
		return s.headers(p) + s.tcpHeader(p)
	case s.Capture.Snaplen != 0:
		return min(n, s.Capture.Snaplen)
	}
	return n
}

// link is the header in front of the IP header. gopacket's Ethernet would pad short
// frames, which a capture at the sender does not show.
func (s *Script) link(src, dst netip.Addr) []byte {
	be := binary.BigEndian
	etherType, family := uint16(layers.EthernetTypeIPv4), uint32(2) // AF_INET
	if src.Is6() {
		etherType, family = uint16(layers.EthernetTypeIPv6), 30 // of Darwin
	}
	var h []byte
	switch s.Capture.Link {
	case Ethernet:
		h = append(append(h, mac(dst)...), mac(src)...)
		if s.Capture.VLAN != 0 {
			h = be.AppendUint16(be.AppendUint16(h, uint16(layers.EthernetTypeDot1Q)), s.Capture.VLAN)
		}
		h = be.AppendUint16(h, etherType)
	case Null: // the address family in the byte order of the capturing host
		h = binary.LittleEndian.AppendUint32(h, family)
	case SLL: // packet type, ARPHRD_ETHER, length of the address, address, protocol
		h = append(append(h, 0, 0, 0, 1, 0, 6), mac(src)...)
		h = be.AppendUint16(append(h, 0, 0), etherType)
	case SLL2: // protocol, reserved, interface, ARPHRD_ETHER, packet type, address
		h = append(be.AppendUint16(h, etherType), 0, 0, 0, 0, 0, 2, 0, 1, 0, 6)
		h = append(append(h, mac(src)...), 0, 0)
	}
	return h
}

// mac is a locally administered address made of the last bytes of an IP address.
func mac(a netip.Addr) net.HardwareAddr {
	b := a.AsSlice()
	return append(net.HardwareAddr{2, 0}, b[len(b)-4:]...)
}

// Segments are the script's packets as the tracker takes them. Payloads are cut off as
// the snapshot length has it.
func (s *Script) Segments() []tcpstate.Segment {
	r := s.Resolve()
	out := make([]tcpstate.Segment, 0, len(r.Packets))
	for i := range r.Packets {
		if g, ok := r.segment(uint64(i+1), &r.Packets[i]); ok {
			out = append(out, g)
		}
	}
	return out
}

// segment is a resolved packet; ok is false where too little of it was captured.
func (s *Script) segment(frame uint64, p *Packet) (g tcpstate.Segment, ok bool) {
	src, dst := &s.Hosts[p.Src], &s.Hosts[p.Dst]
	g = tcpstate.Segment{
		Frame: frame, Time: s.Time(p),
		Src: tcpstate.EndpointFrom(src.Addr), Dst: tcpstate.EndpointFrom(dst.Addr),
		Seq: src.ISN + p.Seq, Len: uint32(p.Len), Flags: p.Flags, TTL: p.ttl(), Window: p.window(),
	}
	if src.Addr.Addr().Is4() {
		g.IPID = uint16(p.IPID.N)
	}
	if p.Flags.Has(tcpstate.ACK) {
		g.Ack = dst.ISN + p.Ack
	}
	captured := s.captured(p) - s.headers(p) - 20
	header := captured + 20
	for _, o := range s.options(p) {
		g.Options = true
		if captured -= int(o.OptionLength); captured >= 0 {
			setOption(&g, &o)
		}
	}
	if captured >= 0 {
		b := p.payload()
		g.Payload = b[:min(captured, len(b))]
	}
	return g, p.ICMP == nil || s.quotes(&g, p, header)
}

func setOption(g *tcpstate.Segment, o *layers.TCPOption) {
	if o.OptionType == layers.TCPOptionKindTimestamps {
		g.HasTS = true
		g.TSVal, g.TSEcr = binary.BigEndian.Uint32(o.OptionData), binary.BigEndian.Uint32(o.OptionData[4:])
	}
}
