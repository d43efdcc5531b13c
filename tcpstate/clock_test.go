package tcpstate

import (
	"math"
	"slices"
	"testing"
)

const (
	year = 365 * 24 * 3600 * second
	day  = 24 * 3600 * second
)

// One frame with a wrong time neither ends connections nor stops the clock.
func TestStrayTime(t *testing.T) {
	for _, stray := range []int64{30 * year, -30 * year, 2 * 3600 * second, 1<<63 - 1 - second, -1 << 63, -1} {
		var cfg Config
		var got []Kind
		events(&cfg, &got)
		w := &wire{t: NewTracker(cfg), now: 50 * year}
		w.handshake(100, 200)
		w.lb(SYN, 7, 0, 0) // of the same ports: two connections in mind
		now := w.now
		w.now = stray
		if stray > 0 && stray < 40*year {
			w.now += now
		}
		w.lb(SYN, 7, 0, 0)
		w.now = now
		w.lb(SYN, 7, 0, 0)
		if slices.Contains(got, Settled) || slices.Contains(got, Gone) {
			t.Errorf("%d: %v", stray, got)
		}
		if d := w.t.Now() - now; d < 0 || d > second {
			t.Errorf("%d: the clock is wrong by %d", stray, d)
		}
		if l := w.t.Leaps(); l.Count != 1 || l.Frame != 5 || (l.By > 0) != (stray > 0) && stray != -1 {
			t.Errorf("%d: leaps %+v", stray, l)
		}
		// It goes on: the close is judged when its time has come.
		w.lb(SYN, 7, 0, 0)
		w.target(RST|ACK, 0, 8, 0)
		w.now += 2 * second
		w.send(Endpoint{lbEnd.Addr, 1}, targetEnd, SYN, 1, 0, 0)
		if !slices.Contains(got, Settled) {
			t.Errorf("%d: not settled", stray)
		}
	}
}

// After a pause of days those that wait have waited in vain.
func TestPause(t *testing.T) {
	var cfg Config
	var got []Kind
	events(&cfg, &got)
	w := &wire{t: NewTracker(cfg), now: 50 * year}
	w.lb(SYN, 100, 0, 0)
	for range 5 { // single segments, days apart
		w.now += 3 * day
		w.send(Endpoint{lbEnd.Addr, 1}, targetEnd, ACK, 1, 1, 0)
	}
	if !slices.Contains(got, Settled) && !slices.Contains(got, Gone) {
		t.Errorf("%v", got)
	}
	if l := w.t.Leaps(); l.Count != 0 {
		t.Errorf("leaps %+v", l)
	}
	if d := w.now - w.t.Now(); d < 0 || d > 3*day+second {
		t.Errorf("the clock is %d s behind", d/second)
	}
}

// Where the clock is set back, or older frames are appended, everything ends as at the end
// of a capture and begins anew; the numbers go on.
func TestSetBack(t *testing.T) {
	var cfg Config
	ended := 0
	cfg.On(Settled, func(e *Event) {
		if e.Ended {
			ended++
		}
	})
	w := &wire{t: NewTracker(cfg), now: 50 * year}
	for i := range 3000 {
		w.send(Endpoint{lbEnd.Addr, uint16(i + 1)}, targetEnd, SYN, 1, 0, 0)
	}
	w.now -= 30 * year
	w.send(Endpoint{lbEnd.Addr, 1}, targetEnd, ACK, 2, 1, 0)
	if w.t.Live() != 3000 || ended > 0 {
		t.Errorf("%d flows, %d ended: believed at once", w.t.Live(), ended)
	}
	w.send(Endpoint{lbEnd.Addr, 2}, targetEnd, ACK, 2, 1, 0)
	if w.t.Live() != 1 || ended != 3000 || w.stream() != 1 {
		t.Errorf("%d flows, %d ended, stream %d", w.t.Live(), ended, w.stream())
	}
	if l := w.t.Leaps(); l.Count != 1 || l.Frame != 3001 || l.By > -29*year {
		t.Errorf("leaps %+v", l)
	}
	check(t, w.t)
	// Back and forth without end costs nothing that grows.
	for range 20000 {
		w.now += 30 * year
		w.lb(ACK, 1, 1, 0)
		w.lb(ACK, 1, 1, 0)
		w.now -= 30 * year
		w.lb(ACK, 1, 1, 0)
		w.lb(ACK, 1, 1, 0)
	}
	if w.t.Live() > 2 || w.t.wheel.n > 10 {
		t.Errorf("%d flows, %d timers", w.t.Live(), w.t.wheel.n)
	}
}

