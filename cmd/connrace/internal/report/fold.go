package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
	"connrace/tcpstate"
)

// kind is what findings have in common that a list shows as one row.
type kind struct {
	rule       *detect.Rule
	severity   detect.Severity
	confidence detect.Confidence
	lost       bool
	target     tcpstate.Endpoint
	socket     string
}

func kindOf(f *detect.Finding) kind {
	return kind{f.Rule, f.Severity, f.Confidence, f.Lost, f.Target, f.Socket}
}

// fold is a row of the list of findings: one of them, or all of a kind. What it keeps of each is
// bounded.
type fold struct {
	kind
	n           int
	example     *detect.Finding // the first of them
	first, last int64           // times
	lbs         []tcpstate.Addr
	targets     map[tcpstate.Endpoint]bool // where it is of several; else nil
	streams     []string
	request     string
	waits       [2]int64 // the shortest and the longest
	wait        string   // what kind of; "": none is known
}

// Bounds of what is kept of the findings of a kind.
const (
	mostStreams = 3
	mostHosts   = 64
)

// foldKinds are findings by their kinds, the kind with the newest finding first: of each target
// apart, or of all together.
func (t *tables) foldKinds(fs []*detect.Finding, apart bool) []*fold {
	by := map[kind]*fold{}
	var all []*fold
	for _, f := range fs {
		k := kindOf(f)
		if !apart {
			k.target, k.socket = tcpstate.Endpoint{}, ""
		}
		if x := by[k]; x != nil {
			t.add(x, f)
			continue
		}
		x := t.foldOf(f)
		by[k] = x
		all = append(all, x)
	}
	slices.SortStableFunc(all, func(a, b *fold) int { return cmp.Compare(b.last, a.last) })
	return all
}

// foldOf is a row of one finding.
func (t *tables) foldOf(f *detect.Finding) *fold {
	wait, d := waited(&f.Measures)
	x := &fold{
		kind: kindOf(f), example: f, first: f.Time, last: f.Time, request: t.request(f.Request),
		waits: [2]int64{d.NS, d.NS}, wait: wait,
	}
	t.add(x, f)
	return x
}

// add adds a finding of the kind.
func (t *tables) add(x *fold, f *detect.Finding) {
	x.n++
	x.first, x.last = min(x.first, f.Time), max(x.last, f.Time)
	if a := f.LB.Addr; f.LB != (tcpstate.Endpoint{}) && !slices.Contains(x.lbs, a) && len(x.lbs) < mostHosts {
		x.lbs = append(x.lbs, a)
	}
	if f.HasStream && len(x.streams) <= mostStreams {
		if s := streamText(f); len(x.streams) == 0 || x.streams[len(x.streams)-1] != s {
			x.streams = append(x.streams, s)
		}
	}
	if wait, d := waited(&f.Measures); wait == x.wait {
		x.waits = [2]int64{min(x.waits[0], d.NS), max(x.waits[1], d.NS)}
	} else {
		x.wait = ""
	}
	if x.request != "" { // else nothing is common to all
		x.request = common(x.request, t.request(f.Request))
	}
	if f.Target != x.target && x.targets == nil {
		x.targets = map[tcpstate.Endpoint]bool{x.target: true}
	}
	if x.targets != nil {
		x.targets[f.Target] = true
	}
}

// common is what two requests have in common, up to a slash: "GET /r/…".
func common(a, b string) string {
	if a == b {
		return a
	}
	a, b = strings.TrimSuffix(a, "…"), strings.TrimSuffix(b, "…")
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	if n = max(strings.LastIndexByte(a[:n], '/'), strings.LastIndexByte(a[:n], ' ')); n <= 0 {
		return ""
	}
	return a[:n+1] + "…"
}

// row is the fold as a row of the findings.
func (t *tables) row(a *Analysis, x *fold) []cell {
	f := x.example
	rule := cellOf(f.Rule.ID, gradeOf(f))
	rule.paint = severityPaint(f.Severity)
	wait := ""
	if x.wait != "" {
		wait = x.wait + " " + text.Short(x.waits[0])
		if longest := text.Short(x.waits[1]); !strings.HasSuffix(wait, " "+longest) {
			wait += "–" + longest
		}
	}
	if x.n == 1 {
		when := []string{t.clock.Time(f.Time)}
		if !t.clock.OneDay && f.Time != 0 {
			when = []string{t.clock.Date(f.Time), t.clock.Time(f.Time)}
		}
		return []cell{cellOf(fmt.Sprintf("#%d", a.id(f))), cellOf(append(when, wait)...), rule, cellOf(ends(f)...), cellOf(where(a, f)...), cutOf(x.request)}
	}
	lb := ""
	if len(x.lbs) == 1 {
		lb = x.lbs[0].String()
	} else if len(x.lbs) > 1 {
		lb = text.Plural(uint64(len(x.lbs)), "host")
	}
	streams := slices.Clone(x.streams)
	if len(streams) > mostStreams {
		streams = append(streams[:mostStreams], "…")
	}
	target := text.Clean(f.TargetName())
	if x.targets != nil {
		target = text.Plural(uint64(len(x.targets)), "target")
	}
	if lb != "" {
		target = "→\u00a0" + target
	}
	return []cell{
		cellOf(text.Grouped(uint64(x.n)) + " ×"), cellOf(t.clock.Second(x.first), "to "+t.clock.Second(x.last), wait), rule,
		cellOf(lb, target), cellOf(strings.Join(streams, "\u00a0")), cutOf(x.request),
	}
}
