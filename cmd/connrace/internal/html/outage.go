package html

import (
	"cmp"
	"slices"
	"strings"

	"connrace/cmd/connrace/internal/diagnosis"
	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

// outage is a failure that many findings show, in a line.
type outage struct {
	Grade, At, From, First, Last, What, Link string
	N                                        int
}

// mostOutages are in the page, the largest.
const mostOutages = 50

func (p *page) outages() (all []outage) {
	of := map[*report.Analysis][]*detect.Finding{}
	ids := map[*detect.Finding]int{}
	var as []*report.Analysis
	for _, f := range p.found {
		if of[f.a] == nil {
			as = append(as, f.a)
		}
		of[f.a] = append(of[f.a], f.Finding)
		ids[f.Finding] = f.id
	}
	for _, a := range as {
		for _, o := range diagnosis.Outages(of[a]) {
			var what []string
			for _, c := range o.Counts {
				what = append(what, c.Text())
			}
			from := strings.Join(o.LBs, "")
			if len(o.LBs) > 1 {
				from = text.Plural(uint64(len(o.LBs)), "host")
			}
			all = append(all, outage{
				Grade: o.Severity.String(), At: text.Clean(o.At), From: from, First: p.Stamp(o.First), Last: p.Stamp(o.Last),
				What: strings.Join(what, ", "), N: len(o.Findings), Link: linkTo(ids[o.Findings[0]]),
			})
		}
	}
	slices.SortStableFunc(all, func(a, b outage) int { return cmp.Compare(b.N, a.N) })
	return all[:min(len(all), mostOutages)]
}
