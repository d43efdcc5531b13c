package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// Magic numbers of pcap, as read in the byte order of the file.
const (
	magicMicro    = 0xa1b2c3d4
	magicNano     = 0xa1b23c4d
	magicModified = 0xa1b2cd34 // Alexey Kuznetzov's patches of 1999
	magicIxiaHW   = 0x1c0001ac // Ixia lcap: nanoseconds, four more bytes of file header
	magicIxiaSW   = 0x1c0001ab // the same in microseconds
)

const (
	pcapHeaderLen = 24
	recordLen     = 16 // of a record header; variants have more
)

// Limits for what a record may claim, from wiretap's wtap.h.
const (
	maxPacket    = 256 << 10 // WTAP_MAX_PACKET_SIZE_STANDARD
	maxPacketBig = 128 << 20 // of the few link types that have larger ones
)

// maxPacketOf is wtap_max_snaplen_for_encap of wiretap/wtap.c. Of a packet larger than
// maxPacket only that much is delivered.
func maxPacketOf(link LinkType) uint32 {
	switch link {
	case 231, 249: // D-Bus, USBPcap
		return maxPacketBig
	case 279: // EBHSCR
		return maxPacketBig / 4
	}
	return maxPacket
}

// How a file orders the two lengths of a record header. Version 2.3 changed it, in some
// files without saying so, and DG/UX's 543.0 never did (wiretap/libpcap.c).
type lengthOrder uint8

const (
	capturedFirst lengthOrder = iota
	capturedLast
	smallerFirst
)

// pcap is the classic container.
type pcap struct {
	swap      bool // big-endian
	strict    bool // resyncing: doubt what no sane writer writes
	lengths   lengthOrder
	headerLen int    // of a record
	fraction  uint32 // ns in a unit of the second timestamp word
	limit     uint32 // to the captured length
	link      LinkType
	snaplen   uint32
	fcsLen    uint8
	guess     []variant // to choose from when the first records are there
	pipe      bool      // they may take their time

	// Seconds of the first and the last record, if there was any, near which a search
	// looks for others. The last may be the wrong one that led to the damage.
	first, last uint32
	any         bool

	copy *copier // nil: the file is only read, not copied
}

func isPcap(magic [4]byte) bool {
	for _, m := range []uint32{
		binary.LittleEndian.Uint32(magic[:]),
		binary.BigEndian.Uint32(magic[:]),
	} {
		switch m {
		case magicMicro, magicNano, magicModified, magicIxiaHW, magicIxiaSW:
			return true
		}
	}
	return false
}

// openPcap reads the file header.
func openPcap(w *window, pipe, strict bool) (*pcap, error) {
	if !w.need(pcapHeaderLen) {
		return nil, headerCut(w, pcapHeaderLen)
	}
	b := w.unread()
	p := &pcap{pipe: pipe, strict: strict, headerLen: recordLen, fraction: 1000}
	var order binary.ByteOrder = binary.LittleEndian
	if b[0] == 0xa1 || b[0] == 0x1c {
		order, p.swap = binary.BigEndian, true
	}
	magic := order.Uint32(b)
	major, minor := order.Uint16(b[4:]), order.Uint16(b[6:])
	network := order.Uint32(b[20:])
	p.snaplen = order.Uint32(b[16:])
	w.pos += pcapHeaderLen

	switch magic {
	case magicNano:
		p.fraction = 1
	case magicModified:
		p.guess = modifiedVariants
	case magicIxiaHW, magicIxiaSW:
		if magic == magicIxiaHW {
			p.fraction = 1
		}
		if !w.need(4) {
			return nil, headerCut(w, 4)
		}
		w.pos += 4 // total size of the records
	case magicMicro:
		p.guess = standardVariants
		if major == 2 && minor == 2 && fromAIX(&network) {
			p.fraction, p.guess = 1, nil
		}
	}
	if major < 2 {
		return nil, fmt.Errorf("pcap version %d.%d is not supported", major, minor)
	}
	switch {
	case major == 2 && minor < 3, major == 543:
		p.lengths = capturedLast
	case major == 2 && minor == 3:
		p.lengths = smallerFirst
	}
	// The upper bits hold the length of a frame check sequence, which no one needs who
	// goes by the IP length; those in the middle are reserved.
	if network&0x03ff0000 != 0 {
		return nil, fmt.Errorf("reserved bits of the link type are set (%#x)", network)
	}
	p.link = LinkType(network)
	if !readable(p.link) {
		return nil, fmt.Errorf("link type %d: neither Wireshark 4.0 nor connrace can read it", p.link)
	}
	if network&0x04000000 != 0 {
		p.fcsLen = uint8(network>>28) * 2
	}
	p.limit = maxPacketOf(p.link)
	if strict {
		p.limit = maxPacket
	}
	return p, nil
}

