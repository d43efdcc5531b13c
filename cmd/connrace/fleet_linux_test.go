package main

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// fleetHost is a server in a namespace of its own, with connrace beside it.
type fleetHost struct {
	*netNS
	name    string
	metrics string // where its connrace answers
	lost    int    // requests that the server has closed on
	live    *process
}

// TestFleet: the totals of many hosts at Prometheus and at an OpenTelemetry collector are what the
// servers did, alerts fire for those with a fault and for no others, and what a host had said
// stays although it dies.
func TestFleet(t *testing.T) {
	t.Parallel()
	otlp := &fleetCollector{findings: map[string]int{}, failed: map[string]int64{}}
	collector := httptest.NewServer(otlp)
	defer collector.Close()
	hosts := make([]*fleetHost, 10)
	for i := range hosts {
		h := &fleetHost{netNS: newNetNS(t), name: fmt.Sprint("host", i), metrics: freeAddr(t)}
		h.do(func() {
			l, err := net.Listen("tcp", "127.0.0.1:8080")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			go serveFleet(l)
		})
		h.watch(collector.URL)
		hosts[i] = h
	}
	for _, h := range hosts {
		h.until("it watches "+h.name, h.healthy)
	}
	prometheus := startPrometheus(t, hosts)

	prometheus.until(t, "all hosts are there", `count(connrace_failed_tries_total)`, func(v map[string]float64) bool { return v[""] == float64(len(hosts)) })
	for i, h := range hosts {
		for range 5 {
			h.exchange("/")
		}
		for range i % 2 * (i + 1) { // every other one is healthy
			h.exchange("/lost")
			h.lost++
		}
	}
	truth := func() map[string]float64 {
		all := map[string]float64{}
		for _, h := range hosts {
			all[h.metrics] = float64(h.lost)
		}
		return all
	}
	for _, h := range hosts {
		h.until("the metrics of "+h.name+" have all", func() bool { return h.failedTries() == h.lost })
		h.until("the collector has the findings of "+h.name, func() bool { return otlp.count(h.name) == h.lost })
	}
	prometheus.until(t, "Prometheus has all", `sum by (instance) (connrace_failed_tries_total)`, func(v map[string]float64) bool { return maps.Equal(v, truth()) })
	prometheus.until(t, "the alerts fire", `count by (instance) (ALERTS{alertname="ConnraceTriesFail",alertstate="firing"})`, func(v map[string]float64) bool { return len(v) == len(hosts)/2 })
	prometheus.until(t, "no others do", `count by (instance) (ALERTS)`, func(v map[string]float64) bool {
		for _, h := range hosts {
			if _, alert := v[h.metrics]; alert != (h.lost > 0) {
				return false
			}
		}
		return true
	})

	// One dies, and comes back.
	h := hosts[3]
	before := h.lost
	h.live.end(syscall.SIGKILL)
	if said := strings.Count(h.live.stdout.String(), `"type":"finding"`); said != before {
		t.Errorf("its lines have %d findings, not %d", said, before)
	}
	h.watch(collector.URL)
	h.until("it watches again", h.healthy)
	for range 2 {
		h.exchange("/lost")
		h.lost++
	}
	h.until("it says what is new", func() bool { return h.failedTries() == 2 && otlp.count(h.name) == h.lost })
	one := fmt.Sprintf(`max_over_time(connrace_failed_tries_total{instance=%q}[5m]) + on (instance) (connrace_failed_tries_total and on (instance) resets(connrace_failed_tries_total[5m]) == 1)`, h.metrics)
	prometheus.until(t, "Prometheus has lost nothing", one, func(v map[string]float64) bool { return v[h.metrics] == float64(h.lost) })

	for _, h := range hosts {
		h.live.end(syscall.SIGTERM)
		want := int64(h.lost)
		if h == hosts[3] {
			want = 2
		}
		if got := otlp.total(h.name); got != want {
			t.Errorf("the collector's total of %s is %d, not %d", h.name, got, want)
		}
	}
}

// watch starts connrace beside the server.
func (h *fleetHost) watch(collector string) {
	c := connraceCommand(h.t, "live", "-i", "lo", "--netns", h.path, "--target", ":8080", "--format", "jsonl", "-q", "--processes", "off", "--metrics", h.metrics, "--otlp", collector)
	c.Env = append(c.Env, "OTEL_RESOURCE_ATTRIBUTES=host.name="+h.name)
	p := &process{Cmd: c, t: h.t, stdout: &buffer{}, stderr: &buffer{}, ended: make(chan struct{})}
	c.Stdout, c.Stderr = p.stdout, p.stderr
	if err := c.Start(); err != nil {
		h.t.Fatal(err)
	}
	go func() { c.Wait(); close(p.ended) }()
	h.t.Cleanup(func() { c.Process.Kill(); <-p.ended })
	h.live = p
}

