package merge

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"connrace/detect"
	"connrace/tcpstate"
)

// What is read of a report: package report writes it.

// endpoint is one, or the path of a unix socket; null: neither.
type endpoint struct {
	tcpstate.Endpoint
	socket string
}

func (e *endpoint) UnmarshalJSON(b []byte) error {
	var v string
	if err := json.Unmarshal(b, &v); err != nil || v == "" {
		return err
	}
	if path, is := strings.CutPrefix(v, "unix:"); is {
		e.socket = path
		return nil
	}
	a, err := netip.ParseAddrPort(v)
	if err != nil {
		return fmt.Errorf("%q is no endpoint", v)
	}
	e.Endpoint = tcpstate.EndpointFrom(a)
	return nil
}

// rule is one of detect.Rules.
type rule struct{ *detect.Rule }

func (r *rule) UnmarshalJSON(b []byte) error {
	var id string
	if err := json.Unmarshal(b, &id); err != nil {
		return err
	}
	if r.Rule = detect.Lookup(id); r.Rule == nil {
		return fmt.Errorf("there is no rule %q: is the report of a newer connrace?", id)
	}
	return nil
}

// severity and confidence have names.
type (
	severity   detect.Severity
	confidence detect.Confidence
)

func (v *severity) UnmarshalJSON(b []byte) (err error) {
	x, err := named(b, detect.Info, detect.Warning, detect.Error)
	*v = severity(x)
	return err
}

func (v *confidence) UnmarshalJSON(b []byte) (err error) {
	x, err := named(b, detect.Suspected, detect.Likely, detect.Certain)
	*v = confidence(x)
	return err
}

// named is the value that has a name.
func named[T fmt.Stringer](b []byte, of ...T) (none T, err error) {
	var name string
	if err := json.Unmarshal(b, &name); err != nil {
		return none, err
	}
	for _, v := range of {
		if v.String() == name {
			return v, nil
		}
	}
	return none, fmt.Errorf("what is %q?", name)
}

// flags are those of a segment, in letters.
type flags tcpstate.Flags

func (f *flags) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil || s == "none" {
		return err
	}
	for _, c := range s {
		i := strings.IndexRune("FSRP.UEW", c)
		if i < 0 {
			return fmt.Errorf("%q are no flags", s)
		}
		*f |= 1 << i
	}
	return nil
}

type triesDoc struct {
	LostRequests      uint64 `json:"lost_requests"`
	FailedConnections uint64 `json:"failed_connections"`
	OpenTries         uint64 `json:"open_tries"`
	ClientAborts      uint64 `json:"client_aborts"`
	Answers5xx        uint64 `json:"answers_5xx"`
}

func (d *triesDoc) tries() detect.Tries {
	return detect.Tries{LostRequests: d.LostRequests, FailedConnections: d.FailedConnections, OpenTries: d.OpenTries, ClientAborts: d.ClientAborts}
}

type captureDoc struct {
	Path        string   `json:"path"`
	Format      string   `json:"format"`
	Compression string   `json:"compression"`
	LinkTypes   []uint16 `json:"link_types"`
	Frames      uint64   `json:"frames"`
	Bytes       int64    `json:"bytes"`
	First       stamp    `json:"first"`
	Last        stamp    `json:"last"`
	Snaplen     uint32   `json:"snaplen"`
	Truncated   bool     `json:"truncated"`
	Warnings    []string `json:"warnings"`
	Exact       *uint32  `json:"exact_streams"`
}

type totalsDoc struct {
	triesDoc
	Segments    uint64 `json:"tcp_segments"`
	Streams     uint64 `json:"streams"`
	Requests    uint64 `json:"requests"`
	RSTAfterFIN struct {
		Total     uint64 `json:"total"`
		Explained uint64 `json:"explained"`
	} `json:"rst_after_fin"`
	Skipped           map[string]uint64 `json:"skipped"`
	EvictedFlows      uint64            `json:"evicted_flows"`
	EvictedTargets    uint64            `json:"evicted_targets"`
	MergedConnections uint64            `json:"merged_connections"`
	Undecided         uint64            `json:"undecided"`
	HTTP2InTLS        uint64            `json:"http2_in_tls"`
	HTTP2Unread       uint64            `json:"http2_unread"`
	OtherProtocols    uint64            `json:"other_protocols"`
	Unfollowed        uint64            `json:"unfollowed_streams"`
	ClockLeaps        uint64            `json:"clock_leaps"`
	Drops             *uint64           `json:"kernel_drops"`
	Scans             []struct {
		From  netip.Addr `json:"from"`
		To    netip.Addr `json:"to"`
		Ports int        `json:"ports"`
	} `json:"scans"`
}

