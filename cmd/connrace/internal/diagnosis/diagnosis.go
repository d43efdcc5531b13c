// Package diagnosis works out the answer: which findings are one problem, what happened,
// why, which timer is behind it, what to change and on which server, and how to check that it
// helped. Tables, Markdown, JSON, CSV and HTML tell what it says; none of them works out
// anything of that by itself.
//
// Its texts hold a number and its unit together with a no-break space.
package diagnosis

import (
	"time"

	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
	"connrace/tcpstate"
)

// Found is a finding with what is known of its target.
type Found struct {
	*detect.Finding
	ID    int            // in the report
	Known *detect.Target // nil: nothing
}

// At is the name of its target.
func (f *Found) At() string { return nameOf(f.Target, f.Socket) }

func nameOf(e tcpstate.Endpoint, socket string) string {
	if socket != "" {
		return text.Clean("unix:" + socket)
	}
	return TargetName(e)
}

// TargetName is what a target is called. Those beyond the bound of the detector's table
// have no address: they are counted together.
func TargetName(e tcpstate.Endpoint) string {
	if e == (tcpstate.Endpoint{}) {
		return "all others"
	}
	return e.String()
}

// Seen is what was looked at.
type Seen struct {
	Frames, Connections, Requests uint64
	detect.Tries
	Answers5xx, Undecided uint64
	Targets               []string       // by name
	Zone                  *time.Location // of times that are told; nil: UTC
	Run                   Run
}

// time is one that is told.
func (x *Seen) time(ns int64) time.Time {
	if x.Zone == nil {
		return time.Unix(0, ns).UTC()
	}
	return time.Unix(0, ns).In(x.Zone)
}

// Diagnosis is the answer to what went wrong.
type Diagnosis struct {
	Title    string // how many of how many failed
	Lede     string // where, and what that means for clients
	Problems []Problem

	places   map[reason]int // in Problems
	absences absences
}

// Problem is what goes wrong for one reason: all findings that one change cures.
type Problem struct {
	Number   int    // from 1: that of the most failed tries is the first
	Title    string // a few words
	Severity detect.Severity
	detect.Tries
	Findings    []int        // their ids, but of those that are only counted
	Count       uint64       // of findings
	First, Last int64        // times
	Counts      []RuleCount  // the gravest first
	Rule        *detect.Rule // that most of the gravest have; nil: there are no findings, the target's answers say 5xx
	Targets     []string     // by name, in order
	What        string       // how many of how many failed and when, and what happened
	Why         string       // the cause
	// Servers and LBs are the software of its targets and of their LBs, as far as it shows, that
	// of the most targets first.
	Servers, LBs []Software
	Traced       bool          // requests bear X-Amzn-Trace-Id, which an ALB adds: this load balancer, or one before it
	Timer        Timer         // which timer is behind it
	Fix          string        // what to change
	Lines        []Line        // to paste, for the software that it is, else is likely to be
	Others       []detect.Knob // the settings of other servers
	Check        []Command     // commands that tell whether the change helped, in their order
	FixedIf      string        // what of them proves that it did; "": there are none
	More         string        // the command that tells more

	ifStopped bool // Lines help if the target was stopped, not if it was killed
	instead   bool // the LB's Lines do what the target's would
}

// Command is one to paste into a shell.
type Command struct {
	Line string
	When string // and where it is run; "": it does not matter
}

func (c Command) String() string {
	if c.When == "" {
		return c.Line
	}
	return c.Line + "  # " + c.When
}

// Software is what runs at one end of targets.
type Software struct {
	*detect.Software
	Targets []string // by name, in order
}

// Only is the software if there is one; nil: it is unknown, or there are several.
func Only(all []Software) *detect.Software {
	if len(all) != 1 {
		return nil
	}
	return all[0].Software
}

// Line is a setting and where it belongs.
type Line struct {
	detect.Knob
	LB     bool // it is the load balancer's, not the target's
	Both   bool // it is the other side's, too
	Likely bool // whether it is that software is not known
}

// RuleCount is how many findings a rule has.
type RuleCount struct {
	Rule *detect.Rule
	N    int
}

// Text is "20 × FIN and request crossed".
func (c RuleCount) Text() string {
	return text.Grouped(uint64(c.N)) + " × " + c.Rule.Title
}

// CountRules puts counts by rule into the order in which rules decide.
func CountRules(n map[*detect.Rule]int) (counts []RuleCount) {
	for _, r := range detect.Rules {
		if n[r] > 0 {
			counts = append(counts, RuleCount{r, n[r]})
		}
	}
	return counts
}

// ProblemOf is the problem that a finding belongs to; nil: it was not among those that the
// answer was worked out from.
func (d *Diagnosis) ProblemOf(f *detect.Finding) *Problem {
	if i, ok := d.places[d.absences.reason(reasonOf(f), f.Target, f.Time, inVain(f))]; ok {
		return &d.Problems[i]
	}
	return nil
}

// Severity is that of the gravest problem.
func (d *Diagnosis) Severity() (worst detect.Severity) {
	for i := range d.Problems {
		worst = max(worst, d.Problems[i].Severity)
	}
	return worst
}
