package join_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"connrace/capture"
	"connrace/cmd/connrace/internal/join"
	"connrace/detect"
	"connrace/pcaps"
	"connrace/tcpstate"
)

// point analyses a capture of the corpus, which is the index-th of the run.
func point(t testing.TB, name string, index int, later int64) (join.Point, uint64) {
	t.Helper()
	return analyse(name, open(t, name), index, later)
}

func analyse(name string, in *capture.File, index int, later int64) (join.Point, uint64) {
	return keeping(0, name, in, index, later)
}

// keeping is what a capture shows to one who keeps so many connections at most; 0: as many as usual.
func keeping(most int, name string, in *capture.File, index int, later int64) (join.Point, uint64) {
	d, dec := detect.New(detect.Options{Connections: true, MaxConnections: most}), capture.NewDecoder()
	batch := make([]capture.Frame, 256)
	for {
		n, err := in.Read(batch)
		var segs []tcpstate.Segment
		for i := range batch[:n] {
			batch[i].Time += later
			segs = dec.Decode(&batch[i], segs)
		}
		d.Segments(segs)
		if err != nil || n == 0 {
			break
		}
	}
	info := in.Info()
	return join.Point{
		Name: name, Result: d.Finish(), Spans: []join.Span{{Capture: index, First: info.First + later, Last: info.Last + later}},
	}, info.Frames
}

