package detect

// Incidents that stay undecided because the capture has not all of their frames.

// undecided are connections of which that is so.
type undecided struct {
	now  map[uint32]struct{} // by Flow.Index: more may come that decides
	gone uint64              // of those that are forgotten
}

// note says whether what is missing of a flow hides an incident, as far as can be told by now.
func (u *undecided) note(flow uint32, hides bool) {
	switch {
	case !hides:
		delete(u.now, flow)
	case u.now == nil:
		u.now = map[uint32]struct{}{flow: {}}
	default:
		u.now[flow] = struct{}{}
	}
}

// noted reports whether an incident of a flow is.
func (u *undecided) noted(flow uint32) bool { _, ok := u.now[flow]; return ok }

// forget says that nothing more comes of a flow.
func (u *undecided) forget(flow uint32) {
	if _, ok := u.now[flow]; ok {
		delete(u.now, flow)
		u.gone++
	}
}

func (u *undecided) count() uint64 { return u.gone + uint64(len(u.now)) }

// judge asks the rules about a connection.
func (d *Detector) judge(x *Facts) {
	if x.goesOneWay() {
		x.of.tell().oneWay = true
	}
	f := x.ask(AboutConnection, (*Rule).match)
	if d.mended[x.flow.Index()] != nil && (f == nil || !f.Lost) {
		return // it got through, and nothing else is to be said
	}
	d.undecided.note(x.flow.Index(), (f == nil || f.Severity == Info) && x.hidesIncident())
	if d.enqueue(x, f) {
		x.flow.SetDecided()
	}
}

// hidesIncident reports whether a rule would have told of a failure if nothing were missing, or
// the request or the target's close itself is missing.
func (x *Facts) hidesIncident() bool {
	if x.hidesClose() || x.hidesRequest() {
		return true
	}
	if !x.stopped || x.answerMissed() {
		return false
	}
	x.asIfWhole = true
	f := x.ask(AboutConnection, (*Rule).match)
	x.asIfWhole = false
	return f != nil && (f.Lost || f.Severity == Error)
}

// answerMissed reports whether the request had an answer that was not captured: the LB
// acknowledged more than a close, and the target did not reset the connection.
func (x *Facts) answerMissed() bool {
	n := x.lb.Ack.Sub(x.request.Ack)
	_, reset := x.replyRST()
	return !x.answered && x.request.Set() && x.lb.HasAck() && n > 1 && !alertSize(n) && !alertSize(n-1) && !reset
}

// hidesClose reports whether the LB acknowledged a FIN of the target that was not captured, and
// the exchange was not complete.
func (x *Facts) hidesClose() bool {
	if x.tn.FIN.Set() || !x.target.Captured() || x.lb.Ack != x.target.Nxt+1 {
		return false
	}
	_, reset := x.replyRST()
	return reset || x.outstanding() || x.flow.AnswerUnfinished()
}

// hidesRequest reports whether the connection ended when the LB had sent what the capture lacks
// and the target had not answered: there is no request that a rule could be about.
func (x *Facts) hidesRequest() bool {
	cl, lb := x.closing, x.lbClose()
	if x.outstanding() || !x.lb.Captured() || !cl.Set() && !lb.Set() {
		return false
	}
	answered, _ := x.firstOctets() // up to here, of the LB's
	if x.newestFromTarget.Set() {
		answered = x.newestFromTarget.Ack
	}
	if x.flow.HTTP2() { // what the target sends behind the newest request need be no answer to what is missing
		begun, _ := x.firstOctets()
		if x.newestTurn.Set() {
			begun = x.newestTurn.Seq
		}
		if begun.Before(answered) {
			answered = begun
		}
	}
	if h := x.streams; h != nil && h.GoAway.Set() && h.GoAway.Ack.Before(answered) {
		answered = h.GoAway.Ack // it refuses what it had not seen, whatever else is answered
	}
	if n := lb.Seq.Sub(x.newestFromLB.End()); lb.Set() && x.newestFromLB.Set() && x.flow.MayBeTLS() && alertSize(n) {
		return false // what is missing is its close_notify
	}
	if x.target.HadReceived(x.lb.Nxt+1) && answered.AtOrBefore(x.lb.Nxt) || x.ln.HoleBetween(answered, x.lb.Nxt) {
		return true
	}
	// A reply RST says what the segment acknowledged that it answers: no octets and no FIN of the
	// LB were captured that it can answer. One behind the FIN may answer a late ACK.
	rst, reset := x.replyRST()
	return reset && x.tn.FIN.Set() && rst.Seq == cl.Seq && !(x.ln.FIN.Set() && x.ln.FIN.Ack == rst.Seq) &&
		(!x.newestFromLB.Set() || x.newestFromLB.End().AtOrBefore(cl.Ack))
}
