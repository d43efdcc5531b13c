package detect_test

import (
	"testing"
	"time"

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
	r := x.d.Finish()
	c := &r.Connections[0]
	if c.LB != low || c.Target != high || c.NMarks() < 4 {
		t.Fatalf("%v to %v with %d marks", c.LB, c.Target, c.NMarks())
	}
	for _, m := range r.AppendMarks(nil, c) {
		if low := m.Seq < 500; m.FromLB != low {
			t.Errorf("from the LB: %t, %d", m.FromLB, m.Seq)
		}
	}
}

// stampOfNone is the timestamp by which a data segment has a rank of 0, as a capture can be made up: what rankOf
// does, backwards (ledger.go).
func stampOfNone(seq, ack tcpstate.Seq) uint32 {
	const inverse = uint32(0xa89ed915) // of 0xc2b2ae3d, modulo 2³²
	return (uint32(seq)*0x9e3779b1 ^ uint32(ack)*0x85ebca77) * inverse
}

// Segments made so that all of them pass are not kept all.
func TestMarksMadeUp(t *testing.T) {
	done := make(chan []detect.Connection, 1)
	go func() {
		x := traffic{d: detect.New(detect.Options{Connections: true})}
		lb, target := lbEnd(0), targetEnd(0)
		x.send(lb, target, tcpstate.SYN, 100, 0)
		x.send(target, lb, tcpstate.SYN|tcpstate.ACK, 500, 101)
		x.send(lb, target, tcpstate.ACK, 101, 501)
		x.seg.Len, x.seg.HasTS = 50, true
		seq, ack := tcpstate.Seq(101), tcpstate.Seq(501)
		for range 1000 {
			x.seg.TSVal = stampOfNone(seq, ack)
			x.send(lb, target, tcpstate.ACK|tcpstate.PSH, seq, ack)
			seq += 50
			x.seg.TSVal = stampOfNone(ack, seq)
			x.send(target, lb, tcpstate.ACK|tcpstate.PSH, ack, seq)
			ack += 50
		}
		x.pause(600 * second)
		done <- x.d.Finish().Connections
	}()
	select {
	case cs := <-done:
		// 3 of each side, 12 for each number of zeros below 32, and those of the handshake.
		if n := cs[0].NMarks(); n < 2*(3+12*32) || n > 2*(3+12*32)+8 {
			t.Errorf("%d marks", n)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("it does not end")
	}
}

// Nor is there room without bounds for those of as many connections, of which none has a handshake.
func TestMarksMadeUpOfMany(t *testing.T) {
	const conns, most = 4700, 1 << 20
	x := traffic{d: detect.New(detect.Options{Connections: true})}
	x.seg.Len, x.seg.HasTS = 50, true
	for i := range conns {
		lb, target, seq, ack := lbEnd(i), targetEnd(0), tcpstate.Seq(101), tcpstate.Seq(501)
		for range 125 {
			x.seg.TSVal = stampOfNone(seq, ack)
			x.send(lb, target, tcpstate.ACK|tcpstate.PSH, seq, ack)
			seq += 50
			x.seg.TSVal = stampOfNone(ack, seq)
			x.send(target, lb, tcpstate.ACK|tcpstate.PSH, ack, seq)
			ack += 50
		}
	}
	marks, first := 0, 0
	cs := x.d.Finish().Connections
	for i := range cs {
		marks += cs[i].NMarks()
		first += 2 * 3
	}
	if len(cs) != conns || marks > most+first || marks < most {
		t.Errorf("%d marks of %d connections", marks, len(cs))
	}
}
