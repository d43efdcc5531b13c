package detect

import (
	"strings"
	"testing"
)

// Where an LB is told to repeat requests it is said in the same words what that may cost.
func TestRepeatSaid(t *testing.T) {
	texts := map[string]string{"what a GOAWAY refuses": (&Facts{refused: true}).aboutGoAway(FINRequestCrossing).fix}
	for _, r := range Rules {
		texts["the fix of "+r.ID] = r.Fix
	}
	for _, c := range CloseCauses {
		for _, r := range []*Rule{FINRequestCrossing, ClosedWithRequestOutstanding, ResponseTruncated} {
			texts["the fix of "+c.ID+" "+c.Label+", "+r.ID] = c.fix(r, Timers{})
		}
	}
	for _, k := range allKnobs() {
		texts[k.Software+" "+k.Line] = k.Note
	}
	n := 0
	for where, s := range texts {
		if !strings.Contains(s, "idempotent") && !strings.Contains(s, "twice") && !strings.Contains(s, "l7-retry") {
			continue
		}
		if n++; !strings.Contains(s, mayRunTwice) {
			t.Errorf("%s says it in words of its own: %s", where, s)
		}
	}
	if n < 8 {
		t.Errorf("only %d texts say it", n)
	}
}
