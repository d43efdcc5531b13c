package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"connrace/cmd/connrace/internal/cli"
	"connrace/cmd/connrace/internal/outfile"
)

// untilSignal returns a context that ends with the first SIGINT, SIGTERM or, unless nohup
// has it ignored, SIGHUP; the second ends the program at once, also where a shell has it
// ignored, as scripts' shells do for what they start in the background. A write to a closed
// pipe becomes an error like any other.
func untilSignal() context.Context {
	signal.Ignore(syscall.SIGPIPE)
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		ends = append(ends, syscall.SIGHUP)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := make(chan os.Signal, 1)
	signal.Notify(c, ends...)
	go func() {
		<-c
		cancel()
		<-c
		outfile.RemoveUnfinished()
		os.Exit(cli.ExitInterrupted)
	}()
	return ctx
}
