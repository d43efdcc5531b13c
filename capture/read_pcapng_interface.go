package capture

import (
	"math"
	"math/bits"
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

// setTime takes if_tsresol and if_tsoffset. Resolutions that no 64-bit number can express
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
