package detect_test

import (
	"slices"
	"testing"

	"connrace/detect"
	"connrace/pcaps"
	"connrace/tcpstate"
)

// TestSweep takes parts of every script away, one frame, all frames before one, all
// behind one: no connection may fail that does not fail in the whole capture (domain:
// holes in the capture; captures that start and end in the middle).
func TestSweep(t *testing.T) {
	for _, s := range corpus(t) {
		switch s.Name {
		case "connection-refused-healthy-scan", "connection-refused-healthy-half-open":
			continue // a part of a scan may be a few refused connections
		case "connection-refused-near-miss-filter-forgets":
			continue // that the SYN comes again is what saves it
		case "request-after-fin-near-miss-proxy-header":
			continue // without the header and its answer it is a request on a used connection
		}
		segs := s.Segments()
		whole := failing(s, segs)
		for i := range segs {
			for _, part := range []struct {
				name string
				segs []tcpstate.Segment
			}{
				{"without", slices.Delete(slices.Clone(segs), i, i+1)},
				{"from", segs[i:]},
				{"before", segs[:i]},
			} {
				for c, rule := range failing(s, part.segs) {
					if whole[c] == "" {
						t.Errorf("%s, %s frame %d: %s on %v, which does not fail", s.Name, part.name, segs[i].Frame, rule, c)
					}
				}
			}
		}
	}
}

// failing are the connections with an error finding, and its rule.
func failing(s *pcaps.Script, segs []tcpstate.Segment) map[[2]string]string {
	m := map[[2]string]string{}
	for _, f := range runOn(s, segs).Findings {
		if f.Severity == detect.Error {
			c := [2]string{f.LB.String(), f.Target.String()}
			slices.Sort(c[:]) // without a handshake the roles may be guessed otherwise
			m[c] = f.Rule.ID
		}
	}
	return m
}

// What is known of a request stays known although it is answered in the end, too late.
func TestLateAnswer(t *testing.T) {
	s, err := pcaps.Load("lb-closed-with-request-outstanding-late-answer")
	if err != nil {
		t.Fatal(err)
	}
	r := run(s)
	if len(r.Findings) != 1 || r.Findings[0].Request == nil || r.Findings[0].Request.Path != "/slow/1" {
		t.Errorf("found %+v", r.Findings)
	}
}
