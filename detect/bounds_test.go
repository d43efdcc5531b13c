package detect

import (
	"math"
	"strings"
	"testing"

	"connrace/tcpstate"
)

// Samples of many targets do not add up to more than a few hundred megabytes.
func TestSamplesAreBounded(t *testing.T) {
	var sum, first int
	for tag := 1; tag <= DefaultMaxTargets+1; tag++ {
		x := newTarget(tcpstate.Endpoint{}, uint32(tag), false)
		y := x.tell()
		sum += y.reuses.Max
		if tag == 1 {
			first = y.reuses.Max
		}
		if y.reuses.Max < minSamples || y.closes.Max != min(y.reuses.Max, maxCloses) || x.syns.Max != y.reuses.Max || y.waits.most != y.reuses.Max {
			t.Fatalf("target %d keeps %d closes, %d SYNs, %d waits", tag, y.closes.Max, x.syns.Max, y.waits.most)
		}
	}
	if first != ringSize || sum > 3<<20 {
		t.Errorf("the first keeps %d, all %d", first, sum)
	}
}

// refused sends SYNs that are refused, n of them.
func refused(d *Detector, n int) {
	target := tcpstate.Endpoint{Addr: tcpstate.Addr4([]byte{10, 0, 1, 9}), Port: 80}
	for i := range n {
		lb := tcpstate.Endpoint{Addr: tcpstate.Addr4([]byte{10, 1, byte(i >> 16), byte(i >> 8)}), Port: uint16(i)}
		at := int64(1_600_000_000) * second
		d.Segments([]tcpstate.Segment{{Frame: uint64(2*i + 1), Time: at, Src: lb, Dst: target, Seq: 5, Flags: tcpstate.SYN}})
		d.Segments([]tcpstate.Segment{{Frame: uint64(2*i + 2), Time: at, Src: target, Dst: lb, Ack: 6, Flags: tcpstate.RST | tcpstate.ACK}})
	}
}

// Findings beyond a bound are counted, and time that stands still does not pile them up.
func TestFindingsAreBounded(t *testing.T) {
	told := 0
	d := New(Options{MaxFlows: 1000, OnFinding: func(*Finding) { told++ }})
	const n = 100_000
	refused(d, n)
	if len(d.pending) > maxPending {
		t.Errorf("%d findings wait", len(d.pending))
	}
	r := d.Finish()
	if len(r.Findings) != 1<<14 || len(r.Forgotten) != 1 || r.Forgotten[0].Count != n-1<<14 || told != n {
		t.Errorf("%d findings, forgotten %+v, told %d", len(r.Findings), r.Forgotten, told)
	}
	if r.Totals.EvictedFlows < n-1000 {
		t.Errorf("%d evicted", r.Totals.EvictedFlows)
	}
}

// Where stream numbers cannot be relied on, filters do without.
func TestInexact(t *testing.T) {
	d := New(Options{MaxFlows: 10})
	refused(d, 1000)
	r := d.Finish()
	exact := r.ExactStreams[0]
	if exact < 40 || exact == math.MaxUint32 || len(r.Findings) != 1000 {
		t.Fatalf("the first %d streams are exact, %d findings", exact, len(r.Findings))
	}
	for _, f := range r.Findings {
		if f.Inexact != (f.Stream >= exact) {
			t.Fatalf("stream %d of %d: inexact %v", f.Stream, exact, f.Inexact)
		}
		filter := f.DisplayFilter()
		if got := string(f.AppendDisplayFilter([]byte("-Y "))); got != "-Y "+filter {
			t.Fatal(got)
		}
		if f.Inexact && (strings.Contains(filter, "tcp.stream") || !strings.Contains(filter, "("+f.TupleFilter()+") || frame.number in {")) {
			t.Fatal(filter)
		}
		if !f.Inexact && !strings.HasPrefix(filter, "tcp.stream eq ") {
			t.Fatal(filter)
		}
	}
}

// A wrong clock is no idle time.
func TestReuseAfterYears(t *testing.T) {
	x := newTarget(tcpstate.Endpoint{}, 1, false).tell()
	x.reused(5 * second)
	x.reused(30 * 365 * 24 * 3600 * second)
	if x.longest != 5*second || x.reuses.Count != 1 {
		t.Errorf("longest %d of %d", x.longest, x.reuses.Count)
	}
}

// Of more seconds than are kept, the newest are.
func TestExchangesAreBounded(t *testing.T) {
	x := newExchanges()
	ends := []tcpstate.Endpoint{{Port: 1}, {Port: 2}, {Port: 3}}
	const n = maxSeconds + maxSeconds/4
	for i := range int64(n) {
		x.active(ends[i%2], (1+i)*second)
	}
	x.active(ends[2], n*second)
	r := x.finish()
	sum := 0
	for e, s := range r.Seconds {
		sum += len(s)
		if e.Port < 3 && s[len(s)-1] < n-1 {
			t.Errorf("%d ends with %d", e.Port, s[len(s)-1])
		}
	}
	if !r.Incomplete || sum > maxSeconds || sum < maxSeconds/2 || sum != x.seconds || len(r.Seconds[ends[2]]) != 1 {
		t.Errorf("%d seconds, %v", sum, r.Incomplete)
	}
}
