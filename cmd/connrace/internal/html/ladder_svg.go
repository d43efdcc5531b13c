package html

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"

	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
	"connrace/tcpstate"
)

// The columns of a ladder, px: the two lines, with the descriptions of the frames beside the
// one where they were captured and estimated times beside the other.
const (
	ladderWidth = 880
	marginWidth = 82  // of estimated times
	textWidth   = 318 // of descriptions
	headY       = 46
)

// columns are where a ladder's parts are.
type columns struct {
	line  [3]float64 // the ends' lines, and where that of the path would be
	mids  []float64  // those of the points between
	text  float64    // descriptions begin here
	guess float64    // estimated times
	after string     // text-anchor of those
}

func (l *ladder) columns() columns {
	if l.text() == lbSide {
		return columns{lines(textWidth+12, ladderWidth-marginWidth), l.between(textWidth+12, ladderWidth-marginWidth), 0, ladderWidth - marginWidth + 10, "start"}
	}
	return columns{lines(marginWidth, ladderWidth-textWidth-12), nil, ladderWidth - textWidth, marginWidth - 10, "end"}
}

func lines(lb, target float64) [3]float64 { return [3]float64{lb, target, (lb + target) / 2} }

// x is where a step leaves or arrives at an end, or on the path instead: behind the last point
// that has it.
func (c *columns) x(s *step, end side) float64 {
	x := c.line[end]
	if !s.absent[end] {
		return x
	}
	for k := range s.mids {
		if end == targetSide {
			k = len(s.mids) - 1 - k
		}
		if s.mids[k].seen != nil {
			return (x + c.mids[k]) / 2
		}
		if s.mids[k].absent {
			x = c.mids[k]
		}
	}
	return (x + c.line[1-end]) / 2
}

// draw makes the SVG. frame names a frame, clock writes a time.
func (l *ladder) draw(id int, frame func(*detect.Evidence) string, clock func(int64) string) template.HTML {
	var s svg
	c := l.columns()
	n := len(l.steps) + l.left
	s.add(`<svg class="ladder" role="img" width="%v" height="%v" viewBox="0 0 %v %v" aria-label="%v">`,
		ladderWidth, l.height, ladderWidth, l.height,
		fmt.Sprintf("Sequence of finding %d: %s between the load balancer on the left and the target on the right%s; the table below lists them", id, text.Plural(uint64(n), "segment"), l.ended()))
	l.heads(&s, &c)
	if l.points != nil {
		l.pathHeads(&s, &c)
	}
	l.lines(&s, &c)
	for i := range l.breaks {
		l.breaks[i].draw(&s, &c)
	}
	digits := 0
	for i := range l.steps {
		digits = max(digits, len(l.frameAt(&l.steps[i], l.text(), frame)))
	}
	labels := l.labels(&c)
	// Words over lines: all arrows first.
	for _, words := range []bool{false, true} {
		for i := range l.steps {
			x := &l.steps[i]
			s.add(`<g class="%v"><title>%v</title>`, strings.TrimSpace("seg "+x.class), l.tooltip(x, frame, clock))
			if words {
				labels[i].draw(&s, &c)
				if l.points == nil {
					l.describe(&s, &c, x, frame(x.Evidence), clock(x.Time), digits)
				} else {
					l.describeBoth(&s, &c, x, clock, digits)
				}
			} else {
				x.arrow(&s, &c)
			}
			s.add(`</g>`)
		}
	}
	s.add(`</svg>`)
	return s.html()
}

// heads name the ends.
func (l *ladder) heads(s *svg, c *columns) {
	names := [2]string{"Load balancer", "Target"}
	ends := [2]tcpstate.Endpoint{l.f.LB, l.f.Target}
	for end := range ends {
		if ends[end] == (tcpstate.Endpoint{}) {
			names[end] += "s"
		}
		x, anchor := c.line[end], "middle"
		if side(end) != l.text() { // its name may be long: let it grow inwards
			anchor = [2]string{"start", "end"}[end]
			x = [2]float64{0, ladderWidth}[end]
		}
		note := ""
		if l.points != nil {
			note = " · " + cut(l.at(side(end)).Name, 28-4*min(len(c.mids), 4))
		} else if l.captured[end] {
			note = " · captured here"
		}
		s.add(`<text class="end" x="%v" y="14" text-anchor="%v">%v<tspan class="note">%v</tspan></text>`, x, anchor, names[end], note)
		if ends[end] != (tcpstate.Endpoint{}) {
			s.add(`<text class="addr" x="%v" y="31" text-anchor="%v">%v</text>`, x, anchor, ends[end].String())
		}
	}
}

