package main

import (
	"context"

	"connrace/cmd/connrace/internal/cli"
	"connrace/cmd/connrace/internal/offline"
)

func analyzeHelp() string {
	_, fs := offline.NewFlags()
	return `Read captures (pcap, pcapng; plain, gzip, zstd, lz4) and report what broke between load
balancers and targets. '-' is standard input.

Usage:
  connrace [analyze] [flags] FILE...

Flags:
` + fs.FlagUsages() + `
A file that begins after the file before it ended continues it (rotated captures).
Captures of the same connections, taken at several points, are joined; others are analysed
each on its own. --since and --until limit the findings, and what is counted as lost;
packets outside are still numbered and followed. --rule and --severity limit only what is
shown: totals and --fail-on see everything.

Exit status: 0 done, 1 --fail-on matched, 2 wrong usage, unreadable input or unwritable
output, 130 interrupted.

Examples:
  connrace analyze capture.pcapng
  connrace analyze --target 10.0.0.5:8080 --since 14:00 --until 14:05 trace.pcap.gz
  ssh host tcpdump -U -w - "'tcp port 8080 or icmp or icmp6'" | connrace analyze -
  connrace analyze --format json web1-*.pcap | jq '.findings[] | .display_filter'
  connrace analyze --fail-on error -q nightly.pcap
  connrace analyze --html report.html lb.pcap target.pcap
  connrace analyze --log /var/log/nginx/error.log capture.pcap
  connrace analyze --baseline before.json after.pcap
  connrace analyze --html report.html capture.pcap
  connrace analyze --annotate commented.pcapng --evidence findings capture.pcap
`
}

// analyzeCommand is the command.
func analyzeCommand(ctx context.Context, e *cli.Env, args []string) int {
	a, fs := offline.NewFlags()
	if code, done := e.Parse(fs, analyzeHelp, args, flagSets); done {
		return code
	}
	if wrong := a.Wrong(fs, e.Stdin); wrong != "" {
		return e.Usage("analyze", "%s", wrong)
	}
	return a.Run(ctx, e)
}
