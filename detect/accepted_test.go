package detect

import (
	"testing"

	"connrace/tcpstate"
)

// A connection has no times of the one that had its place before.
func TestAcceptedForgets(t *testing.T) {
	var a accepted
	f := new(tcpstate.Flow)
	if a.of(f) != 0 || a.since(f) != 0 {
		t.Error("of nothing a time is known")
	}
	a.note(f, -5)
	if a.at(f) != 0 || a.since(f) != 5 {
		t.Errorf("open since 5: accepted at %d, open since %d", a.at(f), a.since(f))
	}
	a.shift(10)
	a.forget(f)
	if a.of(f) != 0 || a.since(f) != 0 {
		t.Errorf("another connection has the place: %d", a.of(f))
	}
	a.shift(10)
	a.note(f, 7)
	if a.shift(10); a.at(f) != 17 || a.since(f) != 17 {
		t.Errorf("accepted at %d, open since %d, want 17", a.at(f), a.since(f))
	}
}
