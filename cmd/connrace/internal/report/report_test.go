package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/olekukonko/tablewriter/pkg/twwidth"

	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
	"connrace/tcpstate"
)

var update = flag.Bool("update", false, "write the golden files")

func end(s string) tcpstate.Endpoint { return tcpstate.EndpointFrom(netip.MustParseAddrPort(s)) }

func at(s string) int64 {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return t.UnixNano()
}

func secs(ns int64) detect.Duration { return detect.Duration{NS: ns, Known: true} }

// sample is a report with a race, a SYN that got through late, a benign RST and a target
// as a whole, of which a captured path and a file name are hostile.
func sample() *Report {
	lb, target := end("10.0.0.2:41000"), end("10.0.1.9:8080")
	race := &detect.Finding{
		ID: 1, Rule: detect.FINRequestCrossing, Severity: detect.Error, Confidence: detect.Certain,
		Grounds: "roles known by the handshake", Stream: 12, HasStream: true, LB: lb, Target: target,
		Time: at("2019-01-26T00:00:15.000208Z"), Lost: true,
		Request: &detect.Request{
			Frame: 288, Time: at("2019-01-26T00:00:15.000208Z"), Bytes: 331, Method: "GET", Path: "/orders/\x1b[31m7?token=secret",
			HTTPVersion: "1.1", TraceID: "Root=1-5c4ba400-0", RequestID: "",
		},
		Measures: detect.Measures{
			Idle: secs(5001874000), RTT: secs(212000), Waiting: -1, RST: "reply",
			CloseCause: detect.CloseIdleTimeout, CloseCauseBasis: "hint", Retried: true, RetryStream: 13, RetryFrame: 297,
		},
		Evidence: []detect.Evidence{
			{Stream: 12, Frame: 285, Time: at("2019-01-26T00:00:15.000036Z"), Flags: tcpstate.FIN | tcpstate.ACK, Seq: 3258, Ack: 4294967295, Role: detect.RoleFIN, Note: "FIN: the target had not seen the request"},
			{Stream: 12, Frame: 288, Time: at("2019-01-26T00:00:15.000208Z"), FromLB: true, Flags: tcpstate.PSH | tcpstate.ACK, Seq: 4294967295, Ack: 3258, Len: 331, Role: detect.RoleRequest, Note: "first byte of the request"},
			{Stream: 12, Frame: 289, Time: at("2019-01-26T00:00:15.000233Z"), Flags: tcpstate.RST, Seq: 3258, Role: detect.RoleRST, Note: "reply RST: no socket for this any more"},
			{Stream: 13, Frame: 295, Time: at("2019-01-26T00:00:15.001Z"), FromLB: true, Flags: tcpstate.SYN, Seq: 7, Role: detect.RoleNewHandshake, Note: "the LB opens a new connection"},
		},
		IdleFrom:  &detect.Evidence{Stream: 12, Frame: 206, Time: at("2019-01-26T00:00:09.998162Z"), Flags: tcpstate.PSH | tcpstate.ACK, Len: 773, Role: detect.RoleLastAnswer, Note: "last bytes of the answer before"},
		RoleBasis: "handshake", Summary: "the target's FIN (frame 285) and the LB's request (frame 288) crossed",
		Cause: "The target's keep-alive timer (5 s) fired.", Fix: "Raise the target's keep-alive timeout.",
	}
	late := &detect.Finding{
		ID: 2, Rule: detect.SYNDropped, Severity: detect.Warning, Confidence: detect.Likely, Grounds: "2 of 2 ignored SYNs fell into a wait",
		Stream: 20, HasStream: true, LB: end("[2001:db8::1]:50000"), Target: end("[2001:db8:0:1:2:3:4:5]:8443"),
		Time: at("2019-01-26T00:00:20Z"), Measures: detect.Measures{Delay: secs(1031334000), Attempts: 2, Waiting: 0},
		Evidence: []detect.Evidence{
			{Stream: 20, Frame: 300, Time: at("2019-01-26T00:00:20Z"), FromLB: true, Flags: tcpstate.SYN, Role: detect.RoleSYN, Note: "SYN"},
			{Stream: 20, Frame: 340, Time: at("2019-01-26T00:00:21.03Z"), FromLB: true, Flags: tcpstate.SYN, Role: detect.RoleSYN, Note: "the SYN again"},
		},
		RoleBasis: "handshake", Summary: "the SYN was answered at the second try", Cause: detect.SYNDropped.Cause, Fix: detect.SYNDropped.Fix,
	}
	benign := &detect.Finding{
		ID: 3, Rule: detect.RSTAfterFIN, Severity: detect.Info, Confidence: detect.Certain, Stream: 21, HasStream: true,
		LB: lb, Target: target, Time: at("2019-01-26T00:00:22Z"), Measures: detect.Measures{Waiting: -1},
		RoleBasis: "handshake", Summary: "a reset after the close", Cause: detect.RSTAfterFIN.Cause, Fix: detect.RSTAfterFIN.Fix,
	}
	whole := &detect.Finding{
		ID: 4, Rule: detect.KeepAliveMismatch, Severity: detect.Warning, Confidence: detect.Likely, Grounds: "9 closes",
		Target: target, Time: at("2019-01-26T00:00:25Z"), Measures: detect.Measures{Waiting: -1},
		RoleBasis: "handshake", Summary: "the target closes connections after 5.001 s idle",
		Cause: detect.KeepAliveMismatch.Cause, Fix: detect.KeepAliveMismatch.Fix,
	}
	x := &detect.Result{Findings: []*detect.Finding{race, late, benign, whole}}
	x.Totals = detect.Totals{Segments: 1200, Streams: 31, Requests: 400, Tries: detect.Tries{LostRequests: 1}, OneDirection: 2, NoHandshake: 3, NoPayload: 31, Flows: 31}
	x.Totals.RSTAfterFIN.Total, x.Totals.RSTAfterFIN.Explained = 3, 2
	x.Targets = []detect.Target{
		{
			Target: target, LBs: []tcpstate.Addr{lb.Addr}, Connections: 30, Requests: 400, Tries: detect.Tries{LostRequests: 1}, RTTMedian: secs(212000), RTTP99: secs(900000),
			Vantage: "target", Idle: &detect.Timeout{NS: 5001e6, Samples: 9, SpreadNS: 2e6, Advertised: secs(5e9), Hint: []string{"fits the default of Node.js"}},
			Server:       &detect.Software{Name: "Node.js", Basis: "X-Powered-By: Express"},
			LongestReuse: secs(4998e6), NearMisses: 2, Exposure: 12.5, HasExposure: true,
			Advice: []string{"the target closes connections after 5.001 s idle: raise its keep-alive timeout above the LB's idle timeout"},
		},
		{Target: end("[2001:db8:0:1:2:3:4:5]:8443"), Connections: 1, Vantage: "unknown"},
	}
	x.Targets[0].Handshakes.Attempted, x.Targets[0].Handshakes.Completed = 30, 30
	x.Streams = []tcpstate.StreamStats{
		{Stream: 12, A: lb, B: target, FirstFrame: 3, Segments: 40, SYN: 1, SYNACK: 1, FIN: 1, RST: 2, BytesAB: 1655, BytesBA: 3257, AIsLB: true, RolesKnown: true, StateA: tcpstate.LastAck, StateB: tcpstate.Closed},
		{Stream: 13, A: target, B: lb, FirstFrame: 295, Segments: 1},
	}
	return &Report{
		Captures: []Capture{
			{
				Path: "web-1\x1b]0;owned\a.pcap", Format: "pcap", Compression: "gzip", LinkTypes: []uint16{1}, Frames: 1234567, Bytes: 99e6,
				First: at("2019-01-26T00:00:00Z"), Last: at("2019-01-26T00:01:00.5Z"), Snaplen: 96, Truncated: true,
				Warnings: []string{"web-1.pcap: cut off: only 3 bytes of the last record (frame 1234568, byte 99000000)"},
			},
			{Path: "empty.pcapng", Format: "pcapng", Drops: 17, DropsKnown: true},
		},
		Analyses: []Analysis{{Result: x, Captures: []int{0}}},
		Skipped:  map[string]uint64{"not-tcp": 33, "not-ip": 5},
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (go test -update writes it):\n%s", file, got)
	}
}

