package main

import (
	"context"

	"connrace/cmd/connrace/internal/cli"
	"connrace/cmd/connrace/internal/live"
	"connrace/cmd/connrace/internal/memory"
	"connrace/cmd/connrace/internal/term"
)

func liveHelp() string {
	_, fs := live.NewFlags()
	return `Watch an interface of this host (Linux), beside a target or a load balancer, for as long
as wanted: findings are shown as they are settled. On the target's host the kernel is
asked, too, how full the accept queues are and what it dropped.

Usage:
  connrace live -i NAME [flags]

Flags:
` + fs.FlagUsages() + `
SIGINT, SIGTERM, SIGHUP, --duration and -c end it with the full report, a second signal at
once; SIGUSR1 shows the report so far. Where nobody reads the output (a pager that is not
scrolled), the capture goes on, and a signal ends it nevertheless: files are whole, the
report is given up. Memory is bounded, and so is what is written: of the findings of a kind
the first thousand are shown, then one a minute and how many there were. Capturing needs
CAP_NET_RAW: root, 'setcap cap_net_raw+ep' on the program, or AmbientCapabilities= in a
systemd unit.

Exit status: 0 done, 1 --fail-on matched, 2 wrong usage, unwritable output, or an interface
that is gone.

Examples:
  connrace live -i eth0 --target :8080
  connrace live -i any --target 10.0.0.5:8080 --lb 10.0.0.0/24 --evidence /var/lib/connrace
  connrace live -i eth0 --target :8080 --duration 1h --format json > report.json
  connrace live -i eth0 --target :8080 --target unix:/run/app.sock -w '/tmp/%H.pcapng' -G 3600
  connrace live -i eth0 --netns 4711 --target :3000
`
}

// liveCommand is the command.
func liveCommand(ctx context.Context, e *cli.Env, args []string) int {
	l, fs := live.NewFlags()
	if code, done := e.Parse(fs, liveHelp, args, flagSets); done {
		return code
	}
	if wrong := l.Wrong(fs); wrong != "" {
		return e.Usage("live", "%s", wrong)
	}
	memory.CollectUsually()
	if l.Format.Value == "" {
		l.Format.Value = "jsonl"
		if term.IsTerminal(e.Stdout) {
			l.Format.Value = "table"
		}
	}
	e, flush := e.Apart(ctx)
	return flush(l.Run(ctx, e))
}
