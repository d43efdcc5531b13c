package detect

import (
	"slices"
	"sort"

	"connrace/tcpstate"
)

// LiveFlows is the bound of the flow table with Options.Live where none is given.
const LiveFlows = 1 << 18

// Bounds of an analysis that goes on for weeks.
const (
	liveTombs    = 1 << 16
	liveTargets  = 1 << 10
	liveShared   = 1 << 16
	liveSamples  = 1 << 10 // of each kind, for each target
	liveFindings = 1000    // kept whole

	// reviewEvery is how often a live analysis looks back at what it has learnt.
	reviewEvery = 60 * second
)

// Group counts findings that are alike.
type Group struct {
	Rule        *Rule
	Target      tcpstate.Endpoint
	Socket      string
	Severity    Severity
	Lost        bool
	Count       uint64
	First, Last int64 // times
}

type groupKey struct {
	rule     *Rule
	target   tcpstate.Endpoint
	socket   string
	severity Severity
	lost     bool
}

// forgotten counts what is no longer kept whole.
type forgotten map[groupKey]*Group

const maxGroups = 1 << 12

func (g forgotten) add(f *Finding) {
	k := groupKey{f.Rule, f.Target, f.Socket, f.Severity, f.Lost}
	x := g[k]
	if x == nil && len(g) >= maxGroups {
		k.target, k.socket = tcpstate.Endpoint{}, ""
		x = g[k]
	}
	if x == nil {
		x = &Group{Rule: k.rule, Target: k.target, Socket: k.socket, Severity: k.severity, Lost: k.lost, First: f.Time}
		g[k] = x
	}
	x.Count++
	x.First, x.Last = min(x.First, f.Time), max(x.Last, f.Time)
}

// list is in order of rules, then of the first finding.
func (g forgotten) list() []Group {
	var out []Group
	for _, x := range g {
		out = append(out, *x)
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := &out[i], &out[j]
		if a.Rule != b.Rule {
			return slices.Index(Rules, a.Rule) < slices.Index(Rules, b.Rule)
		}
		if a.First != b.First {
			return a.First < b.First
		}
		return a.Target.String() < b.Target.String()
	})
	return out
}

// forget keeps only the newest findings of a live analysis; the others are counted.
func (d *Detector) forget() {
	n := len(d.findings) - liveFindings
	if !d.opt.Live || n < liveFindings {
		return
	}
	for _, f := range d.findings[:n] {
		d.forgotten.add(f)
	}
	d.findings = slices.Clone(d.findings[n:])
	d.incidents = slices.Clone(d.incidents[n:])
}

// Advance says that the capture has come to a time, be it without a segment, so that
// what is due is decided. A live analysis must be told now and then.
func (d *Detector) Advance(now int64) {
	d.tracker.Advance(now)
	now = max(now, d.tracker.Now())
	d.close(now)
	if d.reviewed == 0 {
		d.reviewed = now
	}
	if d.opt.Live && now-d.reviewed >= reviewEvery {
		d.reviewed = now
		d.review()
	}
}

// review reports what has been learnt meanwhile: timers make causes known, and are
// themselves too short.
func (d *Detector) review() {
	for _, t := range d.byTag {
		idle, lb := t.timers()
		if t.mismatch(idle, lb, d.opt.LBIdleTimeout) == "" {
			t.mismatched = 0
		} else if t.mismatched++; t.mismatched == 2 { // it has held for a while
			d.reportMismatch(t)
		}
	}
	for _, in := range d.incidents {
		if in.f.Measures.CloseCause == CloseUnknown {
			d.explainAgain(in)
		}
	}
}

// Snapshot is what an analysis has found so far. It goes on.
func (d *Detector) Snapshot() *Result {
	return d.result(slices.Clone(d.findings))
}

// Progress is how far an analysis has come.
type Progress struct {
	Totals
	Live     int // connections in mind
	Findings uint64
}

// Progress returns counts that are cheap to have.
func (d *Detector) Progress() Progress {
	return Progress{Totals: d.counts(), Live: d.tracker.Live(), Findings: uint64(d.nextID)}
}

// Shift says that the clock which segments and samples are stamped with was set: what is
// remembered moves by that much. Findings stay as they are.
func (d *Detector) Shift(by int64) {
	d.tracker.Shift(by)
	for i := range d.recent.v {
		d.recent.v[i].time += by
	}
	for i := range d.gaps {
		d.gaps[i].time += by
	}
	for _, in := range d.open {
		in.from += by
		in.until += by
		if in.closeAt != 0 {
			in.closeAt += by
		}
		for i := range in.moments {
			in.moments[i] += by
		}
	}
	if d.due != never {
		d.due += by
	}
	for _, t := range d.byTag {
		t.shift(by)
	}
	for i := range d.awaited {
		d.awaited[i].opened += by
	}
	d.kernel.shift(by)
	if d.reviewed != 0 {
		d.reviewed += by
	}
}

func (t *target) shift(by int64) {
	t.used += by
	for i := range t.syns.v {
		t.syns.v[i].ref.Time += by
	}
	for i := range t.waits {
		w := &t.waits[i]
		w.ref.Time += by
		if w.answered != 0 {
			w.answered += by
		}
	}
	for i := range t.overflows.v {
		t.overflows.v[i] += by
	}
	for i := range t.drops.v {
		t.drops.v[i].at += by
	}
	for _, r := range []*ring[closeSample]{&t.closes.ring, &t.lbCloses.ring} {
		for i := range r.v {
			r.v[i].time += by
			r.v[i].ref.Time += by
			r.v[i].seen += by
		}
	}
}

// recycle takes the place of the target that has been idle longest for another one; nil
// where each has a connection. What it counted is counted with all others.
func (d *Detector) recycle(ep tcpstate.Endpoint) *target {
	var old *target
	for _, t := range d.byTag {
		if t.flows == 0 && t.end != (tcpstate.Endpoint{}) && (old == nil || t.used < old.used) {
			old = t
		}
	}
	if old == nil {
		return nil
	}
	o := d.others()
	o.connections += old.connections
	o.requests += old.requests
	o.lost += old.lost
	o.attempted += old.attempted
	o.completed += old.completed
	o.refused += old.refused
	o.unanswered += old.unanswered
	o.pending += old.pending
	o.synRetrans += old.synRetrans
	o.maxWaiting = max(o.maxWaiting, old.maxWaiting)
	delete(d.targets, old.end)
	d.near[nearSlot(old.end)] = nil
	t := newTarget(ep, old.tag, true)
	d.targets[ep] = t
	d.byTag[t.tag-1] = t
	return t
}
