package report

import (
	"fmt"
	"slices"
	"strings"

	"connrace/cmd/connrace/internal/lblog"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
	"connrace/tcpstate"
)

// LogCapture is what load balancers' logs are joined to.
func (r *Report) LogCapture() lblog.Capture {
	var c lblog.Capture
	for i := range r.Captures {
		if x := &r.Captures[i]; x.First != 0 {
			c.Spans = append(c.Spans, lblog.Span{First: x.First, Last: x.Last})
		}
	}
	for i := range r.Analyses {
		a := &r.Analyses[i]
		c.Targets = append(c.Targets, a.Result.Targets...)
		c.Exchanges = append(c.Exchanges, a.Result.Exchanges)
		for _, f := range a.Result.Findings {
			c.Findings = append(c.Findings, lblog.Finding{ID: a.id(f), Finding: f})
		}
		if b, ok := r.bothEnds(a); ok {
			c.BothEnds = append(c.BothEnds, b)
		}
	}
	return c
}

// HearLog lets findings say what only the joined log knows: whose wait it was that ended before an
// answer, the client's or the load balancer's. Where several findings fit, or entries that differ, it
// cannot be told, and a finding that is about several requests must have been joined to an entry for
// each that had no answer, that say the same: of one whose answer had begun a log need not say that it
// failed. It calls learnt with each finding that it changes.
func (r *Report) HearLog(learnt func(*Analysis, *detect.Finding)) {
	r.nameLBs()
	said := map[int][]*lblog.Joined{}
	for i := range r.Log.Joined {
		j := &r.Log.Joined[i]
		said[j.Finding] = append(said[j.Finding], j)
	}
	for i := range r.Analyses {
		a := &r.Analyses[i]
		for _, f := range a.Result.Findings {
			if f.Rule.Learnt != detect.ByOwnClose || f.Open {
				continue
			}
			if j := agreed(said[a.id(f)], unanswered(f)); j != nil {
				says, _, _ := strings.Cut(j.Says, " (") // what differs from one to the next comes behind
				says, _, _ = strings.Cut(says, ",")
				a.Result.Retally(f, func() { f.Hear(j.WhoseWait() == lblog.WaitOfClient, says) })
				learnt(a, f)
			}
		}
	}
}

// unanswered is how many requests of a finding had no answer; of those that all had the beginning of one,
// how many they are.
func unanswered(f *detect.Finding) int {
	n := 0
	for i := range f.Requests {
		if f.Requests[i].State != detect.StreamCutOff {
			n++
		}
	}
	if n == 0 {
		n = max(len(f.Requests), 1)
	}
	return n
}

// agreed is what all entries of a finding say of a wait, as the first of them by its words has it; nil:
// they do not agree, or are not as many as its requests.
func agreed(js []*lblog.Joined, requests int) *lblog.Joined {
	if len(js) < requests {
		return nil
	}
	first := js[0]
	for _, j := range js {
		if w := j.WhoseWait(); w == lblog.WaitUnsaid || w != first.WhoseWait() || j.Contested || j.Among != nil {
			return nil
		}
		if j.Says < first.Says {
			first = j
		}
	}
	return first
}

type logDoc struct {
	Kind           optional         `json:"kind"`
	Entries        int              `json:"entries"`
	Failed         int              `json:"failed"`
	Explained      int              `json:"explained"`
	ByRule         map[string]int   `json:"by_rule"`
	Ambiguous      int              `json:"ambiguous"`
	OutsideCapture int              `json:"outside_capture"`
	Omitted        int              `json:"omitted"`
	Offset         seconds          `json:"clock_offset_seconds"`
	Files          []logFileDoc     `json:"files"`
	Notes          []string         `json:"notes"`
	Joined         []joinedDoc      `json:"joined"`
	Unexplained    []unexplainedDoc `json:"unexplained"`
}

type logFileDoc struct {
	Path    string   `json:"path"`
	Kind    optional `json:"kind"`
	Lines   int      `json:"lines"`
	Entries int      `json:"entries"`
	Failed  int      `json:"failed"`
	Error   optional `json:"error"`
}

type entryDoc struct {
	Time    stamp    `json:"time"`
	File    int      `json:"file"`
	Line    int      `json:"line"`
	Status  count    `json:"status"`
	Method  optional `json:"method"`
	Path    optional `json:"path"`
	Target  optional `json:"target"`
	TraceID optional `json:"trace_id"`
	Says    optional `json:"says"`
}

type joinedDoc struct {
	entryDoc
	Finding   int    `json:"finding"`
	Rule      string `json:"rule"`
	By        string `json:"by"`
	Among     []int  `json:"among"`
	Contested bool   `json:"contested"`
	Tries     []int  `json:"earlier_tries"`
}

type unexplainedDoc struct {
	entryDoc
	Reason string `json:"reason"`
	Why    string `json:"why"`
}

func entryJSON(e *lblog.Entry, o *Options) entryDoc {
	return entryDoc{
		Time: stamp(e.End), File: e.File, Line: e.Line, Status: count{uint64(max(e.Status, 0)), e.Status > 0},
		Method: optional(e.Method), Path: optional(text.Path(e.Path, o.ShowQuery)), Target: endpoint(e.Target),
		TraceID: optional(e.TraceID), Says: optional(e.Says),
	}
}

