package detect_test

import (
	"testing"

	"connrace/detect"
	"connrace/tcpstate"
)

// A scan that takes its time shows itself when its first ports have been told as failures. They are taken
// back, and count for as little as where nothing was told.
func TestSlowScan(t *testing.T) {
	scan := func(x *traffic) *detect.Result {
		for i := range uint16(12) {
			x.refuse(lbEnd(0), tcpstate.Endpoint{Addr: targetEnd(0).Addr, Port: 100 + i})
			x.pause(5 * second)
		}
		return x.d.Finish()
	}
	if r := scan(&traffic{d: detect.New(detect.Options{})}); len(r.Findings) > 0 || r.Totals.Tries != (detect.Tries{}) {
		t.Errorf("%d findings, %+v", len(r.Findings), r.Totals.Tries)
	}
	for _, live := range []bool{false, true} {
		told := map[int]detect.Severity{}
		tell := func(f *detect.Finding) { told[f.ID] = f.Severity }
		r := scan(&traffic{d: detect.New(detect.Options{Live: live, OnFinding: tell, OnUpdate: tell})})
		if len(told) == 0 || r.Totals.Tries != (detect.Tries{}) {
			t.Errorf("live %v: %d told, %+v", live, len(told), r.Totals.Tries)
		}
		for i := range r.Targets {
			if r.Targets[i].Tries != (detect.Tries{}) {
				t.Errorf("live %v: of %v %+v", live, r.Targets[i].Target, r.Targets[i].Tries)
			}
		}
		for id, s := range told {
			if s != detect.Info {
				t.Errorf("live %v: finding %d is still %s", live, id, s)
			}
		}
	}
}
