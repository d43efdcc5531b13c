package html

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"
	"strings"

	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
	"connrace/tcpstate"
)

// verdict is the answer for somebody who has a minute: what happened, which timer, what to
// change.
type verdict struct {
	Title    string
	Grade    string // severity of the worst; "" without findings
	Lede     string
	Problems []problem
	More     []problem // told in a line each
	Hidden   string    // what is not shown
	Baseline string    // what became of it since an earlier report
	Log      string    // how far the load balancer's log is explained
	Notes    int       // of what may have hidden something
}

// problem is what goes wrong for one reason: all findings whose fix is the same.
type problem struct {
	Grade  string
	Counts []ruleCount
	Where  string
	What   string
	Timer  timerText
	Fix    string
	Knobs  []detect.Knob // for the software that it is likely to be
	Others []detect.Knob // for others
	Rule   *detect.Rule  // that most of its findings have

	found  []*found
	lost   int
	worst  detect.Severity
	reason string // a close cause, or a rule
}

// Lead is the first sentence of the fix, Rest the others.
func (q *problem) Lead() string { lead, _ := firstSentence(q.Fix); return lead }

// Rest is what Lead leaves.
func (q *problem) Rest() string { _, rest := firstSentence(q.Fix); return rest }

func firstSentence(s string) (first, rest string) {
	for i := 0; i+2 < len(s); i++ {
		if s[i] == '.' && s[i+1] == ' ' && s[i+2] >= 'A' && s[i+2] <= 'Z' {
			return s[:i+1], s[i+2:]
		}
	}
	return s, ""
}

// ruleCount is how many findings a rule has.
type ruleCount struct {
	Rule *detect.Rule
	N    int
}

// Text is "20 × FIN and request crossed".
func (c ruleCount) Text() string {
	return fmt.Sprintf("%s × %s", text.Grouped(uint64(c.N)), c.Rule.Title)
}

// timerText says which timer it is, or that it is none.
type timerText struct {
	Head  string
	Lines []string
	Race  template.HTML // the two timers as bars; may be empty
}

const mostProblems = 3 // that are told at length

func (p *page) verdict() verdict {
	x := p.r.Totals()
	all := p.problems()
	v := verdict{Notes: len(p.r.Notes())}
	v.Title, v.Lede = p.title(&x, all)
	if len(all) > 0 {
		v.Grade = all[0].Grade
	}
	n := min(len(all), mostProblems)
	for n > 1 && all[n-1].worst == detect.Info {
		n-- // harmless beside others
	}
	v.Problems, v.More = all[:n], all[n:]
	v.Hidden = p.hidden()
	if b := p.r.Baseline; b != nil {
		v.Baseline = text.Sentence(text.Clean(b.Summary)) + "."
	}
	if p.r.Log != nil {
		v.Log = report.LogSummary(p.r.Log)
	}
	if p.r.Since != "" {
		v.Hidden += " Only findings since " + text.Clean(p.r.Since) + "."
	}
	if p.r.Until != "" {
		v.Hidden += " Only findings until " + text.Clean(p.r.Until) + "."
	}
	return v
}

// hidden says how many findings are not in the page.
func (p *page) hidden() (s string) {
	kept, forgotten := 0, uint64(0)
	for i := range p.r.Analyses {
		kept += len(p.r.Analyses[i].Result.Findings)
		for _, g := range p.r.Analyses[i].Result.Forgotten {
			forgotten += g.Count
		}
	}
	if n := kept - len(p.found); n > 0 {
		s = fmt.Sprintf("%s not shown (--rule, --severity).", text.Plural(uint64(n), "finding"))
	}
	if forgotten > 0 {
		s += fmt.Sprintf(" %s more only counted.", text.Plural(forgotten, "finding"))
	}
	return s
}

