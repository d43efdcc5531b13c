package detect_test

import (
	"fmt"
	"testing"

	"connrace/detect"
)

// A host that knows nothing changes nothing: not what is found, nor how grave it is; also not where
// the clock was set back before it was asked first.
func TestHostThatKnowsNothing(t *testing.T) {
	for _, s := range corpus(t) {
		all := func(host bool, shift int64) (out []string) {
			o := detect.Options{LBIdleTimeout: int64(s.Options.LBIdleTimeout), Live: true}
			o.IsTarget, o.IsLB = among(s, s.Options.Targets), among(s, s.Options.LBs)
			if host {
				o.Host = func(qs []detect.HostQuestion) []detect.HostAnswer { return make([]detect.HostAnswer, len(qs)) }
			}
			d := detect.New(o)
			d.Shift(shift)
			d.Segments(s.Segments())
			for _, f := range d.Finish().Findings {
				out = append(out, fmt.Sprint(f.Rule.ID, " ", f.Frame, " ", f.Severity, " ", f.Confidence, " ", f.Lost, " ", f.Cause, " ", f.Summary))
			}
			return out
		}
		want := fmt.Sprint(all(false, 0))
		for _, shift := range []int64{0, -1e9} {
			if got := fmt.Sprint(all(true, shift)); got != want {
				t.Errorf("%s, clock set by %d ns:\n%.400s\nwant\n%.400s", s.Name, shift, got, want)
			}
		}
	}
}