func table(t *testing.T, r *Report, o *Options) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Table(&b, r, o); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestTable(t *testing.T) {
	golden(t, "table.txt", table(t, sample(), &Options{}))
	golden(t, "table-verbose.txt", table(t, sample(), &Options{Verbose: true, ShowQuery: true}))
	golden(t, "table-color.txt", table(t, sample(), &Options{Color: true, MinSeverity: detect.Error}))
}

func TestTableLocalTime(t *testing.T) {
	zone := time.FixedZone("CET", 3600)
	if b := table(t, sample(), &Options{Location: zone}); !bytes.Contains(b, []byte("2019-01-26 01:00:00 to 01:01:00 CET")) {
		t.Errorf("%s", b)
	}
}

func TestTableEmpty(t *testing.T) {
	r := &Report{
		Captures:  []Capture{{Path: "a.pcap", Frames: 12345, First: at("2019-01-26T23:59:00Z"), Last: at("2019-01-27T00:01:00Z"), Drops: 3, DropsKnown: true}},
		Listeners: []string{"10.0.0.5:8080", "10.0.0.6:8080"}, Since: "+10s", Until: "12:00",
		Analyses: []Analysis{{Result: &detect.Result{Totals: detect.Totals{Segments: 12000}}, Captures: []int{0}}},
	}
	golden(t, "table-empty.txt", table(t, r, &Options{}))
	r = &Report{Captures: []Capture{{Path: "a.pcap"}}, Analyses: []Analysis{{Result: &detect.Result{}}}}
	golden(t, "table-no-packets.txt", table(t, r, &Options{}))
}

