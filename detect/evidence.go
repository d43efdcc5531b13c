package detect

import (
	"cmp"
	"fmt"
	"slices"

	"connrace/tcpstate"
)

// Role is what a segment of evidence shows.
type Role string

// The roles of evidence.
const (
	RoleSYN            Role = "syn"
	RoleSYNACK         Role = "syn-ack"
	RoleACK            Role = "ack"
	RoleRequest        Role = "request"
	RoleRequestRest    Role = "request-rest"
	RoleAnswer         Role = "answer"
	RoleLastAnswer     Role = "last-answer"
	RoleCloseNotify    Role = "close-notify"
	RoleFIN            Role = "fin"
	RoleRST            Role = "rst"
	RoleLBFIN          Role = "lb-fin"
	RoleLBRST          Role = "lb-rst"
	RoleRepeat         Role = "repeat"
	RoleStalledRequest Role = "stalled-request"
	RoleNewHandshake   Role = "new-handshake"
	RoleOldConnection  Role = "old-connection"
	RoleTLSHandshake   Role = "tls-handshake"
	RoleICMP           Role = "icmp"
	RoleGoAway         Role = "goaway"
	RoleStreamReset    Role = "stream-reset"
)

// Evidence is one segment that a finding rests on. Findings that are kept have three or so, most of
// their memory: the order of its fields wastes no octet.
type Evidence struct {
	Capture  int    // index of the capture file
	Frame    uint64 // Wireshark's frame.number
	Time     int64  // ns since the Unix epoch
	Role     Role
	Note     string // what it shows, a few words
	told     *toldElsewhere
	Stream   uint32 // Wireshark's tcp.stream
	Seq, Ack tcpstate.Seq
	Len      uint32
	FromLB   bool
	Flags    tcpstate.Flags
	TTL      uint8 // 0: unknown
}

// toldElsewhere is what others than the segment itself say of it. It is never changed, for copies
// of the evidence share it.
type toldElsewhere struct {
	comment string
	seen    []Seen
}

// Comment is what the capture's maker wrote on the packet, on one line, as it is there; "": nothing.
func (e *Evidence) Comment() string {
	if e.told == nil {
		return ""
	}
	return e.told.comment
}

// SetComment sets Comment.
func (e *Evidence) SetComment(s string) {
	if s != e.Comment() {
		e.told = &toldElsewhere{s, e.Seen()}
	}
}

// Seen is where the points of joined captures saw it, along the path from the LB; nil: there is one
// point.
func (e *Evidence) Seen() []Seen {
	if e.told == nil {
		return nil
	}
	return e.told.seen
}

// SetSeen sets Seen.
func (e *Evidence) SetSeen(all []Seen) {
	if all != nil || e.told != nil {
		e.told = &toldElsewhere{e.Comment(), all}
	}
}

// evidence is a remembered segment as evidence.
func (s *settings) evidence(m tcpstate.SegRef, fromLB bool, r Role, note string) Evidence {
	capture, frame := s.locate(m.Frame())
	return Evidence{
		Capture: capture, Stream: m.Stream, Frame: frame, Time: m.Time, FromLB: fromLB,
		Flags: m.Flags(), Seq: m.Seq, Ack: m.Ack, Len: m.Len, TTL: m.TTL(), Role: r, Note: note,
	}
}

// evidence is a remembered segment of the connection, as it was sent.
func (x *Facts) evidence(m tcpstate.SegRef, fromLB bool, r Role, note string) Evidence {
	if r == RoleFIN || r == RoleLBFIN {
		m = withPayload(m)
	}
	if fromLB {
		m = x.ln.AsSent(m)
	} else {
		m = x.tn.AsSent(m)
	}
	return x.settings.evidence(m, fromLB, r, note)
}

// withPayload makes of the reference to a FIN, whose Seq is the FIN's own, one of its segment.
func withPayload(fin tcpstate.SegRef) tcpstate.SegRef {
	fin.Seq -= tcpstate.Seq(fin.Len)
	return fin
}

// frame is the number of a remembered segment's frame, as Wireshark has it.
// It is 0 where there is none: a rule that is asked what it would say if nothing were missing
// may name what is.
func (x *Facts) frame(m tcpstate.SegRef) uint64 {
	if !m.Set() {
		return 0
	}
	_, frame := x.settings.locate(m.Frame())
	return frame
}

