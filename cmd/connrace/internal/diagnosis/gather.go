package diagnosis

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
	"connrace/tcpstate"
)

// reason is why something goes wrong. Findings of one reason are cured by one change.
type reason struct {
	cause     *detect.CloseCause // why the target closed, where that decides what to change
	rule      *detect.Rule       // else the rule, or the one that has the same fix
	code      string             // and of the RST_STREAM that ended the request, if one did
	unwatched bool               // the LB's pool does not watch its connections, whyever they were closed
	gone      bool               // nothing is heard of the target's host any more
	own       bool               // the target's answers say 5xx
}

// reasonOf is the one of a finding.
func reasonOf(f *detect.Finding) reason {
	switch {
	case f.Unwatched:
		return reason{unwatched: true}
	case f.Gone:
		return gone
	}
	return reasonFor(f.Rule, f.Measures.CloseCause, f.Measures.StreamCode)
}

func reasonFor(r *detect.Rule, cause, code string) reason {
	if c := detect.CauseOf(cause); c != nil && c.ID != detect.CloseUnknown {
		if c.KeepAlive { // whether one by one or in a sweep: one timer
			c = detect.CauseOf(detect.CloseIdleTimeout)
		}
		return reason{cause: c}
	}
	return reason{rule: cmp.Or(r.SameFix, r), code: code}
}

// isTimer reports whether the target's keep-alive timer is the reason.
func (r reason) isTimer() bool { return r.cause != nil && r.cause.KeepAlive }

// Answer gathers findings and works out the answer. What it keeps of each is its id, but of those
// that a target's stop, or the end of its host, may be behind.
type Answer struct {
	seen     *Seen
	by       map[reason]*problem
	all      []*problem // in the order of their first findings
	absences absences
	later    []later // until all absences are known
}

// added is a finding, or a group of which none is kept.
type added struct {
	detect.Group
	reason
	site
	found Found // of which there is no Finding: only counted
}

// later is a finding, or else a group. What is added of a finding is worked out again, for it takes ten times
// the room, and in an outage all findings may be there.
type later struct {
	Found
	counted *added
}

func (l *later) added() added {
	if l.counted != nil {
		return *l.counted
	}
	return addedOf(l.Found)
}

func addedOf(f Found) added {
	g := detect.Group{Rule: f.Rule, Severity: f.Severity, Tries: f.Tries(), Count: 1, First: f.Time, Last: f.Time}
	return added{g, reasonOf(f.Finding), site{f.Target, f.Socket, f.Known}, f}
}

// NewAnswer begins an answer.
func NewAnswer(seen *Seen) *Answer {
	return &Answer{seen: seen, by: map[reason]*problem{}, absences: absences{newStops(), absent{}}}
}

// problem is a Problem that is being gathered.
type problem struct {
	Problem
	reason
	seen    *Seen
	rules   map[*detect.Rule]int
	targets map[site]int // in which order they came
	texts   map[said]uint64
	best    said // of texts
	proofs  proofs
	idle    sample
	waited  sample // Measures.Outstanding
	http2   bool   // requests of HTTP/2 are among them
	http1   bool   // others are
	streams uint64 // of them, on findings that lost some
	carried uint64 // how many such findings there are
	timeUp  int    // findings of which the LB's log says that its own time was up
	answers uint64 // that say 5xx
	// tooLarge: something was lost for its size; anySize: something was not.
	tooLarge, anySize bool
	alone             bool                 // no other problem made tries fail
	shared            map[*detect.Rule]int // how many problems have findings of a rule
	late              sample               // Measures.Delay, of what was not lost
	after             bursts               // what a target did that had stopped
	before            bool                 // some of that is from before the stop that was seen
	failed            bursts               // when tries failed
	found             bursts               // when it was found
	knownOf           int                  // how many targets known has looked at
	knownOnes         []*detect.Target     // those that it found
}

// site is where something happened.
type site struct {
	tcpstate.Endpoint
	socket string
	known  *detect.Target // nil: nothing
}

// said is what a finding says of itself.
type said struct{ cause, fix string }

// mostTexts is how many texts of a problem are told apart: they differ in figures.
const mostTexts = 256

// lossWeight lets the text of one finding with a loss go before those of any number
// without.
const lossWeight = 1 << 32

// problem is the one of a reason.
func (a *Answer) problem(r reason) *problem {
	q := a.by[r]
	if q == nil {
		q = &problem{reason: r, seen: a.seen, rules: map[*detect.Rule]int{}, targets: map[site]int{}, texts: map[said]uint64{}}
		a.by[r] = q
		a.all = append(a.all, q)
	}
	return q
}

// Add adds a finding.
func (a *Answer) Add(f Found) {
	if x := addedOf(f); !a.gather(&x) {
		a.later = append(a.later, later{Found: f})
	}
}

