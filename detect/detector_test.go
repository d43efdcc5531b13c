package detect

import (
	"testing"

	"connrace/pcaps"
	"connrace/tcpstate"
)

// No rule has anything to say of a connection that is in order, whatever is done to a
// capture.
func TestInOrder(t *testing.T) {
	scripts, err := pcaps.Corpus()
	if err != nil {
		t.Fatal(err)
	}
	inOrder, others := 0, 0
	check := func(d *Detector, e *tcpstate.Event) {
		f := e.Flow
		if !f.Established() || !f.Closing() || f.Decided() {
			return
		}
		if d.resolveRoles(f); !d.inOrder(f) {
			others++
			return
		}
		inOrder++
		if found := d.facts(f, e).ask(AboutConnection, (*Rule).match); found != nil {
			t.Errorf("%s", found.Rule.ID)
		}
	}
	for _, s := range scripts {
		variants := []*pcaps.Script{s}
		for _, tr := range pcaps.Transforms {
			if v := tr.Apply(s); v != nil {
				variants = append(variants, v)
			}
		}
		for i, v := range variants {
			d := New(Options{})
			cfg := d.config()
			cfg.On(tcpstate.Settled, func(e *tcpstate.Event) { check(d, e); d.onSettled(e) })
			cfg.On(tcpstate.Gone, func(e *tcpstate.Event) { check(d, e); d.onGone(e) })
			d.tracker = tcpstate.NewTracker(cfg)
			d.Segments(v.Segments())
			d.Finish()
			if t.Failed() {
				t.Fatalf("%s, variant %d", s.Name, i)
			}
		}
	}
	if inOrder < 100 || others < 100 {
		t.Errorf("%d in order, %d not", inOrder, others)
	}
}
