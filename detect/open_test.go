package detect_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"connrace/detect"
	"connrace/tcpstate"
)

// watched is a live analysis with all that it tells.
type watched struct {
	traffic
	told []string
}

func watch() *watched {
	x := &watched{}
	say := func(what string) func(*detect.Finding) {
		return func(f *detect.Finding) {
			x.told = append(x.told, fmt.Sprintf("%d s: %s %d %s %s open=%v lost=%v: %s", x.seg.Time/second, what, f.ID, f.Rule.ID, f.Severity, f.Open, f.Lost, f.Summary))
		}
	}
	x.d = detect.New(detect.Options{Live: true, OnFinding: say("finding"), OnUpdate: say("update")})
	return x
}

// until lets time pass up to a number of milliseconds since the beginning.
func (x *watched) until(ms int64) {
	for x.seg.Time < ms*millisecond {
		x.pause(min(100*millisecond, ms*millisecond-x.seg.Time))
	}
}

func (x *watched) wants(t *testing.T, want ...string) {
	t.Helper()
	if !slices.EqualFunc(x.told, want, func(got, want string) bool {
		begin, end, _ := strings.Cut(want, "...")
		return strings.HasPrefix(got, begin) && strings.HasSuffix(got, end)
	}) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(x.told, "\n"), strings.Join(want, "\n"))
	}
}

// tries are what is counted of them.
func (x *watched) tries(t *testing.T, open, failed uint64) {
	t.Helper()
	if p := x.d.Progress(); p.OpenTries != open || p.Failed() != failed {
		t.Errorf("after %d s %d open and %d failed tries, want %d and %d", x.seg.Time/second, p.OpenTries, p.Failed(), open, failed)
	}
}

// A SYN that goes unanswered is told while it does, once; when it has for long; and what
// became of it.
func TestOpenSYN(t *testing.T) {
	lb, target := lbEnd(0), targetEnd(0)
	begin := func() *watched {
		x := watch()
		for _, ms := range []int64{0, 1000, 2000, 3000, 4000, 5000, 7000, 11000, 19000} {
			x.until(ms)
			x.send(lb, target, tcpstate.SYN, 100, 0)
		}
		x.tries(t, 1, 0)
		return x
	}
	first := "3 s: finding 1 syn-unanswered warning open=true lost=false: ...was sent 4 times in 3.0 s and is still unanswered"
	grave := "15 s: update 1 syn-unanswered error open=true lost=false: ...was sent 8 times in 11 s and is still unanswered"
	t.Run("given up", func(t *testing.T) {
		x := begin()
		x.until(140_000)
		x.wants(t, first, grave, "83 s: update 1 syn-unanswered error open=false lost=true: the SYN was sent 9 times over 19 s and never answered")
		x.tries(t, 0, 1)
		x.until(200_000)
		if r := x.d.Finish(); len(r.Findings) != 1 || r.Totals.Failed() != 1 || r.Totals.OpenTries != 0 {
			t.Errorf("in the end %d findings, %+v", len(r.Findings), r.Totals.Tries)
		}
	})
	t.Run("answered", func(t *testing.T) {
		x := begin()
		x.until(20_000)
		x.send(target, lb, tcpstate.SYN|tcpstate.ACK, 500, 101)
		x.send(lb, target, tcpstate.ACK, 101, 501)
		x.until(40_000)
		x.wants(t, first, grave, "30 s: update 1 syn-unanswered warning open=false lost=false: the SYN had to be sent 9 times...")
		x.tries(t, 0, 0)
	})
	t.Run("refused", func(t *testing.T) {
		x := begin()
		x.until(20_000)
		x.send(target, lb, tcpstate.RST|tcpstate.ACK, 0, 101)
		x.until(40_000)
		x.wants(t, first, grave, "21 s: update 1 connection-refused error open=false lost=true: ...")
		x.tries(t, 0, 1)
	})
	t.Run("the SYN-ACK was slow", func(t *testing.T) {
		x := watch()
		x.seg.HasTS = true
		for i, ms := range []int64{0, 1000, 2000, 3000} {
			x.until(ms)
			x.seg.TSVal = uint32(10 + i)
			x.send(lb, target, tcpstate.SYN, 100, 0)
		}
		x.seg.TSEcr = 10
		x.send(target, lb, tcpstate.SYN|tcpstate.ACK, 500, 101)
		x.send(lb, target, tcpstate.ACK, 101, 501)
		x.until(20_000)
		x.wants(t, first, "3 s: update 1 syn-unanswered warning open=false lost=false: ...was sent 4 times in 3.0 s until it was answered")
		x.tries(t, 0, 0)
	})
	t.Run("the end", func(t *testing.T) {
		x := begin()
		r := x.d.Finish()
		if len(r.Findings) != 1 || !r.Findings[0].Open || r.Totals.OpenTries != 1 || !strings.HasSuffix(r.Findings[0].Summary, "when the capture ended") {
			t.Errorf("%d findings, %+v", len(r.Findings), r.Totals.Tries)
		}
	})
}

