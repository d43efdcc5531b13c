package join_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"connrace/capture"
	"connrace/cmd/connrace/internal/join"
	"connrace/detect"
	"connrace/tcpstate"
)

// twice are the figures of the targets of those frames of a capture that shows connections twice which are kept, and
// those of its service alone.
func twice(t *testing.T, keep func(frame uint64) bool) (got []detect.Target, want detect.Target) {
	const name, service = "real/haproxy-python-nat-any.pcap", "10.96.0.10:80"
	in, dec := open(t, name), capture.NewDecoder()
	d, alone := detect.New(detect.Options{Apart: 1}), detect.New(detect.Options{IsTarget: func(e tcpstate.Endpoint) bool { return e.String() == service }})
	batch := make([]capture.Frame, 1)
	for {
		if n, _ := in.Read(batch); n == 0 {
			break
		}
		if keep(batch[0].Number) {
			segs := dec.Decode(&batch[0], nil)
			d.Segments(segs)
			alone.Segments(segs)
		}
	}
	r := d.Finish()
	if ts := alone.Finish().Targets; len(ts) == 1 {
		want = ts[0]
	}
	if r.Behind == nil {
		return r.Targets, want
	}
	span := []join.Span{{First: 1, Last: 2}}
	c := join.Cases([]join.Point{{Name: "x", Result: r, Spans: span}, {Name: "y", Result: r.Behind, Spans: span, Behind: true}})
	if len(c) != 1 {
		t.Fatalf("%d cases", len(c))
	}
	return c[0].Merge().Result().Targets, want
}

// What one capture shows twice counts once, for the end that the LB knows: wherever the capture begins, whichever of the
// two came first there, and if it lacks frames.
func TestTwiceInOneCapture(t *testing.T) {
	check := func(what string, keep func(frame uint64) bool) {
		t.Helper()
		got, want := twice(t, keep)
		// Of what one of the two lacks the other may tell more.
		if len(got) != 1 || got[0].Target != want.Target || got[0].Connections != want.Connections || got[0].Requests < want.Requests ||
			got[0].Failed() < want.Failed() || got[0].Failed() > 12 {
			s := fmt.Sprintf("%s: %d connections, %d requests, %d failed", want.Target, want.Connections, want.Requests, want.Failed())
			for _, x := range got {
				s += fmt.Sprintf("\n%s %d connections, %d requests, %d failed; ", x.Target, x.Connections, x.Requests, x.Failed())
			}
			t.Errorf("%s: want %s", what, s)
		}
	}
	for _, begin := range []uint64{1, 14, 26, 56, 101, 126, 160, 201, 211} { // the first of two
		check(fmt.Sprintf("from frame %d", begin), func(frame uint64) bool { return frame >= begin })
	}
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		check(fmt.Sprintf("2 %% lost, seed %d", seed), func(uint64) bool { return r.IntN(50) > 0 })
	}
}
