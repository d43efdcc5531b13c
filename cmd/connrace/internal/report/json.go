package report

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"math"
	"slices"

	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
	"connrace/tcpstate"
)

// Schema names the JSON contract, docs/connrace-1.schema.json. Keys are only ever added
// to it.
const Schema = "connrace/1"

// JSON writes the report as one object: a line for each key, for each element of its
// lists. Streams are written one by one, there may be millions.
func JSON(w io.Writer, r *Report, o *Options) error { return newObject(w).report(r, o) }

func (j *object) report(r *Report, o *Options) error {
	j.field("schema", Schema)
	j.captures(r)
	j.totals(r)
	j.targets(r)
	j.problems(r.Diagnosis(o))
	j.list("findings", func(add func(any)) {
		var d FindingDoc
		for i := range r.Analyses {
			a := &r.Analyses[i]
			for _, f := range a.Result.Findings {
				if o.Shows(f) {
					add(d.set(a, f, o, ""))
				}
			}
		}
	})
	j.joined(r)
	j.outages(r, o)
	j.failures(r)
	j.log(r, o)
	j.baseline(r)
	j.forgotten(r)
	j.streams(r, o)
	return j.close()
}

// Bounds of what is in the report that a page holds.
const (
	mostEmbeddedTargets  = 1 << 10
	mostEmbeddedCaptures = 1 << 8
)

// Embedded writes what --baseline compares with as one line of JSON that may stand in an
// element of a page: no character of it means anything there.
func Embedded(w io.Writer, r *Report) error {
	j := newObject(w)
	j.compact = true
	j.encode = appendForHTML
	j.field("type", "summary")
	j.field("schema", Schema)
	j.list("captures", func(add func(any)) {
		for i := range r.Captures[:min(len(r.Captures), mostEmbeddedCaptures)] {
			add(captureJSON(r, i))
		}
	})
	j.totals(r)
	j.list("targets", func(add func(any)) {
		for i := range r.Analyses {
			a := &r.Analyses[i]
			ts, _ := ranked(a)
			for k := range ts[:min(len(ts), mostEmbeddedTargets/len(r.Analyses))] {
				add(targetJSON(a, &ts[k]))
			}
		}
	})
	j.failures(r)
	return j.close()
}

// appendForHTML appends a value as JSON of which no character means anything in HTML.
func appendForHTML(b []byte, v any) []byte {
	var escaped bytes.Buffer
	json.HTMLEscape(&escaped, appendJSON(nil, v))
	return append(b, escaped.Bytes()...)
}

func (j *object) captures(r *Report) {
	j.list("captures", func(add func(any)) {
		for i := range r.Captures {
			add(captureJSON(r, i))
		}
	})
}

func (j *object) totals(r *Report) { j.field("totals", totalsJSON(r)) }

func (j *object) targets(r *Report) {
	j.list("targets", func(add func(any)) {
		for i := range r.Analyses {
			a := &r.Analyses[i]
			for k := range a.Result.Targets {
				add(targetJSON(a, &a.Result.Targets[k]))
			}
		}
	})
}

func (j *object) streams(r *Report, o *Options) {
	if !o.Streams {
		return
	}
	j.list("streams", func(add func(any)) {
		for i := range r.Analyses {
			a := &r.Analyses[i]
			for k := range a.Result.Streams {
				add(streamJSON(a, &a.Result.Streams[k]))
			}
		}
	})
}

// CaptureDoc is a capture in JSON.
type CaptureDoc struct {
	Path        string   `json:"path"`
	Format      string   `json:"format"`
	Compression optional `json:"compression"`
	LinkTypes   []uint16 `json:"link_types"`
	Frames      uint64   `json:"frames"`
	Bytes       int64    `json:"bytes"`
	First       stamp    `json:"first"`
	Last        stamp    `json:"last"`
	Snaplen     count    `json:"snaplen"`
	Truncated   bool     `json:"truncated"`
	Warnings    []string `json:"warnings"`
	Exact       count    `json:"exact_streams"`
}