func open(t testing.TB, name string) *capture.File {
	t.Helper()
	b, err := pcaps.File(name)
	if err != nil {
		t.Fatal(err)
	}
	in, err := capture.NewFile(name, bytes.NewReader(b), capture.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// joined is the case of two captures of the corpus, and its result.
func joined(t testing.TB, lb, target string) (*join.Case, *detect.Result) {
	t.Helper()
	a, aFrames := point(t, lb, 0, 0)
	b, bFrames := point(t, target, 1, 0)
	cases := join.Cases([]join.Point{b, a}) // whichever is named first
	if len(cases) != 1 {
		t.Fatalf("%d cases", len(cases))
	}
	m := cases[0].Merge()
	for _, i := range m.Look().Captures() {
		if err := m.Look().Read(context.Background(), i, &join.Again{File: open(t, []string{lb, target}[i]), Frames: []uint64{aFrames, bFrames}[i]}); err != nil {
			t.Fatal(err)
		}
	}
	return cases[0], m.Result()
}

// Each failure is told once, and of the RSTs it is known that the target sent none.
func TestReset(t *testing.T) {
	c, r := joined(t, "real/nginx-node-nat-reset-lb.pcap", "real/nginx-node-nat-reset-target.pcap")
	if l := c.Links[0]; l.Shared != 18 || l.OnlyAt != [2]int{} || len(l.NAT) != 1 || !l.Clock.Known {
		t.Errorf("link %+v", l)
	}
	if r.Totals.LostRequests != 18 || r.Totals.Requests != 36 || r.Totals.Flows != 18 || len(r.Findings) != 18 {
		t.Errorf("%d findings, totals %+v", len(r.Findings), r.Totals)
	}
	proved := 0
	for _, f := range r.Findings {
		if f.Rule != detect.ResetInExchange || f.Measures.RSTOrigin != detect.OriginBetween || f.Target != r.Targets[0].Target {
			t.Errorf("%s by %s: %s", f.Rule.ID, f.Measures.RSTOrigin, f.Summary)
		}
		if f.Proof != nil && f.Proof.Place == detect.OnPath && f.Proof.Way == detect.WayToLB {
			proved++
		} else if !strings.Contains(f.Summary, "the last frame of real/nginx-node-nat-reset-target.pcap is ") {
			t.Errorf("neither proved nor behind the end: %s", f.Summary)
		}
	}
	if proved != 12 {
		t.Errorf("%d proved", proved)
	}
}

// SYNs that never arrive are lost on the path, and are no matter of a backlog.
func TestPath(t *testing.T) {
	_, r := joined(t, "real/haproxy-node-path-lb.pcap", "real/haproxy-node-path-target.pcap")
	if r.Totals.FailedConnections != 10 {
		t.Errorf("totals %+v", r.Totals)
	}
	n := 0
	for _, f := range r.Findings {
		if f.Severity == detect.Info {
			continue
		}
		n++
		if f.Rule != detect.SYNUnanswered || f.Proof == nil || f.Proof.Place != detect.OnPath || f.Confidence != detect.Certain {
			t.Errorf("%s, %s: %s", f.Rule.ID, f.Confidence, f.Summary)
		}
	}
	if n != 20 {
		t.Errorf("%d findings", n)
	}
}

// What of a capture cannot be read again, as it was cut short meanwhile or the user has had
// enough, proves nothing of what did not come there.
func TestMissed(t *testing.T) {
	ended, end := context.WithCancel(context.Background())
	end()
	lb, target := "real/nginx-node-nat-reset-lb.pcap", "real/nginx-node-nat-reset-target.pcap"
	for name, again := range map[string]func(l *join.Look){
		"interrupted": func(l *join.Look) { _ = l.Read(ended, 1, &join.Again{File: open(t, target), Frames: 1 << 62}) },
		"shorter": func(l *join.Look) {
			_ = l.Read(context.Background(), 1, &join.Again{File: open(t, "crowder.pcap"), Frames: 1 << 62})
		},
		"gone": func(l *join.Look) { l.Missed(1) },
	} {
		a, frames := point(t, lb, 0, 0)
		b, _ := point(t, target, 1, 0)
		m := join.Cases([]join.Point{a, b})[0].Merge()
		if err := m.Look().Read(context.Background(), 0, &join.Again{File: open(t, lb), Frames: frames}); err != nil {
			t.Fatal(err)
		}
		again(m.Look())
		for _, f := range m.Result().Findings {
			if f.Proof != nil {
				t.Errorf("%s: %s: %+v", name, f.Summary, f.Proof)
			}
		}
	}
}

// Findings that two points only count are counted once.
func TestForgotten(t *testing.T) {
	a, _ := point(t, "real/nginx-node-race-lb.pcap", 0, 0)
	b, _ := point(t, "nginx-node-race.pcap", 1, 0)
	for i, n := range []uint64{7, 9} {
		r := []*detect.Result{a.Result, b.Result}[i]
		g := detect.Group{Rule: detect.ResetInExchange, Target: r.Targets[0].Target, Severity: detect.Error, Count: n}
		g.Tries.LostRequests = n
		r.Forgotten = append(r.Forgotten, g)
		r.Tally(g.Target, g.Tries)
	}
	r := join.Cases([]join.Point{a, b})[0].Merge().Result()
	if len(r.Forgotten) != 1 || r.Forgotten[0].Count != 9 || r.Totals.LostRequests != 29 || r.Targets[0].LostRequests != 29 {
		t.Errorf("%+v, %+v", r.Forgotten, r.Totals.Tries)
	}
}

// What one point only counts and the other has whole is counted once.
func TestRecalled(t *testing.T) {
	for few := range 2 {
		points := make([]join.Point, 2)
		for i, name := range []string{"real/nginx-node-race-lb.pcap", "nginx-node-race.pcap"} {
			points[i], _ = point(t, name, i, 0)
		}
		r := points[few].Result
		g := detect.Group{Rule: detect.FINRequestCrossing, Target: r.Targets[0].Target, Severity: detect.Error, Lost: true}
		var kept []*detect.Finding
		for _, f := range r.Findings {
			if f.Lost && g.Count < 7 {
				g.Count++
				g.Tries.Add(f.Tries(), 1)
			} else {
				kept = append(kept, f)
			}
		}
		r.Findings, r.Forgotten = kept, []detect.Group{g}
		x := join.Cases(points)[0].Merge().Result()
		if len(x.Forgotten) != 0 || x.Totals.LostRequests != 20 || x.Targets[0].LostRequests != 20 || count(x) != 20 {
			t.Errorf("%+v, %+v, %d findings", x.Forgotten, x.Totals.Tries, count(x))
		}
	}
}

// Where not all connections are listed, no more of them are counted twice.
func TestNotAllListed(t *testing.T) {
	for _, keep := range []int{0, 3} { // of ten; 0: all
		a, _ := point(t, "real/nginx-node-race-lb.pcap", 0, 0)
		b, _ := point(t, "real/nginx-node-race-lb.pcap", 1, 0)
		want, row := a.Result.Totals, a.Result.Targets[0]
		if keep > 0 {
			for _, r := range []*detect.Result{a.Result, b.Result} {
				r.Connections, r.ConnectionsCut = r.Connections[:len(r.Connections)*keep/10], true
			}
		}
		if why := a.NotCompared(); (why != "") != (keep > 0) || keep > 0 && !strings.Contains(why, "first 19 connections could") {
			t.Errorf("says %q", why)
		}
		r := join.Cases([]join.Point{a, b})[0].Merge().Result()
		got := r.Targets[0]
		near := func(got, want uint64) bool { return got >= want && got <= want+want/20 }
		if row.Connections < 10 || !near(got.Connections, row.Connections) || !near(got.Requests, row.Requests) ||
			!near(r.Totals.Flows, want.Flows) || !near(r.Totals.Requests, want.Requests) {
			t.Errorf("%d connections of %d, %d requests of %d; %+v", got.Connections, row.Connections, got.Requests, row.Requests, r.Totals)
		}
	}
}

// Where there are too many connections to keep all, failures of later ones count once, too, and nothing that one point
// alone has kept is called lost.
func TestLateOnes(t *testing.T) {
	names := [2]string{"real/nginx-node-race-lb.pcap", "nginx-node-race.pcap"}
	for _, most := range [][2]int{{3, 3}, {1 << 18, 1}, {4, 2}} {
		var points [2]join.Point
		var frames [2]uint64
		for k := range points {
			points[k], frames[k] = keeping(most[k], names[k], open(t, names[k]), k, 0)
		}
		b, gone := points[1].Result, points[1].Result.Findings[5] // of that it knows nothing
		b.Leave(gone.Target, gone.Tries())
		b.Connections = slices.DeleteFunc(b.Connections, func(c detect.Connection) bool { return c.Stream == gone.Stream })
		b.Findings = slices.Delete(b.Findings, 5, 6)
		c := join.Cases(points[:])[0]
		m := c.Merge()
		for _, k := range m.Look().Captures() {
			if err := m.Look().Read(context.Background(), k, &join.Again{File: open(t, names[k]), Frames: frames[k]}); err != nil {
				t.Fatal(err)
			}
		}
		r := m.Result()
		if r.Totals.LostRequests != 20 || count(r) != 20 || r.Totals.Requests != 128 {
			t.Errorf("%v: %d findings, %d requests, %+v", most, count(r), r.Totals.Requests, r.Totals.Tries)
		}
		if l := c.Links[0]; l.Shared < 19 || l.OnlyAt[0] < 0 || l.OnlyAt[1] < 0 {
			t.Errorf("%v: %d shared, %v", most, l.Shared, l.OnlyAt)
		}
		for _, f := range r.Findings {
			for _, e := range f.Evidence {
				if slices.ContainsFunc(e.Seen(), func(s detect.Seen) bool { return s.Absent }) {
					t.Errorf("%v: %s", most, e.Note)
				}
			}
		}
	}
}

// The same races, seen from both ends: the target closed, and its RSTs are its own.
func TestRace(t *testing.T) {
	_, r := joined(t, "real/nginx-node-race-lb.pcap", "nginx-node-race.pcap")
	if r.Totals.LostRequests != 20 || r.Totals.Requests != 128 {
		t.Errorf("totals %+v", r.Totals)
	}
	for _, f := range r.Findings {
		if f.Lost && (f.Proof == nil || f.Proof.Place != detect.AtTarget || f.Measures.RSTOriginBasis != detect.OriginByJoining) {
			t.Errorf("%+v: %s", f.Proof, f.Summary)
		}
		for _, e := range f.Evidence {
			if f.Lost && e.Stream == f.Stream && len(e.Seen()) != 2 {
				t.Errorf("frame %d: %+v", e.Frame, e.Seen())
			}
		}
	}
}

// However the clock of one is set, the offset lies within its bounds.
func TestClock(t *testing.T) {
	for _, later := range []int64{0, 3e9, -3e9, 100e9, -100e9, 12345} {
		a, _ := point(t, "real/nginx-node-race-lb.pcap", 0, 0)
		b, _ := point(t, "nginx-node-race.pcap", 1, later)
		cases := join.Cases([]join.Point{a, b})
		if len(cases) != 1 {
			t.Fatalf("%d: %d cases", later, len(cases))
		}
		if of := cases[0].Of; of[0] != 0 || of[1] != 1 {
			t.Errorf("%d: path %v", later, of)
		}
		k := cases[0].Links[0].Clock
		if off := k.Offset - later; !k.Known || later < k.Lo || later > k.Hi || off < -100e3 || off > 100e3 {
			t.Errorf("%d: %+v", later, k)
		}
	}
}

// Captures of different connections are no case.
func TestApart(t *testing.T) {
	a, _ := point(t, "real/nginx-node-race-lb.pcap", 0, 0)
	b, _ := point(t, "real/haproxy-node-path-target.pcap", 1, 0)
	if cases := join.Cases([]join.Point{a, b}); len(cases) != 0 {
		t.Errorf("%d cases", len(cases))
	}
}

func ExampleCases() {
	a, _ := point(new(testing.T), "real/haproxy-node-path-lb.pcap", 0, 0)
	b, _ := point(new(testing.T), "real/haproxy-node-path-target.pcap", 1, 0)
	for _, c := range join.Cases([]join.Point{a, b}) {
		l := c.Links[0]
		fmt.Printf("both have %d connections, %d are only in %s\n", l.Shared, l.OnlyAt[0], c.Points[l.A].Name)
	}
	// Output: both have 40 connections, 10 are only in real/haproxy-node-path-lb.pcap
}

// Findings of many targets that either point only counts in part, and in another order than the other, are
// counted once.
func TestForgottenOfManyTargets(t *testing.T) {
	const targets, tries = 9000, 7 * 4096 // more targets than a live analysis counts apart
	points := make([]join.Point, 2)
	for p := range points {
		d := detect.New(detect.Options{Connections: true, MaxFlows: 1 << 16})
		for n := range tries {
			i := n
			if p == 1 { // those that are close together come the other way round
				i = n ^ 0xfff
			}
			lb := tcpstate.Endpoint{Addr: tcpstate.Addr4([]byte{10, 0, 0, byte(i >> 14)}), Port: uint16(20000 + i&0x3fff)}
			target := tcpstate.Endpoint{Addr: tcpstate.Addr4([]byte{10, 1, byte(i % targets >> 8), byte(i % targets)}), Port: 8080}
			s := tcpstate.Segment{Frame: uint64(2*n + 1), Time: int64(n+1) * 1e6, Src: lb, Dst: target, Flags: tcpstate.SYN, Seq: tcpstate.Seq(i + 1)}
			r := tcpstate.Segment{Frame: s.Frame + 1, Time: s.Time + 1000, Src: target, Dst: lb, Flags: tcpstate.RST | tcpstate.ACK, Ack: s.Seq + 1}
			d.Segments([]tcpstate.Segment{s, r})
		}
		points[p] = join.Point{Name: "p", Result: d.Finish(), Spans: []join.Span{{Capture: p, First: 1, Last: tries * 1e6}}}
		if n := len(points[p].Result.Forgotten); n < 4096 {
			t.Fatalf("%d groups", n)
		}
	}
	r := join.Cases(points)[0].Merge().Result()
	counted := uint64(0)
	for _, g := range r.Forgotten {
		counted += g.Count
	}
	sum := uint64(0)
	for i := range r.Targets {
		sum += r.Targets[i].FailedConnections
	}
	if n := uint64(len(r.Findings)) + counted; n != tries || r.Totals.FailedConnections != n || sum != n {
		t.Errorf("%d findings and %d counted, %d in the totals, %d of targets", len(r.Findings), counted, r.Totals.FailedConnections, sum)
	}
}
