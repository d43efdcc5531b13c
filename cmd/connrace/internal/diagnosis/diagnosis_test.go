package diagnosis_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"connrace/cmd/connrace/internal/diagnosis"
	"connrace/detect"
	"connrace/tcpstate"
)

func find(t *testing.T, id string) *detect.Rule {
	t.Helper()
	r := detect.Lookup(id)
	if r == nil {
		t.Fatalf("no rule %s", id)
	}
	return r
}

var web = tcpstate.Endpoint{Addr: tcpstate.Addr4([]byte{10, 0, 0, 5}), Port: 8080}

func closed(r *detect.Rule, cause string, idle time.Duration) *detect.Finding {
	f := &detect.Finding{Rule: r, Severity: r.Severity, Lost: true, Target: web, Request: &detect.Request{}, Cause: "why " + cause, Fix: "fix " + cause}
	f.Measures.CloseCause = cause
	f.Measures.Idle = detect.Duration{NS: int64(idle), Known: true}
	return f
}

// answer is the diagnosis of findings.
func answer(seen diagnosis.Seen, found ...diagnosis.Found) *diagnosis.Diagnosis {
	a := diagnosis.NewAnswer(&seen)
	for i, f := range found {
		f.ID = i + 1
		a.Add(f)
	}
	return a.Diagnosis()
}

// What the target announces goes before the default that happens to fit.
func TestLines(t *testing.T) {
	r := find(t, "fin-request-crossing")
	fits2s := closed(r, detect.CloseIdleTimeout, 2*time.Second)
	node := &detect.Target{Target: web, Idle: &detect.Timeout{NS: 2e9, Hint: []string{"Node.js closes 1 s after what it advertises"}}}
	for _, tt := range []struct {
		found diagnosis.Found
		want  string
	}{
		{diagnosis.Found{Finding: fits2s}, "gunicorn"},
		{diagnosis.Found{Finding: fits2s, Known: &detect.Target{Target: web}}, "gunicorn"},
		{diagnosis.Found{Finding: fits2s, Known: node}, "Node.js"},
		{diagnosis.Found{Finding: fits2s, Known: &detect.Target{Target: web, NotServers: []string{"gunicorn"}}}, "Node.js uvicorn uWSGI"},
		{diagnosis.Found{Finding: closed(r, detect.CloseRequestLimit, 2*time.Second), Known: node}, "nginx Envoy Apache"},
		{diagnosis.Found{Finding: closed(r, detect.CloseIdleTimeout, 41*time.Second)}, "Node.js gunicorn uvicorn"},
		{diagnosis.Found{Finding: closed(find(t, "lb-closed-with-request-outstanding"), "", 0)}, "nginx HAProxy ALB"},
	} {
		var got []string
		for _, l := range answer(diagnosis.Seen{}, tt.found).Problems[0].Lines {
			got = append(got, l.Software)
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s after %d ns: %q, want %q", tt.found.Measures.CloseCause, tt.found.Measures.Idle.NS, s, tt.want)
		}
	}
}

