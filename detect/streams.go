package detect

import (
	"fmt"

	"connrace/detect/internal/idle"
	"connrace/tcpstate"
)

// What is particular to HTTP/2: the unit that fails is a stream, and many may fail with one
// connection. Each is judged by the rules as the request of a connection is; those of one
// incident that come under one rule are one finding.

// StreamRequest is a request of an HTTP/2 connection that an incident concerns.
type StreamRequest struct {
	Request
	ID       uint32
	State    string // "no-answer", "cut-off" or "refused"
	Received uint64 // octets of the answer's body
	Retry    *Retry // nil: none was seen
	Answer   StreamAnswer

	key, ordinal uint64 // see recentRequest
	seq          tcpstate.Seq
}

// StreamAnswer is what was captured of the answer on a stream.
type StreamAnswer struct {
	Status      int    // 0: unknown
	GRPCStatus  int    // -1: unknown; most come behind the body
	ContentType string // as captured: hostile input
}

// Retry is where the LB sent a request again.
type Retry struct {
	Stream uint32 // Wireshark's tcp.stream
	Frame  uint64
}

// The values of StreamRequest.State.
const (
	StreamNoAnswer = "no-answer" // no octet of an answer
	StreamCutOff   = "cut-off"   // its answer has no end
	StreamRefused  = "refused"   // the target said that it was not processed
)

// H2Code names an error code of HTTP/2 (RFC 9113 §7).
func H2Code(code uint16) string {
	names := [...]string{
		"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE_ERROR",
		RefusedStream, "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
	}
	switch {
	case int(code) < len(names):
		return names[code]
	case code == notCaptured:
		return "a code that was not captured"
	}
	return "an unknown code"
}

// RefusedStream is the code that says that a request was not processed (RFC 9113 §8.7), as H2Code names it.
const RefusedStream = "REFUSED_STREAM"

const (
	h2Protocol = 1
	h2Internal = 2
	h2Refused  = 7
	h2Cancel   = 8
	h2Calm     = 11

	notCaptured = 0xffff // see tcpstate.H2Stream.Code
)

// onStreamBegan counts a request of HTTP/2.
func (d *Detector) onStreamBegan(e *tcpstate.Event) {
	t := d.targetOf(e.Flow)
	d.countRequest(t, e.Flow)
	s := e.Stream
	if k := streamKey(s); k != 0 {
		d.requests.Add(recentRequest{k, s.Request.Time, s.Request.Frame(), s.Request.Stream, s.Request.Seq})
	}
}

// onStreamAnswered notes what an answer of HTTP/2 shows of its target.
func (d *Detector) onStreamAnswered(e *tcpstate.Event) {
	s, t := e.Stream, d.targetOf(e.Flow)
	d.noteAnswerFields(t, e.Flow, s)
	if s.Gap >= 0 {
		t.tell().reused(s.Gap)
	}
	d.served(e.Flow, t.tell(), s.Request.Time)
	if s.Status >= 500 {
		d.exchanges.note(d, e.Flow, s.Answer, int(s.Status), d.streamRequest(s))
	}
}

// onStreamsFailed lets the rules judge streams that failed by themselves.
func (d *Detector) onStreamsFailed(e *tcpstate.Event) {
	d.resolveRoles(e.Flow)
	d.judgeStreams(e, func(s *tcpstate.H2Stream) bool { return s.Due })
	d.tracker.ForgetStreams(e.Flow, func(s *tcpstate.H2Stream) bool { return s.Due })
}

// settleStreams lets the rules judge an HTTP/2 connection whose close is complete, or that the
// capture's end leaves: first its streams, then what does not concern any.
func (d *Detector) settleStreams(e *tcpstate.Event) {
	f := e.Flow
	d.resolveRoles(f)
	found := d.judgeStreams(e, func(s *tcpstate.H2Stream) bool {
		return f.Closing() || !s.Done && d.waits(f) || s.ResetByLB.Set() || s.ResetByTarget.Set() || d.tracker.HTTP2(f).Refused(s)
	})
	if found {
		f.SetDecided()
	}
	if f.Decided() || !f.Closing() && !d.waits(f) {
		return
	}
	hidden := d.undecided.noted(f.Index())
	x := d.facts(f, e)
	x.noStream()
	x.streams = d.tracker.HTTP2(f)
	d.judge(x)
	if hidden {
		d.undecided.note(f.Index(), true)
	}
}

