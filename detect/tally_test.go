package detect

import (
	"testing"

	"connrace/tcpstate"
)

func end(port uint16) tcpstate.Endpoint {
	return tcpstate.Endpoint{Addr: tcpstate.Addr4([]byte{10, 0, 0, 1}), Port: port}
}

// A finding about a target that is not told apart counts for the row of all those, and no more is taken back than is there.
func TestTallyOfTheRest(t *testing.T) {
	r := Result{Targets: []Target{{Target: end(80)}, {}}}
	f := &Finding{Target: end(81), Lost: true, Request: &Request{}}
	r.Tally(f.Target, f.Tries())
	r.Tally(end(80), f.Tries())
	if r.Targets[0].LostRequests != 1 || r.Targets[1].LostRequests != 1 || r.Totals.LostRequests != 2 {
		t.Fatalf("%+v", r)
	}
	r.Leave(f.Target, f.Tries())
	r.Leave(f.Target, f.Tries()) // that row has none any more
	if r.Targets[1].LostRequests != 0 || r.Targets[0].LostRequests != 1 {
		t.Errorf("%+v", r)
	}
}

// What was not counted does not count as something else, either.
func TestRetally(t *testing.T) {
	client := func(f *Finding) func() { return func() { f.blameClient(true) } }
	f := &Finding{Target: end(80), Lost: true, Request: &Request{}, Requests: make([]StreamRequest, 3)}
	r := Result{Targets: []Target{{Target: end(80)}}}
	r.Retally(f, client(f))
	if r.Totals.Tries != (Tries{}) || r.Targets[0].Tries != (Tries{}) {
		t.Errorf("%+v", r)
	}
	// A target that was given up, counted with the rest, and has come again.
	f = &Finding{Target: end(80), Lost: true, Request: &Request{}}
	r = Result{Targets: []Target{{Target: end(80)}, {Tries: f.Tries()}}, Totals: Totals{Tries: f.Tries()}}
	r.Retally(f, client(f))
	if want := (Tries{ClientAborts: 1}); r.Totals.Tries != want || r.Targets[0].Tries != (Tries{}) || r.Targets[1].Tries != want {
		t.Errorf("%+v", r)
	}
}

// What is found of a target after it was given up counts for the row that has what it counted.
func TestTallyOfOneGivenUp(t *testing.T) {
	d := New(Options{Live: true, MaxTargets: 1})
	old := d.targets.at(end(80))
	p := &pending{f: &Finding{ID: 1, Target: end(80), Lost: true}, t: old}
	d.tally(p, 1)
	if d.targets.at(end(81)); d.targets.evicted != 1 {
		t.Fatal("not given up")
	}
	d.tally(p, 1)
	d.tally(p, -1)
	if rest := d.targets.byEnd[tcpstate.Endpoint{}]; rest.tries != d.totals.Tries || rest.tries.FailedConnections != 1 {
		t.Errorf("%+v, in total %+v", rest.tries, d.totals.Tries)
	}
}
