package detect

import (
	"math"
	"slices"
	"strings"
)

// gradeWait tells whose wait it was that ended before an answer, and of those before it what is known by it.
func (d *Detector) gradeWait(p *pending) {
	const (
		most = 999 // findings that are looked at
		near = 50  // of those, at most, that are judged again whatever their wait, and as many that are like it
	)
	if !p.f.Lost || p.f.own != nil {
		return
	}
	d.givenUp.look(d.settled[max(len(d.settled)-most, 0):])
	own := gaveUpOf(p).after(d.givenUp.all)
	w := d.givenUp.with(own)
	d.gradeAgain(w, own)
	n, again := 1, 0
	for _, o := range slices.Backward(d.givenUp.all) {
		if o.givenUpAt != own.givenUpAt {
			continue
		}
		if n++; n > near {
			if again == near {
				break
			}
			if !alike(o.wait.ns(), own.wait.ns(), busySlack) {
				continue
			}
			again++
		}
		d.gradeAgain(w, o)
	}
}

// gradeAgain grades one of the waits.
func (d *Detector) gradeAgain(w waitsGivenUp, o gaveUp) {
	p := o.p
	s, byClient := w.grade(o.wait)
	if p.f.atOnce { // no limit is as long as a round trip
		s, byClient = Warning, true
	}
	switch {
	case !byClient && s == Error:
		d.regrade(p, s, nil)
	case !p.f.byClient && d.lbStopped(p): // of others it was asked when they became a client's
		d.regrade(p, s, lbStops)
	case !byClient:
		d.regrade(p, s, nil)
	default:
		d.regrade(p, s, p.f.clientGone())
	}
}

// givenUp are the waits of the newest findings that ended before an answer. An outage has thousands, each of
// which is graded by those before it: what is the same as at the last look is not sorted again.
type givenUp struct {
	all, spare []gaveUp // as the findings were settled
	sorted     map[givenUpAt][]givenUpWait
	waitsGivenUp
	lbEnds lbEnds
}

// gaveUp is one of them, among others of its rule at its target.
type gaveUp struct {
	p *pending
	givenUpAt
	wait givenUpWait
	event
	first event // of those that began and ended together with it
	again bool  // it is not that one: that both waited as long says nothing
}

// event is when a wait began and when it ended.
type event struct{ began, ended int64 }

func (e event) together(o event) bool {
	return alike(e.began, o.began, sameEvent) && alike(e.ended, o.ended, sameEvent)
}

// sameEvent is how near waits began and ended that one event may have ended, by judgement: whatever ended them, they
// are as long, and not for a limit. What is as near differs by no more than times that are alike.
const sameEvent = roundSlack / 2

type givenUpAt struct {
	t    *target
	rule *Rule
}

// givenUpWait is a wait, ns, and in the lowest bit whether it looks configured.
type givenUpWait int64

func (w givenUpWait) ns() int64   { return int64(w >> 1) }
func (w givenUpWait) round() bool { return w&1 != 0 }

func gaveUpOf(p *pending) gaveUp {
	g := p.f.Measures.Outstanding.NS
	wait := givenUpWait(g << 1)
	if p.f.round || round(g) {
		wait++
	}
	e := event{p.f.Time - g, p.f.Time}
	return gaveUp{p: p, givenUpAt: givenUpAt{p.t, p.f.Rule}, wait: wait, event: e, first: e}
}

// mostBefore are the newest ones before another that are looked at.
const mostBefore = 16

// after says whether one of those before it was of the same event.
func (x gaveUp) after(before []gaveUp) gaveUp {
	for _, o := range slices.Backward(before[max(len(before)-mostBefore, 0):]) {
		if o.givenUpAt == x.givenUpAt && o.first.together(x.event) {
			x.first, x.again = o.first, true
			break
		}
	}
	return x
}

// is reports whether nothing has changed of a wait by itself.
func (x *gaveUp) is(o *gaveUp) bool {
	return x.givenUpAt == o.givenUpAt && x.wait == o.wait && x.event == o.event
}

// look takes in what has become of the newest findings since the last look.
func (g *givenUp) look(settled []*pending) {
	if g.sorted == nil {
		g.sorted = map[givenUpAt][]givenUpWait{}
	}
	was, now := g.all, g.spare[:0]
	anew := 0 // how many more have others before them than at the last look
	for _, p := range settled {
		if f := p.f; !f.Rule.Repeated || !f.byClient && (!f.Lost || f.own != nil) {
			continue
		}
		for len(was) > 0 && was[0].p != p {
			g.remove(was[0])
			was, anew = was[1:], mostBefore
		}
		x := gaveUpOf(p)
		if len(was) == 0 {
			x = x.after(now)
			g.insert(x)
			now = append(now, x)
			continue
		}
		old := was[0]
		if was = was[1:]; anew == 0 && old.is(&x) {
			now = append(now, old)
			continue
		}
		x = x.after(now)
		now = append(now, x)
		if anew = max(anew-1, 0); old != x {
			g.remove(old)
			g.insert(x)
			anew = mostBefore
		}
	}
	for _, x := range was {
		g.remove(x)
	}
	g.all, g.spare = now, g.all
}

