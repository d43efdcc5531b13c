package detect_test

import (
	"strings"
	"testing"

	"connrace/detect"
	"connrace/pcaps"
)

// Of real captures each end is named as it is, or not at all.
func TestSoftwareOfRealCaptures(t *testing.T) {
	reals, err := pcaps.Reals()
	if err != nil {
		t.Fatal(err)
	}
	var servers, lbs int
	is := func(n *int, s *detect.Software, truth string) bool {
		if s == nil {
			return true
		}
		*n++
		return strings.HasPrefix(truth, strings.TrimSuffix(s.Name, ".js"))
	}
	for _, r := range reals {
		for _, x := range analyse(realSegments(t, r.File), detect.Options{}).Targets {
			if !is(&servers, x.Server, r.Target) {
				t.Errorf("%s: the server is %s, said to be %v", r.File, r.Target, x.Server)
			}
			if !is(&lbs, x.LB, r.LB) {
				t.Errorf("%s: the LB is %s, said to be %v", r.File, r.LB, x.LB)
			}
		}
	}
	if servers < 6 || lbs < 7 {
		t.Errorf("only %d servers and %d LBs were named", servers, lbs)
	}
}