func headerCut(w *window, want int) error {
	if w.err != nil && !isEOF(w.err) {
		return w.err
	}
	return errors.New("cut off in the file header: " + plural(int64(w.end-w.pos), "byte") + fmt.Sprintf(" of %d", want))
}

// fromAIX recognises AIX's pcap, which has ifType numbers for link types (RFC 1573) and
// nanoseconds, and maps the number.
func fromAIX(network *uint32) bool {
	switch *network {
	case 6:
		*network = 1 // Ethernet
	case 9:
		*network = 6 // Token Ring
	case 15:
		*network = 10 // FDDI
	case 24:
		*network = 0 // loopback
	default:
		return false
	}
	return true
}

// header reads the four words at the start of a record header.
func (p *pcap) header(b []byte) (sec, frac, captured, length uint32) {
	_ = b[recordLen-1]
	sec = binary.LittleEndian.Uint32(b)
	frac = binary.LittleEndian.Uint32(b[4:])
	captured = binary.LittleEndian.Uint32(b[8:])
	length = binary.LittleEndian.Uint32(b[12:])
	if p.swap {
		sec = bits.ReverseBytes32(sec)
		frac = bits.ReverseBytes32(frac)
		captured = bits.ReverseBytes32(captured)
		length = bits.ReverseBytes32(length)
	}
	if p.lengths != capturedFirst && (p.lengths == capturedLast || captured > length) {
		captured, length = length, captured
	}
	return sec, frac, captured, length
}

func (p *pcap) next(w *window, batch []Frame, number uint64) (n, want int, err error) {
	for p.guess != nil && !p.choose(w) {
		w.more(w.end - w.pos + 1)
	}
	if p.copy != nil {
		batch = batch[:1]
	}
	buf, pos, start := w.buf[:w.end], w.pos, w.pos
	if p.isPlain() {
		var end int64
		n, end = plainRecords(batch, buf[pos:], &Frame{Number: number, Offset: w.offset(), LinkType: p.link}, int64(p.fraction))
		pos = int(end - w.base)
	}
	for n < len(batch) {
		b := buf[pos:]
		if len(b) < p.headerLen {
			want = p.headerLen
			break
		}
		sec, frac, captured, length := p.header(b)
		if captured > maxPacket || p.strict && p.doubtful(sec, frac, captured, length) {
			if n == 0 {
				return p.odd(w, batch, number)
			}
			break
		}
		size := p.headerLen + int(captured)
		if len(b) < size {
			want = size
			break
		}
		f := &batch[n]
		f.Number = number + uint64(n)
		f.Time = int64(sec)*second + int64(frac)*int64(p.fraction)
		f.Offset = w.base + int64(pos)
		f.Length = max(length, captured)
		f.LinkType = p.link
		f.NoPacket = false
		f.AfterGap = false
		f.Data = b[p.headerLen:size:size]
		pos += size
		n++
	}
	w.pos = pos
	if n > 0 && p.copy != nil {
		_, _, _, length := p.header(buf[start:])
		p.copy.record(&batch[0], length)
	}
	if n > 0 {
		p.last = uint32(batch[n-1].Time / second)
		if !p.any {
			p.first = uint32(batch[0].Time / second)
			p.any = true
		}
	}
	return n, want, nil
}

// isPlain reports whether records are as nearly all files have them.
func (p *pcap) isPlain() bool {
	return !p.swap && !p.strict && p.lengths == capturedFirst && p.headerLen == recordLen && p.copy == nil
}

