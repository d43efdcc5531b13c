package detect

import (
	"strconv"
	"strings"

	"connrace/tcpstate"
)

// Severity orders findings by what they cost.
type Severity uint8

// The severities.
const (
	Info Severity = iota
	Warning
	Error
)

func (s Severity) String() string { return [...]string{"info", "warning", "error"}[s] }

// Confidence says how far the evidence goes.
type Confidence uint8

// The confidences. Certain: both closing segments and the roles were seen, no hole.
// Likely: one fact is inferred. Suspected: a hole touches the incident, or the wire
// cannot tell.
const (
	Suspected Confidence = iota
	Likely
	Certain
)

func (c Confidence) String() string { return [...]string{"suspected", "likely", "certain"}[c] }

// Request is the request that an incident concerns. Strings are empty where the
// payload did not show them; they are as captured, unescaped: hostile input.
type Request struct {
	Frame       uint64
	Time        int64
	Bytes       uint32 // octets of it that were sent
	Method      string
	Path        string // with its query string
	HTTPVersion string // "1.1"
	TraceID     string // X-Amzn-Trace-Id
	RequestID   string // X-Request-Id
}

// Idempotent reports whether the method may be repeated safely (RFC 9110 §9.2.2);
// known is false without a method.
func (r *Request) Idempotent() (idempotent, known bool) {
	switch r.Method {
	case "":
		return false, false
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true, true
	}
	return false, true
}

// Duration is a measure in nanoseconds that may be unknown.
type Duration struct {
	NS    int64
	Known bool
}

// Measures are the figures of an incident; what does not apply is unknown, -1 or "".
type Measures struct {
	Idle             Duration // last octet of the answer before → close, or → request
	RTT              Duration
	Outstanding      Duration // request → close
	Delay            Duration // of a connection that was set up late
	Attempts         int      // copies of the SYN or of the data; 0: does not apply
	SmallestLost     uint32   // octets of the smallest segment that was lost, where that tells something (see Size); 0: it does not
	LargestDelivered uint32   // and of the largest that arrived meanwhile; 0: none is known
	Waiting          int      // stalled requests on the same listener; -1: not counted
	RST              string   // "reply", "active" or ""
	RSTOrigin        string   // "target", "lb", "in-between", "unknown", or "" where no RST is concerned
	RSTOriginBasis   string   // "ttl", "shape", "joined" or ""
	RSTReason        string   // why the target's kernel sent its RST, as that says: "TCP_ABORT_ON_CLOSE"; "": unknown
	DropReason       string   // why the target's kernel dropped segments, as that says: "NETFILTER_DROP"; "": unknown
	Dropped          int      // how many, by DropReason
	CloseCause       string   // the ID of one of CloseCauses, or ""
	CloseCauseBasis  string   // "inferred", "advertised", "hint", "refused" or ""
	StreamCode       string   // the code of the RST_STREAM that ended the request: "REFUSED_STREAM"; "": none did
	Retried          bool
	RetryStream      uint32
	RetryFrame       uint64
	ICMP             *tcpstate.ICMPError // the ICMP error that tells; nil: none
	Kernel           *Kernel             // what the kernel of the target's host said; nil: it was not asked
}

// advice is a cause and what is to be done about it.
type advice struct{ cause, fix string }

// Finding is one incident.
type Finding struct {
	ID         int // from 1, in order of time
	Rule       *Rule
	Severity   Severity
	Confidence Confidence
	Grounds    string // why this confidence
	Capture    int
	Stream     uint32
	HasStream  bool              // false for findings about a target as a whole
	Inexact    bool              // stream numbers may differ from Wireshark's: see tcpstate.Tracker.Exact
	LB         tcpstate.Endpoint // zero for findings about a target as a whole
	Target     tcpstate.Endpoint
	// Views are the connection at the points of joined captures that have it, along the path
	// from the LB. LB and Target are its ends as the first of them has them.
	Views     []View
	Socket    string // path of the listening unix socket that is meant instead of Target
	Frame     uint64 // of the decisive segment
	Time      int64  // of the decisive segment, ns since the Unix epoch
	Lost      bool
	Open      bool            // it was still undecided when the capture ended, of a live one now
	Dead      bool            // the target's host or the way to it is known to be dead: no queue is behind it
	Gone      bool            // and nothing was heard of it since: neither of new connections nor of those that it had
	Unwatched bool            // the LB had had the target's close for long: its pool does not watch its connections
	Request   *Request        // nil: none
	Requests  []StreamRequest // of HTTP/2: all streams that it concerns, of which Request is the first
	Measures  Measures
	Evidence  []Evidence // in the order of the frames
	IdleFrom  *Evidence  // where Measures.Idle begins: the last octets of the answer before; nil: unknown
	RoleBasis string     // "handshake", "flag", "shared-endpoint", "http" or "port"
	Process   *Process   // of the target's host that had to do with it; nil: unknown
	Proof     *Proof     // what captures at two points show; nil: there is one, or it decides nothing
	Summary   string     // one sentence
	Cause     string
	Fix       string

	ignored  []int64 // when segments were ignored: see pending
	byClient bool    // most likely a client went away, and the LB with it
	atOnce   bool    // the LB closed as soon as it could have read that its request had arrived: it may have waited for that
	round    bool    // a wait looks configured by another clock than that it is shown by
	timeUp   bool    // the LB's log says that its own time was up
	more     *advice // what follows cause and fix; nil: nothing
	own      *advice // cause and fix of this finding alone; nil: they are the rule's
	also     string  // what else can be behind this finding alone: a sentence that follows its cause
}

// weight is how many requests it keeps: its memory grows with them.
func (f *Finding) weight() int { return max(len(f.Requests), 1) }

// TargetName is the target as people write it.
func (f *Finding) TargetName() string {
	if f.Socket != "" {
		return "unix:" + f.Socket
	}
	return f.Target.String()
}

// seconds writes a time for people, to three digits: "5 s", "1.25 s", "12.3 ms", "25 µs".
func seconds(ns int64) string {
	switch {
	case ns >= second-millisecond/2: // which rounds up
		s := float64(ns) / 1e9
		decimals := 2
		for limit := 10.0; decimals > 0 && s >= limit; limit *= 10 {
			decimals--
		}
		text := strconv.FormatFloat(s, 'f', decimals, 64)
		if decimals > 0 {
			text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
		}
		return text + " s"
	case ns >= millisecond:
		return strconv.FormatFloat(float64(ns)/1e6, 'g', 3, 64) + " ms"
	}
	return strconv.FormatInt(ns/1000, 10) + " µs"
}
