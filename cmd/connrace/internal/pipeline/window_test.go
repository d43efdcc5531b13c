package pipeline

import (
	"net/netip"
	"testing"

	"connrace/detect"
	"connrace/tcpstate"
)

func at(s string) tcpstate.Endpoint { return tcpstate.EndpointFrom(netip.MustParseAddrPort(s)) }

// What is left out for its time is not counted as lost.
func TestWindow(t *testing.T) {
	target := at("10.0.0.5:8080")
	result := func() *detect.Result {
		r := &detect.Result{Targets: []detect.Target{{Target: target, Tries: detect.Tries{LostRequests: 2}}, {Target: at("10.0.0.6:8080"), Tries: detect.Tries{LostRequests: 1}}}}
		r.Totals.LostRequests = 3
		for i, end := range []string{"10.0.0.5:8080", "10.0.0.5:8080", "10.0.0.6:8080"} {
			r.Findings = append(r.Findings, &detect.Finding{
				ID: i + 1, Time: int64(i+1) * 10, HasStream: true, Lost: true, Request: &detect.Request{}, Target: at(end),
			})
		}
		r.Findings = append(r.Findings, &detect.Finding{ID: 4, Time: 99, Target: target}) // of the target as a whole
		group := detect.Group{Target: target, Count: 5, Tries: detect.Tries{LostRequests: 7, OpenTries: 1}, First: 12, Last: 18}
		r.Forgotten = []detect.Group{group}
		r.Tally(target, group.Tries)
		return r
	}
	for _, tt := range []struct {
		w        Window
		findings int
		lost     [3]uint64
	}{
		{Window{-1 << 63, 1<<63 - 1}, 4, [3]uint64{10, 9, 1}},
		{Window{20, 30}, 3, [3]uint64{2, 1, 1}},
		{Window{10, 10}, 2, [3]uint64{1, 1, 0}},
		{Window{10, 12}, 2, [3]uint64{8, 8, 0}},
		{Window{31, 40}, 1, [3]uint64{0, 0, 0}},
	} {
		r := result()
		tt.w.limit(r)
		lost := [3]uint64{r.Totals.LostRequests, r.Targets[0].LostRequests, r.Targets[1].LostRequests}
		if len(r.Findings) != tt.findings || lost != tt.lost {
			t.Errorf("%v: %d findings, lost %v; want %d, %v", tt.w, len(r.Findings), lost, tt.findings, tt.lost)
		}
		if open := r.Totals.OpenTries; open != uint64(len(r.Forgotten)) || open != r.Targets[0].OpenTries {
			t.Errorf("%v: %d open tries, of the target %d", tt.w, open, r.Targets[0].OpenTries)
		}
	}
}
