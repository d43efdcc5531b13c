package pcaps

import (
	"encoding/binary"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"connrace/tcpstate"
)

// How ICMP errors are compiled.

const (
	tooBig     = "too-big"
	icmpHeader = 8
)

// icmpErrors are type and code of the errors, of ICMP (RFC 792, RFC 1812 §5.2.7.1) and of
// ICMPv6 (RFC 4443 §3).
var icmpErrors = map[string]struct{ v4, v6 [2]uint8 }{
	tooBig:             {[2]uint8{3, 4}, [2]uint8{2, 0}},
	"net-unreachable":  {[2]uint8{3, 0}, [2]uint8{1, 0}},
	"host-unreachable": {[2]uint8{3, 1}, [2]uint8{1, 3}},
	"port-unreachable": {[2]uint8{3, 3}, [2]uint8{1, 4}},
	"prohibited":       {[2]uint8{3, 13}, [2]uint8{1, 1}},
	"time-exceeded":    {[2]uint8{11, 0}, [2]uint8{3, 0}},
}

// quoted is the first packet that the ICMP error of a packet can quote; nil: none.
func (s *Script) quoted(p *Packet) *Packet {
	for i := range s.Packets {
		o := &s.Packets[i]
		if o.ICMP == nil && o.Src == p.Src && o.Dst == p.Dst && o.Flags == p.Flags && o.Seq == p.Seq && o.Ack == p.Ack && o.Len == p.Len {
			return o
		}
	}
	return nil
}

// towards is the host whose packets take the same way.
func (p *Packet) towards() int {
	if p.ICMP != nil {
		return p.Dst
	}
	return p.Src
}

// said is the ICMP error of a packet as the tracker takes it.
func (s *Script) said(p *Packet) *tcpstate.ICMPError {
	from := s.Hosts[p.ICMP.From].Addr.Addr()
	e := &tcpstate.ICMPError{From: tcpstate.AddrFrom(from), V6: from.Is6(), MTU: p.ICMP.MTU}
	kind := icmpErrors[p.ICMP.Name].v4
	if e.V6 {
		kind = icmpErrors[p.ICMP.Name].v6
	}
	e.Type, e.Code = kind[0], kind[1]
	return e
}

// quote makes an ICMP error of the packet that it quotes: all but the payload of that.
func (s *Script) quote(p *Packet, packet []byte) ([]byte, error) {
	e := s.said(p)
	from, to := s.Hosts[p.ICMP.From].Addr.Addr(), s.Hosts[p.Src].Addr.Addr()
	front := []gopacket.SerializableLayer{
		&layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolICMPv4, SrcIP: from.AsSlice(), DstIP: to.AsSlice()},
		&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(e.Type, e.Code), Seq: uint16(e.MTU)},
	}
	if e.V6 {
		ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolICMPv6, SrcIP: from.AsSlice(), DstIP: to.AsSlice()}
		icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(e.Type, e.Code)}
		if err := icmp.SetNetworkLayerForChecksum(ip); err != nil {
			return nil, err
		}
		front = []gopacket.SerializableLayer{ip, icmp, gopacket.Payload(binary.BigEndian.AppendUint32(nil, e.MTU))}
	}
	return serialize(append(front, gopacket.Payload(packet[:len(packet)-p.Len]))...)
}

// quotes makes of a segment what the decoder makes of it inside of an ICMP error; header is
// how many bytes of the TCP header were captured. It reports whether they are enough.
func (s *Script) quotes(g *tcpstate.Segment, p *Packet, header int) bool {
	const (
		numbered = 16 // bytes for Wireshark to give it a stream number
		least    = 8  // RFC 792
	)
	g.Quoted, g.NoLength, g.ICMP, g.Len, g.Payload = true, true, s.said(p), 0, nil
	if header < numbered {
		g.Unnumbered, g.Flags, g.Ack, g.Window, g.Options = true, 0, 0, 0, false
	}
	return header >= least
}
