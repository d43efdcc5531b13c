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

// Who sends SYNs from one port to several targets is no shared endpoint; who gets several is.
func TestWhoSendsSYNsIsNotShared(t *testing.T) {
	end := func(host uint64, port uint16) tcpstate.Endpoint {
		return tcpstate.Endpoint{Addr: tcpstate.Addr{Lo: 0xffff<<32 | host}, Port: port}
	}
	lb, other := end(1, 40000), end(9, 41000)
	d := New(Options{})
	var segs []tcpstate.Segment
	for i, target := range []tcpstate.Endpoint{end(2, 80), end(3, 80), end(3, 80)} {
		from := lb
		from.Port += uint16(i / 2)
		segs = append(segs, tcpstate.Segment{Time: int64(1+i) * second, Frame: uint64(1 + i), Src: from, Dst: target, Flags: tcpstate.SYN, Seq: 7})
	}
	d.Segments(segs)
	if i, basis := d.roles.sharedEnd(lb, other); i >= 0 {
		t.Errorf("the sender of two SYNs: %d, by %v", i, basis)
	}
	if i, basis := d.roles.sharedEnd(other, end(3, 80)); i != 0 || basis != tcpstate.ByShared {
		t.Errorf("who got two SYNs: the LB is %d, by %v", i, basis)
	}
}
