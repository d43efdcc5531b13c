package diagnosis

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestWhen(t *testing.T) {
	noon := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	// every adds n times from a number of seconds on.
	type every struct {
		from, step float64
		n          int
	}
	var crashes []every
	for i := range 14 {
		crashes = append(crashes, every{float64(i) * 600, 0.1, 4 + i%2*8})
	}
	for _, tt := range []struct {
		name    string
		at      []every
		outages bool
		want    string
	}{
		{"never", nil, false, ""},
		{"once", []every{{0, 0, 1}}, false, ", on 2026-11-30 at 12:00:00 UTC"},
		{"within a second", []every{{0, 0.01, 9}}, false, ", on 2026-11-30 at 12:00:00 UTC"},
		{"steady", []every{{0, 2, 61}}, false, ", on 2026-11-30 from 12:00:00 to 12:02:00 UTC (about 30 a minute)"},
		{"steady and fast", []every{{0, 0.25, 61}}, false, ", on 2026-11-30 from 12:00:00 to 12:00:15 UTC (about 4 a second)"},
		{"two alone", []every{{0, 0, 1}, {100, 0, 1}}, false, ", on 2026-11-30 from 12:00:00 to 12:01:40 UTC"},
		{"two bursts", []every{{278, 0.04, 6}, {0, 0.04, 11}}, false, ", on 2026-11-30 from 12:00:00 to 12:04:38 UTC, in 2 bursts: 11 within 400 ms at 12:00:00, 6 within 200 ms at 12:04:38"},
		{"a burst in one moment", []every{{0, 0, 5}, {10, 0.1, 3}}, false, ", on 2026-11-30 from 12:00:00 to 12:00:10 UTC, in 2 bursts: 5 at 12:00:00, 3 within 200 ms at 12:00:10"},
		{"slow bursts", []every{{0, 20, 10}, {7200, 20, 10}}, false, ", on 2026-11-30 from 12:00:00 to 14:03:00 UTC, in 2 bursts: 10 within 180 s at 12:00:00, 10 within 180 s at 14:00:00"},
		{"many bursts", crashes, false, ", on 2026-11-30 from 12:00:00 to 14:10:01 UTC, in 14 bursts, the largest 12 within 1.1 s at 12:10:00"},
		{"two stops, close together", []every{{0, 0.1, 16}, {3, 0.1, 11}}, true, ", on 2026-11-30 from 12:00:00 to 12:00:04 UTC, in 2 bursts: 16 within 1.5 s at 12:00:00, 11 within 1 s at 12:00:03"},
		{"as close together, but no stops", []every{{0, 0.1, 16}, {3, 0.1, 11}}, false, ", on 2026-11-30 from 12:00:00 to 12:00:04 UTC (about 6.5 a second)"},
		{"over days", []every{{0, 0.5, 3}, {86400, 0.5, 3}}, false, ", from 2026-11-30 12:00:00 to 2026-12-01 12:00:01 UTC, in 2 bursts: 3 within 1 s at 2026-11-30 12:00:00, 3 within 1 s at 2026-12-01 12:00:00"},
	} {
		var b bursts
		for _, e := range tt.at {
			for i := range e.n {
				at := noon.Add(time.Duration((e.from + e.step*float64(i)) * float64(time.Second))).UnixNano()
				b.add(at, at, 1)
			}
		}
		if got := strings.ReplaceAll(b.when(&Seen{}, tt.outages), "\u00a0", " "); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// Whatever the order and however much there is, nothing is lost and little is kept.
func TestBurstsBounded(t *testing.T) {
	var b bursts
	const n, day = 20000, int64(24 * time.Hour)
	rnd := rand.New(rand.NewPCG(1, 2))
	for range n {
		at := 1 + rnd.Int64N(day)
		b.add(at, at+rnd.Int64N(int64(time.Minute)), 1)
	}
	if len(b.all) > mostBursts || b.count() != n {
		t.Errorf("%d bursts of %d events", len(b.all), b.count())
	}
	for i := 1; i < len(b.all); i++ {
		if b.all[i].first-b.all[i-1].last <= b.gap {
			t.Errorf("%d and %d are one: %+v %+v", i-1, i, b.all[i-1], b.all[i])
		}
	}
}
