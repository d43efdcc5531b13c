package capture

import (
	"encoding/binary"

	"connrace/tcpstate"
)

// peek takes at fixed offsets what nearly all frames are: Ethernet, perhaps a VLAN tag,
// IPv4 without options or IPv6, and a TCP segment whose header was captured whole. It fills
// s as Decoder.headers would, or reports false; a fuzz test holds them to each other.
func peek(f *Frame, s *tcpstate.Segment) bool {
	const (
		typeIP4, typeIP6, typeVLAN = 0x0800, 0x86dd, 0x8100
		timestamps                 = optNop<<24 | optNop<<16 | optTS<<8 | 10
		timestampSize              = 12
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

	var src, dst tcpstate.Addr
	var id uint16
	var end, head int // of the IP packet and its header
	switch {
	case t == typeIP4 && len(b) >= ip4Fixed && b[0] == 0x45 && b[9] == protoTCP && be.Uint16(b[6:])&0x3fff == 0:
		src, dst = tcpstate.Addr4(b[12:16]), tcpstate.Addr4(b[16:20])
		id = be.Uint16(b[4:])
		end, head = int(be.Uint16(b[2:])), ip4Fixed
	case t == typeIP6 && len(b) >= ip6Fixed && b[0]>>4 == 6 && b[6] == protoTCP && be.Uint16(b[4:]) > 0:
		src, dst = tcpstate.Addr16(b[8:24]), tcpstate.Addr16(b[24:40])
		end, head = int(be.Uint16(b[4:]))+ip6Fixed, ip6Fixed
	default:
		return false
	}
	end = min(end, wire)
	b = b[:min(len(b), end)]
	if len(b) < head+tcpFixed {
		return false
	}
	b = b[head:]
	srcPort, dstPort := be.Uint16(b), be.Uint16(b[2:])
	size := int(b[12]>>4) * 4
	if size < tcpFixed || size > len(b) || srcPort == socksPort || dstPort == socksPort {
		return false
	}
	// Field by field: a composite literal would be built first and copied then.
	s.Frame, s.Time = f.Number, f.Time
	s.Src.Addr, s.Src.Port = src, srcPort
	s.Dst.Addr, s.Dst.Port = dst, dstPort
	s.Seq, s.Ack = tcpstate.Seq(be.Uint32(b[4:])), tcpstate.Seq(be.Uint32(b[8:]))
	s.Len = uint32(end - head - size)
	s.Flags, s.Window, s.IPID = tcpstate.Flags(b[13]), be.Uint16(b[14:]), id
	s.Options, s.SACKPermitted, s.HasTS = size > tcpFixed, false, false
	s.TSVal, s.TSEcr, s.MSS, s.WScale = 0, 0, 0, -1
	switch {
	case size == tcpFixed:
	case size == tcpFixed+timestampSize && be.Uint32(b[20:]) == timestamps: // no other
		s.HasTS, s.TSVal, s.TSEcr = true, be.Uint32(b[24:]), be.Uint32(b[28:])
	default:
		tcpOptions(b[tcpFixed:size], s)
	}
	s.Quoted, s.NoLength, s.Bogus = false, false, false
	s.Payload = b[size:]
	return true
}
