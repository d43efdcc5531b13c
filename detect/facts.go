package detect

import (
	"connrace/detect/internal/idle"
	"connrace/tcpstate"
)

// Facts are what a rule reads: the facts of one connection, with the roles resolved and
// what follows from them. They are values, or tcpstate's own state to be read; nothing
// here changes the detector. A rule may keep none of it.
//
// For a rule about a target as a whole only what is of the target is set.
type Facts struct {
	Now     int64   // capture time
	Ended   bool    // the capture ended here
	GoesOn  bool    // what is still open may be told, and will be judged again
	Outcome Outcome // of the SYN, for rules about a handshake

	flow       *tcpstate.Flow
	lb, target *tcpstate.Half
	notes      *tcpstate.Notes
	ln, tn     *tcpstate.HalfNotes  // of notes, the LB's and the target's
	ends       [2]tcpstate.Endpoint // the LB's, the target's
	head       []byte               // what was captured of the newest request

	request  tcpstate.SegRef // the newest request, unset: none
	answered bool
	answer   tcpstate.Seq // first octet of the answer, valid iff answered

	// newestAnswer is the target's newest turn, newestFromTarget its newest segment with octets,
	// newestFromLB that of the LB. turnLow is from where on the LB's octets may be of its
	// newest turn.
	newestAnswer, newestFromTarget, newestFromLB tcpstate.SegRef
	newestTurn                                   tcpstate.SegRef // the LB's, as request but for findRequest
	turnLow                                      tcpstate.Seq
	lbAbort                                      tcpstate.SegRef // the LB's active RST

	// closing is the target's closing point: its FIN or active RST, or what announced
	// it (close_notify, 408, GOAWAY). Unset: it has not closed.
	closing tcpstate.SegRef
	// aborted: the target closed by an active RST, without a FIN before it.
	aborted bool
	notify  tcpstate.SegRef // the announcement, if there was one
	// lbNotify is the LB's TLS close_notify, if there was one: its close.
	lbNotify tcpstate.SegRef
	// unseenFIN: the target's FIN was not captured, but the LB acknowledged it, and a
	// reply RST says that the request came behind it.
	unseenFIN bool

	elsewhere strayAnswer // the SYN-ACK that came from where the SYN did not go to

	// lbUnacked and targetUnacked are what they sent again and again and the other has not
	// acknowledged; nil: nothing.
	lbUnacked, targetUnacked *tcpstate.Unacked

	// stream is the stream of HTTP/2 that is judged; nil: the connection carries no streams, or
	// it is the whole that is. refused: a GOAWAY said that it was never processed.
	stream  *tcpstate.H2Stream
	streams *tcpstate.HTTP2
	refused bool

	accepted int64   // when the target accepted the connection, in the capture's time of its segments; 0: not known
	of       *target // its figures and who waits for it, to be read
	settings settings

	// stopped: a rule did not decide, for octets are missing that it needs.
	stopped   bool
	asIfWhole bool // nothing is missing: to ask what the rules would say then
}

// settings are what of a capture and its analysis holds for all connections.
type settings struct {
	locate        func(ordinal uint64) (capture int, frame uint64)
	gaps          *gaps
	kernel        bool  // the kernel of the target's host is asked
	lbIdleTimeout int64 // as it was configured; 0: not known
	speakTLS      map[tcpstate.Addr]struct{}
}

// facts resolves a flow for the rules. They are valid until the next call: one connection
// is looked at at a time, and none outlives its event.
func (d *Detector) facts(f *tcpstate.Flow, e *tcpstate.Event) *Facts {
	m := d.tracker.Notes(f)
	x := &d.scratch
	*x = Facts{} // filled in place: a literal with values is made elsewhere and copied
	x.flow, x.of, x.Now, x.Ended = f, d.targetOf(f), e.Time, e.Ended
	x.lb, x.target = f.Sides()
	x.notes, x.ln, x.tn = m, &m.Half[f.LB()], &m.Half[1-f.LB()]
	x.settings = d.settings()
	x.ends = [2]tcpstate.Endpoint{d.tracker.Endpoint(f, f.LB()), d.tracker.Endpoint(f, 1-f.LB())}
	x.newestAnswer, x.newestFromTarget, x.newestFromLB = d.tracker.Answer(f), d.tracker.NewestFromTarget(f), d.tracker.NewestFromLB(f)
	x.turnLow = d.tracker.TurnLow(f, f.LB())
	x.request, x.head = d.tracker.Request(f), d.tracker.Head(f)
	x.newestTurn = x.request
	x.accepted = d.accepted.at(f)
	x.lbAbort = x.abort(true)
	x.lbUnacked, x.targetUnacked = d.tracker.StillUnacked(f, f.LB()), d.tracker.StillUnacked(f, 1-f.LB())
	x.findClosing()
	x.findRequest()
	x.forgetNoRequest()
	return x
}