// Findings that one change cures are one problem, whatever their rules; that of the most failed
// tries comes first.
func TestProblems(t *testing.T) {
	var found []diagnosis.Found
	add := func(n int, id, cause string) {
		for range n {
			found = append(found, diagnosis.Found{Finding: closed(find(t, id), cause, 5*time.Second)})
		}
	}
	add(2, "fin-request-crossing", detect.CloseIdleTimeout)
	add(1, "request-after-fin", detect.CloseIdleTimeout)
	add(1, "fin-request-crossing", detect.CloseMass)
	add(2, "syn-dropped", "")
	add(2, "accept-queue-overflow", "")
	d := answer(diagnosis.Seen{Requests: 20, Tries: detect.Tries{LostRequests: 8}, Targets: []string{"10.0.0.5:8080"}}, found...)
	if d.Title != "8 of 20 requests got no answer" || !strings.Contains(d.Lede, "its target 10.0.0.5:8080") {
		t.Errorf("%s: %s", d.Title, d.Lede)
	}
	var got []string
	for _, q := range d.Problems {
		got = append(got, fmt.Sprintf("%d %d %d %d %v %s", q.Number, q.Failed(), q.Count, len(q.Counts), q.Findings, q.Timer.Head))
	}
	want := []string{
		"1 4 4 2 [5 6 7 8] No timer: the listen queue", "2 3 3 2 [1 2 3] The target's keep-alive timeout: about 5\u00a0s", "3 1 1 1 [4] No timer",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("problems:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if q := d.ProblemOf(found[2].Finding); q == nil || q.Number != 2 {
		t.Errorf("the third finding is of %+v", q)
	}
}

// The sequence is that of HTTP/2 where all findings are about its streams.
func TestStreamsSequence(t *testing.T) {
	h2, h1 := closed(find(t, "fin-request-crossing"), detect.CloseUnknown, 0), closed(find(t, "fin-request-crossing"), detect.CloseUnknown, 0)
	h2.Requests = []detect.StreamRequest{{ID: 5}}
	target := closed(find(t, "keepalive-mismatch"), detect.CloseUnknown, 0)
	target.Request, target.Rule = nil, h2.Rule
	for _, c := range []struct {
		found  []*detect.Finding
		goAway bool
	}{{[]*detect.Finding{h2, target}, true}, {[]*detect.Finding{h2, h1}, false}, {[]*detect.Finding{h1}, false}} {
		var found []diagnosis.Found
		for _, f := range c.found {
			found = append(found, diagnosis.Found{Finding: f})
		}
		if what := answer(diagnosis.Seen{}, found...).Problems[0].What; strings.Contains(what, "GOAWAY") != c.goAway {
			t.Errorf("%d findings: %s", len(found), what)
		}
	}
}

// What changes the size of segments is no advice where the size was not why they were lost, and what a filter lets
// through is none where it was.
func TestLostSize(t *testing.T) {
	for _, c := range []struct {
		lost, delivered uint32
		mtu, filter     bool
	}{{0, 0, true, true}, {1448, 156, true, false}, {1448, 0, true, true}, {156, 0, false, true}, {1448, 1448, false, true}} {
		f := closed(find(t, "path-loss"), "", 0)
		f.Measures.SmallestLost, f.Measures.LargestDelivered = c.lost, c.delivered
		lines := answer(diagnosis.Seen{}, diagnosis.Found{Finding: f}).Problems[0].Lines
		told := func(word string) bool {
			return slices.ContainsFunc(lines, func(l diagnosis.Line) bool { return strings.Contains(l.Line, word) })
		}
		if told("clamp") != c.mtu || told("conntrack") != c.filter {
			t.Errorf("%d lost, %d arrived: %v", c.lost, c.delivered, lines)
		}
	}
}

// Where several errors are of one problem, it is said how many findings are of each rule, and the
// numbers add up: findings of milder rules are counted, too.
func TestOthers(t *testing.T) {
	var found []diagnosis.Found
	for _, id := range []string{"fin-request-crossing", "fin-request-crossing", "closed-with-request-outstanding", "keepalive-mismatch"} {
		found = append(found, diagnosis.Found{Finding: closed(find(t, id), detect.CloseIdleTimeout, time.Second)})
	}
	const want = "That shows in 2 of 4 findings; the rest: 1 closed-with-request-outstanding, 1 keepalive-mismatch."
	if d := answer(diagnosis.Seen{}, found...); len(d.Problems) != 1 || !strings.Contains(d.Problems[0].What, want) {
		t.Errorf("%d problems, the first: %s", len(d.Problems), d.Problems[0].What)
	}
	if d := answer(diagnosis.Seen{}, found[0], found[3]); strings.Contains(d.Problems[0].What, "That shows") {
		t.Errorf("a warning alone: %s", d.Problems[0].What)
	}
}

// What HAProxy does is told as what is only likely, and a measurement goes before it.
func TestPurges(t *testing.T) {
	f := closed(find(t, "fin-request-crossing"), detect.CloseIdleTimeout, 5*time.Second)
	timer := func(lb *detect.Timeout) string {
		known := &detect.Target{Target: web, Idle: &detect.Timeout{NS: 5e9}, LBIdle: lb, LB: &detect.Software{Name: "HAProxy", Likely: true}}
		return strings.ReplaceAll(answer(diagnosis.Seen{}, diagnosis.Found{Finding: f, Known: known}).Problems[0].Timer.Text(), "\u00a0", " ")
	}
	if s := timer(nil); !strings.Contains(s, "The load balancer, most likely HAProxy, has none:") {
		t.Error(s)
	}
	if s := timer(&detect.Timeout{NS: 120e9}); !strings.Contains(s, "keeps idle connections for 120 s") || strings.Contains(s, "HAProxy") {
		t.Error(s)
	}
}

// Every rule has something to say about timers, and a problem of its own.
func TestEveryRule(t *testing.T) {
	for _, r := range detect.Rules {
		f := closed(r, "", 0)
		d := answer(diagnosis.Seen{}, diagnosis.Found{Finding: f})
		if len(d.Problems) != 1 || d.Problems[0].Timer.Head == "" || d.Problems[0].What == "" || d.Problems[0].Why == "" || d.Problems[0].Title == "" || d.Problems[0].Fix == "" || d.Problems[0].Rule != r {
			t.Errorf("%s: %+v", r.ID, d.Problems)
		}
	}
}

// Where targets run different software it is said which runs what, and each has its lines.
func TestWho(t *testing.T) {
	r := find(t, "fin-request-crossing")
	target := func(n byte, server, lb string) diagnosis.Found {
		f := closed(r, detect.CloseIdleTimeout, 5*time.Second)
		f.Target = tcpstate.Endpoint{Addr: tcpstate.Addr4([]byte{10, 0, 0, n}), Port: 80}
		known := &detect.Target{Target: f.Target}
		if server != "" {
			known.Server = &detect.Software{Name: server, Basis: "its Server header"}
		}
		if lb != "" {
			known.LB = &detect.Software{Name: lb, Basis: "its Via header"}
		}
		return diagnosis.Found{Finding: f, Known: known}
	}
	for _, tt := range []struct {
		found       []diagnosis.Found
		want, boxes string
	}{
		{[]diagnosis.Found{target(1, "", "")}, "Unknown: nothing in the capture tells what the server or the load balancer is.", "on the target 10.0.0.1:80, if it is"},
		{
			[]diagnosis.Found{target(1, "gunicorn", "nginx"), target(2, "gunicorn", "nginx")},
			"The server is gunicorn (its Server header). The load balancer is nginx (its Via header).", "on the targets (gunicorn), or else on the load balancer (nginx)",
		},
		{
			[]diagnosis.Found{target(1, "Node.js", ""), target(2, "gunicorn", ""), target(3, "gunicorn", "")},
			"The servers are gunicorn (its Server header) at 10.0.0.2:80, 10.0.0.3:80, Node.js (its Server header) at 10.0.0.1:80. Nothing tells what the load balancer is.",
			"on the target 10.0.0.1:80 (Node.js), on 10.0.0.2:80, 10.0.0.3:80 (gunicorn)",
		},
		{
			[]diagnosis.Found{target(1, "Node.js", "nginx"), target(2, "", "")},
			"The server is Node.js (its Server header) at 10.0.0.1:80; of the other targets nothing tells. The load balancer is nginx (its Via header) before 10.0.0.1:80; of the other targets nothing tells.",
			"on the target 10.0.0.1:80 (Node.js), or else on the load balancer (nginx)",
		},
		{
			[]diagnosis.Found{target(1, "Node.js", ""), target(2, "gunicorn", ""), target(3, "uvicorn", ""), target(4, "Puma", "")},
			"The servers are Node.js (its Server header) at 10.0.0.1:80, gunicorn (its Server header) at 10.0.0.2:80, uvicorn (its Server header) at 10.0.0.3:80, others. Nothing tells what the load balancer is.",
			"on the target 10.0.0.1:80 (Node.js), on the target 10.0.0.2:80 (gunicorn), on the target 10.0.0.3:80 (uvicorn)",
		},
	} {
		q := answer(diagnosis.Seen{}, tt.found...).Problems[0]
		var boxes []string
		for i := range q.Lines {
			if b := q.Box(&q.Lines[i]); len(boxes) == 0 || boxes[len(boxes)-1] != b {
				boxes = append(boxes, b)
			}
		}
		if q.Who() != tt.want {
			t.Errorf("%s\nwant %s", q.Who(), tt.want)
		}
		if got := strings.Join(boxes, ", "); got != tt.boxes {
			t.Errorf("%s\nwant %s", got, tt.boxes)
		}
	}
}

// TestWhoFirst: of a target that several analyses have, the first one's software is told, each time.
func TestWhoFirst(t *testing.T) {
	r := find(t, "fin-request-crossing")
	for range 50 {
		var found []diagnosis.Found
		for _, basis := range []string{"c", "a", "b"} {
			known := &detect.Target{Target: web, Server: &detect.Software{Name: "Node.js", Basis: basis}}
			found = append(found, diagnosis.Found{Finding: closed(r, "", 5*time.Second), Known: known})
		}
		if servers := answer(diagnosis.Seen{}, found...).Problems[0].Servers; len(servers) != 1 || servers[0].Basis != "c" {
			t.Fatalf("servers %+v", servers)
		}
	}
}

// What the targets answer themselves is a problem without findings, behind all that failed.
func TestAnswers5xx(t *testing.T) {
	seen := diagnosis.Seen{Requests: 50, Answers5xx: 22, Run: diagnosis.Run{Files: []string{"a b.pcap"}}}
	a := diagnosis.NewAnswer(&seen)
	noon := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC).UnixNano()
	a.AddTarget(&detect.Target{Target: web, Requests: 50, Answers5xx: 22, Answered5xx: [2]int64{noon, noon + 21e9}})
	a.AddTarget(&detect.Target{Target: tcpstate.Endpoint{Addr: web.Addr, Port: 81}, Requests: 10})
	d := a.Diagnosis()
	if len(d.Problems) != 1 || d.Title != "22 of 50 requests were answered with 5xx, by the target itself" || d.Severity() != detect.Info {
		t.Fatalf("%+v", d)
	}
	q := &d.Problems[0]
	if want := "22 of 50 requests to 10.0.0.5:8080 were answered with 5xx, on 2026-11-30 from 12:00:00 to 12:00:21 UTC (about 1 a second). " +
		"The target sent these answers; no connection failed for them."; q.What != want || q.Failed() != 0 || q.Rule != nil {
		t.Errorf("%+v", q)
	}
	if len(q.Check) != 1 || !strings.HasPrefix(q.Check[0].Line, "tshark -r 'a b.pcap' -Y ") {
		t.Errorf("%+v", q.Check)
	}
	warning := closed(find(t, "fin-request-crossing"), detect.CloseIdleTimeout, 5*time.Second)
	warning.Lost, warning.Severity = false, detect.Warning
	info := closed(find(t, "rst-after-fin"), "", 0)
	info.Lost, info.Severity = false, detect.Info
	a = diagnosis.NewAnswer(&seen)
	a.Add(diagnosis.Found{Finding: info, ID: 1})
	a.Add(diagnosis.Found{Finding: warning, ID: 2})
	a.AddTarget(&detect.Target{Target: web, Answers5xx: 1})
	var order []string
	for _, q := range a.Diagnosis().Problems {
		order = append(order, fmt.Sprint(q.Severity, len(q.Findings)))
	}
	if got := strings.Join(order, ", "); got != "warning 1, info 0, info 1" {
		t.Error(got)
	}
}

