package detect

import (
	"math/rand/v2"
	"testing"

	"connrace/tcpstate"
)

// The table knows of each endpoint whether it had several connections, as a map does.
func TestEnds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const most = 3000
	var e ends
	n := map[tcpstate.Endpoint]int{}
	for range 10000 {
		ep := tcpstate.Endpoint{Addr: tcpstate.Addr{Lo: 0xffff<<32 | r.Uint64N(3)}, Port: uint16(r.IntN(2000))}
		if r.IntN(3) == 0 {
			ep.Addr.Hi = 1 + r.Uint64N(2)
		}
		if n[ep] > 0 || len(n) < most {
			n[ep]++
		}
		e.note(endKey(ep), most)
	}
	if e.n != len(n) || len(e.slots) > 4*most {
		t.Errorf("%d endpoints in %d slots, want %d", e.n, len(e.slots), len(n))
	}
	for ep, n := range n {
		if got := e.several(endKey(ep)); got != (n > 1) {
			t.Errorf("%v: %t, with %d connections", ep, got, n)
		}
	}
	if e.several(endKey(tcpstate.Endpoint{Port: 1})) || (&ends{}).several(2) {
		t.Error("nobody's endpoint has several connections")
	}
}
