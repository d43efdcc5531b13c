package share

import (
	"encoding/binary"

	"connrace/tcpstate"
)

// packet is a frame of the capture on its way into the copy.
type packet struct {
	time   int64
	length uint32 // on the wire, of the capture
	wire   uint32 // and of the copy, set by build
	is     bool   // seg is set: the frame holds a segment
	seg    tcpstate.Segment
	icmp   tcpstate.ICMPError
	raw    []byte    // payload as it was captured
	out    []byte    // as it will be seen
	holds  int       // spans that are not decided
	half   *half     // whose payload it is, if there is any
	more   []*packet // other segments in the same frame
	opts   []byte    // TCP options
}

// all are the segments of a frame, one by one.
func (p *packet) all() func(yield func(*packet) bool) {
	return func(yield func(*packet) bool) {
		if !yield(p) {
			return
		}
		for _, q := range p.more {
			if !yield(q) {
				return
			}
		}
	}
}

// held reports whether something of the frame is not decided.
func (p *packet) held() bool {
	for q := range p.all() {
		if q.holds > 0 {
			return true
		}
	}
	return false
}

// release decides all of the frame.
func (p *packet) release() {
	for q := range p.all() {
		if q.holds > 0 {
			q.half.release()
		}
	}
}

// set takes a segment with its options, of which the decoder keeps nothing.
func (p *packet) set(s *tcpstate.Segment, options []byte) {
	p.is, p.seg = true, *s
	if !s.NoLength && !s.Bogus { // of these the header is made for its length
		p.opts = knownOptions(options, s)
	}
	if s.ICMP != nil {
		p.icmp = *s.ICMP
		p.seg.ICMP = &p.icmp
	}
	if n := len(s.Payload); n > 0 {
		b := make([]byte, 2*n)
		p.raw, p.out = b[:n:n], b[n:]
		copy(p.raw, s.Payload)
	}
	p.seg.Payload = nil
}

const (
	etherHead = 14
	ip4Head   = 20
	ip6Head   = 40
	tcpHead   = 20
	icmpHead  = 8

	typeIP4  = 0x0800
	typeIP6  = 0x86dd
	typeNone = 0x88b5 // for local experiments (IEEE 802)

	protoICMP   = 1
	protoTCP    = 6
	protoICMPv6 = 58

	sourceQuench = 4 // an ICMP message that is no error for anybody (RFC 6633)
	tooBig4      = 4 // fragmentation needed, a code of unreachable
	unreachable4 = 3
	tooBig6      = 2
)

// build appends the frame that the decoder reads as the packet's segment.
func (p *packet) build(b []byte, k *secret) []byte {
	b = append(b, 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0, 0)
	p.wire = p.length
	if !p.is {
		binary.BigEndian.PutUint16(b[12:], typeNone)
		return b
	}
	s := &p.seg
	src, dst := k.addr(s.Src.Addr), k.addr(s.Dst.Addr)
	if s.Quoted {
		return p.quote(b, k, src, dst)
	}
	h := header(s, p.opts)
	captured := append(h, p.out...)
	size := uint32(len(h)) + s.Len
	switch {
	case s.NoLength:
		// A header that claims to be longer than what the packet has room for.
		h[12], size = 15<<4, uint32(len(h))
	case s.Bogus:
		const claimed = 4
		h[12], size = claimed<<4, s.Len+4*claimed
		captured = h[:min(len(h), int(size))]
	}
	v4 := src.Is4() && dst.Is4()
	at := len(b)
	b = ipHeader(b, src, dst, protoTCP, size, s.TTL, s.IPID)
	if v4 {
		binary.BigEndian.PutUint16(b[12:], typeIP4)
	} else {
		binary.BigEndian.PutUint16(b[12:], typeIP6)
	}
	body := len(b)
	b = append(b, captured...)
	if len(captured) >= tcpHead { // what was not captured counts as zeros
		putSum(b[body:], 16, pseudo(src, dst, protoTCP, size))
	}
	full := uint32(body) + size
	if total := uint32(body-at) + size; v4 && total > 0xffff || !v4 && size > 0xffff {
		p.wire = full // the headers do not say how long it is
	}
	p.wire = max(p.wire, full)
	return b
}

