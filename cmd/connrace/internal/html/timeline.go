package html

import (
	"fmt"
	"html/template"
	"math"
	"time"

	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

// The parts of a timeline. Like a histogram it is as wide as the page.
const (
	timeHead = 20 // px, a lane's name
	timeLane = 34 // px, the bars
	timeGap  = 8
	timeFoot = 44
	timeBins = 150 // bars beside one another
)

// timeline shows when the findings of an analysis were, a lane for each rule.
type timeline struct {
	Capture string // where there are several
	SVG     template.HTML
}

// mostTimelines is how many analyses get one.
const mostTimelines = 12

func (p *page) timelines() []timeline {
	by := map[*report.Analysis][]*found{}
	for _, f := range p.found {
		if f.Time != 0 {
			by[f.a] = append(by[f.a], f)
		}
	}
	var ts []timeline
	for i := range p.r.Analyses {
		a := &p.r.Analyses[i]
		if len(by[a]) == 0 || len(ts) == mostTimelines {
			continue
		}
		t := timeline{SVG: p.timeline(a, by[a])}
		if len(p.r.Analyses) > 1 {
			t.Capture = p.fileNames(a)
		}
		ts = append(ts, t)
	}
	return ts
}

// axisOf is the time axis: that of the captures, wider where findings lie outside, and
// never empty, not even where time ends (the year 2262).
func (p *page) axisOf(a *report.Analysis, fs []*found) (lo, hi int64) {
	lo, hi = fs[0].Time, fs[0].Time
	for _, f := range fs {
		lo, hi = min(lo, f.Time), max(hi, f.Time)
	}
	for _, i := range a.Captures {
		if c := &p.r.Captures[i]; c.First != 0 {
			lo, hi = min(lo, c.First), max(hi, c.Last)
		}
	}
	switch {
	case lo < hi:
	case hi < math.MaxInt64:
		hi++
	default:
		lo--
	}
	return lo, hi
}

func (p *page) timeline(a *report.Analysis, fs []*found) template.HTML {
	lo, hi := p.axisOf(a, fs)
	by := map[*detect.Rule][]*found{}
	for _, f := range fs {
		by[f.Rule] = append(by[f.Rule], f)
	}
	x := func(ns int64) percent { return percent(float64(since(ns, lo)) / float64(since(hi, lo))) }
	height := float64(len(by)*(timeHead+timeLane+timeGap) + timeFoot)
	var s svg
	s.add(`<svg class="time" role="group" width="100%%" height="%v" aria-label="%v">`, height,
		"When the findings were, by rule. Each bar is a link to the first finding in it; the arrow keys move along a lane.")
	p.ticks(&s, lo, hi, x, height-timeFoot)
	y := 0.0
	for _, r := range detect.Rules {
		if len(by[r]) == 0 {
			continue
		}
		p.timeLane(&s, r, by[r], y, x)
		y += timeHead + timeLane + timeGap
	}
	s.add(`<text class="tick" x="0" y="%v">%v</text></svg>`, height-4, "A bar is "+text.Short(since(hi, lo)/timeBins)+" wide.")
	return s.html()
}

// bin is a bar of a timeline.
type bin struct {
	first *found
	worst detect.Severity
	n     int
}

// timeLane draws the bars of a rule. Their scale is the lane's own: from none at its foot to the
// most in a bar at its head.
func (p *page) timeLane(s *svg, r *detect.Rule, fs []*found, y float64, x func(int64) percent) {
	base := y + timeHead + timeLane
	bins := make([]bin, timeBins)
	most := 1
	for _, f := range fs {
		b := &bins[min(int(x(f.Time)*timeBins), timeBins-1)]
		if b.n++; b.n == 1 {
			b.first = f
		}
		b.worst = max(b.worst, f.Severity)
		most = max(most, b.n)
	}
	s.add(`<g class="lane"><text class="name" x="0" y="%v">%v<tspan class="count" dx="8">%v</tspan></text>`,
		y+13, r.Title, text.Plural(uint64(len(fs)), "finding"))
	s.add(`<text class="count" x="100%%" y="%v" text-anchor="end">%v</text>`, y+13, fmt.Sprintf("▔ %s in a bar", text.Grouped(uint64(most))))
	for _, at := range []float64{base - timeLane, base} {
		s.add(`<line class="base" x1="0" x2="100%%" y1="%v" y2="%v"/>`, at, at)
	}
	tab := 0 // the first bar can be reached by Tab, from there the others
	for i, b := range bins {
		if b.n == 0 {
			continue
		}
		tall := max(timeLane*float64(b.n)/float64(most), 3) // one beside a thousand must still be seen
		line := fmt.Sprintf("%s, %s", p.Stamp(b.first.Time), text.Plural(uint64(b.n), "finding"))
		s.add(`<a href="%v" tabindex="%v" aria-label="%v"><rect class="%v" x="%v" y="%v" width="%v" height="%v"><title>%v</title></rect></a>`,
			fmt.Sprintf("#f%d", b.first.id), tab, r.Title+", "+line, "bar "+b.worst.String(), percent(i)/timeBins, base-tall, percent(0.8)/timeBins, tall, line)
		tab = -1
	}
	s.add(`</g>`)
}

// steps are the distances of ticks.
var steps = []time.Duration{
	time.Microsecond, 2 * time.Microsecond, 5 * time.Microsecond,
	10 * time.Microsecond, 20 * time.Microsecond, 50 * time.Microsecond,
	100 * time.Microsecond, 200 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond,
	10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 20 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	24 * time.Hour, 2 * 24 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour, 365 * 24 * time.Hour, 10 * 365 * 24 * time.Hour,
}

// mostTicks is how many labels a narrow screen has room for, less one.
const mostTicks = 4

// ticks are at round times.
func (p *page) ticks(s *svg, lo, hi int64, x func(int64) percent, y float64) {
	step := steps[len(steps)-1]
	for _, d := range steps {
		if since(hi, lo)/int64(d) <= mostTicks {
			step = d
			break
		}
	}
	layout := "15:04:05"
	switch {
	case step >= 24*time.Hour:
		layout = "2006-01-02"
	case step < time.Second:
		layout = "15:04:05.000000"
	case !p.OneDay && step >= time.Minute:
		layout = "01-02 15:04"
	}
	// Round in the zone that is shown.
	_, offset := time.Unix(0, lo).In(p.Zone).Zone()
	past := (lo%int64(step) + int64(offset)*1e9%int64(step)) % int64(step) // since the last round time
	if past < 0 {
		past += int64(step)
	}
	span := since(hi, lo)
	for n, at := 0, (int64(step)-past)%int64(step); at <= span && n < 12; n, at = n+1, at+int64(step) {
		t := lo + at
		s.add(`<line class="grid" x1="%v" x2="%v" y1="0" y2="%v"/><text class="tick" x="%v" y="%v" text-anchor="%v">%v</text>`,
			x(t), x(t), y+4, x(t), y+18, x(t).anchor(), time.Unix(0, t).In(p.Zone).Format(layout))
	}
}
