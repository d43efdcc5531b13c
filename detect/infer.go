package detect

import "connrace/tcpstate"

// closeBegan takes the idle age of a connection that one side begins to close.
func (d *Detector) closeBegan(e *tcpstate.Event) {
	f := e.Flow
	if e.Gap < 0 || !f.Established() {
		return
	}
	t := d.targetOf(f)
	m := d.tracker.Marks(f)
	c := d.conn(f, e)
	if e.Side == f.LB() {
		if c.closing.Set() && c.lbClose().Ack.After(c.closing.Seq) || len(m.Half[1-e.Side].RSTs) > 0 {
			return // it answers the target's close
		}
		cl := c.lbClose()
		if !cl.Set() {
			return
		}
		idle := !c.request.Set() || c.answered
		t.lbCloses.add(closeSample{e.Time, e.Gap, idle && c.target.Last.Set()})
		return
	}
	if cl := c.lbClose(); cl.Set() && c.closing.Set() && c.closing.Ack.After(cl.Seq) {
		return // it answers the LB's close
	}
	if !c.closing.Set() || !c.target.Last.Set() {
		return
	}
	idle := !c.outstanding() || !c.closeHadSeenRequest()
	last := c.target.Last
	if c.notify.Set() && last.Frame == c.notify.Frame {
		return
	}
	t.closes.add(closeSample{e.Time, max(e.Time-last.Time, 0), idle})
}

// timers are the inferred idle timeouts of a target and of its LB.
func (t *target) timers() (idle, lb *Timeout) {
	idle = timeout(t.closes.v, t.longest)
	if idle != nil {
		idle.Hint = targetHints(idle.NS)
	}
	longest := t.longest
	lb = timeout(t.lbCloses.v, longest)
	if lb != nil {
		if t.vantage() == "target" {
			lb.NS = max(lb.NS-t.rtt.median(), 0)
		}
		lb.Hint = lbHints(lb.NS)
	}
	if t.advertised > 0 && idle != nil {
		idle.Advertised = Duration{t.advertised, true}
	}
	return idle, lb
}

// explain gives a finding its close cause, cause and fix.
func (d *Detector) explain(in *incident) {
	f := in.f
	if in.closeAt != 0 && f.Lost {
		f.Measures.CloseCause, f.Measures.CloseCauseBasis = in.closeCause()
	}
	f.Cause, f.Fix = f.Rule.Cause, f.Rule.Fix
}

// closeCause says why the target closed.
func (in *incident) closeCause() (cause, basis string) {
	idle, _ := in.t.timers()
	gap := in.gap
	if gap >= 0 && idle != nil && gap >= idle.NS-max(idle.NS/50, 20*millisecond) && gap <= idle.NS+max(idle.NS/20, idle.SpreadNS, 20*millisecond) {
		return "idle-timeout", "inferred"
	}
	n, lo, hi := 0, int64(1<<62), int64(0)
	for _, s := range in.t.closes.v {
		if s.time >= in.closeAt-closeMoment && s.time <= in.closeAt+closeMoment {
			n++
			lo, hi = min(lo, s.gap), max(hi, s.gap)
		}
	}
	if n >= 3 && unlike(lo, hi) {
		if idle != nil && lo >= idle.NS-max(idle.NS/50, 20*millisecond) {
			return "overdue-batch", ""
		}
		return "mass-close", ""
	}
	if gap < 0 {
		return "unknown", ""
	}
	if gap <= 100*millisecond && !in.seen {
		return "after-response", ""
	}
	if a := in.t.advertised; a > 0 && gap >= a-5*millisecond && gap <= a+second*11/10 {
		return "idle-timeout", "advertised"
	}
	if idle == nil && len(targetHints(gap)) > 0 {
		return "idle-timeout", "hint"
	}
	return "unknown", ""
}

// conclude looks at all findings again with what the whole capture taught.
func (d *Detector) conclude() {
	for _, in := range d.incidents {
		before := in.f.Measures
		d.explain(in)
		if in.f.Measures != before && d.opt.OnUpdate != nil {
			d.opt.OnUpdate(in.f)
		}
	}
	_ = tcpstate.Opened
}

// mismatches reports the targets whose idle timeout is below their LB's.
func (d *Detector) mismatches() {}

// results are the figures of the targets.
func (d *Detector) results() []Target {
	var out []Target
	for _, t := range d.byTag {
		if t.connections == 0 {
			continue
		}
		r := Target{
			Target: t.end, LBs: t.lbs, Connections: t.connections, Requests: t.requests, LostRequests: t.lost,
			Vantage: t.vantage(), NearMisses: 0, Reuses: t.reuseHist,
		}
		if t.rtt.n > 0 {
			r.RTTMedian, r.RTTP99 = Duration{t.rtt.median(), true}, Duration{t.rtt.quantile(0.99), true}
		}
		if t.longest >= 0 {
			r.LongestReuse = Duration{t.longest, true}
		}
		r.Idle, r.LBIdle = t.timers()
		r.Handshakes.Attempted, r.Handshakes.Completed = t.attempted, t.completed
		r.Handshakes.Refused, r.Handshakes.Unanswered = t.refused, t.unanswered
		r.Handshakes.SYNRetransmissions, r.Handshakes.MaxWaiting = t.synRetrans, uint64(t.maxWaiting)
		for _, s := range t.closes.v {
			r.TargetCloses.add(s.gap)
		}
		for _, s := range t.lbCloses.v {
			r.LBCloses.add(s.gap)
		}
		out = append(out, r)
	}
	return out
}
