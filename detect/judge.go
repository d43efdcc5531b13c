package detect

import (
	"fmt"

	"connrace/tcpstate"
)

// settled lets the rules judge a connection whose close, or whose set-up, is complete.
func (d *Detector) settled(e *tcpstate.Event) {
	f := e.Flow
	if !f.Established() {
		d.judgeHandshake(d.conn(f, e))
		return
	}
	if !f.Closing() || f.Decided() {
		return
	}
	d.resolve(f)
	c := d.conn(f, e)
	for _, r := range Rules {
		if r.match == nil {
			continue
		}
		if fd := r.match(c); fd != nil {
			f.SetDecided()
			d.report(c, fd)
			return
		}
	}
}

// race makes the finding of a request that the target's close took away.
func (c *conn) race(r *Rule) *Finding {
	f := c.finding(r, c.request)
	f.Lost = true
	c.withRequest(f)
	f.Evidence = c.story()
	c.idle(f, c.closing)
	c.resets(f)
	if c.request.Ack != c.closing.Seq && c.hole() {
		f.Confidence = Suspected
		f.Grounds += "; octets of the connection are missing in the capture"
	}
	return f
}

// resets notes which kind of RST belongs to the incident.
func (c *conn) resets(f *Finding) {
	if _, reply := c.replyRST(); reply {
		f.Measures.RST = "reply"
	} else if c.tm.Abort.Set() {
		f.Measures.RST = "active"
	}
}

// used: answers came over this connection before the request.
func (c *conn) used() bool {
	return c.lb.Used() || c.target.Turn.Set() && c.request.Ack.After(c.target.Turn.Seq)
}

// taken: the target took the unanswered request's connection away: it closed, and the
// LB had not closed before.
func (c *conn) taken() bool {
	if !c.outstanding() || !c.closing.Set() || c.lbGaveUp() || c.vague() {
		return false
	}
	_, reset := c.replyRST()
	return c.used() || reset || c.aborted || c.closeHadSeenRequest()
}

func matchFINRequestCrossing(c *conn) *Finding {
	if c.unseenFIN && c.outstanding() && c.used() && !c.request.Ack.After(c.target.Nxt) && !c.vague() {
		return c.unseenCrossing()
	}
	if !c.taken() || c.aborted || c.closeHadSeenRequest() || c.requestHadSeenClose() {
		return nil
	}
	f := c.race(FINRequestCrossing)
	_, at := c.d.tracker.Locate(c.closing.Frame)
	f.Summary = fmt.Sprintf("the target's %s (frame %d) and the LB's request (frame %d) crossed: neither had seen the other%s",
		c.closeName(), at, f.Request.Frame, c.afterIdle(f))
	return f
}

// unseenCrossing is the crossing whose FIN the capture does not have: the LB
// acknowledged it later, the request had not.
func (c *conn) unseenCrossing() *Finding {
	f := c.finding(FINRequestCrossing, c.request)
	f.Lost = true
	f.Confidence = Suspected
	f.Grounds += "; the FIN itself was not captured, the LB's later acknowledgment and the reply RST show it"
	c.withRequest(f)
	f.Evidence = c.story()
	f.Measures.RST = "reply"
	f.Summary = fmt.Sprintf("the LB's request (frame %d) met a connection that the target had closed; the LB had not seen the FIN, nor has the capture", f.Request.Frame)
	return f
}

func matchRequestAfterFIN(c *conn) *Finding {
	if !c.taken() || c.aborted || c.closeHadSeenRequest() || !c.requestHadSeenClose() {
		return nil
	}
	if c.hole() {
		return nil
	}
	f := c.race(RequestAfterFIN)
	_, at := c.d.tracker.Locate(c.closing.Frame)
	f.Summary = fmt.Sprintf("the LB sent a request (frame %d) %s after its kernel had acknowledged the target's %s (frame %d)",
		f.Request.Frame, seconds(max(c.request.Time-c.closing.Time, 0)), c.closeName(), at)
	return f
}

