package report

import (
	"bytes"
	"encoding/csv"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"connrace/cmd/connrace/internal/baseline"
	"connrace/cmd/connrace/internal/lblog"
	"connrace/detect"
	"connrace/tcpstate"
)

// beside is sample with a path that means something to spreadsheets, Markdown and HTML, with
// a log and an earlier report beside it.
func beside() *Report {
	r := sample()
	race := r.Analyses[0].Result.Findings[0]
	race.Request.Path = "/a`b|c\x1b[31m/<script>alert(1)</script>/@all/#1?token=secret"
	race.Request.TraceID = "=cmd|' /C calc'!A0"
	race.Request.RequestID = "``x"
	entry := func(line int, s int, says string) *lblog.Entry {
		return &lblog.Entry{
			Line: line, Kind: lblog.HAProxy, End: at("2019-01-26T00:00:15.021Z"), Resolution: 1e6, Status: s, Says: says,
			Method: "GET", Path: race.Request.Path, TraceID: "Root=1-5c4ba400-0",
		}
	}
	coarse := entry(9, 0, "no live upstreams")
	coarse.Kind, coarse.Resolution, coarse.End = lblog.NginxError, 1e9, at("2019-01-26T00:00:16Z")
	r.Log = &lblog.Join{
		Files:   []lblog.File{{Path: "lb\x1b.log", Kind: lblog.HAProxy, Lines: 1234, Entries: 1200, Failed: 5}},
		Entries: 1200, Failed: 5, Explained: 2, ByRule: map[string]int{"fin-request-crossing": 1, "syn-dropped": 1}, Ambiguous: 1, OutsideCapture: 1,
		Joined: []lblog.Joined{
			{Entry: entry(7, 502, "termination state SH--"), Finding: 1, Rule: detect.FINRequestCrossing, By: lblog.ByTraceID, Tries: []int{3}},
			{Entry: entry(8, 503, "termination state sC--"), Finding: 2, Rule: detect.SYNDropped, By: lblog.ByTime, Among: []int{2, 4}},
		},
		Unexplained: []lblog.Unexplained{
			{Entry: coarse, Reason: lblog.NotOnTheWire, Why: "nginx had taken all targets out of service"},
			{Entry: entry(12, 502, "x"), Reason: lblog.Contested, Why: "finding #1 fits, but more entries fit than there are findings"},
		},
		Offset: 1500 * time.Millisecond, Notes: []string{"the load balancer's clock is 1.5s ahead of the capture's"},
	}
	r.Log.ByReason[lblog.NotOnTheWire], r.Log.ByReason[lblog.Contested] = 1, 1
	before := &baseline.Run{
		First: time.Unix(1548000000, 0), Requests: 5000, Lost: 60, Findings: map[string]int{"fin-request-crossing": 60, "a|b`c": 2},
		Targets: []baseline.Target{{Target: "10.0.1.9:8080", Requests: 5000, Idle: 5.001}},
	}
	r.Baseline = baseline.Compare("old\x07.json", before, r.Figures())
	return r
}

func written(t *testing.T, write func(io.Writer, *Report, *Options) error, r *Report, o *Options) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b, r, o); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestMarkdown(t *testing.T) {
	golden(t, "report.md", written(t, Markdown, beside(), &Options{}))
	golden(t, "report-verbose.md", written(t, Markdown, beside(), &Options{Verbose: true, ShowQuery: true, MinSeverity: detect.Error}))
}

func TestCSV(t *testing.T) {
	got := written(t, CSV, beside(), &Options{})
	golden(t, "report.csv", got)
	if n := bytes.Count(got, []byte("\n")); n != bytes.Count(got, []byte("\r\n")) {
		t.Error("lines end in CRLF (RFC 4180 §2)")
	}
	rows, err := csv.NewReader(bytes.NewReader(got)).ReadAll()
	if err != nil || len(rows) != 5 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	cell := func(name string) string { return rows[1][slices.Index(rows[0], name)] }
	if got := cell("trace_id"); got != "'=cmd|' /C calc'!A0" {
		t.Errorf("trace_id %q is a formula", got)
	}
	if got := cell("path"); strings.Contains(got, "secret") || strings.Contains(got, "\x1b") {
		t.Errorf("path %q", got)
	}
	if got := cell("log"); got != `lb\x1b.log:7` {
		t.Errorf("log %q", got)
	}
	if got := written(t, CSV, beside(), &Options{Rules: map[string]bool{"syn-dropped": true}}); bytes.Count(got, []byte("\n")) != 2 {
		t.Errorf("%s", got)
	}
}

func TestBesideTable(t *testing.T) {
	golden(t, "table-beside.txt", table(t, beside(), &Options{}))
}

