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

// kind is what a rule's failures are fixed by: races have one fix, a full queue another. "": its
// findings are no failures.
func kind(id string) string {
	r := detect.Lookup(id)
	switch {
	case r == nil:
		return id
	case r.About == detect.AboutTarget || r.Lost == detect.LostNever:
		return ""
	case r.Race:
		return "race"
	case r.SameFix != nil:
		return r.SameFix.ID
	}
	return id
}

// sameKind reports whether the kinds of failure of before are still there, unless there is
// certainly less of them and more of others. Where the findings do not tell, they are.
func (c *Comparison) sameKind() bool {
	was := map[string]bool{}
	var before, still, others int
	for id, n := range c.Runs.Before.Findings {
		if k := kind(id); k != "" && n > 0 {
			was[k] = true
			before += n
		}
	}
	for id, n := range c.Runs.After.Findings {
		switch k := kind(id); {
		case k == "" || n <= 0:
		case was[k]:
			still += n
		default:
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
	races := false
	for id, n := range c.Runs.Before.Findings {
		races = races || n > 0 && kind(id) == "race"
	}
	if !races {
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
