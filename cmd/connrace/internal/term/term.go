// Package term is what is different on a terminal: its width, a bar of progress, a line that
// says how it is going.
package term

import (
	"io"
	"os"

	"golang.org/x/term"
)

// IsTerminal reports whether a writer is a terminal.
func IsTerminal(w io.Writer) bool {
	f := AsFile(w)
	return f != nil && term.IsTerminal(int(f.Fd()))
}

// Columns is how wide the terminal is that a writer writes to; 0: it is none, or does not say.
func Columns(w io.Writer) int {
	f := AsFile(w)
	if f == nil {
		return 0
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return columns
}

// fitTerminal cuts a line so that a narrow terminal does not wrap it.
func fitTerminal(w io.Writer, line string) string {
	columns := Columns(w)
	if r := []rune(line); columns > 0 && len(r) >= columns {
		return string(r[:columns-1])
	}
	return line
}

// Colored reports whether to write in color: "always", "never", or on a terminal unless the
// environment says otherwise (no-color.org, bixense.com/clicolors).
func Colored(w io.Writer, when string) bool {
	force := os.Getenv("CLICOLOR_FORCE")
	switch {
	case when != "auto":
		return when == "always"
	case os.Getenv("NO_COLOR") != "":
		return false
	case force != "" && force != "0":
		return true
	}
	return IsTerminal(w) && os.Getenv("TERM") != "dumb"
}

// AsFile is the file that is written to in the end; nil: it is none.
func AsFile(w io.Writer) *os.File {
	if u, is := w.(interface{ Unwrap() io.Writer }); is {
		w = u.Unwrap()
	}
	f, _ := w.(*os.File)
	return f
}
