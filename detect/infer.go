package detect

import "connrace/tcpstate"

// closeBegan takes the idle age of a connection that one side begins to close.
func (d *Detector) closeBegan(e *tcpstate.Event) {
	f := e.Flow
	if e.Gap < 0 || !f.Established() {
		return
	}
	t := d.targetOf(f)
	m := d.tracker.Notes(f)
	c := d.conn(f, e)
	if e.Side == f.LB() {
		if c.closing.Set() && c.lbClose().Ack.After(c.closing.Seq) || len(m.Half[1-e.Side].RSTs) > 0 {
			return // it answers the target's close
		}
		cl := c.lbClose()
		if !cl.Set() || c.tm.Notify.Set() && cl.Ack.After(c.tm.Notify.Seq) {
			return
		}
		idle := !c.request.Set() || c.answered
		if !f.Upgraded() {
			t.lbCloses.add(closeSample{time: e.Time, gap: e.Gap, idle: idle && c.lastAnswered().Set(), ref: cl, seen: e.Time})
		}
		return
	}
	if cl := c.lbClose(); cl.Set() && c.closing.Set() && c.closing.Ack.After(cl.Seq) {
		return // it answers the LB's close
	}
	if e.Seg.Flags.Has(tcpstate.RST) && (!e.Seg.Flags.Has(tcpstate.ACK) || m.Half[e.Side].FIN.Set()) {
		return // no close of its own
	}
	last := c.lastAnswered()
	if !c.closing.Set() || !last.Set() || f.Upgraded() || c.notify.Set() && last.Frame() == c.notify.Frame() {
		return
	}
	t.advertise(f)
	s := closeSample{
		time: c.closing.Time, gap: max(c.closing.Time-last.Time, 0),
		idle: !c.outstanding() || !c.closeHadSeenRequest(),
		ref:  c.closing, seen: e.Time,
	}
	if s.ref == c.tm.FIN {
		s.ref = withPayload(s.ref)
	}
	if s.idle && f.CloseAnnounced() {
		return // as it said
	}
	if s.atOnce() {
		t.atOnce++
	}
	t.closes.add(s)
}

// advertise takes what the target's newest answer said of its keep-alive timeout.
func (t *target) advertise(f *tcpstate.Flow) {
	if a := f.KeepAlive(); a > 0 {
		t.advertised = a
	}
}

// timers are the inferred idle timeouts of a target and of its LB; nil: none. They are
// inferred anew when a good part of the closes is new.
func (t *target) timers() (idle, lb *timer) {
	in := &t.inferred
	if n := t.closes.count + t.lbCloses.count; n-in.at > min(in.at, maxCloses)/16 {
		in.idle, in.lb = t.infer()
		if in.sweep = nil; in.idle == nil {
			in.sweep = inferSweep(t.closes.v, t.longest)
		}
		in.at = n
	}
	return in.idle, in.lb
}

func (t *target) infer() (idle, lb *timer) {
	idle = inferTimer(t.closes.v, t.longest)
	if idle != nil {
		idle.Hint = targetHints(idle.NS)
		if t.advertised > 0 {
			idle.Advertised = Duration{t.advertised, true}
			if h := lateHint(idle.NS - t.advertised); h != "" {
				idle.Hint = []string{h}
			}
		}
	}
	lb = inferTimer(t.lbCloses.v, t.longest)
	if lb != nil {
		if t.vantage() == "target" {
			// The answer left here half a round trip before the LB's timer started, and
			// the FIN arrived half a round trip after it had fired.
			lb.NS = max(lb.NS-t.rtt.median(), 0)
		}
		lb.Hint = lbHints(lb.NS)
	}
	return idle, lb
}

// explain gives a finding its close cause, cause and fix.
func (d *Detector) explain(in *incident) {
	f := in.f
	if in.t == nil {
		return
	}
	if in.closeAt != 0 && f.Lost {
		f.Measures.CloseCause, f.Measures.CloseCauseBasis = in.closeCause()
	}
	var ts Timers
	idle, lb := in.t.timers()
	if idle != nil {
		ts.Target = idle.NS
	}
	if lb != nil {
		ts.LB = lb.NS
	}
	f.Cause, f.Fix = CauseFor(f.Rule, f.Measures.CloseCause, ts), FixFor(f.Rule, f.Measures.CloseCause, ts)
}

// closeCause says why the target closed.
func (in *incident) closeCause() (cause, basis string) {
	idle, _ := in.t.timers()
	sweep := in.t.inferred.sweep
	gap := in.gap
	if gap >= 0 && idle.fits(gap) {
		return CloseIdleTimeout, "inferred"
	}
	if in.mass.n >= 3 && 3*in.mass.alike <= 2*in.mass.n && unlike(in.mass.lo, in.mass.hi) {
		if idle.overdue(in.mass.lo) || sweep.overdue(in.mass.lo) {
			return CloseOverdueBatch, ""
		}
		return CloseMass, ""
	}
	if gap < 0 {
		return CloseUnknown, ""
	}
	if gap <= shortGap && (!in.seen || in.aborted && in.t.atOnce >= 3) {
		return CloseAfterResponse, "" // a request unread in the kernel does not delay it
	}
	if sweep.fits(gap) {
		return CloseIdleTimeout, "inferred"
	}
	if a := in.t.advertised; a > 0 && gap >= a-5*millisecond && gap <= a+second*11/10 {
		return CloseIdleTimeout, "advertised"
	}
	if idle == nil && len(targetHints(gap)) > 0 {
		return CloseIdleTimeout, "hint"
	}
	return CloseUnknown, ""
}

