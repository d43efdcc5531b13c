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
	for i := range targets {
		rows = append(rows, targetRow(&targets[i], found[targets[i].Target]))
	}
	t.WriteString("\n")
	if err := t.table(targetColumns, rows); err != nil {
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
	targets := slices.Clone(a.Result.Targets)
	slices.SortStableFunc(targets, func(x, y detect.Target) int {
		return cmp.Or(cmp.Compare(y.Failed(), x.Failed()), cmp.Compare(y.OpenTries, x.OpenTries), cmp.Compare(len(found[y.Target]), len(found[x.Target])),
			cmp.Compare(y.Requests, x.Requests), cmp.Compare(y.Connections, x.Connections))
	})
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
