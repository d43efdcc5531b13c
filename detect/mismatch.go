package detect

import "fmt"

// timerSlack is how late a timer fires and how much a path's delay varies, ns: time-outs
// that differ by less are equal.
const timerSlack = 100 * millisecond

// mismatch says why the LB would keep a connection at least as long as the target does;
// "": it would not, as far as is known.
func (t *target) mismatch(idle, lb *timer, configured int64) string {
	switch {
	case idle == nil:
		return ""
	case configured > 0:
		if configured+timerSlack >= idle.lo {
			return "the LB's configured idle timeout is " + seconds(configured)
		}
		return ""
	case lb != nil:
		if lb.NS+timerSlack >= idle.lo {
			return "the LB was seen to close connections only after " + seconds(lb.NS) + " idle"
		}
		return ""
	}
	for _, s := range t.lbCloses.v {
		if s.idle && s.gap > 100*millisecond && s.gap < idle.lo {
			return ""
		}
	}
	if idle.moments < 3 {
		return ""
	}
	return "the LB never closed an idle connection sooner"
}

// mismatches reports the targets whose idle timeout is not above their LB's: the race is
// possible, whether or not it has happened.
func (d *Detector) mismatches() {
	for _, t := range d.byTag {
		d.reportMismatch(t)
	}
}

// reportMismatch reports a target's idle timeout, once.
func (d *Detector) reportMismatch(t *target) {
	idle, lb := t.timers()
	why := t.mismatch(idle, lb, d.opt.LBIdleTimeout)
	if why == "" || t.reported {
		return
	}
	t.reported = true
	last := idle.samples[0]
	for _, s := range idle.samples {
		if s.ref.Frame() > last.ref.Frame() {
			last = s
		}
	}
	f := &Finding{
		Rule: KeepAliveMismatch, Severity: Warning, Confidence: Likely,
		Grounds: fmt.Sprintf("%d closes at %d moments within %s; %s", idle.Samples, idle.moments, seconds(idle.SpreadNS), why),
		Target:  t.end, Time: last.time, RoleBasis: "handshake",
		Measures: Measures{Idle: Duration{idle.NS, true}, Waiting: -1, CloseCause: CloseIdleTimeout, CloseCauseBasis: "inferred"},
		Summary:  fmt.Sprintf("the target closes connections after %s idle; %s", seconds(idle.NS), why),
	}
	if n := t.rtt.median(); n > 0 {
		f.Measures.RTT = Duration{n, true}
	}
	f.Capture, f.Frame = d.tracker.Locate(last.ref.Frame())
	for _, s := range idle.samples {
		if len(f.Evidence) == 5 {
			break
		}
		capture, frame := d.tracker.Locate(s.ref.Frame())
		f.Evidence = append(f.Evidence, Evidence{
			Capture: capture, Stream: s.ref.Stream, Frame: frame, Time: s.ref.Time, Flags: s.ref.Flags(),
			Seq: s.ref.Seq, Ack: s.ref.Ack, Len: s.ref.Len, Role: RoleFIN, Note: "the target closes after " + seconds(s.gap) + " idle",
		})
	}
	sortEvidence(f.Evidence)
	d.finish(&incident{f: f, t: t, gap: -1})
}
