package ring

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

// A ring keeps the newest values, in order.
func TestRing(t *testing.T) {
	for most := 1; most < 10; most++ {
		r := Ring[int]{Max: most}
		var all []int
		for n := range 4 * most {
			r.Add(n)
			all = append(all, n)
			want := slices.Clone(all[max(len(all)-most, 0):])
			var got []int
			for i := range r.Len() {
				got = append(got, *r.At(i))
			}
			if !slices.Equal(got, want) || *r.Newest() != n || r.Count != n+1 || r.Len() > most {
				t.Fatalf("%d of %d: %v, want %v", n+1, most, got, want)
			}
			for i, x := range want {
				if got := r.Search(func(y *int) bool { return *y >= x }); got != i {
					t.Fatalf("%d of %d: %d is found at %d, want %d", n+1, most, x, got, i)
				}
			}
		}
	}
}

// Moments are those that a look at all of them finds, and the newest are kept.
func TestTimes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for most := 1; most < 40; most++ {
		x := Times{Max: most}
		var all []Moment
		for n := range 9 * most {
			m := Moment{int64(n) * 10, uint32(n)}
			if r.IntN(5) == 0 {
				m.At -= 10 * r.Int64N(50)
			}
			if n == 5*most {
				x.Shift(7)
				for i := range all {
					all[i].At += 7
				}
			}
			x.Add(m.At, m.Of)
			all = append(all, m)
			all = all[max(len(all)-most, 0):]
			from := r.Int64N(int64(n)*10 + 20)
			to := from + r.Int64N(100) - 10
			var want []Moment
			for _, m := range all {
				if m.At >= from && m.At <= to {
					want = append(want, m)
				}
			}
			slices.SortStableFunc(want, func(a, b Moment) int { return cmp.Compare(a.At, b.At) })
			if got := x.Between(from, to); !slices.Equal(got, want) {
				t.Fatalf("%d of %d, %d to %d: %v, want %v", n+1, most, from, to, got, want)
			}
			if n := cap(x.ordered); n > 3*most+8 {
				t.Fatalf("room for %d of %d", n, most)
			}
		}
	}
}