func ExampleAnswer() {
	r := detect.Lookup("fin-request-crossing")
	f := &detect.Finding{Rule: r, Severity: r.Severity, Lost: true, Target: web, Request: &detect.Request{}}
	f.Measures.CloseCause = detect.CloseIdleTimeout
	f.Measures.Idle = detect.Duration{NS: 5e9, Known: true}
	f.Cause = "The target's keep-alive timer (5 s) fired while the LB was sending a request on that idle connection."
	target := &detect.Target{Target: web, Idle: &detect.Timeout{NS: 5e9, Samples: 12, Hint: []string{"fits the default of uvicorn"}}}

	a := diagnosis.NewAnswer(&diagnosis.Seen{Requests: 20, Tries: detect.Tries{LostRequests: 1}})
	a.Add(diagnosis.Found{Finding: f, ID: 1, Known: target})
	d := a.Diagnosis()
	fmt.Println(d.Title)
	for _, q := range d.Problems {
		fmt.Println(q.Why)
		fmt.Println(strings.ReplaceAll(q.Timer.Head, "\u00a0", " "))
		for _, l := range q.Lines {
			fmt.Printf("%s: %s\n", l.Software, l.Line)
		}
	}
	// Output:
	// 1 of 20 requests got no answer
	// The target's keep-alive timer (5 s) fired while the LB was sending a request on that idle connection.
	// The target's keep-alive timeout: 5 s
	// uvicorn: --timeout-keep-alive 75
}

