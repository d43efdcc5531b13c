package html

import (
	"cmp"
	"math"
	"slices"

	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
	"connrace/tcpstate"
)

// side is an end of the connection.
type side int

const (
	lbSide side = iota
	targetSide
	pathLine // between the two, where joined captures show that something lies there
	firstMid // of the points between the two, from the LB on
)

func from(e *detect.Evidence) side {
	if e.FromLB {
		return lbSide
	}
	return targetSide
}

// ladder is the sequence diagram of a finding: the LB's line on the left, the target's on
// the right, time downwards. A frame's time is that of the place of capture; when the
// segment was at an end where nothing was captured is estimated with the round trip time.
// Distances are not to scale, but the order of what happened at each end is kept: segments
// that crossed are arrows that cross.
type ladder struct {
	f *detect.Finding
	vantage
	points []report.Point // of joined captures, along the path; nil: of one
	views  []*detect.View // the connection at each of them; nil: it is not there
	off    int64          // by how much their clocks may be off
	zero   int64          // time of the first step, of joined captures
	steps  []step
	breaks []gap
	left   int // steps left out
	height float64
}

// vantage is where the capture was taken.
type vantage struct {
	captured [2]bool  // at which end; neither: in between, or nobody knows
	lag      [2]int64 // how far the ends are away, ns
	rtt      detect.Duration
}

// text is the end beside which the frames are described.
func (v *vantage) text() side {
	if v.captured[lbSide] {
		return lbSide
	}
	return targetSide
}

// step is a segment of the ladder.
type step struct {
	*detect.Evidence
	at    int64      // ns after the first step; never decreasing
	lag   [2]int64   // by how much its times at the two ends differ from at
	y     [2]float64 // where it leaves or arrives at the two ends
	notes []string   // what it shows, in lines
	look

	seen   [2]*report.Sighting // where joined captures have it; nil: an end does not, or there is one capture
	absent [2]bool             // it was not at that end: it ended on the path, or began there
	mids   []mid               // what the points between the two ends have of it
}

// mid is a segment at a point between the two ends.
type mid struct {
	seen   *report.Sighting // nil: the point does not have it
	absent bool             // it did not come by
	at     int64            // ns after the first step
	y      float64
}

// when is the time at an end, ns after the first step.
func (s *step) when(at side) int64 {
	if at == from(s.Evidence) {
		return s.at - s.lag[at]
	}
	return s.at + s.lag[at]
}

// gap is a stretch of time in which nothing happened, drawn shorter than it was.
type gap struct {
	from, to float64
	ns       int64
	idle     bool // the idle time of the incident
	left     int  // > 0: so many steps are left out here
}

const (
	mostSteps  = 22 // that are drawn
	headSteps  = 16 // of them before what is left out
	farFuture  = int64(1) << 60
	noteWidth  = 48 // characters
	firstY     = 66
	lineHeight = 14
)

// newLadder lays the evidence of a finding out. t, the target's figures, may be nil.
func newLadder(f *detect.Finding, t *detect.Target, query bool) *ladder {
	l := outline(f, vantageOf(f, t), query)
	l.bound()
	l.cross()
	l.place()
	return l
}

// outline are the steps of a ladder without their places.
func outline(f *detect.Finding, v vantage, query bool) *ladder {
	l := &ladder{f: f, vantage: v}
	es := report.Story(f)
	if len(es) > mostSteps {
		l.left = len(es) - mostSteps
		es = slices.Concat(es[:headSteps], es[len(es)-(mostSteps-headSteps):])
	}
	for i, e := range es {
		s := step{Evidence: e, at: since(e.Time, es[0].Time), look: lookOf(f, e, query), notes: text.Wrap(text.Clean(e.Note), noteWidth, " ")}
		if i > 0 {
			s.at = max(s.at, l.steps[i-1].at)
		}
		l.steps = append(l.steps, s)
	}
	return l
}

