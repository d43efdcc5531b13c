package detect_test

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"

	"connrace/detect"
	"connrace/pcaps"
	"connrace/tcpstate"
)

// analyse runs segments through a detector.
func analyse(segs []tcpstate.Segment, o detect.Options) *detect.Result {
	d := detect.New(o)
	for i := range segs {
		d.Segments(segs[i : i+1])
	}
	return d.Finish()
}

// run analyses a script under the conditions that it names.
func run(s *pcaps.Script) *detect.Result { return runOn(s, s.Segments()) }

// runOn analyses some of a script's segments under the same conditions.
func runOn(s *pcaps.Script, segs []tcpstate.Segment) *detect.Result {
	o := detect.Options{LBIdleTimeout: int64(s.Options.LBIdleTimeout)}
	o.IsTarget, o.IsLB = among(s, s.Options.Targets), among(s, s.Options.LBs)
	return analyse(segs, o)
}

func among(s *pcaps.Script, hosts []int) func(tcpstate.Endpoint) bool {
	if len(hosts) == 0 {
		return nil
	}
	return func(e tcpstate.Endpoint) bool {
		for _, i := range hosts {
			if tcpstate.EndpointFrom(s.Hosts[i].Addr) == e {
				return true
			}
		}
		return false
	}
}

func corpus(t testing.TB) []*pcaps.Script {
	t.Helper()
	scripts, err := pcaps.Corpus()
	if err != nil {
		t.Fatal(err)
	}
	if len(scripts) < 10 {
		t.Fatalf("the corpus has only %d scripts", len(scripts))
	}
	return scripts
}

// TestCorpus analyses every script of the shared corpus and compares the findings with
// what its lines want: all of them, and nothing else.
func TestCorpus(t *testing.T) {
	for _, s := range corpus(t) {
		t.Run(s.Name, func(t *testing.T) {
			r := run(s)
			var got, want []string
			for _, f := range r.Findings {
				if !slices.ContainsFunc(r.Targets, func(t detect.Target) bool { return t.Target == f.Target }) {
					t.Errorf("%s at %v, which is not among the targets", f.Rule.ID, f.Target)
				}
				frame := f.Frame
				if f.Rule.About == detect.AboutTarget {
					frame = 0
				}
				got = append(got, fmt.Sprintf("frame %d %s %s", frame, f.Rule.ID, f.Severity))
			}
			for _, w := range s.Want() {
				frame := uint64(w.Frame)
				if r := detect.Lookup(w.Rule); r != nil && r.About == detect.AboutTarget {
					frame = 0
				}
				want = append(want, fmt.Sprintf("frame %d %s %s", frame, w.Rule, w.Severity))
			}
			sort.Strings(got)
			sort.Strings(want)
			if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
				t.Errorf("found\n%s\nwanted\n%s", g, w)
				for _, f := range r.Findings {
					t.Logf("%s %s %s: %s (%s) %+v", f.Rule.ID, f.Severity, f.Confidence, f.Summary, f.Grounds, f.Measures)
				}
			}
		})
	}
}

// TestCorpusMeasures holds the findings against what the scripts say of them beyond
// rule and frame: confidence and measures.
func TestCorpusMeasures(t *testing.T) {
	checked := 0
	for _, s := range corpus(t) {
		r := run(s)
		for _, w := range s.Want() {
			var f *detect.Finding
			for _, g := range r.Findings {
				if g.Rule.ID == w.Rule && (w.Frame == 0 || g.Frame == w.Frame) {
					f = g
				}
			}
			if f == nil {
				continue // TestCorpus says so
			}
			if w.Confidence != "" && w.Confidence != f.Confidence.String() {
				t.Errorf("%s frame %d: confidence %s (%s), want %s", s.Name, w.Frame, f.Confidence, f.Grounds, w.Confidence)
			}
			for _, c := range w.Checks {
				checked++
				if got := measure(f, c.Key); got != c.Value {
					t.Errorf("%s frame %d: %s=%s, want %s", s.Name, w.Frame, c.Key, got, c.Value)
				}
			}
		}
	}
	if checked < 20 {
		t.Errorf("only %d measures checked", checked)
	}
}

