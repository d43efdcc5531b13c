package lblog

import (
	"cmp"
	"fmt"
	"strings"
	"testing"
	"time"

	"connrace/detect"
	"connrace/pcaps"
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

// albLog writes what an ALB would have logged of the failed requests.
func albLog(r *pcaps.Real, trace bool) string {
	var b strings.Builder
	for _, q := range r.Failed {
		id, status := "-", q.Status
		if status == 499 { // nginx's
			status = 460
		}
		if trace {
			id = "Root=1-5c6a1234-" + fmt.Sprintf("%024s", q.ID)
		}
		end := q.Time.Add(time.Duration(q.Seconds * 1e9)).UTC()
		fmt.Fprintf(&b, "https %s app/lb/50dc6c495c0c9188 127.0.0.1:2817 %s -1 -1 -1 %d - 34 366 \"%s https://www.example.com:443/r/%s HTTP/1.1\" \"curl/7.46.0\" - - "+
			"arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/t/73e2d6bc24d8a067 \"%s\" \"-\" \"-\" 0 %s \"forward\" \"-\" \"-\" \"%s\" \"-\" \"-\" \"-\"\n",
			end.Format("2006-01-02T15:04:05.000000Z"), cmp.Or(q.Target, r.Address), status, cmp.Or(q.Method, "GET"), q.ID, id, q.Time.UTC().Format("2006-01-02T15:04:05.000000Z"), cmp.Or(q.Target, r.Address))
	}
	return b.String()
}
