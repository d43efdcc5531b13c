package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// collector shows a store to Prometheus.
type collector struct{ store *Store }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("connrace_"+name, help, labels, nil)
}

var (
	findings = desc("findings_total", "Findings, by rule and target.", "rule", "target")
	idle     = desc("idle_timeout_seconds", "Idle timeout of the target, as inferred from its closes.", "target")
	queue    = desc("accept_queue", "Connections that wait for the target to accept() them.", "target")
	limit    = desc("accept_queue_limit", "Backlog of the target's listening socket, as the kernel clamped it.", "target")
)

// totals are what is not told apart by target.
var totals = []struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*Snapshot) uint64
}{
	{
		desc("requests_total", "Requests that load balancers sent to targets."), prometheus.CounterValue,
		func(s *Snapshot) uint64 { return s.Requests },
	},
	{
		desc("requests_lost_total", "Requests that got no answer."), prometheus.CounterValue,
		func(s *Snapshot) uint64 { return s.LostRequests },
	},
	{
		desc("failed_connections_total", "Connections that never came to be: refused, given up, or broken off before a request."), prometheus.CounterValue,
		func(s *Snapshot) uint64 { return s.FailedConnections },
	},
	{
		desc("failed_tries_total", "Tries that failed: lost requests and failed connections."), prometheus.CounterValue,
		(*Snapshot).FailedTries,
	},
	{
		desc("open_tries", "Tries that have long been unanswered and are not decided."), prometheus.GaugeValue,
		func(s *Snapshot) uint64 { return s.OpenTries },
	},
	{
		desc("client_aborts_total", "Requests that the load balancer gave up, most likely with its client."), prometheus.CounterValue,
		func(s *Snapshot) uint64 { return s.ClientAborts },
	},
	{
		desc("answers_5xx_total", "Answers of targets that say 5xx."), prometheus.CounterValue,
		func(s *Snapshot) uint64 { return s.Answers5xx },
	},
	{
		desc("connections", "Connections that are being followed."), prometheus.GaugeValue,
		func(s *Snapshot) uint64 { return s.Connections },
	},
	{
		desc("syn_retransmissions_total", "SYNs that were sent again for want of an answer."), prometheus.CounterValue,
		func(s *Snapshot) uint64 { return s.SYNRetransmissions },
	},
	{
		desc("capture_packets_total", "Packets that were captured."), prometheus.CounterValue,
		func(s *Snapshot) uint64 { return s.Packets },
	},
	{
		desc("capture_drops_total", "Packets that the kernel dropped for want of room in the ring."), prometheus.CounterValue,
		func(s *Snapshot) uint64 { return s.Drops },
	},
	{
		desc("flows_evicted_total", "Connections that were forgotten for want of room (--max-flows)."), prometheus.CounterValue,
		func(s *Snapshot) uint64 { return s.EvictedFlows },
	},
	{
		desc("targets_evicted_total", "Targets that were given up for others, and are counted together since (--max-targets)."), prometheus.CounterValue,
		func(s *Snapshot) uint64 { return s.EvictedTargets },
	},
	{
		desc("evidence_files_total", "Files of evidence that were written (--evidence)."), prometheus.CounterValue,
		func(s *Snapshot) uint64 { return s.Evidence },
	},
	{
		desc("evidence_lost_total", "Files of evidence that could not be written."), prometheus.CounterValue,
		func(s *Snapshot) uint64 { return s.EvidenceLost },
	},
	{
		desc("write_lost_total", "Captured packets that could not be written (-w)."), prometheus.CounterValue,
		func(s *Snapshot) uint64 { return s.WriteLost },
	},
}

func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{findings, idle, queue, limit} {
		ch <- d
	}
	for _, t := range totals {
		ch <- t.desc
	}
}

func (c collector) Collect(ch chan<- prometheus.Metric) {
	snap, counts := c.store.View()
	for _, t := range totals {
		ch <- prometheus.MustNewConstMetric(t.desc, t.kind, float64(t.value(&snap)))
	}
	for _, n := range counts {
		ch <- prometheus.MustNewConstMetric(findings, prometheus.CounterValue, float64(n.N), n.Rule, n.Target)
	}
	gauge := func(d *prometheus.Desc, v float64, target string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, target)
	}
	for _, t := range snap.Targets {
		if t.IdleTimeout > 0 {
			gauge(idle, t.IdleTimeout.Seconds(), t.Name)
		}
		if t.Queue.Known {
			gauge(queue, float64(t.Queue.Len), t.Name)
			gauge(limit, float64(t.Queue.Limit), t.Name)
		}
	}
}

// registry has the figures of a store, of the program, and of its process.
func registry(s *Store, b Build) *prometheus.Registry {
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "connrace_build_info", Help: "What was built, from what, and by what; always 1.",
		ConstLabels: prometheus.Labels{"version": b.Version, "revision": b.Revision, "goversion": b.Go},
	})
	info.Set(1)
	r := prometheus.NewRegistry()
	r.MustRegister(collector{s}, info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}