// Where the target's own limit for a request was up, no setting of the load balancer helps: nobody stops, and
// what is repeated takes as long again.
func TestRequestLimitNoLB(t *testing.T) {
	for cause, want := range map[string]bool{detect.CloseRequestTimeout: false, detect.CloseMass: true} {
		f := closed(find(t, "closed-with-request-outstanding"), cause, 0)
		known := &detect.Target{Target: web, Server: &detect.Software{Name: "gunicorn"}, LB: &detect.Software{Name: "HAProxy"}}
		q := answer(diagnosis.Seen{}, diagnosis.Found{Finding: f, Known: known}).Problems[0]
		if got := slices.ContainsFunc(q.Lines, func(l diagnosis.Line) bool { return l.LB }); got != want || len(q.Lines) == 0 {
			t.Errorf("%s: %+v", cause, q.Lines)
		}
	}
}

// It is said what proves a fix: what the comparison prints, and what must have been there again.
func TestFixedIf(t *testing.T) {
	race := diagnosis.Found{Finding: closed(find(t, "fin-request-crossing"), detect.CloseIdleTimeout, 2*time.Second)}
	refused := diagnosis.Found{Finding: closed(find(t, "connection-refused"), "", 0)}
	stop := diagnosis.Found{Finding: closed(find(t, "closed-with-request-outstanding"), detect.CloseMass, 0)}
	mismatch := diagnosis.Found{Finding: closed(find(t, "keepalive-mismatch"), "", 0)}
	mismatch.Lost = false
	crossed := diagnosis.Found{Finding: closed(find(t, "fin-request-crossing"), detect.CloseMass, 0)}
	aged := diagnosis.Found{Finding: closed(find(t, "fin-request-crossing"), detect.CloseAge, 0)}
	file := diagnosis.Run{Files: []string{"a.pcap"}}
	for _, tt := range []struct {
		name  string
		run   diagnosis.Run
		found []diagnosis.Found
		want  []string
	}{
		{"a race", file, []diagnosis.Found{race}, []string{`says "The fix is in effect" and after.pcap had requests after pauses over 2 s.`}},
		{"its name is taken", diagnosis.Run{Files: []string{"day/after.pcap"}}, []diagnosis.Found{race}, []string{"and after2.pcap had requests"}},
		{"a stop", diagnosis.Run{Files: []string{"eth0"}, Live: true}, []diagnosis.Found{stop}, []string{`and that run had such a stop (`}},
		{"of two only one is cured", file, []diagnosis.Found{race, refused}, []string{`lists fin-request-crossing behind "Gone:" and`, `lists connection-refused behind "Gone:" and`}},
		{"both of one rule", file, []diagnosis.Found{race, crossed, aged}, []string{
			`tells of no "The target closes idle connections before the load balancer does" any more and`, `tells of no such stop any more and`, `tells of no "The target closed connections by a limit on the connection's age" any more`,
		}},
		{"nothing failed", diagnosis.Run{Files: []string{"a.json"}, Merged: []string{"a.json"}}, []diagnosis.Found{mismatch}, []string{`lists keepalive-mismatch behind "Gone:" and those reports had pauses`}},
		{"no command, no proof", diagnosis.Run{}, []diagnosis.Found{race}, []string{""}},
	} {
		d := answer(diagnosis.Seen{Run: tt.run}, tt.found...)
		for i, want := range tt.want {
			if got := strings.ReplaceAll(d.Problems[i].FixedIf, "\u00a0", " "); !strings.Contains(got, want) || (got == "") != (want == "") {
				t.Errorf("%s: %q, want %q", tt.name, got, want)
			}
		}
	}
}

