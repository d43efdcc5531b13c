package detect

import "connrace/tcpstate"

// Options steer an analysis. The zero value analyses everything.
type Options struct {
	// IsTarget and IsLB report whether an endpoint was named as one by the user;
	// nil: none was named. With IsTarget set, only flows with such an endpoint are
	// analysed; numbering still counts every packet.
	IsTarget, IsLB func(tcpstate.Endpoint) bool
	LBIdleTimeout  int64 // ns; 0: infer
	MaxFlows       int   // bound of the flow table; 0: a default
	Streams        bool  // keep the figures of every stream
	// Live: it goes on for weeks. What is remembered of connections, targets and
	// findings is bounded; findings that are no longer kept are counted.
	Live bool
	// IsLocal reports whether an address is one of the host's whose kernel is a witness;
	// nil: each is.
	IsLocal   func(tcpstate.Addr) bool
	Exchanges bool // keep what a load balancer's log is compared with
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
}

// Totals are counts over the whole capture.
type Totals struct {
	Segments     uint64 // TCP segments
	Streams      uint64 // streams opened, as Wireshark counts
	Requests     uint64
	LostRequests uint64
	RSTAfterFIN  struct{ Total, Explained uint64 }
	EvictedFlows uint64
	Leaps        Leaps
	// OneDirection counts flows of which only one side's segments were seen,
	// NoHandshake flows without SYN, NoPayload flows that had payload of which nothing was
	// captured.
	OneDirection, NoHandshake, NoPayload uint64
	Flows                                uint64 // flows analysed: those that --target leaves
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
	Target       tcpstate.Endpoint
	LBs          []tcpstate.Addr
	Connections  uint64
	Requests     uint64
	LostRequests uint64
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
	Advice   []string
	Listener *Listener // nil: the kernel was not asked, or does not listen there
	// ReuseGaps and the closes' gaps, ns, for histograms: logarithmic buckets.
	Reuses, TargetCloses, LBCloses Histogram
}

// Listener is the state of a target's accept queue, as its kernel told it.
type Listener struct {
	Queue, Limit uint32 // now; Limit is the backlog
	MaxQueue     uint32 // the longest that was seen
}

// Timeout is an inferred idle timeout.
type Timeout struct {
	NS         int64
	Samples    int
	SpreadNS   int64
	Advertised Duration // Keep-Alive: timeout=
	Hint       []string // software whose default this is
}

// Histogram counts gaps by size in buckets of a quarter octave: bucket i holds
// [1 ms · 2^(i/4), 1 ms · 2^((i+1)/4)); bucket 0 also everything shorter, the last
// everything longer.
type Histogram [96]uint32
