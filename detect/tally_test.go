package detect

import (
	"testing"

	"connrace/tcpstate"
)

// A finding about a target that is not told apart counts for the row of all those, and no more is taken back than is there.
func TestTallyOfTheRest(t *testing.T) {
	end := func(port uint16) tcpstate.Endpoint {
		return tcpstate.Endpoint{Addr: tcpstate.Addr4([]byte{10, 0, 0, 1}), Port: port}
	}
	r := Result{Targets: []Target{{Target: end(80)}, {}}}
	rest := &r.Targets[1]
	rest.LostRequests, r.Totals.LostRequests = 1, 2
	f := &Finding{Target: end(81), Lost: true, Request: &Request{}}
	r.Tally(f, -1)
	if rest.LostRequests != 0 || r.Totals.LostRequests != 1 {
		t.Errorf("%d, %d in total", rest.LostRequests, r.Totals.LostRequests)
	}
	r.Tally(f, -1)
	r.Tally(f, -1)
	if rest.LostRequests != 0 || r.Totals.LostRequests != 0 || r.Targets[0].LostRequests != 0 {
		t.Errorf("%d, %d in total", rest.LostRequests, r.Totals.LostRequests)
	}
}