// Offline those are kept that come first, live those that come last.
func TestTableUnlisted(t *testing.T) {
	for live, want := range map[bool]string{false: "The last 7 are counted only.", true: "The first 7 are counted only."} {
		r := sample()
		r.Live = live
		r.Analyses[0].Result.Forgotten = []detect.Group{{Rule: detect.FINRequestCrossing, Count: 7}}
		if got := string(table(t, r, &Options{})); !strings.Contains(strings.Join(strings.Fields(got), " "), want) {
			t.Errorf("live %t: no %q in\n%s", live, want, got)
		}
	}
}

// Nothing that a capture can hold makes a line too long, or gets control characters into
// it.
func TestTableFits(t *testing.T) {
	r := sample()
	r.Captures[0].Path = strings.Repeat("/a-very-long-directory", 9) + "/名前-\x07\u202e\xff.pcap"
	r.Captures[0].Frames = math.MaxUint64
	r.Captures[0].Last = at("2200-01-01T00:00:00Z")
	r.Captures[0].Warnings = []string{strings.Repeat("x", 300) + "\n\x1b[2J"}
	r.Captures = append(r.Captures, r.Captures[0])
	x := r.Analyses[0].Result
	for i, rule := range detect.Rules {
		f := *x.Findings[0]
		f.ID, f.Rule, f.Stream = 1e9+i, rule, math.MaxUint32
		f.LB, f.Target = end("[2001:db8:1111:2222:3333:4444:5555:6666]:65535"), end("[2001:db8:1111:2222:3333:4444:5555:7777]:65535")
		f.Measures.Idle = secs(math.MaxInt64)
		f.Request = &detect.Request{Method: strings.Repeat("M", 40), Path: "/" + strings.Repeat("名/\u202e\x00\r\n", 400), TraceID: strings.Repeat("t", 300)}
		f.Summary = strings.Repeat("s", 400)
		f.Evidence = nil
		for k := range 40 {
			f.Evidence = append(f.Evidence, detect.Evidence{Frame: math.MaxUint64 - uint64(k), Stream: uint32(1e9 + k), Time: math.MaxInt64, Note: strings.Repeat("n ", 90), Role: detect.RoleRequest})
		}
		x.Findings = append(x.Findings, &f)
		x.Targets = append(x.Targets, detect.Target{Target: f.Target, Connections: math.MaxUint64, Requests: math.MaxUint64, Tries: detect.Tries{LostRequests: math.MaxUint64}, Idle: &detect.Timeout{NS: math.MaxInt64, Samples: 1}, Advice: []string{strings.Repeat("advice", 60)}})
	}
	r.Analyses[0].Captures = []int{0, 2}
	r.Analyses = append(r.Analyses, r.Analyses[0])
	for _, o := range []*Options{{}, {Verbose: true, ShowQuery: true}} {
		for l := range strings.Lines(string(table(t, r, o))) {
			l = strings.TrimSuffix(l, "\n")
			if n := twwidth.Width(l); n > defaultWidth && !isCommand(l) {
				t.Errorf("%d columns: %s", n, l)
			}
			if text.Clean(l) != l {
				t.Errorf("control characters: %q", l)
			}
			if strings.TrimRight(l, " ") != l {
				t.Errorf("trailing space: %q", l)
			}
		}
	}
}

