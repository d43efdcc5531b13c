package term

import (
	"fmt"
	"io"
	"time"

	"connrace/cmd/connrace/internal/text"
)

// Status is the line on a terminal that says how it is going. Elsewhere, in a log for one, it is
// a line now and then of what has changed.
type Status struct {
	w        io.Writer // nil: there is none
	terminal bool
	shown    bool      // on the terminal
	said     string    // elsewhere
	at       time.Time // when that was, or the status began
}

// statusEvery is how often a line is written where that stays.
const statusEvery = time.Minute

// NewStatus makes a line; with quiet, nothing is shown.
func NewStatus(w io.Writer, quiet bool) *Status {
	if quiet {
		return &Status{}
	}
	return &Status{w: w, terminal: IsTerminal(w), at: time.Now()}
}

// Text shows a line in place of the one before; so is what it says where lines stay.
func (s *Status) Text(line, so string) {
	switch {
	case s.w == nil:
	case s.terminal:
		s.shown = true
		fmt.Fprintf(s.w, "\r%s\x1b[K", fitTerminal(s.w, text.Clean(line)))
	case so != s.said && time.Since(s.at) >= statusEvery:
		s.said, s.at = so, time.Now()
		fmt.Fprintf(s.w, "connrace: %s\n", text.Clean(so))
	}
}

// Clear makes room for other output.
func (s *Status) Clear() {
	if s.shown {
		s.shown = false
		fmt.Fprint(s.w, "\r\x1b[K")
	}
}

// SoFar says what has been found while it goes on; answers are those of the targets that say 5xx.
func SoFar(findings, failed, answers uint64) string {
	s := text.Plural(findings, "finding") + ", " + text.Plural(failed, "failed try")
	if answers > 0 {
		s += ", " + text.Plural(answers, "answer") + " 5xx"
	}
	return s + " so far; Ctrl-C for the report"
}