func matchRSTRequestCrossing(c *conn) *Finding {
	if !c.taken() || !c.aborted || c.closeHadSeenRequest() || c.requestHadSeenClose() {
		return nil
	}
	f := c.race(RSTRequestCrossing)
	_, at := c.d.tracker.Locate(c.closing.Frame)
	f.Summary = fmt.Sprintf("the target's RST (frame %d) and the LB's request (frame %d) crossed: neither had seen the other%s",
		at, f.Request.Frame, c.afterIdle(f))
	return f
}

func matchClosedWithRequestOutstanding(c *conn) *Finding {
	if !c.taken() || !c.closeHadSeenRequest() || c.hole() {
		return nil
	}
	f := c.race(ClosedWithRequestOutstanding)
	f.Time = c.closing.Time
	f.Measures.Outstanding = Duration{max(c.closing.Time-c.request.Time, 0), true}
	_, at := c.d.tracker.Locate(c.closing.Frame)
	f.Summary = fmt.Sprintf("the target had the request (frame %d) and closed (%s, frame %d) %s later without an answer",
		f.Request.Frame, c.closeName(), at, seconds(f.Measures.Outstanding.NS))
	return f
}

func matchStaleConnection(c *conn) *Finding {
	if !c.outstanding() || c.closing.Set() || !c.used() && c.flow.Handshake() || c.hole() || c.vague() {
		return nil
	}
	rst, reset := c.replyRST()
	gaveUp := c.lbGaveUp()
	switch {
	case reset && !gaveUp:
		if !c.used() {
			return nil
		}
		f := c.finding(StaleConnection, c.request)
		f.Lost = true
		c.withRequest(f)
		f.Evidence = c.story()
		c.idle(f, c.request)
		f.Measures.RST = "reply"
		_, at := c.d.tracker.Locate(rst.Frame)
		f.Summary = fmt.Sprintf("the request (frame %d) on a used connection was answered by an RST (frame %d) although no close was ever seen%s",
			f.Request.Frame, at, c.afterIdle(f))
		return f
	case gaveUp && c.used() && c.lm.NCopies >= 2 && !c.acknowledged():
		f := c.finding(StaleConnection, c.request)
		f.Lost = true
		c.withRequest(f)
		f.Evidence = c.story()
		c.idle(f, c.request)
		f.Measures.Attempts = c.lm.NCopies + 1
		f.Measures.Outstanding = Duration{c.lbClose().Time - c.request.Time, true}
		f.Summary = fmt.Sprintf("the request (frame %d) on a used connection was sent %d times and never acknowledged%s",
			f.Request.Frame, f.Measures.Attempts, c.afterIdle(f))
		return f
	}
	return nil
}

func matchAcceptQueueOverflow(c *conn) *Finding {
	if !c.flow.Handshake() || c.target.Last.Set() || c.closing.Set() || !c.tm.SYNsSeen() {
		return nil
	}
	unseen := !c.target.HasSeen(c.lb.ISN + 1)
	if !unseen {
		return nil
	}
	if rst, ok := c.replyRST(); ok && !c.lbClose().Set() || ok && c.lbClose().Frame > rst.Frame {
		at := rst
		if c.request.Set() {
			at = c.request
		}
		f := c.overflow(at)
		f.Lost = true
		f.Measures.RST = "reply"
		_, n := c.d.tracker.Locate(rst.Frame)
		f.Summary = fmt.Sprintf("the target reset the connection (frame %d) right after its handshake: no room in the accept queue (tcp_abort_on_overflow)", n)
		return f
	}
	if c.request.Set() && c.lbGaveUp() && c.overdue(c.lbClose().Time) {
		f := c.overflow(c.request)
		f.Lost = true
		f.Summary = fmt.Sprintf("the handshake was complete for the LB, but the target never took its final ACK: the first data was sent %d times and never acknowledged", f.Measures.Attempts)
		return f
	}
	return nil
}

