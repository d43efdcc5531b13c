package capture

import (
	"encoding/binary"
	"fmt"
	"strings"
)

const snoopMagic = "snoop\x00\x00\x00"

const (
	snoopHeaderLen = 16
	snoopRecordLen = 24
	// surveyorTrailer is what Shomiti's and Finisar's Surveyor puts behind each packet. The
	// padding of snoop itself is shorter: by that alone the two are told apart.
	surveyorTrailer = 16
	// snoopPlausible is the most padding in which a search for records believes.
	snoopPlausible = 256
)

// snoop is the container of Solaris' snoop (RFC 1761), of atmsnoop, and of Surveyor, which
// numbers the link types otherwise (wiretap/snoop.c).
type snoop struct {
	link        LinkType
	surveyor    bool
	radio       bool   // a Surveyor header precedes each 802.11 frame
	drops       uint32 // so far, as the newest record says
	first, last uint32 // seconds of these records; valid iff any
	any         bool

	copy *copier // nil: the file is only read, not copied
}

// snoopLinks are the link types of RFC 1761 and the DL_ values of dlpi.h that wiretap reads,
// except InfiniBand, whose form here has no LINKTYPE_ value.
var snoopLinks = map[uint32]LinkType{
	0: LinkEthernet, 2: LinkTokenRing, 4: LinkEthernet, 8: LinkFDDI, 9: LinkNull, 14: LinkNull,
	16: LinkIPOverFC, 18: LinkSunATM, 0x80000005: LinkIPNET,
}

// surveyorLinks are those of Surveyor.
var surveyorLinks = map[uint32]LinkType{
	0: LinkEthernet, 2: LinkTokenRing, 4: LinkEthernet, 8: LinkFDDI, 10: LinkEthernet, 11: LinkTokenRing,
	12: LinkEthernet, 13: LinkTokenRing, 14: LinkTokenRing, 18: LinkIEEE80211, 19: LinkEthernet,
}

func isSnoop(w *window) bool {
	return w.need(len(snoopMagic)) && strings.HasPrefix(string(w.unread()[:len(snoopMagic)]), snoopMagic)
}

// openSnoop reads the file header, and looks at the first record for who wrote it.
func openSnoop(w *window) (*snoop, error) {
	if !w.need(snoopHeaderLen) {
		return nil, headerCut(w, snoopHeaderLen)
	}
	version, network := binary.BigEndian.Uint32(w.unread()[8:]), binary.BigEndian.Uint32(w.unread()[12:])
	if version < 2 || version > 5 { // above 2: Surveyor
		return nil, fmt.Errorf("snoop version %d is not supported", version)
	}
	w.pos += snoopHeaderLen
	s := &snoop{}
	links := snoopLinks
	if w.need(snoopRecordLen) {
		h := snoopHeader(w.unread())
		s.surveyor = int64(h.record) >= snoopRecordLen+int64(h.captured)+surveyorTrailer
	} else if w.err != nil && !isEOF(w.err) {
		return nil, w.err
	}
	if s.surveyor {
		links = surveyorLinks
	}
	link, ok := links[network]
	if !ok {
		return nil, fmt.Errorf("snoop network type %d is not supported", network)
	}
	s.link, s.radio = link, s.surveyor && link == LinkIEEE80211
	return s, nil
}

// snoopRecord is the header of a record.
type snoopRecord struct{ length, captured, record, drops, sec, usec uint32 }

func snoopHeader(b []byte) snoopRecord {
	_ = b[snoopRecordLen-1]
	u32 := binary.BigEndian.Uint32
	return snoopRecord{u32(b), u32(b[4:]), u32(b[8:]), u32(b[12:]), u32(b[16:]), u32(b[20:])}
}

func (h *snoopRecord) time() int64 { return int64(h.sec)*second + int64(h.usec)*1000 }

// check tells headers that cannot be.
func (h *snoopRecord) check() error {
	switch padding := int64(h.record) - snoopRecordLen - int64(h.captured); {
	case h.captured > maxPacket || h.length > maxPacket:
		return damaged("a packet of %d bytes; the limit is %d", max(h.captured, h.length), maxPacket)
	case padding < 0 || padding > maxPacket:
		return damaged("a record of %d bytes with a packet of %d", h.record, h.captured)
	}
	return nil
}

func (s *snoop) next(w *window, batch []Frame, number uint64) (n, want int, err error) {
	if s.copy != nil {
		batch = batch[:1]
	}
	for n < len(batch) {
		b := w.unread()
		if len(b) < snoopRecordLen {
			return n, snoopRecordLen, nil
		}
		h := snoopHeader(b)
		if err := h.check(); err != nil {
			return n, 0, atOffset(w.offset(), err)
		}
		if len(b) < int(h.record) {
			return n, int(h.record), nil
		}
		data := b[snoopRecordLen : snoopRecordLen+h.captured]
		if s.radio {
			if data, err = radioFrame(data); err != nil {
				return n, 0, atOffset(w.offset(), err)
			}
			h.length -= min(h.length, h.captured-uint32(len(data)))
		}
		batch[n] = Frame{
			Number: number + uint64(n), Time: h.time(), Offset: w.offset(), Length: max(h.length, uint32(len(data))),
			LinkType: s.link, Data: data[:len(data):len(data)],
		}
		if s.copy != nil {
			s.copy.record(&batch[n], h.length)
		}
		if !s.any {
			s.any, s.first = true, h.sec
		}
		s.last, s.drops = h.sec, h.drops
		w.pos += int(h.record)
		n++
	}
	return n, 0, nil
}

// radioFrame removes Surveyor's header from an 802.11 frame. Its fourth byte is the length
// of what follows these four, at least eight.
func radioFrame(data []byte) ([]byte, error) {
	const least = 8
	if len(data) < 4+least || data[3] < least || len(data) < 4+int(data[3]) {
		return nil, damaged("no room for a Surveyor header in a packet of %d bytes", len(data))
	}
	return data[4+int(data[3]):], nil
}

func (s *snoop) clone() container {
	c := *s
	return &c
}

func (s *snoop) learnt() int { return 0 }

func (s *snoop) fill(info *Info) {
	info.LinkTypes = []LinkType{s.link}
	// Implementations that cannot count say 0.
	info.Drops, info.DropsKnown = uint64(s.drops), s.drops > 0 && !s.surveyor
}

// fcsLen is how many bytes of frame check sequence packets end with.
func (s *snoop) fcsLen() uint8 {
	if s.surveyor && (s.link == LinkEthernet || s.radio) {
		return 4
	}
	return 0
}

// starts wants three records in a row, or fewer that end with the file.
func (s *snoop) starts(b []byte, ended bool) bool {
	var last uint32
	for n := range 3 {
		if len(b) < snoopRecordLen {
			return n >= 2 || n == 1 && ended && len(b) == 0
		}
		h := snoopHeader(b)
		if h.captured == 0 || h.captured > h.length || h.usec >= 1e6 || h.check() != nil ||
			h.record-h.captured > snoopRecordLen+snoopPlausible {
			return false
		}
		if n == 0 && s.any && !near(h.sec, s.first) && !near(h.sec, s.last) || n > 0 && !near(h.sec, last) {
			return false
		}
		last = h.sec
		b = b[min(int(h.record), len(b)):]
	}
	return true
}
