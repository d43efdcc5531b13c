package capture

import (
	"bytes"
	"encoding/binary"

	"github.com/google/gopacket/layers"
)

// How an IEEE 802.11 frame was captured.
type wlanFormat uint8

const (
	wlanPlain   wlanFormat = 0
	wlanSwapped wlanFormat = 1 // the two bytes of frame control exchanged
	wlanPadded  wlanFormat = 2 // the header padded to a multiple of four bytes
)

// wlan decodes an IEEE 802.11 frame (§9.2.3, §9.3.2.1) and the payload of a data frame that
// is neither encrypted nor a later fragment.
func (d *Decoder) wlan(o view, format wlanFormat) {
	const (
		data, null, qos              = 0x08, 0x40, 0x80
		toDS, fromDS, more           = 0x01, 0x02, 0x04
		protected, order, aggregated = 0x40, 0x80, 0x80
		size, address, control, ht   = 24, 6, 2, 4
	)
	if !d.need(o, size) {
		return
	}
	kind, flags := o.b[0], o.b[1]
	if format == wlanSwapped {
		kind, flags = flags, kind
	}
	if kind&0x0c != data || kind&null != 0 {
		return
	}
	if flags&protected != 0 {
		d.why = encrypted
		return
	}
	head, amsdu := size, false
	if flags&(toDS|fromDS) == toDS|fromDS {
		head += address
	}
	if kind&qos != 0 {
		if !d.need(o, head+control) {
			return
		}
		amsdu = o.b[head]&aggregated != 0
		if head += control; flags&order != 0 {
			head += ht
		}
	}
	if format == wlanPadded {
		head = (head + 3) &^ 3
	}
	payload, ok := d.past(o, head)
	if !ok {
		return
	}
	if flags&fromDS != 0 {
		payload = mesh(payload)
	}
	if flags&more != 0 {
		// Not put together: encryption has made such captures rare. The last fragment
		// may also be the whole, numbered so by the driver.
		d.why = fragment
		return
	}
	if amsdu && payload.wire > 4 {
		d.aggregate(payload)
		return
	}
	dst, src := o.b[4:10], o.b[10:16]
	if flags&toDS != 0 {
		dst = o.b[16:22]
	}
	if flags&fromDS != 0 && flags&toDS == 0 {
		src = o.b[16:22]
	}
	d.wlanPayload(payload, dst, src)
}

// mesh leaves out a mesh control field (§9.2.4.7.3) where LLC behind it shows that it is
// one.
func mesh(o view) view {
	const extension, reserved = 0x03, 0x03
	if !o.has(1) || o.b[0]&^extension != 0 || o.b[0] == reserved {
		return o
	}
	rest, ok := o.from(6 + 6*int(o.b[0]))
	if !ok || !rest.has(2) || rest.u16(0) != 0xaaaa {
		return o
	}
	return rest
}

// wlanPayload decodes LLC, or one of the other things seen behind an 802.11 header: a whole
// Ethernet frame, two odd bytes, or an Ethernet type.
func (d *Decoder) wlanPayload(o view, dst, src []byte) {
	const llcSNAP = 0xaaaa
	if !d.need(o, 2) {
		return
	}
	switch first := o.u16(0); {
	case first == llcSNAP:
		d.logicalLink(o)
	case o.has(12) && (bytes.Equal(o.b[6:12], src) || bytes.Equal(o.b[:6], dst)):
		d.ethernet(o)
	case first == 0:
		rest, _ := o.from(2)
		d.logicalLink(rest)
	case first > macTypes && knownType(first):
		rest, _ := o.from(2)
		d.etherType(layers.EthernetType(first), rest)
	default:
		d.logicalLink(o)
	}
}

// aggregate decodes the subframes of an A-MSDU (§9.3.2.2.2).
func (d *Decoder) aggregate(o view) {
	around, at := d.outer, 0
	for {
		sub, ok := o.from(at)
		if !ok || !sub.has(macHeader) {
			return
		}
		n := int(sub.u16(12))
		rest, _ := sub.from(macHeader)
		d.logicalLink(rest.first(n))
		d.outer = around
		at = (at + macHeader + n + 3) &^ 3
		if o.wire-at <= macHeader {
			return
		}
	}
}

// radiotap decodes 802.11 behind a radiotap header (https://www.radiotap.org).
func (d *Decoder) radiotap(o view) {
	const (
		more, tsft, flags  = 1 << 31, 1 << 0, 1 << 1 // of the presence bits
		checksum, dataPad  = 0x10, 0x20              // of the flags
		least, checksumLen = 8, 4
	)
	if !d.need(o, least) {
		return
	}
	size := int(binary.LittleEndian.Uint16(o.b[2:]))
	rest, ok := o.from(size)
	if !ok || size < least {
		d.why = shortLink
		return
	}
	head := o.b[:size]
	present := binary.LittleEndian.Uint32(head[4:])
	at := 4
	for at+4 <= size && binary.LittleEndian.Uint32(head[at:])&more != 0 {
		at += 4
	}
	at += 4
	if present&tsft != 0 {
		at = (at+7)&^7 + 8
	}
	format := wlanPlain
	if present&flags != 0 && at < size {
		if head[at]&dataPad != 0 {
			format = wlanPadded
		}
		if head[at]&checksum != 0 && rest.wire > checksumLen {
			rest = rest.first(rest.wire - checksumLen)
		}
	}
	d.wlan(rest, format)
}

// prism decodes 802.11 behind the header of the Prism II drivers, behind an AVS header, or
// bare: drivers mix them.
func (d *Decoder) prism(o view) {
	const avs1, avs2, prism1, prism2 = 0x80211001, 0x80211002, 0x41, 0x44
	const size = 144
	if !d.need(o, 4) {
		return
	}
	big, little := o.u32(0), binary.LittleEndian.Uint32(o.b)
	switch {
	case big == avs1 || big == avs2:
		d.avs(o)
	case big == prism1 || big == prism2 || little == prism1 || little == prism2:
		if rest, ok := o.from(size); ok {
			d.wlan(rest, wlanPlain)
		}
	default:
		d.wlan(o, wlanPlain)
	}
}

// avs decodes 802.11 behind an AVS header.
func (d *Decoder) avs(o view) {
	if !o.has(8) || o.u32(4) > uint32(len(o.b)) {
		d.why = shortLink
		return
	}
	rest, _ := o.from(int(o.u32(4)))
	d.wlan(rest, wlanPlain)
}

// ppi decodes a Per-Packet Information header, which names the link type of the rest.
func (d *Decoder) ppi(o view) {
	const common80211, checksum, checksumLen = 2, 0x01, 4
	if !d.need(o, 8) {
		return
	}
	size := int(binary.LittleEndian.Uint16(o.b[2:]))
	t := binary.LittleEndian.Uint32(o.b[4:])
	rest, ok := o.from(size)
	if !ok || size < 8 || t > 0xffff || !d.deeper() {
		d.why = shortLink
		return
	}
	if size >= 8+12+2 && LinkType(t) == LinkIEEE80211 && o.b[8] == common80211 && o.b[9] == 0 &&
		o.b[20]&checksum != 0 && rest.wire > checksumLen {
		rest = rest.first(rest.wire - checksumLen)
	}
	d.link(LinkType(t), rest)
}
