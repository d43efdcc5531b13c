package detect

import (
	"math/rand/v2"
	"slices"
	"testing"

	"connrace/tcpstate"
)

// TestGivenUp: what is known of the newest findings by what has changed since the last look is what sorting all of
// them would give, whatever has become of each meanwhile.
func TestGivenUp(t *testing.T) {
	const most = 40
	r := rand.New(rand.NewPCG(5, 6))
	targets := []*target{newTarget(tcpstate.Endpoint{Port: 1}, 1, false), newTarget(tcpstate.Endpoint{Port: 2}, 2, false)}
	rules := []*Rule{LBClosedWithRequestOutstanding, LBClosedWithRequestOutstanding, PathLoss}
	var g givenUp
	var settled []*pending
	var at int64
	change := func(f *Finding) {
		f.Lost, f.byClient, f.round = r.IntN(4) > 0, r.IntN(4) == 0, r.IntN(2) == 0
		f.Measures.Outstanding.NS = r.Int64N(1000)
		if f.own = nil; r.IntN(4) == 0 {
			f.own = lbStops
		}
	}
	for range 3000 {
		for range r.IntN(4) {
			at += second // no two of them are of one event
			p := &pending{f: &Finding{Time: at, Rule: rules[r.IntN(len(rules))]}, t: targets[r.IntN(len(targets))]}
			change(p.f)
			settled = append(settled, p)
		}
		for range r.IntN(3) {
			if len(settled) > 0 {
				change(settled[max(len(settled)-1-r.IntN(most), 0)].f)
			}
		}
		if r.IntN(20) == 0 { // a live analysis forgets some
			settled = slices.DeleteFunc(settled, func(*pending) bool { return r.IntN(3) == 0 })
		}
		newest := settled[max(len(settled)-most, 0):]
		g.look(newest)
		for _, x := range targets {
			f := &Finding{Time: -second, Rule: LBClosedWithRequestOutstanding, Lost: true}
			f.Measures.Outstanding.NS = r.Int64N(1000)
			own := &pending{f: f, t: x}
			var all, vary []int64
			for _, p := range append(slices.Clone(newest), own) {
				if p.t != x || p.f.Rule != f.Rule || !(p.f.byClient || p.f.Lost && p.f.own == nil) {
					continue
				}
				ns := p.f.Measures.Outstanding.NS
				if all = append(all, ns); !p.f.round && !round(ns) {
					vary = append(vary, ns)
				}
			}
			slices.Sort(all)
			slices.Sort(vary)
			if w := g.with(gaveUpOf(own)); !slices.Equal(w.all, all) || !slices.Equal(w.vary, vary) {
				t.Fatalf("%v, of them %v; want %v, %v", w.all, w.vary, all, vary)
			}
		}
	}
	g.look(nil)
	if len(g.sorted) != 0 {
		t.Errorf("%d are kept of nothing", len(g.sorted))
	}
}
