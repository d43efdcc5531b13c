package capture

import (
	"encoding/binary"

	"github.com/google/gopacket"

	"connrace/tcpstate"
)

const (
	tcpFixed = 20 // bytes of a TCP header without options (RFC 9293 §3.1)
	// tcpLeast is how much of it must be there: Wireshark reads ports to window, in
	// this order, before it gives the segment a stream number.
	tcpLeast = 16
)

// segment decodes a TCP header and what follows it.
func (d *Decoder) segment(o view) {
	if !o.has(tcpLeast) {
		d.why = shortTCP
		d.quotedShort(o)
		return
	}
	// gopacket refuses a header that was cut short and makes garbage of damaged options,
	// so it is shown the fixed part only, filled up with zeros.
	d.hdr = [tcpFixed]byte{}
	copy(d.hdr[:], o.b)
	size := int(d.hdr[12]>>4) * 4
	d.hdr[12] = tcpFixed / 4 << 4
	if d.tcp.DecodeFromBytes(d.hdr[:], gopacket.NilDecodeFeedback) != nil {
		d.why = shortTCP
		return
	}
	t, e := &d.tcp, &d.outer
	d.segs = append(d.segs, tcpstate.Segment{
		Frame:    d.frame.Number,
		Time:     d.frame.Time,
		Src:      tcpstate.Endpoint{Addr: e.src, Port: uint16(t.SrcPort)},
		Dst:      tcpstate.Endpoint{Addr: e.dst, Port: uint16(t.DstPort)},
		Seq:      tcpstate.Seq(t.Seq),
		Ack:      tcpstate.Seq(t.Ack),
		Flags:    tcpstate.Flags(d.hdr[13]),
		TTL:      e.ttl,
		Window:   t.Window,
		IPID:     e.ipID,
		Options:  size > tcpFixed,
		Quoted:   e.quoted,
		ICMP:     e.icmp,
		NoLength: e.quoted || e.excerpt || e.fragment || size > o.wire,
	})
	s := &d.segs[len(d.segs)-1]
	if size > tcpFixed && o.has(tcpFixed) {
		d.note(o.b[tcpFixed:min(size, len(o.b))])
	} else {
		d.note(nil)
	}
	if size < tcpFixed {
		s.Bogus = true
		if !s.NoLength {
			s.Len = uint32(o.wire - size)
		}
		return
	}
	if size > tcpFixed && o.has(tcpFixed) {
		tcpOptions(o.b[tcpFixed:min(size, len(o.b))], s)
	}
	if s.NoLength {
		return
	}
	s.Len = uint32(o.wire - size)
	if payload, ok := o.from(size); ok {
		s.Payload = payload.b
	}
	if s.Src.Port == socksPort || s.Dst.Port == socksPort {
		d.throughProxy(s)
	}
}

// quotedShort appends what an ICMP error quotes if that is the eight octets which RFC 792 asks
// for: ports and sequence number.
func (d *Decoder) quotedShort(o view) {
	const asked = 8
	e := &d.outer
	if e.icmp == nil || !o.has(asked) {
		return
	}
	d.segs = append(d.segs, tcpstate.Segment{
		Frame:  d.frame.Number,
		Time:   d.frame.Time,
		Src:    tcpstate.Endpoint{Addr: e.src, Port: o.u16(0)},
		Dst:    tcpstate.Endpoint{Addr: e.dst, Port: o.u16(2)},
		Seq:    tcpstate.Seq(o.u32(4)),
		TTL:    e.ttl,
		IPID:   e.ipID,
		Quoted: true, NoLength: true, Unnumbered: true,
		ICMP: e.icmp,
	})
	d.note(nil)
}

// throughProxy appends the segment that Wireshark makes up for what a SOCKS connection
// carries, if it does.
func (d *Decoder) throughProxy(s *tcpstate.Segment) {
	port, ok := d.socks.follow(s)
	if !ok {
		return
	}
	c := *s
	c.Len, c.Flags, c.Payload = 0, 0, nil
	c.Quoted, c.NoLength, c.ICMP = true, true, nil
	if c.Dst.Port == socksPort {
		c.Dst.Port = port
	} else {
		c.Src.Port = port
	}
	d.segs = append(d.segs, c)
	d.note(nil)
}

// Option kinds (RFC 9293 §3.2, RFC 7323 §3.2).
const (
	optEnd = 0
	optNop = 1
	optTS  = 8
)

// tcpOptions decodes the timestamps among the options in b up to the first damaged one:
// damage costs the options behind it, not the segment.
func tcpOptions(b []byte, s *tcpstate.Segment) {
	for len(b) > 0 && b[0] != optEnd {
		if b[0] == optNop {
			b = b[1:]
			continue
		}
		if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
			return
		}
		if v := b[2:b[1]]; b[0] == optTS && len(v) == 8 {
			s.HasTS = true
			s.TSVal, s.TSEcr = binary.BigEndian.Uint32(v), binary.BigEndian.Uint32(v[4:])
		}
		b = b[b[1]:]
	}
}
