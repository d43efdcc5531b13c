package pcaps

import (
	"encoding/binary"
	"io"
)

// FileFormat is a container for frames.
type FileFormat struct {
	NG        bool // pcapng; else pcap
	BigEndian bool
	Nano      bool // times in nanoseconds; else microseconds
}

// WritePCAP compiles the script and writes it as a capture file.
func (s *Script) WritePCAP(w io.Writer, f FileFormat) error {
	frames, err := s.Frames()
	if err != nil {
		return err
	}
	e := newEncoder(f, s.Capture.Link, s.Capture.Snaplen)
	for i := range frames {
		e.frame(&frames[i])
	}
	_, err = w.Write(e.b)
	return err
}

// Writer writes frames as a capture file, one by one.
type Writer struct {
	w io.Writer
	e encoder
}

// NewWriter begins a file. A snaplen of 0 is none; frames must have been cut to it.
func NewWriter(w io.Writer, f FileFormat, link Link, snaplen int) *Writer {
	return &Writer{w, newEncoder(f, link, snaplen)}
}

// Frame writes the next frame, the first one with the file's header in front.
func (w *Writer) Frame(f *Frame) error {
	w.e.frame(f)
	_, err := w.w.Write(w.e.b)
	w.e.b = w.e.b[:0]
	return err
}

// newEncoder has the file's header.
func newEncoder(f FileFormat, link Link, snaplen int) encoder {
	e := encoder{order: binary.LittleEndian, FileFormat: f}
	if f.BigEndian {
		e.order = binary.BigEndian
	}
	if snaplen == 0 {
		snaplen = 1 << 18 // MAXIMUM_SNAPLEN of libpcap
	}
	e.header(link.Type(), uint32(snaplen))
	return e
}

// encoder appends to b.
type encoder struct {
	FileFormat
	order interface {
		binary.ByteOrder
		binary.AppendByteOrder
	}
	b []byte
}

func (e *encoder) u16(v ...uint16) {
	for _, x := range v {
		e.b = e.order.AppendUint16(e.b, x)
	}
}

func (e *encoder) u32(v ...uint32) {
	for _, x := range v {
		e.b = e.order.AppendUint32(e.b, x)
	}
}

// header begins the file.
func (e *encoder) header(link uint16, snaplen uint32) {
	if e.NG {
		e.block(0x0a0d0d0a, func() { // section header
			e.u32(0x1a2b3c4d)
			e.u16(1, 0)
			e.u32(0xffffffff, 0xffffffff) // length not given
		})
		e.block(1, func() { // interface description
			e.u16(link, 0)
			e.u32(snaplen)
			if e.Nano {
				e.u16(9, 1) // if_tsresol
				e.b = append(e.b, 9, 0, 0, 0)
				e.u16(0, 0)
			}
		})
		return
	}
	magic := uint32(0xa1b2c3d4)
	if e.Nano {
		magic = 0xa1b23c4d
	}
	e.u32(magic)
	e.u16(2, 4)
	e.u32(0, 0, snaplen, uint32(link))
}

func (e *encoder) frame(f *Frame) {
	unit := int64(1000)
	if e.Nano {
		unit = 1
	}
	captured, length := uint32(len(f.Data)), uint32(f.Length)
	if e.NG {
		e.block(6, func() { // enhanced packet
			t := uint64(f.Time / unit)
			e.u32(0, uint32(t>>32), uint32(t), captured, length)
			e.b = append(e.b, f.Data...)
		})
		return
	}
	e.u32(uint32(f.Time/1e9), uint32(f.Time%1e9/unit), captured, length)
	e.b = append(e.b, f.Data...)
}

// block writes a pcapng block around its body, padded to four bytes.
func (e *encoder) block(kind uint32, body func()) {
	at := len(e.b)
	e.u32(kind, 0)
	body()
	for (len(e.b)-at)%4 != 0 {
		e.b = append(e.b, 0)
	}
	n := uint32(len(e.b) - at + 4)
	e.order.PutUint32(e.b[at+4:], n)
	e.u32(n)
}
