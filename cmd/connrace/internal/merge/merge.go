// Package merge makes one report of many: those of several hosts, or days. It reads the documents
// that package report has written as JSON, and makes findings and figures of them again; the answer
// to them is worked out anew.
package merge

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"connrace/cmd/connrace/internal/baseline"
	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
	"connrace/tcpstate"
)

// Bounds of what is kept of all reports together. Of findings beyond, the first of which are kept,
// only their number is, as live does it; captures and targets beyond are counted with others.
const (
	mostFindings = 20_000
	mostCaptures = 4096
	mostTargets  = 1 << 15
	mostGroups   = 1 << 14
	mostLBs      = 64
	mostAdvice   = 8
	mostNot      = 8
	mostNamed    = 3   // targets that a note names
	mostOwn      = 256 // parts of reports with targets of their own
	mostOwnKinds = 256 // groups of each of them
)

// Merger gathers reports.
type Merger struct {
	r      *report.Report
	all    part            // what the reports have together
	own    []*part         // of reports with targets that are not the other reports'
	homes  homes           // whose targets are
	shared map[string]bool // private addresses that reports have together, by name
	read   int             // reports
	more   int             // captures beyond the bound
	kept   int             // findings
	told   int             // targets
	most   int             // findings to keep
}

// part are findings and figures that are told of together: one analysis of the report that is made.
type part struct {
	captures []int // indexes in Report.Captures
	result   detect.Result
	targets  map[tcpstate.Endpoint]int // by endpoint, of result.Targets
	groups   map[group]int             // of result.Forgotten
	most     int                       // groups
}

func newPart(groups int) part {
	return part{targets: map[tcpstate.Endpoint]int{}, groups: map[group]int{}, most: groups}
}

// group is what findings have in common that are only counted.
type group struct {
	rule     *detect.Rule
	target   tcpstate.Endpoint
	socket   string
	severity detect.Severity
	lost     bool
	cause    string
	code     string
}

// New begins a report of reports.
func New(r *report.Report) *Merger {
	if r.Skipped == nil {
		r.Skipped = map[string]uint64{}
	}
	return &Merger{r: r, all: newPart(mostGroups), homes: homes{}, shared: map[string]bool{}, most: mostFindings}
}

// Add reads a report: the JSON, or the lines of JSON, that connrace has written. What was read
// of one that turns out to be wrong stays. The error says at which byte it is.
func (m *Merger) Add(name string, r io.Reader) error {
	d, err := baseline.Decoder(r)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	m.read++
	in := reading{
		Merger: m, d: d, name: name, number: m.read, base: len(m.all.captures), byID: map[int]*detect.Finding{}, lines: map[*detect.Rule]uint64{},
		counted: newPart(mostGroups), apart: map[tcpstate.Endpoint]bool{},
	}
	defer in.settle()
	for !in.done {
		switch err := in.object(); {
		case errors.Is(err, io.EOF) && d.InputOffset() == 0:
			return fmt.Errorf("%s: no report of connrace in it", name)
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return fmt.Errorf("%s: the report is cut off at byte %d", name, d.InputOffset())
		case err != nil:
			return fmt.Errorf("%s: byte %d: not a JSON report of connrace: %w", name, offset(d, err), err)
		}
	}
	return nil
}

// offset is where an error is.
func offset(d *json.Decoder, err error) int64 {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return syntax.Offset
	}
	return d.InputOffset()
}

// Finish puts everything into the report.
func (m *Merger) Finish() {
	id := 0
	for _, p := range append([]*part{&m.all}, m.own...) {
		p.finish()
		if len(p.captures) > 0 {
			m.r.Analyses = append(m.r.Analyses, report.Analysis{Result: &p.result, Captures: p.captures, FirstID: id})
			id += len(p.result.Findings)
		}
	}
	if n := len(m.r.Captures); n > 0 && m.more > 0 {
		m.warn(n-1, fmt.Sprintf("%d further captures are counted with this one", m.more))
	}
	if len(m.r.Captures) > 0 && len(m.shared) > 0 {
		m.warn(0, fmt.Sprintf("%s: several reports have the private address, and it is taken for one box; merge reports of different networks apart", some(m.shared)))
	}
}

// warn adds a warning to a capture.
func (m *Merger) warn(capture int, what string) {
	c := &m.r.Captures[min(capture, len(m.r.Captures)-1)]
	c.Warnings = append(slices.Clone(c.Warnings), what)
}

// some names the first of targets, and says how many others there are.
func some(names map[string]bool) string {
	var all []string
	for n := range names {
		all = append(all, n)
	}
	slices.Sort(all)
	if more := len(all) - mostNamed; more > 0 {
		return fmt.Sprintf("%s and %s more", strings.Join(all[:mostNamed], ", "), text.Grouped(uint64(more)))
	}
	return strings.Join(all, ", ")
}

// finish brings what was gathered into order.
func (p *part) finish() {
	x := &p.result
	slices.SortStableFunc(x.Findings, func(a, b *detect.Finding) int { return int(min(max(a.Time-b.Time, -1), 1)) })
	for i, f := range x.Findings {
		f.ID = i + 1
		p.within(&f.Capture)
		for k := range f.Evidence {
			p.within(&f.Evidence[k].Capture)
		}
		if f.IdleFrom != nil {
			p.within(&f.IdleFrom.Capture)
		}
	}
	for i := range x.Targets {
		t := &x.Targets[i]
		x.Totals.Flows += t.Connections
		for _, s := range []**detect.Software{&t.Server, &t.LB} {
			if *s == several {
				*s = nil
			}
		}
	}
}

// within makes of a capture's index in the report the one in the part, one of those that there are.
func (p *part) within(capture *int) {
	i, _ := slices.BinarySearch(p.captures, *capture)
	*capture = max(min(i, len(p.captures)-1), 0)
}

// count counts findings that are not kept.
func (p *part) count(g *detect.Group) {
	k := group{g.Rule, g.Target, g.Socket, g.Severity, g.Lost, g.CloseCause, g.StreamCode}
	i, known := p.groups[k]
	if !known && len(p.result.Forgotten) >= p.most {
		k.target, k.socket = tcpstate.Endpoint{}, ""
		i, known = p.groups[k]
	}
	if !known {
		i = len(p.result.Forgotten)
		p.groups[k] = i
		p.result.Forgotten = append(p.result.Forgotten, detect.Group{
			Rule: k.rule, Target: k.target, Socket: k.socket, Severity: k.severity, Lost: k.lost, CloseCause: k.cause, StreamCode: k.code, First: g.First, Last: g.Last,
		})
	}
	x := &p.result.Forgotten[i]
	x.Count += g.Count
	x.Tries.Add(g.Tries, 1)
	x.First, x.Last = min(x.First, g.First), max(x.Last, g.Last)
}

// tries are those that a group of findings is about.
func tries(g *detect.Group) (t detect.Tries) {
	switch {
	case !g.Lost:
	case g.Rule.About == detect.AboutHandshake:
		t.FailedConnections = g.Count
	default:
		t.LostRequests = g.Count
	}
	return t
}
