package otlp

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"connrace/cmd/connrace/internal/metrics"
	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

const (
	maxPending    = 2048 // findings that wait to be sent
	batchSize     = 256
	batchTimeout  = time.Minute // of a message with all its tries
	complainEvery = time.Minute

	// schema is of the semantic conventions whose names are used.
	schema = "https://opentelemetry.io/schemas/1.43.0"
)

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
	Options
	logs, figures *client
	resource      pcommon.Map
	begun         time.Time

	full    chan struct{}   // there is a whole batch
	closing chan struct{}   // what waits is sent, and no more
	ctx     context.Context // ends when nothing is sent any more
	stop    context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	queue   plog.LogRecordSlice
	sending int    // records that are on their way
	lost    uint64 // for want of room, or not taken
	errors  uint64 // since the last complaint
	said    uint64 // lost findings that were complained of
	last    error
	silence time.Time // until when nothing is said
}

// Start begins to send. It connects in the background: a collector that is away, or comes
// later, is no error.
func Start(o Options) (*Exporter, error) {
	logs, errLogs := newClient(o.Endpoint, "LOGS")
	figures, errFigures := newClient(o.Endpoint, "METRICS")
	as, errResource := resource(o.Version)
	if err := errors.Join(errLogs, errFigures, errResource); err != nil {
		return nil, fmt.Errorf("otlp: %s", oneLine(err))
	}
	x := &Exporter{
		Options: o, logs: logs, figures: figures, resource: as, begun: time.Now(),
		full: make(chan struct{}, 1), closing: make(chan struct{}), queue: plog.NewLogRecordSlice(),
	}
	x.ctx, x.stop = context.WithCancel(context.Background())
	x.running.Go(func() { x.every(orDefault(o.LogsEvery, time.Second), x.full, x.sendLogs) })
	x.running.Go(func() { x.every(orDefault(o.MetricsEvery, 30*time.Second), nil, x.sendFigures) })
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
	x.emit(func(r plog.LogRecord) { finding(r, f, eventFinding, x.ShowQuery) })
}

// Update sends a finding again about which more was learnt.
func (x *Exporter) Update(_ *report.Analysis, f *detect.Finding) {
	x.emit(func(r plog.LogRecord) { finding(r, f, eventUpdate, x.ShowQuery) })
}

// Repeated sends the count of findings that are not sent one by one.
func (x *Exporter) Repeated(q *report.Repeated) {
	x.emit(func(r plog.LogRecord) { repeated(r, q) })
}

// Err is nil: what could not be sent is complained of, and ends nothing.
func (x *Exporter) Err() error { return nil }

// emit queues a record, or counts it where too many wait already.
func (x *Exporter) emit(fill func(plog.LogRecord)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.queue.Len()+x.sending >= maxPending {
		x.lost++
		return
	}
	fill(x.queue.AppendEmpty())
	if x.queue.Len() >= batchSize {
		select {
		case x.full <- struct{}{}:
		default:
		}
	}
}

// every calls send at intervals, when it is woken, and for the last time at the end.
func (x *Exporter) every(d time.Duration, wake <-chan struct{}, send func()) {
	t := time.NewTicker(d)
	defer t.Stop()
	for ending := false; !ending; send() {
		select {
		case <-t.C:
		case <-wake:
		case <-x.closing:
			ending = true
		}
	}
}

// sendLogs sends all that is queued, a batch at a time.
func (x *Exporter) sendLogs() {
	for x.ctx.Err() == nil {
		batch := plog.NewLogs()
		r := batch.ResourceLogs().AppendEmpty()
		r.SetSchemaUrl(schema)
		x.resource.CopyTo(r.Resource().Attributes())
		s := r.ScopeLogs().AppendEmpty()
		s.SetSchemaUrl(schema)
		x.scope(s.Scope())
		n := x.take(s.LogRecords())
		if n == 0 {
			return
		}
		message, err := (&plog.ProtoMarshaler{}).MarshalLogs(batch)
		if err == nil {
			err = x.send(x.logs, message)
		}
		x.mu.Lock()
		x.sending = 0
		if err != nil {
			lost := uint64(n)
			if some := (rejected{}); errors.As(err, &some) {
				lost = min(lost, some.n)
			}
			x.lost += lost
			x.errors, x.last = x.errors+1, err
		}
		x.mu.Unlock()
	}
}

// take moves a batch from the queue.
func (x *Exporter) take(to plog.LogRecordSlice) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.queue.RemoveIf(func(r plog.LogRecord) bool {
		if x.sending == batchSize {
			return false
		}
		x.sending++
		r.MoveTo(to.AppendEmpty())
		return true
	})
	return x.sending
}

// sendFigures sends how far the capture has come.
func (x *Exporter) sendFigures() {
	if x.ctx.Err() != nil {
		return
	}
	all := pmetric.NewMetrics()
	r := all.ResourceMetrics().AppendEmpty()
	r.SetSchemaUrl(schema)
	x.resource.CopyTo(r.Resource().Attributes())
	s := r.ScopeMetrics().AppendEmpty()
	x.scope(s.Scope())
	figures(x.Store, s.Metrics(), x.begun, time.Now())
	message, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(all)
	if err == nil {
		err = x.send(x.figures, message)
	}
	if err != nil {
		x.mu.Lock()
		x.errors, x.last = x.errors+1, err
		x.mu.Unlock()
	}
}

func (x *Exporter) scope(s pcommon.InstrumentationScope) {
	s.SetName("connrace")
	s.SetVersion(x.Version)
}

func (x *Exporter) send(c *client, message []byte) error {
	ctx, cancel := context.WithTimeout(x.ctx, batchTimeout)
	defer cancel()
	return c.send(ctx, message, x.closing)
}

// Lost counts the findings that could not be sent, and those for which there was no room
// to wait.
func (x *Exporter) Lost() uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.lost
}

// Complaint is a sentence about what could not be sent since the one before, once a
// minute; "" when there is nothing to say.
func (x *Exporter) Complaint(now time.Time) string {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.errors == 0 && x.lost == x.said || now.Before(x.silence) {
		return ""
	}
	s := fmt.Sprintf("otlp: %s: %d messages failed, %d findings were not sent", x.Endpoint.Redacted(), x.errors, x.lost-x.said)
	if x.last != nil {
		s += ": " + oneLine(x.last)
	}
	x.errors, x.said, x.last, x.silence = 0, x.lost, nil, now.Add(complainEvery)
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

// Close sends what waits, as far as ctx allows.
func (x *Exporter) Close(ctx context.Context) {
	close(x.closing)
	defer context.AfterFunc(ctx, x.stop)()
	x.running.Wait()
	x.stop()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.lost += uint64(x.queue.Len())
	x.queue = plog.NewLogRecordSlice()
}
