package live

import (
	"context"
	"net"
	"net/url"
	"time"

	"github.com/spf13/pflag"

	"connrace/cmd/connrace/internal/cli"
	"connrace/cmd/connrace/internal/metrics"
	"connrace/cmd/connrace/internal/otlp"
	"connrace/detect"
	"connrace/tcpstate"
)

// exportFlags say who else is told of figures and findings.
type exportFlags struct {
	metrics  listenAddr
	targets  int
	listener net.Listener // for metrics, once it listens
	otlp     collectorURL
}

func (x *exportFlags) add(fs *pflag.FlagSet) {
	x.targets = metrics.DefaultTargets
	fs.Var(&x.metrics, "metrics", "answer Prometheus on `ADDR`, at /metrics and /healthz: HOST:PORT,\n:PORT on loopback only, *:PORT on all addresses, unix:/PATH")
	fs.IntVar(&x.targets, "metrics-targets-max", x.targets, "metrics: give at most `N` targets a label of their own; further\nones are counted as \""+metrics.Other+"\"")
	fs.Var(&x.otlp, "otlp", "send findings and counters to the OpenTelemetry collector at `URL`:\nhttp://HOST:4318 or https://…; headers and certificates\nas in OTEL_EXPORTER_OTLP_HEADERS, ...")
}

// listen listens on a port, which may be one that takes a right to listen on. A unix socket
// is made as other files are, by whoever the process is by then.
func (x *exportFlags) listen() (err error) {
	if x.metrics != "" && metrics.UnixPath(string(x.metrics)) == "" {
		x.listener, err = metrics.Listen(string(x.metrics))
	}
	return err
}

// maxMetricsTargets bounds the series: each target has one for each rule.
const maxMetricsTargets = 10000

func (x *exportFlags) wrong() string {
	if x.targets < 1 || x.targets > maxMetricsTargets {
		return "--metrics-targets-max must be between 1 and 10000"
	}
	return ""
}

// listenAddr is the flag --metrics.
type listenAddr string

func (a *listenAddr) String() string { return string(*a) }
func (a *listenAddr) Type() string   { return "ADDR" }

func (a *listenAddr) Set(s string) error {
	addr, err := metrics.Address(s)
	*a = listenAddr(addr)
	return err
}

// collectorURL is the flag --otlp.
type collectorURL struct{ url *url.URL }

func (c *collectorURL) String() string { return "" }
func (c *collectorURL) Type() string   { return "URL" }

func (c *collectorURL) Set(s string) (err error) {
	c.url, err = otlp.Endpoint(s)
	return err
}

// exports tells others what a watch sees. It is an observer: all but what the servers
// read of the store happens in the watch's goroutine.
type exports struct {
	store     *metrics.Store
	server    *metrics.Server // nil: no --metrics
	collector *otlp.Exporter  // nil: no --otlp
	say       func(string)

	// What the kernel said: the fullest of each queue since the tick before.
	queues  map[tcpstate.Endpoint]metrics.Queue
	sockets map[string]metrics.Queue
	told    bool // a tick has passed on what is in them

	newest  metrics.Snapshot
	targets []reviewed
	review  time.Time // the next one
}

// reviewed is a target as the newest review has it.
type reviewed struct {
	metrics.Target
	end   tcpstate.Endpoint
	local bool // the kernel listens there
}

// reviewShare is how much of the time may be spent on reviews of the targets, which are
// not cheap where there are many: one part in so many. At most there is one each tick.
const reviewShare = 500

// openExports lets others know what the flags want them to.
func (w *watch) openExports() error {
	x, err := newExports(&w.o.export, w.o.ShowQuery, w.warn)
	if x == nil || err != nil {
		return err
	}
	w.exports = x
	w.observers = append(w.observers, x)
	if x.collector != nil {
		w.follow = append(w.follow, x.collector)
	}
	return nil
}

// closeExports tells them how it ended.
func (w *watch) closeExports() {
	x := w.exports
	if x == nil {
		return
	}
	if as := w.Report.Analyses; len(as) > 0 {
		last := as[len(as)-1].Result // what was decided at the end, too
		x.learn(last)
		x.count(&last.Totals)
		x.publish()
	}
	x.close()
}

// newExports begins to answer and to send; nil: nobody wants anything.
func newExports(x *exportFlags, showQuery bool, say func(string)) (*exports, error) {
	if x.metrics == "" && x.otlp.url == nil {
		return nil, nil
	}
	build := cli.ReadBuild()
	o := &exports{
		store: metrics.NewStore(cli.RuleIDs(), x.targets), say: say,
		queues: map[tcpstate.Endpoint]metrics.Queue{}, sockets: map[string]metrics.Queue{},
	}
	var err error
	if x.metrics != "" {
		l := x.listener
		if l == nil {
			if l, err = metrics.Listen(string(x.metrics)); err != nil {
				return nil, err
			}
		}
		o.server = metrics.Serve(l, o.store, metrics.Build{Version: build.Version, Revision: build.Commit, Go: build.Go})
	}
	if x.otlp.url != nil {
		o.collector, err = otlp.Start(otlp.Options{Endpoint: x.otlp.url, Store: o.store, Version: build.Version, ShowQuery: showQuery})
		if err != nil {
			o.close()
			return nil, err
		}
	}
	return o, nil
}

