package capture

import (
	"encoding/binary"
)

// payload is a packet of 66 bytes; no test here looks into it.
var payload = func() []byte {
	b := make([]byte, 66)
	for i := range b {
		b[i] = byte(i * 7)
	}
	return b
}()

// t0sec is the time of the first packet of most files, in seconds.
const t0sec = 1_600_000_000

// pcapWriter builds pcap files, well-formed or not.
type pcapWriter struct {
	big          bool
	magic        uint32 // 0: microseconds
	major, minor uint16 // 0.0: 2.4
	snaplen      uint32
	network      uint32
	extra        []byte // of each record header
	b            []byte
}

func (w *pcapWriter) order() binary.AppendByteOrder {
	if w.big {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

func (w *pcapWriter) u32(vs ...uint32) *pcapWriter {
	for _, v := range vs {
		w.b = w.order().AppendUint32(w.b, v)
	}
	return w
}

func (w *pcapWriter) header() *pcapWriter {
	if w.magic == 0 {
		w.magic = magicMicro
	}
	if w.major == 0 && w.minor == 0 {
		w.major, w.minor = 2, 4
	}
	if w.network == 0 {
		w.network = 1
	}
	w.u32(w.magic)
	w.b = w.order().AppendUint16(w.b, w.major)
	w.b = w.order().AppendUint16(w.b, w.minor)
	return w.u32(0, 0, w.snaplen, w.network)
}

// record appends a packet.
func (w *pcapWriter) record(sec, frac uint32, data []byte) *pcapWriter {
	return w.lengths(sec, frac, uint32(len(data)), uint32(len(data)), data)
}

// lengths appends a packet whose header lies.
func (w *pcapWriter) lengths(sec, frac, first, second uint32, data []byte) *pcapWriter {
	w.u32(sec, frac, first, second)
	w.b = append(w.b, w.extra...)
	w.b = append(w.b, data...)
	return w
}

// file returns a file of n packets a millisecond apart.
func (w *pcapWriter) file(n int) []byte {
	w.header()
	unit := 1000
	if w.magic == magicNano {
		unit = 1_000_000
	}
	for i := range n {
		w.record(uint32(t0sec+i/1000), uint32(i%1000*unit), payload)
	}
	return w.b
}

// ngWriter builds pcapng files.
type ngWriter struct {
	big bool
	b   []byte
}

func (w *ngWriter) order() binary.AppendByteOrder {
	if w.big {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// words appends integers in the byte order of the file, byte slices as they are, padded.
func (w *ngWriter) words(b []byte, vs ...any) []byte {
	for _, v := range vs {
		switch v := v.(type) {
		case uint16:
			b = w.order().AppendUint16(b, v)
		case uint32:
			b = w.order().AppendUint32(b, v)
		case uint64:
			b = w.order().AppendUint64(b, v)
		case int:
			b = w.order().AppendUint32(b, uint32(v))
		case []byte:
			b = append(b, v...)
			b = append(b, make([]byte, -len(v)&3)...)
		}
	}
	return b
}

func (w *ngWriter) block(kind uint32, body ...any) *ngWriter {
	b := w.words(nil, body...)
	w.b = w.words(w.b, kind, 12+len(b), b, 12+len(b))
	return w
}

func (w *ngWriter) section() *ngWriter {
	return w.block(blockSection, uint32(byteOrderMagic), uint16(1), uint16(0), ^uint64(0))
}

func (w *ngWriter) option(code uint16, v []byte) []byte {
	return w.words(nil, code, uint16(len(v)), v)
}

func (w *ngWriter) iface(link uint16, snaplen int, options ...any) *ngWriter {
	return w.block(blockInterface, append([]any{link, uint16(0), snaplen}, options...)...)
}

func (w *ngWriter) enhanced(index int, ts uint64, data []byte, options ...any) *ngWriter {
	return w.block(blockEnhanced, append([]any{
		index, uint32(ts >> 32), uint32(ts), len(data), len(data), data,
	}, options...)...)
}

func (w *ngWriter) file(n int) []byte {
	w.section().iface(1, 0)
	for i := range n {
		w.enhanced(0, t0sec*1_000_000+uint64(i)*1000, payload)
	}
	return w.b
}

// snoopWriter builds snoop files.
type snoopWriter struct {
	version  uint32 // 0: 2
	padding  int    // behind each packet, besides what makes it a whole number of words
	drops    uint32
	surveyor []byte // behind each packet and its padding
	b        []byte
}

func (w *snoopWriter) u32(vs ...uint32) *snoopWriter {
	for _, v := range vs {
		w.b = binary.BigEndian.AppendUint32(w.b, v)
	}
	return w
}

func (w *snoopWriter) header(network uint32) *snoopWriter {
	w.b = append(w.b, snoopMagic...)
	return w.u32(max(w.version, 2), network)
}

func (w *snoopWriter) record(sec, usec uint32, data []byte) *snoopWriter {
	padding := make([]byte, -len(data)&3+w.padding)
	w.u32(uint32(len(data)), uint32(len(data)), uint32(snoopRecordLen+len(data)+len(padding)+len(w.surveyor)), w.drops, sec, usec)
	w.b = append(append(append(w.b, data...), padding...), w.surveyor...)
	return w
}
