package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
)

// Block types, draft-ietf-opsawg-pcapng §11.1.
const (
	blockSection    = 0x0a0d0d0a
	blockInterface  = 1
	blockPacket     = 2 // obsolete
	blockSimple     = 3
	blockNames      = 4
	blockStatistics = 5
	blockEnhanced   = 6
	blockJournal    = 9
	blockSecrets    = 10
	blockCustom     = 0x00000bad
	blockCustomKeep = 0x40000bad
	blockSysdig     = 0x204 // events; V2 and large V2 follow
	blockSysdig2    = 0x216
	blockSysdig2L   = 0x221
)

const (
	blockMin     = 12 // type, length, and length again
	sectionMin   = 28
	interfaceMin = 20
	packetMin    = 32 // of enhanced and obsolete packet blocks
	simpleMin    = 16
	statsMin     = 24

	// wiretap's MAX_BLOCK_SIZE: the largest packet and 128 KB of options.
	blockMax = packetMin + maxPacketBig + 128<<10
	// Of a larger block only this much is looked at, which includes all of a packet.
	blockKeep = maxPacket + 64<<10
	// A search for blocks believes in blocks up to this size.
	blockPlausible = maxPacket + 64<<10

	byteOrderMagic = 0x1a2b3c4d

	// maxInterfaces bounds the memory of a section's interfaces.
	maxInterfaces = 1 << 16
	// maxLinkTypes bounds Info.LinkTypes.
	maxLinkTypes = 256
)

var pcapngMagic = [4]byte{0x0a, 0x0d, 0x0d, 0x0a}

// pcapng is the block-structured container.
type pcapng struct {
	swap       bool // the section is big-endian
	strict     bool // resyncing: no huge blocks
	interfaces []iface
	shared     bool // a clone has these interfaces
	ignored    int  // interfaces beyond maxInterfaces
	declared   int  // sections and interfaces so far
	links      []LinkType
	snaplen    uint32
	unlimited  bool
	drops      uint64 // of the sections before this one
	dropsKnown bool
	comments   bool        // of packets: there are some
	blocks     blockReader // nil: nobody wants more of the file than its frames
	later      *remarks    // takes the place of blocks where a packet has a comment
	names      []string    // of interfaces, with later
}

// blockReader is given every block once it was read; f is its frame, if it is one.
type blockReader interface {
	block(p *pcapng, kind uint32, b []byte, f *Frame, is bool)
}

// openPcapng reads the first section header.
func openPcapng(w *window, strict bool) (*pcapng, error) {
	p := &pcapng{strict: strict}
	if !w.need(sectionMin) {
		return nil, headerCut(w, sectionMin)
	}
	_, total, swap, err := p.header(w.unread())
	if err != nil {
		return nil, plainReason(err)
	}
	if total > windowMax {
		return nil, fmt.Errorf("a section header of %d bytes", total)
	}
	if !w.need(total) {
		return nil, headerCut(w, total)
	}
	b := w.unread()[:total]
	if err := checkTrailer(b, total, swap); err != nil {
		return nil, plainReason(err)
	}
	if err := p.section(b, swap); err != nil {
		return nil, plainReason(err)
	}
	w.pos += total
	return p, nil
}

// plainReason is for damage in the file header: no frame number is worth telling.
func plainReason(err error) error {
	var d *DamageError
	if errors.As(err, &d) {
		return errors.New(d.Reason)
	}
	return err
}

// blockHeader reads type and length of a block. A section header is written in its own
// byte order; ok is false where that cannot be told. Lengths that do not count the padding
// are rounded up as wiretap does.
func blockHeader(b []byte, swap bool) (kind uint32, total int64, swapped, ok bool) {
	_ = b[blockMin-1]
	kind = binary.LittleEndian.Uint32(b)
	length := binary.LittleEndian.Uint32(b[4:])
	if kind == blockSection {
		switch binary.LittleEndian.Uint32(b[8:]) {
		case byteOrderMagic:
			swap = false
		case bits.ReverseBytes32(byteOrderMagic):
			swap = true
		default:
			return kind, 0, swap, false
		}
	}
	if swap {
		kind = bits.ReverseBytes32(kind)
		length = bits.ReverseBytes32(length)
	}
	return kind, (int64(length) + 3) &^ 3, swap, true
}