// overdue: the first data was sent at least three times and not acknowledged for more
// than half a second.
func (c *conn) overdue(until int64) bool {
	return c.lm.NCopies >= 2 && until-c.request.Time > second/2
}

func (c *conn) overflow(at tcpstate.Mark) *Finding {
	f := c.finding(AcceptQueueOverflow, at)
	if f.Confidence == Certain {
		f.Confidence = Likely
	}
	c.withRequest(f)
	f.Evidence = append(c.handshakeStory(), c.story()...)
	sortEvidence(f.Evidence)
	if c.request.Set() {
		f.Measures.Attempts = c.lm.NCopies + 1
	}
	c.t.noteOverflow(at.Time)
	f.Measures.Waiting = c.t.waitingAt(at.Time)
	return f
}

// judgeRecovered looks at a request that had to be sent again and is answered now.
func (d *Detector) judgeRecovered(c *conn) {
	if c.flow.Decided() || !c.flow.Handshake() || c.target.Last.Set() || c.request.Seq != c.lb.ISN+1 {
		return
	}
	acked := c.now
	if c.lm.TurnAcked.Set() {
		acked = c.lm.TurnAcked.Time
	}
	if !c.overdue(acked) {
		return
	}
	f := c.overflow(c.request)
	f.Severity = Warning
	f.Measures.Delay = Duration{acked - c.request.Time, true}
	f.Summary = fmt.Sprintf("the target took the LB's final ACK only after %s: the first data was sent %d times", seconds(f.Measures.Delay.NS), f.Measures.Attempts)
	c.flow.SetDecided()
	d.report(c, f)
}

func matchLBClosed(c *conn) *Finding {
	if !c.request.Set() || !c.lbGaveUp() || !c.acknowledged() || c.hole() {
		return nil
	}
	cl := c.lbClose()
	if c.answered && c.lm.NRST == 0 {
		return nil // a half-close: the LB went on to take the answer
	}
	if c.flow.Upgraded() {
		return nil
	}
	f := c.finding(LBClosedWithRequestOutstanding, cl)
	f.Lost = true
	c.withRequest(f)
	f.Evidence = c.story()
	last := c.lb.Last.Time
	f.Measures.Outstanding = Duration{max(cl.Time-c.request.Time, 0), true}
	wait := max(cl.Time-last, 0)
	f.Severity = Warning
	if round(wait) || round(f.Measures.Outstanding.NS) {
		f.Severity = Error
	}
	_, at := c.d.tracker.Locate(cl.Frame)
	f.Summary = fmt.Sprintf("the LB gave up (frame %d) %s after the request (frame %d); the target had acknowledged it and not answered",
		at, seconds(f.Measures.Outstanding.NS), f.Request.Frame)
	return f
}

// round reports whether a wait looks configured: within 15 ms of a multiple of 0.5 s.
func round(ns int64) bool {
	r := ns % (second / 2)
	return ns > second/2-15*millisecond && (r <= 15*millisecond || r >= second/2-15*millisecond)
}

// truncated: the target closed of itself in the middle of an answer.
func (c *conn) truncated() bool {
	if !c.request.Set() || !c.answered || !c.closing.Set() || !c.flow.AnswerUnfinished() || c.hole() {
		return false
	}
	cl := c.lbClose()
	return !cl.Set() || cl.Ack.After(c.closing.Seq)
}

func matchResponseTruncated(c *conn) *Finding {
	if !c.truncated() {
		return nil
	}
	f := c.finding(ResponseTruncated, c.closing)
	f.Lost = true
	c.withRequest(f)
	f.Evidence = c.story()
	c.resets(f)
	f.Measures.Outstanding = Duration{max(c.closing.Time-c.request.Time, 0), true}
	_, at := c.d.tracker.Locate(c.closing.Frame)
	f.Summary = fmt.Sprintf("the target closed (%s, frame %d) in the middle of its answer to the request (frame %d)", c.closeName(), at, f.Request.Frame)
	return f
}

