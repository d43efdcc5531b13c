package detect

import (
	"fmt"

	"connrace/tcpstate"
)

// What the rules share that are about a handshake.

// Outcome is what came of a SYN.
type Outcome uint8

// The outcomes.
const (
	SYNAnswered    Outcome = iota // in the end
	SYNRefused                    // by an RST
	SYNReset                      // answered, but reset by the LB's own host
	SYNUnreachable                // an ICMP error says so
	SYNPending                    // the capture ended before its next retry was due
	SYNOpen                       // likewise, and it had been sent often and long enough to be told
	SYNGivenUp
)

// ignoredSYNs are the copies of the SYN that got no answer. Which copy a SYN-ACK
// answers is told by its TSecr (RFC 7323 §3.2); where it names an early one although
// the SYN was repeated, the listener had taken that one and the SYN-ACK was lost or slow.
func (x *Facts) ignoredSYNs() []tcpstate.SYNRef {
	syns := x.ln.SYNs
	switch {
	case x.Outcome == SYNRefused || x.Outcome == SYNReset || x.Outcome == SYNUnreachable:
		return nil
	case x.Outcome != SYNAnswered || len(syns) == 0:
		if x.ln.NSYN < 2 && x.Outcome != SYNPending {
			return nil
		}
		return syns
	case len(x.tn.SYNs) == 0:
		return nil // the SYN-ACK was not captured: others may be missing too
	}
	sa := x.tn.SYNs[0]
	if sa.HasTS {
		for i, s := range syns {
			if s.HasTS && s.TSVal == sa.TSEcr {
				return syns[:i]
			}
		}
	}
	return syns[:max(int(sa.Behind), 1)-1]
}

// handshake begins a finding about the connection's set-up.
func (x *Facts) handshake(at tcpstate.SegRef) *Finding {
	f := x.finding(at)
	switch f.Severity = Warning; x.Outcome {
	case SYNGivenUp, SYNRefused, SYNReset, SYNUnreachable:
		f.Severity, f.Lost = Error, true
	case SYNOpen:
		if f.Open = true; x.Now-at.Time >= openError {
			f.Severity = Error
		}
	}
	f.Measures.Attempts = x.ln.NSYN
	f.Evidence = x.handshakeTimeline()
	return f
}

// queueVotes are how many of the ignored SYNs fell into the wait of a stalled request on the
// same listener, how many requests waited at most, and the newest that waited when the first of the SYNs came
// that fell into one.
func (x *Facts) queueVotes(ignored []tcpstate.SYNRef) (full, waiting int, stalled tcpstate.SegRef) {
	for _, s := range ignored {
		n, newest := x.of.told.waits.at(forQueue, s.Time)
		if n > 0 {
			full++
		}
		waiting = max(waiting, n)
		if !stalled.Set() {
			stalled = newest
		}
	}
	return full, waiting, stalled
}

// dead reports whether the target's host or the way to it was dead while the SYNs were ignored:
// on connections that it had accepted, requests or FINs were sent again and not acknowledged.
// waits is the newest of these.
func (x *Facts) dead(ignored []tcpstate.SYNRef) (waits tcpstate.SegRef, ok bool) {
	n := 0
	for _, s := range ignored {
		dead, newest := x.of.told.waits.at(forPath, s.Time)
		if dead > 0 {
			n++
		}
		if newest.Time > waits.Time {
			waits = newest
		}
	}
	return waits, n > 0 && 2*n >= len(ignored)
}

// silence makes the finding of SYNs that were ignored.
func (x *Facts) silence(ignored []tcpstate.SYNRef, waiting int) *Finding {
	first := ignored[0]
	f := x.handshake(first.SegRef)
	f.Confidence = Suspected
	f.Measures.Waiting = waiting
	f.ignored = make([]int64, 0, len(ignored))
	for _, s := range ignored {
		f.ignored = append(f.ignored, s.Time)
	}
	switch m := &f.Measures; x.Outcome {
	case SYNGivenUp:
		m.Outstanding = Duration{max(x.ln.SYNs[len(x.ln.SYNs)-1].Time-first.Time, 0), true}
		f.Summary = says("the SYN was sent ", m.Attempts, " times over ", seconds(m.Outstanding.NS), " and never answered")
	case SYNOpen:
		s := silence{copies: m.Attempts, over: x.ln.SYNs[len(x.ln.SYNs)-1].Time - first.Time, open: true}
		m.Outstanding = Duration{s.over, true}
		f.Summary = fmt.Sprintf("the SYN (frame %d) %s", x.frame(first.SegRef), s.times(x.Ended))
	case SYNPending:
		m.Outstanding = Duration{max(x.Now-first.Time, 0), true}
		f.Summary = fmt.Sprintf("the SYN had no answer yet after %s, when the capture ended", seconds(m.Outstanding.NS))
	default:
		m.Delay = Duration{x.Now - first.Time, true}
		if n := len(x.tn.SYNs); n > 0 {
			m.Delay.NS = max(x.tn.SYNs[n-1].Time-first.Time, 0)
		}
		f.Summary = says("the SYN had to be sent ", m.Attempts, " times: the connection was set up ", seconds(m.Delay.NS), " late")
	}
	return f
}

// metOld is the target's ACK of an older connection on the same ports that the SYN met; ok is
// false if there is none. The LB resets that one then (RFC 9293 §3.10.7.3), but a stateful
// filter may eat the RST.
func (x *Facts) metOld() (ack tcpstate.SegRef, ok bool) {
	for _, m := range x.tn.Old {
		if m.Flags()&(tcpstate.ACK|tcpstate.RST|tcpstate.SYN) == tcpstate.ACK {
			return m, true
		}
	}
	return ack, false
}

// handshakeTimeline is the evidence of a connection's set-up.
func (x *Facts) handshakeTimeline() []Evidence {
	n := len(x.ln.SYNs) + len(x.tn.SYNs) + len(x.tn.Refusals) + len(x.tn.Old) + len(x.ln.Old)
	bareACK := x.ln.FinalACK.Set() && x.ln.FinalACK.Len == 0
	if bareACK {
		n++
	}
	es := make([]Evidence, 0, n) // of SYNs that nobody answers there may be very many: no room for more
	add := func(m tcpstate.SegRef, fromLB bool, r Role, note string) {
		es = append(es, x.evidence(m, fromLB, r, note))
	}
	for i, s := range x.ln.SYNs {
		if i == 0 {
			add(s.SegRef, true, RoleSYN, "SYN")
		} else {
			add(s.SegRef, true, RoleRepeat, "the SYN again")
		}
	}
	for i, s := range x.tn.SYNs {
		if i == 0 {
			add(s.SegRef, false, RoleSYNACK, "SYN-ACK")
		} else {
			add(s.SegRef, false, RoleSYNACK, "the SYN-ACK again: the target has not taken the final ACK")
		}
	}
	if bareACK {
		add(x.ln.FinalACK, true, RoleACK, "the handshake's final ACK")
	}
	for _, m := range x.tn.Refusals {
		add(m, false, RoleRST, "RST in answer to the SYN")
	}
	for _, m := range x.tn.Old {
		add(m, false, RoleOldConnection, "belongs to an older connection on the same ports")
	}
	for _, m := range x.ln.Old {
		add(m, true, RoleOldConnection, "resets the older connection")
	}
	sortEvidence(es)
	return es
}

// settleSYN is until when a finding about ignored SYNs waits for other findings about the same
// listener: as long as these may lie apart, for both to know of each other.
func settleSYN(x *Facts) int64 { return x.Now + queueNear }
