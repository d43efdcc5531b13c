package otlp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"connrace/cmd/connrace/internal/metrics"
	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

const (
	maxPending    = 2048 // findings that wait to be sent
	batchSize     = 256
	exportTimeout = 10 * time.Second // of a message
	batchTimeout  = time.Minute      // with all its tries
	tryAgain      = time.Second
	complainEvery = time.Minute
)

// retry is how often a message is tried again. What fails meanwhile waits, up to
// maxPending.
var retry = struct {
	Enabled         bool
	InitialInterval time.Duration
	MaxInterval     time.Duration
	MaxElapsedTime  time.Duration
}{true, time.Second, 5 * time.Second, 30 * time.Second}

// Options say what is sent where. Zero durations mean the defaults.
type Options struct {
	Endpoint  *url.URL // as Endpoint has checked it
	Store     *metrics.Store
	Version   string
	ShowQuery bool

	LogsEvery, MetricsEvery time.Duration
}

// Exporter sends findings and figures. Its methods return at once, save Close.
type Exporter struct {
	to        string
	showQuery bool
	logs      *sdklog.LoggerProvider
	figures   *sdkmetric.MeterProvider
	logger    log.Logger

	// Log records: queued, taken from the queue, of these not taken by the collector, and
	// not queued for want of room.
	emitted, done, failed, dropped atomic.Uint64
	closing                        chan struct{}
	closed                         atomic.Bool

	mu      sync.Mutex
	errors  uint64 // since the last complaint
	said    uint64 // lost findings that were complained of
	last    error
	silence time.Time // until when nothing is said
}

// Start begins to send. It connects in the background: a collector that is away, or comes
// later, is no error.
func Start(o Options) (*Exporter, error) {
	ctx := context.Background()
	logs, figures, err := dial(ctx, o.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("otlp: %w", err)
	}
	// Attributes that cannot be found out are left out.
	res, _ := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(),
		resource.WithAttributes(semconv.ServiceName("connrace"), semconv.ServiceVersion(o.Version)), resource.WithFromEnv())
	x := &Exporter{to: o.Endpoint.Redacted(), showQuery: o.ShowQuery, closing: make(chan struct{})}
	x.logs = sdklog.NewLoggerProvider(sdklog.WithResource(res), sdklog.WithProcessor(sdklog.NewBatchProcessor(
		countedLogs{logs, x}, sdklog.WithMaxQueueSize(maxPending), sdklog.WithExportMaxBatchSize(batchSize),
		sdklog.WithExportInterval(orDefault(o.LogsEvery, time.Second)), sdklog.WithExportTimeout(batchTimeout))))
	x.logger = x.logs.Logger("connrace", log.WithInstrumentationVersion(o.Version), log.WithSchemaURL(semconv.SchemaURL))
	x.figures = sdkmetric.NewMeterProvider(sdkmetric.WithResource(res), sdkmetric.WithCardinalityLimit(0), // the store has its own
		sdkmetric.WithReader(sdkmetric.NewPeriodicReader(countedMetrics{figures, x},
			sdkmetric.WithInterval(orDefault(o.MetricsEvery, 30*time.Second)))))
	// The SDK reports what concerns no message of its own through a global handler, which
	// else writes to stderr.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { x.fail(err) }))
	if err := observe(x.figures.Meter("connrace"), o.Store); err != nil {
		return nil, fmt.Errorf("otlp: %w", err)
	}
	return x, nil
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// Finding sends a finding that is settled.
func (x *Exporter) Finding(_ *report.Analysis, f *detect.Finding) {
	x.emit(func() log.Record { return record(f, eventFinding, x.showQuery) })
}

// Update sends a finding again about which more was learnt.
func (x *Exporter) Update(_ *report.Analysis, f *detect.Finding) {
	x.emit(func() log.Record { return record(f, eventUpdate, x.showQuery) })
}

// Repeated sends the count of findings that are not sent one by one.
func (x *Exporter) Repeated(r *report.Repeated) {
	x.emit(func() log.Record { return repeated(r) })
}

// Err is nil: what could not be sent is complained of, and ends nothing.
func (x *Exporter) Err() error { return nil }

// emit queues a record, or counts it where too many wait already. The bound is kept here
// and not left to the SDK, which does not tell what it has dropped.
func (x *Exporter) emit(record func() log.Record) {
	if x.emitted.Load()-x.done.Load() >= maxPending {
		x.dropped.Add(1)
		return
	}
	x.emitted.Add(1)
	x.logger.Emit(context.Background(), record())
}

// Lost counts the findings that could not be sent, and those for which there was no room
// to wait.
func (x *Exporter) Lost() uint64 {
	n := x.dropped.Load() + x.failed.Load()
	if x.closed.Load() {
		n += x.emitted.Load() - x.done.Load()
	}
	return n
}

// Complaint is a sentence about what could not be sent since the one before, once a
// minute; "" when there is nothing to say.
func (x *Exporter) Complaint(now time.Time) string {
	x.mu.Lock()
	defer x.mu.Unlock()
	lost := x.Lost()
	if x.errors == 0 && lost == x.said || now.Before(x.silence) {
		return ""
	}
	s := fmt.Sprintf("otlp: %s: %d messages failed, %d findings were not sent", x.to, x.errors, lost-x.said)
	if x.last != nil {
		s += ": " + oneLine(x.last)
	}
	x.errors, x.said, x.last, x.silence = 0, lost, nil, now.Add(complainEvery)
	return s
}

// oneLine is the text of an error, which may hold what the other side has answered.
func oneLine(err error) string {
	s := strings.Join(strings.Fields(err.Error()), " ")
	const most = 300
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return text.Clean(s)
}

func (x *Exporter) fail(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.errors++
	x.last = err
}

// Close sends what waits, as far as ctx allows.
func (x *Exporter) Close(ctx context.Context) {
	close(x.closing)
	var wg sync.WaitGroup
	wg.Go(func() { x.logs.Shutdown(ctx) })
	wg.Go(func() { x.figures.Shutdown(ctx) })
	wg.Wait()
	x.closed.Store(true)
}

// countedLogs counts what comes of log records. It keeps errors to itself: there is
// nothing that the SDK could do about them.
type countedLogs struct {
	sdklog.Exporter
	x *Exporter
}

func (c countedLogs) Export(ctx context.Context, rs []sdklog.Record) error {
	if len(rs) == 0 {
		return nil
	}
	err := c.Exporter.Export(ctx, rs)
	for err != nil && unreachable(err) && c.x.pause(ctx) {
		err = c.Exporter.Export(ctx, rs)
	}
	if err != nil {
		c.x.failed.Add(uint64(len(rs)))
		c.x.fail(err)
	}
	c.x.done.Add(uint64(len(rs)))
	return nil
}

// unreachable reports whether nobody took the connection: a collector that is restarted.
// The SDK tries again what was answered with "later", but not that.
func unreachable(err error) bool {
	var op *net.OpError
	return errors.As(err, &op)
}

// pause waits before the next try. It reports whether there is to be one.
func (x *Exporter) pause(ctx context.Context) bool {
	select {
	case <-x.closing:
		return false
	case <-ctx.Done():
		return false
	default:
	}
	select {
	case <-time.After(tryAgain):
	case <-x.closing: // the last one
	case <-ctx.Done():
		return false
	}
	return true
}

// countedMetrics is the same for metrics.
type countedMetrics struct {
	sdkmetric.Exporter
	x *Exporter
}

func (c countedMetrics) Export(ctx context.Context, m *metricdata.ResourceMetrics) error {
	if err := c.Exporter.Export(ctx, m); err != nil {
		c.x.fail(err)
	}
	return nil
}
