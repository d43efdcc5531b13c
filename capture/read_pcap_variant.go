package capture

import "encoding/binary"

// variant is a record header that is longer than the standard one. Nothing in the file
// header tells; wiretap/libpcap.c guesses from the first three records, and so do we.
type variant struct {
	headerLen int
	sane      func(extra []byte, order binary.ByteOrder) bool
}

var (
	standard   = variant{recordLen, func([]byte, binary.ByteOrder) bool { return true }}
	kuznetzov  = variant{recordLen + 8, saneKuznetzov}  // Red Hat 6.1 (ss990417), and ss991029
	kuznetzov2 = variant{recordLen + 12, saneKuznetzov} // SuSE 6.3 (ss990915)
	nokia      = variant{recordLen + 4, saneNokia}

	standardVariants = []variant{standard, kuznetzov, nokia}
	modifiedVariants = []variant{kuznetzov, kuznetzov2}
)

// saneKuznetzov checks interface index, Ethernet type and packet type.
func saneKuznetzov(extra []byte, order binary.ByteOrder) bool {
	index, protocol, kind := order.Uint32(extra), order.Uint16(extra[4:]), extra[6]
	return index <= 10000 && kind <= 4 &&
		(protocol >= 0x600 || protocol <= 0x17 || protocol == 0x60 || protocol == 0x200 || protocol == 0x400)
}

// saneNokia checks for the patterns that have been seen: 0x[9b]fbf[bd][69]0[12].
func saneNokia(extra []byte, order binary.ByteOrder) bool {
	v := order.Uint32(extra)
	return v&0x0fff00f0 == 0x0fbf0000 &&
		(v>>28 == 0x9 || v>>28 == 0xb) &&
		(v>>12&0xf == 0xb || v>>12&0xf == 0xd) &&
		(v>>8&0xf == 0x6 || v>>8&0xf == 0x9) &&
		(v&0xf == 1 || v&0xf == 2)
}

// enoughToChoose holds three records of any size.
const enoughToChoose = 3 * (maxPacket + 64)

// choose decides between the variants; it returns false where it needs to see more. With
// the standard magic number it does not wait for a slow writer as long as the first
// records look well. Only a variant without any fault displaces the usual one.
func (p *pcap) choose(w *window) bool {
	b := w.unread()
	complete := w.err != nil || len(b) >= enoughToChoose
	best, fewest := 0, 0
	for i, v := range p.guess {
		faults, records, cut := p.try(v, b)
		if !complete && records < 3 {
			if p.pipe && v.headerLen == recordLen && records > 0 && faults == 0 {
				break
			}
			return false
		}
		if cut {
			faults++
		}
		if i == 0 {
			fewest = faults
		}
		if faults == 0 {
			best = i
		}
		if faults == 0 || fewest == 0 {
			break
		}
	}
	p.headerLen = p.guess[best].headerLen
	p.guess = nil
	return true
}

// try counts what is wrong with the first three records if v is their header (wiretap's
// libpcap_try_variant). It returns early when one is too wrong to go on behind it. cut: b
// ended within a record.
func (p *pcap) try(v variant, b []byte) (faults, records int, cut bool) {
	var order binary.ByteOrder = binary.LittleEndian
	if p.swap {
		order = binary.BigEndian
	}
	for records = range 3 {
		if len(b) < v.headerLen {
			return faults, records, len(b) > 0
		}
		_, frac, captured, length := p.header(b)
		tooLarge := captured > maxPacketOf(p.link)
		for _, wrong := range []bool{
			tooLarge,
			frac >= 1e6,
			p.snaplen != 0 && captured > p.snaplen,
			length > maxPacketBig,
			captured > length,
			!v.sane(b[recordLen:v.headerLen], order),
		} {
			if wrong {
				faults++
			}
		}
		if tooLarge {
			break
		}
		if b = b[v.headerLen:]; len(b) < int(captured) {
			return faults, records, true
		}
		b = b[captured:]
	}
	return faults, 3, false
}
