package detect_test

import (
	"testing"

	"connrace/detect"
	"connrace/tcpstate"
)

// Of listeners that are not told apart, what one does says nothing of another: that requests wait at one
// does not fill the other's queue.
func TestMixedTargets(t *testing.T) {
	for _, targets := range []int{1, 3} {
		x := traffic{d: detect.New(detect.Options{MaxTargets: targets})}
		waits, asked := targetEnd(1), targetEnd(2)
		x.send(lbEnd(0), targetEnd(0), tcpstate.SYN, 100, 0) // it has the only place
		x.send(targetEnd(0), lbEnd(0), tcpstate.SYN|tcpstate.ACK, 500, 101)
		x.send(lbEnd(0), targetEnd(0), tcpstate.ACK, 101, 501)
		for i := 1; i < 3; i++ {
			x.send(lbEnd(i), waits, tcpstate.SYN, 100, 0)
			x.send(waits, lbEnd(i), tcpstate.SYN|tcpstate.ACK, 500, 101)
			x.send(lbEnd(i), waits, tcpstate.ACK, 101, 501)
			x.seg.Len = 50
			x.send(lbEnd(i), waits, tcpstate.ACK|tcpstate.PSH, 101, 501)
			x.seg.Len = 0
			x.send(waits, lbEnd(i), tcpstate.ACK, 501, 151)
		}
		x.pause(second)
		for _, wait := range []int64{1, 2, 4, 8, 16, 32} {
			x.send(lbEnd(9), asked, tcpstate.SYN, 100, 0)
			x.pause(wait * second)
		}
		x.pause(200 * second)
		r := x.d.Finish()
		if len(r.Findings) != 1 || r.Findings[0].Rule != detect.SYNUnanswered || r.Findings[0].Measures.Waiting > 0 {
			for _, f := range r.Findings {
				t.Errorf("%d targets: %s: %s", targets, f.Rule.ID, f.Summary)
			}
		}
	}
}
