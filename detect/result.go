package detect

import (
	"cmp"
	"slices"

	"connrace/detect/internal/idle"
	"connrace/tcpstate"
)

// Options steer an analysis. The zero value analyses everything.
type Options struct {
	// IsTarget and IsLB report whether an endpoint was named as one by the user;
	// nil: none was named. With IsTarget set, only flows with such an endpoint are
	// analysed; numbering still counts every packet.
	IsTarget, IsLB func(tcpstate.Endpoint) bool
	LBIdleTimeout  int64 // ns; 0: infer
	MaxFlows       int   // bound of the flow table; 0: LiveFlows if Live, else tcpstate.DefaultMaxFlows
	MaxTargets     int   // of the targets that are told apart; 0: a default
	Streams        bool  // keep the figures of every stream
	// Live: it goes on for weeks. What is remembered of connections, targets and
	// findings is bounded; findings that are no longer kept are counted.
	Live bool
	// IsLocal reports whether an address is one of the host's whose kernel is a witness;
	// nil: each is.
	IsLocal   func(tcpstate.Addr) bool
	Exchanges bool // keep what a load balancer's log is compared with
	// Connections: keep what another capture of the same connections is compared with.
	Connections bool
	// MaxConnections bounds those; 0: 262,144. Of later ones only those are kept that findings are about.
	MaxConnections int
	// Apart is how often connections may be shown once more with other addresses (by a host that translates
	// them, and by others behind that) to be analysed apart: see Result.Behind. 0: each is one of its own.
	Apart int
	// Host answers what the host whose kernel is a witness knows of its processes, to each question
	// in turn; nil: nothing.
	Host func([]HostQuestion) []HostAnswer
	// OnSegment is called behind each segment with its frame and its stream.
	OnSegment func(frame uint64, stream uint32)
	// OnIncident is called with each finding when it is decided, before it waits for what
	// else belongs to it, so that its packets can be kept.
	OnIncident func(*Finding)
	// OnFinding is called with each finding as it is settled; OnUpdate when something
	// about it is learnt later. Nil: only the Result has them.
	OnFinding, OnUpdate func(*Finding)
}

// Result is what an analysis of one capture (or of several that continue each other)
// found.
type Result struct {
	Totals   Totals
	Targets  []Target
	Findings []*Finding
	Streams  []tcpstate.StreamStats // with Options.Streams only

	// ExactStreams are, by capture, how many stream numbers from 0 on are certainly
	// Wireshark's; MaxUint32: all.
	ExactStreams []uint32
	StreamsCut   bool // there were more Streams than are kept

	Forgotten []Group    // findings that are not kept for want of room
	Exchanges *Exchanges // with Options.Exchanges only

	RSTs, BareRSTs uint64 // segments, of all streams; the ones without an ACK, too

	// With Options.Connections only, in the order of their first segments; ConnectionsCut: there
	// were more than are kept. Late ones come last.
	Connections    []Connection
	ConnectionsCut bool
	marks          *marks // of those and of Behind's

	// Behind is what the analysis found in connections of the same captures that are others, shown once more
	// behind the translation of addresses; Connections are then kept of both. With Options.Apart only; nil:
	// there are none.
	Behind *Result

	rows  map[tcpstate.Endpoint]int // see Row
	known int                       // of Targets, that are in it
}

// Row is the row of a target; nil: it has none.
func (r *Result) Row(end tcpstate.Endpoint) *Target {
	if i, is := r.rows[end]; r.rows == nil || r.known > len(r.Targets) || is && r.Targets[i].Target != end {
		r.rows, r.known = make(map[tcpstate.Endpoint]int, len(r.Targets)), 0
	}
	for ; r.known < len(r.Targets); r.known++ {
		e := r.Targets[r.known].Target
		if _, is := r.rows[e]; !is {
			r.rows[e] = r.known
		}
	}
	if i, is := r.rows[end]; is {
		return &r.Targets[i]
	}
	return nil
}

// Totals are counts over the whole capture.
type Totals struct {
	Segments uint64 // TCP segments
	Streams  uint64 // streams opened, as Wireshark counts
	Requests uint64
	Tries
	Undecided    uint64 // incidents that frames which are missing hide
	Answers5xx   uint64 // answers of the targets that say 5xx: their own failures, not TCP's
	RSTAfterFIN  struct{ Total, Explained uint64 }
	EvictedFlows uint64
	// EvictedTargets were given up for others (Options.MaxTargets). MergedConnections are those
	// of all targets that are not told apart, these among them: they are counted with a target
	// that has no endpoint.
	EvictedTargets, MergedConnections uint64
	Leaps                             Leaps
	// OneDirection counts flows of which only one side's segments were seen,
	// NoHandshake flows without SYN, NoPayload flows that had payload of which nothing was
	// captured.
	OneDirection, NoHandshake, NoPayload uint64
	Flows                                uint64 // flows analysed: those that --target leaves
	// HTTP2InTLS counts flows whose TLS may hide HTTP/2, HTTP2Unread those of HTTP/2 of which too
	// little was captured, OtherProtocols those of a protocol that is not followed.
	HTTP2InTLS, HTTP2Unread, OtherProtocols uint64
	// UnfollowedStreams are those of HTTP/2 that were not followed, for want of room.
	UnfollowedStreams uint64
	// Scans are port scans, whose refused connections are no findings.
	Scans []Scan
}

// Leaps are places where the capture's clock is wrong by more than an hour.
type Leaps struct {
	Count   uint64
	Capture int // of the first one
	Frame   uint64
	By      int64 // ns
}

