package report

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"connrace/cmd/connrace/internal/baseline"
	"connrace/detect"
	"connrace/tcpstate"
)

// The documents are also read, to be merged: what follows makes values of them again. What is read
// is hostile input, and what a report leaves out is zero.

// UnmarshalJSON reads a duration; null: unknown.
func (s *seconds) UnmarshalJSON(b []byte) error {
	var v *float64
	if err := json.Unmarshal(b, &v); err != nil || v == nil {
		return err
	}
	*s = seconds{NS: int64(math.Round(min(max(*v, -9e9), 9e9) * 1e9)), Known: true}
	return nil
}

// UnmarshalJSON reads a time; null: 0.
func (t *stamp) UnmarshalJSON(b []byte) error {
	var v *time.Time
	if err := json.Unmarshal(b, &v); err != nil || v == nil {
		return err
	}
	*t = stamp(v.UnixNano())
	return nil
}

// UnmarshalJSON reads a number; null: not known.
func (c *count) UnmarshalJSON(b []byte) error {
	var v *uint64
	if err := json.Unmarshal(b, &v); err != nil || v == nil {
		return err
	}
	*c = count{*v, true}
	return nil
}

// UnmarshalJSON reads a text.
func (r *repeated) UnmarshalJSON(b []byte) error {
	r.json = nil
	return json.Unmarshal(b, &r.text)
}

// UnmarshalJSON reads past a filter: it is made of the finding.
func (*displayFilter) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, new(string)) }

// UnmarshalJSON reads past a filter.
func (*tupleFilter) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, new(string)) }

// UnmarshalJSON reads numbers by their names, in the order of these.
func (c *counts) UnmarshalJSON(b []byte) error {
	var m map[string]uint64
	if err := json.Unmarshal(b, &m); err != nil {
		return err
	}
	c.n = func(key string) uint64 { return m[key] }
	for k := range m {
		c.keys = append(c.keys, k)
	}
	slices.Sort(c.keys)
	return nil
}

// few is a list of a finding: no finding that connrace writes has nearly mostOfFinding elements in it.
type few[T any] []T

const mostOfFinding = 4096

// UnmarshalJSON reads a list element by element, and no longer one than there may be.
func (l *few[T]) UnmarshalJSON(b []byte) error {
	*l = nil
	return baseline.Each(json.NewDecoder(bytes.NewReader(b)), func(d *json.Decoder) error {
		if len(*l) == mostOfFinding {
			return fmt.Errorf("a finding has a list of more than %d elements", mostOfFinding)
		}
		var v T
		err := d.Decode(&v)
		*l = append(*l, v)
		return err
	})
}

// small is a count as an int, which it is in every report that connrace writes.
func (c count) small() int { return int(min(c.n, math.MaxInt32)) }

// endpointFrom is an endpoint, or the path of a unix socket.
func endpointFrom(v optional) (e tcpstate.Endpoint, socket string, err error) {
	if path, is := strings.CutPrefix(string(v), "unix:"); is || v == "" {
		return e, path, nil
	}
	a, err := netip.ParseAddrPort(string(v))
	if err != nil {
		return e, "", fmt.Errorf("%q is no endpoint", v)
	}
	return tcpstate.EndpointFrom(a), "", nil
}

// addrFrom is an address; "": the zero one.
func addrFrom(s string) (tcpstate.Addr, error) {
	if s == "" {
		return tcpstate.Addr{}, nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return tcpstate.Addr{}, fmt.Errorf("%q is no address", s)
	}
	return tcpstate.AddrFrom(a), nil
}

// ruleFrom is one of detect.Rules.
func ruleFrom(id string) (*detect.Rule, error) {
	if r := detect.Lookup(id); r != nil {
		return r, nil
	}
	if id == "" {
		return nil, errors.New("it names no rule")
	}
	return nil, fmt.Errorf("there is no rule %q: is the report of a newer connrace?", id)
}

// named is the value that has a name; "": the first.
func named[T fmt.Stringer](name string, of ...T) (v T, err error) {
	if name == "" {
		return of[0], nil
	}
	for _, v := range of {
		if v.String() == name {
			return v, nil
		}
	}
	return v, fmt.Errorf("what is %q?", name)
}

func severityFrom(name string) (detect.Severity, error) {
	return named(name, detect.Info, detect.Warning, detect.Error)
}

