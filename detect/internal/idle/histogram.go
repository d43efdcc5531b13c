package idle

import "math/bits"

// Histogram counts gaps by size in buckets of a quarter octave: bucket i holds
// [1 ms · 2^(i/4), 1 ms · 2^((i+1)/4)); bucket 0 also everything shorter, the last
// everything longer.
type Histogram [96]uint32

// Add counts a gap, ns.
func (h *Histogram) Add(ns int64) {
	i := 0
	if ns > millisecond {
		// Four buckets an octave; within it the bounds are those of 2^(1/4).
		e := bits.Len64(uint64(ns)/uint64(millisecond)) - 1
		within := ns >> (e & 63)
		// 1 for each bound that it reaches; a branch could not be predicted.
		i = 4*e + int(uint64(1_189_206-within)>>63+uint64(1_414_213-within)>>63+uint64(1_681_792-within)>>63)
	}
	h[min(i, len(h)-1)]++
}

// From is how many gaps were certainly longer than a time, ns.
func (h *Histogram) From(ns int64) (n int) {
	var at Histogram
	at.Add(ns)
	i := 0
	for at[i] == 0 {
		i++
	}
	for _, c := range h[i+1:] {
		n += int(c)
	}
	return n
}

// Sketch is a histogram of times with 32 buckets an octave: 2 % fine. Of many targets the
// buckets are not in the cache: the newest times wait until there are some, for the misses
// to overlap, and few times need no buckets at all.
type Sketch struct {
	N uint64 // times added

	b     []uint32
	least int      // below it all of b are 0
	fresh [7]int64 // with its number a cache line
	nf    int      // of fresh, that are not in b yet
}

// Add adds a time, ns.
func (s *Sketch) Add(ns int64) {
	if s.nf == len(s.fresh) {
		s.fold()
	}
	s.fresh[s.nf] = ns
	s.nf++
	s.N++
}

// fold counts the fresh ones.
func (s *Sketch) fold() {
	if s.b == nil {
		s.b = make([]uint32, 40*32)
		s.least = len(s.b)
	}
	for _, ns := range s.fresh[:s.nf] {
		i := sketchBucket(ns)
		s.b[i]++
		s.least = min(s.least, i)
	}
	s.nf = 0
}

func sketchBucket(ns int64) int {
	if ns < 32 {
		return int(max(ns, 0))
	}
	e := bits.Len64(uint64(ns)) - 6
	return min((e+1)*32+int(ns>>e)-32, 40*32-1)
}

// Quantile is the time below which a share q of them lies; 0 without any.
func (s *Sketch) Quantile(q float64) int64 {
	if s.N == 0 {
		return 0
	}
	s.fold()
	want := uint64(q * float64(s.N-1))
	var seen uint64
	for i := s.least; i < len(s.b); i++ {
		c := s.b[i]
		seen += uint64(c)
		if c > 0 && seen > want {
			if i < 32 {
				return int64(i)
			}
			e := i/32 - 1
			lo := int64(i%32+32) << e
			return lo + int64(1)<<e/2
		}
	}
	return 0
}

// Median is the time in the middle.
func (s *Sketch) Median() int64 { return s.Quantile(0.5) }