type timeoutDoc struct {
	Seconds    seconds  `json:"seconds"`
	Samples    int      `json:"samples"`
	Spread     seconds  `json:"spread_seconds"`
	Advertised seconds  `json:"advertised_seconds"`
	Hint       []string `json:"hint"`
}

func (d *timeoutDoc) timeout() *detect.Timeout {
	if d == nil {
		return nil
	}
	return &detect.Timeout{NS: d.Seconds.NS, Samples: d.Samples, SpreadNS: d.Spread.NS, Advertised: detect.Duration(d.Advertised), Hint: d.Hint}
}

type softwareDoc struct {
	Name  string `json:"name"`
	Basis string `json:"basis"`
}

func (d *softwareDoc) software() *detect.Software {
	if d == nil {
		return nil
	}
	return &detect.Software{Name: d.Name, Basis: d.Basis}
}

type targetDoc struct {
	triesDoc
	Target      endpoint     `json:"target"`
	LBs         []netip.Addr `json:"lbs"`
	Connections uint64       `json:"connections"`
	Requests    uint64       `json:"requests"`
	RTT         struct {
		Median seconds `json:"median"`
		P99    seconds `json:"p99"`
	} `json:"rtt_seconds"`
	Vantage      string      `json:"vantage"`
	Idle         *timeoutDoc `json:"idle_timeout"`
	LBIdle       *timeoutDoc `json:"lb_idle_timeout"`
	LongestReuse seconds     `json:"longest_reuse_seconds"`
	NearMisses   uint64      `json:"near_misses"`
	Exposure     *float64    `json:"exposure_per_million"`
	Handshakes   struct {
		Attempted   uint64 `json:"attempted"`
		Completed   uint64 `json:"completed"`
		Refused     uint64 `json:"refused"`
		Unanswered  uint64 `json:"unanswered"`
		Pending     uint64 `json:"pending"`
		SYNRetrans  uint64 `json:"syn_retransmissions"`
		MostWaiting uint64 `json:"max_waiting"`
	} `json:"handshakes"`
	Software struct {
		Server *softwareDoc `json:"server"`
		LB     *softwareDoc `json:"lb"`
	} `json:"software"`
	Advice []string `json:"advice"`
}

func (d *targetDoc) target() detect.Target {
	t := detect.Target{
		Target: d.Target.Endpoint, Connections: d.Connections, Requests: d.Requests, Tries: d.tries(), Answers5xx: d.Answers5xx,
		RTTMedian: detect.Duration(d.RTT.Median), RTTP99: detect.Duration(d.RTT.P99), Vantage: d.Vantage,
		Idle: d.Idle.timeout(), LBIdle: d.LBIdle.timeout(), LongestReuse: detect.Duration(d.LongestReuse), NearMisses: d.NearMisses,
		Advice: d.Advice, Server: d.Software.Server.software(), LB: d.Software.LB.software(),
	}
	for _, lb := range d.LBs {
		t.LBs = append(t.LBs, tcpstate.AddrFrom(lb))
	}
	if d.Exposure != nil {
		t.Exposure, t.HasExposure = *d.Exposure, true
	}
	h := &t.Handshakes
	h.Attempted, h.Completed, h.Refused, h.Unanswered = d.Handshakes.Attempted, d.Handshakes.Completed, d.Handshakes.Refused, d.Handshakes.Unanswered
	h.Pending, h.SYNRetransmissions, h.MaxWaiting = d.Handshakes.Pending, d.Handshakes.SYNRetrans, d.Handshakes.MostWaiting
	t.Timers = timers(&t)
	return t
}

