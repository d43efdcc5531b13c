package lblog

import (
	"testing"

	"connrace/detect"
)

// As many tries failed as the load balancer's log says, while the capture lasts.
func TestFailedTriesAreAsLogged(t *testing.T) {
	for _, a := range reals(t) {
		var n detect.Tries
		for _, x := range a.capture.Targets {
			n.Add(x.Tries, 1)
		}
		logged, span := uint64(0), a.capture.Spans[0]
		for _, f := range a.Failed {
			if at := f.Time.UnixNano(); at+int64(f.Seconds*1e9) >= span.First && at <= span.Last+1e6 { // some are rounded to a millisecond
				logged++
			}
		}
		if n.Failed() != logged {
			t.Errorf("%s: %+v failed, of the log %d", a.File, n, logged)
		}
	}
}
