package detect_test

import (
	"testing"

	"connrace/detect"
	"connrace/tcpstate"
)

// TestMarksTurned: where it shows late which end is the LB, what was kept of a connection before says so, too: else
// no other capture of it would fit.
func TestMarksTurned(t *testing.T) {
	low, high := tcpstate.Endpoint{Addr: targetEnd(0).Addr, Port: 1000}, targetEnd(1) // the lower port is taken for the target's
	x := traffic{d: detect.New(detect.Options{Connections: true})}
	x.seg.Len = 50
	for i := range tcpstate.Seq(3) {
		x.send(low, high, tcpstate.ACK|tcpstate.PSH, 100+50*i, 500+50*i)
		x.send(high, low, tcpstate.ACK|tcpstate.PSH, 500+50*i, 150+50*i)
	}
	x.seg.Len = 0
	for i := range 2 {
		x.send(lbEnd(i), high, tcpstate.SYN, 100, 0)
		x.send(high, lbEnd(i), tcpstate.SYN|tcpstate.ACK, 500, 101)
		x.send(lbEnd(i), high, tcpstate.ACK, 101, 501)
	}
	x.send(high, low, tcpstate.ACK|tcpstate.FIN, 650, 250)
	x.send(low, high, tcpstate.ACK|tcpstate.FIN, 250, 651)
	x.send(high, low, tcpstate.ACK, 651, 251)
	x.pause(60 * second)
	c := x.d.Finish().Connections[0]
	if c.LB != low || c.Target != high || len(c.Marks) < 4 {
		t.Fatalf("%v to %v with %d marks", c.LB, c.Target, len(c.Marks))
	}
	for _, m := range c.Marks {
		if low := m.Seq < 500; m.FromLB != low {
			t.Errorf("from the LB: %t, %d", m.FromLB, m.Seq)
		}
	}
}
