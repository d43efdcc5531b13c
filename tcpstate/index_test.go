package tcpstate

import (
	"math/rand/v2"
	"testing"
)

// TestHashSpread: whatever the seeds are, connections of one host from ports that follow one
// another lie in the index as if by chance. At this load a search for one then takes 1.7 steps.
func TestHashSpread(t *testing.T) {
	defer func(s [4]uint64) { seeds = s }(seeds)
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		for i := range seeds {
			seeds[i] = r.Uint64()
		}
		var x index
		x.resize(11)
		const n = 1170
		steps := 0
		for i := range uint32(n) {
			k := key{10<<24 | 1, 10<<24 | 2, (32768+i)<<16 | 80}
			h := k.hash()
			for p := x.home(h); x.slots[p].place != 0; p = x.next(p) {
				steps++
			}
			x.add(i, h)
		}
		if mean := 1 + float64(steps)/n; mean > 3 {
			t.Fatalf("%.1f steps with seeds %x", mean, seeds)
		}
	}
}

// Values keep their places, each its own, beyond the chunks that are made one by one.
func TestArena(t *testing.T) {
	type value [32]uint64
	var a arena[value]
	first := a.at(a.alloc())
	for i := range uint32(2 * slabSize / 256) {
		a.at(i)[0], a.at(i)[31] = uint64(i), uint64(i)
		if a.alloc() != i+1 {
			t.Fatalf("place %d was not the next", i+1)
		}
	}
	for i := range a.made - 1 {
		if v := a.at(i); v[0] != uint64(i) || v[31] != uint64(i) {
			t.Fatalf("at place %d lies %v", i, v)
		}
	}
	if a.release(5); a.alloc() != 5 || a.at(0) != first {
		t.Error("a place given back is not the next, or a value moved")
	}
}
