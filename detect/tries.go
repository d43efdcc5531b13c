package detect

import (
	"slices"

	"connrace/tcpstate"
)

// Tries count what came of the LB's tries: requests, and connections that it wanted to set up.
type Tries struct {
	LostRequests      uint64 // were sent and got no answer
	FailedConnections uint64 // never came to be: no request was sent
	OpenTries         uint64 // still undecided
	ClientAborts      uint64 // requests that a client gave up, and the LB with it
}

// Failed are the tries that failed.
func (t *Tries) Failed() uint64 { return t.LostRequests + t.FailedConnections }

// Add counts others n times, or takes back as many as there are.
func (t *Tries) Add(o Tries, n int) {
	add(&t.LostRequests, o.LostRequests, n)
	add(&t.FailedConnections, o.FailedConnections, n)
	add(&t.OpenTries, o.OpenTries, n)
	add(&t.ClientAborts, o.ClientAborts, n)
}

func add(sum *uint64, x uint64, n int) {
	if n < 0 {
		*sum -= min(*sum, uint64(-n)*x)
	} else {
		*sum += uint64(n) * x
	}
}

// Tries are those that the finding is about. Only here is told what it counts for.
func (f *Finding) Tries() (t Tries) {
	n := uint64(max(len(f.Requests), 1))
	switch {
	case f.Open:
		t.OpenTries = n
	case f.Lost && f.Request == nil:
		t.FailedConnections = n
	case f.Lost:
		t.LostRequests = n
	case f.byClient:
		t.ClientAborts = n
	}
	return t
}

// Tally counts a finding's tries n times: -1 takes them back, for one that is left out or is
// about to change.
func (r *Result) Tally(f *Finding, n int) {
	r.Totals.Tries.Add(f.Tries(), n)
	at := func(ep tcpstate.Endpoint) int {
		return slices.IndexFunc(r.Targets, func(t Target) bool { return t.Target == ep })
	}
	i := at(f.Target)
	if i < 0 {
		i = at(tcpstate.Endpoint{}) // which stands for all that are not told apart
	}
	if i >= 0 {
		r.Targets[i].Tries.Add(f.Tries(), n)
	}
}

// tally is Result.Tally while the analysis goes on.
func (d *Detector) tally(p *pending, n int) {
	d.totals.Tries.Add(p.f.Tries(), n)
	if p.t != nil {
		p.t.tries.Add(p.f.Tries(), n)
	}
}