func captureJSON(r *Report, i int) CaptureDoc {
	c := &r.Captures[i]
	ws := make([]string, len(c.Warnings))
	for i, w := range c.Warnings {
		ws[i] = text.Clean(w)
	}
	exact := r.exactStreams(i)
	return CaptureDoc{
		Path: text.Clean(c.Path), Format: c.Format, Compression: optional(c.Compression),
		LinkTypes: list(c.LinkTypes), Frames: c.Frames, Bytes: c.Bytes,
		First: stamp(c.First), Last: stamp(c.Last),
		Snaplen: count{uint64(c.Snaplen), c.Snaplen > 0}, Truncated: c.Truncated,
		Exact: count{uint64(exact), exact != math.MaxUint32}, Warnings: ws,
	}
}

// TotalsDoc are the totals in JSON.
type TotalsDoc struct {
	Frames   uint64 `json:"frames"`
	Segments uint64 `json:"tcp_segments"`
	Streams  uint64 `json:"streams"`
	Requests uint64 `json:"requests"`
	triesDoc
	Findings    counts `json:"findings"`
	RSTAfterFIN struct {
		Total     uint64 `json:"total"`
		Explained uint64 `json:"explained"`
	} `json:"rst_after_fin"`
	Skipped      counts `json:"skipped"`
	EvictedFlows uint64 `json:"evicted_flows"`
	// Of more targets than are told apart only.
	EvictedTargets    uint64 `json:"evicted_targets,omitempty"`
	MergedConnections uint64 `json:"merged_connections,omitempty"`
	Undecided         uint64 `json:"undecided"`
	// Of what is not told apart, and of who only looked.
	HTTP2InTLS     uint64    `json:"http2_in_tls,omitempty"`
	HTTP2Unread    uint64    `json:"http2_unread,omitempty"`
	OtherProtocols uint64    `json:"other_protocols,omitempty"`
	Unfollowed     uint64    `json:"unfollowed_streams,omitempty"`
	Scans          []scanDoc `json:"scans,omitempty"`
	ClockLeaps     uint64    `json:"clock_leaps"`
	KernelDrops    count     `json:"kernel_drops"`
}

// triesDoc is what came of tries.
type triesDoc struct {
	LostRequests      uint64 `json:"lost_requests"`
	FailedConnections uint64 `json:"failed_connections"`
	FailedTries       uint64 `json:"failed_tries"`
	OpenTries         uint64 `json:"open_tries"`
	ClientAborts      uint64 `json:"client_aborts"`
	Answers5xx        uint64 `json:"answers_5xx"`
}

func triesJSON(t *detect.Tries, answers5xx uint64) triesDoc {
	return triesDoc{t.LostRequests, t.FailedConnections, t.Failed(), t.OpenTries, t.ClientAborts, answers5xx}
}

type scanDoc struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Ports int    `json:"ports"`
}

func totalsJSON(r *Report) TotalsDoc {
	t := r.Totals()
	d := TotalsDoc{
		Frames: t.Frames, Segments: t.Segments, Streams: t.Streams, Requests: t.Requests, triesDoc: triesJSON(&t.Tries, t.Answers5xx),
		Findings:     counts{ruleOrder(t.Findings), func(id string) uint64 { return uint64(t.Findings[id]) }},
		Skipped:      counts{slices.Sorted(maps.Keys(r.Skipped)), func(why string) uint64 { return r.Skipped[why] }},
		EvictedFlows: t.EvictedFlows, EvictedTargets: t.EvictedTargets, MergedConnections: t.MergedConnections,
		Unfollowed: t.UnfollowedStreams, HTTP2InTLS: t.HTTP2InTLS, HTTP2Unread: t.HTTP2Unread, OtherProtocols: t.OtherProtocols,
		Undecided: t.Undecided, ClockLeaps: t.Leaps.Count, KernelDrops: count{t.Drops, t.DropsKnown},
	}
	for _, s := range t.Scans {
		d.Scans = append(d.Scans, scanDoc{s.From.String(), s.To.String(), s.Ports})
	}
	d.RSTAfterFIN.Total, d.RSTAfterFIN.Explained = t.RSTAfterFIN.Total, t.RSTAfterFIN.Explained
	return d
}

type timeoutDoc struct {
	Seconds    seconds  `json:"seconds"`
	Samples    int      `json:"samples"`
	Spread     seconds  `json:"spread_seconds"`
	Advertised seconds  `json:"advertised_seconds"`
	Hint       []string `json:"hint"`
}

