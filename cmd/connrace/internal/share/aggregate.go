package share

import "encoding/binary"

// An 802.11 data frame can hold several packets (A-MSDU, IEEE 802.11 §9.3.2.2.2): that is how
// segments that shared a frame share one in the copy.
const (
	wlanHead    = 24 + 2 // with QoS control
	qosData     = 0x88
	qosAMSDU    = 0x80
	macAddrs    = 12
	subHead     = macAddrs + 2
	maxSub      = 0xffff
	mostOctets  = 200_000 // of a frame, well below what readers take
	snapHead    = 8
	snapDefault = "\xaa\xaa\x03\x00\x00\x00" // then an Ethernet type
)

// aggregate appends a frame that holds all segments of the packet's. left are those that it has no
// room for.
func (p *packet) aggregate(b []byte, k *secret) (_ []byte, left int) {
	b = append(b, make([]byte, wlanHead)...)
	b[0], b[wlanHead-2] = qosData, qosAMSDU
	for i := range 3 {
		copy(b[4+6*i:], []byte{2, 0, 0, 0, 0, byte(2 - i)})
	}
	var one []byte
	missing := 0 // octets of the subframe before that were not captured, and padding
	for q := range p.all() {
		length := q.length
		q.length = 0 // the frame's says nothing of one segment
		one = q.build(one[:0], k)
		q.length = length
		size := int(q.wire) - etherHead + snapHead
		if size > maxSub || len(b)+missing+subHead+size > mostOctets {
			left++
			continue
		}
		b = append(b, make([]byte, missing)...)
		start := len(b)
		b = append(b, one[:macAddrs]...)
		b = binary.BigEndian.AppendUint16(b, uint16(size))
		b = append(b, snapDefault...)
		b = append(b, one[macAddrs:]...)
		end := (start - wlanHead + subHead + size + 3) &^ 3 // from the first subframe on
		missing = wlanHead + end - len(b)
		p.wire = uint32(start + subHead + size)
	}
	p.wire = max(p.wire, p.length)
	return b, left
}
