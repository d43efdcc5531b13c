package diagnosis

import (
	"time"

	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

// A patience is why the load balancer waited for an answer just as long as it did.
type patience struct {
	head func(ns int64) string // of the timer
	line string                // behind that
	ends string                // of the sentence that says how long it waited, where the head does not; "": it does
	why  string                // where the findings say no more than their rule does; "": they do
	fix  string
}

// The kinds of patience, in the order in which they are asked.
var (
	timeUp = &patience{
		head: func(int64) string { return "The load balancer's limit for an answer" },
		ends: ", and its log says that its own time was up.",
	}
	roundWait = &patience{
		head: func(ns int64) string {
			return "The load balancer's limit for an answer: " + text.Short((ns+limitSlack)/roundLimit*roundLimit)
		},
		ends: ", a round time.",
		why:  "A wait as round as this is most likely the load balancer's own limit: the application is slower than it allows.",
		fix:  "Make the request faster, or raise the load balancer's limit for an answer.",
	}
	clientLeft = &patience{
		head: waited,
		line: "That is no round time, as limits of load balancers are, unless it is set to just this.",
		why:  "Most likely a client went away, and the load balancer passed that on.",
		fix: "If it was the client, nothing on the load balancer or the target: look for 499 (nginx) or 460 (an ALB) in the load balancer's log " +
			"at these times, and raise the client's timeout or answer faster.",
	}
	sameWait = &patience{
		head: waited,
		line: "That time repeats itself: a limit that somebody set. Whose it was, packets cannot tell; " +
			"the load balancer's log does, as below, or read by connrace with --log.",
		why: "A limit was up, the load balancer's own or that of its clients, which it passed on: the application is slower than that allows.",
		fix: "Make the request faster, or raise the limit, when the load balancer's log has told whose it is.",
	}
	manyWaits = &patience{
		head: waited,
		line: "No limit shows. Whose it was, if there was one, or whether a client went away, the load balancer's log tells, as below, or read by connrace with --log.",
	}
)

func waited(ns int64) string {
	if ns == 0 { // of findings that are only counted
		return "The load balancer gave up waiting"
	}
	return "The load balancer waited " + text.Short(ns) + " for an answer (median)"
}

// timer says how long the LB waited.
func (p *patience) timer(ns int64) Timer {
	line := p.line
	if p.ends != "" {
		line = "It gave up " + text.Short(ns) + " after the request (median)" + p.ends
	}
	return Timer{Head: p.head(ns), Lines: []string{line}}
}

// patience is that of the LB, where its own is the timer behind the problem; else nil. A wait that repeats
// itself is a limit, whoever set it.
func (q *problem) patience() *patience {
	n := &q.Rule.Timer
	if q.cause != nil {
		n = &q.cause.Timer
	}
	d := q.waited.median()
	switch {
	case n.Also != detect.TimerPatience || q.isTimer() || q.unwatched || q.reason == gone:
		return nil
	case 2*q.timeUp > len(q.Findings):
		return timeUp
	case isRound(d):
		return roundWait
	case d > 0 && (q.Severity < detect.Error || 2*q.ClientAborts > q.Count):
		return clientLeft
	case len(q.waited.kept) > 1 && 2*q.waited.near(d, limitSlack) > len(q.waited.kept):
		return sameWait
	}
	return manyWaits
}

// Who sets a limit for answers sets it in half seconds, and it passes up to 15 ms late.
const (
	roundLimit = int64(500 * time.Millisecond)
	limitSlack = int64(15 * time.Millisecond)
)

// isRound reports whether a wait is a limit that somebody set.
func isRound(ns int64) bool {
	return ns >= roundLimit-limitSlack && (ns+limitSlack)%roundLimit <= 2*limitSlack
}
