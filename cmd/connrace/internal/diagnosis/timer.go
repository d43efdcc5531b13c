package diagnosis

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

// Timer says which timer is behind a problem, or that none is.
type Timer struct {
	Head  string
	Lines []string
	Race  *Race // the two timers against each other; nil: they are not known, or not the reason
}

// Text is all of it.
func (t *Timer) Text() string { return strings.Join(append([]string{t.Head + "."}, t.Lines...), " ") }

// None reports whether there is little to say but that no timer is behind it.
func (t *Timer) None() bool { return t.Head == "No timer" || strings.HasPrefix(t.Head, "No timer:") }

// Race is a target's keep-alive timeout against the LB's: the shorter one closes first.
type Race struct {
	Target int64           // ns
	LB     *detect.Timeout // nil: it is longer, how long is not known
}

func (q *problem) timer() Timer {
	if q.isTimer() {
		return q.keepAlive()
	}
	if q.reason == gone {
		return Timer{Head: "No timer", Lines: []string{"Nothing came from the host while it was tried."}}
	}
	if q.unwatched {
		return Timer{Head: "No timer: the load balancer's pool", Lines: []string{"It does not watch its idle connections for a close."}}
	}
	n := &q.Rule.Timer
	if q.cause != nil {
		n = &q.cause.Timer
	}
	t := Timer{Head: n.Head}
	if n.Head == "" {
		t.Head = "No timer"
	}
	if n.Text != "" {
		t.Lines = append(t.Lines, n.Text)
	}
	switch n.Also {
	case detect.TimerPatience:
		return q.patience().timer(q.waited.median())
	case detect.TimerIdle:
		if d := q.idle.median(); d > 0 {
			t.Lines = append(t.Lines, "It had been idle for "+text.Short(d)+" (median).")
		}
	case detect.TimerOutstanding:
		if d := q.waited.median(); d > 0 {
			came := text.Short(d)
			if lo, hi := q.waited.lo, q.waited.hi; hi-lo > lo/10 {
				came = text.Short(lo) + " to " + text.Short(hi)
			}
			what := "The close"
			if q.code != "" {
				what = "The reset"
			}
			t.Lines = append([]string{what + " came " + came + " after the request."}, t.Lines...)
		}
	}
	return t
}

// mostTimers is how many targets' timers are listed where they differ.
const mostTimers = 6

// keepAlive tells the target's idle timeout and the LB's.
func (q *problem) keepAlive() Timer {
	targets := slices.DeleteFunc(q.known(), func(t *detect.Target) bool { return t.Idle == nil })
	seen := q.idle.median()
	t := Timer{Head: "The target's keep-alive timeout: about " + text.Short(seen)}
	add := func(line string) { t.Lines = append(t.Lines, line) }
	var lb *detect.Timeout
	switch {
	case len(targets) == 0:
		add("That is how long the connection had been idle when the target closed it; too few closes were captured to be sure.")
		knobs := detect.LikelyKnobs(seen, q.not())
		if s := Only(q.Servers); s != nil { // its own default, or none
			knobs = slices.DeleteFunc(knobs, func(k detect.Knob) bool { return k.Software != s.Name })
		}
		if names := software(knobs); names != "" && !q.http2 {
			add("It fits the default of " + names + ".")
		}
	case sameTimer(targets):
		x := targets[0]
		lb, seen = x.LBIdle, x.Idle.NS
		t.Head = "The target's keep-alive timeout: " + text.Short(seen)
		add(fmt.Sprintf("Measured on %s, whose idle times differ by %s at most.", text.Plural(uint64(x.Idle.Samples), "close"), text.Span(x.Idle.SpreadNS)))
		if x.Idle.Advertised.Known {
			add("The target announces Keep-Alive: timeout=" + Announced(x.Idle) + ".")
		}
		for _, h := range x.Idle.Hint {
			if strings.HasPrefix(h, "fits ") {
				h = "It " + h
			}
			add(text.Sentence(h) + ".")
		}
	default:
		t.Head = "The targets' keep-alive timeouts differ"
		var each []string
		for _, x := range targets[:min(len(targets), mostTimers)] {
			each = append(each, fmt.Sprintf("%s: %s", x.Target, text.Short(x.Idle.NS)))
		}
		if n := len(targets) - mostTimers; n > 0 {
			each = append(each, fmt.Sprintf("and %d more", n))
		}
		add(strings.Join(each, ", ") + ".")
		return t
	}
	switch only := Only(q.LBs); {
	case lb != nil:
		add("The load balancer keeps idle connections for " + text.Short(lb.NS) + ".")
	case only.Purges() && only.Likely:
		add("The load balancer, most likely HAProxy, has none: every 5 s (pool-purge-delay) it closes half of those that it did not need.")
	case only.Purges():
		add("HAProxy has none: every 5 s (pool-purge-delay) it closes half of those that it did not need.")
	default:
		add("The load balancer's own idle timeout is longer: it never closed first.")
	}
	t.Race = &Race{Target: seen, LB: lb}
	return t
}

// sameTimer reports whether all targets have the same timeout, to a twentieth or the 20 ms
// that a busy event loop is late by.
func sameTimer(targets []*detect.Target) bool {
	lo, hi := targets[0].Idle.NS, targets[0].Idle.NS
	for _, t := range targets {
		lo, hi = min(lo, t.Idle.NS), max(hi, t.Idle.NS)
	}
	return hi-lo <= max(hi/20, int64(20*time.Millisecond))
}

// Announced is the value of Keep-Alive: timeout=, in seconds.
func Announced(t *detect.Timeout) string { return text.Digits(float64(t.Advertised.NS)/1e9, 4) }