func timeoutJSON(t *detect.Timeout) *timeoutDoc {
	if t == nil {
		return nil
	}
	return &timeoutDoc{
		Seconds: seconds{NS: t.NS, Known: true}, Samples: t.Samples, Spread: seconds{NS: t.SpreadNS, Known: true},
		Advertised: seconds(t.Advertised), Hint: list(t.Hint),
	}
}

type softwareDoc struct {
	Name   string `json:"name"`
	Basis  string `json:"basis"`
	Likely bool   `json:"likely"`
}

func softwareJSON(s *detect.Software) *softwareDoc {
	if s == nil {
		return nil
	}
	return &softwareDoc{text.Clean(s.Name), text.Clean(s.Basis), s.Likely}
}

// TargetDoc are the figures of a target in JSON.
type TargetDoc struct {
	Target      optional `json:"target"`
	Captures    []int    `json:"captures"`
	LBs         []string `json:"lbs"`
	Connections uint64   `json:"connections"`
	Requests    uint64   `json:"requests"`
	triesDoc
	RTT struct {
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
		Not    []string     `json:"not,omitempty"`
	} `json:"software"`
	Listener *listenerDoc `json:"listener"`
	Advice   []string     `json:"advice"`
}

func targetJSON(a *Analysis, t *detect.Target) TargetDoc {
	d := TargetDoc{
		Target: endpoint(t.Target), Captures: list(a.Captures), LBs: []string{},
		Connections: t.Connections, Requests: t.Requests, triesDoc: triesJSON(&t.Tries, t.Answers5xx),
		Vantage: t.Vantage, Idle: timeoutJSON(t.Idle), LBIdle: timeoutJSON(t.LBIdle),
		LongestReuse: seconds(t.LongestReuse), NearMisses: t.NearMisses, Advice: list(t.Advice), Listener: listenerJSON(t.Listener),
	}
	for _, lb := range t.LBs {
		d.LBs = append(d.LBs, lb.String())
	}
	d.Software.Server, d.Software.LB, d.Software.Not = softwareJSON(t.Server), softwareJSON(t.LB), t.NotServers
	d.RTT.Median, d.RTT.P99 = seconds(t.RTTMedian), seconds(t.RTTP99)
	if t.HasExposure {
		d.Exposure = &t.Exposure
	}
	h := &t.Handshakes
	d.Handshakes.Attempted, d.Handshakes.Completed = h.Attempted, h.Completed
	d.Handshakes.Refused, d.Handshakes.Unanswered, d.Handshakes.Pending = h.Refused, h.Unanswered, h.Pending
	d.Handshakes.SYNRetrans, d.Handshakes.MostWaiting = h.SYNRetransmissions, h.MaxWaiting
	return d
}

type streamDoc struct {
	Capture    int    `json:"capture"`
	Stream     uint32 `json:"stream"`
	Src        string `json:"src"`
	Dst        string `json:"dst"`
	FirstFrame uint64 `json:"first_frame"`
	Frames     uint64 `json:"frames"`
	SYN        uint64 `json:"syn"`
	SYNACK     uint64 `json:"synack"`
	FIN        uint64 `json:"fin"`
	RST        uint64 `json:"rst"`
	BytesAB    uint64 `json:"payload_bytes_ab"`
	BytesBA    uint64 `json:"payload_bytes_ba"`
	States     struct {
		LB     optional `json:"lb"`
		Target optional `json:"target"`
	} `json:"states"`
}

func streamJSON(a *Analysis, s *tcpstate.StreamStats) streamDoc {
	d := streamDoc{
		Capture: a.capture(s.Capture), Stream: s.Stream, Src: s.A.String(), Dst: s.B.String(),
		FirstFrame: s.FirstFrame, Frames: s.Segments, SYN: s.SYN, SYNACK: s.SYNACK, FIN: s.FIN, RST: s.RST,
		BytesAB: s.BytesAB, BytesBA: s.BytesBA,
	}
	if s.RolesKnown {
		lb, target := s.StateA, s.StateB
		if !s.AIsLB {
			lb, target = target, lb
		}
		d.States.LB, d.States.Target = optional(lb.String()), optional(target.String())
	}
	return d
}
