package detect

import (
	"cmp"
	"slices"
	"sort"

	"connrace/tcpstate"
)

// conn is what a rule reads: the facts of one connection with the roles resolved, and
// what follows from them.
type conn struct {
	d    *Detector
	flow *tcpstate.Flow
	t    *target

	lb, target *tcpstate.Half
	lm, tm     *tcpstate.HalfNotes

	moments []int64 // when the target ignored segments

	now   int64 // capture time
	ended bool  // the capture ended here

	request  tcpstate.SegRef // the newest request, unset: none
	answered bool
	answer   tcpstate.Seq // first octet of the answer, valid iff answered

	// closing is the target's closing point: its FIN or active RST, or what announced
	// it (close_notify, 408, GOAWAY). Unset: it has not closed.
	closing tcpstate.SegRef
	// aborted: the target closed by an active RST, without a FIN before it.
	aborted bool
	notify  tcpstate.SegRef // the announcement, if there was one
	// unseenFIN: the target's FIN was not captured, but the LB acknowledged it, and a
	// reply RST says that the request came behind it.
	unseenFIN bool
}

// conn resolves a flow for the rules. It is valid until the next call: one at a time is
// looked at, and none outlives its event.
func (d *Detector) conn(f *tcpstate.Flow, e *tcpstate.Event) *conn {
	m := d.tracker.Notes(f)
	lb, target := f.Sides()
	c := &d.looked
	*c = conn{} // filled in place: a literal with values is made elsewhere and copied
	c.d, c.flow, c.t, c.lb, c.target = d, f, d.targetOf(f), lb, target
	c.lm, c.tm, c.now, c.ended = &m.Half[f.LB()], &m.Half[1-f.LB()], e.Time, e.Ended
	c.findClosing()
	c.findRequest()
	return c
}

// alertSizes are the payload lengths of a TLS close_notify record: 24 octets in TLS 1.3
// and with the AEADs of 1.2, 31 with an explicit nonce (RFC 8446 §6.1, RFC 5246 §6.2.3.3).
func alertSize(n int32) bool { return n == 24 || n == 31 }

// findClosing finds the target's closing point and looks through a close_notify in
// disguise: an answer of an alert's size directly before the close.
func (c *conn) findClosing() {
	switch fin, abort := &c.tm.FIN, &c.tm.Abort; {
	case fin.Set():
		c.closing = *fin
	case abort.Set():
		c.closing, c.aborted = *abort, true
	}
	c.answered, c.answer = c.lb.Answered(), c.lb.AnswerSeq
	if rst, ok := c.replyRST(); ok && !c.closing.Set() && c.target.Captured() && c.lb.HasAck() {
		c.unseenFIN = c.lb.Ack == c.target.Nxt+1 && rst.Seq == c.target.Nxt
	}
	if c.tm.Notify.Set() {
		c.notify = c.tm.Notify
		if c.closing.Set() || c.tm.NotifyKind != tcpstate.CloseNotify {
			c.closing, c.aborted = c.notify, false
		}
		return
	}
	if !c.closing.Set() || !c.flow.MayBeTLS() || !alertSize(c.closing.Seq.Sub(c.lastAnswered().Seq)) {
		return
	}
	// The last octets before the close are a close_notify: no answer.
	c.notify = c.lastAnswered()
	c.closing, c.aborted = c.notify, false
	c.lookThrough()
}

// lookThrough: a close_notify is no answer.
func (c *conn) lookThrough() {
	if c.answered && c.notify.Set() && c.answer == c.notify.Seq {
		c.answered = false
	}
}

// findRequest finds the newest request. A close_notify of the LB is none: then it is the
// one before.
func (c *conn) findRequest() {
	c.request = c.d.tracker.Request(c.flow)
	if !c.request.Set() || !c.flow.MayBeTLS() || !alertSize(int32(c.request.Len)) {
		return
	}
	end := c.request.End()
	fin, abort := &c.lm.FIN, &c.lm.Abort
	if fin.Set() && fin.Seq == end || abort.Set() && abort.Seq == end || c.closing.Set() && c.request.Ack.After(c.closing.Seq) {
		c.request, c.answered, c.answer = c.lm.PrevTurn, c.lm.PrevAnswered, c.lm.PrevAnswer
		c.lookThrough()
	}
}

// vague reports whether it cannot be told if the target had the request's beginning,
// because the octets before what was captured of it are missing.
func (c *conn) vague() bool {
	low := c.d.tracker.TurnLow(c.flow, c.flow.LB())
	return low.Before(c.request.Seq) &&
		(c.closing.Set() && c.closing.Ack.After(low) || c.lastAnswered().Set() && c.lastAnswered().Ack.After(low))
}

