package report

import (
	"bytes"
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
		contest  bool
		severity detect.Severity
		lost     bool
		aborts   uint64
		cause    string
	}{
		{"499", detect.LBClosedWithRequestOutstanding, lblog.Entry{Failure: lblog.ClientGone, Says: "status 499"}, nil, false, detect.Warning, false, 1, "The client went away, and the load balancer gave its request up: its log says so (status 499)."},
		{"HAProxy", detect.LBClosedWithRequestOutstanding, lblog.Entry{Failure: lblog.ClientGone, Says: "termination state CH-- (the client went away), timers 0/0"}, nil, false, detect.Warning, false, 1, "(termination state CH--)"},
		{"504", detect.LBClosedWithRequestOutstanding, lblog.Entry{Failure: lblog.Unsaid, Status: 504, Says: "status 504"}, nil, false, detect.Error, true, 0, "The load balancer's own time-out for an answer was up"},
		{"which of two", detect.LBClosedWithRequestOutstanding, lblog.Entry{Failure: lblog.ClientGone}, []int{1, 2}, false, detect.Error, true, 0, "as found"},
		{"contested", detect.LBClosedWithRequestOutstanding, lblog.Entry{Failure: lblog.ClientGone}, nil, true, detect.Error, true, 0, "as found"},
		{"502", detect.LBClosedWithRequestOutstanding, lblog.Entry{Failure: lblog.Unsaid, Status: 502}, nil, false, detect.Error, true, 0, "as found"},
		{"not a wait", detect.StaleConnection, lblog.Entry{Failure: lblog.ClientGone}, nil, false, detect.Error, true, 0, "as found"},
	} {
		f := &detect.Finding{ID: 1, Rule: tt.rule, Severity: detect.Error, Lost: true, Request: &detect.Request{}, Cause: "as found", Summary: "the LB gave up"}
		r := &Report{Log: &lblog.Join{Joined: []lblog.Joined{{Entry: &tt.entry, Finding: 1, Rule: tt.rule, Among: tt.among, Contested: tt.contest}}}}
		a := Analysis{Result: &detect.Result{Findings: []*detect.Finding{f}}}
		a.Result.Tally(f.Target, f.Tries())
		r.Analyses = []Analysis{a}
		r.HearLog(func(*Analysis, *detect.Finding) {})
		n := a.Result.Totals.Tries
		if f.Severity != tt.severity || f.Lost != tt.lost || n.ClientAborts != tt.aborts || n.LostRequests != 1-tt.aborts || !strings.Contains(f.Cause, tt.cause) {
			t.Errorf("%s: %v, lost %v, %+v: %s", tt.name, f.Severity, f.Lost, n, f.Cause)
		}
		if tt.aborts > 0 && !strings.HasPrefix(f.Summary, "the client went away: ") {
			t.Errorf("%s: %s", tt.name, f.Summary)
		}
	}
}

// Of several requests all without an answer must be joined to entries, that say the same.
func TestHearLogOfStreams(t *testing.T) {
	const none, cut = detect.StreamNoAnswer, detect.StreamCutOff
	gone, late := lblog.Entry{Failure: lblog.ClientGone}, lblog.Entry{Failure: lblog.Unsaid, Status: 504}
	for _, tt := range []struct {
		name    string
		states  []string
		entries []*lblog.Entry
		aborts  uint64
	}{
		{"one of two", []string{none, none}, []*lblog.Entry{&gone}, 0},
		{"they differ", []string{none, none}, []*lblog.Entry{&gone, &late}, 0},
		{"both", []string{none, none}, []*lblog.Entry{&gone, &gone}, 2},
		{"an answer had begun", []string{none, cut}, []*lblog.Entry{&gone}, 2},
		{"all answers had begun", []string{cut, cut}, []*lblog.Entry{&gone}, 0},
		{"one differs, in which an answer had begun", []string{cut, none}, []*lblog.Entry{&late, &gone}, 0},
	} {
		f := &detect.Finding{ID: 1, Rule: detect.LBClosedWithRequestOutstanding, Severity: detect.Error, Lost: true, Request: &detect.Request{}}
		for _, state := range tt.states {
			f.Requests = append(f.Requests, detect.StreamRequest{State: state})
		}
		r := &Report{Log: &lblog.Join{}}
		for _, e := range tt.entries {
			r.Log.Joined = append(r.Log.Joined, lblog.Joined{Entry: e, Finding: 1, Rule: f.Rule})
		}
		r.Analyses = []Analysis{{Result: &detect.Result{Findings: []*detect.Finding{f}}}}
		r.Analyses[0].Result.Tally(f.Target, f.Tries())
		r.HearLog(func(*Analysis, *detect.Finding) {})
		if n := r.Analyses[0].Result.Totals.ClientAborts; n != tt.aborts {
			t.Errorf("%s: %d given up by clients", tt.name, n)
		}
	}
}

// What a log says stands in a finding's cause, in JSON harmless, too.
func TestHostileCause(t *testing.T) {
	f := &detect.Finding{Rule: detect.StaleConnection, Cause: "a\u202eb", Fix: "c\u202ed"}
	var d FindingDoc
	b := appendJSON(nil, d.set(&Analysis{}, f, &Options{}, "finding"))
	if want := []byte(`"cause":"a\\u202eb","fix":"c\\u202ed"`); !bytes.Contains(b, want) {
		t.Errorf("%s, want %s", b, want)
	}
}