// Of a server that is known no other one's default is named.
func TestOwnDefault(t *testing.T) {
	f := closed(find(t, "fin-request-crossing"), detect.CloseIdleTimeout, 5*time.Second)
	for server, want := range map[string]string{"": "It fits the default of Node.js, uvicorn, Apache.", "uvicorn": "It fits the default of uvicorn.", "gunicorn": ""} {
		known := &detect.Target{Target: web}
		if server != "" {
			known.Server = &detect.Software{Name: server}
		}
		s := answer(diagnosis.Seen{}, diagnosis.Found{Finding: f, Known: known}).Problems[0].Timer.Text()
		if !strings.Contains(s, want) || strings.Contains(s, "default of") != (want != "") {
			t.Errorf("%s: %s", server, s)
		}
	}
}

// A target that stopped more than once is said to have.
func TestStoppedTwice(t *testing.T) {
	r := find(t, "closed-with-request-outstanding")
	var found []diagnosis.Found
	for i := range 6 {
		f := closed(r, detect.CloseMass, 0)
		f.Time = time.Date(2026, 11, 30, 12, 0, i/3*20, i%3, time.UTC).UnixNano()
		found = append(found, diagnosis.Found{Finding: f})
	}
	for n, want := range map[int]string{3: "as in a restart", 6: "at once, twice, as in restarts"} {
		if q := answer(diagnosis.Seen{}, found[:n]...).Problems[0]; !strings.HasSuffix(q.Title, want) {
			t.Errorf("%d closes: %s", n, q.Title)
		}
	}
}

