package main

import (
	"io"
	"os"

	"golang.org/x/term"

	"connrace/capture"
)

// isTerminal reports whether a writer is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// progress shows how far reading has come; the function that it returns ends that.
func (s *session) progress(path string, src *capture.File) func() {
	return func() {}
}
