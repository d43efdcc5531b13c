package capture

import (
	"encoding/binary"

	"connrace/tcpstate"
)

// peek decodes, at fixed offsets, what nearly all frames are: Ethernet, perhaps a VLAN tag,
// IPv4 without options or IPv6, and a TCP segment of which the whole header was captured.
// It fills s as Decoder.headers would, or reports false and leaves s undefined; a fuzz test
// compares the two.
func peek(f *Frame, s *tcpstate.Segment) bool {
	const (
		typeIP4, typeIP6, typeVLAN = 0x0800, 0x86dd, 0x8100
		timestamps                 = optNop<<24 | optNop<<16 | optTS<<8 | 10
		withTimestamps             = tcpFixed + 12
	)
	b, wire := f.Data, max(int(f.Length), len(f.Data))
	if f.LinkType != LinkEthernet || len(b) < macHeader+ip4Fixed+tcpFixed {
		return false
	}
	be := binary.BigEndian
	t, at := be.Uint16(b[12:]), macHeader
	if t == typeVLAN {
		t, at = be.Uint16(b[16:]), at+4
	}
	b, wire = b[at:], wire-at

	// Field by field, because a composite literal would be built first and then copied.
	var size int // of the TCP header and what follows it
	switch {
	case t == typeIP4 && len(b) >= ip4Fixed && b[0] == 0x45 && b[9] == protoTCP && be.Uint16(b[6:])&0x3fff == 0:
		s.Src.Addr, s.Dst.Addr = tcpstate.Addr4(b[12:16]), tcpstate.Addr4(b[16:20])
		s.IPID, s.TTL = be.Uint16(b[4:]), b[8]
		size, wire, b = int(be.Uint16(b[2:]))-ip4Fixed, wire-ip4Fixed, b[ip4Fixed:]
	case t == typeIP6 && len(b) >= ip6Fixed && b[0]>>4 == 6 && b[6] == protoTCP && be.Uint16(b[4:]) > 0:
		s.Src.Addr, s.Dst.Addr = tcpstate.Addr16(b[8:24]), tcpstate.Addr16(b[24:40])
		s.IPID, s.TTL = 0, b[7]
		size, wire, b = int(be.Uint16(b[4:])), wire-ip6Fixed, b[ip6Fixed:]
	default:
		return false
	}
	size = min(size, wire)
	if size < tcpFixed || len(b) < tcpFixed {
		return false
	}
	b = b[:min(len(b), size)]
	s.Src.Port, s.Dst.Port = be.Uint16(b), be.Uint16(b[2:])
	header := int(b[12]>>4) * 4
	if header < tcpFixed || header > len(b) || s.Src.Port == socksPort || s.Dst.Port == socksPort {
		return false
	}
	s.Frame, s.Time = f.Number, f.Time
	s.Seq, s.Ack = tcpstate.Seq(be.Uint32(b[4:])), tcpstate.Seq(be.Uint32(b[8:]))
	s.Len = uint32(size - header)
	s.Flags, s.Window = tcpstate.Flags(b[13]), be.Uint16(b[14:])
	s.Options, s.HasTS = header > tcpFixed, false
	s.TSVal, s.TSEcr = 0, 0
	s.Quoted, s.Unnumbered, s.NoLength, s.Bogus = false, false, false, false
	s.Payload = b[header:]
	switch {
	case header == tcpFixed:
	case header == withTimestamps && be.Uint32(b[tcpFixed:]) == timestamps: // nearly all the others
		s.HasTS, s.TSVal, s.TSEcr = true, be.Uint32(b[24:]), be.Uint32(b[28:])
	default:
		tcpOptions(b[tcpFixed:header], s)
	}
	return true
}
