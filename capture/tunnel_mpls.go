package capture

// mpls decodes a label stack (RFC 3032 §2.1). What it carries is told by the first nibble
// (RFC 4928 §3, RFC 4385 §3).
func (d *Decoder) mpls(o view) {
	const channel = 13 // the label of a generic associated channel (RFC 5586 §4)
	for {
		rest, ok := d.past(o, 4)
		if !ok {
			return
		}
		label, bottom := o.u32(0)>>12, o.b[2]&1 != 0
		o = rest
		if label == channel && bottom {
			d.associatedChannel(o)
			return
		}
		if bottom {
			break
		}
	}
	if !d.need(o, 1) {
		return
	}
	if !d.deeper() {
		return
	}
	switch o.b[0] >> 4 {
	case 4, 6:
		d.ip(o)
	case 1:
		d.associatedChannel(o)
	case 0:
		d.pseudowire(o)
	}
}

// associatedChannel decodes a channel header of RFC 4385 §5.
func (d *Decoder) associatedChannel(o view) {
	const ip4, ip6 = 0x0021, 0x0057
	rest, ok := o.from(4)
	if !ok {
		return
	}
	switch o.u16(2) {
	case ip4:
		d.ip(rest)
	case ip6:
		d.ipv6(rest)
	}
}

// pseudowire decodes Ethernet in MPLS (RFC 4448) whose first nibble is 0: either a control
// word or an address that begins so. Wireshark decides for an address if both addresses
// have a known manufacturer; lacking its list, this asks for addresses that can have one
// and for a type that makes no less sense there than behind a control word.
func (d *Decoder) pseudowire(o view) {
	const word = 4
	plain := o.has(macHeader) && o.u32(0) != 0 && assigned(o.b) && assigned(o.b[6:])
	if plain && o.has(word+macHeader) {
		plain = sense(o.u16(12)) >= sense(o.u16(word+12))
	}
	if o.has(macHeader) && o.u32(0) == 0 {
		// 00:00:00 is Xerox, and nearly all prefixes up to 00:25 have been given away.
		plain = o.u16(6) <= 0x25
	}
	if rest, ok := o.from(word); ok && !plain {
		o = rest
	}
	d.ethernet(o)
}

// assigned reports whether a MAC address can be a manufacturer's, or is QEMU's.
func assigned(mac []byte) bool {
	return mac[0]&2 == 0 || mac[0] == 0x52 && mac[1] == 0x54 && mac[2] == 0
}

// sense tells how far t looks like the type field of a frame.
func sense(t uint16) int {
	switch {
	case !knownType(t):
		return 0
	case t < macTypes:
		return 1
	}
	return 2
}
