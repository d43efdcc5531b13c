package detect

import (
	"testing"
	"time"

	"connrace/tcpstate"
)

// fastest is the least time that something took in some tries: what else the machine does, and
// the collector, only add to it.
func fastest(do func()) time.Duration {
	least := time.Duration(1 << 62)
	for range 5 {
		begin := time.Now()
		do()
		least = min(least, time.Since(begin))
	}
	return least
}

// grows asks whether one of many takes longer than one of few. A walk over all takes as many
// times longer as there are more; the bound is half of that, and held in one try of several, for
// the machine may be busy.
func grows(t *testing.T, what string, few, many int, each func(n int) time.Duration) {
	t.Helper()
	var a, b time.Duration
	for range 8 {
		a, b = each(few), each(many)
		if int64(b)*2 < int64(a)*int64(many/few) {
			return
		}
	}
	t.Errorf("%s: %v each for %d, %v for %d", what, a, few, b, many)
}

// TestGrowthOfQuestions: what findings and SYNs ask about a listener costs no more where more has
// happened to it.
func TestGrowthOfQuestions(t *testing.T) {
	filled := func(n int) *target {
		x := newTarget(tcpstate.Endpoint{Port: 80}, 1, false)
		var open openWaits
		for i := range n {
			at := int64(i) * millisecond
			x.tell().drops.Add(at, uint32(i))
			x.tell().losses.Add(at, 0)
			x.tell().overflows.Add(at, 0)
			x.tell().waits.begin(&open, uint32(i), tcpstate.SegRef{Time: at})
			x.syns.Add(recentSYN{ref: tcpstate.SegRef{Time: at * 1000}})
		}
		return x
	}
	for what, ask := range map[string]func(x *target, at int64){
		"drops":     func(x *target, at int64) { x.told.dropNear(at-1000*second, at-900*second, 0) },
		"losses":    func(x *target, at int64) { x.told.lossy(at, at) },
		"overflows": func(x *target, at int64) { x.told.overflowNear(at-1000*second, at-900*second) },
		"waits":     func(x *target, at int64) { x.told.waits.at(forQueue, at) },
		"SYNs":      func(x *target, at int64) { x.synAfter(tcpstate.Addr{Lo: 1}, at, 0) },
	} {
		grows(t, what, 128, 4096, func(n int) time.Duration {
			x := filled(n)
			return fastest(func() {
				for i := range 200 {
					ask(x, int64(i%16)*millisecond)
				}
			})
		})
	}
}

// outage are the segments of an outage at one listener or many: so many requests that stall, and
// then so many connections whose SYN is sent three times in vain.
func outage(stalled, tries, targets int) (segs []tcpstate.Segment) {
	add := func(at int64, from, to tcpstate.Endpoint, f tcpstate.Flags, seq, ack tcpstate.Seq, n uint32) {
		segs = append(segs, tcpstate.Segment{Frame: uint64(len(segs) + 1), Time: at, Src: from, Dst: to, Flags: f, Seq: seq, Ack: ack, Len: n})
	}
	ends := func(i int) (lb, target tcpstate.Endpoint) {
		lb = tcpstate.Endpoint{Addr: tcpstate.Addr{Lo: 0xffff<<32 | 10<<24 | uint64(i/50000)}, Port: uint16(1024 + i%50000)}
		return lb, tcpstate.Endpoint{Addr: tcpstate.Addr{Lo: 0xffff<<32 | 11<<24 | uint64(i%targets)}, Port: 80}
	}
	for i := range stalled {
		lb, target := ends(i)
		at := second + int64(i)*millisecond
		add(at, lb, target, tcpstate.SYN, 100, 0, 0)
		add(at+1, target, lb, tcpstate.SYN|tcpstate.ACK, 200, 101, 0)
		add(at+2, lb, target, tcpstate.ACK, 101, 201, 0)
		add(at+3, lb, target, tcpstate.ACK|tcpstate.PSH, 101, 201, 50)
	}
	const batch = 100 // whose SYNs are sent together
	at := second + int64(stalled)*millisecond
	for from := 0; from < tries; from += batch {
		at += 10 * second
		for k := range int64(3) {
			for i := from; i < min(from+batch, tries); i++ {
				lb, target := ends(stalled + i)
				add(at+(1<<k-1)*second, lb, target, tcpstate.SYN, 100, 0, 0)
			}
		}
	}
	return segs
}

// TestGrowth: of an outage that is eight times as large each segment costs about as much.
func TestGrowth(t *testing.T) {
	for _, tt := range []struct {
		what string
		segs func(n int) []tcpstate.Segment
	}{
		{"stalled requests", func(n int) []tcpstate.Segment { return outage(n, 1000, 1) }},
		{"findings", func(n int) []tcpstate.Segment { return outage(5, n, 1) }},
		{"targets", func(n int) []tcpstate.Segment { return outage(n, n, n) }},
	} {
		grows(t, tt.what, 500, 4000, func(n int) time.Duration {
			segs := tt.segs(n)
			begin := time.Now()
			d := New(Options{})
			d.Segments(segs)
			d.Finish()
			return time.Since(begin) / time.Duration(len(segs))
		})
	}
}
