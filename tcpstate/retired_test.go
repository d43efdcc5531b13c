package tcpstate

import (
	"math"
	"testing"
)

// stream is that of the newest segment.
func (w *wire) stream() uint32 {
	_, stream := w.t.Newest()
	return stream
}

// Numbers are Wireshark's as long as nothing can have gone on that was dropped from the retired.
func TestExact(t *testing.T) {
	end := func(i int) Endpoint { return Endpoint{Addr4([]byte{10, 0, byte(i >> 8), byte(i)}), 1000} }
	w := &wire{t: NewTracker(Config{MaxFlows: 2, MaxRetired: 10}), now: 1000 * second}
	connection := func(i int, flags Flags) {
		w.send(end(i), targetEnd, flags, 1, 1, 0)
		w.now += 100 * second
	}
	for i := range 10 { // 10 retired
		connection(i, SYN)
	}
	connection(0, ACK) // known still
	if w.stream() != 0 || w.t.ExactStreams()[0] != math.MaxUint32 {
		t.Fatalf("stream %d, %v", w.stream(), w.t.ExactStreams())
	}
	for i := range 10 {
		connection(100+i, SYN) // what is taken away is old: a new SYN is a new connection
	}
	if w.t.ExactStreams()[0] != math.MaxUint32 {
		t.Fatalf("%v", w.t.ExactStreams())
	}
	connection(5, ACK) // was 5, is now 20
	if !w.t.Exact(0, 19) || w.t.Exact(0, 20) || w.stream() != 20 {
		t.Errorf("stream %d, %v", w.stream(), w.t.ExactStreams())
	}
	w.t.BeginCapture()
	w.frame = 0
	connection(200, ACK)
	if !w.t.Exact(1, 0) || w.t.Exact(0, 22) {
		t.Errorf("the next capture: %v", w.t.ExactStreams())
	}

	// In a flood a SYN may be a repetition.
	w = &wire{t: NewTracker(Config{MaxFlows: 2, MaxRetired: 10}), now: 1000 * second}
	for i := range 14 {
		w.send(end(i), targetEnd, SYN, 1, 1, 0)
	}
	if !w.t.Exact(0, 11) || w.t.Exact(0, 12) {
		t.Errorf("%v", w.t.ExactStreams())
	}
}

// A side's first SYN goes on with the number of a connection in which it had said nothing,
// however old that is.
func TestExactSilentSide(t *testing.T) {
	defer func(was [4]uint64) { seeds = was }(seeds)
	seeds = [4]uint64{1, 2, 3, 4}
	end := func(i int) Endpoint { return Endpoint{Addr4([]byte{10, 0, 0, byte(i)}), 1000} }
	w := &wire{t: NewTracker(Config{MaxFlows: 2, MaxRetired: 10}), now: 1000 * second}
	for i := range 24 {
		w.send(end(i), targetEnd, SYN, 1, 0, 0) // nobody answers
		w.now += 100 * second
	}
	if !w.t.Exact(0, 23) {
		t.Errorf("a side that has said something: %v", w.t.ExactStreams())
	}
	w.send(targetEnd, end(0), SYN, 7, 0, 0) // is 0
	if w.stream() != 24 || w.t.Exact(0, 24) || !w.t.Exact(0, 23) {
		t.Errorf("stream %d, %v", w.stream(), w.t.ExactStreams())
	}
}

// What was young when it was dropped is known for that wherever the clock has been set.
func TestExactClockSet(t *testing.T) {
	const hours = 7200 * second
	for _, c := range []struct {
		name  string
		flows int
		set   func(w *wire, syn func(n int), known func())
	}{
		{"forwards, as is told", 102, func(w *wire, syn func(n int), _ func()) {
			w.now += hours
			w.t.Shift(hours)
			syn(1)
		}},
		{"back, as is told", 102, func(w *wire, syn func(n int), _ func()) {
			w.now -= hours
			w.t.Shift(-hours)
			syn(1)
		}},
		{"back", 100, func(w *wire, syn func(n int), known func()) {
			w.now -= hours
			known()
			known()
			syn(3)
		}},
		{"forwards and back", 102, func(w *wire, syn func(n int), known func()) {
			w.now += hours
			known()
			known()
			syn(1)
			w.now -= hours
			known()
			known()
			syn(1)
		}},
	} {
		w := &wire{t: NewTracker(Config{MaxFlows: 2, MaxRetired: 100}), now: 10000 * second}
		n := 0
		syn := func(more int) {
			for range more {
				w.send(Endpoint{lbEnd.Addr, uint16(n)}, targetEnd, ACK|SYN, 1, 1, 0)
				n++
			}
		}
		syn(c.flows)
		last := uint16(n - 1)
		c.set(w, func(more int) {
			for range more {
				w.send(Endpoint{lbEnd.Addr, uint16(n)}, targetEnd, SYN, 1, 0, 0)
				n++
			}
		}, func() { w.send(Endpoint{lbEnd.Addr, last}, targetEnd, ACK, 2, 2, 0) })
		if w.stream() != uint32(n-1) || w.t.Exact(0, uint32(n-1)) || !w.t.Exact(0, uint32(n-2)) {
			t.Errorf("%s: stream %d, %v", c.name, w.stream(), w.t.ExactStreams())
		}
	}
}

func TestMaxStreams(t *testing.T) {
	w := &wire{t: NewTracker(Config{Streams: true, MaxStreams: 3})}
	for i := range 5 {
		w.send(Endpoint{lbEnd.Addr, uint16(i + 1)}, targetEnd, SYN, 1, 0, 0)
	}
	w.t.End()
	if n := len(w.t.StreamStats()); n != 3 || !w.t.StreamsCut() {
		t.Errorf("%d streams", n)
	}
}