// targetFacts are those of a target as a whole.
func (d *Detector) targetFacts(t *target) *Facts {
	d.scratch = Facts{of: t, ends: [2]tcpstate.Endpoint{1: t.end}, settings: d.settings()}
	return &d.scratch
}

func (d *Detector) settings() settings {
	return settings{locate: d.locate, gaps: &d.gaps, kernel: !d.kernel.Empty(), lbIdleTimeout: d.opt.LBIdleTimeout, speakTLS: d.speakTLS}
}

// alertSize reports whether a payload is as long as a TLS close_notify record: 24 octets in
// TLS 1.3 and with the AEADs of 1.2, 31 with an explicit nonce (RFC 8446 §6.1, RFC 5246
// §6.2.3.3).
func alertSize(n int32) bool { return n == sealedAlert || n == 31 }

const sealedAlert = 24

// findClosing finds the target's closing point. An answer of an alert's size directly
// before the close is a close_notify, and no answer.
func (x *Facts) findClosing() {
	switch fin, abort := x.tn.FIN, x.abort(false); {
	case fin.Set():
		x.closing = fin
	case abort.Set():
		x.closing, x.aborted = abort, true
	}
	x.answered, x.answer = x.lb.Answered(), x.lb.AnswerSeq
	if rst, ok := x.replyRST(); ok && !x.closing.Set() && x.target.Captured() && x.lb.HasAck() {
		x.unseenFIN = x.lb.Ack == x.target.Nxt+1 && rst.Seq == x.target.Nxt
	}
	if x.ln.NotifyKind == tcpstate.CloseNotify && x.leadsTo(&x.ln.Notify, x.ln.FIN, x.ln.Abort) {
		x.lbNotify = x.ln.Notify
	}
	if x.tn.Notify.Set() && (x.tn.NotifyKind != tcpstate.CloseNotify || x.leadsTo(&x.tn.Notify, x.closing)) {
		x.notify = x.tn.Notify
		if x.closing.Set() || x.tn.NotifyKind != tcpstate.CloseNotify {
			x.closing, x.aborted = x.notify, false
		}
		x.findGoAway()
		return
	}
	if !x.closing.Set() || !x.flow.MayBeTLS() || !alertSize(x.closing.Seq.Sub(x.newestFromTarget.Seq)) {
		x.findGoAway()
		return
	}
	x.notify = x.newestFromTarget
	x.closing, x.aborted = x.notify, false
	x.ignoreCloseNotify()
}

// findGoAway finds, where HTTP/2 may be inside of TLS or was not captured, a record or a segment
// directly before the close that is as long as a GOAWAY, and that nobody had asked for.
func (x *Facts) findGoAway() {
	const (
		frame = 9 + 8  // RFC 9113 §6.8
		seal  = 21 + 8 // a record of TLS 1.2: header and tag, and of most suites an explicit nonce
		at    = second // how soon a close must follow, at least
	)
	g, least, most := x.newestFromTarget, uint32(frame), uint32(frame)
	if x.flow.HTTP2InTLS() {
		least, most = frame+seal-8, frame+seal
	} else if !x.of.mayBeHTTP2(x.flow) {
		return
	}
	if !x.closing.Set() || !g.Set() || g.End() != x.closing.Seq || g.Len < least || g.Len > most ||
		x.answered && x.answer == g.Seq || x.closing.Time-g.Time > max(4*x.rtt(), at) {
		return
	}
	x.notify, x.closing, x.aborted = g, g, false
}

// goAwayByLength reports whether the announcement of the close is one that findGoAway found.
func (x *Facts) goAwayByLength() bool {
	return x.notify.Set() && x.tn.NotifyKind == tcpstate.NoNotify && !alertSize(int32(x.notify.Len))
}

// leadsTo reports whether what may be a close_notify is one. An alert's type is in the clear in
// TLS 1.2; of TLS 1.3 only the length of the record is, and a close must follow soon.
func (x *Facts) leadsTo(notify *tcpstate.SegRef, closes ...tcpstate.SegRef) bool {
	if notify.Len != sealedAlert {
		return true
	}
	for _, c := range closes {
		if c.Set() {
			return c.Time-notify.Time <= max(4*x.rtt(), second)
		}
	}
	return false
}

// ignoreCloseNotify takes back that a request was answered where a close_notify was all
// that came.
func (x *Facts) ignoreCloseNotify() {
	if x.answered && x.notify.Set() && x.answer == x.notify.Seq {
		x.answered = false
	}
}

