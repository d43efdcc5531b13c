package report

import (
	"connrace/cmd/connrace/internal/diagnosis"
	"connrace/cmd/connrace/internal/text"
)

type problemDoc struct {
	Number   int      `json:"number"`
	Title    string   `json:"title"`
	Severity string   `json:"severity"`
	Failed   uint64   `json:"failed_tries"`
	Open     uint64   `json:"open_tries"`
	Count    uint64   `json:"count"`
	First    stamp    `json:"first"`
	Last     stamp    `json:"last"`
	Rules    counts   `json:"rules"`
	Targets  []string `json:"targets"`
	What     string   `json:"what"`
	Why      string   `json:"why"`
	Software sidesDoc `json:"software"`
	Timers   []string `json:"timers"`
	Change   string   `json:"change"`
	Fix      []fixDoc `json:"fix"`
	Check    []string `json:"check"`
	FixedIf  optional `json:"fixed_if"`
	Findings []int    `json:"findings"`
	More     string   `json:"more"`
}

type fixDoc struct {
	Software string   `json:"software"`
	Side     string   `json:"side"`
	Likely   bool     `json:"likely"`
	Line     string   `json:"line"`
	Note     optional `json:"note"`
}

// whoDoc is who is at both ends, as far as it shows.
type whoDoc struct {
	Server *softwareDoc `json:"server"`
	LB     *softwareDoc `json:"lb"`
}

// sidesDoc is whoDoc of several targets.
type sidesDoc struct {
	whoDoc
	Servers []sideDoc `json:"servers"`
	LBs     []sideDoc `json:"lbs"`
}

type sideDoc struct {
	softwareDoc
	Targets []string `json:"targets"`
}

func sidesJSON(q *diagnosis.Problem) sidesDoc {
	of := func(all []diagnosis.Software) []sideDoc {
		docs := []sideDoc{}
		for _, s := range all {
			docs = append(docs, sideDoc{*softwareJSON(s.Software), s.Targets})
		}
		return docs
	}
	one := func(all []diagnosis.Software) *softwareDoc { return softwareJSON(diagnosis.Only(all)) }
	return sidesDoc{whoDoc{one(q.Servers), one(q.LBs)}, of(q.Servers), of(q.LBs)}
}

// problems writes the answer: what goes wrong, the worst first.
func (j *object) problems(d *diagnosis.Diagnosis) {
	j.list("problems", func(add func(any)) {
		for i := range d.Problems {
			add(problemJSON(&d.Problems[i]))
		}
	})
}

func problemJSON(q *diagnosis.Problem) problemDoc {
	n := map[string]int{}
	for _, c := range q.Counts {
		n[c.Rule.ID] = c.N
	}
	d := problemDoc{
		Number: q.Number, Title: q.Title, Severity: q.Severity.String(), Failed: q.Failed(), Open: q.OpenTries, Count: q.Count,
		First: stamp(q.First), Last: stamp(q.Last), Rules: counts{ruleOrder(n), func(id string) uint64 { return uint64(n[id]) }},
		Targets: q.Targets, What: text.Plain(q.What), Why: q.Why, Software: sidesJSON(q), Timers: []string{text.Plain(q.Timer.Head)}, Change: q.Fix, Fix: []fixDoc{},
		Check: []string{}, FixedIf: optional(text.Plain(q.FixedIf)), Findings: list(q.Findings), More: q.More,
	}
	for _, l := range q.Timer.Lines {
		d.Timers = append(d.Timers, text.Plain(l))
	}
	for _, c := range q.Check {
		d.Check = append(d.Check, c.String())
	}
	for _, l := range q.Lines {
		d.Fix = append(d.Fix, fixDoc{l.Software, sideName(l.LB), l.Likely, l.Line, optional(l.Note)})
		if l.Both {
			d.Fix = append(d.Fix, fixDoc{l.Software, sideName(!l.LB), l.Likely, l.Line, optional(l.Note)})
		}
	}
	return d
}
