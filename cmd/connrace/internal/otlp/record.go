package otlp

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

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

// record is a finding as a log record: the semantic conventions' names for what they
// have one for, the load balancer being the source.
func record(f *detect.Finding, event string, showQuery bool) log.Record {
	var r log.Record
	r.SetEventName(event)
	r.SetTimestamp(time.Unix(0, f.Time))
	r.SetObservedTimestamp(time.Now())
	setSeverity(&r, f.Severity)
	r.SetBody(attribute.StringValue(valid(f.Summary)))
	r.AddAttributes(
		attribute.String("connrace.rule", f.Rule.ID),
		attribute.Int("connrace.finding.id", f.ID),
		attribute.String("connrace.confidence", f.Confidence.String()),
		attribute.String("connrace.grounds", valid(f.Grounds)),
		attribute.Bool("connrace.lost", f.Lost),
		attribute.String("connrace.target", valid(f.TargetName())),
		attribute.String("connrace.cause", valid(f.Cause)),
		attribute.String("connrace.fix", valid(f.Fix)),
	)
	r.AddAttributes(network(f)...)
	r.AddAttributes(measures(&f.Measures)...)
	r.AddAttributes(request(f.Request, showQuery)...)
	return r
}

func setSeverity(r *log.Record, s detect.Severity) {
	severity := map[detect.Severity]log.Severity{detect.Info: log.SeverityInfo, detect.Warning: log.SeverityWarn, detect.Error: log.SeverityError}[s]
	r.SetSeverity(severity)
	r.SetSeverityText(severity.String())
}

// repeated is the log record that stands for findings of a kind that are not sent one by one.
func repeated(q *report.Repeated) log.Record {
	var r log.Record
	r.SetEventName(eventRepeated)
	r.SetTimestamp(time.Unix(0, q.Last))
	r.SetObservedTimestamp(time.Now())
	setSeverity(&r, q.Severity)
	r.SetBody(attribute.StringValue(fmt.Sprintf("%d × %s, %d lost", q.Count, q.Rule.ID, q.Lost)))
	r.AddAttributes(
		attribute.String("connrace.rule", q.Rule.ID),
		attribute.String("connrace.target", valid(q.Target)),
		attribute.Int64("connrace.repeated.count", int64(q.Count)),
		attribute.Int64("connrace.repeated.lost", int64(q.Lost)),
		attribute.String("connrace.repeated.first", time.Unix(0, q.First).UTC().Format(time.RFC3339Nano)),
	)
	if q.LB != (tcpstate.Addr{}) {
		r.AddAttributes(semconv.SourceAddress(q.LB.String()))
	}
	return r
}

// network says between whom it was.
func network(f *detect.Finding) []attribute.KeyValue {
	if f.Socket != "" {
		return []attribute.KeyValue{semconv.NetworkTransportUnix}
	}
	kind := semconv.NetworkTypeIPv6
	if f.Target.Addr.Is4() {
		kind = semconv.NetworkTypeIPv4
	}
	as := []attribute.KeyValue{
		semconv.NetworkTransportTCP, kind,
		semconv.DestinationAddress(f.Target.Addr.String()), semconv.DestinationPort(int(f.Target.Port)),
	}
	if f.LB != (tcpstate.Endpoint{}) {
		as = append(as, semconv.SourceAddress(f.LB.Addr.String()), semconv.SourcePort(int(f.LB.Port)))
	}
	if f.HasStream {
		as = append(as, attribute.Int64("connrace.stream", int64(f.Stream)), attribute.Int64("connrace.frame", int64(f.Frame)))
	}
	return as
}

// measures are the figures that apply.
func measures(m *detect.Measures) (as []attribute.KeyValue) {
	for _, d := range []struct {
		name string
		detect.Duration
	}{{"idle", m.Idle}, {"rtt", m.RTT}, {"outstanding", m.Outstanding}, {"delay", m.Delay}} {
		if d.Known {
			as = append(as, attribute.Float64("connrace."+d.name+"_seconds", time.Duration(d.NS).Seconds()))
		}
	}
	if m.Attempts > 0 {
		as = append(as, attribute.Int("connrace.attempts", m.Attempts))
	}
	if m.CloseCause != "" {
		as = append(as, attribute.String("connrace.close_cause", m.CloseCause))
	}
	if k := m.Kernel; k != nil {
		as = append(as, attribute.String("connrace.kernel", k.String()))
	}
	if m.Retried {
		as = append(as, attribute.Int64("connrace.retried.stream", int64(m.RetryStream)), attribute.Int64("connrace.retried.frame", int64(m.RetryFrame)))
	}
	return as
}

// knownMethods are those that http.request.method may say; any other is _OTHER.
var knownMethods = []string{"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}

// request is what may be told of a request.
func request(q *detect.Request, showQuery bool) (as []attribute.KeyValue) {
	if q == nil {
		return nil
	}
	set := func(key attribute.Key, v string) {
		if v != "" {
			as = append(as, key.String(valid(v)))
		}
	}
	switch {
	case slices.Contains(knownMethods, q.Method):
		set(semconv.HTTPRequestMethodKey, q.Method)
	case q.Method != "":
		set(semconv.HTTPRequestMethodKey, "_OTHER")
		set(semconv.HTTPRequestMethodOriginalKey, q.Method)
	}
	if q.HTTPVersion != "" {
		set(semconv.NetworkProtocolNameKey, "http")
		set(semconv.NetworkProtocolVersionKey, strings.TrimPrefix(q.HTTPVersion, "HTTP/"))
	}
	path, query, _ := strings.Cut(text.WithoutSecrets(q.Path, showQuery), "?")
	set(semconv.URLPathKey, path)
	set(semconv.URLQueryKey, query)
	set("connrace.request.trace_id", q.TraceID)
	set("connrace.request.id", q.RequestID)
	return as
}

// valid makes valid UTF-8 of what was captured: one byte that is not would spoil the whole
// message that carries it.
func valid(s string) string {
	if len(s) > maxText {
		s = s[:maxText] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