func matchEarlyResponseReset(c *conn) *Finding {
	abort := c.tm.Abort
	if !c.request.Set() || !c.answered || !abort.Set() || c.flow.Opaque() {
		return nil
	}
	if !abort.Ack.Before(c.lb.Last.End()) && !c.flow.RequestUnfinished() {
		return nil // it covers the request's end
	}
	if cl := c.lbClose(); cl.Set() && !cl.Ack.After(abort.Seq) && cl.Frame < abort.Frame && abort.Ack.After(cl.Seq) {
		return nil // the LB had closed before
	}
	f := c.finding(EarlyResponseReset, abort)
	f.Severity, f.Confidence = Warning, Suspected
	f.Grounds = "whether the LB read the answer before its write failed does not show on the wire"
	c.withRequest(f)
	f.Evidence = c.story()
	f.Measures.RST = "active"
	_, at := c.d.tracker.Locate(abort.Frame)
	f.Summary = fmt.Sprintf("the target answered while the request's body was still being sent, and reset the connection (frame %d) without having read it all", at)
	return f
}

func matchRSTAfterFIN(c *conn) *Finding {
	var rst tcpstate.Mark
	var fromLB bool
	pick := func(h *tcpstate.HalfMarks, lb bool) {
		for _, r := range h.RSTs {
			fins := [2]tcpstate.Mark{c.lm.FIN, c.tm.FIN}
			for _, fin := range fins {
				if fin.Set() && fin.Frame < r.Frame && (!rst.Set() || r.Frame < rst.Frame) {
					rst, fromLB = r.Mark, lb
				}
			}
		}
	}
	pick(c.lm, true)
	pick(c.tm, false)
	if !rst.Set() {
		return nil
	}
	f := c.finding(RSTAfterFIN, rst)
	f.Severity = Info
	f.Evidence = c.story()
	who, kind := "target", "reply"
	if fromLB {
		who = "LB"
	}
	if rst.Flags.Has(tcpstate.ACK) {
		kind = "active"
	}
	f.Measures.RST = kind
	if n := c.unreadAnswer(); n > 0 && !fromLB {
		f.Severity = Warning
		f.Summary = fmt.Sprintf("the %s sent an RST (%s) after a FIN; %d octets of its answer were never acknowledged", who, kind, n)
		return f
	}
	f.Summary = fmt.Sprintf("the %s sent an RST (%s) after a FIN; nothing was lost with it", who, kind)
	return f
}

// unreadAnswer is how many octets of the target the LB never acknowledged.
func (c *conn) unreadAnswer() int32 {
	if !c.target.Last.Set() || !c.lb.AckSeen() {
		return 0
	}
	return max(c.target.Last.End().Sub(c.lb.Ack), 0)
}

// closeName is what the target closed with.
func (c *conn) closeName() string {
	switch {
	case c.notify.Set() && c.tm.NotifyKind == tcpstate.RequestTimeout408:
		return "HTTP 408"
	case c.notify.Set() && c.tm.NotifyKind == tcpstate.GoAway:
		return "GOAWAY"
	case c.notify.Set():
		return "close_notify"
	case c.aborted:
		return "RST"
	}
	return "FIN"
}

func (c *conn) afterIdle(f *Finding) string {
	if !f.Measures.Idle.Known {
		return ""
	}
	return ", after " + seconds(f.Measures.Idle.NS) + " idle"
}

// seconds writes a time for people: "5.001874 s", "12.3 ms", "25 µs".
func seconds(ns int64) string {
	switch {
	case ns >= second:
		return fmt.Sprintf("%.6g s", float64(ns/1000)/1e6)
	case ns >= millisecond:
		return fmt.Sprintf("%.3g ms", float64(ns)/1e6)
	}
	return fmt.Sprintf("%d µs", ns/1000)
}
