package main

import (
	"context"

	"github.com/spf13/pflag"

	"connrace/cmd/connrace/internal/cli"
	"connrace/detect"
)

func explainHelp() string {
	return `Tell what a finding means: the segments, the cause, what to change; or how a cause of a
target's close shows. Without RULE or CAUSE, list all.

Usage:
  connrace explain [RULE | CAUSE]

Flags:
  -h, --help   this text

Example:
  connrace explain fin-request-crossing
  connrace explain request-timeout
`
}

// explainCommand is the command.
func explainCommand(_ context.Context, e *cli.Env, args []string) int {
	fs := pflag.NewFlagSet("explain", pflag.ContinueOnError)
	if code, done := e.Parse(fs, explainHelp, args, flagSets); done {
		return code
	}
	switch fs.NArg() {
	case 0:
		return e.Print(detect.Index())
	case 1:
	default:
		return e.Usage("explain", "one rule at a time")
	}
	id := fs.Arg(0)
	if r := detect.Lookup(id); r != nil {
		return e.Print(r.Page())
	}
	if c := detect.CauseOf(id); c != nil {
		return e.Print(c.Page())
	}
	e.Errorf("unknown rule %q%s", id, cli.Suggest(id, append(cli.RuleIDs(), detect.CauseIDs()...)))
	e.Hint("Try 'connrace explain' for the list.")
	return cli.ExitError
}