// judgeStreams lets the rules judge the streams of an HTTP/2 connection that match, and reports
// whether there was a finding. One that may have ended in what the capture lacks is undecided.
func (d *Detector) judgeStreams(e *tcpstate.Event, match func(*tcpstate.H2Stream) bool) (found bool) {
	f := e.Flow
	h := d.tracker.HTTP2(f)
	if h == nil {
		return false
	}
	type incident struct {
		rule  *Rule
		frame uint64 // of the reset
	}
	type group struct {
		first    *tcpstate.H2Stream
		requests []StreamRequest
	}
	var order []incident
	groups, judged := map[incident]*group{}, map[*tcpstate.H2Stream]bool{}
	base := *d.facts(f, e)
	ask := func(s *tcpstate.H2Stream) (*Facts, *Finding) {
		x := &d.scratch
		*x = base
		x.asIfWhole = s.Doubtful()
		x.ofStream(h, s)
		return x, x.ask(AboutConnection, (*Rule).match)
	}
	for _, s := range h.Streams {
		if !s.Whole || !match(s) {
			continue
		}
		x, fd := ask(s)
		if fd == nil || fd.Request == nil {
			continue
		}
		if s.Doubtful() {
			if fd.Lost {
				d.undecided.note(f.Index(), true)
			}
			continue
		}
		k := incident{fd.Rule, max(s.ResetByTarget.Frame(), s.ResetByLB.Frame())}
		if groups[k] == nil {
			groups[k] = &group{first: s}
			order = append(order, k)
		}
		groups[k].requests = append(groups[k].requests, StreamRequest{
			Request: *fd.Request, ID: s.ID, State: x.streamState(), Received: s.Received, Answer: streamAnswer(s),
			key: streamKey(s), ordinal: s.Request.Frame(), seq: s.Request.Seq,
		})
		judged[s] = true
	}
	for _, k := range order {
		g := groups[k]
		x, fd := ask(g.first)
		fd.Requests = g.requests
		fd.Summary += among(g.requests)
		if fd.more = x.aboutGoAway(fd.Rule); fd.more != nil && h.GoAway.Set() {
			fd.Summary += fmt.Sprintf("; the last stream ID of its GOAWAY is %d", h.Last)
		}
		d.enqueue(x, fd)
	}
	d.tracker.ForgetStreams(f, func(s *tcpstate.H2Stream) bool { return judged[s] })
	return len(order) > 0
}

// among says how many streams an incident concerns, behind a sentence.
func among(q []StreamRequest) string {
	if len(q) == 1 {
		return fmt.Sprintf(" (HTTP/2 stream %d)", q[0].ID)
	}
	return fmt.Sprintf("; so it went for %d HTTP/2 streams, %d to %d", len(q), q[0].ID, q[len(q)-1].ID)
}

// aboutGoAway is what GOAWAY, or that there was none, adds to the cause and the fix of a finding about
// streams that the target's close took away: whether they may be repeated (RFC 9113 §6.8).
func (x *Facts) aboutGoAway(r *Rule) *advice {
	h := x.streams
	const unknown = ": nothing tells the load balancer whether these requests were processed. Only idempotent ones may be repeated: " + mayRunTwice + "."
	switch {
	case x.refused:
		return &advice{
			cause: "In HTTP/2: its GOAWAY says that it never processed these requests, whose streams are above its last stream ID. They may be repeated.",
			fix: "Let the load balancer repeat what a GOAWAY refuses, POST too, for nothing of it was processed (Envoy retry_on: reset-before-request). " +
				"nginx (grpc_next_upstream error timeout non_idempotent) and HAProxy (retry-on conn-failure empty-response) repeat other failed requests along with " +
				"those: " + mayRunTwice + " there. And let the target announce its end by two GOAWAYs, as grpc-go, grpc-java, Envoy and Go's Shutdown do.",
		}
	case r.FollowsClose == NoClose || x.stream.ResetByTarget.Set():
		return nil
	case h.GoAway.Set():
		return &advice{cause: "In HTTP/2: it had sent a GOAWAY, and these streams are not above its last stream ID" + unknown}
	case x.tn.NotifyKind == tcpstate.GoAway:
		return &advice{cause: "In HTTP/2: it had sent a GOAWAY that refuses no streams" + unknown}
	case x.target.Holes():
		return &advice{cause: "In HTTP/2: no GOAWAY was captured, nor all that the target sent" + unknown}
	}
	return &advice{
		cause: "In HTTP/2: it sent no GOAWAY" + unknown,
		fix:   "Where the target stops in order, let it send GOAWAY: what it refuses may be repeated whatever the method.",
	}
}

// announced is how long before the target's close its GOAWAY came, ns; 0: there was none.
func (x *Facts) announced() int64 {
	if x.stream == nil || x.refused || x.tn.NotifyKind != tcpstate.GoAway || x.stream.ResetByTarget.Set() {
		return 0
	}
	return max(x.closing.Time-x.tn.Notify.Time, 0)
}

