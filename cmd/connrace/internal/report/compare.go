package report

import (
	"fmt"
	"maps"
	"math"
	"slices"
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
	run.Kinds = r.failures()
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

// failures are how many findings are failures, by what they are fixed by, shown or not.
func (r *Report) failures() map[string]int {
	n := map[string]int{}
	for i := range r.Analyses {
		x := r.Analyses[i].Result
		for _, f := range x.Findings {
			if k := baseline.Kind(f.Rule.ID, f.Measures.CloseCause); k != "" && (f.Lost || f.Open) {
				n[k]++
			}
		}
		for k := range x.Forgotten {
			g := &x.Forgotten[k]
			if k := baseline.Kind(g.Rule.ID, g.CloseCause); k != "" && g.Lost {
				n[k] += int(g.Count)
			}
		}
	}
	return n
}

// failures writes them, for who compares with the report.
func (j *object) failures(r *Report) {
	n := r.failures()
	j.field("failures", counts{slices.Sorted(maps.Keys(n)), func(kind string) uint64 { return uint64(n[kind]) }})
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
	{head: "AFTER", right: true, label: "after"},
	{head: "PER THOUSAND REQUESTS", label: "per thousand requests"},
	{head: ""},
}

// comparison is the section about an earlier report.
func (t *tables) comparison() error {
	c := t.report.Baseline
	if c == nil {
		return nil
	}
	t.heading("Before and after")
	for i, l := range t.report.sides() {
		t.paragraph([]string{"  before  ", "  after   "}[i], l)
	}
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

// sides say what is compared with what: the earlier report, then this run.
func (r *Report) sides() [2]string {
	side := func(name string, run *baseline.Run) string {
		if !run.First.IsZero() {
			name += ", captured " + run.First.UTC().Format(time.DateTime+" UTC")
		}
		return fmt.Sprintf("%s: %s, %s", name, text.Plural(run.Requests, "request"), text.Plural(run.Lost, "failed try"))
	}
	var names []string
	for i := range r.Captures {
		if i == 3 {
			names = append(names, "…")
			break
		}
		names = append(names, r.Captures[i].name())
	}
	c := r.Baseline
	return [2]string{side(text.Clean(c.Path), c.Runs.Before), side("this run of "+strings.Join(names, ", "), c.Runs.After)}
}

// change says what became of a rule's findings, with a question mark where that may be
// chance.
func change(x *baseline.Change) string {
	if x.Certain || x.Kind == "same" {
		return x.Kind
	}
	return x.Kind + " (chance?)"
}

// ChangePerThousand are the findings of a rule per thousand requests, before and after; - where
// that means nothing.
func ChangePerThousand(c *baseline.Comparison, x *baseline.Change) []string {
	if x.Whole {
		return []string{"-", "-"}
	}
	rate := func(n int, requests uint64) string { return baseline.Figure(1000 * float64(n) / float64(requests)) }
	return []string{rate(x.Count.Before, c.Runs.Before.Requests), rate(x.Count.After, c.Runs.After.Requests)}
}
