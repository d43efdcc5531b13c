package diagnosis

import (
	"math"
	"slices"
	"strings"
	"time"

	"connrace/detect"
	"connrace/tcpstate"
)

// mostLikely is of how much software settings are shown, where it is not known which it is or
// there are several.
const mostLikely = 3

// lines are the settings to change: of the servers and the LBs that show which they are. Where
// no server does, the target's keep-alive timer hints at some, if that is the reason; where
// nothing hints, the first few are shown, which are the commonest.
func (q *problem) lines() {
	servers, lbs := q.serverKnobs(), q.Rule.LBs
	if q.otherCode() { // they are about how many streams it takes
		servers, lbs = nil, nil
	}
	switch {
	case len(q.Rule.Large) == 0:
	case q.tooLarge && !q.anySize: // what a filter lets through does not depend on its size
		servers, lbs = q.Rule.Large, q.Rule.Large
	case q.tooLarge || !q.anySize:
		servers, lbs = slices.Concat(q.Rule.Large, servers), slices.Concat(q.Rule.Large, lbs)
	}
	q.ifStopped = q.reason == stopped
	known, knownLBs := q.Servers[:min(len(q.Servers), mostLikely)], q.LBs[:min(len(q.LBs), mostLikely)]
	add := func(knobs []detect.Knob, lb, likely bool) {
		for _, k := range knobs {
			ok := true
			switch {
			case q.isTimer():
				k, ok = fitted(k, lb, q.idle.median(), q.lbIdle())
			case lb && q.Rule.Timer.Also == detect.TimerPatience:
				k = patient(k, q.waited.median())
			}
			if ok {
				q.Lines = append(q.Lines, Line{Knob: q.addressed(k), LB: lb, Likely: likely})
			}
		}
	}
	gaveUp := q.Rule.Learnt == detect.ByOwnClose || len(servers) == 0 // the LB: its settings decide
	if q.reason == gone {                                             // first whether it is there; what filters, only if it is
		add(named(q.Rule.Gone, knownLBs), true, false)
		lbs = nil
	}
	if d := q.idle.median(); 0 < d && d < q.Rule.LBsAfter {
		lbs = nil
	}
	if q.cause != nil && q.cause.ID == detect.CloseRequestTimeout { // nobody stops, and again it would take as long
		lbs = nil
	}
	switch {
	case gaveUp:
	case q.reason == gone:
		add(firsts(named(servers, nil)), false, false)
	case len(known) > 0:
		add(named(servers, known), false, false)
	case servers[0].Software == host: // how to look for the cause goes before what may be it
		add(named(servers, nil), false, false)
		add(q.likely(servers), false, true)
	default:
		add(q.likely(servers), false, true)
		add(named(servers, nil), false, false)
	}
	if q.Rule.Tells != nil && q.patience() != timeUp {
		q.tells(knownLBs)
	}
	switch {
	case q.patience() == clientLeft: // none of them is to blame
	case len(knownLBs) > 0 && q.isTimer(): // of the others, some are for other reasons
		add(firsts(named(lbs, knownLBs)), true, false)
	case len(knownLBs) > 0:
		add(named(lbs, knownLBs), true, false)
	case gaveUp && q.patience() != sameWait && q.patience() != manyWaits: // first the log is to tell whose limit it was
		add(lbs[:min(len(lbs), mostLikely)], true, true)
	}
	q.instead = q.isTimer() && slices.ContainsFunc(q.Lines, func(l Line) bool { return !l.LB })
	q.both()
	for _, k := range servers {
		if !slices.ContainsFunc(q.Lines, func(l Line) bool { return l.Software == k.Software && l.Note == k.Note }) {
			q.Others = append(q.Others, k)
		}
	}
}

// otherCode reports whether streams were reset, and not because there were too many.
func (r reason) otherCode() bool { return r.code != "" && r.code != detect.RefusedStream }

// both leaves of settings that are the same for either side those of the first.
func (q *problem) both() {
	for i := 0; i < len(q.Lines); i++ {
		a := &q.Lines[i]
		same := func(b Line) bool { return b.Knob == a.Knob && b.LB != a.LB && b.Likely == a.Likely }
		if j := slices.IndexFunc(q.Lines[i+1:], same); j >= 0 {
			a.Both = true
			q.Lines = slices.Delete(q.Lines, i+1+j, i+2+j)
		}
	}
}

// tells are the commands that show in the LB's log what packets leave open. What they show is behind each
// as a comment of the shell, for no note is shown where it is not known which LB it is.
func (q *problem) tells(lbs []Software) {
	knobs, likely := named(q.Rule.Tells, lbs), false
	if len(knobs) == 0 {
		knobs, likely = q.Rule.Tells[:mostLikely], true
	}
	for _, k := range knobs {
		q.Lines = append(q.Lines, Line{Knob: detect.Knob{Software: k.Software, Line: k.Line + "  # " + k.Note}, LB: true, Likely: likely})
	}
}