// The commands can be pasted into a shell, whatever files are called.
func TestCheckQuotes(t *testing.T) {
	for name, want := range map[string]string{
		"a.pcap":         "a.pcap",
		"-":              "-",
		"-x.pcap":        "./-x.pcap",
		"live":           "./live",
		"captures/live":  "captures/live",
		"cap[1].pcap":    "'cap[1].pcap'",
		"a 'b'.pcap":     `'a '\''b'\''.pcap'`,
		"$(id).pcap":     "'$(id).pcap'",
		"a\n'\\.pcap":    `$'a\n\'\\.pcap'`,
		"\x1b[31m\xff.c": `$'\x1b[31m\xff.c'`,
	} {
		r := find(t, "fin-request-crossing")
		seen := diagnosis.Seen{Run: diagnosis.Run{Files: []string{name}}}
		check := answer(seen, diagnosis.Found{Finding: closed(r, detect.CloseIdleTimeout, 2*time.Second)}).Problems[0].Check
		if !strings.Contains(check[0].Line, "connrace "+want+" --format") {
			t.Errorf("%q: %s", name, check[0])
		}
	}
}

// Where the target's timer is to be longer, the LB's may be shorter instead.
func TestLBInstead(t *testing.T) {
	known := &detect.Target{Target: web, Server: &detect.Software{Name: "gunicorn"}, LB: &detect.Software{Name: "nginx"}}
	for cause, want := range map[string]string{detect.CloseIdleTimeout: "or else on the load balancer (nginx)", detect.CloseRequestLimit: "on the load balancer (nginx)"} {
		q := answer(diagnosis.Seen{}, diagnosis.Found{Finding: closed(find(t, "fin-request-crossing"), cause, 5*time.Second), Known: known}).Problems[0]
		if n := len(q.Lines); n < 2 || q.Box(&q.Lines[n-1]) != want {
			t.Errorf("%s: %+v, want the last at %q", cause, q.Lines, want)
		}
	}
}

