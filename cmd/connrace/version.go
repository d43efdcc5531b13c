package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/pflag"
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

// version is the command of that name.
func version(_ context.Context, e *env, args []string) int {
	fs := pflag.NewFlagSet("version", pflag.ContinueOnError)
	if code, done := e.parse(fs, versionHelp, args); done {
		return code
	}
	if fs.NArg() > 0 {
		return e.usage("version", "takes no arguments")
	}
	info, _ := debug.ReadBuildInfo()
	return e.print("connrace " + describeBuild(info) + "\n")
}

// describeBuild says which module version or revision this is, and what built it.
func describeBuild(info *debug.BuildInfo) string {
	if info == nil {
		info = &debug.BuildInfo{GoVersion: runtime.Version()}
	}
	v := info.Main.Version
	if v == "" {
		v = "(devel)"
	}
	set := map[string]string{}
	for _, s := range info.Settings {
		set[s.Key] = s.Value
	}
	if rev := set["vcs.revision"]; rev != "" {
		v += fmt.Sprintf(", revision %.12s", rev)
		if set["vcs.modified"] == "true" {
			v += " with changes"
		}
		if t := set["vcs.time"]; t != "" {
			v += " of " + t
		}
	}
	return fmt.Sprintf("%s, %s %s/%s", v, info.GoVersion, runtime.GOOS, runtime.GOARCH)
}