// findRequest finds the newest request. A close_notify of the LB is none: then it is the
// one before.
func (x *Facts) findRequest() {
	if !x.request.Set() || !x.flow.MayBeTLS() || !alertSize(int32(x.request.Len)) {
		return
	}
	end := x.request.End()
	fin, abort := &x.ln.FIN, &x.lbAbort
	if fin.Set() && fin.Seq == end || abort.Set() && abort.Seq == end || x.closing.Set() && x.request.Ack.After(x.closing.Seq) {
		x.lbNotify = x.request
		x.request, x.answered, x.answer = x.ln.PrevTurn, x.ln.PrevAnswered, x.ln.PrevAnswer
		x.ignoreCloseNotify()
	}
}

// vague reports whether it cannot be told if the target had the request's beginning,
// because the octets before what was captured of it are missing.
func (x *Facts) vague() bool {
	return x.stop(x.turnLow.Before(x.request.Seq) &&
		(x.closing.Set() && x.closing.Ack.After(x.turnLow) || x.newestFromTarget.Set() && x.newestFromTarget.Ack.After(x.turnLow)))
}

// stop reports whether octets that are missing keep a rule from deciding.
func (x *Facts) stop(missing bool) bool {
	x.stopped = x.stopped || missing
	return missing && !x.asIfWhole
}

// outstanding reports whether the newest request has no answer.
func (x *Facts) outstanding() bool { return x.request.Set() && !x.answered }

// used reports whether answers came over this connection before the request.
func (x *Facts) used() bool {
	if x.stream != nil {
		return x.lb.Used() || x.lb.Answered()
	}
	return x.lb.Used() || x.newestAnswer.Set() && x.request.Ack.After(x.newestAnswer.Seq)
}

// firstOctets are the numbers of the first octet of each side: behind the SYN. The numbers
// that Wireshark counts from begin anew in each capture, so the SYNs come first.
func (x *Facts) firstOctets() (lb, target tcpstate.Seq) {
	lb, target = x.lb.ISN+1, x.target.ISN+1
	if len(x.tn.SYNs) > 0 {
		lb, target = x.tn.SYNs[0].Ack, x.tn.SYNs[0].Seq+1
	}
	if len(x.ln.SYNs) > 0 {
		lb = x.ln.SYNs[0].Seq + 1
	}
	if x.ln.FinalACK.Set() {
		target = x.ln.FinalACK.Ack // of two SYN-ACKs it tells which one counts
	}
	return lb, target
}

// acknowledged reports whether the target acknowledged the request's first octet.
func (x *Facts) acknowledged() bool { return x.target.HadReceived(x.request.Seq) }

// closeHadSeenRequest reports whether the target had the request's first octet when it
// closed; of a stream that a GOAWAY refuses its kernel may have had it.
func (x *Facts) closeHadSeenRequest() bool { return !x.refused && x.closing.Ack.After(x.request.Seq) }

// requestHadSeenClose reports whether the LB's kernel had the target's closing point when
// it sent the request.
func (x *Facts) requestHadSeenClose() bool { return x.request.Ack.After(x.closing.Seq) }

// lbClose is the LB's first close_notify, FIN or active RST, or the RST_STREAM of the stream; a
// bare reply RST is no close.
func (x *Facts) lbClose() tcpstate.SegRef {
	fin, abort := x.ln.FIN, x.lbAbort
	if x.stream != nil && x.stream.ResetByLB.Set() {
		return x.stream.ResetByLB
	}
	if n := x.lbNotify; n.Set() {
		return n
	}
	if fin.Set() && (!abort.Set() || fin.Frame() < abort.Frame()) {
		return fin
	}
	return abort
}

// lbGaveUp reports whether the LB closed before it had seen an octet of an answer or the
// target's closing point, whichever came first.
func (x *Facts) lbGaveUp() bool {
	cl := x.lbClose()
	switch {
	case !cl.Set() || !x.request.Set() || cl.Seq.Before(x.request.Seq):
		return false
	case x.answered && cl.Ack.After(x.answer), x.closing.Set() && cl.Ack.After(x.closing.Seq):
		return false
	}
	return true
}

// replyRST is the target's first reply RST.
func (x *Facts) replyRST() (tcpstate.SegRef, bool) {
	for _, r := range x.tn.RSTs {
		if r.Reply() && !x.foreign(r, false) {
			return r.SegRef, true
		}
	}
	return tcpstate.SegRef{}, false
}

// hole reports whether octets that could be the answer are missing in the capture.
func (x *Facts) hole() bool { return x.stop(x.octetsMissing()) }

