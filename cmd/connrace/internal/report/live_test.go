package report

import (
	"strings"
	"testing"
	"time"

	"connrace/detect"
)

// People are told how a finding ends that was shown while it was open, else only why.
func TestRunningUpdate(t *testing.T) {
	for _, open := range []bool{false, true} {
		var b strings.Builder
		l := NewRunning(&b, &Options{Location: time.UTC})
		a := &Analysis{FirstID: 1, Result: &detect.Result{}}
		f := &detect.Finding{ID: 1, Rule: detect.SYNUnanswered, Severity: detect.Warning, Summary: "the SYN is open", Open: open}
		l.Finding(a, f)
		f.Open, f.Lost, f.Severity, f.Summary, f.Cause = false, true, detect.Error, "the SYN was never answered", "A firewall."
		l.Update(a, f)
		f.Cause = "A dead host."
		l.Update(a, f)
		want := []string{"#2 is error, suspected, failed: A firewall.", "#2 is error, suspected, failed: A dead host."}
		if open {
			want[0] = "#2 is error, suspected, failed: syn-unanswered, the SYN was never answered"
		}
		if got := strings.Join(strings.Fields(b.String()), " "); l.Err() != nil || !strings.HasSuffix(got, strings.Join(want, " ")) {
			t.Errorf("open %v: %s", open, got)
		}
	}
}
