package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"connrace/cmd/connrace/internal/confine"
	"connrace/cmd/connrace/internal/text"
)

// Exit codes.
const (
	exitOK          = 0
	exitFailOn      = 1 // --fail-on matched
	exitError       = 2 // wrong usage, unreadable input, output that cannot be written
	exitInterrupted = 130
)

// env is what a command works with besides its arguments.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
}

// command is one of connrace's commands.
type command struct {
	name  string
	short string // for the list of commands
	help  func() string
	run   func(context.Context, *env, []string) int
}

// commands are connrace's commands in the order in which help lists them. A function,
// for the commands themselves look into the list.
func commands() []command {
	return []command{
		{"analyze", "read captures and report what broke", analyzeHelp, analyze},
		{"live", "watch an interface of this host (Linux)", liveHelp, live},
		{"explain", "what a finding means: segments, cause, fix", explainHelp, explain},
		{"wireshark", "findings as fields, colours and buttons in Wireshark", wiresharkHelp, wiresharkHelpers},
		{"version", "print the version", versionHelp, version},
	}
}

// run is the whole program.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	e := &env{stdin, stdout, stderr}
	if len(args) == 0 {
		fmt.Fprint(stderr, help())
		return exitError
	}
	switch args[0] {
	case "-h", "--help":
		return e.print(help())
	case "help":
		return helpOn(e, args[1:])
	case "--version":
		return version(ctx, e, args[1:])
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.run(ctx, e, args[1:])
		}
	}
	if c := meant(args[0]); c != "" {
		return e.usage("", "unknown command or file %q: did you mean %q?", args[0], c)
	}
	return analyze(ctx, e, args) // connrace FILE... is short for it
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
	return nearest(arg, names)
}

func help() string {
	var b strings.Builder
	b.WriteString(`connrace finds in packet captures why a load balancer answered 502: the TCP races,
resets and full queues between it and its targets.

Usage:
  connrace [analyze] [flags] FILE...
`)
	for _, c := range commands()[1:] {
		fmt.Fprintf(&b, "  connrace %s\n", c.name)
	}
	b.WriteString("\nCommands:\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "  %-10s %s\n", c.name, c.short)
	}
	b.WriteString(`
Examples:
  connrace capture.pcapng
  ssh host tcpdump -U -w - tcp port 8080 | connrace -
  connrace live -i eth0 --target :8080
  connrace explain fin-request-crossing

'connrace COMMAND --help' tells more about a command.
`)
	return b.String()
}

func helpOn(e *env, args []string) int {
	if len(args) == 0 {
		return e.print(help())
	}
	var names []string
	for _, c := range commands() {
		if c.name == args[0] {
			return e.print(c.help())
		}
		names = append(names, c.name)
	}
	return e.usage("", "unknown command %q%s", args[0], suggest(args[0], names))
}

// print writes a text to stdout and returns the exit code.
func (e *env) print(s string) int {
	_, err := io.WriteString(e.stdout, s)
	return e.written(err)
}

// written is the exit code after a write to stdout. A closed pipe is quiet: whoever
// reads has enough.
func (e *env) written(err error) int {
	if err == nil || closedPipe(err) {
		return exitOK
	}
	e.errorf("writing the output: %v", err)
	return exitError
}

func closedPipe(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe)
}

// errorf writes one line to stderr. What it shows may come from file names or files.
func (e *env) errorf(format string, args ...any) {
	for i, a := range args {
		if err, is := a.(error); is {
			args[i] = confine.Explain(err)
		}
	}
	fmt.Fprintf(e.stderr, "connrace: %s\n", text.Clean(fmt.Sprintf(format, args...)))
}

// hint writes to stderr where to look further.
func (e *env) hint(s string) { fmt.Fprintln(e.stderr, s) }

// usage reports wrong usage of a command ("": of connrace itself).
func (e *env) usage(command, format string, args ...any) int {
	e.errorf(format, args...)
	if command != "" {
		command += " "
	}
	e.hint(fmt.Sprintf("Try 'connrace %s--help'.", command))
	return exitError
}

// parse parses a command's flags; done tells that it has nothing more to do.
func (e *env) parse(fs *pflag.FlagSet, help func() string, args []string) (code int, done bool) {
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	err := fs.Parse(args)
	switch {
	case err == nil:
		if h := fs.Lookup("help"); h != nil && h.Value.String() == "true" {
			return e.print(help()), true
		}
		if name := empty(fs); name != "" {
			return e.usage(fs.Name(), "--%s was given without a value", name), true
		}
		return exitOK, false
	case errors.Is(err, pflag.ErrHelp):
		return e.print(help()), true
	}
	hint := ""
	if unknown := (*pflag.NotExistError)(nil); errors.As(err, &unknown) {
		hint = aboutFlag(fs, unknown.GetSpecifiedName())
	}
	return e.usage(fs.Name(), "%v%s", err, hint), true
}

// empty names a flag whose value is "", as --html "$PAGE" is where PAGE is unset: what was
// asked for would not be done. "": there is none.
func empty(fs *pflag.FlagSet) (name string) {
	fs.Visit(func(f *pflag.Flag) {
		if f.Value.Type() == "string" && f.Value.String() == "" {
			name = f.Name
		}
	})
	return name
}

// aboutFlag says which flag was meant by one that a command does not have: another
// command's, or one with a similar name.
func aboutFlag(fs *pflag.FlagSet, name string) string {
	_, analyze := newAnalyzeFlags()
	_, live := newLiveFlags()
	for _, other := range []*pflag.FlagSet{analyze, live} {
		if known := other.Lookup(name) != nil || len(name) == 1 && other.ShorthandLookup(name) != nil; known && fs.Name() != other.Name() {
			return ": it is a flag of 'connrace " + other.Name() + "'"
		}
	}
	if len(name) == 1 {
		return ""
	}
	var names []string
	fs.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	if n := nearest(name, names); n != "" {
		return fmt.Sprintf(": did you mean --%s?", n)
	}
	return ""
}
