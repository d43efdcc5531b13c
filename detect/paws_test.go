package detect_test

import (
	"strings"
	"testing"

	"connrace/pcaps"
)

// A target that minds several clocks behind one address is told by the SYNs whose TSval runs back;
// one that answers such a SYN is not.
func TestSeveralClocks(t *testing.T) {
	for name, want := range map[string]bool{"syn-unanswered-clocks": true, "syn-unanswered-clocks-not-minded": false} {
		s, err := pcaps.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		fs := run(s).Findings
		if len(fs) != 1 || strings.Contains(fs[0].Summary, "its TSval lies ") != want || strings.Contains(fs[0].Cause, "Several hosts") != want {
			t.Errorf("%s: found %d: %+v", name, len(fs), *fs[0])
		}
	}
}