// flagsFrom are those of a segment, of their letters.
func flagsFrom(s string) (f tcpstate.Flags, err error) {
	if s == "none" {
		return 0, nil
	}
	for _, c := range s {
		i := strings.IndexRune("FSRP.UEW", c)
		if i < 0 {
			return 0, fmt.Errorf("%q are no flags", s)
		}
		f |= 1 << i
	}
	return f, nil
}

// Capture is the capture, and how many of its stream numbers are exact.
func (d *CaptureDoc) Capture() (c Capture, exact uint32) {
	exact = math.MaxUint32
	if d.Exact.known {
		exact = uint32(min(d.Exact.n, math.MaxUint32))
	}
	return Capture{
		Path: d.Path, Format: d.Format, Compression: string(d.Compression), LinkTypes: d.LinkTypes, Frames: d.Frames, Bytes: d.Bytes,
		First: int64(d.First), Last: int64(d.Last), Snaplen: uint32(min(d.Snaplen.n, math.MaxUint32)), Truncated: d.Truncated, Warnings: d.Warnings,
	}, exact
}

func (d *triesDoc) tries() detect.Tries {
	return detect.Tries{LostRequests: d.LostRequests, FailedConnections: d.FailedConnections, OpenTries: d.OpenTries, ClientAborts: d.ClientAborts}
}

// Totals are the totals, without what is told of captures and findings.
func (d *TotalsDoc) Totals() (t detect.Totals, err error) {
	t = detect.Totals{
		Segments: d.Segments, Streams: d.Streams, Requests: d.Requests, Tries: d.tries(), Answers5xx: d.Answers5xx,
		EvictedFlows: d.EvictedFlows, EvictedTargets: d.EvictedTargets, MergedConnections: d.MergedConnections, Undecided: d.Undecided,
		HTTP2InTLS: d.HTTP2InTLS, HTTP2Unread: d.HTTP2Unread, OtherProtocols: d.OtherProtocols, UnfollowedStreams: d.Unfollowed,
		Leaps: detect.Leaps{Count: d.ClockLeaps},
	}
	t.RSTAfterFIN.Total, t.RSTAfterFIN.Explained = d.RSTAfterFIN.Total, d.RSTAfterFIN.Explained
	for _, s := range d.Scans {
		from, err := addrFrom(s.From)
		if err != nil {
			return t, err
		}
		to, err := addrFrom(s.To)
		if err != nil {
			return t, err
		}
		t.Scans = append(t.Scans, detect.Scan{From: from, To: to, Ports: s.Ports})
	}
	return t, nil
}

// FramesSkipped are the frames without a TCP segment, by reason.
func (d *TotalsDoc) FramesSkipped(each func(why string, n uint64)) {
	for _, why := range d.Skipped.keys {
		each(why, d.Skipped.n(why))
	}
}

// FindingsOf is how many findings of a rule there are, those that are only counted included.
func (d *TotalsDoc) FindingsOf(rule string) uint64 {
	if d.Findings.n == nil {
		return 0
	}
	return d.Findings.n(rule)
}

// Drops are the packets that the kernel dropped, if that is known.
func (d *TotalsDoc) Drops() (n uint64, known bool) { return d.KernelDrops.n, d.KernelDrops.known }

func (d *timeoutDoc) timeout() *detect.Timeout {
	if d == nil {
		return nil
	}
	return &detect.Timeout{NS: d.Seconds.NS, Samples: d.Samples, SpreadNS: d.Spread.NS, Advertised: detect.Duration(d.Advertised), Hint: d.Hint}
}

func (d *softwareDoc) software() *detect.Software {
	if d == nil {
		return nil
	}
	return &detect.Software{Name: d.Name, Basis: d.Basis, Likely: d.Likely}
}

