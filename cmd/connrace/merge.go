package main

import (
	"context"
	"io"

	"github.com/spf13/pflag"

	"connrace/cmd/connrace/internal/cli"
	"connrace/cmd/connrace/internal/confine"
	"connrace/cmd/connrace/internal/infile"
	"connrace/cmd/connrace/internal/merge"
	"connrace/cmd/connrace/internal/pipeline"
)

func newMergeFlags() (*pipeline.Common, *pflag.FlagSet) {
	c, fs := pipeline.NewCommon(), pflag.NewFlagSet("merge", pflag.ContinueOnError)
	fs.SortFlags = false
	c.AddReport(fs)
	return &c, fs
}

func mergeHelp() string {
	_, fs := newMergeFlags()
	return `Make one report of many, those of several hosts or days: the problems of all of them, by
target and cause, in any format. Each REPORT is what connrace has written with --format json
or jsonl, of captures or live, or merged itself. '-' is standard input.

Usage:
  connrace merge [flags] REPORT...

Flags:
` + fs.FlagUsages() + `
A target that several reports have is one, its figures added up; of timers and round trips
those are told that rest on the most connections. Addresses that may be several boxes' are
told of apart, by the captures of each report: those of a host itself (127.0.0.1), and
private ones that two reports had seen on the target's own host at the same time; other
private ones that several reports have are taken for one box, and a note says so. What logs
of the load balancer say, comparisons, and what joined captures had seen at each point stay
with their report. 20,000 findings are kept whole, all further ones are counted.

Examples:
  connrace merge host1.json host2.json host3.json
  connrace merge --html week.html monday.json tuesday.json
  connrace merge --format json *.json > fleet.json
  connrace merge --baseline before.json *.json
`
}

// mergeCommand is the command.
func mergeCommand(ctx context.Context, e *cli.Env, args []string) int {
	c, fs := newMergeFlags()
	if code, done := e.Parse(fs, mergeHelp, args, flagSets); done {
		return code
	}
	files := fs.Args()
	if len(files) == 0 {
		return e.Usage("merge", "no report given; '-' reads standard input")
	}
	if wrong := c.HTML.Wrong(files, e.Stdin); wrong != "" {
		return e.Usage("merge", "%s", wrong)
	}
	s := pipeline.NewSession(ctx, e, c, pipeline.Period{})
	plan := &confine.Plan{Read: cli.Given(append([]string{c.Baseline}, files...)...), Write: cli.Given(c.HTML.Path)}
	warn := func(text string) { s.Warn(text) }
	err := e.GiveUp(plan, warn)
	if err == nil {
		err = c.Prepare(ctx)
	}
	if err == nil {
		err = c.HTML.Create(c.Umask)
	}
	if err != nil {
		e.Errorf("%v", err)
		return cli.ExitError
	}
	defer c.HTML.File.Discard()
	e.Restrict(plan, c.Verbose && !c.Quiet, warn)
	m := merge.New(&s.Report)
	for _, path := range files {
		if ctx.Err() != nil {
			break
		}
		if err := mergeFile(ctx, e, m, path); err != nil {
			s.Failed = true
			e.Errorf("%v", err)
			continue
		}
		s.Report.Merged = append(s.Report.Merged, path)
	}
	m.Finish()
	if len(s.Report.Captures) == 0 {
		return cli.ExitError // each was reported
	}
	s.Late()
	s.Complete()
	return c.HTML.Write(e, &s.Report, &s.Shown, s.Deliver(func() {}))
}

// mergeFile adds the report in a file.
func mergeFile(ctx context.Context, e *cli.Env, m *merge.Merger, path string) error {
	name, r := "standard input", e.Stdin
	if path != "-" {
		h, err := infile.Open(ctx, path)
		if err != nil {
			return err
		}
		defer h.Close()
		name, r = path, io.Reader(h)
	}
	return m.Add(name, infile.Stream(ctx, r))
}
