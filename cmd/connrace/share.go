package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/pflag"

	"connrace/capture"
	"connrace/cmd/connrace/internal/cli"
	"connrace/cmd/connrace/internal/confine"
	"connrace/cmd/connrace/internal/infile"
	"connrace/cmd/connrace/internal/outfile"
	"connrace/cmd/connrace/internal/pipeline"
	"connrace/cmd/connrace/internal/share"
	"connrace/cmd/connrace/internal/term"
	"connrace/cmd/connrace/internal/text"
)

// shareFlags are the flags of share as they were given.
type shareFlags struct {
	quiet bool
	umask cli.Umask
}

func newShareFlags() (*shareFlags, *pflag.FlagSet) {
	s, fs := &shareFlags{}, pflag.NewFlagSet("share", pflag.ContinueOnError)
	fs.SortFlags = false
	s.umask.AddTo(fs)
	fs.BoolVarP(&s.quiet, "quiet", "q", false, "no progress, and nothing of what was done")
	fs.BoolP("help", "h", false, "this text")
	return s, fs
}

func shareHelp() string {
	_, fs := newShareFlags()
	return `Make a copy of a capture that others may see: the same findings, in the same frames, with
addresses, names and payload replaced. '-' is standard input or output.

Usage:
  connrace share [flags] IN OUT

Flags:
` + fs.FlagUsages() + `
The copy has of each frame what is known of its TCP segment (times, ports, sequence numbers,
flags, lengths, TTL, MSS, window scale, SACK, timestamps) in a frame of its own, and none of
what is around it: other options, link headers, tunnels, packets without TCP, comments, names of hosts and interfaces. Addresses
are replaced, each by the same one always and by one of its kind. Of HTTP it has methods, status
codes, names of headers that are well known, lengths, and the words that tell servers and load
balancers apart; of TLS the records' and the hellos' form. Paths, values and server names are
letters, the same for the same; everything else is zeros.

Replacements differ from copy to copy. Look at the copy before you hand it on.

Examples:
  connrace share capture.pcap shared.pcapng
  ssh host tcpdump -U -w - "'tcp port 8080'" | connrace share - shared.pcapng
`
}

// shareCommand is the command.
func shareCommand(ctx context.Context, e *cli.Env, args []string) int {
	s, fs := newShareFlags()
	if code, done := e.Parse(fs, shareHelp, args, flagSets); done {
		return code
	}
	switch in, out := fs.Arg(0), fs.Arg(1); {
	case fs.NArg() != 2:
		return e.Usage("share", "share reads one capture and writes one: IN OUT")
	case out != "-" && pipeline.SameFile(in, out, e.Stdin):
		return e.Usage("share", "%s is the capture itself; name another file", out)
	case out == "-" && term.IsTerminal(e.Stdout):
		return e.Usage("share", "a capture is nothing for a terminal; name a file")
	default:
		return s.run(ctx, e, in, out)
	}
}

func (s *shareFlags) run(ctx context.Context, e *cli.Env, in, out string) int {
	warn := func(w string) { e.Errorf("warning: %s", w) }
	plan := &confine.Plan{Read: cli.Given(in), Write: cli.Given(out)}
	failed := func(err error) int {
		if ctx.Err() != nil {
			return cli.ExitInterrupted
		}
		e.Errorf("%v", err)
		return cli.ExitError
	}
	if err := e.GiveUp(plan, warn); err != nil {
		return failed(err)
	}
	name, r := "standard input", e.Stdin
	if in != "-" {
		h, err := infile.Open(ctx, in)
		if err != nil {
			return failed(err)
		}
		defer h.Close()
		name, r = in, h
	}
	f, err := capture.NewFile(name, infile.Stream(ctx, r), capture.ReadOptions{})
	if err != nil {
		return failed(err)
	}
	defer f.Close()
	var dst io.Writer = e.Stdout
	var file *outfile.File
	if out != "-" {
		if file, err = outfile.Create(out, outfile.Umask(s.umask)); err != nil {
			return failed(err)
		}
		defer file.Discard()
		dst = file.Writer()
	}
	e.Restrict(plan, false, warn)
	stop := term.Progress(e.Stderr, s.quiet, name, f.Progress, func() string { return "" })
	made, err := share.Copy(ctx, dst, f)
	stop()
	if err == nil && file != nil {
		err = file.Commit()
	}
	switch {
	case err != nil && file == nil && cli.ClosedPipe(err):
		return cli.ExitOK
	case err != nil:
		return failed(text.AtPath(out, err))
	}
	if made.Damage != nil {
		warn(made.Damage.Error())
	}
	if s.quiet {
		return cli.ExitOK
	}
	said := fmt.Sprintf("%s: %s, %s of TCP", out, text.Plural(made.Frames, "frame"), text.Plural(made.Segments, "segment"))
	if made.Left > 0 {
		said += fmt.Sprintf("; %s left out for which a frame has no room", text.Plural(made.Left, "segment"))
	}
	e.Errorf("%s; look at it before you hand it on", said)
	return cli.ExitOK
}