// Frames without a time, and all at the same time, are followed.
func TestNoTime(t *testing.T) {
	for _, now := range []int64{0, 1, 50 * year} {
		tr := NewTracker(Config{MaxFlows: 1000})
		for i := range 200_000 {
			tr.Track(&Segment{
				Frame: uint64(i + 1), Time: now, Flags: SYN, Seq: Seq(i),
				Src: Endpoint{Addr4([]byte{10, 1, byte(i >> 16), byte(i >> 8)}), uint16(i)}, Dst: targetEnd,
			})
		}
		if tr.Live() > 1000 || tr.wheel.n > 4*1000+maxIdleTimers || tr.retired.index.n > 4000 || tr.retired.flows.made > 4000 {
			t.Errorf("%d flows, %d timers, %d retired, room for %d", tr.Live(), tr.wheel.n, tr.retired.index.n, tr.retired.flows.made)
		}
		if tr.Evicted != 199_000 || tr.Leaps().Count != 0 {
			t.Errorf("%d evicted, leaps %+v", tr.Evicted, tr.Leaps())
		}
		check(t, tr)
	}
}

// However long a pause is, those that wait have waited in vain.
func TestYears(t *testing.T) {
	for _, pause := range []int64{day, 100 * day, 125 * day, 248 * day, 249 * day, year, 496 * day, 498 * day, 30 * year, 100 * year} {
		var cfg Config
		settled := 0
		cfg.On(Settled, func(*Event) { settled++ })
		w := &wire{t: NewTracker(cfg), now: 50 * year}
		for i := range uint16(20) {
			w.send(Endpoint{lbEnd.Addr, 100 + i}, targetEnd, SYN, 1, 0, 0)
		}
		w.now += pause
		for range 2 {
			w.send(Endpoint{lbEnd.Addr, 1}, targetEnd, ACK, 1, 1, 0)
		}
		if settled != 20 || w.t.Live() != 1 {
			t.Errorf("after %d days %d are settled, %d live", pause/day, settled, w.t.Live())
		}
	}
}

// The lower bits of the tick in which a flow is due are all clear now and then: every 497
// days.
func TestDueAtZero(t *testing.T) {
	for _, ticks := range []int64{-1, 0, 1} {
		var cfg Config
		settled := 0
		cfg.On(Settled, func(*Event) { settled++ })
		due := (35<<32 + ticks) * wheelTick
		w := &wire{t: NewTracker(cfg), now: due - lingerMax - 2*millisecond}
		w.lb(SYN, 99, 0, 0)
		w.target(RST|ACK, 0, 100, 0) // refused: judged when it has lingered
		if f := only(t, w.t); w.t.dueTick(f)-due/wheelTick > 1 || w.t.dueTick(f)*wheelTick < due {
			t.Errorf("due in tick %#x, want %#x", w.t.dueTick(f), due/wheelTick)
		}
		w.t.Advance(due - wheelTick)
		if settled > 0 {
			t.Error("settled too soon")
		}
		w.t.Advance(due + 3*wheelTick)
		if settled != 1 || w.t.Live() != 0 {
			t.Errorf("settled %d times, %d flows", settled, w.t.Live())
		}
	}
}

// Times at the end of what an int64 holds, where none waits and where one does.
func TestEndOfTime(t *testing.T) {
	for _, waits := range []bool{false, true} {
		var cfg Config
		settled := 0
		cfg.On(Settled, func(*Event) { settled++ })
		w := &wire{t: NewTracker(cfg), now: 50 * year}
		w.lb(SYN, 99, 0, 0)
		if waits {
			w.send(targetEnd, Endpoint{lbEnd.Addr, 9}, SYN|ACK, 199, 100, 0)
		}
		if n := w.t.waiting.n; (n == 1) != waits {
			t.Fatalf("%d wait", n)
		}
		for _, at := range []int64{math.MaxInt64 - 1, math.MaxInt64, math.MaxInt64} {
			w.now = at - millisecond
			w.target(SYN|ACK, 299, 100, 0)
			w.now = at - millisecond
			w.send(targetEnd, Endpoint{lbEnd.Addr, 10}, SYN|ACK, 199, 100, 0)
		}
		w.t.End()
		if settled == 0 || w.t.waiting.n != 0 {
			t.Errorf("%d settled, %d wait", settled, w.t.waiting.n)
		}
	}
}
