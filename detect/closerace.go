package detect

import "connrace/tcpstate"

// What the rules share that are about a request which the target's close took away.

// taken reports whether the target took the unanswered request's connection away: it
// closed, and the LB had not closed before.
func (x *Facts) taken() bool {
	if !x.outstanding() || !x.closing.Set() || x.lbGaveUp() || x.vague() || x.answeredHeader() {
		return false
	}
	if _, by := x.eaten(); by != nobody {
		return false // it closed for want of a request
	}
	_, reset := x.replyRST()
	return x.used() || reset || x.aborted || x.refused || x.closeHadSeenRequest()
}

// answeredHeader reports whether the target had answered the PROXY header before the connection's first request, for it expects
// none: that answer, an error, is what the LB reads behind its request, and passes on. A 408 is none: it is the target's close.
func (x *Facts) answeredHeader() bool {
	const longest = 536 // octets of a PROXY header that a receiver must take (proxy-protocol.txt §2.2)
	lb, target := x.firstOctets()
	n := x.request.Seq.Sub(lb)
	if x.stream != nil || !x.flow.PlainHTTP() || x.flow.Status() != 400 || x.flow.Served() > 0 || x.lb.Used() || x.lb.Holes() || !x.flow.BeginCaptured() {
		return false
	}
	return n > 0 && n <= longest && x.newestFromTarget.Set() && x.newestFromTarget.Ack == x.request.Seq && x.closing.Seq.After(target) && !x.target.HadReceived(x.request.Seq)
}

// crossed reports whether the close took the request away and neither had seen the other.
func (x *Facts) crossed() bool {
	return x.taken() && !x.closeHadSeenRequest() && !x.requestHadSeenClose()
}

// closeRace begins the finding of a request that the target's close took away.
func (x *Facts) closeRace() *Finding {
	f := x.lost(x.request)
	x.idle(f, x.closing)
	x.resets(f)
	if x.request.Ack != x.closing.Seq && x.hole() {
		f.Confidence = Suspected
		f.Grounds += "; bytes of the connection are missing in the capture"
	}
	return f
}

// resets notes which kind of RST belongs to the failure.
func (x *Facts) resets(f *Finding) {
	if _, reply := x.replyRST(); reply && !x.aborted {
		f.Measures.RST = "reply"
	} else if x.abort(false).Set() {
		f.Measures.RST = "active"
	}
}

// outstandingAt is from the request to a close.
func (x *Facts) outstandingAt(cl tcpstate.SegRef) Duration {
	return Duration{max(cl.Time-x.request.Time, 0), true}
}

// closeName is what the target closed with.
func (x *Facts) closeName() string {
	switch {
	case x.stream != nil && x.stream.ResetByTarget.Set():
		return "RST_STREAM"
	case x.refused:
		return "GOAWAY"
	case x.notify.Set() && x.tn.NotifyKind == tcpstate.RequestTimeout408:
		return "HTTP 408"
	case x.notify.Set() && x.tn.NotifyKind == tcpstate.GoAway, x.goAwayByLength():
		return "GOAWAY"
	case x.notify.Set():
		return "close_notify"
	case x.aborted:
		return "RST"
	}
	return "FIN"
}

// afterIdle says how long the connection had been idle, behind a sentence.
func afterIdle(f *Finding) string {
	if !f.Measures.Idle.Known {
		return ""
	}
	return ", after " + seconds(f.Measures.Idle.NS) + " idle"
}