// since is a - b without overflow.
func since(a, b int64) int64 {
	d := a - b
	if (d < 0) != (a < b) || d > farFuture || d < -farFuture {
		return int64(cmp.Compare(a, b)) * farFuture
	}
	return d
}

// vantageOf is where a finding was captured, by what is known of its target.
func vantageOf(f *detect.Finding, t *detect.Target) vantage {
	v := vantage{rtt: f.Measures.RTT}
	place := ""
	if t != nil {
		place = t.Vantage
		if !v.rtt.Known {
			v.rtt = t.RTTMedian
		}
	}
	ns := int64(0)
	if v.rtt.Known {
		ns = min(max(v.rtt.NS, 0), farFuture)
	}
	switch place {
	case "target":
		v.captured[targetSide], v.lag[lbSide] = true, ns/2
	case "lb":
		v.captured[lbSide], v.lag[targetSide] = true, ns/2
	default:
		v.lag = [2]int64{ns / 4, ns / 4}
	}
	return v
}

// bound keeps cause before effect: what an end had seen when it sent something had got there
// by then, however long the round trip otherwise takes.
func (l *ladder) bound() {
	most := [2]int64{farFuture, farFuture}
	for i := range l.steps {
		for j := range l.steps[:i] {
			a, b := &l.steps[i], &l.steps[j]
			if end, d := from(a.Evidence), a.at-b.at; d > 0 && hadSeen(a.Evidence, b.Evidence) {
				most[end] = min(most[end], d/2)
			}
		}
	}
	if all := l.lag[lbSide] + l.lag[targetSide]; l.captured == [2]bool{} {
		// What one end cannot have is the other's.
		l.lag[targetSide] = min(all/2, most[targetSide])
		l.lag[lbSide] = min(all-l.lag[targetSide], most[lbSide])
		l.lag[targetSide] = min(all-l.lag[lbSide], most[targetSide])
	}
	for i := range l.steps {
		l.steps[i].lag = [2]int64{min(l.lag[lbSide], most[lbSide]), min(l.lag[targetSide], most[targetSide])}
	}
}

// hadSeen reports whether the sender of a had seen b: it acknowledges it, or resets in reply
// to it (RFC 9293 §3.5.2: such an RST takes its sequence number from the acknowledgment).
func hadSeen(a, b *detect.Evidence) bool {
	switch {
	case a.FromLB == b.FromLB || a.Stream != b.Stream || a.Capture != b.Capture:
		return false
	case a.Flags.Has(tcpstate.ACK):
		return occupies(b) && a.Ack.After(b.Seq)
	}
	return a.Flags.Has(tcpstate.RST) && b.Flags.Has(tcpstate.ACK) && a.Seq == b.Ack
}

// occupies reports whether a segment takes sequence numbers, so that it can be acknowledged.
func occupies(e *detect.Evidence) bool {
	return e.Len > 0 || e.Flags.Has(tcpstate.SYN) || e.Flags.Has(tcpstate.FIN)
}

// cross makes the arrows of segments cross that did cross, by their acknowledgments, where
// the round trip time alone, which varies, would not show it.
func (l *ladder) cross() {
	longest := max(8*(l.lag[lbSide]+l.lag[targetSide]), 200e6)
	for i := range l.steps {
		for j := range l.steps[:i] {
			a, b := &l.steps[i], &l.steps[j]
			end, d := from(a.Evidence), a.at-b.at
			if l.captured[end] || d > longest || !crossed(a.Evidence, b.Evidence) {
				continue
			}
			// At the end where a left, b must arrive later.
			if a.lag[end]+b.lag[end] <= d {
				a.lag[end], b.lag[end] = max(a.lag[end], d*11/20), max(b.lag[end], d*11/20)
			}
		}
	}
}

