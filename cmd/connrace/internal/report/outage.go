package report

import (
	"slices"

	"connrace/cmd/connrace/internal/diagnosis"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

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
				d.Findings = make([]int, 0, len(x.Findings))
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
	fs := make([]*detect.Finding, 0, len(a.Result.Findings))
	for _, f := range a.Result.Findings {
		if o.Shows(f) {
			fs = append(fs, f)
		}
	}
	return diagnosis.Outages(fs)
}
