package detect

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"connrace/detect/internal/idle"
	"connrace/tcpstate"
)

// The SYN that follows is the first one that fits, as a look at all of them finds it.
func TestSYNAfter(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	tr := tcpstate.NewTracker(tcpstate.Config{})
	ends := [2]tcpstate.Endpoint{{Addr: tcpstate.Addr{Lo: 1}}, {Addr: tcpstate.Addr{Lo: 2}}}
	x := newTarget(tcpstate.Endpoint{}, 1, false)
	x.syns.Max = 50
	var all []recentSYN
	for frame := uint64(1); frame < 300; frame++ {
		s := tcpstate.Segment{Frame: frame, Time: int64(frame)*second/20 + r.Int64N(second/10), Src: ends[r.IntN(2)], Flags: tcpstate.SYN}
		tr.Track(&s)
		tr.Each(func(f *tcpstate.Flow) {
			if tr.Endpoint(f, 0) == s.Src || tr.Endpoint(f, 1) == s.Src {
				all = append(all, recentSYN{s.Src.Addr, tr.Ref(f, &s)})
			}
		})
		x.syns.Add(all[len(all)-1])
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

// In the end timers rest on all closes, also on the last few.
func TestReinfer(t *testing.T) {
	d := New(Options{LBIdleTimeout: 60 * second})
	x := d.targets.at(tcpstate.Endpoint{Port: 80})
	seg := tcpstate.Segment{Frame: 1, Time: second, Src: x.end, Flags: tcpstate.FIN}
	d.Segment(&seg)
	var ref tcpstate.SegRef
	d.tracker.Each(func(f *tcpstate.Flow) { ref = d.tracker.Ref(f, &seg) })
	closes := func(from, to int64) {
		for i := from; i < to; i++ {
			x.tell().closes.Add(idle.Close{Time: i * 10 * second, Gap: 5 * second, Idle: true, Known: i * 10 * second, Ref: ref})
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
