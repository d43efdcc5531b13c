package detect

import (
	"slices"

	"connrace/detect/internal/idle"
	"connrace/detect/internal/ring"
	"connrace/tcpstate"
)

// lbEnds are the newest closes by LBs, whatever the target: a process that ends closes all that it has.
type lbEnds struct{ ring.Ring[lbEnd] }

type lbEnd struct {
	lb tcpstate.Addr
	t  *target
	idle.Close
}

// lbMass is what an LB closed in the moment of a close.
type lbMass struct {
	apart bool      // several, idle ones among them that had not waited as long, and more than at other times
	of    []*target // whose they were
}

// closedByLB notes a close by the LB.
func (d *Detector) closedByLB(f *tcpstate.Flow, t *target, c idle.Close) {
	t.tell().lbCloses.Add(c)
	d.givenUp.lbEnds.add(d, f, t, c)
}

// closedUnseen notes one of a connection of which the capture has nothing before: it was idle since it began.
func (d *Detector) closedUnseen(e *tcpstate.Event) {
	if f := e.Flow; e.Side == f.LB() && !f.BeginCaptured() && !d.answersFIN(f, e.Side) {
		d.givenUp.lbEnds.add(d, f, d.targetOf(f), idle.Close{Time: e.Time, Known: e.Time, Gap: -1, Out: -1, Age: -1, Idle: true})
	}
}

func (l *lbEnds) add(d *Detector, f *tcpstate.Flow, t *target, c idle.Close) {
	l.Max = maxCloses
	l.Add(lbEnd{d.tracker.Endpoint(f, f.LB()).Addr, t, c})
}

func (l *lbEnds) shift(by int64) {
	l.Each(func(e *lbEnd) { e.Time, e.Known, e.Ref.Time = e.Time+by, e.Known+by, e.Ref.Time+by })
}

// of looks what an LB closed together with a connection whose request it had waited for that long, and whether it did so on
// its own: the end of a client of its own, right before, may be behind all of it.
func (l *lbEnds) of(lb tcpstate.Addr, at, wait int64) *lbMass {
	const least = 3
	m := &lbMass{}
	first, clientEnd, rests := at, int64(0), false
	for i := range l.Len() {
		e := l.At(i)
		switch near := e.Time >= at-idle.Moment && e.Time <= at+idle.Moment; {
		case !near:
		case e.lb == lb && !e.AtOnce():
			first = min(first, e.Time)
			rests = rests || e.Idle && !alike(e.Gap, wait, busySlack)
			if !slices.Contains(m.of, e.t) {
				m.of = append(m.of, e.t)
			}
		case e.lb != lb && e.t.end.Addr == lb && (clientEnd == 0 || e.Time < clientEnd):
			clientEnd = e.Time
		}
	}
	if !rests || clientEnd != 0 && clientEnd <= first {
		return m
	}
	own := idle.Closes{Ring: ring.Ring[idle.Close]{Max: maxCloses}}
	for i := range l.Len() {
		if e := l.At(i); e.lb == lb && e.Time >= at-second && e.Time <= at+second {
			own.Add(e.Close)
		}
	}
	all := own.Together(&idle.Close{Time: at, Gap: -1, Out: -1, Age: -1})
	m.apart = all.N >= least && all.StandsOut()
	return m
}

// lbStopped reports whether the LB closed several connections at the time when it gave up, idle ones among them, and did not
// go on with others that it had to the same targets. A client's end may look like that, where a proxy gives each connection
// of its clients one of its own, but for those of other clients.
func (d *Detector) lbStopped(p *pending) bool {
	if p.mass == nil {
		p.mass = d.givenUp.lbEnds.of(p.f.LB.Addr, p.f.Time, p.f.Measures.Outstanding.NS)
	}
	goesOn := func(t *target) bool { return t.told.served.Cover(p.f.Time) }
	return p.mass.apart && !goesOn(p.t) && !slices.ContainsFunc(p.mass.of, goesOn)
}

// lbStops is what a finding says of an LB that closed all it had.
var lbStops = &advice{
	"The load balancer closed several connections at this moment, idle ones among them: most likely it was stopped, restarted or killed, or lost a worker, with requests outstanding.",
	"Look at the load balancer's own log and at its process for this time: a restart, a crash, too little memory. Stop it gracefully (nginx -s quit or reload, HAProxy with hard-stop-after " +
		"as long as requests take): then it waits for what is outstanding.",
}
