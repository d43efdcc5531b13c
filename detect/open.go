package detect

import (
	"strings"

	"connrace/tcpstate"
)

// Failures that go on. Who watches does not want to wait until it is known how they end: what
// is sent often enough, and may be sent again, is told while it is open, once, and told again
// when it has gone on for long and when its end is known.

// open are the findings of which the end is not known, by flow.
type open map[uint32]*pending

// maxOpen bounds them. What is beyond is told when it is decided.
const maxOpen = 1 << 12

// judgeOpen lets the rules judge a connection in the middle of a failure. Only a live analysis
// does: a file has an end, and soon.
func (d *Detector) judgeOpen(f *tcpstate.Flow, now int64) {
	if !d.opt.Live || f.Decided() {
		return
	}
	if f.Established() {
		d.resolveRoles(f)
	}
	x := d.facts(f, &tcpstate.Event{Flow: f, Time: now})
	x.GoesOn = true
	if !f.Established() {
		if d.stillAsks(x) && x.longUnanswered() {
			d.judgeSYN(x, SYNOpen)
		}
		return
	}
	if d.enqueue(x, x.ask(AboutConnection, (*Rule).match)) {
		f.SetDecided()
	}
}

// stillAsks reports whether nothing has come that decides about a SYN.
func (d *Detector) stillAsks(x *Facts) bool {
	return x.lb.SentSYN() && len(x.ln.SYNs) > 0 && len(x.tn.Refusals) == 0 && x.ln.SYNUnreachable() == nil && !x.resetByOwnHost() &&
		(!x.target.SentSYN() || x.ln.NRST == 0 && x.wantsMore()) && !x.answeredFromElsewhere(d)
}

// longUnanswered reports whether a SYN was sent often and long enough to be told of.
func (x *Facts) longUnanswered() bool {
	syns := x.ln.SYNs
	return whenOpen.met(x.ln.NSYN, syns[len(syns)-1].Time-syns[0].Time)
}

// judgeLongOpen judges again, once, what may have become grave by its length.
func (d *Detector) judgeLongOpen(now int64) {
	for i, p := range d.open {
		if p.long || now-p.from < openError {
			continue
		}
		if f := d.tracker.Flow(i); f != nil && p.f.Severity < Error {
			d.judgeOpen(f, now)
		}
		p.long = true
	}
}

// How a failure ended of which no rule has anything to say.
const (
	isOpen      = " and is still unanswered"
	wasAnswered = " until it was answered"
	wasLeft     = ", and then not any more"
	wasTurned   = " until it showed that the ends are the other way round"
)

// mended are findings about requests that had to be sent again and were answered in the end, by flow. If the answer
// is cut off or lost, that takes their place.
type mended map[uint32]*pending

// told is the finding about a connection's newest request that was told, and may become another; nil: there is none.
func (d *Detector) told(i uint32) *pending {
	if p := d.open[i]; p != nil {
		return p
	}
	return d.mended[i]
}

// conclude ends what was open about a connection, if no rule did.
func (d *Detector) conclude(f *tcpstate.Flow, how string) {
	p := d.open[f.Index()]
	if p == nil {
		return
	}
	delete(d.open, f.Index())
	d.tallyTold(p, -1)
	p.f.Open, p.f.Severity = false, min(p.f.Severity, Warning)
	p.f.Summary = strings.Replace(p.f.Summary, isOpen, how, 1)
	d.tallyTold(p, 1)
	if p.f.ID != 0 && d.opt.OnUpdate != nil {
		d.opt.OnUpdate(p.f)
	}
}

// tallyTold is tally for a finding that may wait to be counted.
func (d *Detector) tallyTold(p *pending, n int) {
	if p.f.ID != 0 {
		d.tally(p, n)
	}
}

// replace makes what was told of a connection another finding, under the same number, be it of
// another target.
func (d *Detector) replace(p *pending, by *Finding, t *target) {
	d.tallyTold(p, -1)
	by.ID = p.f.ID
	*p.f = *by
	p.t = t
	d.tallyTold(p, 1)
}
