package html

import (
	"cmp"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strconv"
	"strings"

	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
	"connrace/tcpstate"
)

// How much of the findings is in the page, and how.
const (
	// mostPlain are in the page as they are, so that it shows them even where no script may
	// run. The others are packed and unfolded by the script.
	mostPlain = 200
	// mostFindings are in the page at all.
	mostFindings = 20_000
	// mostGroups are told apart by target too, not only by rule.
	mostGroups = 40
	// mostOptions are the targets that one can choose.
	mostOptions = 200
)

// findings are all findings that are shown, in groups.
type findings struct {
	p       *page
	Outages []outage
	Groups  []*group
	Rules   []*detect.Rule // to choose from
	Targets []string       // likewise
	Total   int
	Plain   int // in the page as they are
	Left    int // not in the page
}

// group are the findings of one rule, and of one target unless there are too many.
type group struct {
	ID      string
	Rule    *detect.Rule
	Target  string // "" where it has several
	Targets int
	Grade   string // severity of the gravest
	N, Lost int
	Open    bool
	Advice  []advice
	More    int   // causes that are not told
	Rows    []row // plain ones
	Packed  int

	all   []*found
	plain int // how many of all are Rows
	kept  int // how many of all are in the page
	worst detect.Severity
}

// advice is why, and what to change, for some findings of a group.
type advice struct {
	Cause, Fix string
	N          int
}

const mostAdvice = 3

func (p *page) findings() *findings {
	fs := &findings{p: p, Total: len(p.found)}
	fs.group()
	fs.choose()
	fs.Outages = p.outages()
	targets := map[string]bool{}
	for i, g := range fs.Groups {
		g.ID = "g" + strconv.Itoa(i)
		g.describe()
		g.Open = g.worst > detect.Info || i == 0
		if !slices.Contains(fs.Rules, g.Rule) {
			fs.Rules = append(fs.Rules, g.Rule)
		}
		for k, f := range g.all[:g.plain] {
			r := p.row(f)
			r.Open = i == 0 && k == 0
			g.Rows = append(g.Rows, r)
		}
		for _, f := range g.all {
			targets[f.At()] = true
		}
	}
	if fs.Targets = slices.Sorted(maps.Keys(targets)); len(fs.Targets) > mostOptions {
		fs.Targets = nil
	}
	return fs
}

// group sorts the findings into groups, the gravest first.
func (fs *findings) group() {
	type key struct {
		rule   *detect.Rule
		target string
	}
	by := map[key]*group{}
	of := func(f *found, alike bool) *group {
		k := key{rule: f.Rule}
		if alike {
			k.target = f.At()
		}
		if by[k] == nil {
			by[k] = &group{Rule: f.Rule}
			if alike {
				by[k].Target = k.target
			}
		}
		return by[k]
	}
	kinds := map[key]bool{}
	for _, f := range fs.p.found {
		kinds[key{f.Rule, f.At()}] = true
	}
	for _, f := range fs.p.found {
		g := of(f, len(kinds) <= mostGroups)
		g.all = append(g.all, f)
		g.worst = max(g.worst, f.Severity)
		if f.Lost {
			g.Lost++
		}
	}
	for _, g := range by {
		fs.Groups = append(fs.Groups, g)
	}
	slices.SortFunc(fs.Groups, func(a, b *group) int {
		return cmp.Or(cmp.Compare(b.worst, a.worst), cmp.Compare(b.Lost, a.Lost), cmp.Compare(len(b.all), len(a.all)),
			cmp.Compare(a.Rule.ID, b.Rule.ID), cmp.Compare(a.Target, b.Target))
	})
}

// choose decides how many findings of each group are in the page, and how many of those
// plainly: fair shares, so that no group hides another.
func (fs *findings) choose() {
	sizes := make([]int, len(fs.Groups))
	for i, g := range fs.Groups {
		sizes[i] = len(g.all)
	}
	for i, n := range shares(sizes, mostFindings) {
		fs.Groups[i].kept = n
		fs.Left += sizes[i] - n
		sizes[i] = n
	}
	for i, n := range shares(sizes, mostPlain) {
		fs.Groups[i].plain = n
		fs.Groups[i].Packed = sizes[i] - n
		fs.Plain += n
	}
}

// shares divides room among those who want it: nobody gets more than he wants, or less than
// others who get less than they want.
func shares(wants []int, room int) []int {
	got := make([]int, len(wants))
	order := make([]int, len(wants))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(wants[a], wants[b]) })
	for k, i := range order {
		got[i] = min(wants[i], room/(len(order)-k))
		room -= got[i]
	}
	return got
}