// timeline is the evidence that every failed exchange has: the request and its copies, the
// beginning of its answer, the closes, the resets.
func (x *Facts) timeline() []Evidence {
	es := make([]Evidence, 0, 8) // most are shorter
	add := func(m tcpstate.SegRef, fromLB bool, r Role, note string) {
		if !m.Set() {
			return
		}
		e := x.evidence(m, fromLB, r, note)
		for i := range es {
			if es[i].Frame == e.Frame && es[i].Capture == e.Capture {
				if es[i].Role != r {
					es[i].Note += "; " + note
				}
				return
			}
		}
		es = append(es, e)
	}
	if x.request.Set() {
		note := "first byte of the request"
		if x.ln.AsSent(x.request).Ack != x.request.Ack {
			note += ", sent again: its first copy is not in the capture"
		}
		add(x.request, true, RoleRequest, note)
		if x.request.Frame() == x.newestTurn.Frame() {
			if x.stream == nil {
				add(x.ln.Continuation, true, RoleRequestRest, "the request goes on")
			}
			for _, m := range x.ln.Copies {
				add(m, true, RoleRepeat, "the request again")
			}
		}
	}
	if x.answered {
		add(x.newestAnswer, false, RoleAnswer, "the answer begins"+x.answerNote())
	}
	if s := x.stream; s != nil {
		add(s.ResetByTarget, false, RoleStreamReset, "RST_STREAM: "+H2Code(s.Code))
		add(s.ResetByLB, true, RoleStreamReset, "RST_STREAM: "+H2Code(s.CodeByLB))
	}
	if x.tn.NotifyKind == tcpstate.GoAway {
		add(x.tn.Notify, false, RoleGoAway, x.notifyNote())
	}
	if x.notify.Set() && (x.refused || x.tn.NotifyKind == tcpstate.GoAway) {
		add(x.notify, false, RoleGoAway, x.notifyNote())
	} else {
		add(x.notify, false, RoleCloseNotify, x.notifyNote())
	}
	add(x.tn.FIN, false, RoleFIN, x.finNote())
	for _, r := range x.tn.RSTs {
		add(r.SegRef, false, RoleRST, x.rstNote(r))
	}
	add(x.ln.FIN, true, RoleLBFIN, "the load balancer closes its side")
	for _, r := range x.ln.RSTs {
		note := "RST by the load balancer"
		if x.foreign(r, true) {
			note = "RST in the load balancer's name: something in between sent it"
		}
		add(r.SegRef, true, RoleLBRST, note)
	}
	sortEvidence(es)
	return es
}

// rstNote says what an RST of the target shows.
func (x *Facts) rstNote(r tcpstate.RSTRef) string {
	switch {
	case x.foreign(r, false):
		return "RST in the target's name: something in between sent it"
	case r.Flags().Has(tcpstate.ACK):
		return "active RST: the application aborted"
	}
	return "reply RST: no socket for this any more"
}

// answerNote is what a stream's answer says of itself.
func (x *Facts) answerNote() (note string) {
	if x.stream == nil || x.stream.Status == 0 {
		return ""
	}
	a := streamAnswer(x.stream)
	note = fmt.Sprintf(": status %d", a.Status)
	if a.ContentType != "" {
		note += ", " + a.ContentType
	}
	if a.GRPCStatus >= 0 {
		note += fmt.Sprintf(", grpc-status %d", a.GRPCStatus)
	}
	return note
}

func (x *Facts) notifyNote() string {
	switch x.tn.NotifyKind {
	case tcpstate.RequestTimeout408:
		return "HTTP 408 that nobody asked for: the target is closing"
	case tcpstate.GoAway:
		return "HTTP/2 GOAWAY: the target is closing"
	}
	if x.goAwayByLength() {
		return "as long as an HTTP/2 GOAWAY: the target seems to be closing"
	}
	if x.tn.Alert != 0 {
		return "TLS alert: " + alertName(x.tn.Alert)
	}
	return "TLS close_notify: the target is closing"
}

func (x *Facts) finNote() string {
	switch {
	case !x.request.Set():
		return "the target closes"
	case x.tn.FIN.Ack.After(x.request.Seq):
		return "FIN: the target had the request"
	}
	return "FIN: the target had not seen the request"
}