// newestAnswer is the target's newest turn, lastAnswered its newest segment with octets,
// lastAsked that of the LB.
func (c *conn) newestAnswer() tcpstate.SegRef { return c.d.tracker.Answer(c.flow) }
func (c *conn) lastAnswered() tcpstate.SegRef { return c.d.tracker.NewestFromTarget(c.flow) }
func (c *conn) lastAsked() tcpstate.SegRef    { return c.d.tracker.NewestFromLB(c.flow) }

// outstanding reports whether the newest request has no answer.
func (c *conn) outstanding() bool { return c.request.Set() && !c.answered }

// acknowledged reports whether the target acknowledged the request's first octet.
func (c *conn) acknowledged() bool { return c.target.HadReceived(c.request.Seq) }

// closeHadSeenRequest: the target had the request's first octet when it closed.
func (c *conn) closeHadSeenRequest() bool { return c.closing.Ack.After(c.request.Seq) }

// requestHadSeenClose: the LB's kernel had the target's closing point when it sent the
// request.
func (c *conn) requestHadSeenClose() bool { return c.request.Ack.After(c.closing.Seq) }

// lbClose is the LB's first FIN or active RST; a bare reply RST is no close.
func (c *conn) lbClose() tcpstate.SegRef {
	fin, abort := c.lm.FIN, c.lm.Abort
	if fin.Set() && (!abort.Set() || fin.Frame() < abort.Frame()) {
		return fin
	}
	return abort
}

// lbGaveUp: the LB closed before it had seen an octet of an answer or the target's
// closing point, whichever came first.
func (c *conn) lbGaveUp() bool {
	cl := c.lbClose()
	if !cl.Set() || !c.request.Set() || cl.Seq.Before(c.request.Seq) {
		return false
	}
	if c.answered && cl.Ack.After(c.answer) {
		return false
	}
	if c.closing.Set() && cl.Ack.After(c.closing.Seq) {
		return false
	}
	return true
}

// replyRST is the target's first reply RST (no ACK: tcp_v4_send_reset).
func (c *conn) replyRST() (tcpstate.SegRef, bool) {
	for _, r := range c.tm.RSTs {
		if !r.Flags().Has(tcpstate.ACK) {
			return r.SegRef, true
		}
	}
	return tcpstate.SegRef{}, false
}

// hole reports whether octets that could be the answer are missing in the capture
// (domain: holes in the capture).
func (c *conn) hole() bool {
	end := c.target.Nxt
	if c.lb.HasAck() && c.lb.Ack.After(end) {
		return true
	}
	if c.closing.Set() {
		// What the target had acknowledged when it closed, the capture must have.
		if c.closing.Ack.After(c.lb.Nxt) {
			return true
		}
		end = c.closing.Seq
	}
	return c.tm.HoleBetween(c.request.Ack, end)
}

// rtt is the connection's round-trip time, or its target's, ns; 0: unknown.
func (c *conn) rtt() int64 {
	if c.flow.RTT() > 0 {
		return c.flow.RTT()
	}
	return c.t.rtt.median()
}

// idle notes how long the connection had been idle at m, and since which segment: the
// newest octet of the answer before the request.
func (c *conn) idle(f *Finding, m tcpstate.SegRef) {
	l := c.lastAnswered()
	if !l.Set() || c.answered || c.notify.Set() && l.Frame() == c.notify.Frame() {
		return
	}
	f.Measures.Idle = Duration{max(m.Time-l.Time, 0), true}
	e := c.evidence(l, false, RoleLastAnswer, "last octets of the answer before")
	f.IdleFrom = &e
}

// evidence makes a segment of evidence of a reference.
func (c *conn) evidence(m tcpstate.SegRef, fromLB bool, r Role, note string) Evidence {
	capture, frame := c.d.tracker.Locate(m.Frame())
	if r == RoleFIN || r == RoleLBFIN {
		m = withPayload(m)
	}
	if fromLB {
		m = c.lm.AsSent(m)
	} else {
		m = c.tm.AsSent(m)
	}
	return Evidence{
		Capture: capture, Stream: m.Stream, Frame: frame, Time: m.Time, FromLB: fromLB,
		Flags: m.Flags(), Seq: m.Seq, Ack: m.Ack, Len: m.Len, Role: r, Note: note,
	}
}

// withPayload makes of the reference to a FIN, whose Seq is the FIN's own, one of its segment.
func withPayload(fin tcpstate.SegRef) tcpstate.SegRef {
	fin.Seq -= tcpstate.Seq(fin.Len)
	return fin
}

