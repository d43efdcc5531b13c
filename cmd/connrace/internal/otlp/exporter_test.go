package otlp

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"connrace/cmd/connrace/internal/metrics"
	"connrace/cmd/connrace/internal/report"
	"connrace/detect"
	"connrace/tcpstate"
)

// unset takes away what the environment would say to the SDK.
func unset(t *testing.T) {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "OTEL_") || strings.HasSuffix(strings.ToLower(name), "_proxy") {
			t.Setenv(name, "")
			os.Unsetenv(name)
		}
	}
}

func start(t *testing.T, o Options, endpoint string) *Exporter {
	t.Helper()
	unset(t)
	u, err := Endpoint(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	o.Endpoint, o.Version = u, "v1.2.3"
	if o.Store == nil {
		o.Store = metrics.NewStore([]string{"syn-dropped"}, 2)
	}
	if o.LogsEvery == 0 {
		o.LogsEvery = 5 * time.Millisecond
	}
	x, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// end closes an exporter that has a collector to send to.
func end(x *Exporter) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	x.Close(ctx)
}

func crossing() *detect.Finding {
	return &detect.Finding{
		ID: 7, Rule: detect.FINRequestCrossing, Severity: detect.Error, Confidence: detect.Certain, Grounds: "both seen",
		Stream: 3, HasStream: true, Frame: 12, Time: 1700000000123456789, Lost: true,
		LB:      tcpstate.Endpoint{Addr: tcpstate.Addr4([]byte{10, 0, 0, 2}), Port: 41000},
		Target:  tcpstate.Endpoint{Addr: tcpstate.Addr4([]byte{10, 0, 1, 9}), Port: 8080},
		Request: &detect.Request{Method: "GET", Path: "/a\xff?token=secret", HTTPVersion: "1.1", TraceID: "Root=1"},
		Measures: detect.Measures{
			Idle: detect.Duration{NS: 5_001_000_000, Known: true}, Attempts: 2, CloseCause: "idle-timeout",
		},
		Summary: "the target's FIN and the LB's request crossed", Cause: "cause", Fix: "fix",
	}
}

func check(t *testing.T, got, want map[string]any) {
	t.Helper()
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s: %v, want %v", k, got[k], v)
		}
	}
}

func TestFindingsAreLogRecords(t *testing.T) {
	c := &collector{}
	srv := httptest.NewServer(c)
	defer srv.Close()
	x := start(t, Options{}, srv.URL+"/in")
	x.Finding(nil, crossing())
	late := crossing()
	late.LB, late.HasStream, late.Request, late.Severity = tcpstate.Endpoint{}, false, &detect.Request{Method: "BREW"}, detect.Warning
	x.Update(nil, late)
	x.Finding(nil, &detect.Finding{Rule: detect.AcceptQueueOverflow, Socket: "/run/app.sock", Measures: detect.Measures{Kernel: &detect.Kernel{Queue: 2, Limit: 1}}})
	x.Repeated(&report.Repeated{Rule: detect.SYNDropped, Severity: detect.Error, LB: late.Target.Addr, Target: "a:1", Count: 30, Lost: 2, First: 0, Last: 7e9})
	end(x)
	if x.Lost() != 0 || len(c.records) != 4 {
		t.Fatalf("%d records, %d lost; %s", len(c.records), x.Lost(), x.Complaint(time.Now()))
	}
	r := c.records[0]
	if r.EventName() != "connrace.finding" || r.Timestamp() != 1700000000123456789 || r.SeverityNumber() != plog.SeverityNumberError ||
		r.SeverityText() != "ERROR" || r.Body().Str() != "the target's FIN and the LB's request crossed" {
		t.Errorf("%s %v %v", r.EventName(), r.Timestamp(), r.Attributes().AsRaw())
	}
	as := r.Attributes().AsRaw()
	check(t, as, map[string]any{
		"connrace.rule": "fin-request-crossing", "connrace.finding.id": int64(7), "connrace.confidence": "certain", "connrace.lost": true,
		"connrace.target": "10.0.1.9:8080", "network.transport": "tcp", "network.type": "ipv4",
		"source.address": "10.0.0.2", "source.port": int64(41000), "destination.address": "10.0.1.9", "destination.port": int64(8080),
		"connrace.stream": int64(3), "connrace.frame": int64(12), "connrace.idle_seconds": 5.001, "connrace.attempts": int64(2),
		"connrace.close_cause": "idle-timeout", "http.request.method": "GET", "url.path": "/a\uFFFD", "url.query": nil,
		"network.protocol.name": "http", "network.protocol.version": "1.1", "connrace.request.trace_id": "Root=1", "connrace.fix": "fix",
	})
	if strings.Contains(fmt.Sprint(as), "secret") {
		t.Error("a query string was sent")
	}
	r = c.records[1]
	if r.EventName() != "connrace.finding.update" || r.SeverityNumber() != plog.SeverityNumberWarn {
		t.Errorf("%s %v %v", r.EventName(), r.Timestamp(), r.Attributes().AsRaw())
	}
	check(t, r.Attributes().AsRaw(), map[string]any{
		"source.address": nil, "connrace.stream": nil, "http.request.method": "_OTHER", "http.request.method_original": "BREW",
	})
	check(t, c.records[2].Attributes().AsRaw(), map[string]any{
		"connrace.target": "unix:/run/app.sock", "network.transport": "unix", "network.type": nil, "destination.address": nil, "connrace.kernel": "queue 2 of 1",
	})
	r = c.records[3]
	if r.EventName() != "connrace.finding.repeated" || r.Timestamp() != 7e9 || r.Body().Str() != "30 × syn-dropped, 2 lost" {
		t.Errorf("%s %v %v", r.EventName(), r.Timestamp(), r.Attributes().AsRaw())
	}
	check(t, r.Attributes().AsRaw(), map[string]any{
		"connrace.rule": "syn-dropped", "connrace.target": "a:1", "connrace.repeated.count": int64(30), "connrace.repeated.lost": int64(2),
		"connrace.repeated.first": "1970-01-01T00:00:00Z", "source.address": "10.0.1.9",
	})
	host, _ := os.Hostname()
	check(t, c.resource, map[string]any{"service.name": "connrace", "service.version": "v1.2.3", "host.name": host})
}