// closeWithin is how long the end may take: whoever stops a watch waits for it.
const closeWithin = 500 * time.Millisecond

// close ends answering and sends what waits.
func (o *exports) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
	defer cancel()
	if o.collector != nil {
		o.collector.Close(ctx)
		if s := o.collector.Complaint(time.Now().Add(time.Hour)); s != "" {
			o.say(s)
		}
	}
	if o.server != nil {
		o.server.Close(ctx)
	}
}

func (o *exports) finding(f *detect.Finding) {
	o.store.Finding(f.Rule.ID, f.TargetName())
	if p := f.Process; p != nil {
		o.store.Process(p.Program())
	}
}

// sample keeps the fullest of what the kernel says of each queue until the next tick, a
// second or so.
func (o *exports) sample(s *detect.KernelSample) {
	o.forget()
	for i := range s.Listeners {
		l := &s.Listeners[i]
		o.queues[l.End] = fuller(o.queues[l.End], l.Queue, l.Limit)
	}
	for i := range s.Sockets {
		if x := &s.Sockets[i]; !x.Missing {
			o.sockets[x.Path] = fuller(o.sockets[x.Path], x.Queue, x.Limit)
		}
	}
}

func fuller(q metrics.Queue, queue, limit uint32) metrics.Queue {
	if q.Known && q.Len > queue {
		return q
	}
	return metrics.Queue{Len: queue, Limit: limit, Known: true}
}

// forget makes room for what the kernel says after a tick.
func (o *exports) forget() {
	if o.told {
		clear(o.queues)
		clear(o.sockets)
		o.told = false
	}
}

func (o *exports) tick(f *figures) {
	if begin := time.Now(); !begin.Before(o.review) {
		o.learn(f.Snapshot())
		o.review = begin.Add(reviewShare * time.Since(begin))
	}
	o.forget() // if it has said nothing more
	o.newest.Packets, o.newest.Drops = f.Packets-f.Drops, f.Drops
	o.count(&f.Totals)
	o.newest.Connections, o.newest.EvictedFlows, o.newest.EvictedTargets = uint64(f.Live), f.EvictedFlows, f.EvictedTargets
	o.newest.Evidence, o.newest.EvidenceLost, o.newest.WriteLost = f.EvidenceFiles, f.EvidenceFailed, f.DumpLost
	o.publish()
	o.told = true
	if o.collector != nil {
		if s := o.collector.Complaint(time.Now()); s != "" {
			o.say(s)
		}
	}
}

// count copies the counts of requests and of what came of them.
func (o *exports) count(t *detect.Totals) {
	n := &o.newest
	n.Requests, n.LostRequests, n.FailedConnections = t.Requests, t.LostRequests, t.FailedConnections
	n.OpenTries, n.ClientAborts, n.Answers5xx, n.Undecided = t.OpenTries, t.ClientAborts, t.Answers5xx, t.Undecided
}

// publish puts together what is known.
func (o *exports) publish() {
	snap := o.newest
	for _, t := range o.targets {
		if t.local {
			t.Queue = o.queueOf(t.end)
		}
		snap.Targets = append(snap.Targets, t.Target)
	}
	for path, q := range o.sockets {
		snap.Targets = append(snap.Targets, metrics.Target{Name: "unix:" + path, Queue: q})
	}
	o.store.Publish(snap)
}

// learn remembers what a review says of the targets.
func (o *exports) learn(r *detect.Result) {
	o.targets, o.newest.SYNRetransmissions = nil, 0
	for i := range r.Targets {
		t := &r.Targets[i]
		o.newest.SYNRetransmissions += t.Handshakes.SYNRetransmissions
		if t.Target == (tcpstate.Endpoint{}) {
			continue // those that are not told apart
		}
		x := reviewed{end: t.Target, local: t.Listener != nil}
		x.Name, x.Activity = t.Target.String(), t.Connections+t.Requests+t.Handshakes.Attempted
		if t.Idle != nil {
			x.IdleTimeout = time.Duration(t.Idle.NS)
		}
		o.targets = append(o.targets, x)
	}
}

// queueOf is the queue of who listens on an endpoint, be it on all addresses.
func (o *exports) queueOf(e tcpstate.Endpoint) metrics.Queue {
	if q := o.queues[e]; q.Known {
		return q
	}
	if e.Addr.Is4() {
		if q := o.queues[tcpstate.Endpoint{Addr: tcpstate.Addr4(make([]byte, 4)), Port: e.Port}]; q.Known {
			return q
		}
	}
	return o.queues[tcpstate.Endpoint{Port: e.Port}]
}
