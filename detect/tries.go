package detect

import "connrace/tcpstate"

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

// replace counts others instead of some that were counted. It reports whether those were: else nothing changes.
func (t *Tries) replace(was, by Tries) bool {
	if t.LostRequests < was.LostRequests || t.FailedConnections < was.FailedConnections || t.OpenTries < was.OpenTries || t.ClientAborts < was.ClientAborts {
		return false
	}
	t.Add(was, -1)
	t.Add(by, 1)
	return true
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

// ClientLeft reports whether most likely a client went away, and the LB with it.
func (f *Finding) ClientLeft() bool { return f.byClient }

// Restore says so of a finding that is read from a report.
func (f *Finding) Restore(clientLeft bool) { f.byClient = clientLeft }

// TimeUp reports whether the LB gave up because its own time was up, as its log says.
func (f *Finding) TimeUp() bool { return f.timeUp }

// Tally counts what a finding, or several of a group, are about.
func (r *Result) Tally(end tcpstate.Endpoint, t Tries) { r.recount(end, Tries{}, t) }

// Leave takes that back, of what is left out of the result.
func (r *Result) Leave(end tcpstate.Endpoint, t Tries) { r.recount(end, t, Tries{}) }

// Retally changes a finding and what it counts for.
func (r *Result) Retally(f *Finding, change func()) {
	was := f.Tries()
	change()
	r.recount(f.Target, was, f.Tries())
}

// recount counts tries of a target instead of others. What is not told apart stands in the row of all
// that, and may have stood there before the target had a row.
func (r *Result) recount(end tcpstate.Endpoint, was, by Tries) {
	if !r.Totals.Tries.replace(was, by) {
		return
	}
	for _, ep := range [...]tcpstate.Endpoint{end, {}} {
		if t := r.Row(ep); t != nil && t.Tries.replace(was, by) {
			return
		}
	}
}

// tally counts a finding's tries n times while the analysis goes on: -1 takes them back, for one that is
// left out or is about to change.
func (d *Detector) tally(p *pending, n int) {
	d.totals.Tries.Add(p.f.Tries(), n)
	if p.t != nil {
		p.t.row().tries.Add(p.f.Tries(), n)
	}
}