// Findings that are alike are one row, and each its own where all are asked for. However many
// there are, the answer ends on the first screen.
func TestTableManyFindings(t *testing.T) {
	r := sample()
	x := r.Analyses[0].Result
	for i := range 8000 {
		f := *x.Findings[0]
		f.Time += int64(i) * 1e9
		f.LB.Port++
		if i < 100 {
			f.Target.Port += uint16(i)
		}
		x.Findings = append(x.Findings, &f)
	}
	for range 100 {
		x.Targets = append(x.Targets, x.Targets[1])
	}
	for _, width := range []int{80, 100} {
		short := string(table(t, r, &Options{Width: width}))
		for _, s := range []string{"8,001 ×", "→ 100 targets", "… and 82 targets (-v lists all)", "to 02:13:34", "GET /orders/"} {
			if !strings.Contains(short, s) {
				t.Errorf("lacks %q:\n%s", s, short)
			}
		}
		if answer, _, ok := strings.Cut(short, "\n10.0.1.9:8080 "); !ok || strings.Count(answer, "\n") >= 40 {
			t.Errorf("the answer in %d columns:\n%s", width, answer)
		}
	}
	if n := strings.Count(string(table(t, r, &Options{Verbose: true})), "285 × 288"); n != 8001 {
		t.Errorf("%d crossings are listed", n)
	}
}

// A command that is too wide goes on behind a backslash, between two of its words, where that takes no more rows
// than the terminal's own folding; a shell reads the same.
func TestShell(t *testing.T) {
	const quoted = `connrace '/captures/of the shop/target of 10.77.0.2.pcap' --format json > before.json`
	for _, tt := range []struct{ line, want string }{
		{"connrace a.pcap --format json > before.json", "  check  connrace a.pcap --format json > before.json  # now\n"},
		{quoted, "  check  # now\n         connrace '/captures/of the shop/target of 10.77.0.2.pcap' \\\n           --format json > before.json\n"},
		{"connrace " + strings.Repeat("d/", 40) + " --format json > before.json", "  check  # now\n         connrace " + strings.Repeat("d/", 40) + " --format json > before.json\n"},
		{"connrace " + strings.Repeat("d", 36) + " --format json > before.json", "  check  # now\n         connrace " + strings.Repeat("d", 36) + " --format json \\\n           > before.json\n"},
		{"connrace explain fin-request-crossing  # -v tells more", "  check  connrace explain fin-request-crossing  # -v tells more\n"},
	} {
		p := page{width: 80}
		line, when := tt.line, "now"
		if strings.Contains(line, "#") {
			when = ""
		}
		if p.shell("  check  ", line, when); p.String() != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", tt.line, p.String(), tt.want)
		}
	}
}

