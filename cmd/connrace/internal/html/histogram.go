package html

import (
	"cmp"
	"fmt"
	"html/template"
	"math"

	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

// The heights of a histogram, px. Its width is that of the page: horizontal places are
// percent of it, so that nothing is cut away on a small screen and letters stay as large as
// they are.
const (
	timerHead  = 15 // a timer's name
	laneHeight = 40
	laneHead   = 18 // a lane's name
	laneGap    = 8
	axisHeight = 30
)

// lane is one of the histograms that share a time axis.
type lane struct {
	class, name, noun string
	h                 *detect.Histogram
}

// hist draws the idle gaps of a target's connections: those after which a request came and
// was answered, and those after which either side closed, on one logarithmic axis.
type hist struct {
	svg
	lo, hi int // buckets drawn: [lo, hi)
	height float64
}

// histogram is the drawing; empty where there is nothing to draw.
func histogram(t *detect.Target) template.HTML {
	lanes := []lane{
		{"reuse", "Reused, answered", "request", cmp.Or(t.Reuses, new(detect.Histogram))},
		{"target", "Target closed", "close", cmp.Or(t.TargetCloses, new(detect.Histogram))},
		{"lb", "Load balancer closed", "close", cmp.Or(t.LBCloses, new(detect.Histogram))},
	}
	timers := timersOf(t)
	top := 8 + float64(timerHead*len(timers))
	h := &hist{lo: len(t.Reuses), height: top + float64(len(lanes))*(laneHead+laneHeight+laneGap) + axisHeight}
	for _, l := range lanes {
		for i, n := range l.h {
			if n > 0 {
				h.lo, h.hi = min(h.lo, i), max(h.hi, i+1)
			}
		}
	}
	if h.hi == 0 || len(timers) == 0 && gapOf(h.hi) <= 100e6 {
		return "" // nothing was ever idle
	}
	for _, x := range timers {
		i := int(math.Floor(bucketOf(x.ns)))
		h.lo, h.hi = min(h.lo, i), max(h.hi, i+1)
	}
	h.lo, h.hi = max(h.lo-2, 0), min(h.hi+2, len(t.Reuses))
	for h.hi-h.lo < 16 { // two decades at least would be nice; four octaves must be
		h.lo, h.hi = max(h.lo-1, 0), min(h.hi+1, len(t.Reuses))
	}
	h.add(`<svg class="hist" role="img" width="100%%" height="%v" aria-label="%v">`, h.height, words(t, lanes))
	h.danger(t, top)
	for i := range lanes {
		h.lane(&lanes[i], top+float64(i)*(laneHead+laneHeight+laneGap))
	}
	h.axis()
	h.timers(timers)
	h.add(`</svg>`)
	return h.html()
}

// words describe the drawing to those who cannot see it.
func words(t *detect.Target, lanes []lane) string {
	s := "Idle gaps of the connections to " + t.Target.String() + ":"
	for _, l := range lanes {
		var n uint64
		for _, k := range l.h {
			n += uint64(k)
		}
		s += fmt.Sprintf(" %s: %s.", l.name, text.Plural(n, l.noun))
	}
	for _, x := range timersOf(t) {
		s += " " + x.text + "."
	}
	return s
}

// bucketOf is the place of a gap on the axis, in buckets.
func bucketOf(ns int64) float64 {
	return min(max(4*math.Log2(max(float64(ns), 1)/1e6), 0), float64(len(detect.Histogram{})))
}

// gapOf is where a bucket begins, ns.
func gapOf(bucket int) int64 { return int64(1e6 * math.Exp2(float64(bucket)/4)) }

// x is the place of a bucket.
func (h *hist) x(bucket float64) percent {
	return percent((bucket - float64(h.lo)) / float64(h.hi-h.lo))
}

func (h *hist) lane(l *lane, y float64) {
	most, sum := uint32(0), uint64(0)
	for _, n := range l.h {
		most, sum = max(most, n), sum+uint64(n)
	}
	base := y + laneHead + laneHeight
	h.add(`<text class="name" x="0" y="%v">%v<tspan class="count" dx="8">%v</tspan></text>`, y+12, l.name, text.Plural(sum, l.noun))
	h.add(`<line class="base" x1="0" x2="100%%" y1="%v" y2="%v"/>`, base, base)
	for i := h.lo; i < h.hi; i++ {
		n := l.h[i]
		if n == 0 {
			continue
		}
		tall := max(float64(n)/float64(most)*(laneHeight-2), 2)
		x := h.x(float64(i))
		h.add(`<rect class="%v" x="%v" y="%v" width="%v" height="%v"><title>%v</title></rect>`, "bar "+l.class,
			x, base-tall, h.x(float64(i+1))-x, tall, h.bucket(i)+": "+text.Plural(uint64(n), l.noun))
	}
}

// bucket names a bucket's bounds.
func (h *hist) bucket(i int) string {
	switch i {
	case 0:
		return "below " + text.Short(gapOf(1))
	case len(detect.Histogram{}) - 1:
		return "over " + text.Short(gapOf(i))
	}
	return text.Short(gapOf(i)) + " to " + text.Short(gapOf(i+1))
}

// danger is the stretch in which the LB still sends on a connection that the target closes.
func (h *hist) danger(t *detect.Target, top float64) {
	if t.Idle == nil || t.LBIdle != nil && t.LBIdle.NS <= t.Idle.NS {
		return
	}
	x, end := h.x(bucketOf(t.Idle.NS)), percent(1)
	if t.LBIdle != nil {
		end = h.x(bucketOf(t.LBIdle.NS))
	}
	h.add(`<rect class="danger" x="%v" y="%v" width="%v" height="%v"><title>%v</title></rect>`, x, top-4, max(end-x, 0), h.height-top-axisHeight+4,
		"The target has closed by now, but the load balancer may still send")
}

// tickRoom is how much of a narrow screen a tick's label needs.
const tickRoom percent = .13

// axis has a tick at each round time, as far as there is room.
func (h *hist) axis() {
	y := h.height - axisHeight
	h.add(`<line class="axis" x1="0" x2="100%%" y1="%v" y2="%v"/>`, y, y)
	last := percent(math.Inf(-1))
	for _, s := range []float64{
		.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400,
	} {
		b := bucketOf(int64(s * 1e9))
		x := h.x(b)
		if b < float64(h.lo) || b > float64(h.hi) || x-last < tickRoom {
			continue
		}
		last = x
		h.add(`<line class="axis" x1="%v" x2="%v" y1="%v" y2="%v"/><text class="tick" x="%v" y="%v" text-anchor="%v">%v</text>`,
			x, x, y, y+5, x, y+17, x.anchor(), tickText(s))
	}
}

func tickText(s float64) string {
	switch {
	case s >= 3600:
		return fmt.Sprintf("%v h", s/3600)
	case s >= 60:
		return fmt.Sprintf("%v min", s/60)
	}
	return text.Short(int64(math.Round(s * 1e9)))
}

// mark is a time drawn into the histogram.
type mark struct {
	class, text string
	ns          int64
}

func timersOf(t *detect.Target) []mark {
	var ms []mark
	if t.LongestReuse.Known {
		ms = append(ms, mark{"reuse", "longest answered reuse " + text.Short(t.LongestReuse.NS), t.LongestReuse.NS})
	}
	if t.Idle != nil {
		ms = append(ms, mark{"target", "target closes after " + text.Short(t.Idle.NS), t.Idle.NS})
	}
	if t.LBIdle != nil {
		ms = append(ms, mark{"lb", "LB closes after " + text.Short(t.LBIdle.NS), t.LBIdle.NS})
	}
	return ms
}

// timers are drawn through all lanes, each with its name on a line of its own.
func (h *hist) timers(ms []mark) {
	for i, m := range ms {
		x, y := h.x(bucketOf(m.ns)), float64(12+timerHead*i)
		anchor, dx := "start", 5.0
		if x > .5 {
			anchor, dx = "end", -5
		}
		h.add(`<line class="%v" x1="%v" x2="%v" y1="%v" y2="%v"/>`, "timer "+m.class, x, x, y-8, h.height-axisHeight)
		h.add(`<text class="%v" x="%v" dx="%v" y="%v" text-anchor="%v">%v</text>`, "label "+m.class, x, dx, y+1, anchor, m.text)
	}
}