// header reads and checks the header of the block at the window's position.
func (p *pcapng) header(b []byte) (kind uint32, total int, swap bool, err error) {
	kind, length, swap, ok := blockHeader(b, p.swap)
	if !ok {
		return 0, 0, false, damaged("a section header without byte-order magic")
	}
	limit := int64(blockMax)
	if p.strict {
		limit = blockPlausible
	}
	if length < minLen(kind) {
		return 0, 0, false, damaged("a block of type %#x of %d bytes; it has at least %d", kind, length, minLen(kind))
	}
	if length > limit {
		return 0, 0, false, damaged("a block of type %#x of %d bytes; the limit is %d", kind, length, limit)
	}
	return kind, int(length), swap, nil
}

// minLen is the least length of those blocks that are read.
func minLen(kind uint32) int64 {
	switch kind {
	case blockSection:
		return sectionMin
	case blockInterface:
		return interfaceMin
	case blockPacket, blockEnhanced:
		return packetMin
	case blockSimple:
		return simpleMin
	}
	return blockMin
}

// checkTrailer compares the length at the end of the block b with that at its start.
func checkTrailer(b []byte, total int, swap bool) error {
	again := binary.LittleEndian.Uint32(b[len(b)-4:])
	if swap {
		again = bits.ReverseBytes32(again)
	}
	if (int64(again)+3)&^3 != int64(total) {
		return damaged("the two lengths of a block differ (%d and %d)", total, again)
	}
	return nil
}

func (p *pcapng) next(w *window, batch []Frame, number uint64) (n, want int, err error) {
	for n < len(batch) {
		if p.blocks == nil {
			if k := p.plain(w, batch[n:], number+uint64(n)); k > 0 {
				n += k
				continue
			}
		}
		b := w.unread()
		if len(b) < blockMin {
			return n, blockMin, nil
		}
		offset := w.offset()
		kind, total, swap, err := p.header(b)
		switch {
		case err != nil:
			return n, 0, atOffset(offset, err)
		case total > windowMax && n > 0:
			return n, 0, nil // their data must stay
		case total > windowMax:
			if !w.elide(blockKeep, int64(total-blockKeep-4)) || !w.need(blockKeep+4) {
				return 0, 1, nil
			}
			b = w.unread()[:blockKeep+4]
		case len(b) < total:
			return n, total, nil
		default:
			b = b[:total]
		}
		f := &batch[n]
		is, err := p.block(f, kind, b, total, swap)
		if err != nil {
			return n, 0, atOffset(offset, err)
		}
		w.pos += len(b)
		if is {
			f.Number = number + uint64(n)
			f.Offset = offset
			n++
		}
		if p.blocks != nil {
			p.blocks.block(p, kind, b, f, is)
		}
	}
	return n, 0, nil
}

// plain is the fast path: it reads enhanced packet blocks as long as they are whole and
// nothing about them is unusual, and leaves the rest to next.
func (p *pcapng) plain(w *window, batch []Frame, number uint64) (n int) {
	buf, pos := w.buf[:w.end], w.pos
	for n < len(batch) && len(buf)-pos >= packetMin {
		b := buf[pos:]
		h := b[:28]
		kind := binary.LittleEndian.Uint32(h)
		length := binary.LittleEndian.Uint32(h[4:])
		total := length
		index := binary.LittleEndian.Uint32(h[8:])
		high := binary.LittleEndian.Uint32(h[12:])
		low := binary.LittleEndian.Uint32(h[16:])
		captured := binary.LittleEndian.Uint32(h[20:])
		onWire := binary.LittleEndian.Uint32(h[24:])
		if p.swap {
			kind = bits.ReverseBytes32(kind)
			total = bits.ReverseBytes32(total)
			index = bits.ReverseBytes32(index)
			high = bits.ReverseBytes32(high)
			low = bits.ReverseBytes32(low)
			captured = bits.ReverseBytes32(captured)
			onWire = bits.ReverseBytes32(onWire)
		}
		if kind != blockEnhanced || total < packetMin || total&3 != 0 || uint64(total) > uint64(len(b)) ||
			uint64(index) >= uint64(len(p.interfaces)) || captured > min(total-packetMin, maxPacket) ||
			binary.LittleEndian.Uint32(b[total-4:]) != length {
			break
		}
		if room := total - packetMin - captured; room >= 8 && !p.comments {
			if p.commented(p.packetOptions(b[:total])); p.blocks != nil {
				break
			}
		}
		i := &p.interfaces[index]
		ts := uint64(high)<<32 | uint64(low)
		if ts > i.maxFast {
			break
		}
		f := &batch[n]
		f.Number = number + uint64(n)
		f.Time = int64(ts*i.scale) + i.offset
		f.Offset = w.base + int64(pos)
		f.Length = max(onWire, captured)
		f.LinkType = i.link
		f.NoPacket = false
		f.AfterGap = false
		f.Data = b[28 : 28+captured : 28+captured]
		pos += int(total)
		n++
	}
	w.pos = pos
	return n
}

