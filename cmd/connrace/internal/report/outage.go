package report

import (
	"fmt"
	"slices"
	"strings"

	"connrace/cmd/connrace/internal/diagnosis"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

// item is a line of the list of findings: one of them, or an outage that stands for several.
type item struct {
	f      *detect.Finding
	outage *diagnosis.Outage // nil: f
}

// items are the lines of the list, in the order of the findings: an outage stands where its
// first finding would. With Options.Verbose its findings stand behind it.
func (t *tables) items(fs []*detect.Finding) (is []item) {
	of := map[*detect.Finding]*diagnosis.Outage{}
	for _, o := range diagnosis.Outages(fs) {
		for _, f := range o.Findings {
			of[f] = o
		}
	}
	listed := map[*diagnosis.Outage]bool{}
	for _, f := range fs {
		switch o := of[f]; {
		case o == nil:
			is = append(is, item{f: f})
		case !listed[o]:
			listed[o] = true
			is = append(is, item{outage: o})
			if t.o.Verbose {
				for _, f := range o.Findings {
					is = append(is, item{f: f})
				}
			}
		}
	}
	return is
}

// few are the items that are listed, and how many findings are in the others.
func (t *tables) few(is []item) (listed []item, left int) {
	if len(is) <= mostFindings || t.o.Verbose {
		return is, 0
	}
	for _, i := range is[mostFindings:] {
		if left++; i.outage != nil {
			left += len(i.outage.Findings) - 1
		}
	}
	return is[:mostFindings], left
}

// outageCells are an outage in the columns of the findings: when, what, how grave, between
// whom, how many.
func (t *tables) outageCells(o *diagnosis.Outage) (when, what, grade, ends []string, n string) {
	when = []string{t.clock.Stamp(o.First), "to " + t.clock.Stamp(o.Last)}
	for _, c := range o.Counts {
		what = append(what, c.Rule.ID)
	}
	words := o.Severity.String()
	if n := o.Failed(); n > 0 {
		words += fmt.Sprintf(", %s lost", text.Grouped(n))
	}
	if o.OpenTries > 0 {
		words += fmt.Sprintf(", %s open", text.Grouped(o.OpenTries))
	}
	lb := strings.Join(o.LBs, "")
	if len(o.LBs) > 1 {
		lb = text.Plural(uint64(len(o.LBs)), "host")
	}
	return when, what, []string{words}, []string{lb, "→ " + text.Clean(o.At)}, text.Grouped(uint64(len(o.Findings))) + " ×"
}

// outageRow is an outage as a row of the findings.
func (t *tables) outageRow(a *Analysis, o *diagnosis.Outage) []string {
	when, what, grade, ends, n := t.outageCells(o)
	c := findingColumns
	rule := c[2].cell(what...)
	for i := range rule {
		rule[i] = t.paint(severityPaint(o.Severity), rule[i])
	}
	cells := [][]string{
		c[0].cell(fmt.Sprint(a.id(o.Findings[0])) + "…"), c[1].cell(when...), append(rule, c[2].cell(grade...)...), c[3].cell(ends...), c[4].cell(n), nil,
	}
	row := make([]string, len(cells))
	for i := range cells {
		row[i] = strings.Join(cells[i], "\n")
	}
	return row
}

type outageDoc struct {
	ID       int      `json:"id"`
	Severity string   `json:"severity"`
	Rules    counts   `json:"rules"`
	LBs      []string `json:"lb_hosts"`
	Target   string   `json:"target"`
	Count    int      `json:"count"`
	Failed   uint64   `json:"failed_tries"`
	Open     uint64   `json:"open_tries"`
	First    stamp    `json:"first"`
	Last     stamp    `json:"last"`
	Findings []int    `json:"findings"`
}

// outages writes which of the findings that are shown are one failure.
func (j *object) outages(r *Report, o *Options) {
	j.list("outages", func(add func(any)) {
		for i := range r.Analyses {
			a := &r.Analyses[i]
			for _, x := range a.outages(o) {
				d := outageDoc{
					ID: a.id(x.Findings[0]), Severity: x.Severity.String(), LBs: x.LBs, Target: text.Clean(x.At), Count: len(x.Findings),
					Failed: x.Failed(), Open: x.OpenTries, First: stamp(x.First), Last: stamp(x.Last),
				}
				n := map[string]int{}
				for _, c := range x.Counts {
					n[c.Rule.ID] = c.N
				}
				d.Rules = counts{ruleOrder(n), func(id string) uint64 { return uint64(n[id]) }}
				for _, f := range x.Findings {
					d.Findings = append(d.Findings, a.id(f))
				}
				slices.Sort(d.Findings)
				add(d)
			}
		}
	})
}

// outages are those of the findings that are shown.
func (a *Analysis) outages(o *Options) []*diagnosis.Outage {
	var fs []*detect.Finding
	for _, f := range a.Result.Findings {
		if o.Shows(f) {
			fs = append(fs, f)
		}
	}
	return diagnosis.Outages(fs)
}
