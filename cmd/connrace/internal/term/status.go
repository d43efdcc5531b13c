package term

import (
	"fmt"
	"io"

	"connrace/cmd/connrace/internal/text"
)

// Status is the line on a terminal that says how a watch is going.
type Status struct {
	w     io.Writer // nil: there is none
	shown bool
}

// NewStatus makes a line for a terminal; where w is none, or with quiet, nothing is shown.
func NewStatus(w io.Writer, quiet bool) *Status {
	if quiet || !IsTerminal(w) {
		return &Status{}
	}
	return &Status{w: w}
}

// Text shows a line in place of the one before.
func (s *Status) Text(line string) {
	if s.w == nil {
		return
	}
	s.shown = true
	fmt.Fprintf(s.w, "\r%s\x1b[K", fitTerminal(s.w, text.Clean(line)))
}

// Clear makes room for other output.
func (s *Status) Clear() {
	if s.w != nil && s.shown {
		s.shown = false
		fmt.Fprint(s.w, "\r\x1b[K")
	}
}
