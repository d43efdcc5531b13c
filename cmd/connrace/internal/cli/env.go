// Package cli is what all commands share towards the user: standard input and output, exit
// codes, wrong usage with a hint of what was meant, and the values that flags take.
package cli

import (
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/spf13/pflag"

	"connrace/cmd/connrace/internal/confine"
	"connrace/cmd/connrace/internal/text"
)

// Exit codes.
const (
	ExitOK          = 0
	ExitFailOn      = 1 // --fail-on matched
	ExitError       = 2 // wrong usage, unreadable input, output that cannot be written
	ExitInterrupted = 130
)

// Env is what a command works with besides its arguments.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Confine        bool // give up what is not needed; the process does nothing else afterwards
	// Self is this program, to be started again as a helper; "": it must not be, for what runs is
	// a test, whose program would run all tests again.
	Self string
}

// Print writes a text to stdout and returns the exit code.
func (e *Env) Print(s string) int {
	_, err := io.WriteString(e.Stdout, s)
	return e.Written(err)
}

// Written is the exit code after a write to stdout. A closed pipe is quiet: whoever
// reads has enough.
func (e *Env) Written(err error) int {
	if err == nil || ClosedPipe(err) {
		return ExitOK
	}
	e.Errorf("writing the output: %v", err)
	return ExitError
}

// ClosedPipe reports whether an error is that nobody reads what is written any more.
func ClosedPipe(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe)
}

// Errorf writes one line to stderr. What it shows may come from file names or files.
func (e *Env) Errorf(format string, args ...any) {
	for i, a := range args {
		if err, is := a.(error); is {
			args[i] = confine.Explain(err)
		}
	}
	fmt.Fprintf(e.Stderr, "connrace: %s\n", text.Clean(fmt.Sprintf(format, args...)))
}

// Hint writes to stderr where to look further.
func (e *Env) Hint(s string) { fmt.Fprintln(e.Stderr, s) }

// Usage reports wrong usage of a command ("": of connrace itself).
func (e *Env) Usage(command, format string, args ...any) int {
	e.Errorf(format, args...)
	if command != "" {
		command += " "
	}
	e.Hint(fmt.Sprintf("Try 'connrace %s--help'.", command))
	return ExitError
}

// Parse parses a command's flags; done tells that it has nothing more to do. others are the
// flags of other commands, to say what was meant by one that this command does not have.
func (e *Env) Parse(fs *pflag.FlagSet, help func() string, args []string, others func() []*pflag.FlagSet) (code int, done bool) {
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	err := fs.Parse(args)
	switch {
	case err == nil:
		if h := fs.Lookup("help"); h != nil && h.Value.String() == "true" {
			return e.Print(help()), true
		}
		if name := empty(fs); name != "" {
			return e.Usage(fs.Name(), "--%s was given without a value", name), true
		}
		return ExitOK, false
	case errors.Is(err, pflag.ErrHelp):
		return e.Print(help()), true
	}
	hint := ""
	if unknown := (*pflag.NotExistError)(nil); errors.As(err, &unknown) {
		hint = aboutFlag(fs, unknown.GetSpecifiedName(), others())
	}
	return e.Usage(fs.Name(), "%v%s", err, hint), true
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
func aboutFlag(fs *pflag.FlagSet, name string, others []*pflag.FlagSet) string {
	for _, other := range others {
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
	if n := Nearest(name, names); n != "" {
		return fmt.Sprintf(": did you mean --%s?", n)
	}
	return ""
}