// Nothing of the packets gets out of its code span.
func TestCode(t *testing.T) {
	for in, want := range map[string]string{
		"":              "-",
		"GET /":         "`GET /`",
		"a`b":           "``a`b``",
		"`":             "`` ` ``",
		"``x":           "``` ``x ```",
		"a|b":           "`a\\|b`",
		"a\nb\x00":      "`a\\nb\\x00`",
		"\u202eevil":    "`\\u202eevil`",
		" x ":           "`x`",
		"a```` b` ````": "````` a```` b` ```` `````",
	} {
		if got := code(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
	if got := escape("<b> *x* [a](b) `c` #1 a|b \\ ~$&!"); got != "\\<b\\> \\*x\\* \\[a\\](b) \\`c\\` \\#1 a\\|b \\\\ \\~\\$\\&\\!" {
		t.Error(got)
	}
}

func segment(frame uint64, ms int64, lb bool, flags tcpstate.Flags, seq, ack tcpstate.Seq, n uint32, role detect.Role) detect.Evidence {
	return detect.Evidence{
		Frame: frame, Time: at("2024-01-01T00:00:00Z") + ms*1e6, FromLB: lb, Flags: flags, Seq: seq, Ack: ack, Len: n, Role: role, Note: string(role),
	}
}

func TestLadder(t *testing.T) {
	const push, fin, synack = tcpstate.PSH | tcpstate.ACK, tcpstate.FIN | tcpstate.ACK, tcpstate.SYN | tcpstate.ACK
	crossing := []detect.Evidence{ // as the LB sees it: the request first; numbers wrap
		segment(10, 1000, true, push, 4294967290, 500, 20, detect.RoleRequest),
		segment(11, 1010, false, fin, 500, 4294967290, 0, detect.RoleFIN),
		segment(12, 1020, false, tcpstate.RST, 500, 0, 0, detect.RoleRST),
	}
	resets := []detect.Evidence{
		segment(1, 0, true, tcpstate.SYN, 99, 0, 0, detect.RoleSYN), segment(2, 1, false, synack, 7, 100, 0, detect.RoleSYNACK),
		segment(3, 2, true, push, 100, 8, 1000, detect.RoleRequest), segment(4, 3, false, push, 8, 1100, 90, detect.RoleAnswer),
	}
	for i := range uint64(20) {
		resets = append(resets, segment(5+i, 4, false, tcpstate.RST, 98, 0, 0, detect.RoleRST))
	}
	last := segment(9, 0, false, push, 400, 4294967290, 100, detect.RoleLastAnswer)
	for _, c := range []struct {
		f    detect.Finding
		want string
	}{
		{detect.Finding{Rule: detect.FINRequestCrossing, Lost: true, Evidence: crossing, IdleFrom: &last, Measures: detect.Measures{Idle: secs(1010e6)}}, `
   frame  time UTC         LB                               target
       9  00:00:00.000000  | <--- P. 1:101(100) ack 1 ---------- |  last-answer
                           |           … idle 1.01 s …           |
      10  00:00:01.000000  | ---- P. 1:21(20) ack 101 ---\ /---> |  request: FAILED
      11  00:00:01.010000  | <--- F. 101 ack 1 -----------X----- |  fin
      12  00:00:01.020000  | <--- R 101 ------------------------ |  rst
`},
		{detect.Finding{Rule: detect.EarlyResponseReset, Evidence: resets}, `
   frame  time UTC         LB                                 target
       1  00:00:00.000000  | ---- S 0 ---------------------------> |  syn
       2  00:00:00.001000  | <--- S. 0 ack 1 --------------------- |  syn-ack
       3  00:00:00.002000  | ---- P. 1:1001(1000) ack 1 ---------> |  request
       4  00:00:00.003000  | <--- P. 1:91(90) ack 1001 ----------- |  answer
       5  00:00:00.004000  | <--- R 91 --------------------------- |  rst
       6  00:00:00.004000  | <--- R 91 --------------------------- |  rst
       7  00:00:00.004000  | <--- R 91 --------------------------- |  rst
       8  00:00:00.004000  | <--- R 91 --------------------------- |  rst
       9  00:00:00.004000  | <--- R 91 --------------------------- |  rst
      10  00:00:00.004000  | <--- R 91 --------------------------- |  rst
      11  00:00:00.004000  | <--- R 91 --------------------------- |  rst
      12  00:00:00.004000  | <--- R 91 --------------------------- |  rst
      13  00:00:00.004000  | <--- R 91 --------------------------- |  rst
      14  00:00:00.004000  | <--- R 91 --------------------------- |  rst
                           |              … 8 more …               |
      23  00:00:00.004000  | <--- R 91 --------------------------- |  rst
      24  00:00:00.004000  | <--- R 91 --------------------------- |  rst
`},
		{detect.Finding{Rule: detect.KeepAliveMismatch}, "\n"},
	} {
		c.f.HasStream, c.f.Time = len(c.f.Evidence) > 0, at("2024-01-01T00:00:00Z")
		lines := drawLadder(&Analysis{}, &c.f, NewClock(nil, []int64{c.f.Time}))
		if got := "\n" + strings.Join(lines, "\n") + "\n"; strings.TrimSpace(got) != strings.TrimSpace(c.want) {
			t.Errorf("%s:%s", c.f.Rule.ID, got)
		}
	}
}
