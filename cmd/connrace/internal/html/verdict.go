package html

import (
	"fmt"
	"html/template"

	"connrace/cmd/connrace/internal/diagnosis"
	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
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

// problem is one of the diagnosis, as it is shown.
type problem struct{ diagnosis.Problem }

// Lead is the first sentence of the fix, Rest the others.
func (q problem) Lead() string { lead, _ := firstSentence(q.Fix); return lead }

// Rest is what Lead leaves.
func (q problem) Rest() string { _, rest := firstSentence(q.Fix); return rest }

// Race draws the two timers as bars.
func (q problem) Race() template.HTML {
	if q.Timer.Race == nil {
		return ""
	}
	return drawRace(q.Timer.Race)
}

func firstSentence(s string) (first, rest string) {
	for i := 0; i+2 < len(s); i++ {
		if s[i] == '.' && s[i+1] == ' ' && s[i+2] >= 'A' && s[i+2] <= 'Z' {
			return s[:i+1], s[i+2:]
		}
	}
	return s, ""
}

const mostProblems = 3 // that are told at length

func (p *page) verdict() verdict {
	d := p.r.Diagnosis(p.o)
	v := verdict{Title: d.Title, Lede: d.Lede, Notes: len(p.r.Notes())}
	var all []problem
	for _, q := range d.Problems {
		all = append(all, problem{q})
	}
	if len(all) > 0 {
		v.Grade = all[0].Severity.String()
	}
	n := min(len(all), mostProblems)
	for n > 1 && all[n-1].Severity == detect.Info {
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
