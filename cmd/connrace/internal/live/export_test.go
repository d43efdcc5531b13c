package live

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"connrace/capture"
	"connrace/cmd/connrace/internal/cli"
	"connrace/detect"
	"connrace/tcpstate"
)

// each calls a function at each tick.
type each func()

func (e each) finding(*detect.Finding)     {}
func (e each) sample(*detect.KernelSample) {}
func (e each) tick(*figures)               { e() }

func fetch(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestMetrics(t *testing.T) {
	src := newFakeSource(t, "crowder")
	src.drops = 2
	known := watchFake(t, newFakeSource(t, "crowder"), nil).w.Report.Analyses[0].Result.Targets[0]
	target, lb := known.Target, known.LBs[0]

	var page, health, base string
	w := watchFake(t, src, func(w *watch) {
		base = "http://" + w.exports.server.Addr()
		at := src.frames[0].Time
		for i, q := range []uint32{3, 9, 1} {
			w.sample(&detect.KernelSample{
				Time: at + int64(i)*int64(200*time.Millisecond), Listeners: []detect.KernelListener{{End: tcpstate.Endpoint{Port: target.Port}, Queue: q, Limit: 128}},
				Sockets: []detect.KernelSocket{{Path: "/run/app.sock", Queue: q, Limit: 5}, {Path: "/run/gone.sock", Missing: true}},
			})
		}
		w.observers = append(w.observers, each(func() {
			_, page = fetch(t, base+"/metrics")
			_, health = fetch(t, base+"/healthz")
		}))
	}, "--metrics", "127.0.0.1:0", "--severity", "error", "--rule", "port-reuse")
	if w.code != cli.ExitOK || health != "ok\n" {
		t.Errorf("exit %d, /healthz %q\n%s", w.code, health, w.stderr)
	}
	for _, want := range []string{
		// Counted whether it is shown or not.
		fmt.Sprintf(`connrace_findings_total{rule="fin-request-crossing",target="%s"} 1`, target),
		fmt.Sprintf(`connrace_findings_total{rule="port-reuse",target="%s"} 0`, target),
		`connrace_findings_total{rule="port-reuse",target="other"} 0`,
		fmt.Sprintf("connrace_capture_packets_total %d", len(src.frames)-2),
		"connrace_capture_drops_total 2",
		"connrace_requests_total 94",
		fmt.Sprintf(`connrace_accept_queue{target="%s"} 9`, target),
		fmt.Sprintf(`connrace_accept_queue_limit{target="%s"} 128`, target),
		`connrace_accept_queue{target="unix:/run/app.sock"} 9`,
		`connrace_accept_queue_limit{target="unix:/run/app.sock"} 5`,
	} {
		if !strings.Contains(page, want+"\n") {
			t.Errorf("without %s", want)
		}
	}
	if end, _ := w.w.exports.store.View(); end.LostRequests != 1 || end.Targets[0].Queue.Len != 9 {
		t.Errorf("at the end: %+v", end)
	}
	if strings.Contains(page, "gone.sock") {
		t.Error("a queue that nobody has")
	}
	// No client is in any label.
	if strings.Contains(page, lb.String()) {
		t.Errorf("the client %s is in a label", lb)
	}
	if t.Failed() {
		t.Log(regexp.MustCompile(`(?m)^(#|go_|process_|promhttp_).*\n`).ReplaceAllString(page, ""))
	}
	if _, err := http.Get(base + "/metrics"); err == nil {
		t.Error("it still answers after the end")
	}
}

// otlpSink takes what is sent to a collector.
type otlpSink struct {
	sync.Mutex
	events  []string
	metrics map[string]bool
}

func (s *otlpSink) count() int {
	s.Lock()
	defer s.Unlock()
	return len(s.events)
}

func (s *otlpSink) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	s.Lock()
	defer s.Unlock()
	switch r.URL.Path {
	case "/v1/logs":
		logs, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(b)
		if err != nil {
			return
		}
		for _, l := range logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
			s.events = append(s.events, l.EventName()+": "+l.Body().Str())
		}
	case "/v1/metrics":
		figures, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(b)
		if err != nil {
			return
		}
		for _, m := range figures.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
			s.metrics[m.Name()] = true
		}
	}
}

// What is shown is also sent: before the end, within half a second.
func TestOTLP(t *testing.T) {
	for _, format := range []string{"jsonl", "json"} {
		sink := &otlpSink{metrics: map[string]bool{}}
		srv := httptest.NewServer(sink)
		w := watchFake(t, newFakeSource(t, "crowder"), nil, "--otlp", srv.URL, "--format", format)
		srv.Close()
		sent := 0
		for _, e := range sink.events {
			if strings.HasPrefix(e, "connrace.finding: ") {
				sent++
			}
		}
		if want := len(w.w.Report.Analyses[0].Result.Findings); w.code != cli.ExitOK || sent != want || want == 0 || w.stderr != "" {
			t.Errorf("%s: exit %d, %d of %d findings: %q\n%s", format, w.code, sent, want, sink.events, w.stderr)
		}
		if !sink.metrics["connrace.requests"] || !sink.metrics["connrace.findings"] {
			t.Errorf("%s: %v", format, sink.metrics)
		}
		if format == "jsonl" && strings.Count(w.stdout, `"type":"finding"`) != sent {
			t.Errorf("not what is shown:\n%s", w.stdout)
		}
	}
}