func logJSON(l *lblog.Join, o *Options) logDoc {
	d := logDoc{
		Kind: optional(l.Kind()), Entries: l.Entries, Failed: l.Failed, Explained: l.Explained, ByRule: l.ByRule,
		Ambiguous: l.Ambiguous, OutsideCapture: l.OutsideCapture, Omitted: l.Omitted, Offset: seconds{NS: int64(l.Offset), Known: l.Offset != 0},
		Files: []logFileDoc{}, Notes: clean(l.Notes), Joined: []joinedDoc{}, Unexplained: []unexplainedDoc{},
	}
	for i := range l.Files {
		f := &l.Files[i]
		d.Files = append(d.Files, logFileDoc{text.Clean(f.Path), optional(f.Kind.String()), f.Lines, f.Entries, f.Failed, optional(f.Error)})
	}
	for i := range l.Joined {
		j := &l.Joined[i]
		d.Joined = append(d.Joined, joinedDoc{entryJSON(j.Entry, o), j.Finding, j.Rule.ID, j.By.String(), list(j.Among), j.Contested, list(j.Tries)})
	}
	for i := range l.Unexplained {
		u := &l.Unexplained[i]
		d.Unexplained = append(d.Unexplained, unexplainedDoc{entryJSON(u.Entry, o), u.Reason.String(), text.Clean(u.Why)})
	}
	return d
}

func clean(ss []string) []string {
	out := make([]string, len(ss))
	for i, s := range ss {
		out[i] = text.Clean(s)
	}
	return out
}

func (j *object) log(r *Report, o *Options) {
	if r.Log != nil {
		j.field("log", logJSON(r.Log, o))
	}
}

// LogSummary says in a few sentences how far the findings explain the logs.
func LogSummary(l *lblog.Join) string {
	n, others := l.Within(), len(l.Unexplained)
	var s string
	switch {
	case !slices.ContainsFunc(l.Files, func(f lblog.File) bool { return f.Error == "" }):
		return "No log could be read: nothing is known of what the clients got."
	case l.Entries == 0:
		return "The log has no entries."
	case l.Failed == 0:
		return fmt.Sprintf("None of %s failed.", entries(l.Entries, ""))
	case n == 0:
		s = "No failed entry falls into the capture's time."
	case l.Explained == 0:
		s = fmt.Sprintf("No finding explains any of %s: %s.", entries(n, "failed "), byReason(l))
	case others == 0 && n == 1:
		s = fmt.Sprintf("The only failed entry is explained by a finding: %s.", byRule(l.ByRule))
	case others == 0:
		s = fmt.Sprintf("All %s are explained by findings: %s.", entries(n, "failed "), byRule(l.ByRule))
	default:
		s = fmt.Sprintf("%s of %s explained by findings: %s. The other %s: %s.",
			text.Grouped(uint64(l.Explained)), entries(n, "failed "), byRule(l.ByRule), text.Grouped(uint64(others)), byReason(l))
	}
	if l.Ambiguous > 0 {
		s += fmt.Sprintf(" Of %s it is not certain which finding it is: others fit as well.", text.Grouped(uint64(l.Ambiguous)))
	}
	if l.OutsideCapture > 0 {
		s += fmt.Sprintf(" %s outside of the capture's time.", entries(l.OutsideCapture, "failed "))
	}
	return s
}

// entries writes "1 failed entry", "2 failed entries".
func entries(n int, of string) string {
	if n == 1 {
		return "1 " + of + "entry"
	}
	return text.Grouped(uint64(n)) + " " + of + "entries"
}

func byRule(n map[string]int) string {
	var parts []string
	for _, id := range ruleOrder(n) {
		parts = append(parts, fmt.Sprintf("%s %s", text.Grouped(uint64(n[id])), id))
	}
	return strings.Join(parts, ", ")
}

func byReason(l *lblog.Join) string {
	var parts []string
	for r, n := range l.ByReason {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", text.Grouped(uint64(n)), lblog.Reason(r).Title()))
		}
	}
	return strings.Join(parts, ", ")
}

// logs is the section about load balancers' logs.
func (t *tables) logs() error {
	l := t.report.Log
	if l == nil {
		return nil
	}
	t.heading("The load balancer's log")
	for i := range l.Files {
		f := &l.Files[i]
		if f.Error != "" {
			t.paragraph("  ", text.Clean(fmt.Sprintf("%s could not be read: %s", f.Path, f.Error)))
			continue
		}
		t.paragraph("  ", fmt.Sprintf("%s (%s): %s, %s failed", text.Clean(f.Path), f.Kind.Title(), text.Plural(uint64(f.Lines), "line"), text.Grouped(uint64(f.Failed))))
	}
	t.paragraph("  ", LogSummary(l))
	for _, n := range l.Notes {
		t.paragraph("  - ", text.Clean(n))
	}
	if err := t.joined(l); err != nil {
		return err
	}
	return t.unexplained(l)
}

