package html

import (
	"math"
	"unicode/utf8"

	"connrace/cmd/connrace/internal/report"
)

// label is the text along an arrow: what the segment carries above, the numbers below, or
// above where there is nothing else.
type label struct {
	*step
	title, numbers string
	ends           [2]float64 // of its arrow, px right of the LB's line: the left one and the right one
	between        []float64  // the lines of points between, likewise
	at             float64    // where it begins, px along the arrow from its left end
	anchor         string     // where its place is sure, for nobody knows how wide a font is
}

const (
	labelIndent = 10
	labelTip    = 8 // the arrow's
	labelStep   = 7 // px between the points that are looked at
)

// width is about how long the label is.
func (b *label) width() float64 {
	return max(7.4*float64(utf8.RuneCountInString(b.title)), 6.7*float64(utf8.RuneCountInString(b.numbers)))
}

// span is what the label covers above and below its arrow.
func (b *label) span() (above, below float64) {
	if b.title == "" {
		return -15, 1
	}
	return -16, 16
}

// height is where its arrow is, x px right of the LB's line.
func (b *label) height(x float64) float64 {
	x0, y0, x1, y1 := b.ends[0], b.y[lbSide], b.ends[1], b.y[targetSide]
	for k := range b.mids { // between those that are next to x
		switch m := &b.mids[k]; {
		case m.seen == nil:
		case b.between[k] <= x:
			x0, y0 = b.between[k], m.y
		case b.between[k] < x1:
			x1, y1 = b.between[k], m.y
		}
	}
	return y0 + (y1-y0)*(x-x0)/(x1-x0)
}

// below reports whether its arrow goes by there.
func (b *label) below(x float64) bool { return x >= b.ends[0] && x <= b.ends[1] }

// labels finds a place for the label of each step.
func (l *ladder) labels(c *columns) []label {
	bs := report.NewRelative(l.f, report.Story(l.f))
	all := make([]label, len(l.steps))
	for i := range all {
		x := &l.steps[i]
		all[i] = label{step: x, title: cut(x.title, 36), numbers: flagNames(x.Flags) + " " + numbers(bs, l.f, x.Evidence)}
		for end := range all[i].ends {
			all[i].ends[end] = c.x(x, side(end)) - c.line[lbSide]
		}
		for _, x := range c.mids {
			all[i].between = append(all[i].between, x-c.line[lbSide])
		}
	}
	for i := range all {
		all[i].settle(all, i)
	}
	return all
}

// settle chooses the place where the label hides least of the other arrows and of the labels
// before it: at best at the sender's end, where one looks for it.
func (b *label) settle(all []label, i int) {
	dy := b.y[targetSide] - b.y[lbSide]
	room := math.Hypot(b.ends[1]-b.ends[0], dy) - b.width()
	first, last := float64(labelIndent), room-labelIndent-labelTip
	if !b.FromLB {
		first, last = labelIndent+labelTip, room-labelIndent
	}
	best := math.Inf(1)
	for _, part := range []float64{0, 1, 0.5, 0.25, 0.75} {
		if !b.FromLB {
			part = 1 - part
		}
		at := first + part*(last-first)
		if n := b.hides(all, i, b.ends[0]+at); n < best {
			best, b.at = n, at
			b.anchor = "middle"
			if part == 0 {
				b.anchor = "start"
			} else if part == 1 {
				b.anchor = "end"
			}
		}
	}
}

// hides counts what would be behind the label: arrows, and twice the texts of labels that
// have their places.
func (b *label) hides(all []label, i int, at float64) (n float64) {
	above, below := b.span()
	for x := max(at, b.ends[0]); x <= min(at+b.width(), b.ends[1]); x += labelStep {
		y := b.height(x)
		for j := range all {
			o := &all[j]
			d := o.height(x) - y
			if j != i && o.below(x) && d > above && d < below {
				n++
				if o.class == "lost" {
					n += 3 // the arrow that one looks for
				}
			}
			if up, down := o.span(); j < i && x >= o.ends[0]+o.at && x <= o.ends[0]+o.at+o.width() && d+down > above && d+up < below {
				n += 2
			}
		}
	}
	return n
}

func (b *label) draw(s *svg, c *columns) {
	// An arrow that bends where a point saw it is followed from where the label begins to where it ends.
	part := b.width() / math.Hypot(b.ends[1]-b.ends[0], b.y[targetSide]-b.y[lbSide])
	x0 := b.ends[0] + b.at/b.width()*part*(b.ends[1]-b.ends[0])
	x1 := x0 + part*(b.ends[1]-b.ends[0])
	y0 := b.height(x0)
	turn := math.Atan2(b.height(x1)-y0, x1-x0)
	at := map[string]float64{"middle": b.width() / 2, "end": b.width()}[b.anchor]
	s.add(`<g transform="translate(%v %v) rotate(%v)" text-anchor="%v">`, c.line[lbSide]+x0, y0, turn*180/math.Pi, b.anchor)
	y := -5
	if b.title != "" {
		s.add(`<text class="what" x="%v" y="%v">%v</text>`, at, y, b.title)
		y = 13
	}
	s.add(`<text class="tcp" x="%v" y="%v">%v</text></g>`, at, y, b.numbers)
}