func sortEvidence(es []Evidence) {
	slices.SortStableFunc(es, func(a, b Evidence) int {
		return cmp.Or(cmp.Compare(a.Capture, b.Capture), cmp.Compare(a.Frame, b.Frame))
	})
}

// finding begins a finding about the connection; at is its decisive segment.
func (x *Facts) finding(at tcpstate.SegRef) *Finding {
	f := &Finding{
		Severity: Error, Confidence: Certain,
		Stream: at.Stream, HasStream: true, LB: x.ends[0], Target: x.ends[1],
		RoleBasis: x.flow.Basis().String(),
		Measures:  Measures{Waiting: -1},
	}
	x.decide(f, at)
	if n := x.rtt(); n > 0 {
		f.Measures.RTT = Duration{n, true}
	}
	switch x.flow.Basis() {
	case tcpstate.ByHandshake:
		f.Grounds = "roles known by the handshake" // whole, for it is that of most, and often replaced
	case tcpstate.ByFlag:
		f.Grounds = "roles known by the flag"
	default:
		f.Confidence = Likely
		f.Grounds = "no handshake was captured: the roles are inferred (" + f.RoleBasis + ")"
	}
	if x.settings.gaps.near(f.Time) {
		f.Confidence = Suspected
		f.Grounds += "; frames are missing in the capture around this moment"
	}
	return f
}

// ofTarget begins a finding about the target as a whole, which is no more than a warning and
// likely; at is the newest segment that it rests on.
func (x *Facts) ofTarget(at tcpstate.SegRef) *Finding {
	f := &Finding{
		Severity: Warning, Confidence: Likely, Target: x.ends[1], RoleBasis: "handshake",
		Measures: Measures{Waiting: -1},
	}
	x.decide(f, at)
	if n := x.of.told.rtt.Median(); n > 0 {
		f.Measures.RTT = Duration{n, true}
	}
	return f
}

// decide sets a finding's decisive segment.
func (x *Facts) decide(f *Finding, at tcpstate.SegRef) {
	f.Time = at.Time
	f.Capture, f.Frame = x.settings.locate(at.Frame())
}

// lost begins a finding about the newest request, which had no answer.
func (x *Facts) lost(at tcpstate.SegRef) *Finding {
	f := x.exchange(at)
	f.Lost = true
	return f
}

// exchange begins a finding about the newest request, with its evidence.
func (x *Facts) exchange(at tcpstate.SegRef) *Finding {
	f := x.finding(at)
	x.addRequest(f)
	f.Evidence = x.timeline()
	return f
}

// addRequest adds what is known of the request.
func (x *Facts) addRequest(f *Finding) {
	if !x.request.Set() {
		return
	}
	if x.stream != nil {
		q := streamRequest(x.stream, x.frame(x.request))
		f.Request = &q
		return
	}
	q := parseRequest(x.head, x.frame(x.request), x.request.Time)
	q.Bytes = uint32(max(x.lb.Nxt.Sub(x.request.Seq), 0))
	if x.ln.FIN.Set() && q.Bytes > 0 {
		q.Bytes--
	}
	f.Request = &q
}

// parseRequest is what was captured of a request.
func parseRequest(head []byte, frame uint64, time int64) Request {
	h := tcpstate.ParseRequestHead(head)
	return Request{
		Frame: frame, Time: time,
		Method: h.Method, Path: h.Target, HTTPVersion: h.Version, TraceID: h.TraceID, RequestID: h.RequestID,
	}
}

// idle notes how long the connection had been idle at m, and since which segment: the
// newest octet of the answer before the request.
func (x *Facts) idle(f *Finding, m tcpstate.SegRef) {
	l := x.newestFromTarget
	if s := x.stream; s != nil {
		if s.Gap >= 0 {
			f.Measures.Idle = Duration{max(m.Time-s.Request.Time+s.Gap, 0), true}
		}
		return
	}
	if !l.Set() || x.answered || x.notify.Set() && l.Frame() == x.notify.Frame() {
		return
	}
	f.Measures.Idle = Duration{max(m.Time-l.Time, 0), true}
	e := x.evidence(l, false, RoleLastAnswer, "last bytes of the answer before")
	f.IdleFrom = &e
}
