package detect_test

import (
	"slices"
	"testing"

	"connrace/detect"
	"connrace/tcpstate"
)

// What the capture has not is said: a crossing without its request or its FIN is told all the same,
// or counted as undecided. Of whole captures nothing is.
func TestUndecided(t *testing.T) {
	told, undecided := 0, 0
	gaps := []string{
		"closed-with-request-outstanding-near-miss-gap", "closed-with-request-outstanding-near-miss-http2-hole",
		"fin-request-crossing-near-miss-http2-goaway-cut",
	}
	for _, s := range corpus(t) {
		r := run(s)
		if n := r.Totals.Undecided; (n > 0) != slices.Contains(gaps, s.Name) {
			t.Errorf("%s: %d undecided", s.Name, n)
		}
		for _, f := range r.Findings {
			if f.Rule != detect.FINRequestCrossing || f.Confidence != detect.Certain {
				continue
			}
			for _, e := range f.Evidence {
				if e.Role != detect.RoleRequest && e.Role != detect.RoleFIN || e.Stream != f.Stream {
					continue
				}
				segs := s.Segments()
				without := runOn(s, slices.Delete(segs, int(e.Frame)-1, int(e.Frame)))
				switch {
				case slices.ContainsFunc(without.Findings, func(g *detect.Finding) bool { return g.Lost && g.LB == f.LB }):
					told++
				case without.Totals.Undecided > 0:
					undecided++
				default:
					t.Errorf("%s: without frame %d nothing is said of %s", s.Name, e.Frame, f.Rule.ID)
				}
			}
		}
	}
	if told < 10 || undecided < 10 {
		t.Errorf("%d told, %d undecided", told, undecided)
	}
}

// A capture of one direction says so, whatever the acknowledgments tell of the other.
func TestOneDirection(t *testing.T) {
	for _, s := range corpus(t) {
		if s.Name != "fin-request-crossing" {
			continue
		}
		segs := s.Segments()
		one := slices.DeleteFunc(slices.Clone(segs), func(g tcpstate.Segment) bool { return g.Src != segs[0].Src })
		if both, n := runOn(s, segs).Totals.OneDirection, runOn(s, one).Totals.OneDirection; both != 0 || n != 1 {
			t.Errorf("%d connections of one direction, %d without the other's segments; want 0, 1", both, n)
		}
	}
}
