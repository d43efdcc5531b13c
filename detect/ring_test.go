package detect

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"connrace/tcpstate"
)

// A ring keeps the newest values, in order.
func TestRing(t *testing.T) {
	for most := 1; most < 10; most++ {
		r := ring[int]{max: most}
		var all []int
		for n := range 4 * most {
			r.add(n)
			all = append(all, n)
			want := slices.Clone(all[max(len(all)-most, 0):])
			var got []int
			for i := range r.v {
				got = append(got, *r.at(i))
			}
			if !slices.Equal(got, want) || *r.newest() != n || r.count != n+1 || len(r.v) > most {
				t.Fatalf("%d of %d: %v, want %v", n+1, most, got, want)
			}
			for i, x := range want {
				if got := r.search(func(y *int) bool { return *y >= x }); got != i {
					t.Fatalf("%d of %d: %d is found at %d, want %d", n+1, most, x, got, i)
				}
			}
		}
	}
}

// The SYN that follows is the first one that fits, as a look at all of them finds it.
func TestSYNAfter(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	tr := tcpstate.NewTracker(tcpstate.Config{})
	ends := [2]tcpstate.Endpoint{{Addr: tcpstate.Addr{Lo: 1}}, {Addr: tcpstate.Addr{Lo: 2}}}
	x := newTarget(tcpstate.Endpoint{}, 1, false)
	x.syns.max = 50
	var all []recentSYN
	for frame := uint64(1); frame < 300; frame++ {
		s := tcpstate.Segment{Frame: frame, Time: int64(frame)*second/20 + r.Int64N(second/10), Src: ends[r.IntN(2)], Flags: tcpstate.SYN}
		tr.Track(&s)
		tr.Each(func(f *tcpstate.Flow) {
			if tr.Endpoint(f, 0) == s.Src || tr.Endpoint(f, 1) == s.Src {
				all = append(all, recentSYN{s.Src.Addr, tr.Ref(f, &s)})
			}
		})
		x.syns.add(all[len(all)-1])
		kept := all[max(len(all)-50, 0):]
		lb, after, behind := ends[r.IntN(2)].Addr, s.Time-r.Int64N(3*second), frame-min(frame, r.Uint64N(60))
		i := slices.IndexFunc(kept, func(s recentSYN) bool {
			return s.lb == lb && s.ref.Time >= after && s.ref.Time <= after+second && s.ref.Frame() > behind
		})
		got, ok := x.synAfter(lb, after, behind)
		if ok != (i >= 0) || ok && got != kept[i].ref {
			t.Fatalf("%d: %v %+v, want the %dth", frame, ok, got, i)
		}
	}
}

// Of the closes the newest are kept, and the idle times of all.
func TestCloses(t *testing.T) {
	c := closes{ring: ring[closeSample]{max: 3}}
	for range 10 {
		c.add(closeSample{gap: second})
	}
	sum := uint32(0)
	for _, n := range c.gaps {
		sum += n
	}
	if len(c.v) != 3 || sum != 10 {
		t.Errorf("%d closes kept, %d idle times", len(c.v), sum)
	}
}

// The closes of a moment are among those around it, whether they were announced long before,
// or the clock was set back.
func TestClosesAround(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		c := closes{ring: ring[closeSample]{max: 50}}
		now, announced := 1000*second, r.Int64N(10)
		for n := range 200 {
			if now += r.Int64N(40 * millisecond); r.IntN(150) == 0 {
				now -= second
			}
			s := closeSample{time: now, seen: now}
			if announced > 7 {
				s.time -= r.Int64N(100 * millisecond)
			}
			c.add(s)
			at := now - r.Int64N(2*second)
			from, to := c.around(at)
			for i := range c.v {
				if s := c.at(i); s.time >= at-closeMoment && s.time <= at+closeMoment && (i < from || i >= to) {
					t.Fatalf("%d: place %d is not in [%d, %d)", n, i, from, to)
				}
			}
			if announced <= 7 && !c.setBack && to-from > 30 {
				t.Fatalf("%d: [%d, %d) for 100 ms", n, from, to)
			}
		}
	}
}

// In the end timers rest on all closes, also on the last few.
func TestRelearn(t *testing.T) {
	d := New(Options{LBIdleTimeout: 60 * second})
	x := d.addTarget(tcpstate.Endpoint{Port: 80})
	seg := tcpstate.Segment{Frame: 1, Time: second, Src: x.end, Flags: tcpstate.FIN}
	d.Segment(&seg)
	var mark tcpstate.SegRef
	d.tracker.Each(func(f *tcpstate.Flow) { mark = d.tracker.Ref(f, &seg) })
	closes := func(from, to int64) {
		for i := from; i < to; i++ {
			x.closes.add(closeSample{time: i * 10 * second, gap: 5 * second, idle: true, seen: i * 10 * second, ref: mark})
		}
	}
	closes(1, 101)
	x.timers()
	closes(101, 104)
	for _, f := range d.Finish().Findings {
		if f.Rule != KeepAliveMismatch {
			continue
		}
		if !strings.HasPrefix(f.Grounds, "103 closes ") {
			t.Errorf("%s", f.Grounds)
		}
		return
	}
	t.Error("no finding")
}