func (h *fleetHost) healthy() bool {
	r, err := http.Get("http://" + h.metrics + "/healthz")
	if err != nil {
		return false
	}
	r.Body.Close()
	return r.StatusCode == http.StatusOK
}

var failedTriesLine = regexp.MustCompile(`(?m)^connrace_failed_tries_total (\d+)$`)

func (h *fleetHost) failedTries() int {
	r, err := http.Get("http://" + h.metrics + "/metrics")
	if err != nil {
		return -1
	}
	defer r.Body.Close()
	b, _ := io.ReadAll(r.Body)
	m := failedTriesLine.FindSubmatch(b)
	if m == nil {
		return -1
	}
	n, _ := strconv.Atoi(string(m[1]))
	return n
}

// exchange asks for / and then for a path on a connection.
func (h *fleetHost) exchange(path string) {
	h.t.Helper()
	c, err := h.dial("", "127.0.0.1:8080")
	if err != nil {
		h.t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	for _, p := range []string{"/", path} {
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: fleet\r\n\r\n", p)
		if a, err := http.ReadResponse(r, nil); err == nil {
			io.Copy(io.Discard, a.Body)
		} else if p != "/lost" {
			h.t.Error(err)
		}
	}
}

// serveFleet answers requests, and closes instead where it is asked for /lost.
func serveFleet(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			r := bufio.NewReader(c)
			for {
				q, err := http.ReadRequest(r)
				if err != nil || q.URL.Path == "/lost" {
					return
				}
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
		}()
	}
}

// fleetCollector receives OTLP, as a collector does.
type fleetCollector struct {
	mu       sync.Mutex
	findings map[string]int   // by host
	failed   map[string]int64 // the newest total
}

func (c *fleetCollector) count(host string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.findings[host]
}

func (c *fleetCollector) total(host string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed[host]
}

func (c *fleetCollector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		body, _ = gzip.NewReader(r.Body)
	}
	b, _ := io.ReadAll(body)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch r.URL.Path {
	case "/v1/logs":
		all, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(b)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for _, of := range all.ResourceLogs().All() {
			host, _ := of.Resource().Attributes().Get("host.name")
			for _, s := range of.ScopeLogs().All() {
				for _, l := range s.LogRecords().All() {
					if l.EventName() == "connrace.finding" {
						c.findings[host.Str()]++
					}
				}
			}
		}
	case "/v1/metrics":
		all, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(b)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for _, of := range all.ResourceMetrics().All() {
			host, _ := of.Resource().Attributes().Get("host.name")
			for _, s := range of.ScopeMetrics().All() {
				for _, m := range s.Metrics().All() {
					if m.Name() == "connrace.failed_tries" {
						c.failed[host.Str()] = m.Sum().DataPoints().At(0).IntValue()
					}
				}
			}
		}
	}
}

// fleetPrometheus is Debian's Prometheus; nil: it is not there, and nothing is asked.
type fleetPrometheus struct{ addr string }

func startPrometheus(t *testing.T, hosts []*fleetHost) *fleetPrometheus {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		t.Log("there is no prometheus: only what it would scrape is looked at")
		return nil
	}
	dir := t.TempDir()
	var targets []string
	for _, h := range hosts {
		targets = append(targets, strconv.Quote(h.metrics))
	}
	rules, err := filepath.Abs("../../deploy/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(rules)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "alerts.yml"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	config := "global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}\nrule_files: [alerts.yml]\n" +
		"scrape_configs: [{job_name: connrace, static_configs: [{targets: [" + strings.Join(targets, ", ") + "]}]}]\n"
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &fleetPrometheus{freeAddr(t)}
	c := exec.Command(program, "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+p.addr)
	errs := &buffer{}
	c.Stderr = errs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
		if t.Failed() {
			t.Log(errs)
		}
	})
	return p
}

// until waits until the answer to a query, by instance, is right.
func (p *fleetPrometheus) until(t *testing.T, what, query string, right func(map[string]float64) bool) {
	t.Helper()
	if p == nil {
		return
	}
	var got map[string]float64
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if got = p.ask(query); got != nil && right(got) {
			return
		}
	}
	t.Fatalf("%s: never; %s is %v", what, query, got)
}

func (p *fleetPrometheus) ask(query string) map[string]float64 {
	r, err := http.Get("http://" + p.addr + "/api/v1/query?query=" + url.QueryEscape(query))
	if err != nil {
		return nil
	}
	defer r.Body.Close()
	var answer struct {
		Status string
		Data   struct {
			Result []struct {
				Metric struct{ Instance string }
				Value  [2]any
			}
		}
	}
	if json.NewDecoder(r.Body).Decode(&answer) != nil || answer.Status != "success" {
		return nil
	}
	got := map[string]float64{}
	for _, x := range answer.Data.Result {
		v, _ := strconv.ParseFloat(fmt.Sprint(x.Value[1]), 64)
		got[x.Metric.Instance] = v
	}
	return got
}

// freeAddr is an address that nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
