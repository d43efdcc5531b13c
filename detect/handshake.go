package detect

import (
	"fmt"

	"connrace/tcpstate"
)

func (d *Detector) synRepeated(e *tcpstate.Event) { d.targetOf(e.Flow).synRetrans++ }

// established looks at a handshake that is complete: how long it took, and what its
// repeated SYNs say.
func (d *Detector) established(e *tcpstate.Event) {
	f := e.Flow
	t := d.targetOf(f)
	t.completed++
	m := d.tracker.Notes(f)
	lb, target := &m.Half[f.LB()], &m.Half[1-f.LB()]
	if rtt := f.RTT(); rtt > 0 {
		t.rtt.add(rtt)
		t.farNS += max(target.SYNs[0].Time-lb.SYNs[0].Time, 0)
		t.allNS += rtt
	}
	if lb.NSYN > 1 {
		d.judgeSYN(d.conn(f, e), answered)
	}
}

// judgeHandshake looks at a connection that never came to be.
func (d *Detector) judgeHandshake(c *conn) {
	switch {
	case c.flow.Decided():
	case len(c.tm.Refusals) > 0:
		c.flow.SetDecided()
		c.t.refused++
		d.report(c, c.refused())
	case c.lb.SentSYN() && !c.target.SentSYN() && len(c.lm.SYNs) > 0:
		last := c.lm.SYNs[len(c.lm.SYNs)-1]
		if c.now-last.Time < c.lm.Patience() {
			d.judgePending(c) // the capture ended before the next retry was due
			return
		}
		c.flow.SetDecided()
		c.t.unanswered++
		d.judgeSYN(c, givenUp)
	}
}

// pendingAfter is how long a SYN must have had no answer for the kernel to be asked why.
const pendingAfter = 200 * millisecond

// judgePending looks at a SYN that has no answer yet at the capture's end. What becomes of
// it is not known, nor why, unless the kernel says that its listener had no room.
func (d *Detector) judgePending(c *conn) {
	if !c.ended {
		return
	}
	c.t.pending++
	if c.now-c.lm.SYNs[0].Time < pendingAfter {
		return
	}
	var moments []int64
	for _, s := range c.lm.SYNs {
		moments = append(moments, s.Time)
	}
	if x, ok := d.testify(c.d.tracker.Endpoint(c.flow, 1-c.flow.LB()), moments); ok && x.proves() {
		c.flow.SetDecided()
		d.judgeSYN(c, pending)
	}
}

// outcome is what came of a SYN.
type outcome uint8

const (
	answered outcome = iota // in the end
	pending                 // the capture ended first
	givenUp
)

func (c *conn) refused() *Finding {
	syn := c.tm.Refusals[0]
	if len(c.lm.SYNs) > 0 {
		syn = c.lm.SYNs[0].SegRef
	}
	f := c.finding(syn)
	f.Rule = ConnectionRefused
	f.Lost = true
	f.Measures.Attempts = max(c.lm.NSYN, 1)
	f.Measures.RST = "reply"
	f.Evidence = c.handshakeStory()
	f.Summary = fmt.Sprintf("the target answered the SYN with an RST: nothing listens on %s", f.Target)
	return f
}

// judgeSYN decides what the unanswered copies of a SYN mean.
func (d *Detector) judgeSYN(c *conn, came outcome) {
	ignored := c.ignoredSYNs(came)
	if len(ignored) == 0 {
		return
	}
	if f := c.portReuse(came); f != nil {
		d.report(c, f)
		return
	}
	full, waiting := 0, 0
	var stalled tcpstate.SegRef
	for _, s := range ignored {
		n := c.t.waitingAt(s.Time)
		if n > 0 {
			full++
		}
		waiting = max(waiting, n)
		for i := range c.t.waits {
			if w := &c.t.waits[i]; w.covers(s.Time) && w.ref.Time > stalled.Time {
				stalled = w.ref
			}
		}
	}
	first := ignored[0]
	f := c.finding(first.SegRef)
	f.Rule = SYNUnanswered
	f.Confidence = Suspected
	f.Grounds = "no request on this listener was waiting: nothing speaks for a full queue"
	if 2*full >= len(ignored) {
		f.Rule = SYNDropped
		_, n := c.d.tracker.Locate(stalled.Frame())
		f.Grounds = fmt.Sprintf("%d of %d ignored SYNs fell into the wait of a stalled request on the same listener (frame %d, tcp.stream %d)",
			full, len(ignored), n, stalled.Stream)
	}
	f.Severity, f.Lost = Warning, false
	if came == givenUp {
		f.Severity, f.Lost = Error, true
	}
	f.Evidence = c.handshakeStory()
	if f.Rule == SYNDropped && stalled.Time > first.Time-second/2 {
		f.Evidence = append(f.Evidence, c.evidence(stalled, true, RoleStalledRequest, "a request that waits for an answer all the while"))
		sortEvidence(f.Evidence)
	}
	f.Measures.Attempts = c.lm.NSYN
	f.Measures.Waiting = waiting
	for _, s := range ignored {
		c.moments = append(c.moments, s.Time)
	}
	switch came {
	case givenUp:
		f.Measures.Outstanding = Duration{c.lm.SYNs[len(c.lm.SYNs)-1].Time - first.Time, true}
		f.Summary = fmt.Sprintf("the SYN was sent %d times over %s and never answered", f.Measures.Attempts, seconds(f.Measures.Outstanding.NS))
	case pending:
		f.Measures.Outstanding = Duration{c.now - first.Time, true}
		f.Summary = fmt.Sprintf("the SYN had no answer yet after %s, when the capture ended", seconds(f.Measures.Outstanding.NS))
	default:
		f.Measures.Delay = Duration{c.now - first.Time, true}
		if n := len(c.tm.SYNs); n > 0 {
			f.Measures.Delay.NS = max(c.tm.SYNs[n-1].Time-first.Time, 0)
		}
		f.Summary = fmt.Sprintf("the SYN had to be sent %d times: the connection was set up %s late", f.Measures.Attempts, seconds(f.Measures.Delay.NS))
	}
	d.report(c, f)
}

