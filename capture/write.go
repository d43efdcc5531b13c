package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// Option codes, draft-ietf-opsawg-pcapng §3.5 and §4.
const (
	optionEnd     = 0
	optionComment = 1

	optionHardware    = 2 // of a section
	optionOS          = 3
	optionApplication = 4

	optionName        = 2 // of an interface
	optionDescription = 3
	optionResolution  = 9
	optionFilter      = 11
	optionFCSLen      = 13

	optionFlags = 2 // of a packet

	optionStart    = 2 // of statistics
	optionEnded    = 3
	optionReceived = 4
	optionDropped  = 5
	optionOSDrops  = 7
)

// maxOption is the longest value of an option.
const maxOption = math.MaxUint16

// Section is what a pcapng file says of where it comes from. All of it is optional.
type Section struct {
	Hardware, OS, Application string
	Comments                  []string
}

// Interface is an interface that packets of a pcapng file come from.
type Interface struct {
	LinkType                  LinkType
	Snaplen                   uint32 // 0: not limited
	Name, Description, Filter string // optional
	// Resolution is how many decimals of a second time stamps have, at most 9.
	Resolution uint8
	FCSLen     uint8 // bytes of frame check sequence at the end of each packet; 0: not known
}

// Packet is a packet to be written.
type Packet struct {
	Interface uint32 // by number, see Writer.AddInterface
	Time      int64  // ns since the Unix epoch
	Data      []byte // what was captured
	Length    uint32 // bytes on the wire
	Flags     uint32 // epb_flags: direction and such; 0: not known
	Comments  []string
}

// Statistics say how a capture on an interface went.
type Statistics struct {
	Interface  uint32
	Time       int64 // of the statistics
	Start, End int64 // of the capture; 0: not known
	Received   uint64
	Dropped    uint64 // by the interface
	OSDropped  uint64 // by the system, because its buffer was full
}

// Writer writes a capture as pcapng. Each block goes to the underlying writer in one
// Write, so that who reads a stream sees every packet as soon as it is written.
type Writer struct {
	w      io.Writer
	e      encoder
	second []int64 // ns of a unit of time, by interface
	err    error   // of the first failed write; it stays
}

// NewWriter begins a capture with its section header.
func NewWriter(w io.Writer, s Section) (*Writer, error) {
	x := &Writer{w: w, e: encoder{order: binary.LittleEndian}}
	e := &x.e
	e.begin(blockSection)
	e.u32(byteOrderMagic)
	e.u16(1, 0)
	e.u64(math.MaxUint64) // length not given
	e.text(optionHardware, s.Hardware)
	e.text(optionOS, s.OS)
	e.text(optionApplication, s.Application)
	e.comments(s.Comments)
	return x, x.flush()
}

// AddInterface declares an interface and returns its number.
func (x *Writer) AddInterface(i Interface) (uint32, error) {
	if i.Resolution > 9 {
		return 0, fmt.Errorf("time stamps of %d decimals", i.Resolution)
	}
	unit := int64(1)
	for range 9 - i.Resolution {
		unit *= 10
	}
	e := &x.e
	e.begin(blockInterface)
	e.u16(uint16(i.LinkType), 0)
	e.u32(i.Snaplen)
	e.text(optionName, i.Name)
	e.text(optionDescription, i.Description)
	if i.Filter != "" {
		e.option(optionFilter, append([]byte{0}, i.Filter...)) // 0: as pcap-filter(7) has it
	}
	e.option(optionResolution, []byte{i.Resolution})
	if i.FCSLen != 0 {
		e.option(optionFCSLen, []byte{i.FCSLen})
	}
	x.second = append(x.second, unit)
	return uint32(len(x.second) - 1), x.flush()
}

// Packet writes a packet.
func (x *Writer) Packet(p *Packet) error {
	if int64(p.Interface) >= int64(len(x.second)) {
		return fmt.Errorf("interface %d of %d", p.Interface, len(x.second))
	}
	if len(p.Data) > maxPacketBig {
		return errors.New("packet too large")
	}
	x.e.packet(p, uint64(p.Time/x.second[p.Interface]))
	return x.flush()
}

// Statistics writes the statistics of an interface.
func (x *Writer) Statistics(s *Statistics) error {
	if int64(s.Interface) >= int64(len(x.second)) {
		return fmt.Errorf("interface %d of %d", s.Interface, len(x.second))
	}
	unit := x.second[s.Interface]
	e := &x.e
	e.begin(blockStatistics)
	e.u32(s.Interface)
	e.time(uint64(s.Time / unit))
	for _, o := range []struct {
		code uint16
		at   int64
	}{{optionStart, s.Start}, {optionEnded, s.End}} {
		if o.at != 0 {
			e.u16(o.code, 8)
			e.time(uint64(o.at / unit))
			e.options = true
		}
	}
	for _, o := range []struct {
		code uint16
		n    uint64
	}{{optionReceived, s.Received}, {optionDropped, s.Dropped}, {optionOSDrops, s.OSDropped}} {
		e.u16(o.code, 8)
		e.u64(o.n)
		e.options = true
	}
	return x.flush()
}

// flush ends the block that was begun and writes it.
func (x *Writer) flush() error {
	x.e.end()
	if x.err == nil {
		_, x.err = x.w.Write(x.e.b)
	}
	x.e.b = x.e.b[:0]
	return x.err
}

type byteOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

// encoder appends blocks to b.
type encoder struct {
	order   byteOrder
	b       []byte
	start   int  // of the block
	options bool // it has some
}

func (e *encoder) u16(vs ...uint16) {
	for _, v := range vs {
		e.b = e.order.AppendUint16(e.b, v)
	}
}

func (e *encoder) u32(vs ...uint32) {
	for _, v := range vs {
		e.b = e.order.AppendUint32(e.b, v)
	}
}

func (e *encoder) u64(v uint64) { e.b = e.order.AppendUint64(e.b, v) }

// time appends a time stamp: the upper half comes first in either byte order.
func (e *encoder) time(ts uint64) { e.u32(uint32(ts>>32), uint32(ts)) }

// data appends bytes and pads them.
func (e *encoder) data(b []byte) {
	const zeros = "\x00\x00\x00"
	e.b = append(e.b, b...)
	e.b = append(e.b, zeros[:-len(b)&3]...)
}

func (e *encoder) option(code uint16, value []byte) {
	e.u16(code, uint16(len(value)))
	e.data(value)
	e.options = true
}

// text appends an option with a text; one that is too long is cut, none is left out.
func (e *encoder) text(code uint16, s string) {
	if s != "" {
		e.option(code, []byte(s[:min(len(s), maxOption)]))
	}
}

func (e *encoder) comments(cs []string) {
	for _, c := range cs {
		e.text(optionComment, c)
	}
}

func (e *encoder) begin(kind uint32) {
	e.start, e.options = len(e.b), false
	e.u32(kind, 0)
}

// end closes the options and the block.
func (e *encoder) end() {
	if e.options {
		e.u16(optionEnd, 0)
	}
	n := uint32(len(e.b) - e.start + 4)
	e.order.PutUint32(e.b[e.start+4:], n)
	e.u32(n)
}

// packet begins an enhanced packet block and appends all of it but its end.
func (e *encoder) packet(p *Packet, ts uint64) {
	e.begin(blockEnhanced)
	e.u32(p.Interface)
	e.time(ts)
	e.u32(uint32(len(p.Data)), p.Length)
	e.data(p.Data)
	if p.Flags != 0 {
		e.u16(optionFlags, 4)
		e.u32(p.Flags)
		e.options = true
	}
	e.comments(p.Comments)
}
