package html

import (
	"connrace/cmd/connrace/internal/baseline"
	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/text"
)

// baselineText compares with an earlier report.
type baselineText struct {
	Path, When string
	Summary    string
	Details    []string
	Rates      []changeText
	Timers     []changeText
}

// changeText is a figure before and now.
type changeText struct{ Name, Before, Now, Change string }

func (p *page) baseline() baselineText {
	c := p.r.Baseline
	before, now := c.Runs.Before, c.Runs.After
	t := baselineText{Path: text.Clean(c.Path), Summary: text.Sentence(text.Clean(c.Summary)) + "."}
	if !before.First.IsZero() {
		t.When = before.First.In(p.Zone).Format("2006-01-02 15:04 MST")
	}
	for _, d := range c.Details {
		t.Details = append(t.Details, text.Sentence(text.Clean(d)))
	}
	t.Rates = append(t.Rates, changeText{
		"failed tries", rate(int(before.Lost), baseline.Figure(c.PerThousand.Before)), rate(int(now.Lost), baseline.Figure(c.PerThousand.After)), "",
	})
	for i := range c.Rules {
		r := &c.Rules[i]
		change := r.Kind
		if !r.Certain && r.Kind != "same" {
			change += " (perhaps by chance)"
		}
		per := report.ChangePerThousand(c, r)
		t.Rates = append(t.Rates, changeText{text.Clean(r.Rule), rate(r.Count.Before, per[0]), rate(r.Count.After, per[1]), change})
	}
	for i := range c.Timers {
		t.Timers = append(t.Timers, timerChange(&c.Timers[i]))
	}
	return t
}

// rate writes a count with its share of a thousand requests, unless that is "-".
func rate(n int, perThousand string) string {
	s := text.Grouped(uint64(max(n, 0)))
	if perThousand != "-" {
		s += " (" + perThousand + " per thousand requests)"
	}
	return s
}

func timerChange(x *baseline.Timer) changeText {
	t := changeText{Name: "idle timeout of the target", Before: "not known", Now: "not known"}
	if x.LB {
		t.Name = "idle timeout of the load balancer"
	}
	if x.Target != "" {
		t.Name += ", " + text.Clean(x.Target)
	}
	if x.Seconds.Before > 0 {
		t.Before = text.Digits(x.Seconds.Before, 4) + "\u00a0s"
	}
	if x.Seconds.After > 0 {
		t.Now = text.Digits(x.Seconds.After, 4) + "\u00a0s"
	}
	if x.Moved() {
		t.Change = "changed"
	}
	return t
}