func (g *givenUp) insert(x gaveUp) {
	if x.again {
		return
	}
	s := g.sorted[x.givenUpAt]
	i, _ := slices.BinarySearch(s, x.wait)
	g.sorted[x.givenUpAt] = slices.Insert(s, i, x.wait)
}

func (g *givenUp) remove(x gaveUp) {
	if x.again {
		return
	}
	s := g.sorted[x.givenUpAt]
	i, _ := slices.BinarySearch(s, x.wait)
	if s = slices.Delete(s, i, i+1); len(s) == 0 {
		delete(g.sorted, x.givenUpAt)
	} else {
		g.sorted[x.givenUpAt] = s
	}
}

// waitsGivenUp are the lengths of waits that one is graded by, and of those of them that do not look configured,
// ns, the shortest first.
type waitsGivenUp struct{ all, vary []int64 }

// with are a wait and those that it is among, valid until the next call.
func (g *givenUp) with(own gaveUp) waitsGivenUp {
	w := waitsGivenUp{g.waitsGivenUp.all[:0], g.vary[:0]}
	add := func(x givenUpWait) {
		if w.all = append(w.all, x.ns()); !x.round() {
			w.vary = append(w.vary, x.ns())
		}
	}
	others := g.sorted[own.givenUpAt]
	i, _ := slices.BinarySearch(others, own.wait)
	for _, x := range others[:i] {
		add(x)
	}
	if !own.again {
		add(own.wait)
	}
	for _, x := range others[i:] {
		add(x)
	}
	g.waitsGivenUp = w
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
func (w waitsGivenUp) grade(g givenUpWait) (s Severity, byClient bool) {
	const shortest = 100 * millisecond // of those that are set
	ns := g.ns()
	switch {
	case ns >= shortest && (w.repeats(ns, roundSlack) || w.repeats(ns, busySlack)), g.round() && w.longer(ns) < 2:
		return Error, false
	case ns < shortest:
		return Warning, true
	}
	switch n := w.swept(ns); {
	case n >= sweeps:
		return Error, false
	case n > 1:
		return Warning, false
	}
	return Warning, !g.round() && w.varies(ns)
}

// sweeps is how many waits must be as long as an LB makes them that looks at its clocks once a second, for it to
// be one: as many as of targets that do.
const sweeps = 5

// repeats reports whether a wait, which is twice the slack at least, occurs again, more often than waits of all lengths
// are alike by chance.
func (w waitsGivenUp) repeats(g, slack int64) bool {
	const most = 0.01 // how likely chance is to do so at any of the waits
	again := within(w.all, g-slack+1, g+slack-1) - 1
	rest := len(w.all) - 1 - again
	if again <= 0 || rest == 0 {
		return again > 0
	}
	// How many are to be expected, at the density of all or of those that are about as long.
	about := within(w.all, g/2, 2*g) - 1 - again
	least, longest := w.all[0], w.all[len(w.all)-1]
	width := 2 * float64(slack)
	expected := max(float64(rest)*width/float64(longest-least), float64(about)*width/(1.5*float64(g)))
	if float64(again) <= expected {
		return false
	}
	chance := float64(len(w.all)) * math.Exp(-expected)
	for k := 1; k <= again && (float64(k) <= expected || chance >= most); k++ { // beyond what is expected it only falls
		chance *= expected / float64(k)
	}
	return chance < most
}

// longer counts the waits of other lengths that are clearly longer than one: an LB's own limit is not exceeded.
func (w waitsGivenUp) longer(g int64) int { return within(w.vary, g+late(g)+1, math.MaxInt64-1) }

// swept counts the longest waits, if one is of them, that are as long as an LB makes them that looks at its clocks
// once a second (lighttpd, Traffic Server), and are most of all; 0: they are not.
func (w waitsGivenUp) swept(g int64) (n int) {
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
func (w waitsGivenUp) varies(g int64) bool {
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
	if f.blameClient(own == f.clientGone()); own != nil {
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
	f.atOnce = false // now it is known
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

// eitherLead leads it where the LB may have given up before.
const eitherLead = "a client went away, or the load balancer had given up before the request arrived: "

// eitherGone is what is said then.
var eitherGone = &advice{
	cause: "The load balancer closed within a round trip of the arrival of its request: its client went away at once, or the request had been on its way for so long, lost and sent again, that the load balancer " +
		"had given up by then, and its close had to wait for the acknowledgment. Seen from here, the two look alike.",
	fix: "Capture at the load balancer, too: there the copies of a request that was lost show. Its log has 499, 460 or CC for a client that went away, and 504 or sH for its own time-out.",
}

// clientGone is what is said where it was a client that gave up.
func (f *Finding) clientGone() *advice {
	if f.atOnce {
		return eitherGone
	}
	return clientGone
}

// blameClient says whether it was a client that gave up: then nothing failed.
func (f *Finding) blameClient(yes bool) {
	f.Summary, f.own = strings.TrimPrefix(strings.TrimPrefix(f.Summary, clientLead), eitherLead), nil
	if f.byClient, f.Lost = yes, !yes; yes {
		lead := clientLead
		if f.atOnce {
			lead = eitherLead
		}
		f.Summary, f.own = lead+f.Summary, f.clientGone()
	}
}
