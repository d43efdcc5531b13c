package main

import (
	"context"
	"runtime/debug"

	"github.com/spf13/pflag"

	"connrace/cmd/connrace/internal/cli"
)

func versionHelp() string {
	return `Print the version.

Usage:
  connrace version

Flags:
  -h, --help   this text

Example:
  connrace version
`
}

// versionCommand is the command.
func versionCommand(_ context.Context, e *cli.Env, args []string) int {
	fs := pflag.NewFlagSet("version", pflag.ContinueOnError)
	if code, done := e.Parse(fs, versionHelp, args, flagSets); done {
		return code
	}
	if fs.NArg() > 0 {
		return e.Usage("version", "takes no arguments")
	}
	info, _ := debug.ReadBuildInfo()
	return e.Print("connrace " + cli.DescribeBuild(info) + "\n")
}