// describe fills in what a group says of itself.
func (g *group) describe() {
	g.N, g.Grade = len(g.all), g.worst.String()
	targets := map[string]bool{}
	at := map[advice]int{} // by Cause and Fix; N is 0
	for _, f := range g.all {
		targets[f.At()] = true
		k := advice{Cause: text.Clean(f.Cause), Fix: text.Clean(f.Fix)}
		i, ok := at[k]
		if !ok {
			i = len(g.Advice)
			at[k] = i
			g.Advice = append(g.Advice, k)
		}
		g.Advice[i].N++
	}
	g.Targets = len(targets)
	slices.SortStableFunc(g.Advice, func(a, b advice) int { return cmp.Compare(b.N, a.N) })
	if g.More = len(g.Advice) - mostAdvice; g.More > 0 {
		g.Advice = g.Advice[:mostAdvice]
	}
}

// row is a finding as a line that unfolds.
type row struct {
	ID                  int
	Link                string // where it is in the page
	Grade               string
	Time, LB, Target    string
	Request             string
	Waited              string
	Confidence, Grounds string
	Lost                bool
	Capture             string // where there are several
	Open                bool
	Summary             string
	Streams             []string      // of HTTP/2, where it is about several
	Histogram           template.HTML // of what is about a target as a whole
	Ladder              template.HTML
	Proof, Caption      string
	Filter, Tuple       string
	Others              []report.Filter // for the captures of other points
	Frames              []frameText
	Facts               []fact
}

// linkTo is where a finding's row is in the page.
func linkTo(id int) string { return "f" + strconv.Itoa(id) }

// frameText is a segment in a table.
type frameText struct {
	Frame, Time, From, Flags, Numbers, Absolute, Stream, Note, Comment string
}

func (p *page) row(f *found) row {
	r := row{
		ID: f.id, Link: linkTo(f.id), Grade: f.Severity.String(), Time: p.Stamp(f.Time), Target: f.At(), Lost: f.Lost,
		Request: cut(requestLine(f.Request, p.o.ShowQuery), 200), Waited: waited(&f.Measures),
		Confidence: f.Confidence.String(), Grounds: text.Clean(f.Grounds), Summary: text.Sentence(text.Clean(f.Summary)),
		Filter: f.DisplayFilter(), Tuple: f.TupleFilter(), Others: p.r.OtherFilters(f.a, f.Finding), Streams: report.Streams(f.Finding, p.o.ShowQuery),
	}
	if f.LB != (tcpstate.Endpoint{}) {
		r.LB = f.LB.String()
	}
	if len(p.r.Captures) > 1 {
		r.Capture = p.r.NameOf(f.captureOf(f.Capture))
	}
	l := newLadderOf(f.a, f.Finding, f.Known, p.o.ShowQuery)
	if f.Rule.About == detect.AboutTarget && f.Known != nil {
		// Its evidence are examples: what it says is what the closes have in common.
		r.Histogram = histogram(f.Known)
	}
	if len(l.steps) > 0 && r.Histogram == "" {
		r.Ladder, r.Proof, r.Caption = l.draw(f.id, f.frame, p.Stamp), l.proof(), l.caption()
	}
	es := report.Story(f.Finding)
	bs := report.NewRelative(f.Finding, es)
	before := ""
	for _, e := range es {
		comment := ""
		if e.Comment() != before {
			comment, before = cut(text.Clean(e.Comment()), 400), e.Comment()
		}
		r.Frames = append(r.Frames, frameText{
			Frame: f.frame(e), Time: p.Stamp(e.Time), From: [2]string{"load balancer", "target"}[from(e)], Flags: flagNames(e.Flags),
			Numbers: numbers(bs, f.Finding, e), Absolute: absolute(e), Stream: uintText(uint64(e.Stream)), Note: text.Clean(e.Note), Comment: comment,
		})
	}
	r.Facts = p.facts(f)
	return r
}

// waited is the figure that tells most of an incident.
func waited(m *detect.Measures) string {
	switch {
	case m.Idle.Known:
		return "idle " + text.Short(m.Idle.NS)
	case m.Delay.Known:
		return "late by " + text.Short(m.Delay.NS)
	case m.Outstanding.Known:
		return "after " + text.Short(m.Outstanding.NS)
	}
	return ""
}

