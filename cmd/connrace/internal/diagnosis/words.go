package diagnosis

import (
	"fmt"

	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

// title says in a few words what goes wrong.
func (q *problem) title() string {
	switch {
	case q.after.all != nil:
		return "The target stopped" + q.times().often(len(q.targets)) + ", dropped its connections and took no new ones"
	case q.reason == stopped:
		if often := q.found.often(len(q.targets)); often != "" {
			return "The target closed connections of all ages at once," + often + ", as in restarts"
		}
		return "The target closed connections of all ages at once, as in a restart"
	case q.reason == gone:
		return "The target's host was gone, or nothing got through to it"
	case q.unwatched:
		return "The load balancer's pool does not notice that connections were closed"
	case q.isTimer():
		return "The target closes idle connections before the load balancer does"
	case q.cause != nil:
		return "The target closed connections " + q.cause.Label
	case q.Rule.LBKnew:
		return "The load balancer sent requests on connections that the target had closed"
	case q.Rule.Race:
		return "The target closed connections while requests were on their way"
	case q.code != "":
		return q.Rule.Title + ": " + q.code
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
		s = ofAll(q.LostRequests, requests, "request") + " to " + where + " got no " + q.complete() + "answer" + q.onConnections()
		if q.FailedConnections > 0 {
			s += ", and " + text.Plural(q.FailedConnections, "connection") + " failed"
		}
	case failed > 0:
		s = ofAll(q.FailedConnections, connections, "connection") + " to " + where + " could not be set up"
	case q.OpenTries > 0:
		return text.Plural(q.OpenTries, "try") + " to " + where + " still had no answer when the capture ended."
	case q.Rule.About == detect.AboutTarget:
		return "No request to " + where + " failed, but the next one can."
	default:
		s = fmt.Sprintf("No request to %s failed, but this was seen %s", where, howOften(q.Count))
	}
	s += q.times().when(q.seen, q.reason == stopped || q.reason == gone)
	if n := q.late.n; n > 0 {
		s += fmt.Sprintf("; %s came late, by %s (median)", text.Plural(n, "connection"), text.Short(q.late.median()))
	}
	if q.OpenTries > 0 {
		s += fmt.Sprintf("; %s still had no answer when the capture ended", text.Grouped(q.OpenTries))
	}
	return s + "."
}

// complete says that some answers had begun.
func (q *problem) complete() string {
	if q.Rule.Partial {
		return "complete "
	}
	return ""
}

// onConnections says on how many connections of HTTP/2 requests were lost, each of which is one
// finding, where there are fewer.
func (q *problem) onConnections() string {
	if !q.http2 || q.streams != q.LostRequests || q.carried >= q.streams {
		return ""
	}
	return fmt.Sprintf(" (on %s, one finding each)", text.Plural(q.carried, "connection"))
}

// times is when tries failed, or if none did, when something was found.
func (q *problem) times() *bursts {
	if q.failed.all != nil {
		return &q.failed
	}
	return &q.found
}

func howOften(n uint64) string {
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
