package baseline

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"connrace/detect"
)

// Verdict says what became of the losses.
type Verdict uint8

// The verdicts.
const (
	Unclear  Verdict = iota // the difference may be chance
	None                    // nothing was lost, before or now
	Fixed                   // nothing is lost any more, and that is no chance
	Improved                // less is lost
	Worse
)

func (v Verdict) String() string {
	return [...]string{"unclear", "none", "fixed", "improved", "worse"}[v]
}

// Pair is a figure before and after.
type Pair[T any] struct{ Before, After T }

// Change is what became of a rule's findings.
type Change struct {
	Rule    string
	Count   Pair[int]
	Kind    string // "gone", "new", "fewer", "more" or "same" per request
	Certain bool   // it is no chance
	Whole   bool   // it is of a target as a whole: nothing to count by requests
}

// Timer is an idle timeout before and after, in seconds; 0: unknown.
type Timer struct {
	Target  string // "": of all targets, for none is in both reports
	LB      bool   // the load balancer's, not the target's
	Seconds Pair[float64]
}

// Comparison is a run beside an earlier one.
type Comparison struct {
	Path           string // of the earlier report
	Runs           Pair[*Run]
	PerThousand    Pair[float64] // lost requests; NaN without requests
	Expected       float64       // losses now at the rate before; NaN without requests
	P              float64       // how likely such a difference is by chance; NaN where there is nothing to compare
	Verdict        Verdict
	Answer         string   // is the fix in effect? One of the answers; "": nothing had failed
	Summary        string   // the verdict in words
	Details        []string // what else bears on it, sentences
	Rules          []Change // that have findings in either
	Timers         []Timer
	SharedTargets  int
	TargetsUnknown bool // neither names a target

	shown string // what shows that the fix is in effect, or why it does not show; behind a sentence
}

// chance is how likely a difference may be by chance to count as none.
const chance = 0.05

// Compare compares two runs.
func Compare(path string, before, after *Run) *Comparison {
	c := &Comparison{Path: path, Runs: Pair[*Run]{before, after}}
	c.PerThousand = Pair[float64]{rate(before), rate(after)}
	c.Expected, c.P = math.NaN(), math.NaN()
	if before.Requests > 0 && after.Requests > 0 {
		c.Expected = float64(before.failing()) * float64(after.Requests) / float64(before.Requests)
		c.P = probability(before.failing(), before.Requests, after.failing(), after.Requests)
	}
	c.rules()
	c.timers()
	c.Answer = c.answer()
	c.Verdict = c.verdict()
	c.Summary = c.summary()
	c.details()
	return c
}

func rate(r *Run) float64 {
	if r.Requests == 0 {
		return math.NaN()
	}
	return 1000 * float64(r.failing()) / float64(r.Requests)
}

// failing are the tries that failed or were undecided at the end: what goes on is no success.
func (r *Run) failing() uint64 { return r.Lost + r.Open }

func (c *Comparison) verdict() Verdict {
	b, a := c.Runs.Before, c.Runs.After
	switch {
	case math.IsNaN(c.P):
		return Unclear
	case b.failing() == 0 && a.failing() == 0:
		return None
	case c.Answer == InEffect:
		return Fixed
	case c.P >= chance || c.Answer == NotEnough:
		return Unclear
	case c.PerThousand.After > c.PerThousand.Before:
		return Worse
	}
	return Improved
}

// ofTarget reports whether a rule is about a target as a whole, by its id.
func ofTarget(id string) bool {
	r := detect.Lookup(id)
	return r != nil && r.About == detect.AboutTarget
}