// timers are the two idle timeouts, as far as they are known.
func timers(t *detect.Target) (x detect.Timers) {
	if t.Idle != nil {
		x.Target = t.Idle.NS
	}
	if t.LBIdle != nil {
		x.LB = t.LBIdle.NS
	}
	return x
}

type requestDoc struct {
	Frame     uint64 `json:"frame"`
	Time      stamp  `json:"time"`
	Bytes     uint32 `json:"bytes"`
	Method    string `json:"method"`
	Path      string `json:"path"`
	Version   string `json:"http_version"`
	TraceID   string `json:"trace_id"`
	RequestID string `json:"request_id"`
}

func (d *requestDoc) request() detect.Request {
	return detect.Request{
		Frame: d.Frame, Time: int64(d.Time), Bytes: d.Bytes, Method: d.Method, Path: d.Path, HTTPVersion: d.Version,
		TraceID: d.TraceID, RequestID: d.RequestID,
	}
}

type retryDoc struct {
	Stream uint32 `json:"stream"`
	Frame  uint64 `json:"frame"`
}

type measuresDoc struct {
	Idle        seconds `json:"idle_seconds"`
	RTT         seconds `json:"rtt_seconds"`
	Outstanding seconds `json:"outstanding_seconds"`
	Delay       seconds `json:"delay_seconds"`
	Attempts    int     `json:"attempts"`
	LostSizes   struct {
		SmallestLost     uint32 `json:"smallest_lost"`
		LargestDelivered uint32 `json:"largest_delivered"`
	} `json:"lost_sizes"`
	Waiting         *int      `json:"waiting"`
	RST             string    `json:"rst"`
	RSTOrigin       string    `json:"rst_origin"`
	RSTOriginBasis  string    `json:"rst_origin_basis"`
	CloseCause      string    `json:"close_cause"`
	CloseCauseBasis string    `json:"close_cause_basis"`
	Retried         *retryDoc `json:"retried"`
	ICMP            *struct {
		From netip.Addr `json:"from"`
		Type uint8      `json:"type"`
		Code uint8      `json:"code"`
		MTU  uint32     `json:"mtu"`
	} `json:"icmp"`
}

func (d *measuresDoc) measures() detect.Measures {
	m := detect.Measures{
		Idle: detect.Duration(d.Idle), RTT: detect.Duration(d.RTT), Outstanding: detect.Duration(d.Outstanding), Delay: detect.Duration(d.Delay),
		Attempts: d.Attempts, SmallestLost: d.LostSizes.SmallestLost, LargestDelivered: d.LostSizes.LargestDelivered, Waiting: -1,
		RST: d.RST, RSTOrigin: d.RSTOrigin, RSTOriginBasis: d.RSTOriginBasis, CloseCause: d.CloseCause, CloseCauseBasis: d.CloseCauseBasis,
	}
	if d.Waiting != nil {
		m.Waiting = *d.Waiting
	}
	if r := d.Retried; r != nil {
		m.Retried, m.RetryStream, m.RetryFrame = true, r.Stream, r.Frame
	}
	if e := d.ICMP; e != nil {
		m.ICMP = &tcpstate.ICMPError{From: tcpstate.AddrFrom(e.From), Type: e.Type, Code: e.Code, MTU: e.MTU, V6: !e.From.Is4()}
	}
	return m
}

type evidenceDoc struct {
	Capture int    `json:"capture"`
	Stream  uint32 `json:"stream"`
	Frame   uint64 `json:"frame"`
	Time    stamp  `json:"time"`
	From    string `json:"from"`
	Flags   flags  `json:"flags"`
	Seq     uint32 `json:"seq"`
	Ack     uint32 `json:"ack"`
	Len     uint32 `json:"len"`
	TTL     uint8  `json:"ttl"`
	Role    string `json:"role"`
	Note    string `json:"note"`
}

func (d *evidenceDoc) evidence(base int) detect.Evidence {
	return detect.Evidence{
		Capture: base + d.Capture, Stream: d.Stream, Frame: d.Frame, Time: int64(d.Time), FromLB: d.From == "lb", Flags: tcpstate.Flags(d.Flags),
		Seq: tcpstate.Seq(d.Seq), Ack: tcpstate.Seq(d.Ack), Len: d.Len, TTL: d.TTL, Role: detect.Role(d.Role), Note: d.Note,
	}
}

