package main

import (
	"fmt"
	"io"
	"time"

	"connrace/cmd/connrace/internal/text"
)

// status is the line on a terminal that says how a watch is going.
type status struct {
	w       io.Writer // nil: there is none
	shown   bool
	packets uint64 // when it was drawn last
	at      time.Time
}

func newStatus(e *env, quiet bool) *status {
	if quiet || !isTerminal(e.stderr) {
		return &status{}
	}
	return &status{w: e.stderr, at: time.Now()}
}

// text shows a line in place of the one before.
func (s *status) text(line string) {
	if s.w == nil {
		return
	}
	s.shown = true
	fmt.Fprintf(s.w, "\r%s\x1b[K", fitTerminal(s.w, text.Clean(line)))
}

// clear makes room for other output.
func (s *status) clear() {
	if s.w != nil && s.shown {
		s.shown = false
		fmt.Fprint(s.w, "\r\x1b[K")
	}
}

// draw shows figures.
func (s *status) draw(name string, f *figures, now time.Time) {
	if s.w == nil {
		return
	}
	rate := float64(f.Packets-s.packets) / max(now.Sub(s.at).Seconds(), 1e-3)
	s.packets, s.at = f.Packets, now
	line := fmt.Sprintf("%s: %s packets/s, %s, %s dropped, %s", name, text.Grouped(uint64(rate)), text.Plural(uint64(f.Live), "connection"),
		text.Grouped(f.Drops), text.Plural(f.Progress.Findings, "finding"))
	if f.LostRequests > 0 {
		line += ", " + text.Plural(f.LostRequests, "request") + " lost"
	}
	s.text(line)
}
