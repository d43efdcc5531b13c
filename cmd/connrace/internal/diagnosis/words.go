package diagnosis

import (
	"fmt"
	"strings"
	"time"

	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

// title says in a few words what goes wrong.
func (q *problem) title() string {
	switch {
	case q.unwatched:
		return "The load balancer's pool does not notice that connections were closed"
	case q.isTimer():
		return "The target closes idle connections before the load balancer does"
	case q.cause != nil:
		return "The target closed connections " + q.cause.Label
	case q.Rule.Race:
		return "The target closed connections while requests were on their way"
	}
	return q.Rule.Title
}

// tally says how many of how many failed, where and when.
func (q *problem) tally() string {
	var requests, connections uint64
	for _, t := range q.known() {
		requests += t.Requests
		connections += t.Handshakes.Attempted
	}
	where := q.Where()
	var s string
	switch failed := q.Failed(); {
	case q.LostRequests > 0:
		s = ofAll(q.LostRequests, requests, "request") + " to " + where + " got no answer"
		if q.FailedConnections > 0 {
			s += ", and " + text.Plural(q.FailedConnections, "connection") + " failed"
		}
	case failed > 0:
		s = ofAll(q.FailedConnections, connections, "connection") + " to " + where + " could not be set up"
	case q.OpenTries > 0:
		return text.Plural(q.OpenTries, "try") + " to " + where + " still had no answer when the capture ended."
	case q.Rule.About == detect.AboutTarget:
		return "No request to " + where + " was lost, but the next one can be."
	default:
		s = fmt.Sprintf("No request to %s was lost, but this was seen %s", where, times(q.Count))
	}
	s += q.when()
	if n := q.late.n; n > 0 {
		s += fmt.Sprintf("; %s came late, by %s (median)", text.Plural(n, "connection"), text.Short(q.late.median()))
	}
	if q.OpenTries > 0 {
		s += fmt.Sprintf("; %s still had no answer when the capture ended", text.Grouped(q.OpenTries))
	}
	return s + "."
}

// Where names the targets.
func (q *Problem) Where() string {
	const most = 3
	if n := len(q.Targets); n > most {
		return text.Plural(uint64(n), "target")
	}
	return strings.Join(q.Targets, ", ")
}

// Who says which software is at both ends, and from what that is known.
func (q *Problem) Who() string {
	if q.Server == nil && q.LB == nil {
		return "Unknown: nothing in the capture tells what the server or the load balancer is."
	}
	say := func(side string, s *detect.Software) string {
		if s == nil {
			return "Nothing tells what the " + side + " is."
		}
		return "The " + side + " is " + text.Clean(s.Name) + " (" + text.Clean(s.Basis) + ")."
	}
	return say("server", q.Server) + " " + say("load balancer", q.LB)
}

// Box is where a setting belongs, and to which software if that is known.
func (q *Problem) Box(l *Line) string {
	box := "on the load balancer"
	switch {
	case l.LB:
	case len(q.Targets) == 1:
		box = "on the target " + q.Targets[0]
	default:
		box = "on the targets"
	}
	if l.Likely {
		return box + ", if it is"
	}
	return box + " (" + l.Software + ")"
}

func times(n uint64) string {
	if n == 1 {
		return "once"
	}
	return text.Grouped(n) + " times"
}

// ofAll is "3 of 20 requests", as far as it is known of how many.
func ofAll(n, all uint64, noun string) string {
	if all < n {
		return text.Plural(n, noun)
	}
	return text.Grouped(n) + " of " + text.Plural(all, noun)
}

// when is from when to when, and how often.
func (q *problem) when() string {
	span := q.span()
	if span[0] == 0 {
		return ""
	}
	zone := q.seen.Zone
	if zone == nil {
		zone = time.UTC
	}
	const day, clock = time.DateOnly, time.TimeOnly
	first, last := time.Unix(0, span[0]).In(zone), time.Unix(0, span[1]).In(zone)
	switch {
	case first.Format(time.DateTime) == last.Format(time.DateTime):
		return first.Format(", on " + day + " at " + clock + " MST")
	case first.Format(day) == last.Format(day):
		return first.Format(", on "+day+" from "+clock) + last.Format(" to "+clock+" MST") + q.rate()
	}
	return first.Format(", from "+time.DateTime) + last.Format(" to "+time.DateTime+" MST") + q.rate()
}

// span is between which times tries failed, or if none did, between which something was found.
func (q *problem) span() [2]int64 {
	if q.failing[0] != 0 {
		return q.failing
	}
	return [2]int64{q.First, q.Last}
}

// rate is how often it happened, where that means something.
func (q *problem) rate() string {
	n, span := q.Count, q.span()
	if q.Failed() > 0 {
		n = q.Failed()
	}
	ns := span[1] - span[0]
	if n < 3 || ns < int64(time.Second) {
		return ""
	}
	a := float64(n-1) / float64(ns)
	for _, u := range []struct {
		name string
		ns   int64
	}{{"second", 1e9}, {"minute", 60e9}, {"hour", 3600e9}} {
		if v := a * float64(u.ns); v >= 0.95 || u.name == "hour" {
			return fmt.Sprintf(" (about %s a %s)", text.Digits(v, 2), u.name)
		}
	}
	return ""
}
