package diagnosis

import (
	"fmt"
	"strings"
	"time"

	"connrace/detect"
	"connrace/tcpstate"
)

// What a target that is gone does to new connections is no problem of its own where the target
// was seen to stop: one change cures both. The packets show that the one came after the other at
// the same listener, and no more than that is said.

// stopped is the reason of what a target's stop did to the connections that it had.
var stopped = reasonFor(nil, detect.CloseMass, "")

// atStop is how near to a target's stop others are that tell of the same moment, as detect has it.
const atStop = int64(time.Second)

// stops are when targets were seen to stop, and when they were not there.
type stops struct {
	at   map[tcpstate.Endpoint]*bursts
	gone map[absence]*bursts // a pause longer than a lull is between two
}

// absence is what shows that a target is not there.
type absence struct {
	at   tcpstate.Endpoint
	rule *detect.Rule
}

func newStops() stops {
	return stops{map[tcpstate.Endpoint]*bursts{}, map[absence]*bursts{}}
}

// absences are all that is known of targets that were not there.
type absences struct {
	stops stops
	hosts absent
}

func (x *absences) note(a *added) {
	x.stops.note(a.reason, a.site, a.First, a.Last)
	x.hosts.note(a.found.Finding)
}

// reason is that of a finding of a time, or of what was sent in vain: that its target had stopped, or its
// host was gone, goes before its own.
func (x *absences) reason(r reason, at tcpstate.Endpoint, when int64, inVain bool) reason {
	if s := x.stops.reason(r, at, when); s == stopped {
		return s
	}
	if inVain && x.hosts.at(at.Addr, when) {
		return gone
	}
	return r
}

// note adds a finding, or many of a period; not of one so long that there may be a lull in it.
func (x *stops) note(r reason, at site, first, last int64) {
	switch {
	case at.socket != "" || last-first > lull:
	case r == stopped:
		b := x.at[at.Endpoint]
		if b == nil {
			b = &bursts{}
			x.at[at.Endpoint] = b
		}
		b.add(first, last, 1)
	case r.mayFollow():
		k := absence{at.Endpoint, r.rule}
		b := x.gone[k]
		if b == nil {
			b = &bursts{gap: lull}
			x.gone[k] = b
		}
		b.add(first, last, 1)
	}
}

// mayFollow reports whether a target's stop may be behind it.
func (r reason) mayFollow() bool { return r.rule != nil && r.rule.IfStopped }

// reason is that of a finding of a time.
func (x *stops) reason(r reason, at tcpstate.Endpoint, when int64) reason {
	if !r.mayFollow() || x.at[at] == nil {
		return r
	}
	absences := x.gone[absence{at, r.rule}]
	if absences == nil || absences.gap > lull { // so many that they are told as fewer, with pauses in them
		return r
	}
	for _, gone := range absences.all {
		if when < gone.first || when > gone.last {
			continue
		}
		until := gone.first
		if r.rule.Shared == detect.SharedByListener { // refused: it may have stopped more than once
			until = gone.last
		}
		for _, s := range x.at[at].all {
			if s.last >= gone.first-atStop && s.first <= until+atStop {
				return stopped
			}
		}
	}
	return r
}

// first is when the target was seen to stop first.
func (x *stops) first(at tcpstate.Endpoint) int64 {
	first, _ := x.at[at].span()
	return first
}

// consequence is 1 for a rule whose findings are there because their target had stopped.
func (q *problem) consequence(r *detect.Rule) int {
	if q.reason == stopped && r.IfStopped {
		return 1
	}
	return 0
}

// aftermath says what else failed where the targets had stopped.
func (q *problem) aftermath() string {
	if q.after.all == nil {
		return ""
	}
	var of []string
	for _, c := range q.Counts {
		if q.consequence(c.Rule) > 0 {
			of = append(of, c.Text())
		}
	}
	lead := " After that: "
	if q.before {
		lead = " Around that: "
	}
	_, last := q.after.span()
	return lead + strings.Join(of, ", ") + fmt.Sprintf(", the last at %s.", q.seen.time(last).Format(clock))
}
