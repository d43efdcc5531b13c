package tcpstate

import (
	"encoding/binary"
	"net/netip"
)

// Segment is one TCP segment as one frame showed it. The capture package fills it; it
// is reused, so nothing may keep it or Payload beyond the call that was given it.
type Segment struct {
	Frame uint64 // Wireshark's frame.number in its file, from 1
	Time  int64  // capture time, ns since the Unix epoch

	Src, Dst Endpoint
	Seq, Ack Seq    // Ack is valid iff Flags has ACK
	Len      uint32 // payload octets by the IP header, however many were captured
	Flags    Flags
	TTL      uint8  // time to live of the IP header, hop limit of IPv6
	Window   uint16 // as in the header, unscaled
	IPID     uint16 // IPv4 identification; 0 for IPv6

	Options      bool   // the header is longer than 20 octets
	HasTS        bool   // a timestamps option (RFC 7323 §3) is there
	TSVal, TSEcr uint32 // valid iff HasTS

	// Quoted: the header stood inside an ICMP error. Wireshark gives it a stream
	// number, but it is no segment that anybody sent here.
	Quoted bool
	// Unnumbered: too little of it was quoted for Wireshark to give it a stream number.
	Unnumbered bool
	// NoLength: the payload length is not known (a lone IP fragment, a header cut
	// short); Len is 0.
	NoLength bool
	// Bogus: the header claims to be shorter than any can be. Wireshark numbers it by its
	// flags, shows Len, and stops there: nobody can have meant it for a segment.
	Bogus bool

	ICMP    *ICMPError // valid iff Quoted; nil: another protocol quotes it, or one that is no error
	Payload []byte     // what was captured of the payload, at most Len octets
}

// End is the sequence number behind the segment: SYN and FIN count one each
// (RFC 9293 §3.4).
func (s *Segment) End() Seq {
	n := s.Len
	if s.Flags&SYN != 0 {
		n++
	}
	if s.Flags&FIN != 0 {
		n++
	}
	return s.Seq.Add(n)
}

// lenFrom is how many payload octets there are from seq on.
func (s *Segment) lenFrom(seq Seq) uint32 { return uint32(s.Seq.Add(s.Len).Sub(seq)) }

// Flags are the control bits of the TCP header (RFC 9293 §3.1), the low eight.
type Flags uint8

// The control bits.
const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

// Has reports whether all bits of x are set.
func (f Flags) Has(x Flags) bool { return f&x == x }

// String writes the flags as tcpdump does: "S", "S.", "P.", "R", ".".
func (f Flags) String() string {
	if f == 0 {
		return "none"
	}
	var b [8]byte
	n := 0
	for i, c := range "FSRP.UEW" {
		if f&(1<<i) != 0 {
			if c == '.' {
				continue
			}
			b[n] = byte(c)
			n++
		}
	}
	if f&ACK != 0 {
		b[n] = '.'
		n++
	}
	return string(b[:n])
}

// Seq is a TCP sequence or acknowledgment number. It wraps, so it is compared by
// serial-number arithmetic (RFC 1982, RFC 9293 §3.4), never with < and >.
type Seq uint32

// Before reports whether a comes before b: a < b on the circle.
func (a Seq) Before(b Seq) bool { return int32(a-b) < 0 }

// After reports whether a comes after b: a > b on the circle.
func (a Seq) After(b Seq) bool { return int32(a-b) > 0 }

// AtOrBefore reports whether a is b or comes before it.
func (a Seq) AtOrBefore(b Seq) bool { return int32(a-b) <= 0 }

// AtOrAfter reports whether a is b or comes after it.
func (a Seq) AtOrAfter(b Seq) bool { return int32(a-b) >= 0 }

// Add returns the number n octets after a.
func (a Seq) Add(n uint32) Seq { return a + Seq(n) }

// Sub returns how many octets a lies after b; negative when it lies before.
func (a Seq) Sub(b Seq) int32 { return int32(a - b) }

// Addr is an IP address as two big-endian halves; IPv4 in its mapped form
// (::ffff:a.b.c.d). Unlike netip.Addr it holds no pointer, so that tables of flows
// are invisible to the garbage collector, and it hashes in two words.
type Addr struct{ Hi, Lo uint64 }

// mappedHi is Hi of an address that stood in an IPv6 header in the mapped form of IPv4: it is
// another address than the IPv4 one. As an address it would lie in a reserved range (0::/8).
const mappedHi = 1

// Addr4 makes an address of the four octets of an IPv4 header field.
func Addr4(b []byte) Addr {
	return Addr{Lo: 0xffff<<32 | uint64(binary.BigEndian.Uint32(b))}
}

// Addr16 makes an address of the sixteen octets of an IPv6 header field.
func Addr16(b []byte) Addr {
	a := Addr{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
	if a.Is4() {
		a.Hi = mappedHi
	}
	return a
}

// AddrFrom converts from netip.
func AddrFrom(a netip.Addr) Addr {
	if a.Is4() {
		b := a.As4()
		return Addr4(b[:])
	}
	b := a.As16()
	return Addr16(b[:])
}

// isMapped reports whether a is an IPv6 address in the mapped form of IPv4.
func (a Addr) isMapped() bool { return a.Hi == mappedHi && a.Lo>>32 == 0xffff }

// Unmap is the IPv4 address that an IPv6 address in the mapped form stands for, where a
// socket has it; any other address is itself.
func (a Addr) Unmap() Addr {
	if a.isMapped() {
		a.Hi = 0
	}
	return a
}

// Is4 reports whether a is an IPv4 address.
func (a Addr) Is4() bool { return a.Hi == 0 && a.Lo>>32 == 0xffff }

// Netip converts to netip; IPv4 comes out unmapped.
func (a Addr) Netip() netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[8:], a.Lo)
	if a.isMapped() {
		return netip.AddrFrom16(b)
	}
	binary.BigEndian.PutUint64(b[:], a.Hi)
	return netip.AddrFrom16(b).Unmap()
}

func (a Addr) String() string { return a.Netip().String() }

// Endpoint is one end of a connection.
type Endpoint struct {
	Addr Addr
	Port uint16
}

// EndpointFrom converts from netip.
func EndpointFrom(a netip.AddrPort) Endpoint { return Endpoint{AddrFrom(a.Addr()), a.Port()} }

// String is ip:port, or [ip]:port for IPv6.
func (e Endpoint) String() string { return netip.AddrPortFrom(e.Addr.Netip(), e.Port).String() }
