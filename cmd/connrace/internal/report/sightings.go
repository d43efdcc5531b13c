package report

import (
	"slices"

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
		if v := &f.Views[i]; a.PointOf(a.capture(v.Point)) != a.PointOf(a.capture(f.Capture)) {
			fs = append(fs, Filter{r.NameOf(a.capture(v.Capture)), v.DisplayFilter()})
		}
	}
	return fs
}

// PointOf is the place in Points of the one that took a capture of the report.
func (a *Analysis) PointOf(capture int) int {
	at := slices.Index(a.Captures, capture)
	p := 0
	for p+1 < len(a.Points) && slices.Index(a.Captures, a.Points[p+1].Capture) <= at {
		p++
	}
	return p
}

// At is the time of a segment of evidence by the clock of its finding's own capture.
func (a *Analysis) At(f *detect.Finding, e *detect.Evidence) int64 {
	if len(a.Points) == 0 || e.Capture == f.Capture {
		return e.Time
	}
	ahead, _, _ := a.Clocks.Ahead(a.PointOf(a.capture(e.Capture)), a.PointOf(a.capture(f.Capture)), e.Time)
	return e.Time + ahead
}

// Sightings are where a segment of evidence was seen and where it was missed, along the path from
// the load balancer; where nothing is known of a point there is none.
func (a *Analysis) Sightings(f *detect.Finding, e *detect.Evidence) []Sighting {
	own := Sighting{Capture: a.capture(e.Capture), Frame: e.Frame, Time: e.Time, At: a.At(f, e)}
	own.Point = a.PointOf(own.Capture)
	if len(e.Seen) == 0 {
		return []Sighting{own}
	}
	out := make([]Sighting, 0, len(e.Seen))
	for _, s := range e.Seen {
		x := Sighting{Point: a.PointOf(a.capture(s.Point)), Absent: s.Absent}
		if !s.Absent {
			x.Capture, x.Frame, x.Time, x.At = a.capture(s.Capture), s.Frame, s.Time, own.At+s.After
		}
		out = append(out, x)
	}
	return out
}
