package otlp

import (
	"compress/gzip"
	"io"
	"net/http"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// collector takes what an exporter sends, as OpenTelemetry's own does.
type collector struct {
	status atomic.Int32 // that it answers with instead; 0: it takes all
	answer []byte       // and what it says when it has taken all

	mu       sync.Mutex
	head     http.Header
	records  []plog.LogRecord
	metrics  map[string]pmetric.Metric // newest, by name
	resource map[string]any
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		body, _ = gzip.NewReader(r.Body)
	}
	b, err := io.ReadAll(body)
	if status := int(c.status.Load()); status != 0 || err != nil {
		w.WriteHeader(status)
		io.WriteString(w, "go\naway\x1b[31m")
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.head = r.Header
	switch r.URL.Path {
	case "/in/v1/logs":
		var all plog.Logs
		if all, err = (&plog.ProtoUnmarshaler{}).UnmarshalLogs(b); err == nil {
			c.takeLogs(all)
		}
	case "/in/v1/metrics":
		var all pmetric.Metrics
		if all, err = (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(b); err == nil {
			c.takeMetrics(all)
		}
	default:
		http.NotFound(w, r)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
	w.Write(c.answer)
}

func (c *collector) takeLogs(all plog.Logs) {
	for _, r := range all.ResourceLogs().All() {
		c.resource = r.Resource().Attributes().AsRaw()
		for _, s := range r.ScopeLogs().All() {
			for _, l := range s.LogRecords().All() {
				c.records = append(c.records, l)
			}
		}
	}
}

func (c *collector) takeMetrics(all pmetric.Metrics) {
	c.metrics = map[string]pmetric.Metric{}
	for _, r := range all.ResourceMetrics().All() {
		for _, s := range r.ScopeMetrics().All() {
			for _, m := range s.Metrics().All() {
				c.metrics[m.Name()] = m
			}
		}
	}
}

func (c *collector) taken() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.records)
}
