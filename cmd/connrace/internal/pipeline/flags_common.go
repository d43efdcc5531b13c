package pipeline

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"connrace/cmd/connrace/internal/cli"
	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/term"
	"connrace/detect"
)

// Common are what analyze and live have in common.
type Common struct {
	Target, LB     cli.Endpoints
	lbIdle         cli.Seconds
	Rules          cli.Rules
	severity       cli.Choice
	Format         cli.Choice
	failOn         cli.Choice
	MaxFlows       int
	MaxTargets     int
	localTime      bool
	color          cli.Choice
	ShowQuery      bool
	Quiet, Verbose bool
	Compare
	HTML  Page
	Umask cli.Umask
}

// NewCommon are the flags where none is given.
func NewCommon() Common {
	return Common{
		Target: cli.Endpoints{Kind: "HOST[:PORT]", Ports: true}, LB: cli.Endpoints{Kind: "HOST"}, Rules: cli.Rules{},
		severity: cli.OneOf("info", "error", "warning", "info"),
		Format:   cli.OneOf("table", "table", "json", "jsonl", "csv", "markdown"),
		color:    cli.OneOf("auto", "auto", "always", "never"),
		failOn:   cli.OneOf("never", "error", "warning", "info", "never"),
	}
}

// AddWhat adds the flags that say what is looked at and what is shown of it.
func (c *Common) AddWhat(fs *pflag.FlagSet) {
	fs.Var(&c.LB, "lb", "a load balancer: `HOST` or CIDR (repeatable)")
	fs.Var(&c.lbIdle, "lb-idle-timeout", "the load balancer's idle timeout, a `DURATION`\n(default: inferred from the capture)")
	c.addShown(fs)
}

// addShown adds the flags that say what is shown, and how.
func (c *Common) addShown(fs *pflag.FlagSet) {
	fs.Var(c.Rules, "rule", "show only findings of the rule `ID` (repeatable)")
	fs.Var(&c.severity, "severity", "show only findings of this `LEVEL` or above: error, warning,\ninfo")
	fs.Var(&c.Format, "format", "output `FORMAT`: "+strings.Join(c.Format.Of, ", "))
}

// AddHow adds the flags that say how it is done.
func (c *Common) AddHow(fs *pflag.FlagSet) {
	fs.IntVar(&c.MaxFlows, "max-flows", 0, "keep at most `N` connections in mind (default: as many as fit into\na quarter of the available memory)")
	fs.IntVar(&c.MaxTargets, "max-targets", detect.DefaultMaxTargets, "tell at most `N` targets apart; all further ones are counted\ntogether")
	c.addTimes(fs)
	fs.BoolVar(&c.ShowQuery, "show-query", false, "show the queries and path parameters of requests; they can hold\nsecrets")
	c.addFailOn(fs)
}

// AddReport adds the flags of what has no packets any more, but findings.
func (c *Common) AddReport(fs *pflag.FlagSet) {
	c.addShown(fs)
	c.addTimes(fs)
	c.addFailOn(fs)
	c.AddBaseline(fs)
	c.HTML.Add(fs)
	c.Umask.AddTo(fs)
	c.AddTalk(fs)
}

func (c *Common) addTimes(fs *pflag.FlagSet) {
	fs.BoolVar(&c.localTime, "local-time", false, "read and show times in local time instead of UTC")
}

func (c *Common) addFailOn(fs *pflag.FlagSet) {
	fs.Var(&c.failOn, "fail-on", "exit 1 when there is a finding of this `LEVEL` or above:\nerror, warning, info, never")
}

// WrongBounds says what is wrong with the bounds; "": nothing.
func (c *Common) WrongBounds() string {
	switch {
	case c.MaxFlows < 0:
		return "--max-flows must not be negative"
	case c.MaxTargets < 1 || c.MaxTargets > detect.MaxMaxTargets:
		return fmt.Sprintf("--max-targets must be between 1 and %d", detect.MaxMaxTargets)
	}
	return ""
}

// AddTalk adds the flags that say how much is said.
func (c *Common) AddTalk(fs *pflag.FlagSet) {
	fs.Var(&c.color, "color", "table in color, `WHEN`: auto (on a terminal), always (for less -R),\nnever; NO_COLOR and CLICOLOR_FORCE are respected")
	fs.BoolVarP(&c.Quiet, "quiet", "q", false, "no progress and no warnings on stderr")
	fs.BoolVarP(&c.Verbose, "verbose", "v", false, "table: info findings too, all of them, with their evidence")
	fs.BoolP("help", "h", false, "this text")
}

// Location is the zone of times that are shown, and of those that are given without one.
func (c *Common) Location() *time.Location {
	if c.localTime {
		return time.Local
	}
	return time.UTC
}

func (c *Common) detectOptions() detect.Options {
	return detect.Options{
		IsTarget: c.Target.Matcher(), IsLB: c.LB.Matcher(), LBIdleTimeout: int64(c.lbIdle), MaxFlows: c.MaxFlows, MaxTargets: c.MaxTargets,
	}
}

func (c *Common) reportOptions(e *cli.Env) report.Options {
	return report.Options{
		Rules: c.Rules, MinSeverity: severity(c.severity.Value), ShowQuery: c.ShowQuery, Verbose: c.Verbose,
		Color: term.Colored(e.Stdout, c.color.Value), Width: pageWidth(e.Stdout), Location: c.Location(),
	}
}

// pageWidth is how wide tables are: as the terminal, within what can be read; 0: a default.
func pageWidth(w io.Writer) int {
	const narrowest, widest = 60, 200
	if n := term.Columns(w); n > 0 {
		return min(max(n, narrowest), widest)
	}
	return 0
}

// deciding are the flags that decide what is analysed, as words of a command.
func (c *Common) deciding() (words []string) {
	for _, t := range c.Target.Given {
		words = append(words, "--target", t)
	}
	for _, lb := range c.LB.Given {
		words = append(words, "--lb", lb)
	}
	if c.lbIdle > 0 {
		words = append(words, "--lb-idle-timeout", strconv.FormatFloat(time.Duration(c.lbIdle).Seconds(), 'f', -1, 64)+"s")
	}
	return words
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
func (c *Common) fails(r *report.Report) bool {
	worst, any := r.Worst()
	return any && c.failOn.Value != "never" && worst >= severity(c.failOn.Value)
}
