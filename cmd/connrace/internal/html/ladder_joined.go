package html

import (
	"fmt"

	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

// both are the two points of the path that a ladder of joined captures is drawn between: its times
// are theirs, and a segment that one of them did not see ends on the path, or begins there.
type both [2]report.Point

// newLadderOf is the ladder of a finding, of joined captures with three lines.
func newLadderOf(a *report.Analysis, f *detect.Finding, t *detect.Target, query bool) *ladder {
	if len(a.Points) < 2 || !f.HasStream {
		return newLadder(f, t, query)
	}
	v := vantageOf(f, t)
	v.captured = [2]bool{true, true}
	l := outline(f, v, query)
	l.both = &both{a.Points[0], a.Points[len(a.Points)-1]}
	l.locate(a)
	l.place()
	return l
}

// locate finds out when each step was at the two ends, by the clock of the finding's own capture.
func (l *ladder) locate(a *report.Analysis) {
	way := l.way(a)
	for i := range l.steps {
		s := &l.steps[i]
		at := a.At(l.f, s.Evidence)
		if i == 0 {
			l.zero = at
		}
		s.at = since(at, l.zero)
		own := lbSide
		if a.Own(s.Evidence) == len(a.Points)-1 {
			own = targetSide
		}
		s.lag = [2]int64{way, way} // where nothing is known
		s.lag[own] = 0
		for _, x := range a.Sightings(l.f, s.Evidence) {
			end := lbSide
			switch x.Point {
			case 0:
			case len(a.Points) - 1:
				end = targetSide
			default:
				continue
			}
			if s.absent[end] = x.Absent; x.Absent {
				s.lag[end] = way / 2
				continue
			}
			s.seen[end] = &x
			if s.lag[end] = since(x.At, at); end == from(s.Evidence) {
				s.lag[end] = -s.lag[end]
			}
			s.lag[end] = max(s.lag[end], 0) // clocks are known to so much only
		}
	}
}

// way is about how long it takes from one end to the other.
func (l *ladder) way(a *report.Analysis) int64 {
	for i := range a.Clocks {
		for _, w := range a.Clocks[i].Ways {
			if w.Target == l.f.Target && len(a.Points) == 2 {
				return min(max((w.ToTarget+w.ToLB)/2, 0), farFuture)
			}
		}
	}
	return l.lag[lbSide] + l.lag[targetSide]
}

// frameAt names the frame of a step at an end.
func (l *ladder) frameAt(x *step, end side, frame func(*detect.Evidence) string) string {
	if l.both == nil {
		return frame(x.Evidence)
	}
	if s := x.seen[end]; s != nil {
		return uintText(s.Frame)
	}
	return "–"
}

// describeBoth writes frame, time and note beside the LB's line, frame and time beside the target's,
// and what became of a segment that ended between the two.
func (l *ladder) describeBoth(s *svg, c *columns, x *step, clock func(int64) string, digits int) {
	l.describe(s, c, x, l.frameAt(x, l.text(), nil), l.clockAt(x, clock), digits)
	far := 1 - l.text()
	switch seen := x.seen[far]; {
	case seen != nil:
		s.add(`<text class="frame" x="%v" y="%v">%v</text>`, c.guess, x.y[far]+4, uintText(seen.Frame))
		s.add(`<text class="guess" x="%v" y="%v">%v</text>`, c.guess, x.y[far]+17, l.offset(x.when(far)))
	case !x.absent[far]:
		s.add(`<text class="guess" x="%v" y="%v">%v</text>`, c.guess, x.y[far]+4, "≈ "+l.offset(x.when(far)))
	}
	for end, absent := range x.absent {
		if absent {
			s.add(`<text class="gone" x="%v" y="%v" text-anchor="%v">%v</text>`,
				c.line[end]+[2]float64{8, -8}[end], x.y[end]+4, [2]string{"start", "end"}[end], l.gone(x, side(end)))
		}
	}
}

// clockAt is the time of a step at the end beside which it is described, or where that did not see
// it, at the other.
func (l *ladder) clockAt(x *step, clock func(int64) string) string {
	if s := x.seen[l.text()]; s != nil {
		return clock(s.Time)
	}
	return clock(l.zero + x.at)
}

// gone says what became of a segment that an end did not see.
func (l *ladder) gone(x *step, end side) string {
	if end == from(x.Evidence) {
		return "not from " + cut(l.both[end].Name, 24)
	}
	return "never arrived at " + cut(l.both[end].Name, 18)
}

// ended says in words what the lines show of segments that only one end saw.
func (l *ladder) ended() string {
	if l.both == nil {
		return ""
	}
	s := ", with the path between them"
	for end, name := range [2]string{"load balancer", "target"} {
		lost, made := uint64(0), uint64(0)
		for i := range l.steps {
			if x := &l.steps[i]; !x.absent[end] {
				continue
			} else if side(end) == from(x.Evidence) {
				made++
			} else {
				lost++
			}
		}
		if lost > 0 {
			s += fmt.Sprintf(", where %s for the %s end: they never arrived at %s", verb(lost, "ends", "end"), name, l.both[end].Name)
		}
		if made > 0 {
			s += fmt.Sprintf(", where %s in the name of the %s: not from %s", verb(made, "begins", "begin"), name, l.both[end].Name)
		}
	}
	return s
}

func verb(n uint64, one, more string) string {
	if n == 1 {
		return "1 segment " + one
	}
	return text.Plural(n, "segment") + " " + more
}

// captionBoth says whose times the drawing has.
func (l *ladder) captionBoth() string {
	s := fmt.Sprintf("Times on the left are those of %s, on the right those of %s, by one clock; what only one of the two has ends on the path between them, or begins there.",
		l.both[lbSide].Name, l.both[targetSide].Name)
	for i := range l.steps {
		if x := &l.steps[i]; x.seen[targetSide] == nil && !x.absent[targetSide] {
			return s + " ≈: estimated, where it is not known whether both have it."
		}
	}
	return s
}

// pathHead names the line of the path, and says which addresses are others behind it.
func (l *ladder) pathHead(s *svg, c *columns) {
	x := c.line[pathLine]
	s.add(`<text class="end path" x="%v" y="14" text-anchor="middle">path</text>`, x)
	vs := l.f.Views
	if len(vs) == 0 {
		return
	}
	note := ""
	switch a, b := &vs[0], &vs[len(vs)-1]; {
	case a.Target != b.Target:
		note = "target becomes " + b.Target.String()
	case a.LB != b.LB:
		note = "LB becomes " + b.LB.String()
	}
	if note != "" {
		s.add(`<text class="addr" x="%v" y="31" text-anchor="middle">%v</text>`, x, note)
	}
}