// What is to be set on either side is told once, and settings for connections that had been idle for
// long are not told of those that had not.
func TestLinesThatHelp(t *testing.T) {
	known := &detect.Target{Target: web, LB: &detect.Software{Name: "nginx"}}
	lines := func(rule string, idle time.Duration) (all []string) {
		for _, l := range answer(diagnosis.Seen{}, diagnosis.Found{Finding: closed(find(t, rule), "", idle), Known: known}).Problems[0].Lines {
			all = append(all, fmt.Sprintf("%v %v %s", l.LB, l.Both, l.Line))
		}
		return all
	}
	n := 0
	for _, l := range lines("path-loss", 0) {
		if strings.Contains(l, "tcp_mtu_probing") {
			n++
			if !strings.HasPrefix(l, "false true ") {
				t.Error(l)
			}
		}
	}
	if n != 1 {
		t.Errorf("tcp_mtu_probing is told %d times", n)
	}
	for idle, want := range map[time.Duration]bool{100 * time.Millisecond: false, time.Minute: true} {
		got := slices.ContainsFunc(lines("reset-in-exchange", idle), func(l string) bool { return strings.Contains(l, "tcp_keepalive_time") })
		if got != want {
			t.Errorf("idle for %v: keep-alives of TCP: %v, want %v", idle, got, want)
		}
	}
}

// TestStreamCodes: how many streams a target takes is to be changed only where it refused some for that.
func TestStreamCodes(t *testing.T) {
	var found []diagnosis.Found
	for _, code := range []string{"CANCEL", detect.RefusedStream, detect.RefusedStream, ""} {
		f := closed(find(t, "stream-reset"), "", time.Second)
		f.Measures.StreamCode = code
		found = append(found, diagnosis.Found{Finding: f})
	}
	got := ""
	for _, q := range answer(diagnosis.Seen{}, found...).Problems {
		got += fmt.Sprintf("%s %d %v\n", q.Title, q.Count, len(q.Lines) > 0)
	}
	if got != "Stream reset by the target: REFUSED_STREAM 2 true\nStream reset by the target: CANCEL 1 false\nStream reset by the target 1 true\n" {
		t.Error(got)
	}
}

// TestStopOfIdle: where a stop met idle connections only, no setting is told that lets requests be finished; the journal
// is searched about the time of the stop; and who sent on closed connections is named.
func TestStopOfIdle(t *testing.T) {
	known := &detect.Target{Target: web, Server: &detect.Software{Name: "gunicorn"}}
	for rule, finishes := range map[string]bool{"request-after-fin": false, "closed-with-request-outstanding": true} {
		f := closed(find(t, rule), detect.CloseMass, time.Second)
		f.Time = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC).UnixNano()
		q := answer(diagnosis.Seen{}, diagnosis.Found{Finding: f, Known: known}).Problems[0]
		all := fmt.Sprint(q.Lines)
		if strings.Contains(all, "--graceful-timeout") != finishes || !strings.Contains(all, "journalctl --since '2026-11-30 11:59:00 UTC' --until '2026-11-30 12:01:00 UTC' \\\n  | grep") {
			t.Errorf("%s: %s", rule, all)
		}
	}
	q := answer(diagnosis.Seen{}, diagnosis.Found{Finding: closed(find(t, "request-after-fin"), detect.CloseUnknown, 0)}).Problems[0]
	if !strings.HasPrefix(q.Title, "The load balancer sent requests on connections") {
		t.Error(q.Title)
	}
}
