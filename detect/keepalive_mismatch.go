package detect

import (
	"fmt"

	"connrace/detect/internal/idle"
)

// KeepAliveMismatch: the target closes idle connections before the LB does.
//
// No segment decides this one, but the timers of a target as a whole: its idle timeout
// is claimed (gaps from the last octet of an answer to a close by the target, with
// nothing outstanding: at least 3 closing moments in a tight cluster, and no answered
// reuse after a longer gap), and the LB keeps connections at least as long:
// --lb-idle-timeout or the inferred LB timeout is not below it, or the target closed
// idle connections at 3 moments or more and the LB never closed one after a shorter gap.
var KeepAliveMismatch = &Rule{
	ID:       "keepalive-mismatch",
	Severity: Warning,
	Mildest:  Warning,
	Lost:     LostNever,
	Title:    "Keep-alive timeouts in the wrong order",
	Diagram: `
LB                                target
 | <-- P. 1:201 ack 101 ----------- |   the last answer
 |         ... idle 5 s ...         |
 | <-- F. 201:201 ack 101 --------- |   FIN: the target's timer fires first
 | --- F. 101:101 ack 202 --------> |   no request was on its way: luck`,
	Sequence: "The target closes idle connections after a time that the load balancer would have kept them for: " +
		"the race is possible.",
	Apart: "fin-request-crossing: the race itself. This one is about the target as a whole and names " +
		"no request.",
	Trigger:  "pauses between requests longer than the target's keep-alive timeout",
	Decisive: "none: the want stands on the target's line under hosts",
	Views: Views{
		Target:  "Idle connections end with the target's FIN, always after the same time.",
		LB:      "The same, one way later.",
		Between: "The same.",
	},
	Cause: "The target's keep-alive timeout is not above the load balancer's idle timeout.",
	Causes: []string{
		"defaults: 5 s in Node.js before 26, uvicorn and Apache, 2 s in gunicorn; against 60 s in an ALB or nginx, 90 s in Traefik, 1 h in Envoy",
	},
	Fix: "Before the 502s come: raise the target's keep-alive timeout (Node.js " +
		"server.keepAliveTimeout, gunicorn --keep-alive, uvicorn --timeout-keep-alive, ...) above " +
		"the load balancer's idle timeout, to 75 s or more behind an ALB at 60 s.",
	Servers: keepAliveKnobs,
	LBs:     poolKnobs,

	About:   AboutTarget,
	Lasting: true, // of few closes a timer may be inferred that more of them deny
	Timer:   TimerNote{Head: "No timer"},

	Match: matchKeepAliveMismatch,
}

func matchKeepAliveMismatch(x *Facts) *Finding {
	own, lb := x.of.timers()
	why := x.of.mismatch(own, lb, x.settings.lbIdleTimeout)
	if why == "" {
		return nil
	}
	last := own.Closes[0]
	for _, s := range own.Closes {
		if s.Ref.Frame() > last.Ref.Frame() {
			last = s
		}
	}
	f := x.ofTarget(last.Ref)
	f.Time = last.Time
	f.Grounds = fmt.Sprintf("%d closes at %d moments within %s; %s", own.Samples, own.Moments, seconds(own.SpreadNS), why)
	f.Measures.Idle, f.Measures.CloseCause, f.Measures.CloseCauseBasis = Duration{own.NS, true}, CloseIdleTimeout, "inferred"
	f.Summary = fmt.Sprintf("the target closes connections after %s idle; %s", seconds(own.NS), why)
	for _, s := range own.Closes[:min(len(own.Closes), 5)] {
		f.Evidence = append(f.Evidence, x.settings.evidence(s.Ref, false, RoleFIN, "the target closes after "+seconds(s.Gap)+" idle"))
	}
	sortEvidence(f.Evidence)
	return f
}

// mismatch says why the LB would keep a connection at least as long as the target does;
// "": it would not, as far as is known.
func (t *target) mismatch(own, lb *timer, configured int64) string {
	const least = second / 2 // by judgement: shorter ones are hardly set, but what is no HTTP pauses for as long
	switch {
	case own == nil, own.NS < least:
		return ""
	case configured > 0:
		if configured+idle.Slack >= own.Lo {
			return "the load balancer's configured idle timeout is " + seconds(configured)
		}
		return ""
	case lb != nil:
		if lb.NS+idle.Slack >= own.Lo {
			return "the load balancer was seen to close connections only after " + seconds(lb.NS) + " idle"
		}
		return ""
	}
	for _, s := range t.told.lbCloses.All() {
		if s.Idle && s.Gap > idle.ShortGap && s.Gap < own.Lo {
			return ""
		}
	}
	if own.Moments < 3 {
		return ""
	}
	return "the load balancer never closed an idle connection sooner"
}
