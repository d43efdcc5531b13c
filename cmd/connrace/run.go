package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"connrace/cmd/connrace/internal/cli"
	"connrace/cmd/connrace/internal/procs"
)

// command is one of connrace's commands.
type command struct {
	name  string
	short string // for the list of commands
	help  func() string
	run   func(context.Context, *cli.Env, []string) int
}

// commands are connrace's commands in the order in which help lists them. A function,
// for the commands themselves look into the list.
func commands() []command {
	return []command{
		{"analyze", "read captures and report what broke", analyzeHelp, analyzeCommand},
		{"live", "watch an interface of this host (Linux)", liveHelp, liveCommand},
		{"explain", "what a finding means: segments, cause, fix", explainHelp, explainCommand},
		{"merge", "one report of many: hosts, days", mergeHelp, mergeCommand},
		{"share", "a copy of a capture that others may see", shareHelp, shareCommand},
		{"wireshark", "findings as fields, colours and buttons in Wireshark", wiresharkHelp, wiresharkCommand},
		{"completion", "what a shell needs to complete commands, flags and rules", completionHelp, completionCommand},
		{"version", "print the version", versionHelp, versionCommand},
	}
}

// confining is set by main: tests run commands in a process that has to go on afterwards.
var confining bool

// run is the whole program.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	e := &cli.Env{Stdin: stdin, Stdout: stdout, Stderr: stderr, Confine: confining}
	if confining {
		e.Self = "/proc/self/exe"
	}
	if len(args) == 0 {
		fmt.Fprint(stderr, help())
		return cli.ExitError
	}
	switch args[0] {
	case procs.Command:
		return procs.Main()
	case "-h", "--help":
		return e.Print(help())
	case "help":
		return helpOn(e, args[1:])
	case "--version":
		return versionCommand(ctx, e, args[1:])
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.run(ctx, e, args[1:])
		}
	}
	if args[0] == completeCommand {
		return e.Print(complete(args[1:]).String())
	}
	if c := meant(args[0]); c != "" {
		return e.Usage("", "unknown command or file %q: did you mean %q?", args[0], c)
	}
	return analyzeCommand(ctx, e, args) // connrace FILE... is short for it
}

// meant is the command that a first argument resembles which is no file.
func meant(arg string) string {
	if strings.ContainsAny(arg, "./-") {
		return ""
	}
	if _, err := os.Lstat(arg); err == nil {
		return ""
	}
	var names []string
	for _, c := range commands() {
		names = append(names, c.name)
	}
	return cli.Nearest(arg, names)
}

func help() string {
	var b strings.Builder
	b.WriteString(`connrace finds in packet captures why a load balancer answered 502: the TCP races,
resets and full queues between it and its targets.

Usage:
  connrace [analyze] [flags] FILE...
`)
	for _, c := range commands()[1:] {
		_, usage, _ := strings.Cut(c.help(), "\nUsage:\n")
		usage, _, _ = strings.Cut(usage, "\n\n")
		b.WriteString(usage + "\n")
	}
	b.WriteString("\nCommands:\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "  %-10s %s\n", c.name, c.short)
	}
	b.WriteString(`
Examples:
  connrace capture.pcapng
  ssh host tcpdump -U -w - "'tcp port 8080 or icmp or icmp6'" | connrace -
  connrace live -i eth0 --target :8080
  connrace explain fin-request-crossing

'connrace COMMAND --help' tells more about a command.
`)
	return b.String()
}

func helpOn(e *cli.Env, args []string) int {
	if len(args) == 0 {
		return e.Print(help())
	}
	var names []string
	for _, c := range commands() {
		if c.name == args[0] {
			return e.Print(c.help())
		}
		names = append(names, c.name)
	}
	return e.Usage("", "unknown command %q%s", args[0], cli.Suggest(args[0], names))
}
