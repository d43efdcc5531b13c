package diagnosis_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"connrace/cmd/connrace/internal/diagnosis"
	"connrace/detect"
	"connrace/tcpstate"
)

func find(t *testing.T, id string) *detect.Rule {
	t.Helper()
	r := detect.Lookup(id)
	if r == nil {
		t.Fatalf("no rule %s", id)
	}
	return r
}

var web = tcpstate.Endpoint{Addr: tcpstate.Addr4([]byte{10, 0, 0, 5}), Port: 8080}

func closed(r *detect.Rule, cause string, idle time.Duration) *detect.Finding {
	f := &detect.Finding{Rule: r, Severity: r.Severity, Lost: true, Target: web, Request: &detect.Request{}, Cause: "why " + cause, Fix: "fix " + cause}
	f.Measures.CloseCause = cause
	f.Measures.Idle = detect.Duration{NS: int64(idle), Known: true}
	return f
}

// What the target announces goes before the default that happens to fit.
func TestKnobs(t *testing.T) {
	r := find(t, "fin-request-crossing")
	fits2s := closed(r, detect.CloseIdleTimeout, 2*time.Second)
	node := &detect.Target{Target: web, Idle: &detect.Timeout{NS: 2e9, Hint: []string{"Node.js closes 1 s after what it advertises"}}}
	for _, tt := range []struct {
		found diagnosis.Found
		want  string
	}{
		{diagnosis.Found{Finding: fits2s}, "gunicorn"},
		{diagnosis.Found{Finding: fits2s, Known: &detect.Target{Target: web}}, "gunicorn"},
		{diagnosis.Found{Finding: fits2s, Known: node}, "Node.js"},
		{diagnosis.Found{Finding: closed(r, detect.CloseMass, 2*time.Second), Known: node}, ""},
		{diagnosis.Found{Finding: closed(r, detect.CloseIdleTimeout, 41*time.Second)}, ""},
	} {
		var got []string
		for _, k := range diagnosis.Knobs(r, []diagnosis.Found{tt.found}) {
			got = append(got, k.Software)
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s after %d ns: %q, want %q", tt.found.Measures.CloseCause, tt.found.Measures.Idle.NS, s, tt.want)
		}
	}
	if k := diagnosis.Knobs(r, nil); k != nil {
		t.Errorf("of nothing: %v", k)
	}
}

// Findings that one change cures are one problem, whatever their rules.
func TestProblems(t *testing.T) {
	var found []diagnosis.Found
	add := func(n int, id, cause string) {
		for range n {
			found = append(found, diagnosis.Found{Finding: closed(find(t, id), cause, 5*time.Second)})
		}
	}
	add(2, "fin-request-crossing", detect.CloseIdleTimeout)
	add(1, "request-after-fin", detect.CloseIdleTimeout)
	add(1, "fin-request-crossing", detect.CloseMass)
	add(2, "syn-dropped", "")
	add(2, "accept-queue-overflow", "")
	d := diagnosis.Of(diagnosis.Seen{Requests: 20, Tries: detect.Tries{LostRequests: 8}, Targets: []string{"10.0.0.5:8080"}}, found)
	if d.Title != "8 of 20 requests got no answer" || !strings.Contains(d.Lede, "its target 10.0.0.5:8080") {
		t.Errorf("%s: %s", d.Title, d.Lede)
	}
	var got []string
	for _, q := range d.Problems {
		got = append(got, fmt.Sprintf("%d %d %s", len(q.Findings), len(q.Counts), q.Timer.Head))
	}
	want := []string{"4 2 No timer: the listen queue", "3 2 The target's keep-alive timeout: about 5\u00a0s", "1 1 No timer"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("problems:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Every rule has something to say about timers, and a problem of its own.
func TestEveryRule(t *testing.T) {
	for _, r := range detect.Rules {
		f := closed(r, "", 0)
		d := diagnosis.Of(diagnosis.Seen{}, []diagnosis.Found{{Finding: f}})
		if len(d.Problems) != 1 || d.Problems[0].Timer.Head == "" || d.Problems[0].What == "" || d.Problems[0].Fix == "" || d.Problems[0].Rule != r {
			t.Errorf("%s: %+v", r.ID, d.Problems)
		}
	}
}

func ExampleOf() {
	r := detect.Lookup("fin-request-crossing")
	f := &detect.Finding{Rule: r, Severity: r.Severity, Lost: true, Target: web, Request: &detect.Request{}}
	f.Measures.CloseCause = detect.CloseIdleTimeout
	f.Measures.Idle = detect.Duration{NS: 5e9, Known: true}
	f.Cause = "The target's keep-alive timer (5 s) fired while the LB was sending a request on that idle connection."
	target := &detect.Target{Target: web, Idle: &detect.Timeout{NS: 5e9, Samples: 12, Hint: []string{"default of uvicorn"}}}

	d := diagnosis.Of(diagnosis.Seen{Requests: 20, Tries: detect.Tries{LostRequests: 1}}, []diagnosis.Found{{Finding: f, Known: target}})
	fmt.Println(d.Title)
	for _, q := range d.Problems {
		fmt.Println(q.What)
		fmt.Println(strings.ReplaceAll(q.Timer.Head, "\u00a0", " "))
		for _, k := range q.Knobs {
			fmt.Printf("%s: %s\n", k.Software, k.Line)
		}
	}
	// Output:
	// 1 of 20 requests got no answer
	// The target's keep-alive timer (5 s) fired while the LB was sending a request on that idle connection.
	// The target's keep-alive timeout: 5 s
	// uvicorn: --timeout-keep-alive 75
}