// facts are the figures of a finding that are known.
func (p *page) facts(f *found) []fact {
	var fs []fact
	add := func(name, value, note string) {
		if value != "" {
			fs = append(fs, fact{name, value, note})
		}
	}
	span := func(name string, d detect.Duration) {
		if d.Known {
			add(name, text.Span(d.NS), "")
		}
	}
	m := &f.Measures
	add("Confidence", f.Confidence.String(), text.Clean(f.Grounds))
	span("Idle before", m.Idle)
	span("Round trip", m.RTT)
	span("Outstanding", m.Outstanding)
	span("Late by", m.Delay)
	if m.Attempts > 0 {
		add("Attempts", strconv.Itoa(m.Attempts), "")
	}
	if m.Waiting >= 0 {
		add("Requests waiting", strconv.Itoa(m.Waiting), "on the same listener at that moment")
	}
	basis := ""
	if m.CloseCauseBasis != "" {
		basis = map[string]string{"inferred": "inferred from its closes", "advertised": "it announces so", "hint": "a well-known default, or a round time", "refused": "it refused connections then"}[m.CloseCauseBasis]
	}
	if c := detect.CauseOf(m.CloseCause); c != nil {
		add("The target closed", c.Label, basis)
	}
	if f.Inexact {
		add("Streams", "by address", "the capture's stream numbers may differ from Wireshark's")
	}
	kind := map[string]string{"reply": "a reply: no socket any more", "active": "by the application"}[m.RST]
	from := ""
	switch m.RSTOrigin {
	case detect.OriginBetween:
		kind = "sent by something in between"
		from = map[string]string{detect.OriginByTTL: "its time to live is not that of the end's other segments", detect.OriginByShape: "no host sends one of that shape"}[m.RSTOriginBasis]
	case detect.OriginTarget, detect.OriginLB:
		from = "its time to live is that of the end's other segments"
	}
	add("RST", kind, from)
	if e := m.ICMP; e != nil {
		add("ICMP", cmp.Or(e.Name(), fmt.Sprintf("type %d code %d", e.Type, e.Code)), "from "+e.From.String())
	}
	if k := m.Kernel; k != nil {
		add("The target's kernel", k.String(), "")
	}
	add("Why the kernel reset it", m.RSTReason, "")
	if m.DropReason != "" {
		add("Dropped by the kernel", text.Plural(uint64(m.Dropped), "segment"), m.DropReason)
	}
	if f.Process != nil {
		note := f.Process.Command
		if f.Process.Basis == detect.ByComment {
			note = "by the capture's comments; " + note
		}
		add("The process", text.Clean(f.Process.String()), strings.TrimSuffix(text.Clean(note), "; "))
	}
	if m.Retried {
		add("Tried again", fmt.Sprintf("stream %d, frame %d", m.RetryStream, m.RetryFrame), "")
	}
	if q := f.Request; q != nil {
		note := fmt.Sprintf("frame %d, %s", q.Frame, text.Plural(uint64(q.Bytes), "byte"))
		if q.Method == "" && q.Path == "" {
			note = fmt.Sprintf("frame %d; not to be read: encrypted, or not captured", q.Frame)
		}
		add("Request", cut(requestLine(q, p.o.ShowQuery), 400), note)
		if idempotent, known := q.Idempotent(); known && !idempotent {
			add("Repeatable", "no", "the method is not idempotent: load balancers do not repeat it by themselves, for it may run twice")
		}
		add("X-Amzn-Trace-Id", cut(text.Clean(q.TraceID), 200), "")
		add("X-Request-Id", cut(text.Clean(q.RequestID), 200), "")
	}
	return fs
}

// text is what a search looks through, in small letters.
func (p *page) text(f *found) string {
	var b strings.Builder
	for _, s := range []string{
		"#" + strconv.Itoa(f.id), f.Rule.ID, f.Rule.Title, f.Severity.String(), f.Confidence.String(), p.Stamp(f.Time), f.LB.String(), f.At(),
		requestLine(f.Request, p.o.ShowQuery), f.Measures.CloseCause, text.Clean(f.Summary),
	} {
		b.WriteString(s + " ")
	}
	if q := f.Request; q != nil {
		b.WriteString(text.Clean(q.TraceID) + " " + text.Clean(q.RequestID) + " ")
	}
	if f.Lost {
		b.WriteString("failed ")
	}
	for _, s := range f.Streams() {
		fmt.Fprintf(&b, "stream %d ", s)
	}
	for i := range f.Evidence {
		fmt.Fprintf(&b, "frame %d ", f.Evidence[i].Frame)
	}
	return strings.ToLower(cut(b.String(), 4000))
}

func uintText(n uint64) string { return strconv.FormatUint(n, 10) }