// ofStream makes of the facts of an HTTP/2 connection those of one of its streams: the request
// is its request, and the closing point what ended it.
func (x *Facts) ofStream(h *tcpstate.HTTP2, s *tcpstate.H2Stream) {
	x.stream, x.streams = s, h
	x.request, x.head, x.turnLow = s.Request, nil, s.Request.Seq
	x.answered, x.answer, x.newestAnswer = s.Answer.Set(), s.Answer.Seq, s.Answer
	x.closing, x.aborted, x.notify = tcpstate.SegRef{}, false, tcpstate.SegRef{}
	switch abort := x.abort(false); {
	case s.ResetByTarget.Set():
		x.closing = s.ResetByTarget
	case h.Refused(s):
		x.closing, x.notify, x.refused = h.GoAway, h.GoAway, true
	case x.tn.FIN.Set():
		x.closing = x.tn.FIN
	case abort.Set():
		x.closing, x.aborted = abort, true
	}
}

// closeOfStreams describes a close of an HTTP/2 connection for the target's timers. Idle means
// that no stream was open, and a GOAWAY is the target's close whatever the LB does then.
func (x *Facts) closeOfStreams(h *tcpstate.HTTP2, e *tcpstate.Event) (c idle.Close, byLB, ok bool) {
	cl, byLB := x.lbClose(), e.Side == x.flow.LB()
	goAway := x.tn.NotifyKind == tcpstate.GoAway && x.notify.Set()
	switch {
	case byLB && (!cl.Set() || goAway && x.tn.FIN.Set()), x.ln.NRST+x.tn.NRST > 1:
		return c, byLB, false
	case byLB && !(goAway && cl.Ack.After(x.notify.Seq)):
		if x.closing.Set() && cl.Ack.After(x.closing.Seq) || x.tn.NRST > 0 {
			return c, byLB, false // it answers the target's close
		}
		since := h.IdleAt(cl.Seq)
		return x.lbCloseAfter(e, e.Time-since, true), true, since != 0
	case !x.closing.Set() || !byLB && cl.Set() && (goAway || x.closing.Ack.After(cl.Seq)):
		return c, byLB, false // none of its own, or it was noted before
	}
	since := h.IdleAt(x.closing.Ack)
	x.noStream()
	c = x.targetClose(e.Time)
	c.Nth = x.answeredStreams(h)
	if since != 0 && since <= x.closing.Time+idle.ShortGap { // a GOAWAY may come just before the last answer
		c.Gap = max(x.closing.Time-since, 0)
		return c, false, true
	}
	c.Gap, c.Idle = -1, false
	for _, s := range h.Streams {
		if !s.Done && x.closing.Ack.After(s.Request.Seq) {
			c.Out = max(c.Out, x.closing.Time-s.Request.Time-x.of.told.far())
		}
	}
	return c, false, c.Out >= 0
}

// answeredStreams are how many requests the target says by GOAWAY that it took; 0: not known.
func (x *Facts) answeredStreams(h *tcpstate.HTTP2) uint32 {
	if !h.GoAway.Set() || !x.flow.BeginCaptured() {
		return 0
	}
	return (h.Last + 1) / 2
}

// noStream makes of the facts of an HTTP/2 connection those of one without a request.
func (x *Facts) noStream() {
	x.request, x.head, x.answered = tcpstate.SegRef{}, nil, false
}

// unfinished reports whether, by its framing, octets of the answer are missing.
func (x *Facts) unfinished() bool {
	if x.stream != nil {
		return x.answered && !x.stream.Done
	}
	return x.flow.AnswerUnfinished()
}

// streamState is what became of the stream.
func (x *Facts) streamState() string {
	switch {
	case x.refused || x.stream.ResetByTarget.Set() && x.stream.Code == h2Refused:
		return StreamRefused
	case x.answered:
		return StreamCutOff
	}
	return StreamNoAnswer
}

// streamRequest is what was captured of a stream's request.
func (d *Detector) streamRequest(s *tcpstate.H2Stream) Request {
	_, frame := d.locate(s.Request.Frame())
	return streamRequest(s, frame)
}

func streamRequest(s *tcpstate.H2Stream, frame uint64) Request {
	return Request{
		Frame: frame, Time: s.Request.Time, Bytes: s.Request.Len,
		Method: s.Head.Method, Path: s.Head.Target, HTTPVersion: s.Head.Version, TraceID: s.Head.TraceID, RequestID: s.Head.RequestID,
	}
}

func streamAnswer(s *tcpstate.H2Stream) StreamAnswer {
	return StreamAnswer{Status: int(s.Status), GRPCStatus: int(s.GRPCStatus) - 1, ContentType: s.ContentType}
}

// streamKey identifies a request by what its header says; 0: too little to tell requests apart.
func streamKey(s *tcpstate.H2Stream) uint64 {
	h := &s.Head
	return headKey([]byte(h.Method + " " + h.Target + " " + h.TraceID + " " + h.RequestID))
}

// silent says that there was no answer, on a stream where others may have had theirs.
func (x *Facts) silent() string {
	if x.stream != nil {
		return "sent nothing on its stream"
	}
	return "not answered"
}
