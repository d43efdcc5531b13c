package main

import (
	"context"

	"github.com/spf13/pflag"

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

// explain is the command of that name.
func explain(_ context.Context, e *env, args []string) int {
	fs := pflag.NewFlagSet("explain", pflag.ContinueOnError)
	if code, done := e.parse(fs, explainHelp, args); done {
		return code
	}
	switch fs.NArg() {
	case 0:
		return e.print(detect.Index())
	case 1:
	default:
		return e.usage("explain", "one rule at a time")
	}
	id := fs.Arg(0)
	if r := detect.Lookup(id); r != nil {
		return e.print(r.Page())
	}
	e.errorf("unknown rule %q%s", id, suggest(id, ruleIDs()))
	e.hint("Try 'connrace explain' for the list.")
	return exitError
}
