package report

import (
	"strings"
	"testing"

	"connrace/cmd/connrace/internal/lblog"
	"connrace/detect"
)

// What the log says of a wait goes before what its length made of it.
func TestHearLog(t *testing.T) {
	for _, tt := range []struct {
		name     string
		rule     *detect.Rule
		entry    lblog.Entry
		among    []int
		severity detect.Severity
		lost     bool
		aborts   uint64
		cause    string
	}{
		{"499", detect.LBClosedWithRequestOutstanding, lblog.Entry{Failure: lblog.ClientGone, Says: "status 499"}, nil, detect.Warning, false, 1, "The client went away, and the LB gave its request up: its log says so (status 499)."},
		{"HAProxy", detect.LBClosedWithRequestOutstanding, lblog.Entry{Failure: lblog.ClientGone, Says: "termination state CH-- (the client went away), timers 0/0"}, nil, detect.Warning, false, 1, "(termination state CH--)"},
		{"504", detect.LBClosedWithRequestOutstanding, lblog.Entry{Failure: lblog.Unsaid, Status: 504, Says: "status 504"}, nil, detect.Error, true, 0, "The LB's own time-out for an answer was up"},
		{"which of two", detect.LBClosedWithRequestOutstanding, lblog.Entry{Failure: lblog.ClientGone}, []int{1, 2}, detect.Error, true, 0, "as found"},
		{"502", detect.LBClosedWithRequestOutstanding, lblog.Entry{Failure: lblog.Unsaid, Status: 502}, nil, detect.Error, true, 0, "as found"},
		{"not a wait", detect.StaleConnection, lblog.Entry{Failure: lblog.ClientGone}, nil, detect.Error, true, 0, "as found"},
	} {
		f := &detect.Finding{ID: 1, Rule: tt.rule, Severity: detect.Error, Lost: true, Request: &detect.Request{}, Cause: "as found", Summary: "the LB gave up"}
		r := &Report{Log: &lblog.Join{Joined: []lblog.Joined{{Entry: &tt.entry, Finding: 1, Rule: tt.rule, Among: tt.among}}}}
		a := Analysis{Result: &detect.Result{Findings: []*detect.Finding{f}}}
		a.Result.Tally(f, 1)
		r.Analyses = []Analysis{a}
		r.HearLog()
		n := a.Result.Totals.Tries
		if f.Severity != tt.severity || f.Lost != tt.lost || n.ClientAborts != tt.aborts || n.LostRequests != 1-tt.aborts || !strings.Contains(f.Cause, tt.cause) {
			t.Errorf("%s: %v, lost %v, %+v: %s", tt.name, f.Severity, f.Lost, n, f.Cause)
		}
		if tt.aborts > 0 && !strings.HasPrefix(f.Summary, "the client went away: ") {
			t.Errorf("%s: %s", tt.name, f.Summary)
		}
	}
}
