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
		"stale-connection-link-down":         {detect.StaleConnection: true, detect.LBClosedWithRequestOutstanding: true},
		"handshake-reset-interrupted":        {detect.HandshakeReset: true},
		"handshake-reset-ignored":            {detect.HandshakeReset: false},
		"stale-connection-black-hole":        {detect.StaleConnection: false},
		"lb-closed-with-request-outstanding": {detect.LBClosedWithRequestOutstanding: false},
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
