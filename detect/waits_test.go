package detect

import (
	"math/rand/v2"
	"testing"
	"unsafe"

	"connrace/tcpstate"
)

// someWaits are n waits of as many connections that stalled one after the other; of most the
// answer came, of some the acknowledgment, be it before them by a clock that was put back.
func someWaits(r *rand.Rand, open *openWaits, n int) *waits {
	x := &waits{most: n + 1}
	for i := range n {
		w := x.begin(open, uint32(i), tcpstate.SegRef{Time: int64(i)*1000 + r.Int64N(5000)})
		w.copies, w.fresh, w.fin, w.ref.Len = r.Int32N(3), r.IntN(2) == 0, r.IntN(9) == 0, r.Uint32N(1500)
		if r.IntN(50) == 0 {
			x.at(forQueue, w.ref.Time) // its groups are known, and have to be made anew
		}
		if i := r.IntN(i + 1); r.IntN(3) > 0 {
			x.change(*open, uint32(i), func(w *wait) { w.acked = w.ref.Time + r.Int64N(9000) - 1000 })
			if r.IntN(2) == 0 {
				x.change(*open, uint32(i), func(w *wait) { w.answered = w.ref.Time + r.Int64N(20000) - 2000 })
				open.end(uint32(i))
			} else if r.IntN(9) == 0 {
				x.takeBack(*open, uint32(i))
			}
		}
	}
	return x
}

// TestWaits: what groups of waits answer is what each of them would have.
func TestWaits(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		n := r.IntN(700)
		var open openWaits
		x := someWaits(r, &open, n)
		from := r.Int64N(int64(n)*1000 + 10000)
		to := from + r.Int64N(20000)
		for k := range waitKinds {
			count, newest := 0, int64(0)
			for i := range x.all {
				if s := x.all[i].spans()[k]; s.from <= from && from <= s.to {
					count++
					newest = max(newest, x.all[i].ref.Time)
				}
			}
			if got, ref := x.at(k, from); got != count || ref.Time != newest {
				t.Fatalf("%d waits, kind %d: %d at %d, the newest of %d; want %d of %d", n, k, got, from, ref.Time, count, newest)
			}
		}
		flow, overflowed, largest := r.Uint32N(uint32(n)+1), false, uint32(0)
		for i := range x.all {
			w := &x.all[i]
			s := w.spans()[forOverflow]
			overflowed = overflowed || s.from <= to && s.to >= from && w.flow != flow
			if w.acked != 0 && w.acked >= from && w.acked <= to {
				largest = max(largest, w.ref.Len)
			}
		}
		if x.overflowed(flow, from, to) != overflowed || x.largestAcked(from, to) != largest {
			t.Fatalf("overflowed %t, largest %d; want %t, %d", !overflowed, x.largestAcked(from, to), overflowed, largest)
		}
	}
}

// TestWaitIsSmall: where answers are slow each request is one, and each takes one cache line.
func TestWaitIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(wait{}); n != 64 {
		t.Errorf("a wait has %d octets", n)
	}
}

// TestWaitsForgotten: room is made of what has passed, or of the older half, and what goes on is
// known by its connection all the same.
func TestWaitsForgotten(t *testing.T) {
	x, open := &waits{most: 64}, openWaits{}
	for i := range 1000 {
		x.begin(&open, uint32(i%300), tcpstate.SegRef{Time: int64(i) * second})
		if len(x.all) > x.most {
			t.Fatalf("%d waits of at most %d", len(x.all), x.most)
		}
		for flow := range uint32(len(open)) {
			x.change(open, flow, func(w *wait) {
				if w.flow != flow || w.answered != 0 {
					t.Fatalf("a wait of connection %d is taken for one of %d", w.flow, flow)
				}
			})
		}
		if i%3 == 0 {
			x.change(open, uint32(i/2%300), func(w *wait) { w.answered = int64(i) * second })
			open.end(uint32(i / 2 % 300))
		}
	}
	n := 0
	for i := range x.all {
		if w := &x.all[i]; w.answered == 0 {
			n++
		}
	}
	for flow := range uint32(len(open)) {
		x.change(open, flow, func(*wait) { n-- })
	}
	if n != 0 {
		t.Errorf("%d waits go on that no connection knows of", n)
	}
}

// TestWaitsSteps: asking about a time takes no more steps for eight times as many waits, but for
// another level of groups.
func TestWaitsSteps(t *testing.T) {
	steps := func(n int) (most int) {
		r := rand.New(rand.NewPCG(3, 4))
		x, open := &waits{most: ringSize}, openWaits{}
		for i := range n {
			x.begin(&open, uint32(i), tcpstate.SegRef{Time: int64(i) * 1000})
			if i >= 10 && r.IntN(2) == 0 { // answers come in order, some never
				x.change(open, uint32(i-10), func(w *wait) { w.answered = int64(i) * 1000 })
				open.end(uint32(i - 10))
			}
		}
		for range 100 {
			at, seen, newest := r.Int64N(int64(n)*1000), 0, int64(0)
			x.each(func(g *waitGroup) bool { // as waits.at does
				seen++
				s := &g.kinds[forQueue]
				return !s.none(at, at) && x.all[s.newest].ref.Time > newest
			}, func(w *wait) {
				seen++
				if s := w.spans()[forQueue]; s.from <= at && at <= s.to {
					newest = max(newest, w.ref.Time)
				}
			})
			most = max(most, seen)
		}
		return most
	}
	few, many := steps(512), steps(4096)
	if few == 0 || many > few+2*groupSize {
		t.Errorf("%d steps among 512 waits, %d among 4,096", few, many)
	}
}