// ignoredSYNs are the copies of the SYN that got no answer. Which copy a SYN-ACK
// answers is told by its TSecr (RFC 7323 §3.2); where it names an early one although
// the SYN was repeated, the listener had taken that one and the SYN-ACK was lost or slow.
func (c *conn) ignoredSYNs(came outcome) []tcpstate.SYNRef {
	syns := c.lm.SYNs
	if came != answered || len(syns) == 0 {
		if c.lm.NSYN < 2 && came != pending {
			return nil
		}
		return syns
	}
	if len(c.tm.SYNs) == 0 {
		return nil // the SYN-ACK was not captured: others may be missing too
	}
	sa := c.tm.SYNs[0]
	if sa.HasTS {
		for i, s := range syns {
			if s.HasTS && s.TSVal == sa.TSEcr {
				return syns[:i]
			}
		}
	}
	n := 0
	for n < len(syns) && syns[n].Frame() < sa.Frame() {
		n++
	}
	if n == 0 {
		return nil
	}
	return syns[:n-1]
}

// portReuse recognises a SYN that met an old connection: the target answers with an ACK
// of that (challenge ACK, RFC 5961 §4; or TIME-WAIT), the LB resets it and tries again.
func (c *conn) portReuse(came outcome) *Finding {
	var ack, rst tcpstate.SegRef
	for _, m := range c.tm.Old {
		if m.Flags()&(tcpstate.ACK|tcpstate.RST) == tcpstate.ACK && !ack.Set() {
			ack = m
		}
	}
	for _, m := range c.lm.Old {
		if m.Flags().Has(tcpstate.RST) && !rst.Set() {
			rst = m
		}
	}
	if !ack.Set() || !rst.Set() {
		return nil
	}
	f := c.finding(c.lm.SYNs[0].SegRef)
	f.Rule = PortReuse
	f.Severity, f.Lost = Warning, false
	if came == givenUp {
		f.Severity, f.Lost = Error, true
	}
	f.Measures.Attempts = c.lm.NSYN
	f.Evidence = c.handshakeStory()
	_, n := c.d.tracker.Locate(ack.Frame())
	f.Summary = fmt.Sprintf("the SYN met an old connection on the same ports: the target answered with an ACK of that (frame %d)", n)
	if came == answered {
		f.Measures.Delay = Duration{c.now - c.lm.SYNs[0].Time, true}
	}
	return f
}

// handshakeStory is the evidence of a connection's set-up.
func (c *conn) handshakeStory() []Evidence {
	es := make([]Evidence, 0, len(c.lm.SYNs)+len(c.tm.SYNs)+1+len(c.tm.Refusals)+len(c.tm.Old)+len(c.lm.Old)+1) // and a stalled request
	for i, s := range c.lm.SYNs {
		r, note := RoleSYN, "SYN"
		if i > 0 {
			r, note = RoleRepeat, "the SYN again"
		}
		es = append(es, c.evidence(s.SegRef, true, r, note))
	}
	for i, s := range c.tm.SYNs {
		note := "SYN-ACK"
		if i > 0 {
			note = "the SYN-ACK again: the target has not taken the final ACK"
		}
		es = append(es, c.evidence(s.SegRef, false, RoleSYNACK, note))
	}
	if c.lm.FinalACK.Set() && c.lm.FinalACK.Len == 0 {
		es = append(es, c.evidence(c.lm.FinalACK, true, RoleACK, "the handshake's final ACK"))
	}
	for _, m := range c.tm.Refusals {
		es = append(es, c.evidence(m, false, RoleRST, "RST in answer to the SYN"))
	}
	for _, m := range c.tm.Old {
		es = append(es, c.evidence(m, false, RoleOldConnection, "belongs to an older connection on the same ports"))
	}
	for _, m := range c.lm.Old {
		es = append(es, c.evidence(m, true, RoleOldConnection, "resets the older connection"))
	}
	sortEvidence(es)
	return es
}
