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

// The parts of a timeline, px.
const (
	timeWidth = 1040
	timeLeft  = 250 // names of the rules
	timeRight = 16
	timeLane  = 30
	timeBin   = 4 // width of a bar
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
	x := func(ns int64) float64 {
		return timeLeft + float64(since(ns, lo))/float64(since(hi, lo))*(timeWidth-timeLeft-timeRight)
	}
	height := float64(len(by)*timeLane + 32)
	var s svg
	s.add(`<svg class="time" role="group" width="%v" height="%v" viewBox="0 0 %v %v" aria-label="%v">`, timeWidth, height, timeWidth, height,
		"When the findings were, by rule. Each bar is a link to the first finding in it.")
	p.ticks(&s, lo, hi, x, height-28)
	y := 0.0
	for _, r := range detect.Rules {
		if len(by[r]) == 0 {
			continue
		}
		p.timeLane(&s, r, by[r], y, x)
		y += timeLane
	}
	s.add(`</svg>`)
	return s.html()
}

// bin is a bar of a timeline.
type bin struct {
	first *found
	worst detect.Severity
	n     int
}

func (p *page) timeLane(s *svg, r *detect.Rule, fs []*found, y float64, x func(int64) float64) {
	base := y + timeLane - 4
	s.add(`<text class="name" x="0" y="%v">%v</text><text class="count" x="%v" y="%v" text-anchor="end">%v</text>`,
		base-5, r.ID, timeLeft-12, base-5, text.Grouped(uint64(len(fs))))
	s.add(`<path class="base" d="M%v %vH%v"/>`, timeLeft, base, timeWidth-timeRight)
	bins := make([]bin, (timeWidth-timeLeft-timeRight)/timeBin+1)
	most := 1
	for _, f := range fs {
		b := &bins[min(int((x(f.Time)-timeLeft)/timeBin), len(bins)-1)]
		if b.n++; b.n == 1 {
			b.first = f
		}
		b.worst = max(b.worst, f.Severity)
		most = max(most, b.n)
	}
	for i, b := range bins {
		if b.n == 0 {
			continue
		}
		// By the square root, for one finding beside a thousand must still be seen.
		tall := 7 + (timeLane-13)*math.Sqrt(float64(b.n-1)/float64(max(most-1, 1)))
		line := fmt.Sprintf("%s, %s", p.Stamp(b.first.Time), text.Plural(uint64(b.n), "finding"))
		s.add(`<a href="%v" tabindex="-1"><rect class="%v" x="%v" y="%v" width="%v" height="%v"><title>%v</title></rect></a>`,
			fmt.Sprintf("#f%d", b.first.id), "bar "+b.worst.String(), timeLeft+i*timeBin, base-tall, timeBin-1, tall, line)
	}
}

// steps are the distances of ticks.
var steps = []time.Duration{
	time.Microsecond, 10 * time.Microsecond, 100 * time.Microsecond,
	time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	24 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour, 365 * 24 * time.Hour, 10 * 365 * 24 * time.Hour,
}

// ticks are at round times, at most ten.
func (p *page) ticks(s *svg, lo, hi int64, x func(int64) float64, y float64) {
	step := steps[len(steps)-1]
	for _, d := range steps {
		if since(hi, lo)/int64(d) <= 9 {
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
		s.add(`<path class="grid" d="M%v 0V%v"/><text class="tick" x="%v" y="%v" text-anchor="middle">%v</text>`,
			x(t), y+4, min(max(x(t), timeLeft+26), timeWidth-30), y+20, time.Unix(0, t).In(p.Zone).Format(layout))
	}
}
