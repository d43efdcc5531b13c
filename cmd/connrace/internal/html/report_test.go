package html

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"connrace/cmd/connrace/internal/baseline"
	"connrace/cmd/connrace/internal/diagnosis"
	"connrace/cmd/connrace/internal/report"
	"connrace/detect"
)

func render(t testing.TB, r *report.Report, o report.Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, r, &o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// unpack reads the elements of data of a class.
func unpack[T any](t testing.TB, page, class string) (all []T) {
	t.Helper()
	for _, m := range regexp.MustCompile(`<script type="application/gzip" class="`+class+`">([A-Za-z0-9_-]*)</script>`).FindAllStringSubmatch(page, -1) {
		b, err := base64.RawURLEncoding.DecodeString(m[1])
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		var v T
		if err := json.Unmarshal(text, &v); err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	return all
}

// markup is a page without its own style and script.
func markup(t testing.TB, page string) string {
	t.Helper()
	for _, own := range []string{style, script} {
		if strings.Count(page, own) != 1 {
			t.Fatal("the page lacks its style or script, or they were changed on the way")
		}
		page = strings.Replace(page, own, "", 1)
	}
	return page
}

// The page refers to nothing outside of itself.
func TestSelfContained(t *testing.T) {
	page := render(t, sample(2), report.Options{})
	markup := markup(t, page)
	for _, x := range []string{" src=", "<link", "url(", "@import", "<base", "<iframe", "<object", "<embed", "style=", " onclick", "javascript:"} {
		if strings.Contains(markup, x) {
			t.Errorf("the page has %q", x)
		}
	}
	for _, x := range []string{"url(", "@import", "http:", "https:", "fetch(", "XMLHttpRequest", "eval(", "import("} {
		if strings.Contains(style+script, x) {
			t.Errorf("style or script has %q", x)
		}
	}
	for _, m := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(markup, -1) {
		id, ok := strings.CutPrefix(m[1], "#")
		if !ok || !strings.Contains(markup, `id="`+id+`"`) {
			t.Errorf("a link to %q", m[1])
		}
	}
}

func TestPolicy(t *testing.T) {
	page := render(t, sample(1), report.Options{})
	m := regexp.MustCompile(`<meta http-equiv="Content-Security-Policy" content="([^"]*)">`).FindStringSubmatch(page)
	if m == nil || !strings.HasPrefix(m[1], "default-src &#39;none&#39;;") || strings.Contains(m[1], "unsafe") {
		t.Fatalf("policy %q", m)
	}
	for _, own := range []string{style, script} {
		h := sha256.Sum256([]byte(own))
		if hash := "sha256-" + base64.StdEncoding.EncodeToString(h[:]); !strings.Contains(strings.ReplaceAll(m[1], "&#43;", "+"), hash) {
			t.Errorf("no %s in %s", hash, m[1])
		}
	}
	if strings.Index(page, m[0]) > strings.Index(page, "<style>") {
		t.Error("the policy comes after what it is for")
	}
}

// Nothing hostile becomes an element, an attribute or a control character; the words are
// there to be read.
func TestHostile(t *testing.T) {
	old := *detect.FINRequestCrossing
	defer func() { *detect.FINRequestCrossing = old }()
	page := render(t, poisoned(), report.Options{ShowQuery: true})
	rows := page
	for _, r := range unpack[[]string](t, page, "parcel") {
		rows += strings.Join(r, "")
	}
	own := markup(t, rows)
	if n := strings.Count(own, "<script"); n != strings.Count(own, `<script type="application/gzip"`)+strings.Count(own, baseline.Element)+1 {
		t.Errorf("%d scripts", n)
	}
	for _, x := range []string{"<img", "</title></style>", "<!--", "\x1b", "\a", "\x00", "\xff", "\u202e", "\u2028"} {
		if strings.Contains(own, x) {
			t.Errorf("the page has %q", x)
		}
	}
	// What --baseline reads is all there, in letters that mean nothing to anybody else.
	_, doc, _ := strings.Cut(page, baseline.Element)
	doc, _, _ = strings.Cut(doc, baseline.EndElement)
	var embedded struct{ Captures []struct{ Path string } }
	if err := json.Unmarshal([]byte(doc), &embedded); err != nil || !strings.Contains(embedded.Captures[0].Path, "<script>") || strings.ContainsFunc(doc, func(r rune) bool { return r > 0x7f }) {
		t.Errorf("the page holds %v, %.300s", err, doc)
	}
	if !strings.Contains(own, "&lt;script&gt;alert(1)&lt;/script&gt;") {
		t.Error("the text is not shown")
	}
	// Inside of a tag, a quote would end an attribute.
	for _, m := range regexp.MustCompile(`<[a-zA-Z/][^>]*>`).FindAllString(own, -1) {
		if strings.Contains(m, "onerror=") && !strings.Contains(strings.ReplaceAll(m, `\`, ""), "&#34;&#39;") {
			t.Errorf("unquoted in %.300s", m)
		}
	}
}

func TestQuery(t *testing.T) {
	text := func(o report.Options) string {
		page := render(t, sample(300), o)
		for _, r := range unpack[[]string](t, page, "parcel") {
			page += strings.Join(r, "")
		}
		for _, ix := range unpack[index](t, page, "index") {
			page += fmt.Sprint(ix)
		}
		return page
	}
	if strings.Contains(text(report.Options{}), "secret=") {
		t.Error("a query string is shown")
	}
	if !strings.Contains(text(report.Options{ShowQuery: true}), "secret=") {
		t.Error("no query string is shown")
	}
}

// Each finding is in the page once, plain or packed, with its ladder, and in the index.
func TestPacked(t *testing.T) {
	r := sample(450)
	page := render(t, r, report.Options{})
	all := r.Analyses[0].Result.Findings
	ids := map[string]int{}
	id := regexp.MustCompile(`<details class="finding [a-z]+" id="(f\d+)"`)
	for _, m := range id.FindAllStringSubmatch(page, -1) {
		ids[m[1]]++
	}
	if len(ids) != mostPlain {
		t.Errorf("%d plain findings", len(ids))
	}
	parcels := unpack[[]string](t, page, "parcel")
	for _, rows := range parcels {
		for _, row := range rows {
			m := id.FindStringSubmatch(row)
			if m == nil || !strings.HasPrefix(row, m[0]) || strings.Count(row, `<svg class="ladder"`) != 1 || !strings.HasSuffix(row, "</details>\n") {
				t.Fatalf("packed: %.200s", row)
			}
			ids[m[1]]++
		}
	}
	ix := unpack[index](t, page, "index")[0]
	if len(ids) != len(all) || len(ix.Rows) != len(all) || sum(ix.Groups) != len(all) {
		t.Fatalf("%d findings, %d in the page, %d in the index, %v", len(all), len(ids), len(ix.Rows), ix.Groups)
	}
	for _, row := range ix.Rows {
		key := fmt.Sprintf("f%d", row.ID)
		if ids[key] != 1 {
			t.Fatalf("%s is there %d times", key, ids[key])
		}
		if row.Parcel >= 0 && !strings.Contains(parcels[row.Parcel][row.Place], `id="`+key+`"`) {
			t.Fatalf("%s is not in its place", key)
		}
		if f := all[row.ID-1]; !strings.Contains(row.Text, f.Rule.ID) || !strings.Contains(row.Text, fmt.Sprintf("frame %d ", f.Frame)) || strings.ToLower(row.Text) != row.Text {
			t.Fatalf("%s: %s", key, row.Text)
		}
	}
}

func sum(ns []int) (n int) {
	for _, x := range ns {
		n += x
	}
	return n
}

// With more findings than fit, each group keeps a fair share and the page says so.
func TestBounds(t *testing.T) {
	r := sample(2)
	x := r.Analyses[0].Result
	f := x.Findings[0]
	for i := range mostFindings + 5000 {
		g := *f
		g.ID = len(x.Findings) + 1
		if i%9 == 0 {
			g.Rule = detect.RequestAfterFIN
		}
		x.Findings = append(x.Findings, &g)
	}
	p := newPage(r, &report.Options{})
	fs := p.findings()
	kept := 0
	for _, g := range fs.Groups {
		kept += g.kept
		if g.Rule == detect.RequestAfterFIN && g.kept != len(g.all) {
			t.Errorf("of the smaller group %d of %d", g.kept, len(g.all))
		}
	}
	if kept != mostFindings || fs.Left != len(x.Findings)-mostFindings || fs.Plain != mostPlain {
		t.Errorf("%d kept, %d left, %d plain", kept, fs.Left, fs.Plain)
	}
}

// A scan of a network must not make a group, a card and an option of each address.
func TestManyTargets(t *testing.T) {
	r := sample(2)
	x := r.Analyses[0].Result
	for i := range 3000 {
		at := fmt.Sprintf("10.9.%d.%d:80", i/250, i%250)
		x.Findings = append(x.Findings, dropped(len(x.Findings)+1, midnight, "10.0.0.2:1", at))
		x.Targets = append(x.Targets, detect.Target{Target: ep(at), Connections: 1})
	}
	p := newPage(r, &report.Options{})
	fs := p.findings()
	if len(fs.Groups) != 2 || fs.Groups[0].Target != "" || fs.Targets != nil {
		t.Errorf("%d groups, %d options", len(fs.Groups), len(fs.Targets))
	}
	if c := p.cards(); len(c.Cards) != mostCards || len(c.Table) != mostRows || c.Left != len(x.Targets)-mostCards-mostRows {
		t.Errorf("%d cards, %d rows, %d left", len(c.Cards), len(c.Table), c.Left)
	}
	if page := render(t, r, report.Options{}); !strings.Contains(page, "3002 targets") && !strings.Contains(page, "3001 targets") {
		t.Error("the page does not say how many targets the group has")
	}
}

func TestShares(t *testing.T) {
	for _, c := range []struct {
		wants []int
		room  int
		got   []int
	}{
		{[]int{5, 100, 100}, 45, []int{5, 20, 20}},
		{[]int{1, 2, 3}, 100, []int{1, 2, 3}},
		{[]int{10, 10, 10}, 4, []int{1, 1, 2}},
		{[]int{7}, 0, []int{0}},
		{nil, 9, []int{}},
	} {
		if got := shares(c.wants, c.room); !slices.Equal(got, c.got) {
			t.Errorf("%v in %d: %v, want %v", c.wants, c.room, got, c.got)
		}
	}
}

func TestVerdict(t *testing.T) {
	all := sample(20)
	only := func(keep func(*detect.Finding) bool) *report.Report {
		r := sample(20)
		x := r.Analyses[0].Result
		x.Findings = slices.DeleteFunc(x.Findings, func(f *detect.Finding) bool { return !keep(f) })
		x.Totals.Tries = detect.Tries{}
		for _, f := range x.Findings {
			x.Tally(f.Target, f.Tries())
		}
		return r
	}
	drops := only(func(f *detect.Finding) bool { return f.Request == nil })
	none := only(func(*detect.Finding) bool { return false })
	mild := only(func(f *detect.Finding) bool { return f.Request == nil })
	mild.Analyses[0].Result.Totals.Tries = detect.Tries{}
	for _, f := range mild.Analyses[0].Result.Findings {
		f.Severity, f.Lost, f.Measures.Delay = detect.Warning, false, detect.Duration{NS: second, Known: true}
	}
	for _, c := range []struct {
		name               string
		r                  *report.Report
		title, timer, lede string
	}{
		{"crossings", all, "20 of 200 requests got no answer, and 2 connections failed", "The target's keep-alive timeout: 5\u00a0s", "502"},
		{"drops", drops, "2 connections could not be set up", "No timer: the listen queue", "could not connect"},
		{"warnings", mild, "No request failed, but something is wrong", "No timer: the listen queue", "2 connections came late."},
		{"nothing", none, "Nothing found", "", "0 findings in 2,000 frames"},
	} {
		v := newPage(c.r, &report.Options{}).verdict()
		if v.Title != c.title || !strings.Contains(v.Lede, c.lede) {
			t.Errorf("%s: %q, %q", c.name, v.Title, v.Lede)
		}
		if c.timer != "" && (len(v.Problems) == 0 || v.Problems[0].Timer.Head != c.timer) {
			t.Errorf("%s: %+v", c.name, v.Problems)
		}
	}
	q := newPage(all, &report.Options{}).verdict().Problems[0]
	if !strings.Contains(q.Fix, "Raise the target's keep-alive timeout") || len(q.Lines) == 0 || q.Timer.Race == nil {
		t.Errorf("%+v", q)
	}
}

// What cost an answer is told at length, however much there is of it; and as text, too.
func TestNoLostAnswerIsHidden(t *testing.T) {
	r := sample(3)
	x := r.Analyses[0].Result
	for i, rule := range []*detect.Rule{detect.ConnectionRefused, detect.ResponseTruncated, detect.StaleConnection, detect.PortReuse} {
		f := raceFinding(100+i, midnight, "10.0.0.2:9", "10.0.1.9:8080", "/x")
		f.Rule, f.Measures.CloseCause, f.Cause = rule, "", rule.Cause
		x.Findings = append(x.Findings, f)
		x.Tally(f.Target, f.Tries())
	}
	v := newPage(r, &report.Options{}).verdict()
	if len(v.Problems) != 6 || len(v.More) != 0 {
		t.Errorf("%d problems at length, %d in a line", len(v.Problems), len(v.More))
	}
	for _, q := range v.Problems {
		for _, want := range []string{v.Title, q.Title, "\n  what   ", "\n  timer  ", "\n  fix    ", "\nweb-1.pcap  2019-01-25 23:59:59 to 2019-01-26 00:01:01 UTC\n"} {
			if !strings.Contains(q.Ticket, want) {
				t.Errorf("no %q in\n%s", want, q.Ticket)
			}
		}
	}
}

// What is about a target as a whole shows its closes, not some of them beside one another.
func TestAboutTargetDrawsItsHistogram(t *testing.T) {
	r := sample(3)
	x := r.Analyses[0].Result
	f := raceFinding(100, midnight, "10.0.0.2:9", "10.0.1.9:8080", "/x")
	f.Rule, f.Severity, f.Lost, f.Request, f.HasStream = detect.KeepAliveMismatch, detect.Warning, false, nil, false
	x.Findings = append(x.Findings, f)
	p := newPage(r, &report.Options{})
	if got := p.row(p.found[len(p.found)-1]); got.Ladder != "" || !strings.Contains(string(got.Histogram), "Target closed") {
		t.Errorf("a ladder of %d bytes, a histogram of %d", len(got.Ladder), len(got.Histogram))
	}
	if got := p.row(p.found[0]); got.Ladder == "" || got.Histogram != "" {
		t.Error("no ladder of a crossing")
	}
}

func TestBeside(t *testing.T) {
	r := sample(20)
	beside(r, "earlier.json")
	page := render(t, r, report.Options{})
	for _, want := range []string{
		`<a href="#f1">#1</a> fin-request-crossing</td><td>path and time</td>`, `<td class="n">502</td><td><code>GET /r/0</code></td><td>earlier.json</td>`,
		`id="log-title"`, `id="baseline-title"`, "9 (900 per thousand requests)", "20 (100 per thousand requests)",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s", want)
		}
	}
	if page := render(t, sample(2), report.Options{}); strings.Contains(page, `id="log"`) || strings.Contains(page, `id="baseline"`) {
		t.Error("sections about nothing")
	}
}

func TestFilters(t *testing.T) {
	o := report.Options{Rules: map[string]bool{"syn-dropped": true}}
	page := render(t, sample(20), o)
	if strings.Contains(page, `data-rule="fin-request-crossing"`) || !strings.Contains(page, "20 findings not shown (--rule, --severity)") {
		t.Error("--rule does not choose, or the page does not say so")
	}
}

// Extremes of times and counts must not break a drawing.
func TestExtremes(t *testing.T) {
	r := sample(3)
	x := r.Analyses[0].Result
	x.Findings[0].Time, x.Findings[1].Time = math.MinInt64, math.MaxInt64
	for i := range x.Targets[0].Reuses {
		x.Targets[0].Reuses[i] = math.MaxUint32
	}
	x.Targets[0].Idle.NS, x.Targets[0].LBIdle.NS, x.Targets[0].LongestReuse.NS = 0, math.MaxInt64, -1
	r.Captures[0].First, r.Captures[0].Last = math.MaxInt64, math.MinInt64
	page := render(t, r, report.Options{})
	for _, ns := range []int64{math.MinInt64, -1, 0, math.MaxInt64} {
		page += string(drawRace(&diagnosis.Race{Target: ns, LB: &detect.Timeout{NS: math.MinInt64}}))
		page += string(drawRace(&diagnosis.Race{Target: ns, LB: &detect.Timeout{NS: math.MaxInt64}}))
	}
	if bad := regexp.MustCompile(`"[^"]*\b(NaN|Inf)\b[^"]*"|(width|height|r)="-[^"]*"`).FindString(page); bad != "" {
		t.Errorf("the page has %s", bad)
	}
	for _, r := range []*report.Report{{}, {Captures: []report.Capture{{}}}, {Captures: []report.Capture{{}}, Analyses: []report.Analysis{{Result: &detect.Result{}, Captures: []int{0}}}}} {
		if page := render(t, r, report.Options{}); !strings.Contains(page, "Nothing found") {
			t.Error("an empty report is no page")
		}
	}
}

func TestProse(t *testing.T) {
	for in, want := range map[string]string{
		"plain": "plain", "a `b <c>` d": "a <code>b &lt;c&gt;</code> d", "<b>": "&lt;b&gt;", "one ` alone": "one ` alone", "`x``y`": "<code>x</code><code>y</code>",
		"65 s, not 2 steps": "65\u00a0s, not 2 steps",
	} {
		if got := string(prose(in)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	r := sample(9000)
	for b.Loop() {
		var n counter
		if err := Write(&n, r, &report.Options{}); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(n), "bytes")
	}
}

type counter int

func (c *counter) Write(p []byte) (int, error) { *c += counter(len(p)); return len(p), nil }
