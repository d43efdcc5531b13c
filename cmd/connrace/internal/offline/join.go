package offline

import (
	"context"
	"fmt"
	"slices"

	"connrace/cmd/connrace/internal/join"
	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
	"connrace/tcpstate"
)

// mostTranslations is how often addresses are translated, one behind the other, that one capture shows.
const mostTranslations = 3

// shownTwice reports whether some capture shows connections twice.
func (s *session) shownTwice() bool {
	return slices.ContainsFunc(s.Report.Analyses, func(a report.Analysis) bool { return a.Result.Behind != nil })
}

// join makes one analysis of those that hold the same connections.
func (s *session) join() {
	r := &s.Report
	slices.SortStableFunc(r.Analyses, func(a, b report.Analysis) int { return slices.Compare(a.Captures, b.Captures) })
	var points []join.Point
	var of []int // whose points they are
	for i := range r.Analyses {
		points = s.point(points, &r.Analyses[i])
		for len(of) < len(points) {
			of = append(of, i)
		}
	}
	var merged []report.Analysis
	gone := map[int]bool{}
	joined := map[tcpstate.Endpoint]bool{} // targets
	for _, c := range s.cases(points) {
		for k := range c.Points {
			for i := range c.Points[k].Result.Targets {
				joined[c.Points[k].Result.Targets[i].Target] = true
			}
		}
		for k, i := range c.Of { // from now on they are analyses
			c.Of[k] = of[i]
		}
		m := c.Merge()
		a := s.compare(m)
		if a.Clocks = c.Links; s.Ctx.Err() != nil {
			r.CutShort = true
			s.remember(r.Analyses[c.Of[0]].Captures[0], notCompared)
		}
		for k, i := range c.Of {
			gone[i] = true
			captures, p := r.Analyses[i].Captures, &c.Points[k]
			if why := p.NotCompared(); why != "" {
				s.remember(captures[0], why)
			}
			a.Points = append(a.Points, report.Point{First: len(a.Captures), Capture: captures[0], Name: p.Name, Place: report.PlaceOf(k, len(c.Of), p.Result.Targets), Exchanges: p.Result.Exchanges})
			a.Captures = append(a.Captures, captures...)
			p.Result = nil
		}
		merged = append(merged, a)
		for _, l := range c.Links {
			if l.Guessed {
				s.remember(a.Points[l.B].Capture, fmt.Sprintf("whether %s or %s was taken nearer to the load balancer does not show, by hops or by times: the first is taken to be",
					a.Points[l.A].Name, a.Points[l.B].Name))
			}
			r.Joined = append(r.Joined, report.Joined{A: a.Points[l.A], B: a.Points[l.B], Link: l})
		}
	}
	for i := range r.Analyses {
		if gone[i] {
			continue
		}
		merged = append(merged, r.Analyses[i])
		if ts := r.Analyses[i].Result.Targets; len(joined) > 0 && !slices.ContainsFunc(ts, func(t detect.Target) bool { return joined[t.Target] }) {
			continue // a place of its own, such as the loopback interface of one of the hosts
		}
		for _, k := range r.Analyses[i].Captures {
			if why := s.apart[k]; why != "" {
				s.remember(k, why)
			}
		}
	}
	slices.SortStableFunc(merged, func(a, b report.Analysis) int { return slices.Compare(a.Captures, b.Captures) })
	id := 0
	for i := range merged {
		merged[i].Result.Connections = nil
		merged[i].FirstID = id
		id += len(merged[i].Result.Findings)
	}
	r.Analyses = merged
}

// notCompared is what is said of captures in a run that was interrupted.
const notCompared = "interrupted: the captures' segments were not compared to the end, so what one of them shows may stand for itself"

// mostInHaste is among how many connections the same ones are yet looked for in a run that was interrupted: it
// takes a tenth of a second.
const mostInHaste = 1 << 16