// AddCounted adds findings that are only counted.
func (a *Answer) AddCounted(g *detect.Group, known *detect.Target) {
	if g.Count > 0 {
		x := added{*g, reasonFor(g.Rule, g.CloseCause, g.StreamCode), site{g.Target, g.Socket, known}, Found{}}
		if !a.gather(&x) {
			a.later = append(a.later, later{counted: &x})
		}
	}
}

// gather reports whether it is known which problem it is part of.
func (a *Answer) gather(x *added) bool {
	a.absences.note(x)
	if x.mayFollow() || x.inVain() {
		return false
	}
	a.problem(x.reason).add(x)
	return true
}

// inVain is that of a finding. Of those that are only counted it is known as far as all of them
// failed to set up a connection.
func (x *added) inVain() bool {
	if x.found.Finding != nil {
		return inVain(x.found.Finding)
	}
	return x.mayFollow() && x.rule.Shared == detect.SharedByHost && x.Tries.Failed() == x.Count
}

func (q *problem) add(x *added) {
	q.Rule = cmp.Or(q.Rule, x.Rule)
	q.Count += x.Count
	q.rules[x.Rule] = int(min(uint64(q.rules[x.Rule])+min(x.Count, math.MaxInt), math.MaxInt))
	q.Severity = max(q.Severity, x.Severity)
	q.Tries.Add(x.Tries, 1)
	q.found.add(x.First, x.Last, x.Count)
	q.failed.add(x.First, x.Last, x.Tries.Failed())
	q.at(x.site)
	if x.found.Finding != nil {
		q.addFound(&x.found)
	}
}

// addFound adds what only a finding that is kept has.
func (q *problem) addFound(f *Found) {
	q.Findings = append(q.Findings, f.ID)
	if q.reason == stopped && f.Rule.IfStopped || q.reason == gone && !f.Gone {
		return
	}
	weight := uint64(1)
	if f.Lost {
		weight = lossWeight
	}
	s := said{f.Cause, f.Fix}
	q.proofs.add(s, f.Finding)
	if _, known := q.texts[s]; known || len(q.texts) < mostTexts {
		if q.texts[s] += weight; q.texts[s] > q.texts[q.best] {
			q.best = s
		}
	}
	if len(f.Requests) > 0 {
		q.http2 = true
	} else if f.Request != nil {
		q.http1 = true
		q.Traced = q.Traced || f.Request.TraceID != ""
	}
	if n := f.Tries().LostRequests; n > 0 {
		q.streams += n
		q.carried++
	}
	m := &f.Measures
	switch m.Size() {
	case detect.TooLarge:
		q.tooLarge = true
	case detect.AnySize:
		q.anySize = true
	}
	q.idle.add(m.Idle)
	q.waited.add(m.Outstanding)
	if f.TimeUp() {
		q.timeUp++
	}
	if !f.Lost {
		q.late.add(m.Delay)
	}
}

// Diagnosis is the answer to all that was added.
func (a *Answer) Diagnosis() *Diagnosis {
	for i := range a.later {
		x := a.later[i].added()
		q := a.problem(a.absences.reason(x.reason, x.Endpoint, x.First, x.inVain()))
		q.add(&x)
		if q.reason == stopped {
			q.after.add(x.First, x.Last, x.Count)
			q.before = q.before || x.First < a.absences.stops.first(x.Endpoint)
		}
	}
	slices.SortStableFunc(a.all, func(x, y *problem) int {
		return cmp.Or(cmp.Compare(y.Failed(), x.Failed()), cmp.Compare(y.OpenTries, x.OpenTries),
			cmp.Compare(y.Severity, x.Severity), cmp.Compare(y.answers, x.answers), cmp.Compare(y.Count, x.Count))
	})
	failing, shared := 0, map[*detect.Rule]int{}
	for _, q := range a.all {
		for r := range q.rules {
			shared[r]++
		}
		if q.Failed()+q.OpenTries > 0 {
			failing++
		}
	}
	d := &Diagnosis{places: map[reason]int{}, absences: a.absences}
	for i, q := range a.all {
		q.Number, q.alone, q.shared = i+1, failing == 1, shared
		q.describe()
		d.places[q.reason] = i
		d.Problems = append(d.Problems, q.Problem)
	}
	d.Title, d.Lede = a.headline(d)
	return d
}

