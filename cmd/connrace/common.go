package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/pflag"

	"connrace/cmd/connrace/internal/report"
	"connrace/detect"
)

// commonFlags are what analyze and live have in common.
type commonFlags struct {
	target, lb     endpoints
	lbIdle         seconds
	rules          rules
	severity       choice
	format         choice
	failOn         choice
	maxFlows       int
	maxTargets     int
	localTime      bool
	showQuery      bool
	quiet, verbose bool
}

func newCommonFlags() commonFlags {
	return commonFlags{
		target: endpoints{kind: "HOST[:PORT]", ports: true}, lb: endpoints{kind: "HOST"}, rules: rules{},
		severity: choice{"info", []string{"error", "warning", "info"}},
		format:   choice{"table", []string{"table", "json", "jsonl", "csv", "markdown"}},
		failOn:   choice{"never", []string{"error", "warning", "info", "never"}},
	}
}

// addWhat adds the flags that say what is looked at and what is shown of it.
func (c *commonFlags) addWhat(fs *pflag.FlagSet) {
	fs.Var(&c.lb, "lb", "a load balancer: `HOST` or CIDR (repeatable)")
	fs.Var(&c.lbIdle, "lb-idle-timeout", "the load balancer's idle timeout, a `DURATION`\n(default: inferred from the capture)")
	fs.Var(c.rules, "rule", "show only findings of the rule `ID` (repeatable)")
	fs.Var(&c.severity, "severity", "show only findings of this `LEVEL` or above: error, warning,\ninfo")
	fs.Var(&c.format, "format", "output `FORMAT`: table, json, jsonl, csv, markdown")
}

// addHow adds the flags that say how it is done.
func (c *commonFlags) addHow(fs *pflag.FlagSet) {
	fs.IntVar(&c.maxFlows, "max-flows", 0, "keep at most `N` connections in mind (default: as many as fit into\na quarter of the available memory)")
	fs.IntVar(&c.maxTargets, "max-targets", detect.DefaultMaxTargets, "tell at most `N` targets apart; all further ones are counted\ntogether")
	fs.BoolVar(&c.localTime, "local-time", false, "read and show times in local time instead of UTC")
	fs.BoolVar(&c.showQuery, "show-query", false, "show the queries and path parameters of requests; they can hold\nsecrets")
	fs.Var(&c.failOn, "fail-on", "exit 1 when there is a finding of this `LEVEL` or above:\nerror, warning, info, never")
}

// wrongBounds says what is wrong with the bounds; "": nothing.
func (c *commonFlags) wrongBounds() string {
	switch {
	case c.maxFlows < 0:
		return "--max-flows must not be negative"
	case c.maxTargets < 1 || c.maxTargets > detect.MaxMaxTargets:
		return fmt.Sprintf("--max-targets must be between 1 and %d", detect.MaxMaxTargets)
	}
	return ""
}

// addTalk adds the flags that say how much is said.
func (c *commonFlags) addTalk(fs *pflag.FlagSet) {
	fs.BoolVarP(&c.quiet, "quiet", "q", false, "no progress and no warnings on stderr")
	fs.BoolVarP(&c.verbose, "verbose", "v", false, "table: info findings too, all of them, with their evidence")
	fs.BoolP("help", "h", false, "this text")
}

func (c *commonFlags) location() *time.Location {
	if c.localTime {
		return time.Local
	}
	return time.UTC
}

func (c *commonFlags) detectOptions() detect.Options {
	return detect.Options{
		IsTarget: c.target.matcher(), IsLB: c.lb.matcher(), LBIdleTimeout: int64(c.lbIdle), MaxFlows: c.maxFlows, MaxTargets: c.maxTargets,
	}
}

func (c *commonFlags) reportOptions(e *env) report.Options {
	return report.Options{
		Rules: c.rules, MinSeverity: severity(c.severity.value), ShowQuery: c.showQuery, Verbose: c.verbose,
		Color:    isTerminal(e.stdout) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb",
		Location: c.location(),
	}
}

// severity is the severity of a name that a flag has checked.
func severity(name string) detect.Severity {
	for s := detect.Info; s < detect.Error; s++ {
		if s.String() == name {
			return s
		}
	}
	return detect.Error
}

// fails reports whether --fail-on matches.
func (c *commonFlags) fails(r *report.Report) bool {
	worst, any := r.Worst()
	return any && c.failOn.value != "never" && worst >= severity(c.failOn.value)
}