// plainRecords is the fast path: it fills frames with the records at the beginning of b as long as they are
// whole and nothing about them is unusual, and leaves the rest to next. first has the Number and the Offset of the
// first one, and what is the same of all; fraction is that of pcap. end is the Offset behind the last one.
func plainRecords(batch []Frame, b []byte, first *Frame, fraction int64) (n int, end int64) {
	number, offset, link := first.Number, first.Offset, first.LinkType
	for n = range batch {
		if len(b) < recordLen {
			return n, offset
		}
		times, lengths := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
		captured := uint32(lengths)
		size := recordLen + int(captured)
		if captured > maxPacket || len(b) < size {
			return n, offset
		}
		f := &batch[n]
		f.Number = number + uint64(n)
		f.Time = int64(uint32(times))*second + int64(times>>32)*fraction
		f.Offset = offset
		f.Length = max(uint32(lengths>>32), captured)
		f.LinkType = link
		f.NoPacket = false
		f.AfterGap = false
		f.Data = b[recordLen:size:size]
		b = b[size:]
		offset += int64(size)
	}
	return len(batch), offset
}

// odd handles what is rare: a record that is too large to be true, or only too large for
// memory.
func (p *pcap) odd(w *window, batch []Frame, number uint64) (n, want int, err error) {
	sec, frac, captured, length := p.header(w.unread())
	offset := w.offset()
	if captured > p.limit {
		return 0, 0, atOffset(offset, damaged("a packet of %d bytes; the limit is %d", captured, p.limit))
	}
	if captured <= maxPacket {
		return 0, 0, atOffset(offset, damaged("no sane record header (fraction %d, lengths %d and %d)", frac, captured, length))
	}
	if !w.elide(p.headerLen+maxPacket, int64(captured)-maxPacket) {
		return 0, 1, nil
	}
	b := w.unread()[p.headerLen : p.headerLen+maxPacket]
	batch[0] = Frame{
		Number:   number,
		Time:     int64(sec)*second + int64(frac)*int64(p.fraction),
		Offset:   offset,
		Length:   max(length, captured),
		LinkType: p.link,
		Data:     b[:len(b):len(b)],
	}
	w.pos += p.headerLen + maxPacket
	if p.copy != nil {
		p.copy.record(&batch[0], length)
	}
	return 1, 0, nil
}

func (p *pcap) clone() container {
	c := *p
	return &c
}

func (p *pcap) learnt() int { return len(p.guess) }

func (p *pcap) fill(info *Info) {
	info.LinkTypes = []LinkType{p.link}
	info.Snaplen = p.snaplen
}

// doubtful tells headers that no writer writes: fractions of a second that are seconds,
// packets of 128 MB, and the zeros of a hole in the file.
func (p *pcap) doubtful(sec, frac, captured, length uint32) bool {
	return uint64(frac)*uint64(p.fraction) >= second || length > maxPacketBig || captured|length|sec == 0
}

// plausible is for headers that are found in the middle of anything: more is asked.
func (p *pcap) plausible(sec, frac, captured, length uint32) bool {
	if captured == 0 || captured > maxPacket || captured > length || p.doubtful(sec, frac, captured, length) {
		return false
	}
	return p.snaplen == 0 || captured <= max(p.snaplen, 1<<16)
}

// near tells times less than a month apart.
func near(a, b uint32) bool {
	const month = 30 * 24 * 3600
	return a-b < month || b-a < month // modulo 2^32
}

// starts wants three records in a row, or fewer that end with the file.
func (p *pcap) starts(b []byte, ended bool) bool {
	var last uint32
	for n := range 3 {
		if len(b) < p.headerLen {
			return n >= 2 || n == 1 && ended && len(b) == 0
		}
		sec, frac, captured, length := p.header(b)
		if !p.plausible(sec, frac, captured, length) {
			return false
		}
		if n == 0 && p.any && !near(sec, p.first) && !near(sec, p.last) || n > 0 && !near(sec, last) {
			return false
		}
		last = sec
		b = b[min(p.headerLen+int(captured), len(b)):]
	}
	return true
}
