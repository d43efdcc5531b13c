package detect

// What is asked of the rules, and when.

// judgeHandshake looks at a connection that never came to be.
func (d *Detector) judgeHandshake(x *Facts) {
	switch syns := x.ln.SYNs; {
	case len(x.tn.Refusals) > 0:
		x.flow.SetDecided()
		x.of.refused++
		t := x.of.tell()
		t.refusals.Add(x.tn.Refusals[0].Time)
		t.heard = max(t.heard, x.tn.Refusals[0].Time)
		d.noteProbe(x, false)
		d.judgeSYN(x, SYNRefused)
	case x.resetByOwnHost():
		x.flow.SetDecided()
		d.judgeSYN(x, SYNReset)
	case x.target.SentSYN() && x.ln.NRST > 0:
		d.noteProbe(x, true)
	case !x.lb.SentSYN() || len(syns) == 0:
	case x.target.SentSYN() && !x.wantsMore(): // a probe, or the final ACK is missing
	case x.ln.SYNUnreachable() != nil:
		x.flow.SetDecided()
		if x.ln.SYNUnreachable().Refused() {
			x.of.refused++
			d.judgeSYN(x, SYNRefused)
		} else {
			x.of.unanswered++
			d.judgeSYN(x, SYNUnreachable)
		}
	case x.answeredFromElsewhere(d):
		x.flow.SetDecided()
		d.judgeSYN(x, SYNReset)
	case x.Now-syns[len(syns)-1].Time >= x.ln.Patience():
		x.flow.SetDecided()
		if !x.target.SentSYN() {
			x.of.unanswered++
		}
		d.judgeSYN(x, SYNGivenUp)
	case x.Ended: // before the next retry was due
		if !x.target.SentSYN() {
			x.of.pending++
		}
		switch {
		case x.longUnanswered():
			x.flow.SetDecided()
			d.judgeSYN(x, SYNOpen)
		case !x.target.SentSYN() && d.kernelDropped(x):
			x.flow.SetDecided()
			d.judgeSYN(x, SYNPending)
		}
	}
}

// judgeSYN lets the rules judge what came of a SYN.
func (d *Detector) judgeSYN(x *Facts, came Outcome) {
	x.Outcome = came
	d.enqueue(x, x.ask(AboutHandshake, (*Rule).match))
}

// judgeTarget asks each rule about targets, for they do not exclude each other, until it has
// an answer. At a review of a live analysis what must last waits for the next one.
func (d *Detector) judgeTarget(t *target, review bool) {
	for i, r := range Rules {
		if r.About != AboutTarget || t.reported.has(i) {
			continue
		}
		f := r.Match(d.targetFacts(t))
		held := t.held.has(i)
		t.held.set(i, f != nil)
		if f == nil || review && r.Lasting && !held {
			continue
		}
		t.reported.set(i, true)
		f.Rule = r
		d.emit(&pending{f: f, t: t})
	}
}

// ask asks the rules about a connection or a handshake in their order; the first that has
// an answer decides.
func (x *Facts) ask(about Subject, match func(*Rule, *Facts) *Finding) *Finding {
	for _, r := range Rules {
		if r.About != about {
			continue
		}
		if f := match(r, x); f != nil {
			f.Rule = r
			if about == AboutConnection {
				x.limit(f)
			}
			x.addOrigin(f)
			return f
		}
	}
	return nil
}

func (r *Rule) match(x *Facts) *Finding { return r.Match(x) }

func (r *Rule) recovered(x *Facts) *Finding {
	if r.Recovered == nil {
		return nil
	}
	return r.Recovered(x)
}