func TestQueryOnRequest(t *testing.T) {
	c := &collector{}
	srv := httptest.NewServer(c)
	defer srv.Close()
	x := start(t, Options{ShowQuery: true}, srv.URL+"/in")
	x.Finding(nil, crossing())
	end(x)
	check(t, c.records[0].Attributes().AsRaw(), map[string]any{"url.query": "token=secret"})
}

func TestCountersAreMetrics(t *testing.T) {
	c := &collector{}
	srv := httptest.NewServer(c)
	defer srv.Close()
	s := metrics.NewStore([]string{"syn-dropped"}, 1)
	s.Publish(metrics.Snapshot{
		Packets: 9, Drops: 8, Requests: 7, LostRequests: 6, FailedConnections: 20, OpenTries: 21, ClientAborts: 22, Answers5xx: 23, Undecided: 24, Connections: 5, SYNRetransmissions: 4, EvictedFlows: 3, EvictedTargets: 13,
		Evidence: 12, EvidenceLost: 11, WriteLost: 10,
		Targets: []metrics.Target{{Name: "a:1", IdleTimeout: 1500 * time.Millisecond, Queue: metrics.Queue{Len: 2, Limit: 1, Known: true}}},
	})
	s.Finding("syn-dropped", "a:1")
	s.Finding("syn-dropped", "b:1")
	s.Finding("syn-dropped", "c:1")
	for i := range 20 {
		s.Process(fmt.Sprint("worker", i%10))
	}
	end(start(t, Options{Store: s}, srv.URL+"/in"))
	for name, want := range map[string]int64{
		"connrace.capture.packets": 9, "connrace.capture.drops": 8, "connrace.requests": 7, "connrace.requests.lost": 6,
		"connrace.failed_connections": 20, "connrace.failed_tries": 26, "connrace.client_aborts": 22, "connrace.answers_5xx": 23, "connrace.undecided": 24,
		"connrace.syn_retransmissions": 4, "connrace.flows.evicted": 3, "connrace.targets.evicted": 13,
		"connrace.evidence.files": 12, "connrace.evidence.lost": 11, "connrace.write.lost": 10,
	} {
		m := c.metrics[name]
		if m.Type() != pmetric.MetricTypeSum || !m.Sum().IsMonotonic() || m.Sum().AggregationTemporality() != pmetric.AggregationTemporalityCumulative || value(m.Sum().DataPoints()) != want {
			t.Errorf("%s: %v, want %d", name, m.Type(), want)
		}
	}
	for name, want := range map[string]int64{"connrace.connections": 5, "connrace.open_tries": 21, "connrace.accept_queue": 2, "connrace.accept_queue_limit": 1} {
		if m := c.metrics[name]; m.Type() != pmetric.MetricTypeGauge || value(m.Gauge().DataPoints()) != want {
			t.Errorf("%s: %v, want %d", name, m.Type(), want)
		}
	}
	if m := c.metrics["connrace.idle_timeout"]; m.Unit() != "s" || m.Gauge().DataPoints().At(0).DoubleValue() != 1.5 {
		t.Errorf("%v %v", m.Unit(), m.Type())
	}
	found := map[string]int64{}
	for _, p := range c.metrics["connrace.findings"].Sum().DataPoints().All() {
		as := p.Attributes().AsRaw()
		found[as["rule"].(string)+" "+as["target"].(string)] = p.IntValue()
	}
	if len(found) != 2 || found["syn-dropped a:1"] != 1 || found["syn-dropped other"] != 2 {
		t.Errorf("%v", found)
	}
	about := map[string]int64{}
	for _, p := range c.metrics["connrace.process_findings"].Sum().DataPoints().All() {
		about[p.Attributes().AsRaw()["process"].(string)] = p.IntValue()
	}
	if len(about) != 9 || about["worker0"] != 2 || about["worker7"] != 2 || about["other"] != 4 {
		t.Errorf("%v", about)
	}
}

