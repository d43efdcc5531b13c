package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
	"connrace/tcpstate"
)

// How much is listed unless Options.Verbose asks for all.
const (
	mostTargets  = 20
	mostFindings = 50
)

// Table writes the report for people: the figures of each target, the findings, what each
// kind of finding means and what to change, and what may have hidden something.
func Table(w io.Writer, r *Report, o *Options) error {
	t := &tables{report: r, o: o, page: page{color: o.Color}}
	t.clock = NewClock(o.Location, r.Times())
	t.captures()
	if err := t.comparison(); err != nil {
		return err
	}
	for i := range r.Analyses {
		if err := t.analysis(&r.Analyses[i]); err != nil {
			return err
		}
	}
	if err := t.logs(); err != nil {
		return err
	}
	t.notes()
	return t.writeAll(w)
}

// Times are the times between which everything lies.
func (r *Report) Times() []int64 {
	var ts []int64
	for i := range r.Captures {
		if c := &r.Captures[i]; c.First != 0 {
			ts = append(ts, c.First, c.Last)
		}
	}
	return ts
}

type tables struct {
	page
	report *Report
	o      *Options
	clock  *Clock
}

// captures says what was read.
func (t *tables) captures() {
	for i := range t.report.Captures {
		c := &t.report.Captures[i]
		line := fmt.Sprintf("%s: %s", c.name(), text.Plural(c.Frames, "frame"))
		if c.First != 0 {
			end := t.clock.Time(c.Last)
			if t.clock.Date(c.First) != t.clock.Date(c.Last) {
				end = t.clock.Date(c.Last) + " " + end
			}
			line += fmt.Sprintf(", %s %s to %s %s (%s)", t.clock.Date(c.First), t.clock.Time(c.First), end, t.clock.Name(c.First), text.Length(c.Last-c.First))
		}
		lead := ""
		if len(t.report.Captures) > 1 {
			lead = fmt.Sprintf("%d  ", i)
		}
		t.paragraph(lead, line)
	}
}

// name is what the table calls a capture.
func (c *Capture) name() string {
	if c.Path == "-" {
		return "standard input"
	}
	return text.Clean(c.Path)
}

// shown are the findings of an analysis that are listed; hidden counts the info
// findings that are not.
func (t *tables) shown(a *Analysis) (fs []*detect.Finding, hidden int) {
	for _, f := range a.Result.Findings {
		switch {
		case !t.o.Shows(f):
		case f.Severity == detect.Info && !t.o.Verbose && len(t.o.Rules) == 0:
			hidden++
		default:
			fs = append(fs, f)
		}
	}
	return fs, hidden
}

func (t *tables) analysis(a *Analysis) error {
	if len(t.report.Analyses) > 1 {
		var names []string
		for _, i := range a.Captures {
			names = append(names, t.report.Captures[i].name())
		}
		t.heading("Analysis of " + strings.Join(names, ", "))
	}
	t.WriteString("\n")
	fs, hidden := t.shown(a)
	t.paragraph("", t.verdict(a, fs, hidden))
	if err := t.targets(a); err != nil {
		return err
	}
	if len(fs) == 0 {
		return nil
	}
	if err := t.findings(a, fs); err != nil {
		return err
	}
	t.explanations(a, fs)
	return nil
}

// verdict is the answer in a sentence.
func (t *tables) verdict(a *Analysis, fs []*detect.Finding, hidden int) string {
	x := &a.Result.Totals
	kept, older := len(a.Result.Findings), uint64(0)
	for _, g := range a.Result.Forgotten {
		older += g.Count
	}
	frames := uint64(0)
	for i := range t.report.Captures {
		// One without a TCP segment is of no analysis.
		if len(t.report.Analyses) == 1 || slices.Contains(a.Captures, i) {
			frames += t.report.Captures[i].Frames
		}
	}
	line := fmt.Sprintf("%s in %s, %s", text.Plural(uint64(kept)+older, "finding"), text.Plural(frames, "frame"), text.Plural(x.Flows, "connection"))
	if n := len(a.Result.Targets); n == 1 {
		line += " to " + a.Result.Targets[0].Target.String()
	} else if n > 1 {
		line += " to " + text.Plural(uint64(n), "target")
	}
	line += ", " + text.Plural(x.Requests, "request")
	line += came(&x.Tries) + "."
	if x.Answers5xx > 0 {
		line += fmt.Sprintf(" %s said 5xx: not TCP's fault.", text.Plural(x.Answers5xx, "answer"))
	}
	if t.report.Since != "" || t.report.Until != "" {
		line += " Findings" + word(" since ", t.report.Since) + word(" until ", t.report.Until) + " only; the figures of traffic are of the whole capture."
	}
	if older > 0 {
		line += fmt.Sprintf(" The %s oldest are counted only.", text.Grouped(older))
	}
	if n := kept - len(fs) - hidden; n > 0 {
		line += fmt.Sprintf(" %s not shown (--rule, --severity).", text.Grouped(uint64(n)))
	}
	if hidden > 0 {
		line += fmt.Sprintf(" %s not shown (-v shows them).", text.Plural(uint64(hidden), "info finding"))
	}
	return line
}

// came says what came of the tries, behind how many requests there were.
func came(x *detect.Tries) (s string) {
	if n := x.Failed(); n > 0 {
		s = ", " + text.Plural(n, "failed try")
		if x.LostRequests > 0 && x.FailedConnections > 0 {
			s += fmt.Sprintf(" (%s and %s)", text.Plural(x.LostRequests, "request"), text.Plural(x.FailedConnections, "connection"))
		}
	}
	if x.OpenTries > 0 {
		s += fmt.Sprintf(", %s still unanswered at the end", text.Grouped(x.OpenTries))
	}
	if x.ClientAborts > 0 {
		s += fmt.Sprintf(", %s given up by clients", text.Grouped(x.ClientAborts))
	}
	return s
}

