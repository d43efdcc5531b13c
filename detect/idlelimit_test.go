package detect_test

import (
	"strings"
	"testing"

	"connrace/pcaps"
)

// Between the idle times after which requests were answered and after which connections were gone
// lies the limit of what is in between; a longer idle time that was answered denies that.
func TestIdleLimit(t *testing.T) {
	s, err := pcaps.Load("stale-connection-idle-limit")
	if err != nil {
		t.Fatal(err)
	}
	fs := run(s).Findings
	if len(fs) != 1 || !strings.Contains(fs[0].Cause, "gone after 395 s idle, requests were answered after up to 300 s") || !strings.Contains(fs[0].Cause, "the 350 s of an AWS NLB") ||
		strings.Contains(fs[0].Cause, "Azure") {
		t.Errorf("found %+v", fs)
	}
	for i := range s.Packets { // the same gap once more, answered
		if p := &s.Packets[i]; p.Time.Seconds() > 695 {
			p.Time -= 395 * 1e9 / 2
		}
	}
	fs = run(s).Findings
	if len(fs) != 1 || !strings.Contains(fs[0].Cause, "no idle limit in between explains it") {
		t.Errorf("found %+v", fs)
	}
}