// Figures are the figures of the target.
func (d *TargetDoc) Figures() (t detect.Target, err error) {
	t = detect.Target{
		Connections: d.Connections, Requests: d.Requests, Tries: d.tries(), Answers5xx: d.Answers5xx,
		RTTMedian: detect.Duration(d.RTT.Median), RTTP99: detect.Duration(d.RTT.P99), Vantage: d.Vantage,
		Idle: d.Idle.timeout(), LBIdle: d.LBIdle.timeout(), LongestReuse: detect.Duration(d.LongestReuse), NearMisses: d.NearMisses,
		Advice: d.Advice, Server: d.Software.Server.software(), LB: d.Software.LB.software(), NotServers: d.Software.Not,
	}
	if t.Target, _, err = endpointFrom(d.Target); err != nil {
		return t, err
	}
	for _, s := range d.LBs {
		lb, err := addrFrom(s)
		if err != nil {
			return t, err
		}
		t.LBs = append(t.LBs, lb)
	}
	if l := d.Listener; l != nil {
		t.Listener = &detect.Listener{Queue: l.Queue, MaxQueue: l.MaxQueue, Limit: l.Limit, Process: l.Process.process()}
	}
	if d.Exposure != nil {
		t.Exposure, t.HasExposure = *d.Exposure, true
	}
	h := &t.Handshakes
	h.Attempted, h.Completed, h.Refused, h.Unanswered = d.Handshakes.Attempted, d.Handshakes.Completed, d.Handshakes.Refused, d.Handshakes.Unanswered
	h.Pending, h.SYNRetransmissions, h.MaxWaiting = d.Handshakes.Pending, d.Handshakes.SYNRetrans, d.Handshakes.MostWaiting
	return t, nil
}

// Group is the group of findings, with the tries that they are about.
func (d *GroupDoc) Group() (g detect.Group, err error) {
	g = detect.Group{Lost: d.Lost, CloseCause: detect.CauseFrom(string(d.Cause), d.Kept), StreamCode: string(d.Code), Count: d.Count, First: int64(d.First), Last: int64(d.Last)}
	if g.Rule, err = ruleFrom(d.Rule); err != nil {
		return g, err
	}
	if g.Severity, err = severityFrom(string(d.Severity)); err != nil {
		return g, err
	}
	g.Target, g.Socket, err = endpointFrom(d.Target)
	return g, err
}

// Groups are the findings as two groups, of which those of the first failed.
func (d *RepeatedDoc) Groups() (gs [2]detect.Group, err error) {
	one := GroupDoc{Rule: d.Rule, Target: d.Target, Severity: d.Severity, First: d.First, Last: d.Last}
	one.Lost, one.Count = true, min(d.Lost, d.Count)
	if gs[0], err = one.Group(); err != nil {
		return gs, err
	}
	one.Lost, one.Count = false, d.Count-one.Count
	gs[1], err = one.Group()
	return gs, err
}

func (d *requestDoc) request() detect.Request {
	return detect.Request{
		Frame: d.Frame, Time: int64(d.Time), Bytes: d.Bytes, Method: string(d.Method), Path: string(d.Path), HTTPVersion: string(d.HTTPVersion),
		TraceID: string(d.TraceID), RequestID: string(d.RequestID),
	}
}

func (d *measuresDoc) measures() (m detect.Measures, err error) {
	m = detect.Measures{
		Idle: detect.Duration(d.Idle), RTT: detect.Duration(d.RTT), Outstanding: detect.Duration(d.Outstanding), Delay: detect.Duration(d.Delay),
		Attempts: d.Attempts.small(), Waiting: -1, RST: string(d.RST), RSTOrigin: string(d.RSTOrigin), RSTOriginBasis: string(d.RSTOriginBasis),
		RSTReason: string(d.RSTReason), DropReason: string(d.DropReason), Dropped: d.Dropped.small(),
		CloseCause: detect.CauseFrom(string(d.CloseCause), d.KeptOthers), CloseCauseBasis: string(d.CloseCauseBasis),
		StreamCode: string(d.StreamCode),
	}
	if x := d.LostSizes; x != nil {
		m.SmallestLost, m.LargestDelivered = x.SmallestLost, x.LargestDelivered
	}
	if d.Waiting.known {
		m.Waiting = d.Waiting.small()
	}
	if r := d.Retried; r != nil {
		m.Retried, m.RetryStream, m.RetryFrame = true, r.Stream, r.Frame
	}
	if e := d.ICMP; e != nil {
		from, err := addrFrom(e.From)
		if err != nil {
			return m, err
		}
		m.ICMP = &tcpstate.ICMPError{From: from, Type: e.Type, Code: e.Code, MTU: uint32(min(e.MTU.n, math.MaxUint32)), V6: !from.Is4()}
	}
	if k := d.Kernel; k != nil {
		m.Kernel = &detect.Kernel{Queue: k.Queue, Limit: k.Limit, Dropped: k.Drops}
		c := &m.Kernel.Counted
		c.ListenOverflows, c.ListenDrops, c.ReqQFullDrop, c.ReqQFullDoCookies = k.ListenOverflows, k.ListenDrops, k.ReqQFullDrop, k.ReqQFullDoCookies
	}
	return m, nil
}

