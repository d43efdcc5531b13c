package ring

import (
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
