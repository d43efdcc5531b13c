package main

import (
	"context"
	"strings"

	"github.com/spf13/pflag"

	"connrace/cmd/connrace/internal/cli"
	"connrace/detect"
)

func explainFlags() (server, lb *string, fs *pflag.FlagSet) {
	fs = pflag.NewFlagSet("explain", pflag.ContinueOnError)
	fs.SortFlags = false
	server = fs.String("server", "", "settings of this server only: `NAME`, such as node, gunicorn or tomcat")
	lb = fs.String("lb", "", "settings and log lines of this load balancer only: `NAME`, such as\nalb or nginx")
	fs.BoolP("help", "h", false, "this text")
	return server, lb, fs
}

func explainHelp() string {
	_, _, fs := explainFlags()
	return `Tell what a finding means: the segments, the cause, what to change; or how a cause of a
target's close shows. Without RULE or CAUSE, list all.

Usage:
  connrace explain [RULE | CAUSE] [flags]

Flags:
` + fs.FlagUsages() + `
Example:
  connrace explain fin-request-crossing --server node --lb alb
  connrace explain request-timeout
`
}

// explainCommand is the command.
func explainCommand(_ context.Context, e *cli.Env, args []string) int {
	server, lb, fs := explainFlags()
	if code, done := e.Parse(fs, explainHelp, args, flagSets); done {
		return code
	}
	var fit detect.Fit
	for _, x := range []struct {
		flag, what string
		name       string
		of         []string
		full       *string
	}{
		{"server", "server", *server, detect.ServerNames(), &fit.Server},
		{"lb", "load balancer", *lb, detect.LBNames(), &fit.LB},
	} {
		full, ok := detect.Named(x.name, x.of)
		if fs.Changed(x.flag) && !ok {
			return e.Usage("explain", "--%s: no %s is called %q; known are %s", x.flag, x.what, x.name, strings.Join(x.of, ", "))
		}
		*x.full = full
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
		return e.Print(r.Page(fit))
	}
	if c := detect.CauseOf(id); c != nil {
		return e.Print(c.Page(fit))
	}
	e.Errorf("unknown rule %q%s", id, cli.Suggest(id, append(cli.RuleIDs(), detect.CauseIDs()...)))
	e.Hint("Try 'connrace explain' for the list.")
	return cli.ExitError
}
