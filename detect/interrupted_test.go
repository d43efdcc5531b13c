package detect_test

import (
	"strings"
	"testing"

	"connrace/detect"
)

// Where a link was down, neither a request that was never acknowledged nor one whose answer was lost is blamed
// on a timer; one that nothing else was silent with is, as before.
func TestInterrupted(t *testing.T) {
	for name, want := range map[string]map[*detect.Rule]bool{
		"stale-connection-link-down":                {detect.StaleConnection: true, detect.LBClosedWithRequestOutstanding: true},
		"handshake-reset-interrupted":               {detect.HandshakeReset: true},
		"handshake-reset-ignored":                   {detect.HandshakeReset: false},
		"stale-connection-black-hole":               {detect.StaleConnection: false},
		"stale-connection-black-hole-others-served": {detect.StaleConnection: false},
		"lb-closed-with-request-outstanding":        {detect.LBClosedWithRequestOutstanding: false},
	} {
		told := map[*detect.Rule]bool{}
		for _, s := range corpus(t) {
			if s.Name != name {
				continue
			}
			for _, f := range run(s.Resolve()).Findings {
				told[f.Rule] = strings.Contains(f.Cause, "was interrupted or")
			}
		}
		for r, interrupted := range want {
			if got, found := told[r]; !found || got != interrupted {
				t.Errorf("%s: %s: found %t, an interruption %t, want %t", name, r.ID, found, got, interrupted)
			}
		}
	}
}

// Seen at the target, a close right behind the arrival of its request may be one that the load balancer had made long
// before. One that comes later is a client's, as before.
func TestClosedAtOnce(t *testing.T) {
	for name, either := range map[string]bool{
		"lb-closed-with-request-outstanding-late-request": true,
		"lb-closed-with-request-outstanding-client-abort": false,
	} {
		found := false
		for _, s := range corpus(t) {
			if s.Name != name {
				continue
			}
			for _, f := range run(s.Resolve()).Findings {
				if found = true; strings.Contains(f.Summary, "had given up before the request arrived") != either || strings.Contains(f.Cause, "Seen from here") != either {
					t.Errorf("%s: %s: %s", name, f.Summary, f.Cause)
				}
			}
		}
		if !found {
			t.Errorf("%s: nothing found", name)
		}
	}
}