// packet fills f. The captured bytes are at the start of data, room is what the block
// has for them.
func (p *pcapng) packet(f *Frame, i *iface, time int64, data []byte, room int, captured, length uint32) error {
	if int64(captured) > int64(room) {
		return damaged("a packet of %d bytes in a block for %d", captured, room)
	}
	if captured > maxPacket {
		if captured > i.limit {
			return damaged("a packet of %d bytes; the limit is %d", captured, i.limit)
		}
		data = data[:maxPacket]
	} else {
		data = data[:captured]
	}
	f.Time = time
	f.Length = max(length, captured)
	f.LinkType = i.link
	f.NoPacket = false
	f.AfterGap = false
	f.Data = data[:len(data):len(data)]
	return nil
}

func (p *pcapng) noInterface(index uint32) error {
	if p.ignored > 0 {
		return damaged("interface %d; only the first %d of a section are read", index, maxInterfaces)
	}
	return damaged("interface %d; the section has %d", index, len(p.interfaces))
}

// block reads a block of total bytes, of which b is all or the beginning and the end. is
// tells that f was filled: by a packet, or by one of the blocks without a packet that
// wiretap/pcapng.c hands on, which gives them a number.
func (p *pcapng) block(f *Frame, kind uint32, b []byte, total int, swap bool) (is bool, err error) {
	if err := checkTrailer(b, total, swap); err != nil {
		return false, err
	}
	switch kind {
	case blockSection:
		return false, p.section(b, swap)
	case blockEnhanced, blockPacket:
		index := p.index(kind, b)
		if uint64(index) >= uint64(len(p.interfaces)) {
			return false, p.noInterface(index)
		}
		if !p.comments {
			p.commented(p.packetOptions(b))
		}
		i := &p.interfaces[index]
		ts := uint64(p.order().Uint32(b[12:]))<<32 | uint64(p.order().Uint32(b[16:]))
		return true, p.packet(f, i, i.time(ts), b[28:], total-packetMin, p.order().Uint32(b[20:]), p.order().Uint32(b[24:]))
	case blockSimple:
		if len(p.interfaces) == 0 {
			return false, p.noInterface(0)
		}
		i := &p.interfaces[0]
		length := p.order().Uint32(b[8:])
		captured := length
		if i.snaplen != 0 {
			captured = min(captured, i.snaplen)
		}
		return true, p.packet(f, i, 0, b[12:], total-simpleMin, captured, length)
	case blockInterface:
		p.addInterface(b)
	case blockStatistics:
		p.statistics(b)
	case blockJournal, blockCustom, blockCustomKeep, blockSysdig, blockSysdig2, blockSysdig2L:
		*f = Frame{NoPacket: true}
		return true, nil
	}
	return false, nil
}

// section begins a section: its byte order, no interfaces. Its length is not needed.
func (p *pcapng) section(b []byte, swap bool) error {
	was := p.swap
	p.swap = swap
	p.declared++
	if major, minor := p.order().Uint16(b[12:]), p.order().Uint16(b[14:]); major != 1 || minor != 0 && minor != 2 {
		p.swap = was // what follows is searched for blocks of the section before
		return &DamageError{Reason: fmt.Sprintf("pcapng version %d.%d is not supported", major, minor)}
	}
	p.drops = p.totalDrops()
	p.names = p.names[:0]
	if p.interfaces = p.interfaces[:0]; p.shared {
		p.interfaces, p.shared = nil, false
	}
	p.ignored = 0
	return nil
}

// order is the byte order of the section.
func (p *pcapng) order() byteOrder {
	if p.swap {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

func (p *pcapng) clone() container {
	p.shared = true
	c := *p
	c.blocks, c.later, c.names = nil, nil, nil
	c.interfaces, c.links = slices.Clip(p.interfaces), slices.Clip(p.links)
	return &c
}

func (p *pcapng) learnt() int { return p.declared }

func (p *pcapng) fill(info *Info) {
	info.LinkTypes = slices.Clone(p.links)
	info.Snaplen = p.snaplen
	if p.unlimited {
		info.Snaplen = 0
	}
	info.Comments = p.comments
	info.Drops, info.DropsKnown = p.totalDrops(), p.dropsKnown
	if p.ignored > 0 {
		info.Warnings = append(info.Warnings,
			fmt.Sprintf("only the first %d interfaces of a section are read", maxInterfaces))
	}
}
