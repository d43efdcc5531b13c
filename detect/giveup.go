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
		near = 50   // of those, at most, that are judged again whatever their wait, and as many that are like it
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
	w, own, again := givenUpOf(like), waitOf(p.f).ns, 0
	for i, o := range like {
		wait := waitOf(o.f)
		if i >= near {
			if again == near {
				break
			}
			if !alike(wait.ns, own, busySlack) {
				continue
			}
			again++
		}
		s, byClient := w.grade(wait)
		switch {
		case !byClient:
			d.regrade(o, s, nil)
		case !o.f.byClient && o.t.lbStopped(o.f.Time): // of others it was asked when they became a client's
			d.regrade(o, s, lbStops)
		default:
			d.regrade(o, s, clientGone)
		}
	}
}

// lbStopped reports whether the LB closed several connections to a target at a time, idle ones among them, and did not
// go on with others that it had. A client's end may look like that, where a proxy gives each connection of its clients one of
// its own, but for those of other clients.
func (t *target) lbStopped(at int64) bool {
	const least = 3
	closes := &t.told.lbCloses
	m := closes.Together(&idle.Close{Time: at, Gap: -1, Out: -1, Age: -1})
	return m.N >= least && m.StandsOut() && !t.told.served.Cover(at) && slices.ContainsFunc(closes.All(), func(c idle.Close) bool {
		return c.Idle && c.Gap > idle.ShortGap && c.Time >= at-idle.Moment && c.Time <= at+idle.Moment
	})
}

// lbStops is what a finding says of an LB that closed all it had.
var lbStops = &advice{
	"The load balancer closed several connections at this moment, idle ones among them: most likely it was stopped, restarted or killed, or lost a worker, with requests outstanding.",
	"Look at the load balancer's own log and at its process for this time: a restart, a crash, too little memory. Stop it gracefully (nginx -s quit or reload, HAProxy with hard-stop-after " +
		"as long as requests take): then it waits for what is outstanding.",
}

// givenUp are the waits at one target that ended before an answer, the shortest first: an outage has thousands
// that are graded again and again.
type givenUp struct{ all, vary []int64 } // vary are those that do not look configured

type givenUpWait struct {
	ns    int64
	round bool // it looks configured
}

func waitOf(f *Finding) givenUpWait {
	g := f.Measures.Outstanding.NS
	return givenUpWait{g, f.round || round(g)}
}

func givenUpOf(ps []*pending) givenUp {
	sorted := make([]int64, len(ps)) // the lowest bit says which look configured
	for i, p := range ps {
		wait := waitOf(p.f)
		if sorted[i] = wait.ns << 1; wait.round {
			sorted[i]++
		}
	}
	slices.Sort(sorted)
	w := givenUp{sorted, make([]int64, 0, len(sorted))}
	for i, x := range sorted {
		if w.all[i] = x >> 1; x&1 == 0 {
			w.vary = append(w.vary, x>>1)
		}
	}
	return w
}

// within is how many of sorted times are from one to another, ns.
func within(ns []int64, from, to int64) int {
	if to < from {
		return 0
	}
	i, _ := slices.BinarySearch(ns, from)
	j, _ := slices.BinarySearch(ns[i:], to+1)
	return j
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
	again := within(w.all, g-slack+1, g+slack-1) - 1
	rest := len(w.all) - 1 - again
	if again <= 0 || rest == 0 {
		return again > 0
	}
	// How many are to be expected, at the density of all or of those that are about as long.
	about := within(w.all, g/2, 2*g) - within(w.all, max(g/2, g-slack+1), min(2*g, g+slack-1))
	least, longest := w.all[0], w.all[len(w.all)-1]
	width := 2 * float64(slack)
	expected := max(float64(rest)*width/float64(longest-least), float64(about)*width/(1.5*float64(g)))
	chance := float64(len(w.all)) * math.Exp(-expected)
	for k := 1; k <= again; k++ {
		chance *= expected / float64(k)
	}
	return float64(again) > expected && chance < most
}

// longer counts the waits of other lengths that are clearly longer than one: an LB's own limit is not exceeded.
func (w givenUp) longer(g int64) int { return within(w.vary, g+late(g)+1, math.MaxInt64-1) }

// swept counts the longest waits, if one is of them, that are as long as an LB makes them that looks at its clocks
// once a second (lighttpd, Traffic Server), and are most of all; 0: they are not.
func (w givenUp) swept(g int64) (n int) {
	const least = 2 * second // shorter limits are hardly set where clocks are that slow
	longest := w.all[len(w.all)-1]
	from := longest - late(longest)
	n = within(w.all, from, longest)
	if longest < least || g < from || 2*n <= len(w.all) {
		return 0
	}
	return n
}

// varies reports whether others are of other lengths.
func (w givenUp) varies(g int64) bool {
	n := len(w.vary)
	return n > 0 && !(alike(w.vary[0], g, roundSlack) && alike(w.vary[n-1], g, roundSlack))
}

// late is how late a limit may be noticed, ns, where clocks are looked at once a second.
func late(g int64) int64 { return min(sweepLate, g/4) }

// regrade changes how grave a finding about a wait is, and what it says of its own about whose that was; nil: nothing.
func (d *Detector) regrade(p *pending, s Severity, own *advice) {
	f := p.f
	if f.Severity == s && f.own == own {
		return
	}
	settled := f.ID != 0
	if settled {
		d.tally(p, -1)
	}
	f.Severity = s
	if f.blameClient(own == clientGone); own != nil {
		f.own = own
	}
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
