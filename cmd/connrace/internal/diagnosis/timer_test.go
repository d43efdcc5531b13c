package diagnosis

import (
	"strings"
	"testing"

	"connrace/detect"
)

// TestPatience: how long the LB waited says whose limit was up, as far as it can be said.
func TestPatience(t *testing.T) {
	for _, c := range []struct {
		severity detect.Severity
		log      int // findings of which the log says that the LB's time was up
		waits    []int64
		want     *patience
		head     string
	}{
		{detect.Error, 0, []int64{1000127000}, roundWait, "limit for an answer: 1 s"},
		{detect.Warning, 0, []int64{494e6}, roundWait, "limit for an answer: 500 ms"},
		{detect.Error, 0, []int64{59_990e6, 59_991e6}, roundWait, "limit for an answer: 60 s"},
		{detect.Error, 0, []int64{330e6, 327e6, 331e6}, sameWait, "waited 330 ms for an answer (median)"},
		{detect.Error, 2, []int64{330e6, 327e6, 331e6}, timeUp, "limit for an answer"},
		{detect.Warning, 0, []int64{1_250e6}, clientLeft, "waited 1.25 s for an answer (median)"},
		{detect.Error, 0, []int64{500e6, 730e6, 880e6, 1000e6, 910e6}, manyWaits, "waited 880 ms for an answer (median)"},
		{detect.Error, 0, []int64{8e6, 8e6}, sameWait, "waited 8 ms for an answer (median)"},
		{detect.Error, 0, []int64{8e6}, manyWaits, "waited 8 ms for an answer (median)"}, // one does not repeat itself
		{detect.Error, 0, nil, manyWaits, "The load balancer gave up waiting"},
	} {
		q := &problem{Problem: Problem{Rule: detect.LBClosedWithRequestOutstanding, Severity: c.severity, Findings: make([]int, len(c.waits))}, timeUp: c.log}
		for _, ns := range c.waits {
			q.waited.add(detect.Duration{Known: true, NS: ns})
		}
		p := q.patience()
		if p != c.want {
			t.Errorf("%v: %+v", c.waits, p)
			continue
		}
		if got := strings.ReplaceAll(q.timer().Head, "\u00a0", " "); !strings.HasSuffix(got, c.head) {
			t.Errorf("%v: %s", c.waits, got)
		}
	}
}
