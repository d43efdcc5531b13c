package baseline

import (
	"fmt"
	"math"
	"slices"

	"connrace/detect"
)

// The answers to: is the fix in effect?
const (
	InEffect    = "in-effect"
	NotInEffect = "not-in-effect"
	Replaced    = "replaced"           // another kind of failure has taken its place
	NotEnough   = "not-enough-traffic" // to tell
)

// enough is how many failures must have been expected for none to be no chance: 95 % of all
// samples would have had one.
var enough = -math.Log(chance)

// answer says whether the fix is in effect. That nothing fails any more is not enough: what failed
// before must have been tried.
func (c *Comparison) answer() string {
	b, a := c.Runs.Before, c.Runs.After
	switch {
	case b.failing() == 0:
		return ""
	case a.failing() > 0 && c.sameKind():
		return NotInEffect
	case a.failing() > 0:
		return Replaced
	case c.Expected >= enough && c.exposed():
		return InEffect
	}
	return NotEnough
}

// race is the kind of failures that the order of the idle timeouts is behind.
const race = "race"

// Kind is what a failure is fixed by: by its rule's fix, or where the target closed, by what the
// cause of that says. "": it is none.
func Kind(rule, cause string) string {
	r, c := detect.Lookup(rule), detect.CauseOf(cause)
	switch {
	case c != nil && c.KeepAlive:
		return race
	case c != nil && c.ID != detect.CloseUnknown:
		word, _ := detect.CauseWord(c.ID)
		return word
	case r == nil:
		return rule
	case r.About == detect.AboutTarget || r.Lost == detect.LostNever:
		return ""
	case r.Race:
		return race
	case r.SameFix != nil:
		return r.SameFix.ID
	}
	return rule
}

// kinds are the failures of a run by kind.
func (r *Run) kinds() map[string]int {
	if len(r.Kinds) > 0 {
		return r.Kinds
	}
	n := map[string]int{}
	for id, k := range r.Findings {
		if kind := Kind(id, ""); kind != "" && k > 0 {
			n[kind] += k
		}
	}
	return n
}

// sameKind reports whether the kinds of failure of before are still there, unless there is
// certainly less of them and more of others. Where the findings do not tell, they are.
func (c *Comparison) sameKind() bool {
	was := c.Runs.Before.kinds()
	var before, still, others int
	for _, n := range was {
		before += n
	}
	for k, n := range c.Runs.After.kinds() {
		if was[k] > 0 {
			still += n
		} else {
			others += n
		}
	}
	if still == 0 {
		return before == 0 || others == 0
	}
	b, a := c.Runs.Before.Requests, c.Runs.After.Requests
	fewer := float64(still)*float64(b) < float64(before)*float64(a)
	return !(fewer && others > still && probability(uint64(before), b, uint64(still), a) < chance)
}

// racy reports whether a target still closes idle connections before its load balancer
// does.
func (c *Comparison) racy() bool {
	lb := map[string]float64{}
	for _, t := range c.Timers {
		if t.LB {
			lb[t.Target] = t.Seconds.After
		}
	}
	return slices.ContainsFunc(c.Timers, func(t Timer) bool {
		return !t.LB && t.Seconds.After > 0 && lb[t.Target] >= t.Seconds.After
	})
}

// exposed reports whether what failed before was tried: of races, whether connections were used
// again after more than the idle time at which the target closed them, or cannot be.
func (c *Comparison) exposed() bool {
	if c.racy() {
		c.shown = "the target still closes idle connections before the load balancer does: the race stays possible"
		return false
	}
	if c.Runs.Before.kinds()[race] == 0 {
		return true
	}
	before := map[string]*Target{}
	for i := range c.Runs.Before.Targets {
		t := &c.Runs.Before.Targets[i]
		before[t.Target] = t
	}
	old := median(c.Runs.Before.Targets, func(t *Target) float64 { return t.Idle })
	for i := range c.Runs.After.Targets {
		t := &c.Runs.After.Targets[i]
		timer := old
		if b := before[t.Target]; b != nil {
			if b.Lost == 0 {
				continue
			}
			timer = b.Idle
		}
		if timer == 0 {
			continue // it was never known
		}
		n := t.reusedAfter(timer)
		switch {
		case n > 0:
			c.shown = fmt.Sprintf("; %s answered after more than the %s s idle at which the target closed before", requests(n), Figure(timer))
		case t.LBIdle > 0 && t.LBIdle < timer:
			c.shown = fmt.Sprintf("; the load balancer now closes after %s s idle, before the target's %s s", Figure(t.LBIdle), Figure(timer))
		case t.Longest == 0:
			c.shown = "; no connection is used again"
		default:
			c.shown = fmt.Sprintf("no connection to %s was used again after more than the %s s idle at which it closed before (%s s at most); "+
				"a request after a longer pause would do", t.Target, Figure(timer), Figure(t.Longest))
			return false
		}
	}
	return true
}

func requests(n int) string {
	if n == 1 {
		return "a request was"
	}
	return number(uint64(n)) + " requests were"
}

// reusedAfter is how many requests were answered on connections that had been idle for longer
// than a time, in seconds, as far as is certain.
func (t *Target) reusedAfter(timer float64) (n int) {
	if t.Longest <= timer+max(0.02, timer/50) {
		return 0
	}
	if t.Reuses != nil {
		n = t.Reuses.From(int64(timer * 1e9))
	}
	return max(n, 1)
}
