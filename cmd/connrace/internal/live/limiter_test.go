package live

import (
	"testing"
	"time"

	"connrace/detect"
	"connrace/tcpstate"
)

func TestLimiter(t *testing.T) {
	now := time.Unix(1e9, 0)
	l := newLimiter(now)
	target := func(i int) tcpstate.Endpoint {
		return tcpstate.Endpoint{Addr: tcpstate.Addr4([]byte{10, 0, byte(i >> 8), byte(i)}), Port: 80}
	}
	allow := func(i int) bool {
		return l.allow(&detect.Finding{Rule: detect.PortReuse, Target: target(i), Time: now.UnixNano(), Lost: i%2 == 0}, now)
	}
	shown := 0
	for range kindBurst + 440 {
		if allow(1) {
			shown++
		}
	}
	if shown != kindBurst || !allow(2) {
		t.Errorf("%d shown at once", shown)
	}
	if rs := l.suppressed(now.Add(time.Minute), false); rs != nil {
		t.Errorf("too soon: %+v", rs)
	}
	now = now.Add(suppressedEvery)
	rs := l.suppressed(now, false)
	if len(rs) != 1 || rs[0].Count != 440 || rs[0].Lost != 0 || rs[0].Target != target(1).String() {
		t.Errorf("held %+v", rs)
	}
	if rs := l.suppressed(now, true); len(rs) != 0 {
		t.Errorf("told twice: %+v", rs)
	}
	for range int(suppressedEvery / kindEvery) {
		if !allow(1) {
			t.Error("later, none is shown")
		}
	}
	if allow(1) {
		t.Error("later, too many are shown")
	}
	// Many kinds together have a limit of their own, and their number has.
	shown = 0
	for i := range 20000 {
		if allow(i) {
			shown++
		}
	}
	if shown > allBurst || len(l.kinds) > maxKinds+1 {
		t.Errorf("%d of many kinds shown, %d kept in mind", shown, len(l.kinds))
	}
	count := uint64(0)
	for _, r := range l.suppressed(now, true) {
		count += r.Count
	}
	if count+uint64(shown) != 20000+1 {
		t.Errorf("%d shown and %d counted of 20001", shown, count)
	}
}
