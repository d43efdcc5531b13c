package detect

import (
	"math"
	"slices"
	"strings"

	"connrace/detect/internal/idle"
)

// gradeWait tells whose wait it was that ended before an answer, and of those before it what is known by it.
func (d *Detector) gradeWait(p *pending) {
	const (
		most = 1000 // findings that are looked at
		near = 50   // of those, at most, that are judged again whatever their wait
	)
	if !p.f.Lost || p.f.own != nil {
		return
	}
	like := []*pending{p}
	for i := len(d.settled) - 1; i >= 0 && i > len(d.settled)-most; i-- {
		o := d.settled[i]
		if o.t == p.t && o.f.Rule == p.f.Rule && (o.f.byClient || o.f.Lost && o.f.own == nil) {
			like = append(like, o)
		}
	}
	w := make(givenUp, len(like))
	for i, o := range like {
		w[i] = waitOf(o.f)
	}
	for i, o := range like {
		if i < near || alike(w[i].ns, w[0].ns, busySlack) {
			s, byClient := w.grade(w[i])
			stopped := byClient && o.t.lbStopped(o.f.Time)
			if d.regrade(o, s, byClient && !stopped); stopped {
				o.f.own = lbStops
			}
		}
	}
}

// lbStopped reports whether the LB closed several connections to a target at a time, idle ones among them: no
// client's end does that.
func (t *target) lbStopped(at int64) bool {
	const least = 3
	closes := &t.told.lbCloses
	m := closes.Together(&idle.Close{Time: at, Gap: -1, Out: -1, Age: -1})
	return m.N >= least && m.StandsOut() && slices.ContainsFunc(closes.All(), func(c idle.Close) bool {
		return c.Idle && c.Gap > idle.ShortGap && c.Time >= at-idle.Moment && c.Time <= at+idle.Moment
	})
}

// lbStops is what a finding says of an LB that closed all it had.
var lbStops = &advice{
	"The load balancer closed several connections at this moment, idle ones among them: most likely it was stopped, restarted or killed, or lost a worker, with requests outstanding.",
	"Look at the load balancer's own log and at its process for this time: a restart, a crash, too little memory. Stop it gracefully (nginx -s quit or reload, HAProxy with hard-stop-after " +
		"as long as requests take): then it waits for what is outstanding.",
}

// givenUp are the waits at one target that ended before an answer.
type givenUp []givenUpWait

type givenUpWait struct {
	ns    int64
	round bool // it looks configured
}

func waitOf(f *Finding) givenUpWait {
	g := f.Measures.Outstanding.NS
	return givenUpWait{g, f.round || round(g)}
}

func alike(a, b, slack int64) bool { return a-b < slack && b-a < slack }

// busySlack is how late a timer may fire now and then on a host that is busy, ns, by judgement.
const busySlack = 50 * millisecond

// grade says how grave a wait's end is, and whether it was most likely a client that went away. A wait that is
// round or occurs again is a setting, and an error: the LB's, or that of clients which wait as long. Others that
// vary, or are shorter than any that is set, are those of clients that went away.
func (w givenUp) grade(g givenUpWait) (s Severity, byClient bool) {
	const shortest = 100 * millisecond // of those that are set
	switch {
	case g.ns >= shortest && (w.repeats(g.ns, roundSlack) || w.repeats(g.ns, busySlack)), g.round && w.longer(g.ns) < 2:
		return Error, false
	case g.ns < shortest:
		return Warning, true
	}
	switch n := w.swept(g.ns); {
	case n >= sweeps:
		return Error, false
	case n > 1:
		return Warning, false
	}
	return Warning, !g.round && w.varies(g.ns)
}

// sweeps is how many waits must be as long as an LB makes them that looks at its clocks once a second, for it to
// be one: as many as of targets that do.
const sweeps = 5

