package capture

import (
	"context"
	"errors"
	"math"
)

// Remarks are what a pcapng file says of a packet besides its bytes. All of it is hostile input.
type Remarks struct {
	Frame     uint64
	Comments  [][]byte // as they are in the file; valid until the function returns that they are given to
	Direction Direction
	Interface string // its name, as far as it is said; the first maxName bytes
}

// maxName bounds the names of interfaces that are kept.
const maxName = 64

// Remarked reads the capture that f has just opened up to its frame last, and hands on what is
// remarked on frames that are wanted, where that is a comment at least. Damage ends it without an
// error, as does the end.
func Remarked(ctx context.Context, f *File, last uint64, wanted func(frame uint64) bool, do func(*Remarks)) error {
	p, is := f.c.(*pcapng)
	if !is {
		return nil // no other format has comments
	}
	x := &remarks{last: last, wanted: wanted, do: do}
	p.blocks, p.later, p.names = x, x, make([]string, len(p.interfaces))
	batch := make([]Frame, 256)
	for !x.done && ctx.Err() == nil {
		if _, err := f.Read(batch); err != nil {
			if errors.Is(err, errChanged) {
				return err
			}
			return nil
		}
	}
	return ctx.Err()
}

// Remark has do called with what is remarked on each frame from now on, while frames are read: for a
// stream, which cannot be read again as Remarked does. Until a packet has a comment it costs nothing.
func (f *File) Remark(do func(*Remarks)) {
	if p, is := f.c.(*pcapng); is {
		p.names = make([]string, len(p.interfaces))
		p.later = &remarks{last: math.MaxUint64, wanted: func(uint64) bool { return true }, do: do}
	}
}

// remarks hands on what is remarked on packets.
type remarks struct {
	last   uint64
	wanted func(frame uint64) bool
	do     func(*Remarks)
	found  Remarks
	done   bool
}

func (x *remarks) block(p *pcapng, kind uint32, b []byte, f *Frame, is bool) {
	if x.done = x.done || is && f.Number > x.last; x.done || !is || kind != blockEnhanced && kind != blockPacket || !x.wanted(f.Number) {
		return
	}
	x.found = Remarks{Frame: f.Number, Comments: x.found.Comments[:0], Interface: p.names[p.index(kind, b)]}
	for code, value := range p.options(p.packetOptions(b)) {
		switch {
		case code == optionComment && len(value) > 0:
			x.found.Comments = append(x.found.Comments, value)
		case code == optionFlags && len(value) == 4:
			x.found.Direction = Direction(p.order().Uint32(value) & 3) // epb_flags, bits 0 and 1; 3 is not defined
		}
	}
	if x.found.Direction > Outbound {
		x.found.Direction = DirectionUnknown
	}
	if len(x.found.Comments) > 0 {
		x.do(&x.found)
	}
}

// index is the number of a packet block's interface.
func (p *pcapng) index(kind uint32, b []byte) uint32 {
	if kind == blockPacket {
		return uint32(p.order().Uint16(b[8:])) // and a count of drops
	}
	return p.order().Uint32(b[8:])
}

// interfaceName is the name in an interface description block, the beginning of a long one.
func (p *pcapng) interfaceName(b []byte) string {
	for code, value := range p.options(b[interfaceMin-4 : len(b)-4]) {
		if code == optionName {
			return string(value[:min(len(value), maxName)])
		}
	}
	return ""
}

// packetOptions are the options of an enhanced or obsolete packet block; of one that is not all in
// the window, in whose middle they may be, none.
func (p *pcapng) packetOptions(b []byte) []byte {
	at := packetMin - 4 + (uint64(p.order().Uint32(b[20:]))+3)&^3
	if end := uint64(len(b) - 4); at < end {
		return b[at:end]
	}
	return nil
}

// commented notes whether a packet's options hold a comment.
func (p *pcapng) commented(options []byte) {
	for code, value := range p.options(options) {
		if code == optionComment && len(value) > 0 {
			p.comments = true
			if p.later != nil && p.blocks == nil {
				p.blocks = p.later
			}
			return
		}
	}
}
