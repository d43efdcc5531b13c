package html

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"connrace/cmd/connrace/internal/diagnosis"
	"connrace/cmd/connrace/internal/report"
	"connrace/detect"
	"connrace/tcpstate"
)

// meet reports whether two arrows cross.
func meet(a, b *step) bool {
	return (a.y[lbSide]-b.y[lbSide])*(a.y[targetSide]-b.y[targetSide]) < 0
}

func vantageAt(place string) *detect.Target { return &detect.Target{Vantage: place} }

// stepOf is the step of a role.
func (l *ladder) stepOf(t *testing.T, r detect.Role) *step {
	t.Helper()
	i := slices.IndexFunc(l.steps, func(s step) bool { return s.Role == r })
	if i < 0 {
		t.Fatalf("no step %q", r)
	}
	return &l.steps[i]
}

// The race must look like one wherever it was captured: FIN and request cross, the RST
// follows the request at the target, and the LB's own FIN follows the target's at the LB.
func TestLadderCrossing(t *testing.T) {
	for _, place := range []string{"target", "lb", "between", "unknown", ""} {
		f := raceFinding(1, midnight, "10.0.0.2:1024", "10.0.1.9:8080", "/r")
		if place == "lb" { // half a round trip earlier or later
			for i := range f.Evidence {
				e := &f.Evidence[i]
				if e.FromLB {
					e.Time -= 120e3
				} else {
					e.Time += 120e3
				}
			}
			slices.SortStableFunc(f.Evidence, func(a, b detect.Evidence) int { return cmp.Compare(a.Time, b.Time) })
		}
		l := newLadder(f, vantageAt(place), false)
		fin, request := l.stepOf(t, detect.RoleFIN), l.stepOf(t, detect.RoleRequest)
		if !meet(fin, request) {
			t.Errorf("%q: FIN %v and request %v do not cross", place, fin.y, request.y)
		}
		if rst := l.stepOf(t, detect.RoleRST); rst.y[targetSide] < request.y[targetSide] {
			t.Errorf("%q: the RST leaves (%v) before the request arrives (%v)", place, rst.y, request.y)
		}
		if lbFIN := l.stepOf(t, detect.RoleLBFIN); lbFIN.y[lbSide] < fin.y[lbSide] {
			t.Errorf("%q: the LB answers the FIN (%v) before it has it (%v)", place, lbFIN.y, fin.y)
		}
		if answer := l.stepOf(t, detect.RoleLastAnswer); meet(answer, request) || len(l.breaks) != 1 || !l.breaks[0].idle ||
			l.breaks[0].from < answer.y[lbSide] || l.breaks[0].to > request.y[lbSide] {
			t.Errorf("%q: the idle time is not between answer and request: %+v", place, l.breaks)
		}
		if request.class != "lost" || l.stepOf(t, detect.RoleNewHandshake).class != "new" {
			t.Errorf("%q: request is %q", place, request.class)
		}
	}
}

