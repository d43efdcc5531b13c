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

// fitTerminal cuts a line so that a narrow terminal does not wrap it.
func fitTerminal(w io.Writer, line string) string {
	f := AsFile(w)
	if f == nil {
		return line
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if r := []rune(line); err == nil && columns > 0 && len(r) >= columns {
		return string(r[:columns-1])
	}
	return line
}

// AsFile is the file that is written to in the end; nil: it is none.
func AsFile(w io.Writer) *os.File {
	if u, is := w.(interface{ Unwrap() io.Writer }); is {
		w = u.Unwrap()
	}
	f, _ := w.(*os.File)
	return f
}