func word(lead, s string) string {
	if s == "" {
		return ""
	}
	return lead + s
}

var findingColumns = []column{
	{head: "#", width: 4, right: true},
	{head: "TIME", width: 15},
	{head: "RULE", width: 20, after: "-"},
	{head: "LB → TARGET", width: 23, after: ":"},
	{head: "STREAM\nframes", width: 12},
	{head: "REQUEST", width: 16, after: "/"},
}

// findings lists findings.
func (t *tables) findings(a *Analysis, fs []*detect.Finding) error {
	is, left := t.few(t.items(fs))
	columns := slices.Clone(findingColumns)
	columns[1].head = "TIME " + t.clock.Name(fs[0].Time) + "\nidle"
	columns[2].head = "RULE\nconfidence"
	t.WriteString("\n")
	rows := make([][]string, len(is))
	for k, i := range is {
		if i.outage != nil {
			rows[k] = t.outageRow(a, i.outage)
		} else {
			rows[k] = t.findingRow(a, i.f)
		}
	}
	if err := t.table(columns, rows); err != nil {
		return err
	}
	if left > 0 {
		t.paragraph("", fmt.Sprintf("… and %s (-v lists all; --rule, --since and --until choose)", text.Plural(uint64(left), "finding")))
	} else if len(is) < len(fs) {
		t.paragraph("", "What shows one outage is one row (-v lists all).")
	}
	return nil
}

func (t *tables) findingRow(a *Analysis, f *detect.Finding) []string {
	grade := f.Severity.String() + ", " + f.Confidence.String()
	if f.Lost {
		grade += ", lost"
	}
	when := []string{t.clock.Time(f.Time)}
	if !t.clock.OneDay && f.Time != 0 {
		when = []string{t.clock.Date(f.Time), t.clock.Time(f.Time)}
	}
	c := findingColumns
	rule := c[2].cell(f.Rule.ID)
	for i := range rule {
		rule[i] = t.paint(severityPaint(f.Severity), rule[i])
	}
	cells := [][]string{
		c[0].cell(fmt.Sprint(a.id(f))),
		append(c[1].cell(when...), c[1].cell(waited(&f.Measures))...),
		append(rule, c[2].cell(grade)...),
		c[3].cell(ends(f)...),
		c[4].cell(where(a, f)...),
		cut(c[5].cell(t.request(f.Request)), 4, c[5].width),
	}
	row := make([]string, len(cells))
	for i := range cells {
		row[i] = strings.Join(cells[i], "\n")
	}
	return row
}

func severityPaint(s detect.Severity) paint {
	switch s {
	case detect.Error:
		return red
	case detect.Warning:
		return yellow
	}
	return ""
}

// waited is the figure that tells most of an incident.
func waited(m *detect.Measures) string {
	switch {
	case m.Idle.Known:
		return "idle " + text.Span(m.Idle.NS)
	case m.Delay.Known:
		return "late " + text.Span(m.Delay.NS)
	case m.Outstanding.Known:
		return "after " + text.Span(m.Outstanding.NS)
	}
	return ""
}

func ends(f *detect.Finding) []string {
	if f.LB == (tcpstate.Endpoint{}) {
		return []string{f.TargetName()}
	}
	return []string{f.LB.String(), "→ " + f.Target.String()}
}

// streamText is the number of a finding's stream, with a tilde where Wireshark may count
// otherwise.
func streamText(f *detect.Finding) string {
	if f.Inexact {
		return fmt.Sprintf("~%d", f.Stream)
	}
	return fmt.Sprint(f.Stream)
}

// where are the stream and the frames to look at, those that decide before the others.
func where(a *Analysis, f *detect.Finding) []string {
	var out []string
	if f.HasStream {
		out = append(out, streamText(f))
	}
	if len(a.Captures) > 1 {
		out = append(out, fmt.Sprintf("file %d", a.capture(f.Capture)))
	}
	if frames := decisive(f); frames != "" {
		out = append(out, frames)
	}
	return out
}

// decisive names the frames of the close and the request of a race, with a cross between
// them where they crossed; else the first few frames of evidence.
func decisive(f *detect.Finding) string {
	const most = 3
	if f.Rule.Crossed {
		shut := first(f, detect.RoleCloseNotify, detect.RoleFIN, detect.RoleRST)
		request := first(f, detect.RoleRequest)
		if shut != 0 && request != 0 {
			return fmt.Sprintf("%d × %d", shut, request)
		}
	}
	var frames []string
	for i := range f.Evidence {
		e := &f.Evidence[i]
		if f.HasStream && (e.Stream != f.Stream || e.Capture != f.Capture) {
			continue
		}
		n := fmt.Sprint(e.Frame)
		if slices.Contains(frames, n) {
			continue
		}
		if len(frames) == most {
			frames = append(frames, "…")
			break
		}
		frames = append(frames, n)
	}
	return strings.Join(frames, " ")
}

// first is the first frame of evidence with one of the roles, the roles in order of
// preference; 0: none.
func first(f *detect.Finding, roles ...detect.Role) uint64 {
	for _, r := range roles {
		for i := range f.Evidence {
			if f.Evidence[i].Role == r {
				return f.Evidence[i].Frame
			}
		}
	}
	return 0
}

func (t *tables) request(q *detect.Request) string {
	switch {
	case q == nil:
		return ""
	case q.Method != "" || q.Path != "":
		return strings.TrimSpace(text.ASCII(q.Method) + " " + text.ASCII(text.Path(q.Path, t.o.ShowQuery)))
	case q.Bytes > 0:
		return text.Plural(uint64(q.Bytes), "byte")
	}
	return ""
}