// rules compares the findings of each rule.
func (c *Comparison) rules() {
	b, a := c.Runs.Before, c.Runs.After
	ids := slices.Collect(maps.Keys(b.Findings))
	for id := range a.Findings {
		if b.Findings[id] == 0 {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		n := Pair[int]{max(b.Findings[id], 0), max(a.Findings[id], 0)}
		if n.Before == 0 && n.After == 0 {
			continue
		}
		x := Change{Rule: id, Count: n}
		switch {
		case ofTarget(id):
			x.Whole = true
			x.Certain = n.Before == 0 || n.After == 0
		case b.Requests > 0 && a.Requests > 0:
			x.Certain = probability(uint64(n.Before), b.Requests, uint64(n.After), a.Requests) < chance
		}
		was, is := float64(n.Before)*float64(a.Requests), float64(n.After)*float64(b.Requests)
		switch {
		case n.After == 0:
			x.Kind = "gone"
		case n.Before == 0:
			x.Kind = "new"
		case is < was:
			x.Kind = "fewer"
		case is > was:
			x.Kind = "more"
		default:
			x.Kind = "same"
		}
		c.Rules = append(c.Rules, x)
	}
	order := map[string]int{"new": 0, "more": 1, "same": 2, "fewer": 3, "gone": 4}
	slices.SortStableFunc(c.Rules, func(x, y Change) int { return cmp.Compare(order[x.Kind], order[y.Kind]) })
}

// timers compares idle timeouts: of each target that is in both runs, else of all.
func (c *Comparison) timers() {
	before := map[string]*Target{}
	for i := range c.Runs.Before.Targets {
		before[c.Runs.Before.Targets[i].Target] = &c.Runs.Before.Targets[i]
	}
	add := func(name string, lb bool, b, a float64) {
		if b > 0 || a > 0 {
			c.Timers = append(c.Timers, Timer{name, lb, Pair[float64]{b, a}})
		}
	}
	for i := range c.Runs.After.Targets {
		a := &c.Runs.After.Targets[i]
		if b := before[a.Target]; b != nil {
			c.SharedTargets++
			add(a.Target, false, b.Idle, a.Idle)
			add(a.Target, true, b.LBIdle, a.LBIdle)
		}
	}
	c.TargetsUnknown = len(c.Runs.Before.Targets) == 0 || len(c.Runs.After.Targets) == 0
	if c.SharedTargets > 0 {
		return
	}
	idle := func(t *Target) float64 { return t.Idle }
	lbIdle := func(t *Target) float64 { return t.LBIdle }
	add("", false, median(c.Runs.Before.Targets, idle), median(c.Runs.After.Targets, idle))
	add("", true, median(c.Runs.Before.Targets, lbIdle), median(c.Runs.After.Targets, lbIdle))
}

func median(ts []Target, of func(*Target) float64) float64 {
	var vs []float64
	for i := range ts {
		if v := of(&ts[i]); v > 0 {
			vs = append(vs, v)
		}
	}
	if len(vs) == 0 {
		return 0
	}
	slices.Sort(vs)
	return vs[len(vs)/2]
}

// Moved reports whether a timer has changed by more than its inference is off.
func (t *Timer) Moved() bool {
	b, a := t.Seconds.Before, t.Seconds.After
	return b > 0 && a > 0 && math.Abs(a-b) > max(0.1, 0.05*b)
}

// summary is the answer, or else the verdict, in words.
func (c *Comparison) summary() string {
	b, a := c.Runs.Before, c.Runs.After
	was := fmt.Sprintf("%s of %s requests failed before (%s per thousand)", number(b.failing()), number(b.Requests), Figure(c.PerThousand.Before))
	is := fmt.Sprintf("%s of %s after (%s)", number(a.failing()), number(a.Requests), Figure(c.PerThousand.After))
	none := fmt.Sprintf("%s, none of %s after", was, number(a.Requests))
	if a.Open > 0 {
		is += fmt.Sprintf(", %s of them still undecided at the end", number(a.Open))
	}
	switch {
	case c.Verdict == None:
		return fmt.Sprintf("Nothing failed, neither of %s requests before nor of %s after", number(b.Requests), number(a.Requests))
	case b.Requests == 0 || a.Requests == 0:
		return fmt.Sprintf("There is nothing to compare: %s requests before, %s after", number(b.Requests), number(a.Requests))
	case c.Answer == InEffect:
		return fmt.Sprintf("The fix is in effect: %s; at the rate before it would have been about %s%s", none, Figure(c.Expected), c.shown)
	case c.Answer == NotEnough && c.Expected < enough:
		need := math.Ceil(enough * float64(b.Requests) / float64(b.failing()))
		return fmt.Sprintf("Not enough traffic to tell: %s, but at the rate before it would only have been %s; "+
			"about %s requests without a failure would do", none, Figure(c.Expected), number(uint64(need)))
	case c.Answer == NotEnough:
		return fmt.Sprintf("Not enough traffic to tell: %s, but %s", none, c.shown)
	case c.Answer == Replaced:
		return fmt.Sprintf("Another failure has taken its place: %s, %s, of another kind", was, is)
	case c.Verdict == Worse && c.Answer == NotInEffect:
		return fmt.Sprintf("The fix is not in effect, it is worse: %s, %s; that is no chance (p %s)", was, is, pValue(c.P))
	case c.Verdict == Worse:
		return fmt.Sprintf("Worse: %s, %s; that is no chance (p %s)", was, is, pValue(c.P))
	case c.Verdict == Improved:
		return fmt.Sprintf("The fix is not in effect everywhere: better, but not gone: %s, %s; that is no chance (p %s)", was, is, pValue(c.P))
	case c.Answer == NotInEffect:
		return fmt.Sprintf("The fix is not in effect: %s, %s; the difference may be chance (p %s)", was, is, pValue(c.P))
	}
	return fmt.Sprintf("No difference that could not be chance (p %s): %s, %s", pValue(c.P), was, is)
}

// details say what else bears on the verdict.
func (c *Comparison) details() {
	add := func(format string, args ...any) { c.Details = append(c.Details, fmt.Sprintf(format, args...)) }
	if b, a := c.Runs.Before, c.Runs.After; !a.First.IsZero() && a.Last.Before(b.First) {
		add("What --baseline names as before was captured later than this run: are the two swapped?")
	}
	if c.SharedTargets == 0 && !c.TargetsUnknown {
		add("No target is in both reports: compare only runs of the same service.")
	}
	lb := map[string]float64{}
	for _, t := range c.Timers {
		if t.LB {
			lb[t.Target] = t.Seconds.After
		}
	}
	moved, still, unseen := 0, 0, 0
	for i := range c.Timers {
		t := &c.Timers[i]
		if t.LB {
			continue
		}
		whose := t.Target
		if whose == "" {
			whose = "the targets"
		}
		switch b, a := t.Seconds.Before, t.Seconds.After; {
		case t.Moved():
			if moved++; moved <= mostDetails {
				add("The idle timeout of %s went from %s to %s s%s.", whose, Figure(b), Figure(a), against(a, lb[t.Target]))
			}
		case b > 0 && a > 0:
			if still++; still <= mostDetails && c.Runs.Before.failing() > 0 {
				add("The idle timeout of %s is %s s as before%s.", whose, Figure(a), against(a, lb[t.Target]))
			}
		case b > 0 && c.Runs.After.Requests > 0:
			if unseen++; unseen <= mostDetails {
				add("No idle timeout of %s shows any more (%s s before): it no longer closes idle connections first, or there were too few.", whose, Figure(b))
			}
		}
	}
	c.list(add, "Gone", "gone")
	c.list(add, "New", "new")
}

// mostDetails bounds the sentences about timers of each kind.
const mostDetails = 3

// against compares a target's timeout with the load balancer's.
func against(idle, lb float64) string {
	switch {
	case lb == 0:
		return ""
	case idle > lb:
		return fmt.Sprintf(", above the load balancer's %s s", Figure(lb))
	}
	return fmt.Sprintf(", not above the load balancer's %s s: the race stays possible", Figure(lb))
}

// list names the rules of a kind, those first that are so for certain.
func (c *Comparison) list(add func(string, ...any), title, kind string) {
	var ids [2][]string
	for _, r := range c.Rules {
		if r.Kind == kind {
			i := 1
			if r.Certain {
				i = 0
			}
			ids[i] = append(ids[i], fmt.Sprintf("%s (%s)", r.Rule, number(uint64(r.Count.Before+r.Count.After))))
		}
	}
	if len(ids[0]) > 0 {
		add("%s: %s.", title, strings.Join(ids[0], ", "))
	}
	if len(ids[1]) > 0 {
		add("%s, which may be chance: %s.", title, strings.Join(ids[1], ", "))
	}
}

// probability is how likely it is that two equal rates give figures so unlike, or less
// like: two-sided, conditional on the sum (Przyborowski and Wilenski 1940). It is exact
// for rare events, also for none.
func probability(x0, n0, x1, n1 uint64) float64 {
	k := x0 + x1
	if k == 0 {
		return 1
	}
	q := float64(n1) / (float64(n0) + float64(n1)) // of each event to fall into the second
	const large = 1 << 16
	if k > large {
		sd := math.Sqrt(float64(k) * q * (1 - q))
		return math.Erfc(math.Abs(float64(x1)-float64(k)*q) / sd / math.Sqrt2)
	}
	var below, above float64 // P(X <= x1), P(X >= x1)
	for i := uint64(0); i <= k; i++ {
		p := math.Exp(choose(k, i) + float64(i)*math.Log(q) + float64(k-i)*math.Log1p(-q))
		if i <= x1 {
			below += p
		}
		if i >= x1 {
			above += p
		}
	}
	return min(1, 2*min(below, above))
}

// choose is the logarithm of a binomial coefficient.
func choose(n, k uint64) float64 {
	lg := func(x uint64) float64 {
		v, _ := math.Lgamma(float64(x) + 1)
		return v
	}
	return lg(n) - lg(k) - lg(n-k)
}

// Figure writes a number with three digits that count; - for NaN.
func Figure(v float64) string {
	switch {
	case math.IsNaN(v):
		return "-"
	case v >= 1000:
		return number(uint64(math.Round(v)))
	}
	return strconv.FormatFloat(significant(v), 'f', -1, 64)
}

// significant keeps three digits.
func significant(v float64) float64 {
	r, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 3, 64), 64)
	if err != nil {
		return v
	}
	return r
}

func pValue(p float64) string {
	if p < 0.001 {
		return "< 0.001"
	}
	return strconv.FormatFloat(p, 'f', 3, 64)
}

// number writes a number with commas between groups of three digits.
func number(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