// Below a ladder stand the numbers that prove what it draws.
func TestProof(t *testing.T) {
	f := raceFinding(1, midnight, "10.0.0.2:1024", "10.0.1.9:8080", "/r")
	proof := func(want string) {
		t.Helper()
		if got := newLadder(f, nil, false).proof(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	proof("Neither had seen the other: the request has ack 144 ≤ seq 144 of the FIN, which has ack 1 ≤ seq 1 of the request.")
	f.Evidence[1].Ack++
	proof("The request was sent after the FIN had come: its ack 145 > seq 144 of the FIN.")
	f.Evidence[1].Ack--
	f.Evidence[0].Ack += 331
	proof("The FIN was sent after the request had come: its ack 332 > seq 1 of the request.")
	f.Evidence[1].Flags = tcpstate.PSH // without an acknowledgment
	proof("")
	f.Evidence = nil
	proof("")
}

// Segments that did cross are drawn so although the round trip took longer than usual.
func TestLadderSlowCrossing(t *testing.T) {
	f := raceFinding(1, midnight, "10.0.0.2:1024", "10.0.1.9:8080", "/r")
	f.Measures.RTT.NS = 10e3
	for _, place := range []string{"target", "between", "unknown"} {
		l := newLadder(f, vantageAt(place), false)
		if fin, request := l.stepOf(t, detect.RoleFIN), l.stepOf(t, detect.RoleRequest); !meet(fin, request) {
			t.Errorf("%q: %v %v", place, fin.y, request.y)
		}
	}
	f.Measures.RTT.Known = false
	l := newLadder(f, nil, false)
	if fin, request := l.stepOf(t, detect.RoleFIN), l.stepOf(t, detect.RoleRequest); !meet(fin, request) {
		t.Errorf("without a round trip time: %v %v", fin.y, request.y)
	}
	if c := l.caption(); !strings.Contains(c, "not known") {
		t.Error(c)
	}
}

// What came after the other in order is not drawn as crossing.
func TestLadderInOrder(t *testing.T) {
	f := raceFinding(1, midnight, "10.0.0.2:1024", "10.0.1.9:8080", "/r")
	f.Evidence[1].Ack++ // the request had seen the FIN
	l := newLadder(f, vantageAt("target"), false)
	if fin, request := l.stepOf(t, detect.RoleFIN), l.stepOf(t, detect.RoleRequest); meet(fin, request) {
		t.Errorf("request-after-fin crosses: %v %v", fin.y, request.y)
	}
}

// Whatever the evidence: at each end things are in the order of their times, no arrow
// points upwards, descriptions do not overlap, numbers are numbers.
func TestLadderAnyEvidence(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range 3000 / slowdown {
		f := &detect.Finding{Rule: detect.Rules[n%len(detect.Rules)], HasStream: n%3 > 0, Lost: n%2 > 0, LB: ep("10.0.0.2:1"), Target: ep("10.0.1.9:8080")}
		f.Measures.RTT = detect.Duration{NS: rng.Int64N(int64(1) << rng.IntN(40)), Known: n%5 > 0}
		if n%50 == 0 {
			f.Measures.RTT.NS = math.MaxInt64
		}
		at := int64(midnight)
		for i := range rng.IntN(60) {
			at += rng.Int64N(int64(1)<<rng.IntN(36)) - 100
			e := detect.Evidence{
				Stream: uint32(rng.IntN(3)), Capture: rng.IntN(2), Frame: uint64(i), Time: at, FromLB: rng.IntN(2) > 0,
				Flags: tcpstate.Flags(rng.IntN(256)), Seq: tcpstate.Seq(rng.Uint32N(300)), Ack: tcpstate.Seq(rng.Uint32N(300)), Len: rng.Uint32N(3),
				Role: []detect.Role{detect.RoleFIN, detect.RoleRequest, detect.RoleRepeat, detect.RoleSYN, "?"}[rng.IntN(5)], Note: strings.Repeat("note ", rng.IntN(40)),
			}
			if n%40 == 0 {
				e.Time, e.Seq = int64(rng.Uint64()), tcpstate.Seq(rng.Uint32())
			}
			f.Evidence = append(f.Evidence, e)
		}
		if n%4 == 0 {
			f.IdleFrom = &detect.Evidence{Time: at - rng.Int64N(1<<40), Note: "x", Role: detect.RoleLastAnswer}
		}
		l := newLadder(f, vantageAt([]string{"target", "lb", "between", "unknown"}[n%4]), true)
		checkLadder(t, l)
		if t.Failed() {
			t.Fatalf("ladder %d", n)
		}
		fd := &found{Found: diagnosis.Found{Finding: f}, a: &sample(1).Analyses[0]}
		l.draw(1, fd.frame, func(int64) string { return "" })
	}
}

func checkLadder(t *testing.T, l *ladder) {
	t.Helper()
	bottom := float64(firstY)
	var ends [2][]*step
	for i := range l.steps {
		s := &l.steps[i]
		for end := range s.y {
			if !(s.y[end] >= firstY) || s.y[end] > l.height {
				t.Errorf("step %d is at %v of %v", i, s.y, l.height)
			}
			ends[end] = append(ends[end], s)
			bottom = max(bottom, s.y[end])
		}
		if sender := from(s.Evidence); s.y[sender] > s.y[1-sender] {
			t.Errorf("step %d points upwards: %v", i, s.y)
		}
		y := s.y[from(s.Evidence)]
		for k := range s.passed() {
			if s.mids[k].y < y || s.mids[k].y > s.y[1-from(s.Evidence)] {
				t.Errorf("step %d points upwards on its way: %v, %+v", i, s.y, s.mids)
			}
			y = s.mids[k].y
			for j := range l.steps[:i] {
				o := &l.steps[j].mids[k]
				if m := &s.mids[k]; o.seen != nil && (o.at < m.at && o.y > m.y || o.at > m.at && o.y < m.y) {
					t.Errorf("steps %d and %d are in the wrong order on their way: %+v, %+v", j, i, o, s.mids[k])
				}
			}
		}
	}
	for end, steps := range ends {
		slices.SortStableFunc(steps, func(a, b *step) int { return int(math.Copysign(1, a.y[end]-b.y[end])) })
		for i := 1; i < len(steps); i++ {
			a, b := steps[i-1], steps[i]
			if a.when(side(end)) > b.when(side(end)) {
				t.Errorf("end %d: %d is above %d", end, a.when(side(end)), b.when(side(end)))
			}
			if room := float64(22 + lineHeight*len(a.notes)); side(end) == l.text() && b.y[end]-a.y[end] < room-1e-6 {
				t.Errorf("descriptions overlap: %v, %v lines, %v", a.y[end], len(a.notes), b.y[end])
			}
		}
	}
	for _, b := range l.breaks {
		for i := range l.steps {
			if s := &l.steps[i]; min(s.y[0], s.y[1]) < b.to && max(s.y[0], s.y[1]) > b.from {
				t.Errorf("an arrow %v runs through the break %v", s.y, b)
			}
		}
	}
	if l.height > 8000 {
		t.Errorf("%v px for %d steps", l.height, len(l.steps))
	}
}

func TestRelativeNumbers(t *testing.T) {
	f := raceFinding(1, midnight, "10.0.0.2:1024", "10.0.1.9:8080", "/r")
	es := report.Story(f)
	bs := report.NewRelative(f, es)
	var got []string
	for _, e := range es {
		got = append(got, flagNames(e.Flags)+" "+numbers(bs, f, e))
	}
	want := []string{
		"[PSH, ACK] Seq=1 Ack=1 Len=143",
		"[FIN, ACK] Seq=144 Ack=1 Len=0",
		"[PSH, ACK] Seq=1 Ack=144 Len=331",
		"[RST] Seq=144 Len=0",
		"[FIN, ACK] Seq=332 Ack=145 Len=0",
		"[RST] Seq=145 Len=0",
		"[SYN] Seq=0 Len=0",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Wireshark shows 0 for a SYN, 1 for what follows, and an RST in reply to a SYN as 1.
func TestRelativeNumbersOfHandshake(t *testing.T) {
	f := &detect.Finding{Rule: detect.ConnectionRefused, HasStream: true, Evidence: []detect.Evidence{
		{FromLB: true, Flags: tcpstate.SYN, Seq: 1 << 31, Role: detect.RoleSYN},
		{Flags: tcpstate.RST | tcpstate.ACK, Seq: 0, Ack: 1<<31 + 1, Role: detect.RoleRST},
	}}
	bs := report.NewRelative(f, report.Story(f))
	if got := numbers(bs, f, &f.Evidence[0]) + "; " + numbers(bs, f, &f.Evidence[1]); got != "Seq=0 Len=0; Seq=1 Ack=1 Len=0" {
		t.Error(got)
	}
}

// A dropped SYN ends in a cross, the one that got through does not.
func TestIgnored(t *testing.T) {
	f := dropped(1, midnight, "10.0.0.2:1", "10.0.1.9:8080")
	l := newLadder(f, vantageAt("target"), false)
	if !l.steps[0].dead || !l.steps[1].dead {
		t.Error("a SYN that was never answered looks as if it had been")
	}
	if len(l.breaks) != 1 {
		t.Errorf("%d breaks in the second between them", len(l.breaks))
	}
	f.Lost = false
	f.Evidence = append(f.Evidence, detect.Evidence{
		Stream: 1, Frame: 12, Time: f.Evidence[1].Time + 1, Flags: tcpstate.SYN | tcpstate.ACK, Seq: 1, Ack: 8, Role: detect.RoleSYNACK,
	})
	l = newLadder(f, vantageAt("target"), false)
	if !l.steps[0].dead || l.steps[1].dead {
		t.Error("of two SYNs the second got through")
	}
}