// cases are the points that have connections in common; where that would take long and the user has interrupted, they are
// looked for only in what one capture shows twice, which has no analysis of its own.
func (s *session) cases(points []join.Point) []*join.Case {
	n := 0
	for i := range points {
		n += len(points[i].Result.Connections)
	}
	if s.Ctx.Err() == nil || n <= mostInHaste || len(s.Report.Analyses) < 2 {
		return join.Cases(points)
	}
	s.Report.CutShort = true
	s.remember(s.Report.Analyses[0].Captures[0], "interrupted: the captures were not searched for the same connections, so a failure may be told once for each capture")
	var cases []*join.Case
	for first := 0; first < len(points); {
		next := first + 1
		for next < len(points) && points[next].Behind {
			next++
		}
		for _, c := range join.Cases(points[first:next]) {
			for k := range c.Of {
				c.Of[k] += first
			}
			cases = append(cases, c)
		}
		first = next
	}
	return cases
}

// remember warns of something about a capture, and in the report, too.
func (s *session) remember(capture int, why string) {
	c := &s.Report.Captures[capture]
	c.Warnings = append(c.Warnings, why)
	s.Warn(why)
}

// behindNAT is how a point is called that a capture shows behind the translation of addresses.
const behindNAT = " behind NAT"

// point adds an analysis as package join wants it: a point, and one more for what its captures show once more
// with other addresses.
func (s *session) point(to []join.Point, a *report.Analysis) []join.Point {
	p := join.Point{Result: a.Result}
	for _, i := range a.Captures {
		c := &s.Report.Captures[i]
		p.Spans = append(p.Spans, join.Span{Capture: i, Name: s.Report.NameOf(i), First: c.First, Last: c.Last, Dropped: c.Drops > 0 || c.Truncated || c.Gaps > 0})
	}
	if len(a.Captures) == 0 {
		return append(to, p)
	}
	p.Name = s.Report.NameOf(a.Captures[0])
	if n := len(a.Captures) - 1; n > 0 {
		p.Name += " and " + text.Plural(uint64(n), "more file")
	}
	for to = append(to, p); p.Result.Behind != nil; to = append(to, p) {
		p.Result, p.Result.Behind, p.Behind = p.Result.Behind, nil, true
		p.Name += behindNAT
		p.Spans = slices.Clone(p.Spans)
		for i := range p.Spans {
			p.Spans[i].Name += behindNAT
		}
	}
	return to
}

// compare makes an analysis of a case, by what the captures show of the connections of its findings. Of an interrupted
// run they are not read again: whoever interrupts wants what there is.
func (s *session) compare(m *join.Merger) (a report.Analysis) {
	stop := context.AfterFunc(s.Ctx, m.Look().Stop)
	defer stop()
	if s.Ctx.Err() != nil {
		m.Look().Stop()
	} else {
		s.lookAgain(s.Ctx, m.Look())
	}
	a.Result = m.Result()
	return a
}

// readOnce is what is said of a stream.
const readOnce = " is a stream, which is read once: its segments were not compared with those of the other side, so what is told is what one side shows. A file shows more"

// lookAgain reads the captures that hold connections of findings.
func (s *session) lookAgain(ctx context.Context, l *join.Look) {
	for _, i := range l.Captures() {
		if s.once[i] {
			l.Missed(i)
			s.remember(i, s.Report.NameOf(i)+readOnce)
			continue
		}
		in, done, err := s.again(i)
		if err == nil {
			again := s.notes[i]
			again.File, again.Frames = in, s.Report.Captures[i].Frames
			err = l.Read(ctx, i, &again)
			done()
		} else {
			l.Missed(i)
		}
		if ctx.Err() != nil {
			l.Stop()
			return
		}
		if err != nil {
			s.remember(i, fmt.Sprintf("%s could not be read again to compare its segments: %v. What is told of it is what it showed when it was read first", s.Report.NameOf(i), err))
		}
	}
}