// crossed reports whether neither sender had seen the other's segment (detect's order of
// decision): both acknowledge less than the other's first sequence number.
func crossed(a, b *detect.Evidence) bool {
	if a.FromLB == b.FromLB || a.Stream != b.Stream || a.Capture != b.Capture {
		return false
	}
	for _, e := range []*detect.Evidence{a, b} {
		if !e.Flags.Has(tcpstate.ACK) || e.Flags.Has(tcpstate.SYN) || !occupies(e) && !e.Flags.Has(tcpstate.RST) {
			return false
		}
	}
	return a.Ack.AtOrBefore(b.Seq) && b.Ack.AtOrBefore(a.Seq)
}

// moment is a step at one of the lines.
type moment struct {
	t    int64
	step int
	end  side
	send bool
}

// moments are all of them in order of time.
func (l *ladder) moments() []moment {
	var ms []moment
	for i := range l.steps {
		s := &l.steps[i]
		sender := from(s.Evidence)
		ms = append(ms, moment{s.when(sender), i, sender, true})
		for k := range s.passed() {
			ms = append(ms, moment{s.mids[k].at, i, firstMid + side(k), false})
		}
		ms = append(ms, moment{s.when(1 - sender), i, 1 - sender, false})
	}
	slices.SortStableFunc(ms, func(a, b moment) int { return cmp.Compare(a.t, b.t) })
	return ms
}

// place gives everything its height.
func (l *ladder) place() {
	unit := int64(1) // the longest way
	for i := range l.steps {
		unit = max(unit, l.steps[i].lag[lbSide]+l.steps[i].lag[targetSide])
	}
	// A long way slopes more than a short one: 14 px at 50 µs, 10 more for each power of ten.
	reach := 4.0
	if unit > 1 {
		reach = min(max(14+10*math.Log10(float64(unit)/50e3), 10), 50)
	}
	y, flying := float64(firstY), 0
	least := slices.Repeat([]float64{firstY}, int(firstMid)+max(len(l.points)-2, 0)) // where the next one fits at each line
	var before *moment
	for _, m := range l.moments() {
		s := &l.steps[m.step]
		if before != nil {
			if g, ok := l.gap(before, &m, flying); ok {
				g.from = max(y, least[lbSide]-8, least[targetSide]-8) + 4
				g.to = g.from + 34
				l.breaks = append(l.breaks, g)
				y = g.to + 18
			} else {
				y += reach * min(float64(m.t-before.t)/float64(unit), 1)
			}
		}
		lane := m.end
		if m.end < pathLine && s.absent[m.end] && m.end != l.text() {
			lane = pathLine
		}
		y = max(y, least[lane])
		least[lane] = y + l.room(s, m)
		if m.end >= firstMid {
			s.mids[m.end-firstMid].y = y
			before = &m
			continue
		}
		s.y[m.end] = y
		if m.send {
			flying++
		} else {
			flying--
		}
		before = &m
	}
	l.height = max(y+28, least[l.text()]) + 6
}

// room is how much a step needs below itself at an end.
func (l *ladder) room(s *step, m moment) float64 {
	switch {
	case m.end == l.text():
		return 22 + lineHeight*float64(max(len(s.notes), 1))
	case m.end >= firstMid:
		return 6
	case m.send || l.points != nil:
		return 30
	}
	return 17
}

// gap decides whether the time between two moments is broken.
func (l *ladder) gap(a, b *moment, flying int) (gap, bool) {
	g := gap{ns: l.steps[b.step].at - l.steps[a.step].at}
	if flying > 0 {
		return g, false
	}
	if l.left > 0 && b.step == headSteps {
		g.left = l.left
		return g, true
	}
	g.idle = l.f.IdleFrom != nil && l.steps[a.step].Evidence == l.f.IdleFrom
	if g.idle && l.f.Measures.Idle.Known {
		g.ns = l.f.Measures.Idle.NS
	}
	return g, b.t-a.t >= 150e6 || g.idle && b.t-a.t >= 5e6
}
