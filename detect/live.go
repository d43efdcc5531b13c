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
	liveRetired  = 1 << 16
	liveSamples  = 1 << 10 // of each kind, for each target
	liveFindings = 1000    // kept whole, or as many requests of HTTP/2

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
	CloseCause  string // Measures.CloseCause
	StreamCode  string // Measures.StreamCode
	Count       uint64
	Tries       Tries // that they are about
	First, Last int64 // times
}

type groupKey struct {
	rule     *Rule
	target   tcpstate.Endpoint
	socket   string
	severity Severity
	lost     bool
	cause    string
	code     string
}

// forgotten counts what is no longer kept whole.
type forgotten map[groupKey]*Group

// maxGroups bounds them. Where captures are joined there may be as many as targets are told apart: points that
// came upon their targets in another order would else count different ones together.
const (
	maxGroups       = 1 << 12
	maxGroupsJoined = MaxMaxTargets
)

func (g forgotten) add(f *Finding, most int) {
	k := groupKey{f.Rule, f.Target, f.Socket, f.Severity, f.Lost, f.Measures.CloseCause, f.Measures.StreamCode}
	x := g[k]
	if x == nil && len(g) >= most {
		k.target, k.socket = tcpstate.Endpoint{}, ""
		x = g[k]
	}
	if x == nil {
		x = &Group{Rule: k.rule, Target: k.target, Socket: k.socket, Severity: k.severity, Lost: k.lost, CloseCause: k.cause, StreamCode: k.code, First: f.Time}
		g[k] = x
	}
	x.Count++
	x.Tries.Add(f.Tries(), 1)
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

// forget keeps only the newest findings of a live analysis, and those that are open: what is counted of
// them is still to change. The others are counted.
func (d *Detector) forget() {
	if !d.opt.Live || d.kept < 2*liveFindings {
		return
	}
	var findings []*Finding
	var settled []*pending
	for i, f := range d.findings {
		if d.kept > liveFindings && !f.Open && i < len(d.findings)-1 {
			d.kept -= f.weight()
			d.forgotten.add(f, maxGroups)
			continue
		}
		findings, settled = append(findings, f), append(settled, d.settled[i])
	}
	d.findings, d.settled = findings, settled
}

// Advance says that the capture has come to a time, be it without a segment, so that
// what is due is decided. A live analysis must be told now and then.
func (d *Detector) Advance(now int64) {
	d.tracker.Advance(now)
	now = max(now, d.tracker.Now())
	d.flushDue(now)
	if d.reviewed == 0 {
		d.reviewed = now
	}
	if now >= d.lookAgain {
		d.lookAgain = now + second
		d.judgeLongOpen(now)
	}
	if d.opt.Live && now-d.reviewed >= reviewEvery {
		d.reviewed = now
		d.review()
	}
}

// review reports what has been learnt meanwhile: what the targets are like as a whole, and
// causes that their timers make known.
func (d *Detector) review() {
	for _, t := range d.targets.all {
		d.judgeTarget(t, true)
	}
	d.takeBackProbes()
	for _, p := range d.settled {
		if p.f.Measures.CloseCause == CloseUnknown {
			d.explainAgain(p)
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
	d.kernel.Shift(by)
	d.requests.Each(func(r *recentRequest) { r.time += by })
	d.strays.Each(func(a *strayAnswer) { a.ref.Time += by })
	d.accepted.shift(by)
	d.givenUp.lbEnds.shift(by)
	d.senders = senders{}
	for i := range d.gaps {
		d.gaps[i] += by
	}
	for _, p := range d.pending {
		p.shift(by)
	}
	for _, p := range d.settled {
		if !p.waits {
			p.shift(by)
		}
	}
	d.lookAgain += by
	d.asked += by
	if d.due != never {
		d.due += by
	}
	for _, t := range d.targets.all {
		t.shift(by)
	}
	for i := range d.awaited {
		d.awaited[i].opened += by
	}
	if d.reviewed != 0 {
		d.reviewed += by
	}
}

func (p *pending) shift(by int64) {
	p.from += by
	if p.close != nil {
		p.close.shift(by)
	}
	if p.expected == nil {
		return
	}
	p.until += by
	if p.longer != 0 {
		p.longer += by
	}
	for i := range p.ignored {
		p.ignored[i] += by
	}
}
