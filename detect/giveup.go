package detect

import "strings"

// gradeWait tells whose wait it was that ended before an answer: one that occurs twice is a
// setting, and an error; the LB's, or that of clients which wait as long. Others that are not
// round and vary, or are shorter than any that is set, are those of clients that went away.
func (d *Detector) gradeWait(p *pending) {
	const (
		shortest = 100 * millisecond // of those that are set
		most     = 1000              // findings that are looked at
		near     = 50                // of those, at least: what is like this one need not be like another that is
	)
	g := p.f.Measures.Outstanding.NS
	if !p.f.Lost || p.f.own != nil {
		return
	}
	varies, found := []*pending{p}, false
	for i := len(d.settled) - 1; i >= 0 && i > len(d.settled)-most; i-- {
		o := d.settled[i]
		if o.t != p.t || o.f.Rule != p.f.Rule || !o.f.Lost && !o.f.byClient || o.f.own != nil && !o.f.byClient {
			continue
		}
		diff := o.f.Measures.Outstanding.NS - g
		switch alike := diff > -roundSlack && diff < roundSlack; {
		case alike && g >= shortest:
			d.regrade(p, Error, false)
			d.regrade(o, Error, false)
			if found = true; i < len(d.settled)-near {
				return
			}
		case !alike && o.f.Severity == Warning:
			varies = append(varies, o)
		}
	}
	if !found && p.f.Severity == Warning && (len(varies) > 1 || g < shortest) {
		for _, o := range varies {
			d.regrade(o, Warning, true)
		}
	}
}

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
