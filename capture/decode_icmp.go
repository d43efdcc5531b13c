package capture

import "connrace/tcpstate"

// icmp decodes an ICMP message (RFC 792): errors quote the packet that they are about.
func (d *Decoder) icmp(o view) {
	const unreachable, quench, redirect, exceeded, parameter = 3, 4, 5, 11, 12
	rest, ok := o.from(8)
	if !ok || !rest.has(4) {
		return
	}
	words := int(o.b[5]) // of the quoted datagram, where extensions follow it (RFC 4884 §4)
	ihl := int(rest.b[0] & 0xf)
	switch o.b[0] {
	case unreachable, quench, exceeded, parameter:
		if words > 0 && o.wire > 8+words*4 && int(rest.u16(2)) > words*4 {
			rest = rest.first((ihl + words) * 4)
		}
	case redirect:
		rest = rest.first(ihl*4 + 8)
	default:
		return
	}
	const tooBig = 4 // a code of unreachable: fragmentation needed and DF set
	e := &tcpstate.ICMPError{From: d.outer.src, Type: o.b[0], Code: o.b[1]}
	switch {
	case e.Type == unreachable && e.Code == tooBig:
		e.MTU = uint32(o.u16(6)) // RFC 1191 §4
	case e.Type != unreachable && e.Type != exceeded:
		e = nil
	}
	d.quote(e)
	d.ip(rest)
}

// icmpv6 decodes an ICMPv6 message (RFC 4443 §3).
func (d *Decoder) icmpv6(o view) {
	const unreachable, tooBig, exceeded, parameter, redirect = 1, 2, 3, 4, 137
	rest, ok := o.from(8)
	if !ok {
		return
	}
	switch o.b[0] {
	case unreachable, tooBig, exceeded, parameter:
		e := &tcpstate.ICMPError{From: d.outer.src, Type: o.b[0], Code: o.b[1], V6: true}
		if o.b[0] == tooBig {
			e.MTU = o.u32(4)
		}
		d.quote(e)
		d.ipv6(rest)
	case redirect:
		d.redirected(o)
	}
}

// redirected looks for the option of an ICMPv6 redirect that quotes a packet (RFC 4861
// §4.5, §4.6.3).
func (d *Decoder) redirected(o view) {
	const options, header = 40, 4
	o, ok := o.from(options)
	for ok && o.has(2) && o.b[1] > 0 {
		n := int(o.b[1]) * 8
		if packet, has := o.first(n).from(8); o.b[0] == header && has && packet.has(1) {
			d.quote(nil)
			d.ipv6(packet)
			return
		}
		o, ok = o.from(n)
	}
}

// quote marks what follows as quoted by an ICMP error; nil: it is no error that says anything.
func (d *Decoder) quote(e *tcpstate.ICMPError) {
	d.outer.quoted, d.outer.excerpt, d.outer.icmp = true, true, e
}
