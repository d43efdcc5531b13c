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
	mostFindings = 20 // rows
)

// Table writes the report for people: how much was looked at and how much failed, what goes
// wrong and what to change, then the figures of each target, the findings, and what may have
// hidden something.
func Table(w io.Writer, r *Report, o *Options) error {
	t := &tables{report: r, o: o, page: newPage(o)}
	t.clock = NewClock(o.Location, r.Times())
	t.captures()
	if err := t.comparison(); err != nil {
		return err
	}
	t.WriteString("\n")
	t.paragraph("", t.verdict())
	d := r.Diagnosis(o)
	t.answer(d)
	for i := range r.Analyses {
		if err := t.analysis(&r.Analyses[i]); err != nil {
			return err
		}
	}
	t.proofs(d)
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
			end := t.clock.Clock(c.Last)
			if t.clock.Date(c.First) != t.clock.Date(c.Last) {
				end = t.clock.Date(c.Last) + " " + end
			}
			line += fmt.Sprintf(", %s %s to %s %s (%s)", t.clock.Date(c.First), t.clock.Clock(c.First), end, t.clock.Name(c.First), text.Length(c.Last-c.First))
		}
		lead := ""
		if len(t.report.Captures) > 1 {
			lead = fmt.Sprintf("%d  ", i)
		}
		t.paragraph(lead, line)
	}
	for i := range t.report.Joined {
		t.paragraph("", t.report.Joined[i].Text())
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
		case f.Severity == detect.Info && !t.o.showsInfo():
			hidden++
		default:
			fs = append(fs, f)
		}
	}
	return fs, hidden
}

// showsInfo reports whether people are shown info findings.
func (o *Options) showsInfo() bool { return o.Verbose || len(o.Rules) > 0 }

func (t *tables) analysis(a *Analysis) error {
	if len(t.report.Analyses) > 1 {
		var names []string
		for _, i := range a.Captures {
			names = append(names, t.report.Captures[i].name())
		}
		t.heading("Analysis of " + strings.Join(names, ", "))
	}
	if err := t.targets(a); err != nil {
		return err
	}
	if fs, _ := t.shown(a); len(fs) > 0 {
		return t.findings(a, fs)
	}
	return nil
}

// verdict is what was looked at, and how much failed, in a sentence.
func (t *tables) verdict() string {
	x := t.report.Totals()
	all, shown, hidden := 0, 0, 0
	for _, n := range x.Findings {
		all += n
	}
	names := t.report.seen().Targets
	for i := range t.report.Analyses {
		fs, h := t.shown(&t.report.Analyses[i])
		shown, hidden = shown+len(fs), hidden+h
	}
	line := fmt.Sprintf("%s in %s, %s", text.Plural(uint64(all), "finding"), text.Plural(x.Frames, "frame"), text.Plural(x.Flows, "connection"))
	if len(names) == 1 {
		line += " to " + names[0]
	} else if len(names) > 1 {
		line += " to " + text.Plural(uint64(len(names)), "target")
	}
	line += ", " + text.Plural(x.Requests, "request") + came(&x.Tries)
	if x.Answers5xx > 0 {
		line += fmt.Sprintf(", %s 5xx by the targets themselves", text.Plural(x.Answers5xx, "answer"))
	}
	line += "."
	if t.report.Since != "" || t.report.Until != "" {
		line += " Findings" + word(" since ", t.report.Since) + word(" until ", t.report.Until) + " only; the figures of traffic are of the whole capture."
	}
	if x.Unlisted > 0 {
		which := "last"
		if t.report.Live { // there the newest are kept
			which = "first"
		}
		line += fmt.Sprintf(" The %s %s are counted only.", which, text.Grouped(x.Unlisted))
	}
	if n := all - int(x.Unlisted) - shown - hidden; n > 0 {
		line += fmt.Sprintf(" %s not shown (--rule, --severity).", text.Grouped(uint64(n)))
	}
	if hidden > 0 {
		line += fmt.Sprintf(" %s not shown (-v shows them).", text.Plural(uint64(hidden), "info finding"))
	}
	if x.Requests > 0 && x.Failed()+x.OpenTries+x.Answers5xx+x.Undecided == 0 && all == hidden {
		line += " Nothing failed in what was captured. If the load balancer logged a 502, 503 or 504 in this time, it happened at another target or before the load balancer, or was not captured."
	}
	return line
}

// came says what came of the tries, behind how many requests there were.
func came(x *detect.Tries) (s string) {
	if n := x.Failed(); n > 0 {
		s = ", " + text.Plural(n, "failed try")
		switch {
		case x.LostRequests == 0:
			s = ", " + text.Plural(n, "failed connection")
		case x.FailedConnections > 0:
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

// findings lists findings: those that are alike in one row, with Options.Verbose each in its own.
func (t *tables) findings(a *Analysis, fs []*detect.Finding) error {
	columns := []column{
		{head: "ID", right: true},
		{head: "TIME " + t.clock.Name(fs[0].Time) + "\nidle"},
		{head: "RULE\nconfidence"},
		{head: "LB → TARGET"},
		{head: "STREAM\nframes", label: "stream", into: 2},
		{head: "REQUEST", into: 2},
	}
	xs, left := t.folds(fs)
	rows := make([][]cell, len(xs))
	for i, x := range xs {
		rows[i] = t.row(a, x)
	}
	t.WriteString("\n")
	if err := t.table(columns, rows); err != nil {
		return err
	}
	if left > 0 {
		t.paragraph("", fmt.Sprintf("… and %s (-v lists all; --rule, --since and --until choose)", text.Plural(uint64(left), "finding")))
	} else if len(xs) < len(fs) {
		t.paragraph("", "Findings that are alike are one row (-v lists each).")
	}
	return nil
}

// folds are the rows of the list, and how many findings are in none.
func (t *tables) folds(fs []*detect.Finding) (xs []*fold, left int) {
	if t.o.Verbose {
		for _, f := range fs {
			xs = append(xs, t.foldOf(f))
		}
		return xs, 0
	}
	if xs = t.foldKinds(fs, true); len(xs) > mostFindings {
		xs = t.foldKinds(fs, false)
	}
	for len(xs) > mostFindings {
		left += xs[len(xs)-1].n
		xs = xs[:len(xs)-1]
	}
	return xs, left
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

// waited is the figure that tells most of an incident, and what it is.
func waited(m *detect.Measures) (what string, d detect.Duration) {
	switch {
	case m.Idle.Known:
		return "idle", m.Idle
	case m.Delay.Known:
		return "late", m.Delay
	case m.Outstanding.Known:
		return "after", m.Outstanding
	}
	return "", d
}

func ends(f *detect.Finding) []string {
	if f.LB == (tcpstate.Endpoint{}) {
		return []string{f.TargetName()}
	}
	return []string{f.LB.String(), "→\u00a0" + f.Target.String()}
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
	switch frames := decisive(f); {
	case frames == "":
	case f.HasStream:
		out = append(out, frames)
	default: // they stand where others have their stream
		out = append(out, "frames "+frames)
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
	return strings.Join(frames, "\u00a0")
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
