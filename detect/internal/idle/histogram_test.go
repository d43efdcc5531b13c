package idle

import (
	"math"
	"math/rand/v2"
	"testing"
)

// A gap is counted in the last bucket whose lower bound it reaches.
func TestHistogram(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	gaps := []int64{math.MinInt64, -1, 0, millisecond, millisecond + 1, math.MaxInt64}
	for e := range 24 {
		for _, q := range [...]int64{millisecond, 1_189_207, 1_414_214, 1_681_793} {
			gaps = append(gaps, q<<e-1, q<<e, q<<e+1)
		}
	}
	for range 1000 {
		gaps = append(gaps, r.Int64()>>r.IntN(63))
	}
	for _, ns := range gaps {
		want := 0
		for i := range len(Histogram{}) {
			if ns >= [...]int64{millisecond, 1_189_207, 1_414_214, 1_681_793}[i%4]<<(i/4) {
				want = i
			}
		}
		var h Histogram
		if h.Add(ns); h[want] != 1 {
			t.Fatalf("%d ns are not in bucket %d: %v", ns, want, h)
		}
	}
}