// TestEvidenceIsAsSent holds what findings say of frames against the frames.
func TestEvidenceIsAsSent(t *testing.T) {
	for _, s := range corpus(t) {
		segs := s.Segments()
		for _, f := range run(s).Findings {
			for _, e := range f.Evidence {
				g := &segs[e.Frame-1]
				if e.Time != g.Time || e.Flags != g.Flags || e.Ack != g.Ack || e.Seq.Before(g.Seq) || e.Seq.Add(e.Len).After(g.Seq.Add(g.Len+2)) {
					t.Errorf("%s: %s: evidence\n%+v\nof\n%+v", s.Name, f.Rule.ID, e, *g)
				}
			}
		}
	}
}

// measure is a finding's measure by the key that scripts use.
func measure(f *detect.Finding, key string) string {
	m := &f.Measures
	dur := func(d detect.Duration) string {
		if !d.Known {
			return "none"
		}
		return fmt.Sprintf("%.6f", float64(d.NS)/1e9)
	}
	switch key {
	case "lost":
		return fmt.Sprint(f.Lost)
	case "rst":
		return m.RST
	case "origin":
		return m.RSTOrigin
	case "cause":
		return m.CloseCause
	case "basis":
		return m.CloseCauseBasis
	case "idle":
		return dur(m.Idle)
	case "outstanding":
		return dur(m.Outstanding)
	case "delay":
		return dur(m.Delay)
	case "attempts":
		return fmt.Sprint(m.Attempts)
	case "waiting":
		return fmt.Sprint(m.Waiting)
	case "retried":
		return fmt.Sprint(m.Retried)
	case "roles":
		return f.RoleBasis
	}
	return "no such key: " + key
}

// TestMetamorphic changes every script in ways that must not change what is found
// (pcaps.Transforms), modulo frames, streams and addresses.
func TestMetamorphic(t *testing.T) {
	// What needs framing may go when the payload is cut.
	framed := map[*detect.Rule]bool{detect.ResponseTruncated: true, detect.EarlyResponseReset: true}
	for _, s := range corpus(t) {
		base := rules(run(s), nil)
		for _, tr := range pcaps.Transforms {
			if tr.Container || tr.Cut && s.Options.Framing {
				continue // the same segments: package capture's business; or it needs framing
			}
			want := base
			var leave map[*detect.Rule]bool
			if tr.Cut {
				leave = framed
				want = rules(run(s), leave)
			}
			changed := tr.Apply(s)
			if changed == nil {
				continue
			}
			if got := rules(run(changed), leave); got != want {
				t.Errorf("%s, %s:\nfound  %s\nwanted %s", s.Name, tr.Name, got, want)
			}
		}
	}
}

// rules are a result's findings above info, without the given rules, as text.
func rules(r *detect.Result, leave map[*detect.Rule]bool) string {
	var out []string
	for _, f := range r.Findings {
		if f.Severity > detect.Info && !leave[f.Rule] {
			out = append(out, f.Rule.ID+" "+f.Severity.String())
		}
	}
	sort.Strings(out)
	return strings.Join(out, ", ")
}

// TestRotation cuts every script in two files at every frame: what is found stays.
func TestRotation(t *testing.T) {
	cuts := 0
	for _, s := range corpus(t) {
		o := detect.Options{LBIdleTimeout: int64(s.Options.LBIdleTimeout)}
		o.IsTarget, o.IsLB = among(s, s.Options.Targets), among(s, s.Options.LBs)
		segs := s.Segments()
		want := rules(run(s), nil)
		for cut := 1; cut < len(segs); cut += 1 + len(segs)/100 {
			d := detect.New(o)
			for i := range segs {
				g := segs[i]
				if i == cut {
					d.BeginCapture(1)
				}
				if i >= cut {
					g.Frame = uint64(i - cut + 1)
				}
				d.Segments([]tcpstate.Segment{g})
			}
			if got := rules(d.Finish(), nil); got != want {
				t.Errorf("%s, cut before frame %d:\nfound  %s\nwanted %s", s.Name, cut+1, got, want)
			}
			cuts++
		}
	}
	if cuts < 1000 {
		t.Errorf("only %d cuts", cuts)
	}
}