// mostEntries bounds the entries of a log that are listed.
const mostEntries = 20

// entryColumns are those of a table about entries; last are the heads of its own.
func entryColumns(last ...string) []column {
	cs := []column{{head: "TIME"}, {head: "LINE", right: true}, {head: "STATUS", right: true}, {head: "REQUEST"}}
	for _, h := range last {
		cs = append(cs, column{head: h})
	}
	return cs
}

func (t *tables) joined(l *lblog.Join) error {
	if len(l.Joined) == 0 {
		return nil
	}
	js, left := most(l.Joined, t.o.Verbose)
	rows := make([][]cell, len(js))
	for i := range js {
		j := &js[i]
		rows[i] = t.entryRow(l, j.Entry, t.which(j), []string{joinedBy(j)})
	}
	return t.list(entryColumns("FINDING", "JOINED BY"), rows, left, "explained ")
}

// which names the findings that explain an entry.
func (t *tables) which(j *lblog.Joined) []string {
	what := fmt.Sprintf("#%d %s", j.Finding, j.Rule.ID)
	switch {
	case j.RuleDoubtful:
		what = hashes(j.Among, " or ")
	case j.Among != nil:
		what = hashes(j.Among, " or ") + " " + j.Rule.ID
	}
	out := []string{what}
	if len(j.Tries) > 0 {
		out = append(out, "before it "+hashes(j.Tries, " "))
	}
	return out
}

func hashes(ids []int, sep string) string {
	parts := make([]string, len(ids))
	for i, id := range ids {
		parts[i] = fmt.Sprintf("#%d", id)
	}
	return strings.Join(parts, sep)
}

func joinedBy(j *lblog.Joined) string {
	by := [...]string{"trace id", "request id", "LB's port", "path, time", "time"}[j.By]
	if j.Contested {
		by += ", contested"
	}
	return by
}

func (t *tables) unexplained(l *lblog.Join) error {
	if len(l.Unexplained) == 0 {
		return nil
	}
	us, left := most(l.Unexplained, t.o.Verbose)
	rows := make([][]cell, len(us))
	for i := range us {
		why := us[i].Why
		if i > 0 && why == us[i-1].Why {
			why = "as above"
		}
		rows[i] = t.entryRow(l, us[i].Entry, []string{why})
	}
	return t.list(entryColumns("UNEXPLAINED, BECAUSE"), rows, left, "unexplained ")
}

func most[T any](list []T, all bool) (shown []T, left int) {
	if n := len(list); n > mostEntries && !all {
		return list[:mostEntries], n - mostEntries
	}
	return list, 0
}

func (t *tables) list(columns []column, rows [][]cell, left int, of string) error {
	t.WriteString("\n")
	if err := t.table(columns, rows); err != nil {
		return err
	}
	if left > 0 {
		t.paragraph("", fmt.Sprintf("… and %s (-v lists all)", entries(left, of)))
	}
	return nil
}

// entryRow is a row about an entry; rest are the cells behind its first four.
func (t *tables) entryRow(l *lblog.Join, e *lblog.Entry, rest ...[]string) (row []cell) {
	status := "-"
	if e.Status > 0 {
		status = fmt.Sprint(e.Status)
	}
	line := fmt.Sprint(e.Line)
	if len(l.Files) > 1 {
		line = fmt.Sprintf("%d:%d", e.File+1, e.Line)
	}
	request := t.request(&detect.Request{Method: e.Method, Path: e.Path})
	cells := append([][]string{{t.when(e)}, {line}, {status}, {dashed(request)}}, rest...)
	for _, ls := range cells {
		for k := range ls {
			ls[k] = text.Clean(ls[k])
		}
		row = append(row, cellOf(ls...))
	}
	row[3].cuts = 1
	return row
}

// when is the time of an entry, no finer than it was logged.
func (t *tables) when(e *lblog.Entry) string {
	s := t.clock.Stamp(e.End)
	switch {
	case e.Resolution >= 1e9:
		return strings.TrimSuffix(s, ".000000")
	case e.Resolution >= 1e6:
		return s[:len(s)-3]
	}
	return s
}

func dashed(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// nameLBs names the LBs that do not show who they are by the kind of their log: those of the targets
// that entries name which findings explain. HAProxy's names none but its own server's.
func (r *Report) nameLBs() {
	said := map[int]string{} // by finding
	for i := range r.Log.Joined {
		j := &r.Log.Joined[i]
		if name := j.Kind.Software(); name != "" && j.By != lblog.ByTime && (j.Target != tcpstate.Endpoint{} || name == "HAProxy") {
			said[j.Finding] = name
		}
	}
	for i := range r.Analyses {
		a := &r.Analyses[i]
		by := map[tcpstate.Endpoint]string{}
		for _, f := range a.Result.Findings {
			if name := said[a.id(f)]; name != "" {
				by[f.Target] = name
			}
		}
		for k := range a.Result.Targets {
			if t := &a.Result.Targets[k]; t.LB == nil && by[t.Target] != "" {
				t.LB = &detect.Software{Name: by[t.Target], Basis: "its log"}
			}
		}
	}
}
