package capture

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// TestInterfaceTime compares with arbitrary precision.
func TestInterfaceTime(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	edges := []uint64{0, 1, 999, 1000, 1<<32 - 1, 1 << 32, 1<<63 - 1, 1 << 63, math.MaxUint64}
	for resolution := range 256 {
		for _, seconds := range []int64{0, 1, -1, t0sec, -t0sec, math.MaxInt64, math.MinInt64, math.MaxInt64 / second, math.MinInt64 / second} {
			var i iface
			i.setTime(byte(resolution), seconds)
			stamps := append([]uint64{
				random.Uint64(), random.Uint64() >> random.IntN(64),
				i.maxFast, i.maxFast + 1, i.maxFast - 1, i.units - 1, i.units + 1,
			}, edges...)
			for _, ts := range stamps {
				if got, want := i.time(ts), slowTime(resolution, seconds, ts); got != want {
					t.Fatalf("resolution %#x, offset %d, time stamp %d: got %d, want %d", resolution, seconds, ts, got, want)
				}
			}
		}
	}
}

// slowTime is iface.time in arbitrary precision.
func slowTime(resolution int, seconds int64, ts uint64) int64 {
	limit := func(v *big.Int) int64 {
		switch {
		case v.Cmp(big.NewInt(math.MaxInt64)) > 0:
			return math.MaxInt64
		case v.Cmp(big.NewInt(math.MinInt64)) < 0:
			return math.MinInt64
		}
		return v.Int64()
	}
	base, exponent := int64(10), resolution&0x7f
	if resolution&0x80 != 0 {
		base = 2
	}
	units := new(big.Int).Exp(big.NewInt(base), big.NewInt(int64(exponent)), nil)
	if units.BitLen() > 64 {
		units.SetUint64(math.MaxUint64)
	}
	offset := limit(new(big.Int).Mul(big.NewInt(seconds), big.NewInt(second)))
	ns := new(big.Int).Mul(new(big.Int).SetUint64(ts), big.NewInt(second))
	ns.Div(ns, units)
	return limit(ns.Add(ns, big.NewInt(offset)))
}
