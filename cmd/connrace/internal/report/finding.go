package report

import (
	"strings"

	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

type requestDoc struct {
	Frame       uint64   `json:"frame"`
	Time        stamp    `json:"time"`
	Bytes       uint32   `json:"bytes"`
	Method      optional `json:"method"`
	Path        optional `json:"path"`
	HTTPVersion optional `json:"http_version"`
	TraceID     optional `json:"trace_id"`
	RequestID   optional `json:"request_id"`
	Idempotent  *bool    `json:"idempotent"`
}

func requestJSON(q *detect.Request, o *Options) *requestDoc {
	if q == nil {
		return nil
	}
	d := &requestDoc{
		Frame: q.Frame, Time: stamp(q.Time), Bytes: q.Bytes, Method: optional(q.Method),
		Path: optional(text.Path(q.Path, o.ShowQuery)), HTTPVersion: optional(strings.TrimPrefix(q.HTTPVersion, "HTTP/")),
		TraceID: optional(q.TraceID), RequestID: optional(q.RequestID),
	}
	if idempotent, known := q.Idempotent(); known {
		d.Idempotent = &idempotent
	}
	return d
}

type measuresDoc struct {
	Idle            seconds    `json:"idle_seconds"`
	RTT             seconds    `json:"rtt_seconds"`
	Outstanding     seconds    `json:"outstanding_seconds"`
	Delay           seconds    `json:"delay_seconds"`
	Attempts        count      `json:"attempts"`
	LostSizes       *sizesDoc  `json:"lost_sizes"`
	Waiting         count      `json:"waiting"`
	RST             optional   `json:"rst"`
	RSTOrigin       optional   `json:"rst_origin"`
	RSTOriginBasis  optional   `json:"rst_origin_basis"`
	RSTReason       optional   `json:"rst_reason"`
	DropReason      optional   `json:"drop_reason"`
	Dropped         count      `json:"dropped"`
	CloseCause      optional   `json:"close_cause"`
	CloseCauseBasis optional   `json:"close_cause_basis"`
	KeptOthers      bool       `json:"close_kept_others"`
	StreamCode      optional   `json:"stream_code"`
	Retried         *retryDoc  `json:"retried"`
	ICMP            *icmpDoc   `json:"icmp"`
	Kernel          *kernelDoc `json:"kernel"`
}

type sizesDoc struct {
	SmallestLost     uint32 `json:"smallest_lost"`
	LargestDelivered uint32 `json:"largest_delivered"`
}

type icmpDoc struct {
	From string   `json:"from"`
	Type uint8    `json:"type"`
	Code uint8    `json:"code"`
	Name optional `json:"name"`
	MTU  count    `json:"mtu"`
}

type retryDoc struct {
	Stream uint32 `json:"stream"`
	Frame  uint64 `json:"frame"`
}

func measuresJSON(m *detect.Measures) measuresDoc {
	d := measuresDoc{
		Idle: seconds(m.Idle), RTT: seconds(m.RTT), Outstanding: seconds(m.Outstanding), Delay: seconds(m.Delay),
		Attempts: count{uint64(m.Attempts), m.Attempts > 0}, Waiting: count{uint64(m.Waiting), m.Waiting >= 0},
		RST: optional(m.RST), RSTOrigin: optional(m.RSTOrigin), RSTOriginBasis: optional(m.RSTOriginBasis), CloseCauseBasis: optional(m.CloseCauseBasis),
		RSTReason: optional(m.RSTReason), DropReason: optional(m.DropReason), Dropped: count{uint64(m.Dropped), m.DropReason != ""},
		Kernel: kernelJSON(m.Kernel), StreamCode: optional(m.StreamCode),
	}
	word, kept := detect.CauseWord(m.CloseCause)
	d.CloseCause, d.KeptOthers = optional(word), kept
	if m.SmallestLost > 0 {
		d.LostSizes = &sizesDoc{m.SmallestLost, m.LargestDelivered}
	}
	if e := m.ICMP; e != nil {
		d.ICMP = &icmpDoc{e.From.String(), e.Type, e.Code, optional(e.Name()), count{uint64(e.MTU), e.MTU > 0}}
	}
	if m.Retried {
		d.Retried = &retryDoc{m.RetryStream, m.RetryFrame}
	}
	return d
}

type evidenceDoc struct {
	Capture int          `json:"capture"`
	Stream  uint32       `json:"stream"`
	Frame   uint64       `json:"frame"`
	Written count        `json:"file_frame"`
	Time    stamp        `json:"time"`
	From    ours         `json:"from"`
	Flags   ours         `json:"flags"`
	Seq     uint32       `json:"seq"`
	Ack     uint32       `json:"ack"`
	Len     uint32       `json:"len"`
	TTL     count        `json:"ttl"`
	Role    string       `json:"role"`
	Note    shown        `json:"note"`
	Comment optional     `json:"comment"`
	Seen    few[seenDoc] `json:"seen,omitempty"`
}

// appendEvidence appends segments of evidence; file is where their packets were written, nil:
// nowhere.
func appendEvidence(ds []evidenceDoc, a *Analysis, es []detect.Evidence, file *EvidenceFile) []evidenceDoc {
	for i := range es {
		e := &es[i]
		ds = append(ds, evidenceDoc{})
		d := &ds[len(ds)-1]
		*d = evidenceDoc{
			Capture: a.capture(e.Capture), Stream: e.Stream, Frame: e.Frame, Time: stamp(e.Time),
			From: side(e), Flags: ours(e.Flags.String()), Seq: uint32(e.Seq), Ack: uint32(e.Ack), Len: e.Len, TTL: count{uint64(e.TTL), e.TTL > 0},
			Role: string(e.Role), Note: shown(e.Note), Comment: optional(e.Comment()), Seen: seenJSON(a, e.Seen()),
		}
		if file != nil {
			n, written := file.Frames[e.Frame]
			d.Written = count{n, written}
		}
	}
	return ds
}

// idleFromJSON is the segment that the idle time is counted from. It lies before the
// incident, so it is not among the evidence.
func idleFromJSON(a *Analysis, f *detect.Finding) *evidenceDoc {
	if f.IdleFrom == nil {
		return nil
	}
	return &appendEvidence(nil, a, []detect.Evidence{*f.IdleFrom}, a.Files[f.ID])[0]
}

func side(e *detect.Evidence) ours {
	if e.FromLB {
		return "lb"
	}
	return "target"
}

// FindingDoc is a finding in JSON.
type FindingDoc struct {
	Type          string            `json:"type,omitempty"` // of JSON lines
	ID            int               `json:"id"`
	Rule          string            `json:"rule"`
	Severity      ours              `json:"severity"`
	Confidence    ours              `json:"confidence"`
	Grounds       shown             `json:"grounds"`
	Capture       int               `json:"capture"`
	Stream        count             `json:"stream"`
	StreamExact   bool              `json:"stream_exact"`
	LB            optional          `json:"lb"`
	Target        optional          `json:"target"`
	Time          stamp             `json:"time"`
	Lost          bool              `json:"lost"`
	Open          bool              `json:"open"`
	ClientLeft    bool              `json:"client_left"`
	Unwatched     bool              `json:"pool_unwatched"`
	Gone          bool              `json:"host_gone"`
	Request       *requestDoc       `json:"request"`
	Requests      few[h2RequestDoc] `json:"requests"`
	Measures      measuresDoc       `json:"measures"`
	Evidence      few[evidenceDoc]  `json:"evidence"`
	IdleFrom      *evidenceDoc      `json:"idle_from"`
	File          optional          `json:"evidence_file"`
	RoleBasis     optional          `json:"role_basis"`
	Views         few[viewDoc]      `json:"views,omitempty"`
	Process       *processDoc       `json:"process"`
	Proof         *proofDoc         `json:"proof,omitempty"`
	Summary       shown             `json:"summary"`
	Cause         repeated          `json:"cause"`
	Fix           repeated          `json:"fix"`
	DisplayFilter displayFilter     `json:"display_filter"`
	TupleFilter   tupleFilter       `json:"tuple_filter"`
}

// h2RequestDoc is a request of HTTP/2.
type h2RequestDoc struct {
	ID uint32 `json:"id"`
	requestDoc
	State    string    `json:"state"`
	Received uint64    `json:"bytes_received"`
	Retried  *retryDoc `json:"retried"`
	// Of the answer, as far as it came.
	Status      count    `json:"status"`
	GRPCStatus  count    `json:"grpc_status"`
	ContentType optional `json:"content_type"`
}

func h2RequestsJSON(qs []detect.StreamRequest, o *Options) []h2RequestDoc {
	out := make([]h2RequestDoc, 0, len(qs))
	for i := range qs {
		q := &qs[i]
		x := h2RequestDoc{ID: q.ID, requestDoc: *requestJSON(&q.Request, o), State: q.State, Received: q.Received}
		x.Status, x.GRPCStatus = count{uint64(q.Answer.Status), q.Answer.Status > 0}, count{uint64(max(q.Answer.GRPCStatus, 0)), q.Answer.GRPCStatus >= 0}
		x.ContentType = optional(text.Clean(q.Answer.ContentType))
		if r := q.Retry; r != nil {
			x.Retried = &retryDoc{r.Stream, r.Frame}
		}
		out = append(out, x)
	}
	return out
}

// set makes the document one of a finding, in the room that it has.
func (d *FindingDoc) set(a *Analysis, f *detect.Finding, o *Options, kind string) *FindingDoc {
	file, es := a.Files[f.ID], d.Evidence[:0]
	if es == nil {
		es = make([]evidenceDoc, 0, 8)
	}
	cause, fix := d.Cause, d.Fix
	cause.set(f.Cause)
	fix.set(f.Fix)
	*d = FindingDoc{
		Type: kind, ID: a.id(f), Rule: f.Rule.ID, Severity: ours(f.Severity.String()), Confidence: ours(f.Confidence.String()),
		Grounds: shown(f.Grounds), Capture: a.capture(f.Capture), Stream: count{uint64(f.Stream), f.HasStream}, StreamExact: !f.Inexact,
		LB: endpoint(f.LB), Target: targetOf(f), Time: stamp(f.Time), Lost: f.Lost, Open: f.Open, ClientLeft: f.ClientLeft(), Unwatched: f.Unwatched, Gone: f.Gone,
		Request: requestJSON(f.Request, o), Requests: h2RequestsJSON(f.Requests, o), Measures: measuresJSON(&f.Measures), Evidence: appendEvidence(es, a, f.Evidence, file), File: fileJSON(file),
		IdleFrom: idleFromJSON(a, f), RoleBasis: optional(f.RoleBasis), Process: processJSON(f.Process), Views: viewsJSON(a, f.Views), Proof: proofJSON(f.Proof), Summary: shown(f.Summary), Cause: cause, Fix: fix,
		DisplayFilter: displayFilter{f}, TupleFilter: tupleFilter{f},
	}
	return d
}