// The same of octets that nobody acknowledges.
func TestOpenRequest(t *testing.T) {
	lb, target := lbEnd(0), targetEnd(0)
	begin := func() *watched {
		x := watch()
		x.send(lb, target, tcpstate.SYN, 100, 0)
		x.send(target, lb, tcpstate.SYN|tcpstate.ACK, 500, 101)
		x.send(lb, target, tcpstate.ACK, 101, 501)
		x.seg.Len = 50
		for _, ms := range []int64{100, 300, 700, 1500, 3100, 6300, 12700} {
			x.until(ms)
			x.send(lb, target, tcpstate.ACK|tcpstate.PSH, 101, 501)
		}
		x.seg.Len = 0
		x.tries(t, 1, 0)
		return x
	}
	first := "3 s: finding 1 path-loss warning open=true lost=false: ...was sent 5 times in 3.0 s and is still unanswered"
	grave := "15 s: update 1 path-loss error open=true lost=false: ...was sent 7 times in 13 s and is still unanswered"
	t.Run("given up", func(t *testing.T) {
		x := begin()
		x.until(60_000)
		x.wants(t, first, grave, "27 s: update 1 path-loss error open=false lost=true: ...was sent 7 times in 27 s and never acknowledged")
		x.tries(t, 0, 1)
	})
	t.Run("answered", func(t *testing.T) {
		x := begin()
		x.until(14_000)
		x.seg.Len = 20
		x.send(target, lb, tcpstate.ACK|tcpstate.PSH, 501, 151)
		x.seg.Len = 0
		x.send(lb, target, tcpstate.ACK, 151, 521)
		x.until(30_000)
		x.wants(t, first, "14 s: update 1 accept-queue-overflow warning open=false lost=false: ...the first data was sent 7 times")
		x.tries(t, 0, 0)
	})
	t.Run("short", func(t *testing.T) { // too short for a request: no more than a warning
		x := watch()
		x.send(lb, target, tcpstate.SYN, 100, 0)
		x.send(target, lb, tcpstate.SYN|tcpstate.ACK, 500, 101)
		x.seg.Len = 50
		x.send(lb, target, tcpstate.ACK|tcpstate.PSH, 101, 501)
		x.send(target, lb, tcpstate.ACK|tcpstate.PSH, 501, 151)
		x.seg.Len = 5
		for _, ms := range []int64{100, 300, 700, 1500, 3100, 6300, 12700, 25500} {
			x.until(ms)
			x.send(lb, target, tcpstate.ACK|tcpstate.PSH, 151, 551)
		}
		x.until(40_000)
		x.wants(t, "3 s: finding 1 stale-connection warning open=true lost=false: ...", "15 s: update 1 stale-connection warning open=true lost=false: ...")
	})
	t.Run("reset", func(t *testing.T) {
		x := begin()
		x.until(14_000)
		x.send(lb, target, tcpstate.RST|tcpstate.ACK, 151, 501)
		x.until(30_000)
		x.wants(t, first, "15 s: update 1 path-loss error open=false lost=true: ...")
		x.tries(t, 0, 1)
	})
}

// Which end is the LB's may show while a failure goes on. What was told of the other end then counts for
// nothing, what is found anew for the right one, and totals are always those of the targets.
func TestOpenTurned(t *testing.T) {
	low, high := tcpstate.Endpoint{Addr: targetEnd(0).Addr, Port: 1000}, targetEnd(1) // the lower port is taken for the target's
	x := watch()
	again := func() {
		x.seg.Len = 50
		x.send(low, high, tcpstate.ACK|tcpstate.PSH, 150, 550)
		x.seg.Len = 0
	}
	check := func(of tcpstate.Endpoint, open uint64) {
		t.Helper()
		r := x.d.Snapshot()
		var sum detect.Tries
		for i := range r.Targets {
			sum.Add(r.Targets[i].Tries, 1)
			if r.Targets[i].Target == of && r.Targets[i].OpenTries != open {
				t.Errorf("%d open tries of %v, want %d", r.Targets[i].OpenTries, of, open)
			}
		}
		if sum != r.Totals.Tries || sum.OpenTries != open {
			t.Errorf("%+v in total, of the targets %+v", r.Totals.Tries, sum)
		}
	}
	x.seg.Len = 50
	x.send(low, high, tcpstate.ACK|tcpstate.PSH, 100, 500)
	x.send(high, low, tcpstate.ACK|tcpstate.PSH, 500, 150)
	for _, ms := range []int64{100, 300, 700, 1500, 3100, 6300} {
		x.until(ms)
		again()
	}
	x.until(8000)
	check(low, 1)
	for i := range 2 {
		x.send(lbEnd(i), high, tcpstate.SYN, 100, 0)
		x.send(high, lbEnd(i), tcpstate.SYN|tcpstate.ACK, 500, 101)
		x.send(lbEnd(i), high, tcpstate.ACK, 101, 501)
	}
	x.until(12_700)
	again()
	x.until(16_500)
	check(high, 1)
	x.until(60_000)
	check(high, 0)
	x.wants(t, "3 s: finding 1 path-loss warning open=true lost=false: the answer...and is still unanswered",
		"15 s: update 1 path-loss warning open=false lost=false: ...until it showed that the ends are the other way round",
		"15 s: finding 2 stale-connection error open=true lost=false: the request...",
		"27 s: update 2 stale-connection error open=false lost=true: ...")
	x.tries(t, 0, 1)
}
