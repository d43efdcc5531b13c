package capture

import (
	"bufio"
	"errors"
	"io"
	"math"
)

// Annotated is how a copy with comments came out.
type Annotated struct {
	Frames    uint64 // copied
	Commented uint64 // of these
	// Simple are the commented frames that were simple packet blocks, which cannot have
	// comments: they are enhanced ones in the copy, at the newest time so far.
	Simple []uint64
	Damage error // that ended the input, a *DamageError; nil: it was read to its end
}

// Annotate copies the capture that f has just opened to dst as pcapng, and adds comments to
// some of its frames. Blocks of a pcapng file stay as they are, byte for byte, except for the
// added comments and the length that a section states. Frames after last are left out.
//
// If dst is an io.WriterAt the stated length of a section is corrected, else it becomes
// unknown. The error is one of writing to dst; damage of the input is in Annotated.
func Annotate(dst io.Writer, f *File, last uint64, comments func(frame uint64) []string) (Annotated, error) {
	c := &copier{w: bufio.NewWriterSize(dst, windowSize), comments: comments, last: last}
	c.at, _ = dst.(io.WriterAt)
	f.w.spill = &c.spill
	switch p := f.c.(type) {
	case *pcapng:
		p.blocks = c
		c.block(p, blockSection, f.w.buf[:f.w.pos], nil, false)
	case *pcap:
		p.copy = c
		resolution := uint8(6)
		if p.fraction == 1 {
			resolution = 9
		}
		c.begin(Interface{LinkType: p.link, Snaplen: p.snaplen, Resolution: resolution, FCSLen: p.fcsLen})
	case *snoop:
		p.copy = c
		c.begin(Interface{LinkType: p.link, Resolution: 6, FCSLen: p.fcsLen()})
	}
	batch := make([]Frame, 64)
	for c.err == nil && !c.done {
		if _, err := f.Read(batch); err != nil {
			if !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				c.result.Damage = err
			}
			break
		}
	}
	c.endSection()
	if err := c.w.Flush(); c.err == nil {
		c.err = err
	}
	return c.result, c.err
}

// copier writes what a container reads.
type copier struct {
	w        *bufio.Writer
	at       io.WriterAt // nil: what is written stays
	comments func(frame uint64) []string
	last     uint64
	out      int64    // bytes written
	spill    []byte   // the middle of a record too large for the window
	e        encoder  // of blocks that change
	pcap     *Writer  // for a capture that is no pcapng
	latest   int64    // time of a frame
	section  struct { // the one being copied
		at     int64  // of its stated length
		stated uint64 // MaxUint64: none
		grown  int64
	}
	done   bool
	err    error
	result Annotated
}

func (c *copier) write(b []byte) {
	n, err := c.w.Write(b)
	c.out += int64(n)
	if c.err == nil {
		c.err = err
	}
}

// block copies a block of p; f is its frame if it has one. Of a block with a spill, b is what
// precedes the spill and the block's last word.
func (c *copier) block(p *pcapng, kind uint32, b []byte, f *Frame, is bool) {
	spill := c.spill
	c.spill = nil
	if is && f.Number > c.last {
		c.done = true
	}
	if c.done || c.err != nil {
		return
	}
	if kind == blockSection {
		c.beginSection(p, b)
	}
	if is {
		c.result.Frames++
		c.latest = max(c.latest, f.Time)
		if texts := c.comments(f.Number); len(texts) > 0 && !f.NoPacket {
			c.result.Commented++
			c.annotate(p, kind, join(b, spill), f, texts)
			return
		}
	}
	if kind == blockSection && c.at == nil && c.section.stated != math.MaxUint64 {
		b = append([]byte(nil), b...)
		copy(b[16:], "\xff\xff\xff\xff\xff\xff\xff\xff")
	}
	if len(spill) > 0 {
		c.write(b[:len(b)-4])
		c.write(spill)
		b = b[len(b)-4:]
	}
	c.write(b)
}

// join makes a block whole.
func join(b, spill []byte) []byte {
	if len(spill) == 0 {
		return b
	}
	whole := append([]byte(nil), b[:len(b)-4]...)
	whole = append(whole, spill...)
	return append(whole, b[len(b)-4:]...)
}

// annotate writes a packet's block with comments added behind its options.
func (c *copier) annotate(p *pcapng, kind uint32, b []byte, f *Frame, texts []string) {
	e := &c.e
	e.order = p.order()
	e.b = e.b[:0]
	if kind == blockSimple {
		c.result.Simple = append(c.result.Simple, f.Number)
		e.packet(&Packet{
			Data: b[12 : 12+len(f.Data)], Length: p.order().Uint32(b[8:]), Comments: texts,
		}, p.interfaces[0].stamp(c.latest))
	} else {
		at := packetMin - 4 + (int(p.order().Uint32(b[20:]))+3)&^3
		at += p.optionsLen(b[at : len(b)-4])
		e.begin(kind)
		e.b = append(e.b, b[8:at]...)
		e.comments(texts)
		if rest := b[at : len(b)-4]; len(rest) > 0 { // the end of the options, or what makes no sense
			e.b = append(e.b, rest...)
			e.options = false
		}
	}
	e.end()
	c.section.grown += int64(len(e.b) - len(b))
	c.write(e.b)
}

// beginSection notes the length that a section header states.
func (c *copier) beginSection(p *pcapng, b []byte) {
	c.endSection()
	c.e.order = p.order()
	c.section.at, c.section.stated, c.section.grown = c.out+16, p.order().Uint64(b[16:]), 0
}

// endSection corrects the length that the section's header states.
func (c *copier) endSection() {
	s := &c.section
	if c.at == nil || s.at == 0 || s.stated == math.MaxUint64 || s.grown == 0 || c.err != nil {
		return
	}
	if c.err = c.w.Flush(); c.err != nil {
		return
	}
	var b [8]byte
	c.e.order.PutUint64(b[:], s.stated+uint64(s.grown))
	_, c.err = c.at.WriteAt(b[:], s.at)
	s.at = 0
}

// begin begins the copy of a capture that is no pcapng.
func (c *copier) begin(i Interface) {
	c.pcap, c.err = NewWriter(c.w, Section{Application: "connrace"})
	if c.err == nil {
		_, c.err = c.pcap.AddInterface(i)
	}
}

// record copies a record of a pcap or snoop file. Its length on the wire stays as the file
// has it, however wrong.
func (c *copier) record(f *Frame, length uint32) {
	data := f.Data
	if len(c.spill) > 0 {
		data = append(append([]byte(nil), data...), c.spill...)
		c.spill = nil
	}
	if f.Number > c.last {
		c.done = true
	}
	if c.done || c.err != nil {
		return
	}
	texts := c.comments(f.Number)
	c.result.Frames++
	if len(texts) > 0 {
		c.result.Commented++
	}
	c.err = c.pcap.Packet(&Packet{Time: f.Time, Data: data, Length: length, Comments: texts})
}
