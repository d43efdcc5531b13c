package detect

import "testing"

func TestReachedLargest(t *testing.T) {
	var r reached
	r.add(1009*second, 1448)
	r.add(1012*second, 40)
	r.add(1011*second, 500) // seen late
	r.add((1012-int64(len(r)))*second, 1000)
	for _, c := range []struct {
		from, to int64
		want     uint32
	}{{9, 12, 1448}, {10, 12, 500}, {12, 12, 40}, {13, 20, 0}, {12, 11, 0}, {10, 9, 0}} {
		if got := r.largest((1000+c.from)*second, (1000+c.to)*second); got != c.want {
			t.Errorf("from %d to %d s: %d, want %d", c.from, c.to, got, c.want)
		}
	}
}