// However long its path and its commands are, the first problem ends on the first screen, with its settings and
// how to check them; what is left out for that is there with -v.
func TestFirstScreen(t *testing.T) {
	r := sample()
	x := r.Analyses[0].Result
	f := *x.Findings[0]
	x.Findings = []*detect.Finding{&f}
	r.Captures = r.Captures[:1]
	r.Captures[0].Path = strings.Repeat("captures-of-the-shop/", 5) + "target.pcap"
	cut := 0
	for _, rule := range detect.Rules {
		f.Rule, f.Severity, f.Cause, f.Fix = rule, detect.Error, rule.Cause, strings.Repeat(rule.Fix+" ", 2)
		for _, width := range []int{80, 100} {
			whole := string(table(t, r, &Options{Width: width, Verbose: true}))
			first, _, ok := strings.Cut(string(table(t, r, &Options{Width: width})), "\n"+"  more   ")
			p := page{width: width}
			if p.WriteString(first); !ok || p.rows() >= screen {
				t.Errorf("%s: %d rows:\n%s", rule.ID, p.rows(), first)
			}
			for l := range strings.Lines(first) {
				if strings.HasPrefix(l, labelled+"on the ") && !strings.Contains(whole, l) {
					t.Errorf("%s: -v does not tell %s", rule.ID, l)
				}
			}
			if !strings.Contains(first, "Fixed if ") {
				t.Errorf("%s: how to check it is left out:\n%s", rule.ID, first)
			}
			if strings.Count(first, "\n") < strings.Count(whole[:strings.Index(whole, "  more   ")], "\n") {
				cut++
			}
		}
	}
	if cut == 0 {
		t.Error("each would have fitted as it is")
	}
}

// isCommand reports whether a line is one to paste, which is never folded: a setting, a command.
func isCommand(l string) bool {
	t := strings.TrimLeft(l, " ")
	t, labelled := strings.CutPrefix(t, "check  ")
	n := len(l) - len(t)
	return n == len(setting) || strings.HasPrefix(l, "  more   ") || (labelled || n == len("         ")) && (strings.HasPrefix(t, "connrace ") || strings.HasPrefix(t, "tcpdump "))
}

// The page is as wide as the terminal, whatever that is: no line is longer, no word is broken.
func TestTableWidths(t *testing.T) {
	r := beside()
	x := r.Analyses[0].Result
	for i, rule := range detect.Rules {
		f := *x.Findings[0]
		f.ID, f.Rule, f.Severity, f.Cause, f.Fix = 10+i, rule, rule.Severity, rule.Cause, strings.Repeat(rule.Fix+" ", 2)
		x.Findings = append(x.Findings, &f, &f)
	}
	for _, o := range []Options{{}, {Verbose: true}} {
		o.Width = 200
		words := map[string]bool{"\\": true} // behind which a command goes on
		for w := range strings.FieldsSeq(string(table(t, r, &o))) {
			words[strings.Trim(w, ",;")] = true
		}
		for o.Width = 60; o.Width <= 200; o.Width++ {
			if o.Verbose && o.Width%20 > 0 {
				continue
			}
			for l := range strings.Lines(string(table(t, r, &o))) {
				l = strings.TrimSuffix(l, "\n")
				if n := twwidth.Width(l); n > o.Width && !isCommand(l) {
					t.Errorf("%d columns of %d: %s", n, o.Width, l)
				}
				for w := range strings.FieldsSeq(l) {
					if w = strings.Trim(w, ",;"); !words[w] && !strings.Contains(w, "…") && !strings.HasPrefix(w, "──") {
						t.Errorf("%d columns: %q is new in %s", o.Width, w, l)
					}
				}
			}
		}
	}
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	if err := JSON(&b, sample(), &Options{Streams: true}); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.json", b.Bytes())
	if !json.Valid(b.Bytes()) {
		t.Error("no valid JSON")
	}
	b.Reset()
	if err := JSON(&b, &Report{}, &Options{}); err != nil || !json.Valid(b.Bytes()) {
		t.Errorf("empty report: %v: %s", err, b.Bytes())
	}
}

