package otlp

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	figures "go.opentelemetry.io/proto/otlp/metrics/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/proto"
)

// collector takes what an exporter sends.
type collector struct {
	collogs.UnimplementedLogsServiceServer
	status atomic.Int32 // that it answers with instead; 0: it takes all

	mu       sync.Mutex
	records  []*logs.LogRecord
	metrics  map[string]*figures.Metric // newest, by name
	resource *resource.Resource
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
	switch r.URL.Path {
	case "/in/v1/logs":
		var m collogs.ExportLogsServiceRequest
		if err = proto.Unmarshal(b, &m); err == nil {
			c.takeLogs(&m)
		}
	case "/in/v1/metrics":
		var m colmetrics.ExportMetricsServiceRequest
		if err = proto.Unmarshal(b, &m); err == nil {
			c.takeMetrics(&m)
		}
	default:
		http.NotFound(w, r)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

func (c *collector) takeLogs(m *collogs.ExportLogsServiceRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range m.ResourceLogs {
		c.resource = r.Resource
		for _, s := range r.ScopeLogs {
			c.records = append(c.records, s.LogRecords...)
		}
	}
}

func (c *collector) takeMetrics(m *colmetrics.ExportMetricsServiceRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.metrics == nil {
		c.metrics = map[string]*figures.Metric{}
	}
	for _, r := range m.ResourceMetrics {
		for _, s := range r.ScopeMetrics {
			for _, x := range s.Metrics {
				c.metrics[x.Name] = x
			}
		}
	}
}

func (c *collector) taken() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.records)
}

// Export makes it a collector for gRPC.
func (c *collector) Export(_ context.Context, m *collogs.ExportLogsServiceRequest) (*collogs.ExportLogsServiceResponse, error) {
	c.takeLogs(m)
	return &collogs.ExportLogsServiceResponse{}, nil
}

type grpcMetrics struct {
	colmetrics.UnimplementedMetricsServiceServer
	c *collector
}

func (g grpcMetrics) Export(_ context.Context, m *colmetrics.ExportMetricsServiceRequest) (*colmetrics.ExportMetricsServiceResponse, error) {
	g.c.takeMetrics(m)
	return &colmetrics.ExportMetricsServiceResponse{}, nil
}