// repeats reports whether a wait occurs again, more often than waits of all lengths are alike by chance.
func (w givenUp) repeats(g, slack int64) bool {
	const most = 0.01 // how likely chance is to do so at any of the waits
	again, about, least, longest := -1, 0, g, g
	for _, o := range w {
		switch least, longest = min(least, o.ns), max(longest, o.ns); {
		case alike(o.ns, g, slack):
			again++
		case o.ns >= g/2 && o.ns <= 2*g:
			about++
		}
	}
	rest := len(w) - 1 - again
	if again <= 0 || rest == 0 {
		return again > 0
	}
	// How many are to be expected, at the density of all or of those that are about as long.
	width := 2 * float64(slack)
	expected := max(float64(rest)*width/float64(longest-least), float64(about)*width/(1.5*float64(g)))
	chance := float64(len(w)) * math.Exp(-expected)
	for k := 1; k <= again; k++ {
		chance *= expected / float64(k)
	}
	return float64(again) > expected && chance < most
}

// longer counts the waits of other lengths that are clearly longer than one: an LB's own limit is not exceeded.
func (w givenUp) longer(g int64) (n int) {
	for _, o := range w {
		if !o.round && o.ns > g+late(g) {
			n++
		}
	}
	return n
}

// swept counts the longest waits, if one is of them, that are as long as an LB makes them that looks at its clocks
// once a second (lighttpd, Traffic Server), and are most of all; 0: they are not.
func (w givenUp) swept(g int64) (n int) {
	const least = 2 * second // shorter limits are hardly set where clocks are that slow
	longest := g
	for _, o := range w {
		longest = max(longest, o.ns)
	}
	from := longest - late(longest)
	for _, o := range w {
		if o.ns >= from {
			n++
		}
	}
	if longest < least || g < from || 2*n <= len(w) {
		return 0
	}
	return n
}

// varies reports whether others are of other lengths.
func (w givenUp) varies(g int64) bool {
	for _, o := range w {
		if !o.round && !alike(o.ns, g, roundSlack) {
			return true
		}
	}
	return false
}

// late is how late a limit may be noticed, ns, where clocks are looked at once a second.
func late(g int64) int64 { return min(sweepLate, g/4) }

// regrade changes how grave a finding about a wait is, and whose that was.
func (d *Detector) regrade(p *pending, s Severity, byClient bool) {
	f := p.f
	if f.Severity == s && f.byClient == byClient {
		return
	}
	settled := f.ID != 0
	if settled {
		d.tally(p, -1)
	}
	f.Severity = s
	f.blameClient(byClient)
	if settled {
		d.tally(p, 1)
		if d.opt.OnUpdate != nil {
			d.explain(p)
			d.opt.OnUpdate(f)
		}
	}
}

// Hear takes in what the load balancer's log says of a wait that ended before an answer, whatever
// the wait's length made of it: the client went away, or the LB's own time was up.
func (f *Finding) Hear(client bool, log string) {
	f.blameClient(client)
	f.timeUp = !client
	f.Severity, f.own = Error, &advice{"The load balancer's own time-out for an answer was up, as its log says (" + log + "): the application is slow.", timeUpFix}
	if client {
		f.Severity = Warning
		f.own = &advice{"The client went away, and the load balancer gave its request up: its log says so (" + log + ").", clientGone.fix}
		f.Summary = strings.Replace(f.Summary, clientLead, "the client went away: ", 1)
	}
	f.Cause, f.Fix = f.own.cause, f.own.fix
	f.Grounds += "; whose wait it was the load balancer's log says (" + log + ")"
}

// timeUpFix is what is to be done where it is known that the LB's own time was up.
const timeUpFix = "Make the request faster or raise the load balancer's timeout (nginx proxy_read_timeout, HAProxy timeout server, ALB idle_timeout.timeout_seconds)."

// clientLead leads the summary of a finding about a client that went away.
const clientLead = "a client went away, most likely: "

// clientGone is what a finding says of a client that went away.
var clientGone = &advice{
	cause: "Most likely the client went away, and the load balancer gave its request up: the wait is no round time, and others here were of other lengths or too short for a time-out.",
	fix: "Nothing at the load balancer or the target, if clients may go away: look at the client's timeout and at the load balancer's log for 499, 460 or CC. If the answers take longer than clients wait, " +
		"make the request faster.",
}

// blameClient says whether it was a client that gave up: then nothing failed.
func (f *Finding) blameClient(yes bool) {
	f.Summary, f.own = strings.TrimPrefix(f.Summary, clientLead), nil
	if f.byClient, f.Lost = yes, !yes; yes {
		f.Summary, f.own = clientLead+f.Summary, clientGone
	}
}
