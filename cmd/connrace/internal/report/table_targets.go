package report

import (
	"cmp"
	"fmt"
	"slices"

	"connrace/cmd/connrace/internal/diagnosis"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
	"connrace/tcpstate"
)

var targetColumns = []column{
	{head: "TARGET"},
	{head: "CONNECTIONS", right: true, label: "connections"},
	{head: "REQUESTS", right: true, label: "requests"},
	{head: "FAILED", right: true, label: "failed"},
	{head: "IDLE\nTIMEOUT", right: true, label: "idle timeout", into: 5},
	{head: "FINDINGS"},
}

// serverErrors is the column of answers that say 5xx, where there are any: they are no failures of a
// connection, but a target that fails so is not healthy.
var serverErrors = column{head: "5XX", right: true, label: "answers 5xx"}

// answer5xx reports whether there are such answers.
func answer5xx(targets []detect.Target) bool {
	return slices.ContainsFunc(targets, func(x detect.Target) bool { return x.Answers5xx > 0 })
}

// with is a row with a cell more, before the i-th.
func with[T any](row []T, i int, more T) []T { return slices.Insert(slices.Clone(row), i, more) }

// targets are the figures of each target, the ones with the gravest findings first.
func (t *tables) targets(a *Analysis) error {
	if len(a.Result.Targets) == 0 {
		return nil
	}
	targets, found := ranked(a)
	left := 0
	if len(targets) > mostTargets && !t.o.Verbose {
		left = len(targets) - mostTargets
		targets = targets[:mostTargets]
	}
	var rows [][]cell
	columns, errors := targetColumns, answer5xx(targets)
	if errors {
		columns = with(columns, 4, serverErrors)
		columns[5].into++
	}
	for i := range targets {
		row := targetRow(&targets[i], found[targets[i].Target])
		if errors {
			row = with(row, 4, cellOf(text.Grouped(targets[i].Answers5xx)))
		}
		rows = append(rows, row)
	}
	t.WriteString("\n")
	if err := t.table(columns, rows); err != nil {
		return err
	}
	if left > 0 {
		t.paragraph("", fmt.Sprintf("… and %s (-v lists all)", text.Plural(uint64(left), "target")))
	}
	for i := range targets {
		if found[targets[i].Target] != nil {
			continue // the problems say it
		}
		for _, advice := range targets[i].Advice {
			t.paragraph("  "+targets[i].Target.String()+"  ", text.Clean(advice))
		}
	}
	return nil
}

// ranked are the targets, the ones with the gravest findings first, and how many findings
// of each rule each has.
func ranked(a *Analysis) ([]detect.Target, map[tcpstate.Endpoint]map[string]int) {
	found := map[tcpstate.Endpoint]map[string]int{}
	for _, f := range a.Result.Findings {
		if found[f.Target] == nil {
			found[f.Target] = map[string]int{}
		}
		found[f.Target][f.Rule.ID]++
	}
	for _, g := range a.Result.Forgotten {
		if found[g.Target] == nil {
			found[g.Target] = map[string]int{}
		}
		found[g.Target][g.Rule.ID] += int(g.Count)
	}
	type rank struct { // targets are large: what they are sorted by is in their place
		failed, open, kinds, requests, connections uint64
		place                                      int
	}
	ranks := make([]rank, len(a.Result.Targets))
	for i := range ranks {
		t := &a.Result.Targets[i]
		ranks[i] = rank{t.Failed(), t.OpenTries, uint64(len(found[t.Target])), t.Requests, t.Connections, i}
	}
	slices.SortFunc(ranks, func(x, y rank) int {
		return cmp.Or(cmp.Compare(y.failed, x.failed), cmp.Compare(y.open, x.open), cmp.Compare(y.kinds, x.kinds),
			cmp.Compare(y.requests, x.requests), cmp.Compare(y.connections, x.connections), cmp.Compare(x.place, y.place))
	})
	targets := make([]detect.Target, len(ranks))
	for i := range ranks {
		targets[i] = a.Result.Targets[ranks[i].place]
	}
	return targets, found
}

// targetFigures are a target's name, idle timeout and findings as they are shown.
func targetFigures(x *detect.Target, found map[string]int) (name, timeout string, kinds []string) {
	name = diagnosis.TargetName(x.Target)
	timeout = "-"
	if x.Idle != nil && x.Idle.Samples > 0 {
		timeout = text.Short(x.Idle.NS)
	}
	for _, id := range ruleOrder(found) {
		kinds = append(kinds, fmt.Sprintf("%s\u00a0%s", text.Grouped(uint64(found[id])), id))
	}
	if len(kinds) == 0 {
		kinds = []string{"-"}
	}
	return name, timeout, kinds
}

func targetRow(x *detect.Target, found map[string]int) []cell {
	name, timeout, kinds := targetFigures(x, found)
	return []cell{
		cellOf(name), cellOf(text.Grouped(x.Connections)), cellOf(text.Grouped(x.Requests)), cellOf(text.Grouped(x.Failed())), cellOf(timeout), cellOf(kinds...),
	}
}
