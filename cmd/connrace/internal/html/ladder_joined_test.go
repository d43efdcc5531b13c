package html

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"connrace/cmd/connrace/internal/diagnosis"
	"connrace/cmd/connrace/internal/join"
	"connrace/cmd/connrace/internal/report"
	"connrace/detect"
	"connrace/tcpstate"
)

// joinedSample is a report on two captures: of the crossing the target's end saw the FIN earlier and
// the request later, one RST never arrived at the LB, and another was made in between.
func joinedSample() (*report.Report, *detect.Finding) {
	r := sample(1)
	r.Captures = append(r.Captures, report.Capture{Path: "captures/target.pcap", Format: "pcap", Frames: 90, First: midnight, Last: midnight + 61*second})
	a := &r.Analyses[0]
	a.Captures = []int{0, 1}
	a.Points = []report.Point{{Capture: 0, Name: "web-1.pcap", Place: report.AtLB}, {Capture: 1, Name: "target.pcap", Place: report.AtTarget}}
	f := a.Result.Findings[0]
	near := func(e *detect.Evidence) detect.Seen { return detect.Seen{Frame: e.Frame, Time: e.Time} }
	far := func(frame uint64, after int64) detect.Seen {
		return detect.Seen{Point: 1, Capture: 1, Frame: frame, Time: midnight + after, After: after}
	}
	e := f.Evidence
	e[1].Time -= millisecond                                               // it left before the FIN came
	e[0].Seen = []detect.Seen{near(&e[0]), far(7, -8*millisecond)}         // FIN
	e[1].Seen = []detect.Seen{near(&e[1]), far(9, 8*millisecond)}          // request
	e[2].Seen = []detect.Seen{near(&e[2]), {Point: 1, Absent: true}}       // RST
	e[3].Seen = []detect.Seen{near(&e[3]), {Point: 1, Absent: true}}       // LB's FIN
	e[4].Capture, e[4].Seen = 1, []detect.Seen{{Absent: true}, far(12, 0)} // RST
	f.Views = []detect.View{{Stream: 1, LB: f.LB, Target: f.Target}, {Point: 1, Capture: 1, Stream: 4, LB: ep("10.78.0.1:1024"), Target: f.Target}}
	r.Joined = []report.Joined{{A: a.Points[0], B: a.Points[1], Link: join.Link{
		B: 1, Shared: 1, OnlyAt: [2]int{2, 0}, Clock: join.Clock{Known: true, Offset: 3 * second, Lo: 3*second - millisecond, Hi: 3*second + millisecond},
		NAT:  []join.Translation{{Role: "lb", From: "10.0.0.2", To: "10.78.0.1", N: 1}},
		Ways: []join.Way{{Target: f.Target, ToTarget: 8 * millisecond, ToLB: 7 * millisecond}, {Target: ep("10.0.1.10:80"), ToTarget: millisecond, ToLB: millisecond}},
	}}}
	return r, f
}