// lines are the vertical lines, open at the breaks.
func (l *ladder) lines(s *svg, c *columns) {
	for i, x := range append(slices.Clone(c.line[:]), c.mids...) {
		class := "line"
		if i == int(pathLine) {
			if class = "line path"; len(l.points) != 2 {
				continue
			}
		}
		y := float64(headY - 8)
		for _, b := range l.breaks {
			s.add(`<path class="%v" d="M%v %vV%v"/>`, class, x, y, b.from)
			if i < int(pathLine) { // in the middle the time is written
				s.add(`<path class="line off" d="M%v %vV%v"/>`, x, b.from, b.to)
			}
			y = b.to
		}
		s.add(`<path class="%v" d="M%v %vV%v"/>`, class, x, y, l.height-4)
	}
}

// draw shows that the time axis is broken.
func (g *gap) draw(s *svg, c *columns) {
	line := text.Span(g.ns)
	switch {
	case g.left > 0:
		line = text.Plural(uint64(g.left), "segment") + " not drawn, " + line
	case g.idle:
		line = "idle " + line
	}
	class := "gap"
	if g.idle {
		class = "gap idle"
	}
	y := (g.from + g.to) / 2
	s.add(`<g class="%v">`, class)
	for _, x := range c.line[:pathLine] {
		for _, dy := range []float64{-3, 3} {
			s.add(`<path d="M%v %vl4 -4 4 4 4 -4"/>`, x-6, y+dy+2)
		}
	}
	middle := (c.line[lbSide] + c.line[targetSide]) / 2
	w := 7*float64(len([]rune(line))) + 24
	s.add(`<path class="rule" d="M%v %vH%vM%v %vH%v"/>`, c.line[lbSide]+12, y, middle-w/2, middle+w/2, y, c.line[targetSide]-12)
	s.add(`<text x="%v" y="%v" text-anchor="middle">%v</text></g>`, middle, y+4, line)
}

// ends are where a step's arrow starts and where it points.
func (x *step) ends(c *columns) (x0, y0, x1, y1 float64) {
	s := from(x.Evidence)
	return c.x(x, s), x.y[s], c.x(x, 1-s), x.y[1-s]
}

func (x *step) arrow(s *svg, c *columns) {
	x0, y0, x1, y1 := x.ends(c)
	s.add(`<path class="way" d="M%v %v`, x0, y0)
	fx, fy := x0, y0 // where it comes from
	for k := range x.passed() {
		fx, fy = c.mids[k], x.mids[k].y
		s.add(`L%v %v`, fx, fy)
	}
	d := math.Hypot(x1-fx, y1-fy)
	ux, uy := (x1-fx)/d, (y1-fy)/d
	dead := x.dead || x.absent[1-from(x.Evidence)]
	tip := 2.0 // before the line
	if dead {
		tip = 12
	}
	tx, ty := x1-ux*tip, y1-uy*tip
	s.add(`L%v %v"/>`, tx-ux*5, ty-uy*5)
	s.add(`<path class="tip" d="M%v %vL%v %vL%v %vZ"/>`, tx, ty, tx-ux*9-uy*4, ty-uy*9+ux*4, tx-ux*9+uy*4, ty-uy*9-ux*4)
	if dead {
		s.add(`<path class="dead" d="M%v %vl8 8m0 -8l-8 8"/>`, x1-ux*4-4, y1-uy*4-4)
	}
	s.add(`<circle class="dot" cx="%v" cy="%v" r="2.5"/>`, x0, y0)
	for k := range x.passed() {
		s.add(`<circle class="dot" cx="%v" cy="%v" r="2.5"/>`, c.mids[k], x.mids[k].y)
	}
}