func (x *Facts) octetsMissing() bool {
	end := x.target.Nxt
	if x.lb.HasAck() && x.lb.Ack.After(end) {
		return true
	}
	if x.closing.Set() {
		// What the target had acknowledged when it closed, the capture must have.
		if x.closing.Ack.After(x.lb.Nxt) {
			return true
		}
		end = x.closing.Seq
	}
	return x.tn.HoleBetween(x.request.Ack, end)
}

// rtt is the connection's round-trip time, or its target's, ns; 0: unknown.
func (x *Facts) rtt() int64 {
	if x.flow.RTT() > 0 {
		return x.flow.RTT()
	}
	return x.of.told.rtt.Median()
}

// answersFIN reports whether a side of a connection of plain HTTP, of which nothing rare is noted,
// closes behind the other's FIN, so that the close is none of its own. Every other close of healthy
// traffic is so, and it takes no Facts to see it.
func (d *Detector) answersFIN(f *tcpstate.Flow, side int) bool {
	if f.Noted() || !f.PlainHTTP() || f.HTTP2() {
		return false
	}
	m := d.tracker.Notes(f)
	own, peer := &m.Half[side].FIN, &m.Half[1-side].FIN
	return own.Set() && peer.Set() && own.Ack.After(peer.Seq)
}

// ownClose describes a close by one side, for the target's timers; ok is false where it is
// none of its own, or was announced.
func (x *Facts) ownClose(e *tcpstate.Event) (c idle.Close, ok bool) {
	cl := x.lbClose()
	if e.Side == x.flow.LB() {
		switch {
		case x.closing.Set() && cl.Ack.After(x.closing.Seq) || len(x.tn.RSTs) > 0:
			return c, false // it answers the target's close
		case !cl.Set() || x.tn.Notify.Set() && cl.Ack.After(x.tn.Notify.Seq) || x.flow.Upgraded():
			return c, false
		}
		unasked := (!x.request.Set() || x.answered) && x.newestFromTarget.Set()
		return x.lbCloseAfter(e, e.Gap, unasked), true
	}
	switch last := x.newestFromTarget; {
	case cl.Set() && x.closing.Set() && x.closing.Ack.After(cl.Seq):
		return c, false // it answers the LB's close
	case e.Seg.Flags.Has(tcpstate.RST) && (!e.Seg.Flags.Has(tcpstate.ACK) || x.tn.FIN.Set()):
		return c, false // no close of its own
	case !x.closing.Set() || x.flow.Upgraded() || x.notify.Set() && last.Frame() == x.notify.Frame():
		return c, false
	}
	return x.targetClose(e.Time), true
}

// lbCloseAfter describes a close by the LB.
func (x *Facts) lbCloseAfter(e *tcpstate.Event, gap int64, unasked bool) idle.Close {
	c := idle.Close{Time: e.Time, Gap: gap, Out: -1, Age: -1, Idle: unasked, Ref: x.lbClose(), Known: e.Time}
	if x.accepted != 0 {
		c.Age, c.Nth = max(e.Time-x.accepted, 0), x.flow.Served()
	}
	return c
}

// targetClose describes the target's close, by clocks that say the same wherever the capture was
// taken: what the target had from the LB it had later, or earlier, than the capture shows.
func (x *Facts) targetClose(known int64) idle.Close {
	c := idle.Close{
		Time: x.closing.Time, Gap: -1, Out: -1, Age: -1,
		Idle: !x.outstanding() || !x.closeHadSeenRequest(),
		Ref:  x.closing, Known: known, Nth: x.flow.Served(),
	}
	if l := x.newestFromTarget; l.Set() && !(x.notify.Set() && l.Frame() == x.notify.Frame()) {
		c.Gap = max(x.closing.Time-l.Time, 0)
	}
	if s := x.stream; s != nil && s.Gap >= 0 {
		c.Gap = max(x.closing.Time-s.Request.Time+s.Gap, 0)
	} else if s != nil {
		c.Gap = -1
	}
	if x.stream != nil {
		c.Nth = x.answeredStreams(x.streams)
	}
	if x.request.Set() && x.closeHadSeenRequest() && (!x.answered || x.unfinished()) {
		c.Out = max(x.closing.Time-x.request.Time-x.of.told.far(), 0)
		c.What = requestKind(x.head)
	}
	if x.accepted != 0 && x.flow.BeginCaptured() {
		c.Age = max(x.closing.Time-x.accepted, 0)
	} else {
		c.Nth = 0
	}
	if c.Ref == x.tn.FIN {
		c.Ref = withPayload(c.Ref)
	}
	return c
}
