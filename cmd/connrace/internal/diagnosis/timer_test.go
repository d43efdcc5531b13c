package diagnosis

import (
	"strings"
	"testing"

	"connrace/detect"
)

func TestPatience(t *testing.T) {
	for ns, want := range map[int64]string{
		1000127000: "limit for an answer: 1 s", 494e6: "limit for an answer: 500 ms", 59_990e6: "limit for an answer: 60 s", 330e6: "waited 330 ms", 1_250e6: "waited 1.25 s", 0: "waited 0 µs", 8e6: "waited 8 ms",
	} {
		if got := strings.ReplaceAll((&problem{Problem: Problem{Rule: detect.LBClosedWithRequestOutstanding}}).patience(ns).Head, "\u00a0", " "); !strings.HasSuffix(got, want) {
			t.Errorf("%d: %s", ns, got)
		}
	}
}
