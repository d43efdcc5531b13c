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
	a.Points = []report.Point{{Capture: 0, Name: "web-1.pcap", Place: report.AtLB}, {First: 1, Capture: 1, Name: "target.pcap", Place: report.AtTarget}}
	f := a.Result.Findings[0]
	near := func(e *detect.Evidence) detect.Seen { return detect.Seen{Frame: e.Frame, Time: e.Time} }
	far := func(frame uint64, after int64) detect.Seen {
		return detect.Seen{Point: 1, Capture: 1, Frame: frame, Time: midnight + after, After: after}
	}
	e := f.Evidence
	e[1].Time -= millisecond                                           // it left before the FIN came
	e[0].SetSeen([]detect.Seen{near(&e[0]), far(7, -8*millisecond)})   // FIN
	e[1].SetSeen([]detect.Seen{near(&e[1]), far(9, 8*millisecond)})    // request
	e[2].SetSeen([]detect.Seen{near(&e[2]), {Point: 1, Absent: true}}) // RST
	e[3].SetSeen([]detect.Seen{near(&e[3]), {Point: 1, Absent: true}}) // LB's FIN
	e[4].Capture = 1
	e[4].SetSeen([]detect.Seen{{Absent: true}, far(12, 0)}) // RST
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
	if !strings.Contains(page, "Times on the left are those of web-1.pcap, on the right those of target.pcap, by one clock") {
		t.Error("nothing says whose times they are")
	}
}

// threePoints is the report on two captures with a third one taken between: the LB's FIN came by there,
// but neither RST, of which one was lost before, and the other was made behind.
func threePoints() (*report.Report, *detect.Finding) {
	r, f := joinedSample()
	r.Captures = append(r.Captures, r.Captures[1])
	r.Captures[1].Path = "captures/node.pcap"
	a := &r.Analyses[0]
	a.Captures = []int{0, 1, 2}
	a.Points = []report.Point{a.Points[0], {First: 1, Capture: 1, Name: "node.pcap", Place: report.Between}, {First: 2, Capture: 2, Name: "target.pcap", Place: report.AtTarget}}
	for i := range f.Evidence {
		e := &f.Evidence[i]
		node := detect.Seen{Point: 1, Absent: true}
		switch e.Role {
		case detect.RoleFIN:
			node = detect.Seen{Point: 1, Capture: 1, Frame: 70, After: -3 * millisecond}
		case detect.RoleRequest:
			node = detect.Seen{Point: 1, Capture: 1, Frame: 71, After: 6 * millisecond}
		case detect.RoleLBFIN:
			node = detect.Seen{Point: 1, Capture: 1, Frame: 72, After: 3 * millisecond}
		}
		if e.Capture == 1 {
			e.Capture = 2
		}
		if seen := e.Seen(); len(seen) == 2 {
			seen[1].Point, seen[1].Capture = 2, 2*seen[1].Capture
			e.SetSeen([]detect.Seen{seen[0], node, seen[1]})
		}
	}
	f.Views[1].Point, f.Views[1].Capture = 2, 2
	f.Views = []detect.View{f.Views[0], {Point: 1, Capture: 1, Stream: 2, LB: f.LB, Target: ep("10.9.0.1:80")}, f.Views[1]}
	return r, f
}

// Of three points each has its line: a segment goes by where it was seen, in the order of that point,
// and ends before the first one that does not have it.
func TestThreePointLadder(t *testing.T) {
	r, f := threePoints()
	l := newLadderOf(&r.Analyses[0], f, nil, false)
	checkLadder(t, l)
	c := l.columns()
	if len(c.mids) != 1 || c.mids[0] != (c.line[lbSide]+c.line[targetSide])/2 {
		t.Fatalf("lines at %v and %v", c.line, c.mids)
	}
	lb, node, target := c.line[lbSide], c.mids[0], c.line[targetSide]
	for role, want := range map[detect.Role][2]float64{
		detect.RoleFIN: {target, lb}, detect.RoleRequest: {lb, target}, detect.RoleLBFIN: {lb, (node + target) / 2}, detect.RoleRST: {(lb + node) / 2, lb},
	} {
		if x0, _, x1, _ := l.stepOf(t, role).ends(&c); x0 != want[0] || x1 != want[1] {
			t.Errorf("%s goes from %v to %v, not %v", role, x0, x1, want)
		}
	}
	if x0, _, x1, _ := l.steps[len(l.steps)-1].ends(&c); l.steps[len(l.steps)-1].Capture == 2 && (x0 != target || x1 != (node+target)/2) {
		t.Errorf("the target's RST goes from %v to %v", x0, x1)
	}
	// The node had the FIN before the request: they cross left of it.
	if fin, request := l.stepOf(t, detect.RoleFIN), l.stepOf(t, detect.RoleRequest); fin.mids[0].y >= request.mids[0].y || !meet(fin, request) {
		t.Errorf("at the node the FIN is at %v, the request at %v", fin.mids[0].y, request.mids[0].y)
	}
	svg := regexp.MustCompile(`(?s)<svg class="ladder".*?</svg>`).FindString(render(t, r, report.Options{}))
	for _, want := range []string{
		"with node.pcap between them, where 1 segment ends for the load balancer end: they never arrived at node.pcap, where 1 segment begins in the name of the target: not from node.pcap, where 1 segment ends for the target end: they never arrived at target.pcap;",
		">node.pcap<", ">target becomes 10.9.0.1:80<", `class="via"`, ">70<", ">71<", ">72<", ">never arrived at node.pcap<", ">not from node.pcap<",
	} {
		if !strings.Contains(svg, want) {
			t.Errorf("the drawing has no %q", want)
		}
	}
	if strings.Contains(svg, `line path`) {
		t.Error("a line of the path is drawn beside that of the point on it")
	}
	if t.Failed() {
		t.Log(svg)
	}
}

// Whatever the points saw: what holds for one capture's ladder holds for theirs.
func TestJoinedLadderAny(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	a := &report.Analysis{Captures: []int{0, 1, 2}, Points: []report.Point{{Capture: 0}, {First: 1, Capture: 1}, {First: 2, Capture: 2}}}
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
				e.SetSeen(append(e.Seen(), s))
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
