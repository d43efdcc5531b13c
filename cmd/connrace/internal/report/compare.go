package report

import (
	"math"
	"strings"
	"time"

	"connrace/cmd/connrace/internal/baseline"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

// Figures are those that are compared with an earlier report's.
func (r *Report) Figures() *baseline.Run {
	t := r.Totals()
	run := &baseline.Run{Requests: t.Requests, Lost: t.Failed(), Open: t.OpenTries, Findings: t.Findings}
	for _, at := range r.Times() {
		x := time.Unix(0, at).UTC()
		if run.First.IsZero() || x.Before(run.First) {
			run.First = x
		}
		if x.After(run.Last) {
			run.Last = x
		}
	}
	run.Kinds = map[string]int{}
	for i := range r.Analyses {
		for _, f := range r.Analyses[i].Result.Findings {
			if f.Lost || f.Open {
				run.Kinds[baseline.Kind(f.Rule.ID, f.Measures.CloseCause)]++
			}
		}
	}
	timeout := func(t *detect.Timeout) float64 {
		if t == nil {
			return 0
		}
		return float64(t.NS) / 1e9
	}
	for i := range r.Analyses {
		for k := range r.Analyses[i].Result.Targets {
			x := &r.Analyses[i].Result.Targets[k]
			run.Targets = append(run.Targets, baseline.Target{
				Target: x.Target.String(), Requests: x.Requests, Lost: x.Failed(), Idle: timeout(x.Idle), LBIdle: timeout(x.LBIdle),
				Longest: float64(x.LongestReuse.NS) / 1e9, Reuses: x.Reuses,
			})
		}
	}
	return run
}

type pairDoc struct {
	Before any `json:"before"`
	After  any `json:"after"`
}

type baselineDoc struct {
	Path        string     `json:"path"`
	Captured    spanDoc    `json:"captured"`
	Requests    pairDoc    `json:"requests"`
	Lost        pairDoc    `json:"lost_requests"`
	PerThousand pairDoc    `json:"lost_per_thousand"`
	Expected    any        `json:"expected_lost"`
	P           any        `json:"p_value"`
	Verdict     string     `json:"verdict"`
	Answer      optional   `json:"answer"`
	Summary     string     `json:"summary"`
	Details     []string   `json:"details"`
	Rules       []ruleDoc  `json:"rules"`
	Timers      []timerDoc `json:"timers"`
}

type spanDoc struct {
	First stamp `json:"first"`
	Last  stamp `json:"last"`
}

type ruleDoc struct {
	Rule    string `json:"rule"`
	Before  int    `json:"before"`
	After   int    `json:"after"`
	Change  string `json:"change"`
	Certain bool   `json:"certain"`
}

type timerDoc struct {
	Target optional `json:"target"`
	Side   string   `json:"side"`
	Before any      `json:"before_seconds"`
	After  any      `json:"after_seconds"`
}

// real is a number for JSON, which has no NaN and no infinity.
func real(v float64) any {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return v
}

func known(v float64) any {
	if v == 0 {
		return nil
	}
	return real(v)
}

func when(t time.Time) stamp {
	if t.IsZero() || t.Year() < 1970 || t.Year() > 2261 {
		return 0
	}
	return stamp(t.UnixNano())
}

func baselineJSON(c *baseline.Comparison) baselineDoc {
	b, a := c.Runs.Before, c.Runs.After
	d := baselineDoc{
		Path: text.Clean(c.Path), Captured: spanDoc{when(b.First), when(b.Last)},
		Requests: pairDoc{b.Requests, a.Requests}, Lost: pairDoc{b.Lost, a.Lost},
		PerThousand: pairDoc{real(c.PerThousand.Before), real(c.PerThousand.After)}, Expected: real(c.Expected), P: real(c.P),
		Verdict: c.Verdict.String(), Answer: optional(c.Answer), Summary: text.Clean(c.Summary), Details: clean(c.Details), Rules: []ruleDoc{}, Timers: []timerDoc{},
	}
	for _, r := range c.Rules {
		d.Rules = append(d.Rules, ruleDoc{text.Clean(r.Rule), r.Count.Before, r.Count.After, r.Kind, r.Certain})
	}
	for _, t := range c.Timers {
		d.Timers = append(d.Timers, timerDoc{optional(t.Target), sideName(t.LB), known(t.Seconds.Before), known(t.Seconds.After)})
	}
	return d
}

func sideName(lb bool) string {
	if lb {
		return "lb"
	}
	return "target"
}

func (j *object) baseline(r *Report) {
	if r.Baseline != nil {
		j.field("baseline", baselineJSON(r.Baseline))
	}
}

var changeColumns = []column{
	{head: "RULE"},
	{head: "BEFORE", right: true, label: "before"},
	{head: "NOW", right: true, label: "now"},
	{head: "PER THOUSAND REQUESTS", label: "per thousand requests"},
	{head: ""},
}

// comparison is the section about an earlier report.
func (t *tables) comparison() error {
	c := t.report.Baseline
	if c == nil {
		return nil
	}
	t.heading("Compared with " + text.Clean(c.Path) + capturedWhen(c))
	t.paragraph("  ", text.Clean(c.Summary)+".")
	for _, d := range c.Details {
		t.paragraph("  ", text.Clean(d))
	}
	if len(c.Rules) == 0 {
		return nil
	}
	var rows [][]cell
	for i := range c.Rules {
		x := &c.Rules[i]
		row := []cell{
			cellOf(text.Clean(x.Rule)), cellOf(text.Grouped(uint64(x.Count.Before))), cellOf(text.Grouped(uint64(x.Count.After))),
			cellOf(strings.Join(ChangePerThousand(c, x), " → ")), cellOf(change(x)),
		}
		rows = append(rows, row)
	}
	t.WriteString("\n")
	return t.table(changeColumns, rows)
}

func capturedWhen(c *baseline.Comparison) string {
	if c.Runs.Before.First.IsZero() {
		return ""
	}
	return " of " + c.Runs.Before.First.UTC().Format("2006-01-02 15:04 UTC")
}

// change says what became of a rule's findings, with a question mark where that may be
// chance.
func change(x *baseline.Change) string {
	if x.Certain || x.Kind == "same" {
		return x.Kind
	}
	return x.Kind + " (chance?)"
}

// ChangePerThousand are the findings of a rule per thousand requests, before and now; - where
// that means nothing.
func ChangePerThousand(c *baseline.Comparison, x *baseline.Change) []string {
	if x.Whole {
		return []string{"-", "-"}
	}
	rate := func(n int, requests uint64) string { return baseline.Figure(1000 * float64(n) / float64(requests)) }
	return []string{rate(x.Count.Before, c.Runs.Before.Requests), rate(x.Count.After, c.Runs.After.Requests)}
}
