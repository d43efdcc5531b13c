package main

import (
	"context"
	"encoding/json"

	"github.com/spf13/pflag"

	"connrace/cmd/connrace/internal/cli"
)

func versionFlags() (format *cli.Choice, fs *pflag.FlagSet) {
	c := cli.OneOf("text", "text", "json")
	fs = pflag.NewFlagSet("version", pflag.ContinueOnError)
	fs.Var(&c, "format", "output `FORMAT`: text, or json with version, commit, date, modified,\ngo, os, arch")
	fs.BoolP("help", "h", false, "this text")
	return &c, fs
}

func versionHelp() string {
	_, fs := versionFlags()
	return `Print which version this is, from which commit and of when, and what built it.

Usage:
  connrace version [--format json]

Flags:
` + fs.FlagUsages() + `
Example:
  connrace version
`
}

// versionCommand is the command.
func versionCommand(_ context.Context, e *cli.Env, args []string) int {
	format, fs := versionFlags()
	if code, done := e.Parse(fs, versionHelp, args, flagSets); done {
		return code
	}
	if fs.NArg() > 0 {
		return e.Usage("version", "takes no arguments")
	}
	build := cli.ReadBuild()
	if format.Value == "json" {
		b, _ := json.MarshalIndent(build, "", "  ")
		return e.Print(string(b) + "\n")
	}
	return e.Print("connrace " + build.String() + "\n")
}
