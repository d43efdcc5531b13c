package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// collector shows a store to Prometheus.
type collector struct {
	store  *Store
	totals []*prometheus.Desc // of Totals
}

func newCollector(s *Store) collector {
	c := collector{store: s}
	for _, t := range Totals {
		c.totals = append(c.totals, desc(t.prometheus(), t.Help))
	}
	return c
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("connrace_"+name, help, labels, nil)
}

var (
	findings = desc("findings_total", "Findings, by rule and target.", "rule", "target")
	idle     = desc("idle_timeout_seconds", "Idle timeout of the target, as inferred from its closes.", "target")
	queue    = desc("accept_queue", "Connections that wait for the target to accept() them.", "target")
	limit    = desc("accept_queue_limit", "Backlog of the target's listening socket, as the kernel clamped it.", "target")
)

func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range append([]*prometheus.Desc{findings, idle, queue, limit}, c.totals...) {
		ch <- d
	}
}

func (c collector) Collect(ch chan<- prometheus.Metric) {
	snap, counts := c.store.View()
	for i, t := range Totals {
		kind := prometheus.CounterValue
		if t.Gauge {
			kind = prometheus.GaugeValue
		}
		ch <- prometheus.MustNewConstMetric(c.totals[i], kind, float64(*t.Of(&snap)))
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
	r.MustRegister(newCollector(s), info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}
