package main

import (
	"context"

	"github.com/spf13/pflag"

	"connrace/cmd/connrace/internal/cli"
	"connrace/detect"
)

func explainHelp() string {
	return `Tell what a finding means: the segments, the cause, what to change. Without RULE, list
all rules.

Usage:
  connrace explain [RULE]

Flags:
  -h, --help   this text

Example:
  connrace explain fin-request-crossing
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
	e.Errorf("unknown rule %q%s", id, cli.Suggest(id, cli.RuleIDs()))
	e.Hint("Try 'connrace explain' for the list.")
	return cli.ExitError
}
