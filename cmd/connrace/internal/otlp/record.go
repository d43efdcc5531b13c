package otlp

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
	"connrace/tcpstate"
)

// Names of the events: a finding that is settled, what is learnt about it later, and
// findings that are only counted.
const (
	eventFinding  = "connrace.finding"
	eventUpdate   = "connrace.finding.update"
	eventRepeated = "connrace.finding.repeated"
)

// maxText bounds a text that comes from the wire.
const maxText = 1024

// finding fills a log record: the semantic conventions' names for what they have one for,
// the load balancer being the source.
func finding(r plog.LogRecord, f *detect.Finding, event string, showQuery bool) {
	begin(r, event, f.Time, f.Severity, f.Summary)
	as := r.Attributes()
	as.PutStr("connrace.rule", f.Rule.ID)
	as.PutInt("connrace.finding.id", int64(f.ID))
	as.PutStr("connrace.confidence", f.Confidence.String())
	as.PutStr("connrace.grounds", valid(f.Grounds))
	as.PutBool("connrace.lost", f.Lost)
	as.PutStr("connrace.target", valid(f.TargetName()))
	as.PutStr("connrace.cause", valid(f.Cause))
	as.PutStr("connrace.fix", valid(f.Fix))
	network(as, f)
	measures(as, &f.Measures)
	request(as, f.Request, showQuery)
}

// repeated fills the log record that stands for findings of a kind that are not sent one by
// one.
func repeated(r plog.LogRecord, q *report.Repeated) {
	begin(r, eventRepeated, q.Last, q.Severity, fmt.Sprintf("%d × %s, %d lost", q.Count, q.Rule.ID, q.Lost))
	as := r.Attributes()
	as.PutStr("connrace.rule", q.Rule.ID)
	as.PutStr("connrace.target", valid(q.Target))
	as.PutInt("connrace.repeated.count", int64(q.Count))
	as.PutInt("connrace.repeated.lost", int64(q.Lost))
	as.PutStr("connrace.repeated.first", time.Unix(0, q.First).UTC().Format(time.RFC3339Nano))
	if q.LB != (tcpstate.Addr{}) {
		as.PutStr("source.address", q.LB.String())
	}
}

// begin fills what every log record has. The time is in nanoseconds.
func begin(r plog.LogRecord, event string, at int64, s detect.Severity, body string) {
	r.SetEventName(event)
	r.SetTimestamp(pcommon.Timestamp(at))
	r.SetObservedTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	r.Body().SetStr(valid(body))
	switch s {
	case detect.Info:
		r.SetSeverityNumber(plog.SeverityNumberInfo)
	case detect.Warning:
		r.SetSeverityNumber(plog.SeverityNumberWarn)
	case detect.Error:
		r.SetSeverityNumber(plog.SeverityNumberError)
	}
	r.SetSeverityText(strings.ToUpper(r.SeverityNumber().String()))
}

// network says between whom it was.
func network(as pcommon.Map, f *detect.Finding) {
	if f.Socket != "" {
		as.PutStr("network.transport", "unix")
		return
	}
	as.PutStr("network.transport", "tcp")
	as.PutStr("network.type", "ipv6")
	if f.Target.Addr.Is4() {
		as.PutStr("network.type", "ipv4")
	}
	as.PutStr("destination.address", f.Target.Addr.String())
	as.PutInt("destination.port", int64(f.Target.Port))
	if f.LB != (tcpstate.Endpoint{}) {
		as.PutStr("source.address", f.LB.Addr.String())
		as.PutInt("source.port", int64(f.LB.Port))
	}
	if f.HasStream {
		as.PutInt("connrace.stream", int64(f.Stream))
		as.PutInt("connrace.frame", int64(f.Frame))
	}
}

// measures are the figures that apply.
func measures(as pcommon.Map, m *detect.Measures) {
	for _, d := range []struct {
		name string
		detect.Duration
	}{{"idle", m.Idle}, {"rtt", m.RTT}, {"outstanding", m.Outstanding}, {"delay", m.Delay}} {
		if d.Known {
			as.PutDouble("connrace."+d.name+"_seconds", time.Duration(d.NS).Seconds())
		}
	}
	if m.Attempts > 0 {
		as.PutInt("connrace.attempts", int64(m.Attempts))
	}
	if word, _ := detect.CauseWord(m.CloseCause); word != "" {
		as.PutStr("connrace.close_cause", word)
	}
	if k := m.Kernel; k != nil {
		as.PutStr("connrace.kernel", k.String())
	}
	if m.Retried {
		as.PutInt("connrace.retried.stream", int64(m.RetryStream))
		as.PutInt("connrace.retried.frame", int64(m.RetryFrame))
	}
}

// knownMethods are those that http.request.method may say; any other is _OTHER.
var knownMethods = []string{"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}

// request is what may be told of a request.
func request(as pcommon.Map, q *detect.Request, showQuery bool) {
	if q == nil {
		return
	}
	put := func(key, v string) {
		if v != "" {
			as.PutStr(key, valid(v))
		}
	}
	switch {
	case slices.Contains(knownMethods, q.Method):
		put("http.request.method", q.Method)
	case q.Method != "":
		put("http.request.method", "_OTHER")
		put("http.request.method_original", q.Method)
	}
	if q.HTTPVersion != "" {
		put("network.protocol.name", "http")
		put("network.protocol.version", strings.TrimPrefix(q.HTTPVersion, "HTTP/"))
	}
	path, query, _ := strings.Cut(text.WithoutSecrets(q.Path, showQuery), "?")
	put("url.path", path)
	put("url.query", query)
	put("connrace.request.trace_id", q.TraceID)
	put("connrace.request.id", q.RequestID)
}

// valid makes valid UTF-8 of what was captured: one byte that is not would spoil the whole
// message that carries it.
func valid(s string) string {
	if len(s) > maxText {
		s = s[:maxText] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