// What the load balancer's log says in the end of findings that were told is told, too.
func TestHeardIsTold(t *testing.T) {
	src := newFakeSource(t, "lb-closed-with-request-outstanding-client-abort")
	log := filepath.Join(t.TempDir(), "access.log")
	last := time.Unix(0, src.frames[len(src.frames)-1].Time).UTC()
	for _, format := range []string{"jsonl", "table"} {
		line := fmt.Sprintf("1.2.3.4 - - [%s] \"GET /slow HTTP/1.1\" 504 0 \"-\" \"-\"\n", last.Add(-time.Second).Format("02/Jan/2006:15:04:05 -0700"))
		if err := os.WriteFile(log, []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
		sink := &otlpSink{metrics: map[string]bool{}}
		srv := httptest.NewServer(sink)
		src := newFakeSource(t, "lb-closed-with-request-outstanding-client-abort")
		w := watchFake(t, src, nil, "--otlp", srv.URL, "--format", format, "--log", log)
		srv.Close()
		want := map[string]string{"jsonl": `{"type":"update","id":1,"rule":"lb-closed-with-request-outstanding","severity":"error"`, "table": "#1 is error, certain, failed: The load balancer's own time-out for an answer was"}[format]
		if !strings.Contains(w.stdout, want) || format == "table" && !strings.Contains(w.stdout, "fix    Make the request faster") {
			t.Errorf("%s: %s\n%s", format, w.stdout, w.stderr)
		}
		if n := len(sink.events); n == 0 || !strings.HasPrefix(sink.events[n-1], "connrace.finding.update: ") {
			t.Errorf("%s: %q", format, sink.events)
		}
	}
}

// A collector that is away costs a warning, not the watch, nor more than half a second.
func TestOTLPAway(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	url := srv.URL
	srv.Close()
	var ended time.Time
	w := watchFake(t, newFakeSource(t, "crowder"), func(w *watch) {
		w.observers = append(w.observers, each(func() { ended = time.Now() }))
	}, "--otlp", url)
	if took := time.Since(ended); w.code != cli.ExitOK || took > 3*time.Second {
		t.Errorf("exit %d, the end took %s", w.code, took)
	}
	if !strings.Contains(w.stderr, "warning: otlp: "+url) || !strings.Contains(w.stderr, "findings were not sent") || strings.Count(w.stderr, "\n") != 1 {
		t.Errorf("%q", w.stderr)
	}
}

func TestMetricsAddressTaken(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	x := &exportFlags{targets: 1}
	if err := x.metrics.Set(srv.Listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	_, err := newExports(x, false, nil)
	if err == nil || !strings.HasPrefix(err.Error(), "metrics: listen tcp 127.0.0.1:") || strings.Contains(err.Error(), "\n") {
		t.Error(err)
	}
}

// The capture is opened before; that is no reason to fall over.
func TestLiveMetricsAddressTaken(t *testing.T) {
	src, err := capture.OpenLive(capture.LiveOptions{Interfaces: []string{"lo"}, Ring: 1 << 20})
	if err != nil {
		t.Skipf("no capturing here: %v", err)
	}
	src.Close()
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	var stdout, stderr strings.Builder
	l, fs := NewFlags()
	if err := fs.Parse([]string{"-i", "lo", "--metrics", srv.Listener.Addr().String()}); err != nil {
		t.Fatal(err)
	}
	code := l.Run(t.Context(), &cli.Env{Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr})
	if code != cli.ExitError || stdout.Len() > 0 || !strings.HasPrefix(stderr.String(), "connrace: metrics: listen tcp 127.0.0.1:") || strings.Count(stderr.String(), "\n") != 1 {
		t.Errorf("exit %d\n%s%s", code, &stdout, &stderr)
	}
}

func TestExportFlags(t *testing.T) {
	for _, args := range [][]string{
		{"--metrics", "localhost"},
		{"--otlp", "collector:4317"},
		{"--metrics", ":0", "--metrics-targets-max", "0"},
		{"--metrics", ":0", "--metrics-targets-max", "1000000"},
	} {
		l, fs := NewFlags()
		err := fs.Parse(append([]string{"-i", "lo"}, args...))
		if err == nil && l.Wrong(fs) == "" {
			t.Errorf("%v is taken", args)
		}
	}
}

// A target that is broken for weeks is sent as a count, too.
func TestOTLPRepeated(t *testing.T) {
	sink := &otlpSink{metrics: map[string]bool{}}
	srv := httptest.NewServer(sink)
	defer srv.Close()
	src := newFakeSource(t, "crowder")
	src.hook = func(next int) { // what was shown long before the end has been sent by then
		for limit := time.Now().Add(time.Minute); next == len(src.frames) && sink.count() < kindBurst && time.Now().Before(limit); {
			time.Sleep(10 * time.Millisecond)
		}
	}
	w := watchFake(t, src, func(w *watch) {
		for i := range 3 * kindBurst {
			f := detect.Finding{ID: 1000 + i, Rule: detect.PortReuse, Target: tcpstate.Endpoint{Port: 80}, Time: time.Now().UnixNano()}
			w.settled = append(w.settled, &f)
		}
	}, "--otlp", srv.URL)
	repeated := ""
	for _, e := range sink.events {
		if strings.HasPrefix(e, "connrace.finding.repeated: ") {
			repeated = e
		}
	}
	if !strings.Contains(repeated, fmt.Sprintf("%d × port-reuse", 2*kindBurst)) || len(sink.events) < kindBurst || len(sink.events) > kindBurst+5 || w.stderr != "" {
		t.Errorf("%d events, %q\n%s", len(sink.events), repeated, w.stderr)
	}
}