// story is the evidence that every failed exchange has: the request and its copies, the
// beginning of its answer, the closes, the resets.
func (c *conn) story() []Evidence {
	es := make([]Evidence, 0, 8) // most stories are shorter
	add := func(m tcpstate.SegRef, fromLB bool, r Role, note string) {
		if !m.Set() {
			return
		}
		e := c.evidence(m, fromLB, r, note)
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
	if c.request.Set() {
		note := "first octet of the request"
		if c.lm.AsSent(c.request).Ack != c.request.Ack {
			note += ", sent again: its first copy is not in the capture"
		}
		add(c.request, true, RoleRequest, note)
		add(c.lm.Continuation, true, RoleRequestRest, "the request goes on")
		for _, m := range c.lm.Copies {
			add(m, true, RoleRepeat, "the request again")
		}
	}
	if c.answered {
		add(c.newestAnswer(), false, RoleAnswer, "the answer begins")
	}
	add(c.notify, false, RoleCloseNotify, c.notifyNote())
	add(c.tm.FIN, false, RoleFIN, c.finNote())
	for _, r := range c.tm.RSTs {
		note := "reply RST: no socket for this any more"
		if r.Flags().Has(tcpstate.ACK) {
			note = "active RST: the application aborted"
		}
		add(r.SegRef, false, RoleRST, note)
	}
	add(c.lm.FIN, true, RoleLBFIN, "the LB closes its side")
	for _, r := range c.lm.RSTs {
		add(r.SegRef, true, RoleLBRST, "RST by the LB")
	}
	sortEvidence(es)
	return es
}

func (c *conn) notifyNote() string {
	switch c.tm.NotifyKind {
	case tcpstate.RequestTimeout408:
		return "HTTP 408 that nobody asked for: the target is closing"
	case tcpstate.GoAway:
		return "HTTP/2 GOAWAY: the target is closing"
	}
	return "TLS close_notify: the target is closing"
}

func (c *conn) finNote() string {
	if !c.request.Set() {
		return "the target closes"
	}
	if c.tm.FIN.Ack.After(c.request.Seq) {
		return "FIN: the target had the request"
	}
	return "FIN: the target had not seen the request"
}

func sortEvidence(es []Evidence) {
	slices.SortStableFunc(es, func(a, b Evidence) int {
		return cmp.Or(cmp.Compare(a.Capture, b.Capture), cmp.Compare(a.Frame, b.Frame))
	})
}

// finding starts a finding about the connection; at is its decisive segment.
func (c *conn) finding(at tcpstate.SegRef) *Finding {
	f := &Finding{
		Severity: Error, Confidence: Certain,
		Stream: at.Stream, HasStream: true, Time: at.Time,
		LB: c.d.tracker.Endpoint(c.flow, c.flow.LB()), Target: c.d.tracker.Endpoint(c.flow, 1-c.flow.LB()),
		RoleBasis: c.flow.Basis().String(),
		Measures:  Measures{Waiting: -1},
	}
	f.Capture, f.Frame = c.d.tracker.Locate(at.Frame())
	if n := c.rtt(); n > 0 {
		f.Measures.RTT = Duration{n, true}
	}
	c.grade(f)
	return f
}

// grade sets the confidence that the roles and the capture's holes allow.
func (c *conn) grade(f *Finding) {
	switch c.flow.Basis() {
	case tcpstate.ByHandshake, tcpstate.ByFlag:
		f.Grounds = "roles known by the " + f.RoleBasis
	default:
		f.Confidence = Likely
		f.Grounds = "no handshake was captured: the roles are inferred (" + f.RoleBasis + ")"
	}
	if c.d.gapNear(f.Time) {
		f.Confidence = Suspected
		f.Grounds += "; frames are missing in the capture around this moment"
	}
}

// gapNear reports whether frames are known to be missing within a second of a time.
func (d *Detector) gapNear(t int64) bool {
	i := sort.Search(len(d.gaps), func(i int) bool { return d.gaps[i].time >= t-second })
	return i < len(d.gaps) && d.gaps[i].time <= t+second
}

// withRequest adds what is known of the request.
func (c *conn) withRequest(f *Finding) {
	if !c.request.Set() {
		return
	}
	_, frame := c.d.tracker.Locate(c.request.Frame())
	q := c.d.requestOf(c.flow, frame, c.request.Time)
	q.Bytes = uint32(max(c.lb.Nxt.Sub(c.request.Seq), 0))
	if c.lm.FIN.Set() && q.Bytes > 0 {
		q.Bytes--
	}
	f.Request = &q
}

const (
	millisecond = int64(1e6)
	second      = int64(1e9)
)
