// Package annotate puts findings into captures: a copy of a capture with a comment on
// each frame of evidence, and a small capture for each finding.
package annotate

import (
	"fmt"
	"strings"

	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

// Comments are what to write on the frames of a capture, by frame number.
type Comments map[uint64][]string

// For makes the comments for the capture of an index in the report: of the findings that
// are shown, one for each segment of evidence.
func For(r *report.Report, o *report.Options, index int) Comments {
	c := Comments{}
	for f := range shown(r, o) {
		for i := range f.Evidence {
			for _, s := range f.sightings(&f.Evidence[i]) {
				if s.Capture == index && !s.Absent {
					c[s.Frame] = append(c[s.Frame], f.comment(i, func(p *detect.Evidence) uint64 {
						if o := f.nearest(p, s.Point); o.Capture == index {
							return o.Frame
						}
						return 0
					}))
				}
			}
		}
	}
	return c
}

// finding is a finding as a report knows it.
type finding struct {
	*detect.Finding
	analysis *report.Analysis
}

// shown yields the findings that a report shows.
func shown(r *report.Report, o *report.Options) func(yield func(finding) bool) {
	return func(yield func(finding) bool) {
		for i := range r.Analyses {
			a := &r.Analyses[i]
			for _, f := range a.Result.Findings {
				if o.Shows(f) && !yield(finding{f, a}) {
					return
				}
			}
		}
	}
}

func (f finding) id() int { return f.analysis.FirstID + f.ID }

// capture is the index in the report of the capture that has a segment of evidence.
func (f finding) capture(e *detect.Evidence) int { return f.indexOf(e.Capture) }

// sightings are where a segment of evidence was seen, and where it was missed.
func (f finding) sightings(e *detect.Evidence) []report.Sighting {
	return f.analysis.Sightings(f.Finding, e)
}

// nearest is where a segment of evidence was seen: at a point, or else where the evidence has it.
func (f finding) nearest(e *detect.Evidence, point int) report.Sighting {
	for _, s := range f.sightings(e) {
		if s.Point == point && !s.Absent {
			return s
		}
	}
	return report.Sighting{Point: f.analysis.Own(e), Capture: f.capture(e), Frame: e.Frame}
}

func (f finding) indexOf(capture int) int {
	if cs := f.analysis.Captures; capture >= 0 && capture < len(cs) {
		return cs[capture]
	}
	return capture
}

// about says what was found.
func (f finding) about() []string {
	cs := []string{fmt.Sprintf("connrace finding #%d: %s (%s, %s): %s", f.id(), f.Rule.ID, f.Severity, f.Confidence, text.Clean(f.Summary))}
	for _, c := range []struct{ what, text string }{{"cause", f.Cause}, {"fix", f.Fix}} {
		if c.text != "" {
			cs = append(cs, c.what+": "+text.Clean(c.text))
		}
	}
	return cs
}

// maxPartners bounds the frames that a comment refers to.
const maxPartners = 12

// comment says what the i-th segment of evidence shows, and where the others are: number
// is the frame number of one, 0 where it is elsewhere.
func (f finding) comment(i int, number func(*detect.Evidence) uint64) string {
	e := &f.Evidence[i]
	var b strings.Builder
	fmt.Fprintf(&b, "connrace %s #%d (%s): %s", f.Rule.ID, f.id(), f.Confidence, e.Role)
	if e.Note != "" {
		fmt.Fprintf(&b, " - %s", e.Note)
	}
	sep, named := "; ", 0
	for j := range f.Evidence {
		p := &f.Evidence[j]
		n := number(p)
		if n == 0 || j == i {
			continue
		}
		if named++; named > maxPartners {
			fmt.Fprintf(&b, ", …")
			break
		}
		fmt.Fprintf(&b, "%s%s %d", sep, p.Role, n)
		sep = ", "
	}
	return text.Clean(b.String())
}
