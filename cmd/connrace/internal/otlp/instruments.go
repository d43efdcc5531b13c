package otlp

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"connrace/cmd/connrace/internal/metrics"
)

// observe registers the figures of a store. Translated as the OpenTelemetry
// specification has it, their names are those that Prometheus gets.
func observe(m metric.Meter, store *metrics.Store) error {
	var failed error
	var all []metric.Observable
	number := func(name, unit, text string, gauge bool) (o metric.Int64Observable) {
		var err error
		if name = "connrace." + name; gauge {
			o, err = m.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(text))
		} else {
			o, err = m.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(text))
		}
		failed, all = errors.Join(failed, err), append(all, o)
		return o
	}
	findings := number("findings", "{finding}", "Findings, by rule and target.", false)
	queue := number("accept_queue", "{connection}", "Connections that wait for the target to accept() them.", true)
	limit := number("accept_queue_limit", "{connection}", "Backlog of the target's listening socket, as the kernel clamped it.", true)
	totals := make([]metric.Int64Observable, len(metrics.Totals))
	for i, t := range metrics.Totals {
		totals[i] = number(t.Name, t.Unit, t.Help, t.Gauge)
	}
	idle, err := m.Float64ObservableGauge("connrace.idle_timeout", metric.WithUnit("s"), metric.WithDescription("Idle timeout of the target, as inferred from its closes."))
	if err = errors.Join(failed, err); err != nil {
		return err
	}
	_, err = m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		snap, counts := store.View()
		for i, t := range metrics.Totals {
			o.ObserveInt64(totals[i], int64(*t.Of(&snap)))
		}
		for _, n := range counts {
			o.ObserveInt64(findings, int64(n.N), metric.WithAttributes(attribute.String("rule", n.Rule), attribute.String("target", n.Target)))
		}
		for _, t := range snap.Targets {
			name := metric.WithAttributes(attribute.String("target", t.Name))
			if t.IdleTimeout > 0 {
				o.ObserveFloat64(idle, t.IdleTimeout.Seconds(), name)
			}
			if t.Queue.Known {
				o.ObserveInt64(queue, int64(t.Queue.Len), name)
				o.ObserveInt64(limit, int64(t.Queue.Limit), name)
			}
		}
		return nil
	}, append(all, idle)...)
	return err
}