// describe writes frame, time and note beside the end where it was captured, and the
// estimated time beside the other.
func (l *ladder) describe(s *svg, c *columns, x *step, frame, clock string, digits int) {
	y := x.y[l.text()] + 4
	right := c.text + 7.3*float64(digits)
	s.add(`<text class="frame" x="%v" y="%v" text-anchor="end">%v</text>`, right, y, frame)
	s.add(`<text class="time" x="%v" y="%v">%v  <tspan class="off">%v</tspan></text>`, right+9, y, clock, l.offset(x.at))
	for i, n := range x.notes {
		s.add(`<text class="note" x="%v" y="%v">%v</text>`, right+9, y+lineHeight*float64(i+1), n)
	}
	if far := 1 - l.text(); !l.captured[far] && (x.lag[far] > 0) {
		s.add(`<text class="guess" x="%v" y="%v" text-anchor="%v">%v</text>`, c.guess, x.y[far]+4, c.after, "≈ "+l.offset(x.when(far)))
	}
}

// offset is a time relative to the first segment behind the idle time.
func (l *ladder) offset(at int64) string {
	zero := l.steps[0].at
	if len(l.steps) > 1 && l.steps[0].Evidence == l.f.IdleFrom {
		zero = l.steps[1].at
	}
	d, sign := since(at, zero), "+"
	switch {
	case d == 0:
		return "0"
	case d < 0:
		d, sign = -d, "−"
	}
	return sign + text.Short(d)
}

// tooltip says all of a segment, with absolute numbers.
func (l *ladder) tooltip(x *step, frame func(*detect.Evidence) string, clock func(int64) string) string {
	way := "target → LB"
	if x.FromLB {
		way = "LB → target"
	}
	return fmt.Sprintf("Frame %s, %s, %s\n%s %s, stream %d\n%s", frame(x.Evidence), clock(x.Time), way,
		flagNames(x.Flags), absolute(x.Evidence), x.Stream, text.Clean(x.Note))
}

// proof says by which numbers it is known what the request and the close of the other side had
// to do with each other, as relative numbers, like those of the arrows; "": nothing is shown.
func (l *ladder) proof() string {
	es := report.Story(l.f)
	bs := report.NewRelative(l.f, es)
	var request, close *detect.Evidence
	for _, e := range es {
		switch e.Role {
		case detect.RoleRequest:
			if request == nil {
				request = e
			}
		case detect.RoleCloseNotify, detect.RoleFIN, detect.RoleRST, detect.RoleLBFIN, detect.RoleLBRST:
			if close == nil && e.Flags.Has(tcpstate.ACK) && (request == nil || e.FromLB != request.FromLB) {
				close = e
			}
		}
	}
	if request == nil || close == nil || request.FromLB == close.FromLB || request.Stream != close.Stream || request.Capture != close.Capture ||
		!request.Flags.Has(tcpstate.ACK) {
		return ""
	}
	what := "FIN"
	switch {
	case close.Role == detect.RoleCloseNotify:
		what = "close_notify"
	case close.Flags.Has(tcpstate.RST):
		what = "RST"
	}
	rseq, rack := bs.Numbers(l.f, request)
	cseq, cack := bs.Numbers(l.f, close)
	switch {
	case crossed(request, close):
		return fmt.Sprintf("Neither had seen the other: the request has ack %d ≤ seq %d of the %s, which has ack %d ≤ seq %d of the request.",
			rack, cseq, what, cack, rseq)
	case hadSeen(close, request):
		return fmt.Sprintf("The %s was sent after the request had come: its ack %d > seq %d of the request.", what, cack, rseq)
	case hadSeen(request, close):
		return fmt.Sprintf("The request was sent after the %s had come: its ack %d > seq %d of the %[1]s.", what, rack, cseq)
	}
	return ""
}

// caption says how far the drawing can be trusted.
func (l *ladder) caption() string {
	const scale = " Distances are not to scale."
	if l.points != nil {
		return l.captionBoth() + scale
	}
	if !l.rtt.Known {
		return "The round trip time is not known: when a segment was at the other end is not shown." + scale
	}
	by := "estimated from the round trip time, " + text.Short(l.rtt.NS) + "."
	switch {
	case l.captured[targetSide]:
		return "Times are those at the target, where the capture was taken; at the load balancer (≈) they are " + by + scale
	case l.captured[lbSide]:
		return "Times are those at the load balancer, where the capture was taken; at the target (≈) they are " + by + scale
	}
	return "Times are those of the capture, which was not taken at either end, or it does not show where; at the load balancer (≈) they are " + by + scale
}