// value is that of the only point there is.
func value(ps pmetric.NumberDataPointSlice) int64 {
	if ps.Len() != 1 {
		return -1
	}
	return ps.At(0).IntValue()
}

// The environment says what OpenTelemetry's users expect it to.
func TestEnvironment(t *testing.T) {
	c := &collector{}
	srv := httptest.NewTLSServer(c)
	defer srv.Close()
	unset(t)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]string{
		"OTEL_EXPORTER_OTLP_CERTIFICATE": ca, "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip", "OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Basic%20YTpi,X-A=all",
		"OTEL_EXPORTER_OTLP_LOGS_HEADERS": "Authorization=Basic%20YTpi, X-A=logs", "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=prod,service.name=a", "OTEL_SERVICE_NAME": "b",
	} {
		t.Setenv(name, v)
	}
	u, err := Endpoint(srv.URL + "/in")
	if err != nil {
		t.Fatal(err)
	}
	x, err := Start(Options{Endpoint: u, Store: metrics.NewStore(nil, 1), MetricsEvery: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	x.Finding(nil, crossing())
	eventually(t, func() bool { return c.taken() == 1 })
	c.mu.Lock()
	check(t, c.resource, map[string]any{"service.name": "b", "deployment.environment.name": "prod"})
	if h := c.head; h.Get("Authorization") != "Basic YTpi" || h.Get("X-A") != "logs" || h.Get("Content-Encoding") != "gzip" {
		t.Errorf("%v", h)
	}
	c.mu.Unlock()
	end(x)
	if c.head.Get("X-A") != "all" || x.Lost() != 0 {
		t.Errorf("metrics: %v; %s", c.head, x.Complaint(time.Now()))
	}

	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=%zzsecret")
	t.Setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", os.DevNull)
	if _, err := Start(Options{Endpoint: u}); err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\n") ||
		!strings.Contains(err.Error(), "OTEL_EXPORTER_OTLP_HEADERS: must be") || !strings.Contains(err.Error(), "no certificate in "+os.DevNull) {
		t.Errorf("%v", err)
	}
}

// What a collector takes and then rejects is lost, and no more than that.
func TestRejected(t *testing.T) {
	c := &collector{answer: []byte{0x0a, 6, 0x08, 1, 0x12, 2, 'n', 'o'}} // partial_success {1: 1, 2: "no"}
	srv := httptest.NewServer(c)
	defer srv.Close()
	x := start(t, Options{LogsEvery: time.Hour}, srv.URL+"/in")
	for range 3 {
		x.Finding(nil, crossing())
	}
	end(x)
	if s := x.Complaint(time.Now()); x.Lost() != 1 || !strings.Contains(s, "rejected 1 of them: no") {
		t.Errorf("%d lost; %s", x.Lost(), s)
	}
	for _, b := range []string{"", "\x0a", "\x0a\xff", "\x0a\x02\x08", "<html>", "\x0a\x04\x12\x02no", "\x08\x01"} {
		if err := rejection([]byte(b)); err != nil {
			t.Errorf("%q: %v", b, err)
		}
	}
}

// The loop that captures is never held up, whatever the collector does; what did not fit
// is counted.
func TestFullQueue(t *testing.T) {
	hang := make(chan bool)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	defer srv.Close()
	defer close(hang)
	x := start(t, Options{}, srv.URL)
	f := crossing()
	const n = maxPending + 1000
	begin := time.Now()
	for range n {
		x.Finding(nil, f)
	}
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("%d findings took %s", n, d)
	}
	if got := x.Lost(); got != n-maxPending {
		t.Errorf("%d lost, want %d", got, n-maxPending)
	}
	if s := x.Complaint(time.Now()); !strings.Contains(s, "1000 findings were not sent") {
		t.Errorf("%q", s)
	}
	begin = time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	x.Close(ctx)
	if d := time.Since(begin); d > 2*time.Second {
		t.Errorf("closing took %s", d)
	}
	if got := x.Lost(); got != n {
		t.Errorf("%d lost at the end, want all %d", got, n)
	}
}

