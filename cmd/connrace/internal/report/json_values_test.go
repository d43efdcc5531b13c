package report

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"
)

// Numbers are what strconv writes, and times what package time does.
func TestNumbersAndTimes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	numbers := []uint64{0, 9, 10, 99, 100, math.MaxUint64}
	for ten := uint64(10); ten < 1e19; ten *= 10 {
		numbers = append(numbers, ten-1, ten, ten+1)
	}
	for range 10000 {
		numbers = append(numbers, r.Uint64()>>r.IntN(64))
	}
	for _, n := range numbers {
		if got, want := string(appendUint([]byte("x"), n)), "x"+strconv.FormatUint(n, 10); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
		for _, ns := range []int64{int64(n), -int64(n), int64(n) / 1e9 * 1e9} {
			if ns == 0 {
				continue
			}
			want := time.Unix(0, ns).UTC().Format(`"2006-01-02T15:04:05.000000000Z"`)
			if got := string(stamp(ns).appendJSON([]byte(nil))); got != want {
				t.Fatalf("%d: %s, want %s", ns, got, want)
			}
		}
	}
	for day := time.Date(1678, 1, 1, 12, 0, 0, 0, time.UTC); day.Year() < 2262; day = day.AddDate(0, 0, 1) {
		want := day.Format(`"2006-01-02T15:04:05.000000000Z"`)
		if got := string(stamp(day.UnixNano()).appendJSON(nil)); day.UnixNano() != 0 && got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	}
}
