package detect

import (
	"fmt"
	"strings"

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
	if d.resolve(f); d.inOrder(f) {
		return
	}
	c := d.conn(f, e)
	for _, r := range Rules {
		if r.match == nil {
			continue
		}
		if fd := r.match(c); fd != nil {
			fd.Rule = r
			f.SetDecided()
			d.report(c, fd)
			return
		}
	}
}

// inOrder reports whether a connection has closed as nearly all do: its newest request was
// answered in full, and nobody sent an RST. No rule has anything to say of those, and to
// look costs less than to ask each. Of TLS it cannot tell: what looks like an answer may be
// a close_notify.
func (d *Detector) inOrder(f *tcpstate.Flow) bool {
	m := d.tracker.Notes(f)
	lb, _ := f.Sides()
	return lb.Answered() && !f.AnswerUnfinished() && !f.MayBeTLS() && m.Half[0].NRST == 0 && m.Half[1].NRST == 0
}

// race makes the finding of a request that the target's close took away.
func (c *conn) race() *Finding {
	f := c.finding(c.request)
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
	if _, reply := c.replyRST(); reply && !c.aborted {
		f.Measures.RST = "reply"
	} else if c.tm.Abort.Set() {
		f.Measures.RST = "active"
	}
}

// used: answers came over this connection before the request.
func (c *conn) used() bool {
	return c.lb.Used() || c.newestAnswer().Set() && c.request.Ack.After(c.newestAnswer().Seq)
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

// judgeRecovered looks at a request that had to be sent again and is answered now.
func (d *Detector) judgeRecovered(c *conn) {
	if c.flow.Decided() || c.lbClose().Set() || !c.flow.BeginCaptured() || c.lastAnswered().Set() || c.request.Seq != c.lb.ISN+1 {
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
	c.moments = c.moments[:len(c.moments)-1] // the last copy got through
	f.Rule = AcceptQueueOverflow
	f.Severity = Warning
	f.Measures.Delay = Duration{acked - c.request.Time, true}
	f.Summary = fmt.Sprintf("the target took the LB's final ACK only after %s: the first data was sent %d times", seconds(f.Measures.Delay.NS), f.Measures.Attempts)
	c.flow.SetDecided()
	d.report(c, f)
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
		return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%.6f", float64(ns/1000)/1e6), "0"), ".") + " s"
	case ns >= millisecond:
		return fmt.Sprintf("%.3g ms", float64(ns)/1e6)
	}
	return fmt.Sprintf("%d µs", ns/1000)
}
