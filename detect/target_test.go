package detect

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unsafe"

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
	d.Segments([]tcpstate.Segment{seg})
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

// Rules about one target do not exclude each other. A live analysis asks each at its reviews
// and reports it once, what must last at the second review in a row that finds it.
func TestRulesAboutTarget(t *testing.T) {
	known := Rules
	defer func() { Rules = known }()
	var ref tcpstate.SegRef
	asked, ends := map[*Rule]int{}, map[string]bool{}
	rule := func(id string, lasting bool, holds func(review int) bool) {
		r := &Rule{ID: id, About: AboutTarget, Lasting: lasting}
		r.Match = func(x *Facts) *Finding {
			if asked[r]++; !holds(asked[r]) {
				return nil
			}
			return x.ofTarget(ref)
		}
		Rules = append(Rules, r)
	}
	Rules = nil
	rule("at-once", false, func(int) bool { return true })
	rule("lasting", true, func(int) bool { return true })
	rule("now-and-then", true, func(review int) bool { return review%2 == 0 })
	rule("never", false, func(int) bool { return false })

	minute := 0
	var got []string
	d := New(Options{Live: true, OnFinding: func(f *Finding) {
		got = append(got, fmt.Sprint(f.Rule.ID, " ", minute))
		ends[f.Target.String()] = true
	}})
	seg := tcpstate.Segment{Frame: 1, Time: second, Src: tcpstate.Endpoint{Port: 80}, Flags: tcpstate.SYN | tcpstate.ACK}
	d.Segments([]tcpstate.Segment{seg})
	d.tracker.Each(func(f *tcpstate.Flow) { ref = d.tracker.Ref(f, &seg) })
	for minute = 0; minute < 6; minute++ {
		d.Advance(second + int64(minute)*reviewEvery)
	}
	if s := strings.Join(got, ", "); s != "at-once 1, lasting 2" || len(ends) != 1 {
		t.Errorf("reported %s, at %v", s, ends)
	}
	d.Finish() // asked for the sixth time, of which the rule says yes
	if s := strings.Join(got[2:], ", "); s != "now-and-then 6" {
		t.Errorf("reported at the end: %s", s)
	}
	for r, n := range asked {
		if want := map[string]int{"at-once": 1, "lasting": 2}[r.ID]; want != 0 && n != want {
			t.Errorf("%s was asked %d times, which had an answer", r.ID, n)
		}
	}
}

// A set of rules has a place for each.
func TestRuleSet(t *testing.T) {
	if n := unsafe.Sizeof(ruleSet(0)) * 8; len(Rules) > int(n) {
		t.Errorf("%d rules, a ruleSet has room for %d", len(Rules), n)
	}
}