// Target are the figures of one listener.
type Target struct {
	Target      tcpstate.Endpoint
	LBs         []tcpstate.Addr
	Connections uint64
	Requests    uint64
	Tries
	Answers5xx   uint64
	Answered5xx  [2]int64 // when the first of them began, and the last; 0: there is none
	RTTMedian    Duration
	RTTP99       Duration
	Vantage      string // "target", "lb", "between" or "unknown"
	Idle, LBIdle *Timeout
	LongestReuse Duration
	NearMisses   uint64
	Exposure     float64 // expected crossings per million requests; valid iff HasExposure
	HasExposure  bool
	// Handshakes: of the Pending ones the SYN had no answer yet when the capture ended.
	Handshakes struct {
		Attempted, Completed, Refused, Unanswered, Pending uint64
		SYNRetransmissions, MaxWaiting                     uint64
	}
	Advice []string
	// Timers are the two idle timeouts, the LB's as it was configured, if that is known.
	Timers Timers
	// Server and LB are what the target and its LBs are, as far as their messages tell; nil: unknown.
	Server, LB *Software
	// NotServers is what the server cannot be: software that would have named itself.
	NotServers []string
	Listener   *Listener // nil: the kernel was not asked, or does not listen there
	// The gaps before reuses and before closes, for histograms: logarithmic buckets of ns.
	Reuses, TargetCloses, LBCloses *Histogram // nil: none
}

// Listener is the state of a target's accept queue, as its kernel told it.
type Listener struct {
	Queue, Limit uint32   // now; Limit is the backlog
	MaxQueue     uint32   // the longest that was seen
	Process      *Process // that listens; nil: unknown
}

// Timeout is an inferred idle timeout.
type Timeout struct {
	NS         int64
	Samples    int
	SpreadNS   int64
	Advertised Duration // Keep-Alive: timeout=
	Hint       []string // software whose default this is
}

// Histogram counts gaps by size in logarithmic buckets.
type Histogram = idle.Histogram

// result is what is known, with the given findings put in order.
func (d *Detector) result(fs []*Finding) *Result {
	slices.SortStableFunc(fs, func(a, b *Finding) int { return cmp.Compare(a.Time, b.Time) })
	r := &Result{
		Totals: d.counts(), Targets: d.figures(), Findings: fs, Streams: d.tracker.StreamStats(),
		ExactStreams: d.tracker.ExactStreams(), StreamsCut: d.tracker.StreamsCut(),
		Forgotten: d.forgotten.list(), Exchanges: d.exchanges.finish(),
	}
	r.RSTs, r.BareRSTs = d.tracker.RSTs, d.tracker.BareRSTs
	if d.opt.Connections || d.behind != nil {
		r.finish(d.ledger)
	}
	return r
}

// counts are the totals so far.
func (d *Detector) counts() Totals {
	t := d.tracker
	d.totals.Segments, d.totals.Streams = t.Segments, t.Streams
	d.totals.RSTAfterFIN.Total, d.totals.UnfollowedStreams = t.RSTAfterFIN, t.UnfollowedStreams
	d.totals.EvictedFlows, d.totals.EvictedTargets = t.Evicted, d.targets.evicted
	if o := d.targets.byEnd[tcpstate.Endpoint{}]; o != nil {
		d.totals.MergedConnections = o.connections
	}
	d.totals.Scans = d.scans.list()
	d.totals.Undecided = d.undecided.count()
	if l := t.Leaps(); l.Count > 0 {
		d.totals.Leaps = Leaps{Count: l.Count, By: l.By}
		d.totals.Leaps.Capture, d.totals.Leaps.Frame = t.Locate(l.Frame)
	}
	return d.totals
}

// figures are those of the targets.
func (d *Detector) figures() []Target {
	out := make([]Target, 0, len(d.targets.all)) // there may be many, all of them small
	for _, t := range d.targets.all {
		if t.connections == 0 && t.tries == (Tries{}) {
			continue
		}
		x := t.told
		r := Target{
			Target: t.end, LBs: t.lbs, Connections: t.connections, Requests: t.requests, Tries: t.tries, Answers5xx: t.answers5xx, Answered5xx: t.answered5xx,
			Vantage: x.vantage(),
		}
		if x != &silent {
			gaps := [3]Histogram{x.reuseHist, x.closes.Gaps, x.lbCloses.Gaps}
			r.Reuses, r.TargetCloses, r.LBCloses = &gaps[0], &gaps[1], &gaps[2]
		}
		if x.rtt.N > 0 {
			r.RTTMedian, r.RTTP99 = Duration{x.rtt.Median(), true}, Duration{x.rtt.Quantile(0.99), true}
		}
		if x.longest >= 0 {
			r.LongestReuse = Duration{x.longest, true}
		}
		own, lb := t.timers()
		r.Timers = t.idleTimers(d.opt.LBIdleTimeout)
		r.Server, r.LB = t.software(own)
		r.NotServers = x.who.server.Not()
		if own != nil {
			r.Idle = &own.Timeout
			r.NearMisses = x.nearMisses(own)
			r.Exposure, r.HasExposure = x.exposure(own)
		}
		if lb != nil {
			r.LBIdle = &lb.Timeout
		}
		h := &r.Handshakes
		h.Attempted, h.Completed, h.Refused, h.Unanswered = t.attempted, t.completed, t.refused, t.unanswered
		h.Pending, h.SYNRetransmissions, h.MaxWaiting = t.pending, t.synRetrans, uint64(t.maxWaiting)
		r.Advice = t.advice(own, lb, d.opt.LBIdleTimeout)
		if l := d.listener(t.end); l != nil {
			r.Listener = &Listener{Queue: l.Queue, Limit: l.Limit, MaxQueue: l.Most}
			if w := BacklogWarning(l.Limit, d.kernel.SOMaxConn); w != "" {
				r.Advice = append(r.Advice, w)
			}
		}
		out = append(out, r)
	}
	return out
}
