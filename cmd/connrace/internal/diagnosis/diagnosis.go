// Package diagnosis works out the answer: which findings are one problem, what happened,
// why, which timer is behind it, what to change and on which server. Tables, Markdown and
// HTML tell what it says; none of them works out anything of that by itself.
//
// Its texts hold a number and its unit together with a no-break space.
package diagnosis

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
	"connrace/tcpstate"
)

// Found is a finding with what is known of its target.
type Found struct {
	*detect.Finding
	Known *detect.Target // nil: nothing
}

// At is the name of its target.
func (f *Found) At() string {
	if f.Socket != "" {
		return text.Clean(f.TargetName())
	}
	return TargetName(f.Target)
}

// TargetName is what a target is called. Those beyond the bound of the detector's table
// have no address: they are counted together.
func TargetName(e tcpstate.Endpoint) string {
	if e == (tcpstate.Endpoint{}) {
		return "all others"
	}
	return e.String()
}

// Seen is what was looked at.
type Seen struct {
	Frames, Connections, Requests uint64
	detect.Tries
	Answers5xx, Undecided uint64
	Targets               []string // by name
}

// Diagnosis is the answer to what went wrong.
type Diagnosis struct {
	Title    string // how many of how many failed
	Lede     string // where, and what that means for clients
	Problems []Problem
}

// Problem is what goes wrong for one reason: all findings whose fix is the same.
type Problem struct {
	Severity detect.Severity // of the gravest finding
	Findings []Found
	Lost     int           // findings whose request, or connection, was lost
	Counts   []RuleCount   // the gravest first
	Rule     *detect.Rule  // that most of the gravest have
	Targets  []string      // by name, in order
	What     string        // what happened, and why
	Timer    Timer         // which timer is behind it
	Fix      string        // what to change
	Knobs    []detect.Knob // the settings for the software that it is likely to be
	Others   []detect.Knob // those for others

	reason string
}

// RuleCount is how many findings a rule has.
type RuleCount struct {
	Rule *detect.Rule
	N    int
}

// Text is "20 × FIN and request crossed".
func (c RuleCount) Text() string {
	return fmt.Sprintf("%s × %s", text.Grouped(uint64(c.N)), c.Rule.Title)
}

// CountRules puts counts by rule into the order in which rules decide.
func CountRules(n map[*detect.Rule]int) (counts []RuleCount) {
	for _, r := range detect.Rules {
		if n[r] > 0 {
			counts = append(counts, RuleCount{r, n[r]})
		}
	}
	return counts
}

// Of works out the answer from findings.
func Of(seen Seen, found []Found) Diagnosis {
	d := Diagnosis{Problems: problems(found)}
	d.Title, d.Lede = headline(&seen, found)
	return d
}

// problems are the findings by their reason, the worst first.
func problems(found []Found) []Problem {
	by := map[string]*Problem{}
	for _, f := range found {
		reason := reasonOf(f.Finding)
		q := by[reason]
		if q == nil {
			q = &Problem{reason: reason}
			by[reason] = q
		}
		q.Findings = append(q.Findings, f)
		q.Severity = max(q.Severity, f.Severity)
		if f.Lost {
			q.Lost++
		}
	}
	var all []Problem
	for _, q := range by {
		q.describe()
		all = append(all, *q)
	}
	slices.SortFunc(all, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(b.Lost, a.Lost),
			cmp.Compare(len(b.Findings), len(a.Findings)), cmp.Compare(a.reason, b.reason))
	})
	return all
}

// reasonOf is why the target closed, where that decides what to change, else the id of the
// rule that has the same fix.
func reasonOf(f *detect.Finding) string {
	if f.Unwatched {
		return unwatched
	}
	if c := f.Measures.CloseCause; c != "" && c != detect.CloseUnknown {
		return c
	}
	if same := f.Rule.SameFix; same != nil {
		return same.ID
	}
	return f.Rule.ID
}

// unwatched is the reason where the LB's pool does not watch its connections, whyever they were
// closed.
const unwatched = "unwatched"

// isTimer reports whether the target's keep-alive timer is the reason.
func isTimer(reason string) bool {
	c := detect.CauseOf(reason)
	return c != nil && c.KeepAlive
}

// lossWeight lets the text of one finding with a loss go before those of any number
// without.
const lossWeight = 1 << 20

// describe works out what is said of a problem.
func (q *Problem) describe() {
	type said struct{ what, fix string }
	texts, rules := map[said]int{}, map[*detect.Rule]int{}
	targets := map[string]bool{}
	var best said
	for _, f := range q.Findings {
		rules[f.Rule]++
		targets[f.At()] = true
		s, weight := said{text.Clean(f.Cause), text.Clean(f.Fix)}, 1
		if f.Lost {
			weight = lossWeight
		}
		if texts[s] += weight; texts[s] > texts[best] {
			best = s
		}
	}
	q.What, q.Fix = best.what, best.fix
	q.Targets = slices.Sorted(maps.Keys(targets))
	q.Counts = CountRules(rules)
	slices.SortStableFunc(q.Counts, func(a, b RuleCount) int {
		return cmp.Or(cmp.Compare(b.Rule.Severity, a.Rule.Severity), cmp.Compare(b.N, a.N))
	})
	q.Rule = q.Counts[0].Rule
	q.Knobs = Knobs(q.Rule, q.Findings)
	servers := q.Rule.Servers
	if c := detect.CauseOf(q.reason); c != nil && c.Knobs != nil {
		servers = c.Knobs
	}
	for _, k := range servers {
		if !slices.Contains(q.Knobs, k) {
			q.Others = append(q.Others, k)
		}
	}
	q.Timer = q.timer()
}

// Knobs are the settings of the software that the targets of findings are likely to be, of
// those that help against a rule. Only where a target's keep-alive timer is the reason, the
// timer tells: by hints such as a timeout that was announced, else by the defaults that fit
// the median of the idle times.
func Knobs(r *detect.Rule, fs []Found) (knobs []detect.Knob) {
	if len(fs) == 0 || !isTimer(reasonOf(fs[0].Finding)) {
		return nil
	}
	for _, k := range r.Servers {
		if slices.ContainsFunc(fs, func(f Found) bool {
			return f.Known != nil && f.Known.Idle != nil && strings.Contains(strings.Join(f.Known.Idle.Hint, " "), k.Software)
		}) {
			knobs = append(knobs, k)
		}
	}
	if knobs == nil {
		knobs = r.LikelyKnobs(median(fs, idle))
	}
	return knobs
}

// software names whose settings they are.
func software(knobs []detect.Knob) string {
	var names []string
	for _, k := range knobs {
		if !slices.Contains(names, k.Software) {
			names = append(names, k.Software)
		}
	}
	return strings.Join(names, ", ")
}
