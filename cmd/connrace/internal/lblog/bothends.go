package lblog

import (
	"fmt"
	"slices"
)

// BothEnds are captures of the same connections, taken at the load balancer and at a target, that
// lost nothing that they know of.
type BothEnds struct {
	LB, Target     string // what texts call the captures
	AtLB, AtTarget []Span // times that they cover, by the clock at the load balancer
	// Active are the seconds of Exchanges.Seconds as the target's end shows them, by its own clock,
	// which is so far ahead.
	Active map[endpoint][]uint32
	Ahead  int64
}

// neverSent says what refutes an entry that tells of a try at a target: captures at both ends of the
// path, none of which has anything that can have been it. Whether the log's times are the captures'
// shows in entries that findings explain.
func (j *Joiner) neverSent(e *Entry) (why string, ok bool) {
	switch e.Failure {
	case Closed, Truncated, Refused, ConnectTimeout, ReadTimeout:
	default: // it need not have come as far as the wire
		return "", false
	}
	if e.Target == (endpoint{}) || j.activity.incomplete || !j.anchored() {
		return "", false
	}
	from := e.Start
	if from == 0 { // so long ago it may have been sent
		from = e.End - maxWait
	}
	from, to := from-j.offset-near, e.last()-j.offset+near
	for i := range j.capture.BothEnds {
		b := &j.capture.BothEnds[i]
		lb, target := j.activity.seconds[e.Target], b.Active[e.Target]
		if len(lb) == 0 || len(target) == 0 || !covers(b.AtLB, from, to) || !covers(b.AtTarget, from, to) ||
			busy(lb, from, to) || busy(target, from+b.Ahead, to+b.Ahead) {
			continue
		}
		return fmt.Sprintf("the load balancer never sent what its log claims: in the %.3g s before it neither %s nor %s has a request or a new connection to %s",
			float64(to-near-from)/1e9, b.LB, b.Target, e.Target), true
	}
	return "", false
}

// anchored reports whether an entry was joined by more than its time.
func (j *Joiner) anchored() bool {
	return slices.ContainsFunc(j.slots, func(s *slot) bool { return s.try != nil && s.by < ByTime })
}

// covers reports whether one of several spans has all of a time.
func covers(spans []Span, from, to int64) bool {
	return slices.ContainsFunc(spans, func(s Span) bool { return s.First <= from && to <= s.Last })
}

// busy reports whether one of several seconds, in order, falls into a time.
func busy(seconds []uint32, from, to int64) bool {
	i, _ := slices.BinarySearchFunc(seconds, from/1e9, func(s uint32, t int64) int {
		if int64(s) < t {
			return -1
		}
		return 1
	})
	return i < len(seconds) && int64(seconds[i]) <= to/1e9
}
