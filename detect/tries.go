package detect

// Tries count what came of the LB's tries: requests, and connections that it wanted to set up.
type Tries struct {
	LostRequests      uint64 // were sent and got no answer
	FailedConnections uint64 // never came to be: no request was sent
	OpenTries         uint64 // still undecided
	ClientAborts      uint64 // requests that a client gave up, and the LB with it
}

// Failed are the tries that failed.
func (t *Tries) Failed() uint64 { return t.LostRequests + t.FailedConnections }

// Add counts others n times.
func (t *Tries) Add(o Tries, n int) {
	t.LostRequests += uint64(n) * o.LostRequests
	t.FailedConnections += uint64(n) * o.FailedConnections
	t.OpenTries += uint64(n) * o.OpenTries
	t.ClientAborts += uint64(n) * o.ClientAborts
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
	for i := range r.Targets {
		if r.Targets[i].Target == f.Target {
			r.Targets[i].Tries.Add(f.Tries(), n)
		}
	}
}

// tally is Result.Tally while the analysis goes on.
func (d *Detector) tally(p *pending, n int) {
	d.totals.Tries.Add(p.f.Tries(), n)
	if p.t != nil {
		p.t.tries.Add(p.f.Tries(), n)
	}
}