// serverKnobs are the settings of servers for what went wrong.
func (q *problem) serverKnobs() []detect.Knob {
	c := q.cause
	if c == nil && q.Rule.FollowsClose == detect.AnyClose {
		c = detect.CauseOf(detect.CloseUnknown)
	}
	switch {
	case c == nil || c.Knobs == nil || q.unwatched:
		return q.Rule.Servers
	case q.Rule.Race && c.ID != detect.CloseUnknown: // no request was in work
		return slices.DeleteFunc(slices.Clone(c.Knobs), detect.Knob.Finishes)
	case c.ID == detect.CloseUnknown && q.Rule.Race: // it may be the keep-alive timer after all
		return slices.Concat(c.Knobs, q.Rule.Servers)
	}
	return c.Knobs
}

// example is the target in settings.
const example = "10.0.1.9"

// addressed is a setting with the address of the target, if there is only one, and a search of the journal with
// the time.
func (q *problem) addressed(k detect.Knob) detect.Knob {
	if around := int64(time.Minute); q.First > 0 && q.Last < math.MaxInt64-around {
		at := func(ns int64) string { return time.Unix(0, ns).UTC().Format("'" + time.DateTime + " UTC'") }
		k.Line = strings.Replace(k.Line, "journalctl | ", "journalctl --since "+at(q.First-around)+" --until "+at(q.Last+around)+" \\\n  | ", 1)
	}
	if len(q.targets) != 1 || !strings.Contains(k.Line, example) {
		return k
	}
	for s := range q.targets {
		if s.socket == "" && s.Endpoint != (tcpstate.Endpoint{}) {
			k.Line = strings.NewReplacer(example+":8080", s.String(), example, s.Addr.String()).Replace(k.Line)
		}
	}
	return k
}

// lbIdle is the longest idle timeout that is known of the targets' LBs, as it was configured or
// else as it shows; 0: none is.
func (q *problem) lbIdle() (ns int64) {
	for _, t := range q.known() {
		ns = max(ns, t.Timers.LB)
	}
	return ns
}

// likely are the settings of the servers that it may be.
func (q *problem) likely(of []detect.Knob) (knobs []detect.Knob) {
	not := q.not()
	of = slices.DeleteFunc(slices.Clone(of), func(k detect.Knob) bool {
		return k.Software == host || slices.Contains(not, k.Software) || q.http2 && k.Software != orchestrator && !detect.ServesHTTP2(k.Software)
	})
	if q.isTimer() && !q.http2 { // the defaults are those of HTTP/1
		if knobs = q.hinted(of); knobs == nil {
			knobs = detect.LikelyKnobs(q.idle.median(), not)
		}
	}
	if knobs == nil {
		knobs = of[:min(len(of), mostLikely)]
	}
	return knobs
}

// not are the servers that none of the targets can be.
func (q *problem) not() (names []string) {
	for i, t := range q.known() {
		if i == 0 {
			names = slices.Clone(t.NotServers)
		}
		names = slices.DeleteFunc(names, func(n string) bool { return !slices.Contains(t.NotServers, n) })
	}
	return names
}

// orchestrator is the software of settings that are a pod's, whatever server runs in it.
const orchestrator = "Kubernetes"

// host is the software of settings that are the host's, whatever server runs there.
const host = "Linux"

// named are the settings of software, and the host's.
func named(knobs []detect.Knob, all []Software) (out []detect.Knob) {
	for _, k := range knobs {
		if k.Software == host || slices.ContainsFunc(all, func(s Software) bool { return s.Name == k.Software }) {
			out = append(out, k)
		}
	}
	return out
}

// hinted are the settings of the software that a target's timer hints at.
func (q *problem) hinted(of []detect.Knob) (knobs []detect.Knob) {
	known := q.known()
	for _, k := range of {
		if slices.ContainsFunc(known, func(t *detect.Target) bool {
			return t.Idle != nil && strings.Contains(strings.Join(t.Idle.Hint, " "), k.Software)
		}) {
			knobs = append(knobs, k)
		}
	}
	return knobs
}

// firsts are the first setting of each software.
func firsts(knobs []detect.Knob) (out []detect.Knob) {
	for _, k := range knobs {
		if !slices.ContainsFunc(out, func(o detect.Knob) bool { return o.Software == k.Software }) {
			out = append(out, k)
		}
	}
	return out
}

// software names whose settings they are.
func software(knobs []detect.Knob) string {
	var names []string
	for _, k := range knobs {
		if !slices.Contains(names, k.Software) {
			names = append(names, k.Software)
		}
	}
	return strings.Join(names, ", ")
}