// header is a segment's TCP header with options; nil: with those that the segment tells of.
func header(s *tcpstate.Segment, options []byte) []byte {
	h := make([]byte, tcpHead, 64)
	be := binary.BigEndian
	be.PutUint16(h, s.Src.Port)
	be.PutUint16(h[2:], s.Dst.Port)
	be.PutUint32(h[4:], uint32(s.Seq))
	be.PutUint32(h[8:], uint32(s.Ack))
	h[13] = byte(s.Flags)
	be.PutUint16(h[14:], s.Window)
	switch {
	case options != nil:
		h = append(h, options...)
	case s.HasTS:
		h = append(h, 1, 1, 8, 10)
		h = be.AppendUint32(h, s.TSVal)
		h = be.AppendUint32(h, s.TSEcr)
	case s.Options:
		h = append(h, 1, 1, 1, 1)
	}
	h[12] = byte(len(h)/4) << 4
	return h
}

// ipHeader appends an IP header for size octets; a size that it cannot state is left to the
// length of the frame, as segmentation offload does it.
func ipHeader(b []byte, src, dst tcpstate.Addr, proto byte, size uint32, ttl uint8, id uint16) []byte {
	be := binary.BigEndian
	at := len(b)
	if src.Is4() && dst.Is4() {
		total := ip4Head + size
		if total > 0xffff {
			total = 0
		}
		b = append(b, 0x45, 0, byte(total>>8), byte(total), byte(id>>8), byte(id), 0, 0, ttl, proto, 0, 0)
		b = be.AppendUint32(b, uint32(src.Lo))
		b = be.AppendUint32(b, uint32(dst.Lo))
		putSum(b[at:], 10, 0)
		return b
	}
	if size > 0xffff {
		size = 0
	}
	b = append(b, 0x60, 0, 0, 0, byte(size>>8), byte(size), proto, ttl)
	s, d := src.Netip().As16(), dst.Netip().As16()
	return append(append(b, s[:]...), d[:]...)
}

// quote appends an ICMP message about the segment.
func (p *packet) quote(b []byte, k *secret, src, dst tcpstate.Addr) []byte {
	s := &p.seg
	h := header(s, nil)
	if s.Unnumbered {
		h = h[:8]
	}
	e := tcpstate.ICMPError{From: dst, Type: sourceQuench}
	if s.ICMP != nil {
		e = *s.ICMP
		e.From = k.addr(e.From)
	}
	v6 := s.ICMP != nil && e.V6
	proto, typ := byte(protoICMP), uint16(typeIP4)
	from, to := e.From, src
	if v6 {
		proto, typ = protoICMPv6, typeIP6
	} else if !from.Is4() || !to.Is4() {
		from, to = tcpstate.Addr4([]byte{192, 0, 2, 1}), tcpstate.Addr4([]byte{192, 0, 2, 2}) // RFC 5737
	}
	binary.BigEndian.PutUint16(b[12:], typ)
	inner := ipHeader(nil, src, dst, protoTCP, uint32(len(h)), s.TTL, s.IPID)
	size := uint32(icmpHead + len(inner) + len(h))
	b = ipHeader(b, from, to, proto, size, 64, 0)
	at := len(b)
	b = append(b, e.Type, e.Code, 0, 0, 0, 0, 0, 0)
	switch {
	case v6 && e.Type == tooBig6:
		binary.BigEndian.PutUint32(b[at+4:], e.MTU)
	case !v6 && e.Type == unreachable4 && e.Code == tooBig4:
		binary.BigEndian.PutUint16(b[at+6:], uint16(e.MTU))
	}
	b = append(append(b, inner...), h...)
	sum := uint32(0)
	if v6 {
		sum = pseudo(from, to, proto, size)
	}
	putSum(b[at:], 2, sum)
	p.wire = max(p.wire, uint32(len(b)))
	return b
}

// pseudo is the sum of the pseudo header (RFC 9293 §3.1, RFC 8200 §8.1).
func pseudo(src, dst tcpstate.Addr, proto byte, size uint32) uint32 {
	sum := size>>16 + size&0xffff + uint32(proto)
	for _, a := range [...]tcpstate.Addr{src, dst} {
		if a.Is4() {
			sum += uint32(a.Lo)>>16&0xffff + uint32(a.Lo)&0xffff
			continue
		}
		b := a.Netip().As16()
		for i := 0; i < len(b); i += 2 {
			sum += uint32(b[i])<<8 | uint32(b[i+1])
		}
	}
	return sum
}

// putSum writes the checksum of b (RFC 1071) into it.
func putSum(b []byte, at int, sum uint32) {
	b[at], b[at+1] = 0, 0
	for i := 0; i < len(b); i += 2 {
		sum += uint32(b[i]) << 8
		if i+1 < len(b) {
			sum += uint32(b[i+1])
		}
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(b[at:], ^uint16(sum))
}
