package pipeline

import (
	"slices"
	"time"

	"connrace/cmd/connrace/internal/cli"
	"connrace/cmd/connrace/internal/lblog"
	"connrace/detect"
)

// Period are the flags --since and --until.
type Period struct{ Since, Until cli.Moment }

// Wrong is what is wrong with the period in any capture; "": nothing.
func (p *Period) Wrong() string {
	if p.Since.After(&p.Until) {
		return "--since is after --until: " + p.Since.String() + ", " + p.Until.String()
	}
	return ""
}

// Window is what --since and --until make of a capture's times.
type Window struct{ since, until int64 }

// Window is the period in a capture whose first packet came at first.
func (p *Period) Window(first int64, zone *time.Location) Window {
	w := Window{-1 << 63, 1<<63 - 1}
	if p.Since.Given() {
		w.since = p.Since.At(first, zone)
	}
	if p.Until.Given() {
		w.until = p.Until.At(first, zone)
	}
	return w
}

// Empty reports whether no time falls into the window.
func (w Window) Empty() bool { return w.since > w.until }

// shows reports whether a finding falls into the window. What concerns a target as a
// whole always does.
func (w Window) shows(f *detect.Finding) bool {
	return !f.HasStream || f.Time >= w.since && f.Time <= w.until
}

// limit leaves out of a result the findings outside of the window, and what they count.
func (w Window) limit(r *detect.Result) {
	if w == (Window{-1 << 63, 1<<63 - 1}) {
		return
	}
	keep := r.Findings[:0:0]
	for _, f := range r.Findings {
		if w.shows(f) {
			keep = append(keep, f)
		} else {
			r.Leave(f.Target, f.Tries())
		}
	}
	r.Findings = keep
	r.Forgotten = slices.DeleteFunc(r.Forgotten, func(g detect.Group) bool {
		outside := g.Last < w.since || g.First > w.until
		if outside {
			r.Leave(g.Target, g.Tries)
		}
		return outside
	})
}

// of is the part of a time, ns, that falls into the window.
func (w Window) of(first, last int64) lblog.Span {
	return lblog.Span{First: max(first, w.since), Last: min(last, w.until)}
}