// describe works out what is said of a problem.
func (q *problem) describe() {
	for s := range q.targets {
		q.Targets = append(q.Targets, nameOf(s.Endpoint, s.socket))
	}
	slices.Sort(q.Targets)
	q.Targets = slices.Compact(q.Targets) // a target is there once for each analysis
	q.Servers = q.who(func(t *detect.Target) *detect.Software { return t.Server })
	q.LBs = q.who(func(t *detect.Target) *detect.Software { return t.LB })
	q.First, q.Last = q.found.span()
	if q.own {
		q.describeOwn()
		return
	}
	q.Counts = CountRules(q.rules)
	slices.SortStableFunc(q.Counts, func(a, b RuleCount) int {
		return cmp.Or(q.consequence(a.Rule)-q.consequence(b.Rule), cmp.Compare(b.Rule.Severity, a.Rule.Severity), cmp.Compare(b.N, a.N))
	})
	slices.Sort(q.Findings)
	if len(q.Counts) > 0 {
		q.Rule = q.Counts[0].Rule
	}
	if i := slices.IndexFunc(q.Counts, func(c RuleCount) bool { return c.Rule.Gone != nil }); q.reason == gone && i >= 0 {
		q.Rule = q.Counts[i].Rule // whose settings are those
	}
	q.Why, q.Fix = text.Clean(cmp.Or(q.best.cause, q.Rule.Cause)), text.Clean(cmp.Or(q.best.fix, q.Rule.Fix))
	if p := q.patience(); p != nil && p.why != "" && q.best.cause == q.Rule.Cause {
		q.Why, q.Fix = p.why, p.fix
	}
	q.Why += q.proofs.limits(q.best)
	q.Title = q.title()
	if q.reason == gone {
		q.What = q.tally() + q.goneFrom()
	} else {
		q.What = q.tally() + " " + q.sequence() + q.others() + q.aftermath()
	}
	q.lines()
	q.Timer = q.timer()
	q.Check = q.check()
	q.FixedIf = q.fixedIf()
	q.More = "connrace explain " + q.Rule.ID
}

// sequence is that of the problem's rule, in the words of HTTP/2 where all is about its streams.
func (q *problem) sequence() string {
	if q.http2 && !q.http1 && q.Rule.Streams != "" {
		return q.Rule.Streams
	}
	return q.Rule.Sequence
}

// others says, where errors of other kinds than that whose sequence is told are of the problem, how
// many findings are of which kind.
func (q *problem) others() string {
	var of []string
	all, errors := 0, false
	for _, c := range q.Counts {
		if q.consequence(c.Rule) > 0 { // told as what came after
			continue
		}
		all += c.N
		if c.Rule != q.Rule {
			of = append(of, fmt.Sprintf("%s %s", text.Grouped(uint64(c.N)), c.Rule.ID))
			errors = errors || c.Rule.Severity == detect.Error
		}
	}
	if !errors || q.Rule.Severity != detect.Error {
		return ""
	}
	return fmt.Sprintf(" That shows in %s of %s; the rest: %s.", text.Grouped(uint64(q.rules[q.Rule])), text.Plural(uint64(all), "finding"), strings.Join(of, ", "))
}

// at notes a target of the problem.
func (q *problem) at(s site) {
	if _, noted := q.targets[s]; !noted {
		q.targets[s] = len(q.targets)
	}
}

// known are the targets of the problem of which something is known, in order of their addresses. One
// that several analyses have is there as often, in theirs.
func (q *problem) known() []*detect.Target {
	if q.knownOf != len(q.targets) {
		q.knownOf, q.knownOnes = len(q.targets), knownOf(q.targets)
	}
	return slices.Clone(q.knownOnes)
}

func knownOf(targets map[site]int) (ts []*detect.Target) {
	type named struct {
		name  string
		place int
		known *detect.Target
	}
	var all []named
	for s, place := range targets {
		if s.known != nil {
			all = append(all, named{s.String(), place, s.known})
		}
	}
	slices.SortFunc(all, func(a, b named) int { return cmp.Or(strings.Compare(a.name, b.name), a.place-b.place) })
	for i := range all {
		ts = append(ts, all[i].known)
	}
	return ts
}

// sample keeps up to sampleSize values: all, or each second, fourth, eighth of them.
type sample struct {
	kept   []int64
	lo, hi int64
	n      uint64
	factor uint64 // 0: 1
}

const sampleSize = 1 << 10

func (s *sample) add(d detect.Duration) {
	if !d.Known {
		return
	}
	if s.n == 0 || d.NS < s.lo {
		s.lo = d.NS
	}
	s.hi = max(s.hi, d.NS)
	s.factor = max(s.factor, 1)
	if s.n++; s.n%s.factor != 0 {
		return
	}
	if len(s.kept) == sampleSize {
		for i := range sampleSize / 2 {
			s.kept[i] = s.kept[2*i+1]
		}
		s.kept = s.kept[:sampleSize/2]
		s.factor *= 2
		if s.n%s.factor != 0 {
			return
		}
	}
	s.kept = append(s.kept, d.NS)
}

// median is that of the values, about; 0: there is none.
func (s *sample) median() int64 {
	if len(s.kept) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(s.kept))
	return v[len(v)/2]
}

// near is how many of the kept values are as good as one of them.
func (s *sample) near(ns, slack int64) (n int) {
	for _, v := range s.kept {
		if v-slack <= ns && ns <= v+slack {
			n++
		}
	}
	return n
}
