package detect

import (
	"fmt"
	"math"
	"testing"
)

// What findings say of times and figures is what fmt would, and costs one allocation.
func TestSays(t *testing.T) {
	for _, ns := range []int64{0, 999, 1000, 999_999, millisecond, 1_234_567, 99_949_999, 99_950_001, 999_499_999} {
		want := fmt.Sprintf("%.3g ms", float64(ns)/1e6)
		if ns < millisecond {
			want = fmt.Sprintf("%d µs", ns/1000)
		}
		if got := seconds(ns); got != want {
			t.Errorf("%d ns: %s, want %s", ns, got, want)
		}
	}
	for want, s := range map[string]float64{"0.00 s": 0, "0.52 s": 0.52, "3.4 s": 3.44, "10.0 s": 9.99, "31 s": 31.4, "1234 s": 1234} {
		if got := about(int64(s * 1e9)); got != want {
			t.Errorf("%v s: %s, want %s", s, got, want)
		}
	}
	n, frame, stream := -3, uint64(math.MaxUint64), uint32(math.MaxUint32)
	want := fmt.Sprintf("%d times (frame %d, tcp.stream %d) %s", n, frame, stream, "ago")
	if got := says(n, " times (frame ", frame, ", tcp.stream ", stream, ") ", "ago"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if n := testing.AllocsPerRun(100, func() { sink = says(n, " times (frame ", frame, ", tcp.stream ", stream, ")") }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

var sink string