func TestFilters(t *testing.T) {
	for _, tt := range []struct {
		o    Options
		want string
	}{
		{Options{}, "1234"},
		{Options{MinSeverity: detect.Warning}, "124"},
		{Options{MinSeverity: detect.Error}, "1"},
		{Options{Rules: map[string]bool{"syn-dropped": true, "rst-after-fin": true}}, "23"},
	} {
		var b bytes.Buffer
		if err := JSON(&b, sample(), &tt.o); err != nil {
			t.Fatal(err)
		}
		var doc struct {
			Findings []struct{ ID json.Number }
			Totals   struct{ Findings map[string]int }
		}
		if err := json.Unmarshal(b.Bytes(), &doc); err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, f := range doc.Findings {
			got += f.ID.String()
		}
		if got != tt.want {
			t.Errorf("%+v shows %s, want %s", tt.o, got, tt.want)
		}
		if len(doc.Totals.Findings) != 4 {
			t.Errorf("%+v changes the totals: %v", tt.o, doc.Totals.Findings)
		}
	}
}

func TestLines(t *testing.T) {
	var b bytes.Buffer
	r := sample()
	o := &Options{MinSeverity: detect.Warning}
	l := NewLines(&b, o)
	a := &r.Analyses[0]
	for _, f := range a.Result.Findings {
		l.Finding(a, f)
	}
	a.Result.Findings[0].Confidence = detect.Suspected
	l.Update(a, a.Result.Findings[0])
	if err := l.Summary(r); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.jsonl", b.Bytes())
	for line := range bytes.Lines(b.Bytes()) {
		if !json.Valid(line) {
			t.Errorf("no valid JSON: %s", line)
		}
	}
}

// A finding that becomes grave enough to be shown appears then, once as a finding.
func TestLinesLaterShown(t *testing.T) {
	var b bytes.Buffer
	a := &sample().Analyses[0]
	l := NewLines(&b, &Options{MinSeverity: detect.Error})
	f := a.Result.Findings[1]
	l.Finding(a, f)
	l.Update(a, f)
	if b.Len() > 0 {
		t.Errorf("a warning is shown: %s", &b)
	}
	f.Severity = detect.Error
	l.Update(a, f)
	l.Update(a, f)
	if got := strings.Count(b.String(), `{"type":"finding","id":2,`) + 10*strings.Count(b.String(), `{"type":"update","id":2,`); got != 11 {
		t.Errorf("want a finding and an update: %s", &b)
	}
	b.Reset()
	f.Severity = detect.Warning // not grave any more: who was told must be told
	l.Update(a, f)
	if !strings.HasPrefix(b.String(), `{"type":"update","id":2,"rule":"`+f.Rule.ID+`","severity":"warning"`) {
		t.Errorf("want an update: %s", &b)
	}
}

// Ids go on and captures are mapped where there are several analyses.
func TestSecondAnalysis(t *testing.T) {
	a := sample().Analyses[0]
	a.Captures, a.FirstID = []int{3}, 10
	var d FindingDoc
	d.set(&a, a.Result.Findings[0], &Options{}, "")
	if d.ID != 11 || d.Capture != 3 || d.Evidence[0].Capture != 3 {
		t.Errorf("id %d, capture %d, evidence in capture %d", d.ID, d.Capture, d.Evidence[0].Capture)
	}
}

type brokenWriter struct{ left int }

func (w *brokenWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, os.ErrClosed
	}
	return len(p), nil
}

func TestWriteErrors(t *testing.T) {
	r := sample()
	o := &Options{Streams: true}
	if err := JSON(&brokenWriter{100}, r, o); err == nil {
		t.Error("JSON: no error")
	}
	if err := Table(&brokenWriter{100}, r, o); err == nil {
		t.Error("Table: no error")
	}
	l := NewLines(&brokenWriter{100}, o)
	l.Finding(&r.Analyses[0], r.Analyses[0].Result.Findings[0])
	if l.Err() == nil || l.Summary(r) == nil {
		t.Error("Lines: no error")
	}
}
