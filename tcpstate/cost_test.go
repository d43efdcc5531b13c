package tcpstate

import (
	"runtime"
	"testing"
)

// FlowCost is what flows take that are being set up or close, no less and not twice as much.
func TestFlowCost(t *testing.T) {
	const flows = 1 << 13
	const ask, answer = "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"
	// With GOGC=50 a third of the heap is garbage at most.
	cost := func(connection func(w *wire, lb Endpoint)) uint64 {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		w := &wire{t: NewTracker(Config{MaxFlows: flows}), now: 50 * year}
		for i := range 5 * flows { // all retired, too
			now := w.now
			connection(w, Endpoint{Addr{Hi: 0x2001 << 48, Lo: uint64(i)}, 1000})
			w.now = now // none is over yet
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if w.t.Live() != flows || w.t.retired.index.n != 4*flows {
			t.Errorf("%d flows, %d retired", w.t.Live(), w.t.retired.index.n)
		}
		return (after.HeapAlloc - before.HeapAlloc) * 3 / 2 / flows
	}
	open := func(w *wire, lb Endpoint) {
		w.send(lb, targetEnd, SYN, 99, 0, 0)
		w.send(targetEnd, lb, SYN|ACK, 499, 100, 0)
		w.send(lb, targetEnd, ACK, 100, 500, 0)
	}
	exchange := func(w *wire, lb Endpoint) {
		open(w, lb)
		w.payload(lb, targetEnd, 100, 500, ask)
		w.payload(targetEnd, lb, 500, 100+Seq(len(ask)), answer)
	}
	for _, c := range []struct {
		name        string
		least, most uint64
		connection  func(w *wire, lb Endpoint)
	}{
		{"SYN", FlowCost / 2, FlowCost, func(w *wire, lb Endpoint) { w.send(lb, targetEnd, SYN, 99, 0, 0) }},
		{"SYN and SYN-ACK", FlowCost / 2, FlowCost, func(w *wire, lb Endpoint) {
			w.send(lb, targetEnd, SYN, 99, 0, 0)
			w.send(targetEnd, lb, SYN|ACK, 499, 100, 0)
		}},
		{"established", FlowCost / 4, FlowCost * 2 / 5, exchange},
		{"FINs", FlowCost / 2, FlowCost, func(w *wire, lb Endpoint) {
			exchange(w, lb)
			w.send(lb, targetEnd, FIN|ACK, 100+Seq(len(ask)), 500+Seq(len(answer)), 0)
			w.send(targetEnd, lb, FIN|ACK, 500+Seq(len(answer)), 101+Seq(len(ask)), 0)
		}},
		{"RSTs", FlowCost / 2, FlowCost, func(w *wire, lb Endpoint) {
			open(w, lb)
			w.send(targetEnd, lb, RST|ACK, 500, 100, 0)
			w.send(lb, targetEnd, RST, 100, 0, 0)
		}},
	} {
		if n := cost(c.connection); n < c.least || n > c.most {
			t.Errorf("%s: a flow takes %d octets, not %d to %d", c.name, n, c.least, c.most)
		} else {
			t.Logf("%s: %d octets", c.name, n)
		}
	}
}

// payload sends octets.
func (w *wire) payload(src, dst Endpoint, seq, ack Seq, p string) {
	w.frame++
	w.now += millisecond
	w.seg = Segment{Frame: w.frame, Time: w.now, Src: src, Dst: dst, Flags: ACK | PSH, Seq: seq, Ack: ack, Len: uint32(len(p)), Payload: []byte(p)}
	w.t.Track(&w.seg)
}
