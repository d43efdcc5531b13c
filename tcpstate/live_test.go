package tcpstate

import (
	"slices"
	"testing"
)

// A close is judged although no segment follows it.
func TestAdvance(t *testing.T) {
	var cfg Config
	var got []Kind
	events(&cfg, &got)
	w := &wire{t: NewTracker(cfg)}
	w.handshake(100, 200)
	w.lb(FIN|ACK, 101, 201, 0)
	w.target(FIN|ACK, 201, 102, 0)
	w.t.Advance(w.now - second)
	if w.t.Now() != w.now {
		t.Errorf("time went back to %d", w.t.Now())
	}
	if slices.Contains(got, Settled) {
		t.Error("settled at once")
	}
	w.t.Advance(w.now + 2*second)
	if !slices.Contains(got, Settled) || !slices.Contains(got, Gone) || w.t.Live() != 0 {
		t.Errorf("%v, %d flows: the close is not settled", got, w.t.Live())
	}
}

// Idle ages and what is due do not change when the clock is set.
func TestShift(t *testing.T) {
	for _, by := range []int64{0, -3600 * second, 3600 * second, -1} {
		var cfg Config
		var gap, settled int64
		cfg.On(CloseBegan, func(e *Event) { gap = max(gap, e.Gap) })
		cfg.On(Settled, func(e *Event) { settled = e.Time })
		w := &wire{t: NewTracker(cfg), now: 7200 * second}
		w.handshake(100, 200)
		w.lb(ACK, 101, 201, 50)
		w.target(ACK, 201, 151, 50)
		w.now += by
		w.t.Shift(by)
		w.now += 5 * second
		w.target(FIN|ACK, 251, 151, 0)
		w.lb(FIN|ACK, 151, 252, 0)
		if want := 5*second + 2*millisecond; gap != want {
			t.Errorf("shift by %d: idle for %d, want %d", by, gap, want)
		}
		w.now += by
		w.t.Shift(by)
		w.t.Advance(w.now + 100*millisecond)
		if settled != 0 {
			t.Errorf("shift by %d: settled too soon", by)
		}
		w.t.Advance(w.now + second)
		if settled == 0 || w.t.Live() != 0 {
			t.Errorf("shift by %d: not settled after a second, %d flows", by, w.t.Live())
		}
	}
}

// Retired flows do not pile up, and the newest are the ones that are kept.
func TestMaxRetired(t *testing.T) {
	w := &wire{t: NewTracker(Config{MaxRetired: 10})}
	connection := func(port uint16, isn Seq) {
		lb := Endpoint{lbEnd.Addr, port}
		w.send(lb, targetEnd, SYN, isn, 0, 0)
		w.send(targetEnd, lb, RST|ACK, 0, isn+1, 0)
		w.t.Advance(w.now + 2*second)
		w.now += 2 * second
	}
	for port := range uint16(1000) {
		connection(port, 100)
	}
	connection(990, 200) // again: its number moves
	if n := w.t.retired.index.n; n > 10 || w.t.Evicted != 0 {
		t.Errorf("%d retired, %d evicted", n, w.t.Evicted)
	}
	for port, want := range map[uint16]uint32{999: 999, 990: 1000} {
		w.send(targetEnd, Endpoint{lbEnd.Addr, port}, RST, 1, 0, 0)
		if _, got := w.t.Newest(); got != want {
			t.Errorf("a late segment of port %d has stream %d, want %d", port, got, want)
		}
	}
	if w.t.Streams != 1001 {
		t.Errorf("%d streams", w.t.Streams)
	}
}
