package html

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"
	"strings"

	"connrace/cmd/connrace/internal/diagnosis"
	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

// cards are the targets, those with losses first: some as cards, more in a table.
type cards struct {
	Cards []card
	Table []card
	Left  int // that are only counted
}

// How many targets are shown.
const (
	mostCards = 12
	mostRows  = 200
)

// card is a target.
type card struct {
	Name      string
	From      string // its LBs
	Capture   string // where there are several analyses
	Lost      string // failed tries; "" for none
	Counts    []chip
	Facts     []fact
	Idle, LB  timerFact
	Wrong     bool // the target closes first
	Histogram template.HTML
	Advice    []string

	t *detect.Target
}

// fact is a figure with its name.
type fact struct{ Name, Value, Note string }

// timerFact is an idle timeout and where it is known from.
type timerFact struct {
	Value string // "" where it is not known
	Notes []string
}

func (p *page) cards() cards {
	counts, worst := map[*detect.Target]map[*detect.Rule]int{}, map[*detect.Target]map[*detect.Rule]detect.Severity{}
	for _, f := range p.found {
		if f.Known == nil {
			continue
		}
		if counts[f.Known] == nil {
			counts[f.Known], worst[f.Known] = map[*detect.Rule]int{}, map[*detect.Rule]detect.Severity{}
		}
		counts[f.Known][f.Rule]++
		worst[f.Known][f.Rule] = max(worst[f.Known][f.Rule], f.Severity)
	}
	var all []card
	for i := range p.r.Analyses {
		a := &p.r.Analyses[i]
		for k := range a.Result.Targets {
			t := &a.Result.Targets[k]
			var cs []chip
			for _, c := range diagnosis.CountRules(counts[t]) {
				cs = append(cs, chipOf(c, worst[t][c.Rule]))
			}
			all = append(all, p.card(a, t, cs))
		}
	}
	slices.SortStableFunc(all, func(a, b card) int {
		return cmp.Or(cmp.Compare(b.t.Failed(), a.t.Failed()), cmp.Compare(b.t.OpenTries, a.t.OpenTries), cmp.Compare(grade(b.Counts), grade(a.Counts)),
			cmp.Compare(len(b.Counts), len(a.Counts)), cmp.Compare(b.t.Requests, a.t.Requests), cmp.Compare(b.t.Connections, a.t.Connections))
	})
	var c cards
	n := min(len(all), mostCards)
	c.Cards, all = all[:n], all[n:]
	for i := range c.Cards {
		c.Cards[i].Histogram = histogram(c.Cards[i].t)
	}
	n = min(len(all), mostRows)
	c.Table, c.Left = all[:n], len(all)-n
	return c
}

// grade orders targets by their gravest finding.
func grade(counts []chip) int {
	worst := -1
	for _, c := range counts {
		worst = max(worst, int(c.Severity))
	}
	return worst
}

func (p *page) card(a *report.Analysis, t *detect.Target, counts []chip) card {
	c := card{Name: diagnosis.TargetName(t.Target), t: t, Counts: counts, Idle: timerFactOf(t.Idle), LB: timerFactOf(t.LBIdle)}
	if n := t.Failed(); n > 0 {
		c.Lost = text.Grouped(n)
	}
	for _, s := range t.Advice {
		c.Advice = append(c.Advice, text.Sentence(text.Clean(s)))
	}
	var lbs []string
	for i, lb := range t.LBs {
		if i == 4 {
			lbs = append(lbs, fmt.Sprintf("%d more", len(t.LBs)-i))
			break
		}
		lbs = append(lbs, lb.String())
	}
	c.From = strings.Join(lbs, ", ")
	if len(p.r.Analyses) > 1 {
		c.Capture = p.fileNames(a)
	}
	c.Wrong = t.Idle != nil && (t.LBIdle == nil || t.LBIdle.NS >= t.Idle.NS) && slices.ContainsFunc(c.Counts, func(n chip) bool { return n.Rule.About == detect.AboutTarget })
	c.facts(races(a.Result, t))
	return c
}

// races is how many requests met the target's close of an idle connection.
func races(res *detect.Result, t *detect.Target) (n uint64) {
	for _, f := range res.Findings {
		if f.Rule.Race && f.Target == t.Target {
			n++
		}
	}
	for _, g := range res.Forgotten {
		if g.Rule.Race && g.Target == t.Target {
			n += g.Count
		}
	}
	return n
}

// fileNames are the files of an analysis.
func (p *page) fileNames(a *report.Analysis) string {
	var names []string
	for i, k := range a.Captures {
		if i == 3 {
			names = append(names, fmt.Sprintf("%d more", len(a.Captures)-i))
			break
		}
		names = append(names, p.r.NameOf(k))
	}
	return strings.Join(names, ", ")
}

func timerFactOf(t *detect.Timeout) timerFact {
	if t == nil {
		return timerFact{}
	}
	notes := []string{fmt.Sprintf("from %s, at most %s apart", text.Plural(uint64(t.Samples), "close"), text.Span(t.SpreadNS))}
	if t.Advertised.Known {
		notes = append(notes, "announced: Keep-Alive: timeout="+diagnosis.Announced(t))
	}
	return timerFact{text.Short(t.NS), append(notes, t.Hint...)}
}

// facts are the figures of a target that say something; races is how many requests met its
// close of an idle connection.
func (c *card) facts(races uint64) {
	t := c.t
	add := func(name, value, note string) { c.Facts = append(c.Facts, fact{name, value, note}) }
	count := func(name string, n uint64, note string) {
		if n > 0 {
			add(name, text.Grouped(n), note)
		}
	}
	add("Connections", text.Grouped(t.Connections), "")
	add("Requests", text.Grouped(t.Requests), "")
	if t.RTTMedian.Known {
		note := ""
		if t.RTTP99.Known {
			note = "99 % within " + text.Short(t.RTTP99.NS)
		}
		add("Round trip", text.Short(t.RTTMedian.NS), note)
	}
	switch t.Vantage {
	case "target", "lb", "between":
		add("Captured", map[string]string{"target": "at the target", "lb": "at the load balancer", "between": "in between"}[t.Vantage], "")
	}
	if t.LongestReuse.Known {
		add("Longest idle reuse", text.Short(t.LongestReuse.NS), "a request was still answered after it")
	}
	count("Near misses", t.NearMisses, "requests answered less than 100 ms before the target's timer")
	if races > 0 && t.Requests > 0 {
		add("Crossings measured", perMillion(1e6*float64(races)/float64(t.Requests)),
			fmt.Sprintf("in a million requests: %s of %s", text.Grouped(races), text.Grouped(t.Requests)))
	}
	if t.HasExposure {
		add("Crossings expected", perMillion(t.Exposure), "in a million requests, by the times between them")
	}
	h := &t.Handshakes
	count("Refused", h.Refused, "connections")
	count("Never answered", h.Unanswered, "connections")
	count("Not answered yet", h.Pending, "connections, when the capture ended")
	count("SYNs sent again", h.SYNRetransmissions, "")
	count("Waiting at once", h.MaxWaiting, "requests without an answer, at most")
}

func perMillion(v float64) string {
	if v >= 1000 {
		return text.Grouped(uint64(v))
	}
	return text.Digits(v, 3)
}
