package otlp

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"connrace/cmd/connrace/internal/metrics"
)

// figures are the figures of a store, counted since a time. Translated as the OpenTelemetry
// specification has it, their names are those that Prometheus gets.
func figures(store *metrics.Store, to pmetric.MetricSlice, since, now time.Time) {
	begun, at := pcommon.NewTimestampFromTime(since), pcommon.NewTimestampFromTime(now)
	point := func(ps pmetric.NumberDataPointSlice) pmetric.NumberDataPoint {
		p := ps.AppendEmpty()
		p.SetTimestamp(at)
		return p
	}
	metric := func(name, unit, text string) pmetric.Metric {
		m := to.AppendEmpty()
		m.SetName("connrace." + name)
		m.SetUnit(unit)
		m.SetDescription(text)
		return m
	}
	counter := func(name, unit, text string) func() pmetric.NumberDataPoint {
		s := metric(name, unit, text).SetEmptySum()
		s.SetIsMonotonic(true)
		s.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		return func() pmetric.NumberDataPoint {
			p := point(s.DataPoints())
			p.SetStartTimestamp(begun)
			return p
		}
	}
	gauge := func(name, unit, text string) func() pmetric.NumberDataPoint {
		g := metric(name, unit, text).SetEmptyGauge()
		return func() pmetric.NumberDataPoint { return point(g.DataPoints()) }
	}
	snap, counts := store.View()
	for _, t := range metrics.Totals {
		kind := counter
		if t.Gauge {
			kind = gauge
		}
		kind(t.Name, t.Unit, t.Help)().SetIntValue(int64(*t.Of(&snap)))
	}
	found := counter("findings", "{finding}", "Findings, by rule and target.")
	for _, n := range counts {
		p := found()
		p.SetIntValue(int64(n.N))
		p.Attributes().PutStr("rule", n.Rule)
		p.Attributes().PutStr("target", n.Target)
	}
	about := counter("process_findings", "{finding}", "Findings about processes of this host, by the process's program.")
	for program, n := range store.Programs() {
		p := about()
		p.SetIntValue(int64(n))
		p.Attributes().PutStr("process", program)
	}
	queue := gauge("accept_queue", "{connection}", "Connections that wait for the target to accept() them.")
	limit := gauge("accept_queue_limit", "{connection}", "Backlog of the target's listening socket, as the kernel clamped it.")
	idle := gauge("idle_timeout", "s", "Idle timeout of the target, as inferred from its closes.")
	for _, t := range snap.Targets {
		if t.IdleTimeout > 0 {
			p := idle()
			p.SetDoubleValue(t.IdleTimeout.Seconds())
			p.Attributes().PutStr("target", t.Name)
		}
		if t.Queue.Known {
			for _, x := range []struct {
				of func() pmetric.NumberDataPoint
				n  uint32
			}{{queue, t.Queue.Len}, {limit, t.Queue.Limit}} {
				p := x.of()
				p.SetIntValue(int64(x.n))
				p.Attributes().PutStr("target", t.Name)
			}
		}
	}
}
