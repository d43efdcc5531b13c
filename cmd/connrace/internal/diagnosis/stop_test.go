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

// What a target that has stopped refuses is told with its stop, and only that.
func TestStop(t *testing.T) {
	noon := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	other := tcpstate.Endpoint{Addr: web.Addr, Port: 9090}
	at := func(seconds float64, id, cause string, target tcpstate.Endpoint) diagnosis.Found {
		f := closed(find(t, id), cause, 0)
		f.Time, f.Target = noon.Add(time.Duration(seconds*float64(time.Second))).UnixNano(), target
		if id != "closed-with-request-outstanding" {
			f.Request = nil // a connection failed
		}
		return diagnosis.Found{Finding: f}
	}
	stop := func(seconds float64) diagnosis.Found {
		return at(seconds, "closed-with-request-outstanding", detect.CloseMass, web)
	}
	refused := func(seconds float64) diagnosis.Found { return at(seconds, "connection-refused", "", web) }
	silent := func(seconds float64) diagnosis.Found { return at(seconds, "syn-unanswered", "", web) }
	for _, tt := range []struct {
		name  string
		found []diagnosis.Found
		want  []string
	}{
		{"a restart", []diagnosis.Found{stop(1), stop(1), refused(1.1), refused(1.5), refused(200)}, []string{
			"5 failed [1 2 3 4 5] The target stopped: after that: 3 × Connection refused, the last at 12:03:20",
		}},
		{"of which the first refusal was noticed first", []diagnosis.Found{refused(0.9), stop(1), refused(1.5)}, []string{
			"3 failed [1 2 3] The target stopped: around that: 2 × Connection refused, the last at 12:00:01",
		}},
		{"the second of two", []diagnosis.Found{refused(1), refused(2), stop(20), refused(20.1)}, []string{
			"4 failed [1 2 3 4] The target stopped: around that: 3 × Connection refused, the last at 12:00:20",
		}},
		{"its host went with it", []diagnosis.Found{stop(1), silent(1.5), silent(2)}, []string{
			"3 failed [1 2 3] The target stopped: after that: 2 × SYN unanswered, the last at 12:00:02",
		}},
		{"of which the SYNs that were lost before say nothing", []diagnosis.Found{silent(0), stop(20), silent(20.1), silent(22)}, []string{
			"3 failed [1 3 4] SYN unanswered", "1 failed [2] The target closed connections",
		}},
		{"much later", []diagnosis.Found{stop(1), refused(500), refused(501)}, []string{
			"2 failed [2 3] Connection refused", "1 failed [1] The target closed connections",
		}},
		{"another listener", []diagnosis.Found{stop(1), at(1, "connection-refused", "", other)}, []string{
			"1 failed [1] The target closed connections", "1 failed [2] Connection refused",
		}},
		{"no stop", []diagnosis.Found{at(1, "closed-with-request-outstanding", detect.CloseRequestTimeout, web), refused(1.1)}, []string{
			"1 failed [1] The target closed connections", "1 failed [2] Connection refused",
		}},
	} {
		d := answer(diagnosis.Seen{}, tt.found...)
		var got []string
		for _, q := range d.Problems {
			title := q.Title
			if s, _, ok := strings.Cut(title, ", dropped"); ok {
				title = s
			}
			title, _, _ = strings.Cut(strings.Replace(title, " by its", " of all ages", 1), " of all ages")
			s := fmt.Sprintf("%d failed %v %s", q.Failed(), q.Findings, title)
			for _, lead := range []string{"After", "Around"} {
				if _, after, ok := strings.Cut(q.What, lead+" that"); ok {
					s += ": " + strings.ToLower(lead) + " that" + strings.TrimSuffix(after, ".")
				}
			}
			got = append(got, s)
			for _, id := range q.Findings {
				if p := d.ProblemOf(tt.found[id-1].Finding); p == nil || p.Number != q.Number {
					t.Errorf("%s: finding %d is of %+v", tt.name, id, p)
				}
			}
			if q.Rule.FollowsClose != detect.NoClose && q.Why != "why "+detect.CloseMass && tt.name != "no stop" {
				t.Errorf("%s: %s", tt.name, q.Why)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n%q\nwant\n%q", tt.name, got, tt.want)
		}
	}
}

// Those that are only counted are with those that are kept.
func TestStopCounted(t *testing.T) {
	f := closed(find(t, "closed-with-request-outstanding"), detect.CloseMass, 0)
	f.Time = 100e9
	a := diagnosis.NewAnswer(&diagnosis.Seen{})
	a.AddCounted(&detect.Group{Rule: find(t, "connection-refused"), Target: web, Count: 7, Tries: detect.Tries{FailedConnections: 7}, First: 101e9, Last: 150e9}, nil)
	a.Add(diagnosis.Found{Finding: f, ID: 1})
	d := a.Diagnosis()
	if len(d.Problems) != 1 || d.Problems[0].Failed() != 8 || d.Problems[0].Count != 8 || !strings.Contains(d.Problems[0].What, "7 × Connection refused") {
		t.Errorf("%+v", d.Problems)
	}
}

// Of those that are only counted, over hours, it is not known that all of them followed the stop.
func TestStopCountedOverHours(t *testing.T) {
	f := closed(find(t, "closed-with-request-outstanding"), detect.CloseMass, 0)
	f.Time = 9000e9
	a := diagnosis.NewAnswer(&diagnosis.Seen{})
	a.AddCounted(&detect.Group{Rule: find(t, "connection-refused"), Target: web, Count: 7, Tries: detect.Tries{FailedConnections: 7}, First: 101e9, Last: 9001e9}, nil)
	a.Add(diagnosis.Found{Finding: f, ID: 1})
	if d := a.Diagnosis(); len(d.Problems) != 2 {
		t.Errorf("%+v", d.Problems)
	}
}
