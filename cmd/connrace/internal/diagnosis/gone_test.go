package diagnosis_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"connrace/cmd/connrace/internal/diagnosis"
	"connrace/detect"
	"connrace/tcpstate"
)

// A host of which nothing is heard any more is one problem, with what else was sent to it in vain at that
// time, and only that.
func TestGone(t *testing.T) {
	noon := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	at := func(seconds float64, id string, target tcpstate.Endpoint, change func(*detect.Finding)) diagnosis.Found {
		f := &detect.Finding{Rule: find(t, id), Severity: detect.Error, Lost: true, Target: target, Time: noon.Add(time.Duration(seconds * 1e9)).UnixNano()}
		f.Measures.Attempts = 4
		if change != nil {
			change(f)
		}
		return diagnosis.Found{Finding: f}
	}
	isGone := func(f *detect.Finding) { f.Dead, f.Gone = true, true }
	syn := func(seconds float64) diagnosis.Found { return at(seconds, "syn-unanswered", web, isGone) }
	stale := func(seconds float64, change func(*detect.Finding)) diagnosis.Found {
		return at(seconds, "stale-connection", web, change)
	}
	other := tcpstate.Endpoint{Addr: web.Addr, Port: 9090}
	host := tcpstate.Endpoint{Addr: tcpstate.Addr4([]byte{10, 0, 0, 9}), Port: 8080}
	for _, tt := range []struct {
		name  string
		found []diagnosis.Found
		want  []string
	}{
		{"requests and SYNs", []diagnosis.Found{stale(0, nil), stale(1, nil), syn(2), syn(30)}, []string{"[1 2 3 4] The target's host was gone"}},
		{"and SYNs to another port", []diagnosis.Found{syn(2), at(3, "syn-unanswered", other, nil), syn(30)}, []string{"[1 2 3] The target's host was gone"}},
		{"not to another host", []diagnosis.Found{syn(2), at(2, "syn-unanswered", host, nil), syn(30)}, []string{"[1 3] The target's host was gone", "[2] SYN unanswered"}},
		{"not what was reset", []diagnosis.Found{stale(1, func(f *detect.Finding) { f.Measures.RST = "reply" }), syn(2)}, []string{"[1] Request on a connection that was gone", "[2] The target's host was gone"}},
		{"not what was answered in the end", []diagnosis.Found{syn(2), at(3, "syn-unanswered", web, func(f *detect.Finding) { f.Lost, f.Severity = false, detect.Warning }), syn(4)}, []string{"[1 3] The target's host was gone", "[2] SYN unanswered"}},
		{"not long before", []diagnosis.Found{stale(0, nil), syn(60)}, []string{"[1] Request on a connection that was gone", "[2] The target's host was gone"}},
		{"not after it was back", []diagnosis.Found{syn(2), stale(3, nil)}, []string{"[1] The target's host was gone", "[2] Request on a connection that was gone"}},
		{"nothing says so", []diagnosis.Found{stale(1, nil), at(2, "syn-unanswered", web, nil)}, []string{"[1] Request on a connection that was gone", "[2] SYN unanswered"}},
	} {
		d := answer(diagnosis.Seen{}, tt.found...)
		var got []string
		for _, q := range d.Problems {
			title, _, _ := strings.Cut(q.Title, ", or")
			got = append(got, fmt.Sprintf("%v %s", q.Findings, title))
			for _, id := range q.Findings {
				if p := d.ProblemOf(tt.found[id-1].Finding); p == nil || p.Number != q.Number {
					t.Errorf("%s: finding %d is of %+v", tt.name, id, p)
				}
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n%q\nwant\n%q", tt.name, got, tt.want)
		}
	}
	// Whether it is there comes first, a filter last.
	q := answer(diagnosis.Seen{}, syn(1)).Problems[0]
	if n := len(q.Lines); n < 2 || !q.Lines[0].LB || !strings.Contains(q.Lines[0].Line, "ip neigh show 10.0.0.5") || q.Lines[n-1].LB || !strings.HasPrefix(q.Lines[n-1].Line, "iptables") {
		t.Errorf("%+v", q.Lines)
	}
	// Settings have the target's address as it is, whatever it has in common with the example's.
	near := tcpstate.Endpoint{Addr: tcpstate.Addr4([]byte{10, 0, 1, 95}), Port: 8080}
	f := at(1, "syn-unanswered", near, isGone)
	f.Known = &detect.Target{Target: near, LB: &detect.Software{Name: "nginx"}}
	q = answer(diagnosis.Seen{}, f).Problems[0]
	if !slices.ContainsFunc(q.Lines, func(l diagnosis.Line) bool { return strings.Contains(l.Line, "server 10.0.1.95:8080 fail_timeout") }) {
		t.Errorf("%+v", q.Lines)
	}
}

// In an outage all findings wait until all absences are known: no more is kept of each than where it is.
func TestWaitingFindingsTakeLittle(t *testing.T) {
	f := &detect.Finding{Rule: detect.Lookup("syn-unanswered"), Measures: detect.Measures{Attempts: 3}, Lost: true}
	a := diagnosis.NewAnswer(&diagnosis.Seen{})
	if n := testing.AllocsPerRun(2000, func() { a.Add(diagnosis.Found{Finding: f, ID: 1}) }); n > 0 {
		t.Errorf("%v times memory is taken for a finding", n)
	}
}
