package diagnosis

import (
	"slices"
	"strings"
	"time"

	"connrace/detect"
	"connrace/tcpstate"
)

// A target's host of which nothing was heard is one problem, on whatever connections it
// shows. detect says of SYNs that went unanswered whether anything was heard since; what else was sent
// to that host in vain meanwhile belongs to it.

// gone is the reason of all that.
var gone = reason{gone: true}

// goneGap is the longest time between two SYNs to a host that is gone, by judgement: longer, and it
// may have been back.
const goneGap = int64(time.Minute)

// absent are the spans in which hosts were gone.
type absent map[tcpstate.Addr]*bursts

// note adds a finding that says so.
func (x absent) note(f *detect.Finding) {
	if f == nil || !f.Gone || f.Socket != "" {
		return
	}
	b := x[f.Target.Addr]
	if b == nil {
		b = &bursts{gap: goneGap}
		x[f.Target.Addr] = b
	}
	b.add(f.Time, f.Time, 1)
}

// at reports whether a host was gone at a time, or within early before that was noticed.
func (x absent) at(host tcpstate.Addr, when int64) bool {
	b := x[host]
	return b != nil && b.gap == goneGap && slices.ContainsFunc(b.all, func(s burst) bool { return when >= s.first-early && when <= s.last })
}

// inVain reports whether a finding is of octets that were sent again and again, without a word from
// the target.
func inVain(f *detect.Finding) bool {
	return f.Measures.Attempts > 1 && f.Measures.RST == "" && (f.Lost || f.Open) && f.Rule.Learnt == detect.BySilence && f.Socket == ""
}

// goneFrom says what was sent in vain, and of one host since when: several need not have gone at once.
func (q *problem) goneFrom() string {
	var kinds []string
	for _, c := range q.Counts {
		kinds = append(kinds, c.Text())
	}
	hosts := map[tcpstate.Addr]bool{}
	for t := range q.targets {
		hosts[t.Addr] = true
	}
	what := "It answered no new connections"
	if len(hosts) > 1 {
		what = "They answered no new connections"
	}
	if q.LostRequests > 0 {
		what += ", nor requests on those that there were"
	}
	from := ""
	if first, _ := q.found.span(); len(hosts) == 1 {
		from = ", the first at " + q.seen.time(first).Format(clock)
	}
	return " " + what + ": " + strings.Join(kinds, ", ") + from + "."
}
