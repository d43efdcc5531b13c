package html

import (
	"fmt"
	"iter"
	"strings"

	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

// newLadderOf is the ladder of a finding. Of joined captures its times are theirs, each point has a
// line, and a segment that one of them did not see ends on the path before it, or begins there.
func newLadderOf(a *report.Analysis, f *detect.Finding, t *detect.Target, query bool) *ladder {
	if len(a.Points) < 2 || !f.HasStream {
		return newLadder(f, t, query)
	}
	v := vantageOf(f, t)
	v.captured = [2]bool{true, true}
	l := outline(f, v, query)
	l.points, l.views = a.Points, make([]*detect.View, len(a.Points))
	for i := range f.Views {
		v := &f.Views[i]
		l.views[a.OfView(v)] = v
	}
	for i := range a.Clocks {
		if k := &a.Clocks[i].Clock; k.Known {
			l.off = max(l.off, k.Hi-k.Offset, k.Offset-k.Lo)
		}
	}
	l.locate(a)
	l.place()
	return l
}

// at is the point at an end.
func (l *ladder) at(end side) *report.Point {
	return &l.points[[2]int{0, len(l.points) - 1}[end]]
}

// locate finds out when each step was at the points, by the clock of the finding's own capture.
func (l *ladder) locate(a *report.Analysis) {
	way, last := l.way(a), len(a.Points)-1
	for i := range l.steps {
		s := &l.steps[i]
		at := a.At(l.f, s.Evidence)
		if i == 0 {
			l.zero = at
		}
		s.at = since(at, l.zero)
		switch own := a.Own(s.Evidence); own { // where nothing is known
		case 0:
			s.lag = [2]int64{0, way}
		case last:
			s.lag = [2]int64{way, 0}
		default:
			s.lag = [2]int64{way / 2, way / 2}
		}
		s.mids = make([]mid, last-1)
		for _, x := range a.Sightings(l.f, s.Evidence) {
			end := lbSide
			switch x.Point {
			case 0:
			case last:
				end = targetSide
			default:
				if m := &s.mids[x.Point-1]; x.Absent {
					m.absent = true
				} else {
					m.seen, m.at = &x, since(x.At, l.zero)
				}
				continue
			}
			if s.absent[end] = x.Absent; x.Absent {
				continue
			}
			s.seen[end] = &x
			if s.lag[end] = since(x.At, at); end == from(s.Evidence) {
				s.lag[end] = -s.lag[end]
			}
			s.lag[end] = max(s.lag[end], 0) // clocks are known to so much only
		}
		s.order(way / int64(2*last))
	}
}

// order lets a step be at one point after the other on its way. Where an end has nothing of it, it
// came so much further than the last point that has it, or from so much further.
func (s *step) order(further int64) {
	for k := range s.passed() {
		m, sender := &s.mids[k], from(s.Evidence)
		if s.seen[sender] == nil {
			s.lag[sender] = max(s.lag[sender], s.at-m.at+further)
		}
		if s.seen[1-sender] == nil {
			s.lag[1-sender] = max(s.lag[1-sender], m.at-s.at+further)
		}
	}
	for end, absent := range s.absent {
		if absent {
			s.lag[end] = further
			for k := range s.passed() {
				d := s.mids[k].at - s.at
				if side(end) == from(s.Evidence) {
					d = -d
				}
				s.lag[end] = max(s.lag[end], d+further)
			}
		}
	}
	before, last := s.when(from(s.Evidence)), s.when(1-from(s.Evidence))
	for k := range s.passed() {
		m := &s.mids[k]
		m.at = min(max(m.at, before), last)
		before = m.at
	}
}

// passed yields the points between the ends that have a step, on its way.
func (s *step) passed() iter.Seq[int] {
	return func(yield func(int) bool) {
		for k := range s.mids {
			if !s.FromLB {
				k = len(s.mids) - 1 - k
			}
			if s.mids[k].seen != nil && !yield(k) {
				return
			}
		}
	}
}

// way is about how long it takes from one end to the other.
func (l *ladder) way(a *report.Analysis) int64 {
	sum := int64(0)
	for i := range a.Clocks {
		for _, w := range a.Clocks[i].Ways {
			if w.Target == l.f.Target {
				sum += min(max((w.ToTarget+w.ToLB)/2, 0), farFuture/int64(len(a.Clocks)))
			}
		}
	}
	if sum > 0 {
		return sum
	}
	return l.lag[lbSide] + l.lag[targetSide]
}

// frameAt names the frame of a step at an end.
func (l *ladder) frameAt(x *step, end side, frame func(*detect.Evidence) string) string {
	if l.points == nil {
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
	for k := range x.passed() {
		s.add(`<text class="via" x="%v" y="%v">%v</text>`, c.mids[k]+5, x.mids[k].y+11, uintText(x.mids[k].seen.Frame))
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

// missing is the point that a segment did not come to, or come from, although it was seen at the one
// before or behind it; absent at an end.
func (l *ladder) missing(x *step, end side) *report.Point {
	p := l.at(end)
	for k := range x.mids {
		if end == targetSide {
			k = len(x.mids) - 1 - k
		}
		if x.mids[k].seen != nil {
			break
		}
		if x.mids[k].absent {
			p = &l.points[k+1]
		}
	}
	return p
}

// gone says what became of a segment that an end did not see.
func (l *ladder) gone(x *step, end side) string {
	name := l.missing(x, end).Name
	if end == from(x.Evidence) {
		return "not from " + cut(name, 24)
	}
	return "never arrived at " + cut(name, 18)
}

// ended says in words what the lines show of segments that only some points saw.
func (l *ladder) ended() string {
	if l.points == nil {
		return ""
	}
	s := ", with the path between them"
	if n := len(l.points) - 2; n > 0 {
		var names []string
		for i := range n {
			names = append(names, l.points[i+1].Name)
		}
		s = ", with " + strings.Join(names, ", ") + " between them"
	}
	for end, name := range [2]string{"load balancer", "target"} {
		for i := range l.points {
			lost, made := uint64(0), uint64(0)
			for j := range l.steps {
				if x := &l.steps[j]; !x.absent[end] || l.missing(x, side(end)) != &l.points[i] {
					continue
				} else if side(end) == from(x.Evidence) {
					made++
				} else {
					lost++
				}
			}
			if lost > 0 {
				s += fmt.Sprintf(", where %s for the %s end: they never arrived at %s", verb(lost, "ends", "end"), name, l.points[i].Name)
			}
			if made > 0 {
				s += fmt.Sprintf(", where %s in the name of the %s: not from %s", verb(made, "begins", "begin"), name, l.points[i].Name)
			}
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
	off := ""
	if l.off > 0 {
		off = " (± " + text.Span(l.off) + ")"
	}
	s := fmt.Sprintf("Times on the left are those of %s, on the right those of %s, by one clock%s", l.at(lbSide).Name, l.at(targetSide).Name, off)
	if len(l.points) > 2 {
		s += "; at the lines between them stand the frames of those captures; what a point does not have ends on the path before it, or begins behind it."
	} else {
		s += "; what only one of the two has ends on the path between them, or begins there."
	}
	for i := range l.steps {
		if x := &l.steps[i]; x.seen[targetSide] == nil && !x.absent[targetSide] {
			return s + " ≈: estimated, where it is not known whether both have it."
		}
	}
	return s
}

// pathHeads name the line of the path, or those of the points on it, and say which addresses are others
// there.
func (l *ladder) pathHeads(s *svg, c *columns) {
	if len(c.mids) == 0 {
		s.add(`<text class="end path" x="%v" y="14" text-anchor="middle">path</text>`, c.line[pathLine])
		l.renamed(s, c.line[pathLine], len(l.points)-1)
		return
	}
	room := int((c.line[targetSide] - c.line[lbSide]) / float64(len(c.mids)+1) / 8)
	for k, x := range c.mids {
		if room < 3 {
			return
		}
		s.add(`<text class="end path" x="%v" y="14" text-anchor="middle">%v</text>`, x, cut(l.points[k+1].Name, room))
		l.renamed(s, x, k+1)
	}
}

// renamed says which address is another one at a point.
func (l *ladder) renamed(s *svg, x float64, point int) {
	note := ""
	switch a, b := l.views[0], l.views[point]; {
	case a == nil || b == nil:
	case a.Target != b.Target:
		note = "target becomes " + b.Target.String()
	case a.LB != b.LB:
		note = "LB becomes " + b.LB.String()
	}
	if note != "" {
		s.add(`<text class="addr" x="%v" y="31" text-anchor="middle">%v</text>`, x, note)
	}
}

// between are where the lines of the points between the two ends are.
func (l *ladder) between(lb, target float64) (xs []float64) {
	for i := 1; i+1 < len(l.points); i++ {
		xs = append(xs, lb+(target-lb)*float64(i)/float64(len(l.points)-1))
	}
	return xs
}
