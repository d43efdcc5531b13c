package otlp

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"connrace/cmd/connrace/internal/metrics"
)

// observe registers the figures of a store. Translated as the OpenTelemetry
// specification has it, their names are those that Prometheus gets.
func observe(m metric.Meter, store *metrics.Store) error {
	var failed error
	counter := func(name, unit, text string) metric.Int64ObservableCounter {
		c, err := m.Int64ObservableCounter("connrace."+name, metric.WithUnit(unit), metric.WithDescription(text))
		if err != nil {
			failed = err
		}
		return c
	}
	gauge := func(name, unit, text string) metric.Int64ObservableGauge {
		g, err := m.Int64ObservableGauge("connrace."+name, metric.WithUnit(unit), metric.WithDescription(text))
		if err != nil {
			failed = err
		}
		return g
	}
	var (
		findings    = counter("findings", "{finding}", "Findings, by rule and target.")
		requests    = counter("requests", "{request}", "Requests that load balancers sent to targets.")
		lost        = counter("requests.lost", "{request}", "Requests that got no answer.")
		noConns     = counter("failed_connections", "{connection}", "Connections that never came to be: refused, given up, or broken off before a request.")
		tries       = counter("failed_tries", "{try}", "Tries that failed: lost requests and failed connections.")
		aborts      = counter("client_aborts", "{request}", "Requests that the load balancer gave up, most likely with its client.")
		answers5xx  = counter("answers_5xx", "{answer}", "Answers of targets that say 5xx.")
		open        = gauge("open_tries", "{try}", "Tries that have long been unanswered and are not decided.")
		syns        = counter("syn_retransmissions", "{segment}", "SYNs that were sent again for want of an answer.")
		packets     = counter("capture.packets", "{packet}", "Packets that were captured.")
		drops       = counter("capture.drops", "{packet}", "Packets that the kernel dropped for want of room in the ring.")
		evicted     = counter("flows.evicted", "{connection}", "Connections that were forgotten for want of room.")
		merged      = counter("targets.evicted", "{target}", "Targets that were given up for others, and are counted together since.")
		files       = counter("evidence.files", "{file}", "Files of evidence that were written.")
		unwritten   = counter("evidence.lost", "{file}", "Files of evidence that could not be written.")
		unkept      = counter("write.lost", "{packet}", "Captured packets that could not be written.")
		connections = gauge("connections", "{connection}", "Connections that are being followed.")
		queue       = gauge("accept_queue", "{connection}", "Connections that wait for the target to accept() them.")
		limit       = gauge("accept_queue_limit", "{connection}", "Backlog of the target's listening socket, as the kernel clamped it.")
	)
	idle, err := m.Float64ObservableGauge("connrace.idle_timeout", metric.WithUnit("s"), metric.WithDescription("Idle timeout of the target, as inferred from its closes."))
	if err != nil {
		return err
	}
	if failed != nil {
		return failed
	}
	_, err = m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		snap, counts := store.View()
		o.ObserveInt64(requests, int64(snap.Requests))
		o.ObserveInt64(lost, int64(snap.LostRequests))
		o.ObserveInt64(noConns, int64(snap.FailedConnections))
		o.ObserveInt64(tries, int64(snap.FailedTries()))
		o.ObserveInt64(aborts, int64(snap.ClientAborts))
		o.ObserveInt64(answers5xx, int64(snap.Answers5xx))
		o.ObserveInt64(open, int64(snap.OpenTries))
		o.ObserveInt64(syns, int64(snap.SYNRetransmissions))
		o.ObserveInt64(packets, int64(snap.Packets))
		o.ObserveInt64(drops, int64(snap.Drops))
		o.ObserveInt64(evicted, int64(snap.EvictedFlows))
		o.ObserveInt64(merged, int64(snap.EvictedTargets))
		o.ObserveInt64(files, int64(snap.Evidence))
		o.ObserveInt64(unwritten, int64(snap.EvidenceLost))
		o.ObserveInt64(unkept, int64(snap.WriteLost))
		o.ObserveInt64(connections, int64(snap.Connections))
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
	}, findings, requests, lost, noConns, tries, aborts, answers5xx, open, syns, packets, drops, evicted, merged, files, unwritten, unkept, connections, idle, queue, limit)
	return err
}
