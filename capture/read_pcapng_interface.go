package capture

import (
	"math"
	"math/bits"
	"slices"
)

// second in nanoseconds.
const second = 1_000_000_000

// iface is an interface of a pcapng section.
type iface struct {
	link    LinkType
	snaplen uint32 // 0: not limited
	limit   uint32 // to the captured length
	drops   uint64

	// Most time stamps are scaled by a multiplication: up to maxFast, in nanoseconds.
	scale   uint64
	maxFast uint64
	units   uint64 // in a second
	offset  int64  // ns to add
}

// setTime applies if_tsresol and if_tsoffset. Resolutions that no 64-bit number can express
// are the finest that can, as in wiretap/pcapng.c.
func (i *iface) setTime(resolution byte, seconds int64) {
	i.units = math.MaxUint64
	switch exponent := resolution & 0x7f; {
	case resolution&0x80 != 0 && exponent < 64:
		i.units = 1 << exponent
	case resolution&0x80 == 0 && exponent < 20:
		i.units = 1
		for range exponent {
			i.units *= 10
		}
	}
	switch {
	case seconds > math.MaxInt64/second:
		i.offset = math.MaxInt64
	case seconds < math.MinInt64/second:
		i.offset = math.MinInt64
	default:
		i.offset = seconds * second
	}
	if i.units <= second && second%i.units == 0 {
		i.scale = second / i.units
		i.maxFast = (math.MaxInt64 - uint64(max(i.offset, 0))) / i.scale
	}
}

// time converts a time stamp to nanoseconds since the epoch; what int64 cannot hold (the
// year 2262) stays at its limit.
func (i *iface) time(ts uint64) int64 {
	if ts <= i.maxFast && i.scale != 0 {
		return int64(ts*i.scale) + i.offset
	}
	sec, rest := ts/i.units, ts%i.units
	hi, lo := bits.Mul64(rest, second)
	frac, _ := bits.Div64(hi, lo, i.units)
	hi, lo = bits.Mul64(sec, second)
	lo, carry := bits.Add64(lo, frac, 0)
	if hi+carry != 0 {
		return math.MaxInt64
	}
	switch {
	case i.offset >= 0:
		if lo, carry = bits.Add64(lo, uint64(i.offset), 0); carry != 0 {
			return math.MaxInt64
		}
	case lo <= math.MaxInt64:
		return int64(lo) + i.offset
	default:
		lo -= uint64(-i.offset)
	}
	return int64(min(lo, math.MaxInt64))
}

// stamp is the time stamp of a time, the inverse of time rounded down.
func (i *iface) stamp(ns int64) uint64 {
	if ns < i.offset {
		return 0
	}
	v := uint64(ns) - uint64(i.offset)
	if i.scale != 0 {
		return v / i.scale
	}
	hi, lo := bits.Mul64(v, i.units)
	if hi >= second {
		return math.MaxUint64
	}
	ts, _ := bits.Div64(hi, lo, second)
	return ts
}

// addInterface reads an interface description block.
func (p *pcapng) addInterface(b []byte) {
	p.declared++
	link, snaplen := LinkType(p.order().Uint16(b[8:])), p.order().Uint32(b[12:])
	if len(p.links) < maxLinkTypes && !slices.Contains(p.links, link) {
		p.links = append(p.links, link)
	}
	p.snaplen = max(p.snaplen, snaplen)
	p.unlimited = p.unlimited || snaplen == 0
	if len(p.interfaces) == maxInterfaces {
		p.ignored++
		return
	}
	i := iface{link: link, snaplen: snaplen, limit: maxPacketOf(link)}
	resolution, offset := byte(6), int64(0)
	for code, value := range p.options(b[16 : len(b)-4]) {
		switch {
		case code == 9 && len(value) == 1: // if_tsresol
			resolution = value[0]
		case code == 14 && len(value) == 8: // if_tsoffset
			offset = int64(p.order().Uint64(value))
		}
	}
	i.setTime(resolution, offset)
	p.interfaces = append(p.interfaces, i)
	if p.later != nil {
		p.names = append(p.names, p.interfaceName(b))
	}
}

// statistics reads from an interface statistics block what was lost, a running total.
func (p *pcapng) statistics(b []byte) {
	if len(b) < statsMin {
		return
	}
	index := p.order().Uint32(b[8:])
	if int64(index) >= int64(len(p.interfaces)) {
		return
	}
	var lost uint64
	known := false
	for code, value := range p.options(b[20 : len(b)-4]) {
		if code != 5 && code != 7 || len(value) != 8 { // isb_ifdrop, isb_osdrop
			continue
		}
		if v := p.order().Uint64(value); v != math.MaxUint64 { // which says unknown
			lost, known = addSat(lost, v), true
		}
	}
	if known {
		p.interfaces[index].drops = lost
		p.dropsKnown = true
	}
}

func (p *pcapng) totalDrops() uint64 {
	sum := p.drops
	for i := range p.interfaces {
		sum = addSat(sum, p.interfaces[i].drops)
	}
	return sum
}

func addSat(a, b uint64) uint64 {
	sum, carry := bits.Add64(a, b, 0)
	if carry != 0 {
		return math.MaxUint64
	}
	return sum
}

// options yields the options in b as far as they make sense. wiretap gives the file up at
// a bad one; the blocks behind it are as good as ever.
func (p *pcapng) options(b []byte) func(yield func(uint16, []byte) bool) {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= 4 {
			code, n := p.order().Uint16(b), int(p.order().Uint16(b[2:]))
			b = b[4:]
			if code == 0 || n > len(b) || !yield(code, b[:n]) {
				return
			}
			b = b[min((n+3)&^3, len(b)):]
		}
	}
}

// optionsLen is how many bytes of b are options that make sense, without their end.
func (p *pcapng) optionsLen(b []byte) (n int) {
	for len(b)-n >= 4 {
		next := n + 4 + (int(p.order().Uint16(b[n+2:]))+3)&^3
		if p.order().Uint16(b[n:]) == optionEnd || next > len(b) {
			break
		}
		n = next
	}
	return n
}
