package report

import (
	"fmt"
	"io"
	"strings"

	"connrace/cmd/connrace/internal/diagnosis"
	"connrace/cmd/connrace/internal/lblog"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

// markdown writes the report for a ticket: GitHub's dialect, which GitLab, Gitea and Jira's
// editors take, too. Whatever comes from packets or files stands in code spans.
type markdown struct {
	tables
}

// Markdown writes the report as Markdown.
func Markdown(w io.Writer, r *Report, o *Options) error {
	m := &markdown{tables{report: r, o: o, page: newPage(o)}}
	m.clock = NewClock(o.Location, r.Times())
	m.title()
	m.captures()
	m.comparison()
	m.say("**" + escape(m.verdict()) + "**")
	d := r.Diagnosis(o)
	m.answer(d)
	for i := range r.Analyses {
		m.analysis(&r.Analyses[i])
	}
	m.proofs(d)
	m.logs()
	if ns := r.Notes(); len(ns) > 0 {
		m.section(2, "What may have hidden something")
		for _, n := range ns {
			m.line("- " + escape(n))
		}
	}
	return m.writeAll(w)
}

func (m *markdown) line(s string) { m.WriteString(strings.TrimRight(s, " ") + "\n") }

// block begins a block: one blank line stands before it.
func (m *markdown) block() {
	if s := m.String(); s != "" && !strings.HasSuffix(s, "\n\n") {
		m.WriteString("\n")
	}
}

// say writes lines as a block.
func (m *markdown) say(lines ...string) {
	m.block()
	for _, l := range lines {
		m.line(l)
	}
}

func (m *markdown) section(level int, title string) {
	m.say(strings.Repeat("#", level) + " " + title)
	m.block()
}

func (m *markdown) title() {
	t := m.report.Totals()
	all := 0
	for _, n := range t.Findings {
		all += n
	}
	m.section(1, fmt.Sprintf("connrace: %s, %s", text.Plural(uint64(all), "finding"), text.Plural(t.Failed(), "failed try")))
}

func (m *markdown) captures() {
	for i := range m.report.Captures {
		c := &m.report.Captures[i]
		line := fmt.Sprintf("- %s: %s", code(c.Path), text.Plural(c.Frames, "frame"))
		if c.First != 0 {
			line += fmt.Sprintf(", %s %s to %s %s (%s)", m.clock.Date(c.First), m.clock.Time(c.First), m.clock.Stamp(c.Last), m.clock.Name(c.First), text.Span(c.Last-c.First))
		}
		m.line(line)
	}
	for i := range m.report.Joined {
		m.line("- " + escape(m.report.Joined[i].Text()))
	}
}

// grid writes a table.
func (m *markdown) grid(head []string, right string, rows [][]string) {
	m.say("| " + strings.Join(head, " | ") + " |")
	rule := "|"
	for i := range head {
		if i < len(right) && right[i] == 'r' {
			rule += " ---: |"
		} else {
			rule += " --- |"
		}
	}
	m.line(rule)
	for _, r := range rows {
		m.line("| " + strings.Join(r, " | ") + " |")
	}
}

func (m *markdown) analysis(a *Analysis) {
	if len(m.report.Analyses) > 1 {
		var names []string
		for _, i := range a.Captures {
			names = append(names, code(m.report.Captures[i].Path))
		}
		m.section(2, "Analysis of "+strings.Join(names, ", "))
	}
	m.targets(a)
	if fs, _ := m.shown(a); len(fs) > 0 {
		m.findings(a, fs)
	}
}

// answer tells the problems, the first few at length.
func (m *markdown) answer(d *diagnosis.Diagnosis) {
	for i, q := range m.told(d) {
		if i < mostProblems || m.o.Verbose {
			m.problem(q)
			continue
		}
		if i == mostProblems {
			m.section(2, "Also")
		}
		m.line(fmt.Sprintf("- %d. %s: %s", q.Number, escape(q.Title), escape(brief(q))))
	}
}

func (m *markdown) problem(q *diagnosis.Problem) {
	m.section(2, fmt.Sprintf("%d. %s", q.Number, escape(q.Title)))
	m.line("**What.** " + escape(q.What))
	m.say("**Why.** " + escape(q.Why))
	m.say("**Who.** " + escape(q.Who()))
	m.say("**Timer.** " + escape(q.Timer.Text()))
	m.say("**Fix.** " + escape(q.Fix))
	box := ""
	for i := range q.Lines {
		l := &q.Lines[i]
		if b := q.Box(l); b != box {
			box = b
			m.say(escape(text.Sentence(box)) + ":")
			m.block()
		}
		note, line := word(": ", escape(l.Note)), strings.ReplaceAll(code(l.Line), "\n", "` and `")
		if l.Likely {
			m.line("- " + escape(l.Software) + ": " + line + note)
		} else {
			m.line("- " + line + note)
		}
	}
	if len(q.Check) > 0 {
		m.say("**Check.**", "", "```sh")
		for _, c := range q.Check {
			m.line(c.String())
		}
		m.line("```")
		m.say(escape(q.FixedIf))
	}
	m.say("More: " + code(q.More))
}

// proofs draw the first finding of each problem, with Options.Verbose all.
func (m *markdown) proofs(d *diagnosis.Diagnosis) {
	drawn := map[*diagnosis.Problem]bool{}
	for i := range m.report.Analyses {
		a := &m.report.Analyses[i]
		fs, _ := m.shown(a)
		for _, f := range fs {
			q := d.ProblemOf(f)
			if drawn[q] && !m.o.Verbose {
				continue
			}
			if len(drawn) == 0 {
				m.section(2, "Frame by frame")
			}
			drawn[q] = true
			m.proof(a, f)
		}
	}
}

func (m *markdown) targets(a *Analysis) {
	targets, found := ranked(a)
	if len(targets) == 0 {
		return
	}
	var rows [][]string
	heads, aligned, errors := []string{"Target", "Connections", "Requests", "Failed", "Idle timeout", "Findings"}, "lrrrr", answer5xx(targets)
	if errors {
		heads, aligned = with(heads, 4, "5xx"), aligned+"r"
	}
	for i := range targets {
		x := &targets[i]
		if len(rows) == mostTargets && !m.o.Verbose {
			break
		}
		name, timeout, kinds := targetFigures(x, found[x.Target])
		row := []string{code(name), text.Grouped(x.Connections), text.Grouped(x.Requests), text.Grouped(x.Failed()), timeout, strings.Join(kinds, "<br>")}
		if errors {
			row = with(row, 4, text.Grouped(x.Answers5xx))
		}
		rows = append(rows, row)
	}
	m.grid(heads, aligned, rows)
	if n := len(targets) - len(rows); n > 0 {
		m.say(fmt.Sprintf("… and %s (-v lists all)", text.Plural(uint64(n), "target")))
	}
	m.block()
	for i := range targets[:len(rows)] {
		if found[targets[i].Target] != nil {
			continue // the problems say it
		}
		for _, advice := range targets[i].Advice {
			m.line(fmt.Sprintf("- %s: %s", code(targets[i].Target.String()), escape(advice)))
		}
	}
}

func (m *markdown) findings(a *Analysis, fs []*detect.Finding) {
	m.section(2, "Findings")
	var rows [][]string
	xs, left := m.folds(fs)
	for _, x := range xs {
		var row []string
		for i, c := range m.row(a, x) {
			for k := range c.lines {
				if i > 2 {
					c.lines[k] = code(c.lines[k])
				}
			}
			row = append(row, dashed(strings.Join(c.lines, "<br>")))
		}
		rows = append(rows, row)
	}
	m.grid([]string{"No.", "Time " + m.clock.Name(fs[0].Time), "Rule", "LB → target", "Stream, frames", "Request"}, "r", rows)
	if left > 0 {
		m.say(fmt.Sprintf("… and %s (-v lists all)", text.Plural(uint64(left), "finding")))
	}
}

// proof shows a finding segment by segment.
func (m *markdown) proof(a *Analysis, f *detect.Finding) {
	m.say(fmt.Sprintf("**Finding %d:** %s (%s).", a.id(f), escape(f.Summary), escape(f.Confidence.String()+word(": ", f.Grounds))))
	if q := f.Request; q != nil {
		for _, id := range []struct{ name, value string }{{"X-Amzn-Trace-Id", q.TraceID}, {"X-Request-Id", q.RequestID}} {
			if id.value != "" {
				m.line(fmt.Sprintf("%s: %s", id.name, code(id.value)))
			}
		}
	}
	if lines := Streams(f, m.o.ShowQuery); lines != nil {
		for i, l := range lines {
			lines[i] = "- " + escape(l)
		}
		m.say(lines...)
	}
	if lines := drawLadder(a, f, m.clock); lines != nil {
		m.say("```text")
		for _, l := range lines {
			m.line(l)
		}
		m.line("```")
	}
	if lines := comments(a, f); lines != nil {
		for i, l := range lines {
			lines[i] = "- " + escape("comment on frame "+l)
		}
		m.say(lines...)
	}
	if filter := f.DisplayFilter(); filter != "" {
		line := "Wireshark: " + code(filter)
		for _, o := range m.report.OtherFilters(a, f) {
			line += ", in " + code(o.Capture) + " " + code(o.Text)
		}
		m.say(line)
	}
}

// comparison is the section about an earlier report.
func (m *markdown) comparison() {
	c := m.report.Baseline
	if c == nil {
		return
	}
	m.section(2, "Before and after")
	for i, l := range m.report.sides() {
		m.line("- " + []string{"before: ", "after: "}[i] + escape(l))
	}
	m.say("**" + escape(c.Summary) + ".**")
	m.block()
	for _, d := range c.Details {
		m.line("- " + escape(d))
	}
	if len(c.Rules) == 0 {
		return
	}
	var rows [][]string
	for i := range c.Rules {
		x := &c.Rules[i]
		rates := ChangePerThousand(c, x)
		rows = append(rows, []string{code(x.Rule), text.Grouped(uint64(x.Count.Before)), text.Grouped(uint64(x.Count.After)), rates[0], rates[1], change(x)})
	}
	m.grid([]string{"Rule", "Before", "After", "Per thousand before", "Per thousand after", ""}, "lrrrr", rows)
}

// logs is the section about load balancers' logs.
func (m *markdown) logs() {
	l := m.report.Log
	if l == nil {
		return
	}
	m.section(2, "The load balancer's log")
	for i := range l.Files {
		f := &l.Files[i]
		m.line(fmt.Sprintf("- %s (%s): %s, %s failed", code(f.Path), f.Kind.Title(), text.Plural(uint64(f.Lines), "line"), text.Grouped(uint64(f.Failed))))
	}
	m.say("**" + escape(LogSummary(l)) + "**")
	m.block()
	for _, n := range l.Notes {
		m.line("- " + escape(n))
	}
	if js, left := most(l.Joined, m.o.Verbose); len(js) > 0 {
		var rows [][]string
		for i := range js {
			j := &js[i]
			what := strings.ReplaceAll(strings.Join(m.which(j), "; "), "#", "")
			rows = append(rows, append(m.entry(l, j.Entry), what, joinedBy(j)))
		}
		m.grid([]string{"Time", "Line", "Status", "Request", "Finding", "Joined by"}, "lrr", rows)
		m.left(left, "explained ")
	}
	if us, left := most(l.Unexplained, m.o.Verbose); len(us) > 0 {
		var rows [][]string
		for i := range us {
			rows = append(rows, append(m.entry(l, us[i].Entry), escape(strings.ReplaceAll(us[i].Why, "#", ""))))
		}
		m.grid([]string{"Time", "Line", "Status", "Request", "Unexplained, because"}, "lrr", rows)
		m.left(left, "unexplained ")
	}
}

func (m *markdown) left(n int, of string) {
	if n > 0 {
		m.say(fmt.Sprintf("… and %s (-v lists all)", entries(n, of)))
	}
}

func (m *markdown) entry(l *lblog.Join, e *lblog.Entry) []string {
	line, status := fmt.Sprint(e.Line), "-"
	if len(l.Files) > 1 {
		line = fmt.Sprintf("%d:%d", e.File+1, e.Line)
	}
	if e.Status > 0 {
		status = fmt.Sprint(e.Status)
	}
	return []string{m.when(e), line, status, code(m.request(&detect.Request{Method: e.Method, Path: e.Path}))}
}

// escape makes a text plain: no character of it means anything to Markdown or HTML.
func escape(s string) string {
	s = text.Clean(text.Plain(s))
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune("\\`*_[]<>#|~&$!", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// code makes a code span of a text, in which nothing means anything: fenced by more
// backticks than it has in a row. Where a table may be around it, only a pipe does.
func code(s string) string {
	s = strings.TrimSpace(text.Clean(text.Plain(s)))
	if s == "" {
		return "-"
	}
	s = strings.ReplaceAll(s, "|", `\|`)
	run, longest := 0, 0
	for _, r := range s {
		if r == '`' {
			run++
			longest = max(longest, run)
		} else {
			run = 0
		}
	}
	fence := strings.Repeat("`", longest+1)
	if s[0] == '`' || s[len(s)-1] == '`' {
		s = " " + s + " "
	}
	return fence + s + fence
}
