package detect_test

import (
	"testing"

	"connrace/detect"
	"connrace/tcpstate"
)

// Where a capture shows only late that it has connections twice, what is kept of those from then on is as much as else: their
// marks, of connections that were there already, too, and of no more of them than may be kept.
func TestTwiceLate(t *testing.T) {
	const most = 500
	x := traffic{d: detect.New(detect.Options{Apart: 1, MaxConnections: most})}
	x.seg.TTL = 64
	service, pod := targetEnd(0), targetEnd(1)
	open := func(i int, to tcpstate.Endpoint) {
		x.send(lbEnd(i), to, tcpstate.SYN, tcpstate.Seq(1000*i), 0)
	}
	x.send(lbEnd(0), service, tcpstate.SYN, 99, 0)
	x.send(service, lbEnd(0), tcpstate.SYN|tcpstate.ACK, 499, 100)
	x.send(lbEnd(0), service, tcpstate.ACK, 100, 500)
	for i := range 300 {
		open(1+i, service)
	}
	for i := range 600 {
		open(1000+i, service)
		x.seg.TTL--
		open(1000+i, pod)
		x.seg.TTL++
	}
	x.seg.Len = 50
	x.send(lbEnd(0), service, tcpstate.ACK|tcpstate.PSH, 100, 500)
	x.pause(60 * second)
	r := x.d.Finish()
	if r.Behind == nil {
		t.Fatal("none is shown twice")
	}
	if n := len(r.Connections); n != most || !r.ConnectionsCut {
		t.Errorf("%d connections, want %d; cut: %t", n, most, r.ConnectionsCut)
	}
	marks := 0
	for i := range r.Connections {
		if c := &r.Connections[i]; c.LB == lbEnd(0) {
			marks += len(r.AppendMarks(nil, c))
		}
	}
	if marks == 0 {
		t.Error("of the connection that was there already nothing is kept")
	}
}
