package detect

import (
	"fmt"
	"math"

	"connrace/tcpstate"
)

// RSTAfterFIN: an RST after a FIN that no other rule explains.
//
// Some RST follows the first FIN of either side, and no rule above claims it. Reply
// (flags exactly RST, seq = the ack of the segment that it answers) or active (RST+ACK
// with current numbers) says how; the side says who. It is a warning if the LB's highest
// ack lies before the end of the target's answer, so that octets were lost with the RST,
// else an info: a close with unread data, or the last word between two hosts that have
// both closed. RFC 9293 §3.6.1.
var RSTAfterFIN = &Rule{
	ID:       "rst-after-fin",
	Severity: Warning,
	Mildest:  Info,
	Lost:     LostNever,
	Title:    "RST after a FIN",
	Diagram: `
LB                                target
 | <-- P. 1:201 ack 101 ----------- |   a complete answer
 | <-- F. 201:201 ack 101 --------- |   FIN, nothing outstanding
 | --- R. 101:101 ack 202 --------> |   RST after it, by either side`,
	Sequence: "An RST, by either side, after a FIN, which no other rule explains.",
	Apart: "Whatever took a request away is one of the rules above, and its RSTs are counted there. " +
		"HAProxy closes with RST by design.",
	Trigger:  "the same requests",
	Decisive: "the first RST that comes behind a FIN its sender sent or had seen",
	Views: Views{
		Target: "A bare RST is the kernel's reply to a segment without a socket; an RST with ACK is " +
			"an application's close() with data unread, or SO_LINGER 0.",
		LB:      "The same.",
		Between: "The same.",
	},
	Cause: "Usually benign: a close with unread data, or a late ACK that meets a closed socket. A " +
		"warning means that answer bytes were lost with it.",
	Causes: []string{
		"close() with data unread, which the kernel turns into an RST",
		"segments that were still on their way when the socket was gone",
		"a load balancer that closes with RST by design (HAProxy)",
	},
	Fix: "Nothing to change where nothing was lost. Where answer bytes were lost, let the target " +
		"read the whole request before it closes (Tomcat maxSwallowSize, uWSGI post-buffering).",
	Servers: drainBodyKnobs,
	LBs:     bodyLimitKnobs,
	Logs:    resetAfterLogs,

	Behind: LogClosed | LogTruncated,
	Timer:  TimerNote{Head: "No timer"},

	Match: matchRSTAfterFIN,
}

func matchRSTAfterFIN(x *Facts) *Finding {
	var rst tcpstate.RSTRef
	var fromLB bool
	first := min(frameOr(x.ln.FIN), frameOr(x.tn.FIN))
	for dir := range x.notes.Half {
		for _, r := range x.notes.Half[dir].RSTs {
			if first < r.Frame() && x.notes.AfterFIN(dir, r.SegRef) && (!rst.Set() || r.Frame() < rst.Frame()) {
				rst, fromLB = r, dir == x.flow.LB()
			}
		}
	}
	if !rst.Set() {
		return nil
	}
	f := x.finding(rst.SegRef)
	f.Severity = Info
	f.Evidence = x.timeline()
	who := "target"
	if fromLB {
		who = "LB"
	}
	f.Measures.RST = rstKind(rst)
	f.Measures.RSTOrigin, f.Measures.RSTOriginBasis = x.origin(rst, fromLB)
	lost := "nothing was lost with it"
	if n := x.unreadAnswer(); n > 0 && !fromLB {
		f.Severity = Warning
		lost = fmt.Sprintf("%d bytes of its answer were never acknowledged", n)
	}
	kind := f.Measures.RST
	if kind == "" {
		kind = "of an odd shape"
	}
	f.Summary = fmt.Sprintf("the %s sent an RST (%s) after a FIN; %s", who, kind, lost)
	if f.Measures.RSTOrigin == OriginBetween {
		f.Summary = fmt.Sprintf("something in between sent an RST in the name of the %s after a FIN; %s", who, lost)
	}
	return f
}

// unreadAnswer is how many octets of the target the LB never acknowledged.
func (x *Facts) unreadAnswer() int32 {
	if !x.newestFromTarget.Set() || !x.lb.HasAck() {
		return 0
	}
	end := x.newestFromTarget.End()
	if x.notify.Set() && x.notify.Seq.Before(end) {
		end = x.notify.Seq
	}
	return max(end.Sub(x.lb.Ack), 0)
}

// frameOr is a remembered segment's frame, the last of all frames if it is not set.
func frameOr(m tcpstate.SegRef) uint64 {
	if !m.Set() {
		return math.MaxUint64
	}
	return m.Frame()
}