func TestComplaintsAreRareAndOneLine(t *testing.T) {
	c := &collector{}
	c.status.Store(http.StatusForbidden)
	srv := httptest.NewServer(c)
	defer srv.Close()
	x := start(t, Options{}, srv.URL+"/in")
	defer end(x)
	now := time.Now()
	if s := x.Complaint(now); s != "" {
		t.Errorf("without a failure: %q", s)
	}
	fail := func() {
		t.Helper()
		before := x.Lost()
		x.Finding(nil, crossing())
		eventually(t, func() bool { return x.Lost() > before })
	}
	fail()
	s := x.Complaint(now)
	if !strings.HasPrefix(s, "otlp: "+srv.URL+"/in: 1 messages failed, 1 findings were not sent: ") || !strings.Contains(s, "403") ||
		strings.ContainsAny(s, "\n\x1b") {
		t.Errorf("%q", s)
	}
	fail()
	fail()
	if s := x.Complaint(now.Add(complainEvery - 1)); s != "" {
		t.Errorf("within a minute: %q", s)
	}
	if s := x.Complaint(now.Add(complainEvery)); !strings.Contains(s, "2 messages failed, 2 findings were not sent") {
		t.Errorf("after a minute: %q", s)
	}
	if s := x.Complaint(now.Add(3 * complainEvery)); s != "" {
		t.Errorf("without a new failure: %q", s)
	}
}

// A collector that is restarted loses nothing.
func TestCollectorComesLater(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	x := start(t, Options{}, "http://"+addr+"/in")
	x.Finding(nil, crossing())
	time.Sleep(50 * time.Millisecond) // a first try
	if l, err = net.Listen("tcp", addr); err != nil {
		t.Skipf("the port was taken meanwhile: %v", err)
	}
	c := &collector{}
	srv := &httptest.Server{Listener: l, Config: &http.Server{Handler: c}}
	srv.Start()
	defer srv.Close()
	eventually(t, func() bool { return c.taken() == 1 })
	end(x)
	if x.Lost() != 0 {
		t.Errorf("%d lost", x.Lost())
	}
}

func eventually(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not come")
		}
	}
}

func TestEndpoint(t *testing.T) {
	for in, want := range map[string]string{
		"http://collector:4318":      "http://collector:4318",
		"https://c.example/otlp":     "https://c.example/otlp",
		"grpc://collector:4317":      "",
		"grpcs://[2001:db8::1]:4317": "",
		"collector:4318":             "",
		"http://":                    "",
		"http://:4318":               "",
		"ftp://collector":            "",
		"http://a:b@collector":       "",
		"http://collector?x=1":       "",
		"":                           "",
	} {
		u, err := Endpoint(in)
		if (err == nil) != (want != "") || err == nil && u.String() != want {
			t.Errorf("%q: %v, %v; want %q", in, u, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "b@") {
			t.Errorf("%q: the password is in %q", in, err)
		}
		if strings.HasPrefix(in, "grpc") != (err != nil && strings.Contains(err.Error(), "over HTTP only, not over gRPC")) {
			t.Errorf("%q: %v", in, err)
		}
	}
}