// title is the headline and the sentence below it.
func (p *page) title(x *report.Totals, all []problem) (title, lede string) {
	looked := fmt.Sprintf("%s, %s to %s, %s", text.Plural(x.Frames, "frame"), text.Plural(x.Flows, "connection"),
		strings.TrimPrefix(p.to(), "its target "), text.Plural(x.Requests, "request"))
	noConnection, late := 0, 0
	worst := detect.Info
	for _, f := range p.found {
		worst = max(worst, f.Severity)
		if f.Lost && f.Request == nil {
			noConnection++
		} else if f.Measures.Delay.Known {
			late++
		}
	}
	came := ""
	if late > 0 {
		came = fmt.Sprintf(" %s came late.", text.Plural(uint64(late), "connection"))
	}
	const client = " Unless the load balancer tried again, its client saw a 502, 503 or 504 for each."
	switch {
	case x.LostRequests > 0:
		title = fmt.Sprintf("%s of %s got no answer", text.Grouped(x.LostRequests), text.Plural(x.Requests, "request"))
		if noConnection > 0 {
			title += fmt.Sprintf(", and %s failed", text.Plural(uint64(noConnection), "connection"))
		}
		return title, "Between the load balancer and " + p.to() + "." + client + came
	case noConnection > 0:
		return text.Plural(uint64(noConnection), "connection") + " could not be set up",
			"The load balancer could not connect to " + p.to() + "." + client + came
	case len(all) == 0:
		return "Nothing found", "0 findings in " + looked + "."
	case worst == detect.Info:
		return "No request was lost", "Only harmless things were found in " + looked + "."
	}
	return "No request was lost, but something is wrong", "In " + looked + "." + came
}

// to names the target if there is only one.
func (p *page) to() string {
	names := map[string]bool{}
	for i := range p.r.Analyses {
		for k := range p.r.Analyses[i].Result.Targets {
			names[endpoint(p.r.Analyses[i].Result.Targets[k].Target)] = true
		}
	}
	if len(names) == 1 {
		return "its target " + sorted(names)[0]
	}
	return text.Plural(uint64(len(names)), "target")
}

func endpoint(e tcpstate.Endpoint) string {
	if e == (tcpstate.Endpoint{}) {
		return "all others"
	}
	return e.String()
}

// problems are the findings by their reason, the worst first.
func (p *page) problems() []problem {
	by := map[string]*problem{}
	for _, f := range p.found {
		reason := reasonOf(f.Finding)
		q := by[reason]
		if q == nil {
			q = &problem{reason: reason}
			by[reason] = q
		}
		q.found = append(q.found, f)
		q.worst = max(q.worst, f.Severity)
		if f.Lost {
			q.lost++
		}
	}
	var all []problem
	for _, q := range by {
		p.describe(q)
		all = append(all, *q)
	}
	slices.SortFunc(all, func(a, b problem) int {
		return cmp.Or(cmp.Compare(b.worst, a.worst), cmp.Compare(b.lost, a.lost),
			cmp.Compare(len(b.found), len(a.found)), cmp.Compare(a.reason, b.reason))
	})
	return all
}

// reasonOf is why the target closed, where that decides what to change, else the rule.
func reasonOf(f *detect.Finding) string {
	switch c := f.Measures.CloseCause; c {
	case detect.CloseIdleTimeout, detect.CloseMass, detect.CloseOverdueBatch, detect.CloseAfterResponse:
		return c
	}
	if f.Rule == detect.AcceptQueueOverflow {
		return detect.SYNDropped.ID // one queue, one fix
	}
	return f.Rule.ID
}

// describe fills in what a problem shows.
func (p *page) describe(q *problem) {
	q.Grade = q.worst.String()
	type line struct{ cause, fix string }
	texts, rules := map[line]int{}, map[*detect.Rule]int{}
	targets := map[string]bool{}
	var best line
	for _, f := range q.found {
		rules[f.Rule]++
		targets[f.at()] = true
		t, weight := line{text.Clean(f.Cause), text.Clean(f.Fix)}, 1
		if f.Lost {
			weight = 1 << 20 // the summary of a loss before that of a warning
		}
		if texts[t] += weight; texts[t] > texts[best] {
			best = t
		}
	}
	q.What, q.Fix = best.cause, best.fix
	for _, r := range detect.Rules {
		if rules[r] > 0 {
			q.Counts = append(q.Counts, ruleCount{r, rules[r]})
		}
	}
	slices.SortStableFunc(q.Counts, func(a, b ruleCount) int {
		return cmp.Or(cmp.Compare(b.Rule.Severity, a.Rule.Severity), cmp.Compare(b.N, a.N))
	})
	q.Rule = q.Counts[0].Rule
	if names := sorted(targets); len(names) > 3 {
		q.Where = text.Plural(uint64(len(names)), "target")
	} else {
		q.Where = strings.Join(names, ", ")
	}
	q.Timer = timerOf(q)
	if isTimer(q.reason) {
		q.Knobs = likelyKnobs(q)
	}
	for _, k := range q.Rule.Servers {
		if !slices.Contains(q.Knobs, k) {
			q.Others = append(q.Others, k)
		}
	}
}

// isTimer reports whether the target's keep-alive timer is the reason.
func isTimer(reason string) bool {
	return reason == detect.CloseIdleTimeout || reason == detect.CloseOverdueBatch
}