// evidence makes a segment of evidence again; base is what the captures of its report are counted
// from.
func (d *evidenceDoc) evidence(base int) (e detect.Evidence, err error) {
	e = detect.Evidence{
		Capture: base + d.Capture, Stream: d.Stream, Frame: d.Frame, Time: int64(d.Time), FromLB: d.From == "lb",
		Seq: tcpstate.Seq(d.Seq), Ack: tcpstate.Seq(d.Ack), Len: d.Len, TTL: uint8(min(d.TTL.n, math.MaxUint8)), Role: detect.Role(d.Role),
		Note: string(d.Note),
	}
	e.SetComment(string(d.Comment))
	e.Flags, err = flagsFrom(string(d.Flags))
	return e, err
}

// process makes a process again.
func (d *processDoc) process() *detect.Process {
	if d == nil {
		return nil
	}
	p := &detect.Process{
		PID: d.PID, Name: d.Name, Command: string(d.Command), Container: string(d.Container), Pod: string(d.Pod), Unit: string(d.Unit), Closed: string(d.Closed),
	}
	if d.Basis == detect.ByComment {
		p.Basis = d.Basis
	}
	if e := d.Exit; e != nil {
		p.Exit = &detect.Exit{Time: int64(e.Time), Signal: e.Signal.small(), Code: e.Code.small(), OOM: e.OOM, Limit: e.Limit.n, Killer: e.Killer.process()}
		if c := e.Caught; c != nil && c.From != nil {
			p.Exit.Caught = &detect.Signal{Time: int64(c.Time), Number: c.Signal, From: c.From.process()}
		}
	}
	return p
}

// Finding makes the finding again; base is what the captures of its report are counted from. What
// joined captures had seen at each point is left out: the points are those of another report.
func (d *FindingDoc) Finding(base int) (f *detect.Finding, err error) {
	f = &detect.Finding{
		Grounds: string(d.Grounds), Capture: base + d.Capture, HasStream: d.Stream.known, Stream: uint32(d.Stream.n), Inexact: !d.StreamExact,
		Time: int64(d.Time), Lost: d.Lost, Open: d.Open, Unwatched: d.Unwatched, Dead: d.Gone, Gone: d.Gone,
		RoleBasis: string(d.RoleBasis), Process: d.Process.process(), Summary: string(d.Summary), Cause: d.Cause.text, Fix: d.Fix.text,
	}
	f.Restore(d.ClientLeft)
	var errs [6]error
	f.Rule, errs[0] = ruleFrom(d.Rule)
	f.Severity, errs[1] = severityFrom(string(d.Severity))
	f.Confidence, errs[2] = named(string(d.Confidence), detect.Suspected, detect.Likely, detect.Certain)
	f.LB, _, errs[3] = endpointFrom(d.LB)
	f.Target, f.Socket, errs[4] = endpointFrom(d.Target)
	f.Measures, errs[5] = d.Measures.measures()
	if err := cmp.Or(errs[:]...); err != nil {
		return nil, err
	}
	if d.Request != nil {
		q := d.Request.request()
		f.Request = &q
	}
	for i := range d.Requests {
		x := &d.Requests[i]
		q := detect.StreamRequest{Request: x.request(), ID: x.ID, State: x.State, Received: x.Received}
		q.Answer = detect.StreamAnswer{Status: x.Status.small(), GRPCStatus: -1, ContentType: string(x.ContentType)}
		if x.GRPCStatus.known {
			q.Answer.GRPCStatus = x.GRPCStatus.small()
		}
		if r := x.Retried; r != nil {
			q.Retry = &detect.Retry{Stream: r.Stream, Frame: r.Frame}
		}
		f.Requests = append(f.Requests, q)
	}
	for i := range d.Evidence {
		e, err := d.Evidence[i].evidence(base)
		if err != nil {
			return nil, err
		}
		if f.Evidence = append(f.Evidence, e); e.Time == f.Time {
			f.Frame = cmp.Or(f.Frame, e.Frame)
		}
	}
	if d.IdleFrom != nil {
		e, err := d.IdleFrom.evidence(base)
		if err != nil {
			return nil, err
		}
		f.IdleFrom = &e
	}
	if p := d.Proof; p != nil {
		f.Proof = &detect.Proof{Place: p.Place, Way: string(p.Way), Text: string(p.Text)}
	}
	return f, nil
}
