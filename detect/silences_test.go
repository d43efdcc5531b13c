package detect

import (
	"testing"

	"connrace/tcpstate"
)

// silentFor is a finding of something that was in vain, or came through, so long after it was sent.
func silentFor(r *Rule, stream uint32, from, took int64, back bool) *Finding {
	f := &Finding{Rule: r, Stream: stream, HasStream: true, Time: from, Lost: !back}
	if d := (Duration{took, true}); back {
		f.Measures.Delay = d
	} else {
		f.Measures.Outstanding = d
	}
	return f
}

// What was known of an interruption stays known, however much is silent later, and a finding that is told again does not
// speak for it twice.
func TestSilences(t *testing.T) {
	x := newTarget(tcpstate.Endpoint{Port: 1}, 1, false)
	for _, f := range []*Finding{
		silentFor(PathLoss, 2, second, 9*second, false), // open
		silentFor(PathLoss, 2, second, 9*second, true),  // and in the end
	} {
		x.noteSilence(f)
	}
	p := &pending{f: silentFor(StaleConnection, 1, second, 5*second, false), t: x}
	d := New(Options{})
	if d.explain(p); p.f.Cause == cutOff.cause {
		t.Error("one other was silent, which was told twice")
	}
	for i := range uint32(50) {
		x.noteSilence(silentFor(StaleConnection, 10+i, second, 5*second, false))
	}
	for i := range uint32(50) {
		x.noteSilence(silentFor(SYNUnanswered, 100+i, 2*second, 7*second, true))
	}
	wait := &pending{f: silentFor(LBClosedWithRequestOutstanding, 3, second, 5*second, false), t: x}
	for _, later := range []int64{0, 1000 * second} {
		for i := range uint32(5000) {
			if later > 0 {
				x.noteSilence(silentFor(SYNUnanswered, 1000+i, later, second, true))
			}
		}
		if d.explain(p); p.f.Cause != cutOff.cause {
			t.Errorf("after %d: %s", later, p.f.Cause)
		}
		if d.explain(wait); wait.f.Cause != cutOffMeanwhile.cause {
			t.Errorf("after %d, of an answer: %s", later, wait.f.Cause)
		}
	}
	if n := x.told.silences.Len(); n > mostSilences {
		t.Errorf("%d are kept", n)
	}
}