// together looks which other connections the target closed in the same moment.
func (in *incident) together() {
	in.mass.lo = 1 << 62
	for i, end := in.t.closes.around(in.closeAt); i < end; i++ {
		s := in.t.closes.at(i)
		if s.time >= in.closeAt-closeMoment && s.time <= in.closeAt+closeMoment && !s.atOnce() {
			in.mass.n++
			if in.gap >= 0 && !unlike(min(in.gap, s.gap), max(in.gap, s.gap)) {
				in.mass.alike++
			}
			in.mass.lo, in.mass.hi = min(in.mass.lo, s.gap), max(in.mass.hi, s.gap)
		}
	}
}

// relearn makes the timers be inferred anew, from all closes.
func (d *Detector) relearn() {
	for _, t := range d.byTag {
		t.inferred.at = -1
	}
}

// conclude looks at all findings again with what the whole capture taught.
func (d *Detector) conclude() {
	for _, in := range d.incidents {
		d.explainAgain(in)
	}
}

func (d *Detector) explainAgain(in *incident) {
	f := in.f
	measures, cause, fix := f.Measures, f.Cause, f.Fix
	d.explain(in)
	if d.opt.OnUpdate != nil && (f.Measures != measures || f.Cause != cause || f.Fix != fix) {
		d.opt.OnUpdate(f)
	}
}

// results are the figures of the targets.
func (d *Detector) results() []Target {
	var out []Target
	for _, t := range d.byTag {
		if t.connections == 0 {
			continue
		}
		r := Target{
			Target: t.end, LBs: t.lbs, Connections: t.connections, Requests: t.requests, LostRequests: t.lost,
			Vantage: t.vantage(), Reuses: t.reuseHist,
		}
		if t.rtt.n > 0 {
			r.RTTMedian, r.RTTP99 = Duration{t.rtt.median(), true}, Duration{t.rtt.quantile(0.99), true}
		}
		if t.longest >= 0 {
			r.LongestReuse = Duration{t.longest, true}
		}
		idle, lb := t.timers()
		if idle != nil {
			r.Idle = &idle.Timeout
			r.NearMisses = t.nearMisses(idle)
			r.Exposure, r.HasExposure = t.exposure(idle)
		}
		if lb != nil {
			r.LBIdle = &lb.Timeout
		}
		h := &r.Handshakes
		h.Attempted, h.Completed, h.Refused, h.Unanswered = t.attempted, t.completed, t.refused, t.unanswered
		h.Pending, h.SYNRetransmissions, h.MaxWaiting = t.pending, t.synRetrans, uint64(t.maxWaiting)
		r.TargetCloses, r.LBCloses = t.closes.gaps, t.lbCloses.gaps
		r.Advice = t.advice(idle, lb, d.opt.LBIdleTimeout)
		if l := d.listener(t.end); l != nil {
			r.Listener = &Listener{Queue: l.queue, Limit: l.limit, MaxQueue: l.most}
			if w := BacklogWarning(l.limit, d.kernel.somaxconn); w != "" {
				r.Advice = append(r.Advice, w)
			}
		}
		out = append(out, r)
	}
	return out
}

// nearMisses counts the requests that were answered although the connection had been
// idle until at most 100 ms before the target's timer.
func (t *target) nearMisses(idle *timer) uint64 {
	n := uint64(0)
	for _, g := range t.reuses.v {
		if g >= idle.lo-100*millisecond {
			n++
		}
	}
	return n
}

// exposure is how many crossings a million requests are expected to bring: the density
// of reuses just below the timer, times the time in which a request and the FIN cross,
// one round trip.
func (t *target) exposure(idle *timer) (float64, bool) {
	rtt := t.rtt.median()
	if rtt == 0 || len(t.reuses.v) < 20 {
		return 0, false
	}
	// Below the timer, where requests were answered, and one round trip beyond, where
	// they crossed.
	window := max(5*rtt, 100*millisecond)
	n := t.crossed
	for _, g := range t.reuses.v {
		if g >= idle.lo-window {
			n++
		}
	}
	share := float64(n) / float64(len(t.reuses.v)+t.crossed)
	return min(share*float64(rtt)/float64(window+rtt), 1) * 1e6, true
}

// advice is what the target's figures suggest.
func (t *target) advice(idle, lb *timer, lbTimeout int64) []string {
	var out []string
	if idle != nil && t.mismatch(idle, lb, lbTimeout) != "" {
		out = append(out, "the target closes connections after "+seconds(idle.NS)+" idle: raise its keep-alive timeout above the LB's idle timeout")
	}
	if idle != nil && idle.Advertised.Known {
		if d := idle.NS - idle.Advertised.NS; d > 100*millisecond || d < -100*millisecond {
			out = append(out, "the target advertises Keep-Alive: timeout="+seconds(idle.Advertised.NS)+" but closes after "+seconds(idle.NS))
		}
	}
	return out
}