type findingDoc struct {
	ID          int                `json:"id"`
	Rule        rule               `json:"rule"`
	Severity    severity           `json:"severity"`
	Confidence  confidence         `json:"confidence"`
	Grounds     string             `json:"grounds"`
	Capture     int                `json:"capture"`
	Stream      *uint32            `json:"stream"`
	StreamExact bool               `json:"stream_exact"`
	LB          endpoint           `json:"lb"`
	Target      endpoint           `json:"target"`
	Time        stamp              `json:"time"`
	Lost        bool               `json:"lost"`
	Open        bool               `json:"open"`
	ClientLeft  bool               `json:"client_left"`
	Unwatched   bool               `json:"pool_unwatched"`
	Request     *requestDoc        `json:"request"`
	Requests    []streamRequestDoc `json:"requests"`
	Measures    measuresDoc        `json:"measures"`
	Evidence    []evidenceDoc      `json:"evidence"`
	IdleFrom    *evidenceDoc       `json:"idle_from"`
	RoleBasis   string             `json:"role_basis"`
	Proof       *struct {
		Place, Text string
		Way         string
	} `json:"proof"`
	Summary string `json:"summary"`
	Cause   string `json:"cause"`
	Fix     string `json:"fix"`
}

type streamRequestDoc struct {
	requestDoc
	ID          uint32    `json:"id"`
	State       string    `json:"state"`
	Received    uint64    `json:"bytes_received"`
	Retried     *retryDoc `json:"retried"`
	Status      int       `json:"status"`
	GRPCStatus  *int      `json:"grpc_status"`
	ContentType string    `json:"content_type"`
}

// finding makes one again; base is what the captures of its report are counted from.
func (d *findingDoc) finding(base int) *detect.Finding {
	f := &detect.Finding{
		Rule: d.Rule.Rule, Severity: detect.Severity(d.Severity), Confidence: detect.Confidence(d.Confidence), Grounds: d.Grounds, Capture: base + d.Capture,
		HasStream: d.Stream != nil, Inexact: !d.StreamExact, LB: d.LB.Endpoint, Target: d.Target.Endpoint, Socket: d.Target.socket,
		Time: int64(d.Time), Lost: d.Lost, Open: d.Open, Unwatched: d.Unwatched, Measures: d.Measures.measures(),
		RoleBasis: d.RoleBasis, Summary: d.Summary, Cause: d.Cause, Fix: d.Fix,
	}
	f.Restore(d.ClientLeft)
	if d.Stream != nil {
		f.Stream = *d.Stream
	}
	if d.Request != nil {
		q := d.Request.request()
		f.Request = &q
	}
	for i := range d.Requests {
		x := &d.Requests[i]
		q := detect.StreamRequest{Request: x.request(), ID: x.ID, State: x.State, Received: x.Received, Answer: detect.StreamAnswer{Status: x.Status, GRPCStatus: -1, ContentType: x.ContentType}}
		if x.GRPCStatus != nil {
			q.Answer.GRPCStatus = *x.GRPCStatus
		}
		if r := x.Retried; r != nil {
			q.Retry = &detect.Retry{Stream: r.Stream, Frame: r.Frame}
		}
		f.Requests = append(f.Requests, q)
	}
	for i := range d.Evidence {
		f.Evidence = append(f.Evidence, d.Evidence[i].evidence(base))
	}
	if d.IdleFrom != nil {
		e := d.IdleFrom.evidence(base)
		f.IdleFrom = &e
	}
	if p := d.Proof; p != nil {
		f.Proof = &detect.Proof{Place: p.Place, Way: p.Way, Text: p.Text}
	}
	for i := range f.Evidence {
		if e := &f.Evidence[i]; e.Time == f.Time {
			f.Frame = cmp.Or(f.Frame, e.Frame)
		}
	}
	return f
}

type groupDoc struct {
	Rule     rule     `json:"rule"`
	Target   endpoint `json:"target"`
	Severity severity `json:"severity"`
	Lost     bool     `json:"lost"`
	Cause    string   `json:"close_cause"`
	Count    uint64   `json:"count"`
	First    stamp    `json:"first"`
	Last     stamp    `json:"last"`
}