// Of joined captures a ladder has what each end saw: segments that only one has end on the path.
func TestJoinedLadder(t *testing.T) {
	r, f := joinedSample()
	l := newLadderOf(&r.Analyses[0], f, nil, false)
	checkLadder(t, l)
	fin, request := l.stepOf(t, detect.RoleFIN), l.stepOf(t, detect.RoleRequest)
	if !meet(fin, request) {
		t.Errorf("FIN %v and request %v do not cross", fin.y, request.y)
	}
	if fin.when(targetSide)-fin.when(lbSide) != -8*millisecond || request.when(targetSide)-request.when(lbSide) != 8*millisecond {
		t.Errorf("FIN %v, request %v", fin.lag, request.lag)
	}
	c := l.columns()
	for role, want := range map[detect.Role][2]float64{
		detect.RoleFIN: {c.line[targetSide], c.line[lbSide]}, detect.RoleRST: {c.line[pathLine], c.line[lbSide]}, detect.RoleLBFIN: {c.line[lbSide], c.line[pathLine]},
	} {
		if x0, _, x1, _ := l.stepOf(t, role).ends(&c); x0 != want[0] || x1 != want[1] {
			t.Errorf("%s goes from %v to %v, not %v", role, x0, x1, want)
		}
	}
	page := render(t, r, report.Options{})
	svg := regexp.MustCompile(`(?s)<svg class="ladder".*?</svg>`).FindString(page)
	for _, want := range []string{
		"with the path between them, where 1 segment ends for the load balancer end: they never arrived at web-1.pcap, where 1 segment ends for the target end: they never arrived at target.pcap, where 1 segment begins in the name of the target: not from target.pcap;",
		">never arrived at target.pcap<", ">never arrived at web-1.pcap<", ">not from target.pcap<", ">LB becomes 10.78.0.1:1024<", " · target.pcap<", ">9<",
	} {
		if !strings.Contains(svg, want) {
			t.Errorf("the drawing has no %q", want)
		}
	}
	if n := strings.Count(svg, `class="dead"`); n != 2 {
		t.Errorf("%d segments end on the path", n)
	}
	section := regexp.MustCompile(`(?s)<section id="joined".*?</section>`).FindString(page)
	for _, want := range []string{
		"clocks 3 s ± 1 ms apart; by that 8 ms to 10.0.1.9:8080 and 7 ms back, 1 ms to 10.0.1.10:80 and 1 ms back.",
		"<dt>At the load balancer</dt><dd>web-1.pcap</dd>", "<dt>Only in web-1.pcap</dt><dd>2 connections</dd>",
		"<dt>Clock of target.pcap</dt><dd>3 s ± 1 ms ahead <small>if the fastest segments took equally long both ways; else at most 1 ms less or 1 ms more</small>",
		`<td><code>10.0.1.9:8080</code></td><td class="n">8 ms</td><td class="n">7 ms</td>`,
		`<td>load balancer</td><td><code>10.0.0.2</code></td><td><code>10.78.0.1</code></td><td class="n">1</td>`,
	} {
		if !strings.Contains(strings.ReplaceAll(section, "\u00a0", " "), want) {
			t.Errorf("the section has no %q", want)
		}
	}
	if !strings.Contains(page, `<span>in target.pcap</span> <span class="copyable"><code>tcp.stream eq 4</code>`) {
		t.Error("no filter for the other capture")
	}
	if !strings.Contains(page, "Times on the left are those of web-1.pcap, on the right those of target.pcap") {
		t.Error("nothing says whose times they are")
	}
}

// Whatever the points saw: what holds for one capture's ladder holds for theirs.
func TestJoinedLadderAny(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	a := &report.Analysis{Captures: []int{0, 1, 2}, Points: []report.Point{{Capture: 0}, {Capture: 1}, {Capture: 2}}}
	for n := range 1000 / slowdown {
		f := &detect.Finding{Rule: detect.Rules[n%len(detect.Rules)], HasStream: true, Lost: n%2 > 0, LB: ep("10.0.0.2:1"), Target: ep("10.0.1.9:8080"), Capture: rng.IntN(3)}
		at := int64(midnight)
		for i := range rng.IntN(40) {
			at += rng.Int64N(int64(1) << rng.IntN(36))
			e := detect.Evidence{
				Capture: rng.IntN(3), Frame: uint64(i), Time: at, FromLB: rng.IntN(2) > 0, Flags: tcpstate.Flags(rng.IntN(256)), Len: rng.Uint32N(3),
				Role: []detect.Role{detect.RoleFIN, detect.RoleRequest, detect.RoleRepeat}[rng.IntN(3)], Note: strings.Repeat("note ", rng.IntN(40)),
			}
			if n%40 == 0 {
				e.Time = int64(rng.Uint64())
			}
			for p := range 3 {
				s := detect.Seen{Point: p, Capture: p, Frame: uint64(i), Time: e.Time, After: rng.Int64N(1<<30) - 1<<28}
				if p == e.Capture {
					s.After = 0
				} else if rng.IntN(3) == 0 {
					s = detect.Seen{Point: p, Absent: true}
				} else if rng.IntN(3) == 0 {
					continue
				}
				e.Seen = append(e.Seen, s)
			}
			f.Evidence = append(f.Evidence, e)
		}
		l := newLadderOf(a, f, nil, true)
		checkLadder(t, l)
		fd := &found{Found: diagnosis.Found{Finding: f}, a: a}
		if l.draw(1, fd.frame, func(int64) string { return "" }); t.Failed() {
			t.Fatalf("ladder %d", n)
		}
	}
}
