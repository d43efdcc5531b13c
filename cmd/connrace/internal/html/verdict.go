package html

import (
	"fmt"
	"html/template"
	"strings"

	"connrace/cmd/connrace/internal/diagnosis"
	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

// verdict is the answer for somebody who has a minute: what happened, which timer, what to
// change, how to check that it helped.
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
type problem struct {
	diagnosis.Problem
	Lead, Rest string        // the first sentence of the fix, and the others
	Chips      []chip        // its findings by rule
	Race       template.HTML // the two timers as bars
	Settings   []setting     // the lines to paste
	Who        string        // which software is at both ends
	Ticket     string        // all of it as plain text; not of those told in a line
}

func problemOf(q diagnosis.Problem) problem {
	x := problem{Problem: q, Who: q.Who(), Settings: settings(&q)}
	x.Lead, x.Rest = firstSentence(q.Fix)
	for _, c := range q.Counts {
		x.Chips = append(x.Chips, chipOf(c, min(c.Rule.Severity, q.Severity)))
	}
	if q.Timer.Race != nil {
		x.Race = drawRace(q.Timer.Race)
	}
	return x
}

// chip is how many findings a rule has, and how grave they are.
type chip struct {
	diagnosis.RuleCount
	Severity detect.Severity
	Text     string
}

func chipOf(c diagnosis.RuleCount, worst detect.Severity) chip { return chip{c, worst, c.Text()} }

func firstSentence(s string) (first, rest string) {
	for i := 0; i+2 < len(s); i++ {
		if s[i] == '.' && s[i+1] == ' ' && s[i+2] >= 'A' && s[i+2] <= 'Z' {
			return s[:i+1], s[i+2:]
		}
	}
	return s, ""
}

// mostProblems are told at length, and all that cost an answer.
const mostProblems = 3

func (p *page) verdict() verdict {
	d := p.r.Diagnosis(p.o)
	v := verdict{Title: d.Title, Lede: d.Lede, Notes: len(p.r.Notes())}
	worst := detect.Info
	for i, q := range d.Problems {
		worst = max(worst, q.Severity)
		v.Grade = worst.String()
		if lost := q.Failed()+q.OpenTries > 0; lost || i == 0 || i < mostProblems && (q.Severity > detect.Info || q.Rule == nil) {
			x := problemOf(q)
			x.Ticket = p.ticket(d, &q)
			v.Problems = append(v.Problems, x)
		} else {
			v.More = append(v.More, problemOf(q))
		}
	}
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

// ticket is a problem as plain text, for those who have not got the page.
func (p *page) ticket(d *diagnosis.Diagnosis, q *diagnosis.Problem) string {
	return strings.TrimSpace(fmt.Sprintf("%s\n%s  %s", d.Title, p.names(), p.period())) + "\n\n" + report.Told(q)
}

// setting is a line to paste.
type setting struct {
	diagnosis.Line
	Box string // where it belongs; "": where the one before does
}

// settings are the lines to paste.
func settings(q *diagnosis.Problem) (all []setting) {
	box := ""
	for i := range q.Lines {
		x := setting{Line: q.Lines[i], Box: q.Box(&q.Lines[i])}
		if x.Box == box {
			x.Box = ""
		} else {
			box = x.Box
			x.Box = text.Sentence(box)
		}
		all = append(all, x)
	}
	return all
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
