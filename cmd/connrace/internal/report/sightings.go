package report

import (
	"connrace/cmd/connrace/internal/lblog"
	"connrace/detect"
)

// Sighting is a segment of evidence at one of several points of the path.
type Sighting struct {
	Point   int // place in Analysis.Points
	Capture int // index in Report.Captures
	Frame   uint64
	Time    int64 // by the point's own clock
	At      int64 // by that of the finding's own capture
	Absent  bool  // it did not come by, although the point was capturing; Capture and what follows are 0
}

// A Filter selects a finding's connection in one of several joined captures.
type Filter struct{ Capture, Text string }

// OtherFilters are display filters for the captures of other points than the finding's own.
func (r *Report) OtherFilters(a *Analysis, f *detect.Finding) (fs []Filter) {
	for i := range f.Views {
		if v := &f.Views[i]; a.OfView(v) != a.PointOf(f.Capture) {
			fs = append(fs, Filter{r.NameOf(a.capture(v.Capture)), v.DisplayFilter()})
		}
	}
	return fs
}

// PointOf is the place in Points of the one that took a capture, as the Result counts.
func (a *Analysis) PointOf(capture int) int {
	p := 0
	for p+1 < len(a.Points) && a.Points[p+1].First <= capture {
		p++
	}
	return p
}

// Own is the place in Points of the one that has a segment of evidence.
func (a *Analysis) Own(e *detect.Evidence) int { return a.PointOf(e.Capture) }

// OfView is the place in Points of the one that has a view of a finding's connection.
func (a *Analysis) OfView(v *detect.View) int { return a.PointOf(v.Point) }

// At is the time of a segment of evidence by the clock of its finding's own capture.
func (a *Analysis) At(f *detect.Finding, e *detect.Evidence) int64 {
	if len(a.Points) == 0 || e.Capture == f.Capture {
		return e.Time
	}
	ahead, _, _ := a.Clocks.Ahead(a.Own(e), a.PointOf(f.Capture), e.Time)
	return e.Time + ahead
}

// Sightings are where a segment of evidence was seen and where it was missed, along the path from
// the load balancer; where nothing is known of a point there is none.
func (a *Analysis) Sightings(f *detect.Finding, e *detect.Evidence) []Sighting {
	own := Sighting{Capture: a.capture(e.Capture), Frame: e.Frame, Time: e.Time, At: a.At(f, e)}
	own.Point = a.Own(e)
	if len(e.Seen()) == 0 {
		return []Sighting{own}
	}
	out := make([]Sighting, 0, len(e.Seen()))
	for _, s := range e.Seen() {
		x := Sighting{Point: a.PointOf(s.Point), Absent: s.Absent}
		if !s.Absent {
			x.Capture, x.Frame, x.Time, x.At = a.capture(s.Capture), s.Frame, s.Time, own.At+s.After
		}
		out = append(out, x)
	}
	return out
}

// bothEnds are joined captures at the load balancer and at the target that lost nothing.
func (r *Report) bothEnds(a *Analysis) (b lblog.BothEnds, ok bool) {
	n := len(a.Points) - 1
	if n < 1 || a.Points[0].Place != AtLB || a.Points[n].Place != AtTarget {
		return b, false
	}
	near, far := &a.Points[0], &a.Points[n]
	if far.Exchanges == nil || far.Exchanges.Incomplete {
		return b, false
	}
	if t := &a.Result.Totals; t.HTTP2InTLS+t.HTTP2Unread+t.OtherProtocols > 0 { // a request may show nowhere
		return b, false
	}
	const steady = int64(500e6)
	ahead, _, known := a.Clocks.Ahead(0, n, r.Captures[near.Capture].First)
	later, _, still := a.Clocks.Ahead(0, n, r.Captures[near.Capture].Last)
	if !known || !still || max(ahead-later, later-ahead) > steady {
		return b, false
	}
	b = lblog.BothEnds{LB: near.Name, Target: far.Name, Active: far.Exchanges.Seconds, Ahead: ahead}
	for k, i := range a.Captures {
		c := &r.Captures[i]
		if c.Drops > 0 || c.Truncated || c.Gaps > 0 || c.Interrupted {
			return b, false
		}
		switch a.PointOf(k) {
		case 0:
			b.AtLB = append(b.AtLB, lblog.Span{First: c.First, Last: c.Last})
		case n:
			b.AtTarget = append(b.AtTarget, lblog.Span{First: c.First - ahead, Last: c.Last - ahead})
		}
	}
	return b, true
}
