package tcpstate

import (
	"net/netip"
	"testing"
	"unsafe"
)

// A flow is four cache lines.
func TestFlowSize(t *testing.T) {
	if n := unsafe.Sizeof(Flow{}); n != 256 {
		t.Errorf("a flow has %d octets", n)
	}
}

// What is remembered of a connection has the number that it had in the capture that it was
// in, also when it goes on through several.
func TestStreamOfCapture(t *testing.T) {
	w := &wire{t: NewTracker(Config{})}
	other := Endpoint{Addr4([]byte{10, 0, 0, 3}), 42000}
	next := func(others int) {
		w.t.BeginCapture()
		w.frame = 0
		for i := range others {
			w.send(Endpoint{other.Addr, uint16(42000 + i)}, targetEnd, SYN, 1, 0, 0)
		}
	}
	w.handshake(99, 499)
	w.lb(ACK|PSH, 100, 500, 100) // the request: stream 0
	f := w.t.Flow(0)
	next(3)
	w.target(ACK|PSH, 500, 200, 9) // the answer: stream 3
	next(5)
	w.lb(ACK, 200, 509, 0)
	w.lb(ACK|FIN, 200, 509, 0) // stream 5
	for _, x := range []struct {
		name string
		m    SegRef
		want uint32
	}{
		{"request", w.t.Request(f), 0},
		{"last octets of the LB", w.t.NewestFromLB(f), 0},
		{"answer", w.t.Answer(f), 3},
		{"last octets of the target", w.t.NewestFromTarget(f), 3},
		{"FIN", w.t.Notes(f).Half[f.LB()].FIN, 5},
	} {
		if !x.m.Set() || x.m.Stream != x.want {
			t.Errorf("%s: stream %d, want %d", x.name, x.m.Stream, x.want)
		}
	}
	w.t.setBack(w.now)
	if n := len(w.t.renumbered); n != 0 {
		t.Errorf("the numbers of %d forgotten flows are kept", n)
	}
}

// An old incarnation gets its segments until it is forgotten; then nothing points to it.
func TestPrevious(t *testing.T) {
	w := &wire{t: NewTracker(Config{})}
	for i := range 20 {
		isn := Seq(1000 * (i + 1))
		w.handshake(isn, 77)
		w.lb(ACK|PSH, isn+1, 78, 10)
		w.lb(SYN, isn+500, 0, 0)
		if len(w.t.previous) == 0 || len(w.t.previous) != len(w.t.next) {
			t.Fatalf("%d old incarnations, %d new ones", len(w.t.previous), len(w.t.next))
		}
		w.lb(RST, isn+11, 0, 0)
	}
	w.now += 10 * second
	w.send(Endpoint{lbEnd.Addr, 9}, targetEnd, SYN, 1, 0, 0)
	w.t.Each(func(f *Flow) {
		if f.flags&flowDetached != 0 {
			t.Errorf("old incarnation %d is still there", f.index)
		}
	})
	if len(w.t.previous)+len(w.t.next) != 0 {
		t.Errorf("%d, %d links to flows that are gone", len(w.t.previous), len(w.t.next))
	}
}

// Where a turn may have begun is remembered although the octets before it came late and in
// pieces of their own, and the turn has been answered.
func TestTurnLowAnswered(t *testing.T) {
	w := &wire{t: NewTracker(Config{})}
	w.handshake(99, 499)
	w.lb(ACK|PSH, 100, 500, 50)
	w.target(ACK|PSH, 500, 150, 10)
	w.lb(ACK|PSH, 200, 510, 50) // 150 to 199 are missing
	w.t.flushAll()
	w.lb(ACK|PSH, 120, 510, 80) // and come behind others that are known
	w.target(ACK|PSH, 510, 250, 10)
	w.lb(ACK|PSH, 130, 520, 20) // once more
	f := only(t, w.t)
	if low := w.t.TurnLow(f, f.LB()); low != 150 || w.t.Request(f).Seq != 200 || !f.Half[f.LB()].Answered() {
		t.Errorf("the request %+v may have begun at %d, want 150", w.t.Request(f), low)
	}
	w.target(ACK|PSH, 520, 250, 10)
	w.lb(ACK|PSH, 250, 530, 10)
	if low := w.t.TurnLow(f, f.LB()); low != 250 {
		t.Errorf("the next request may have begun at %d, want 250", low)
	}
}

// Of whatever many captures, each numbers a connection that goes on once.
func TestManyCaptures(t *testing.T) {
	w := &wire{t: NewTracker(Config{})}
	w.handshake(99, 499)
	for range 70_000 {
		w.t.BeginCapture()
	}
	w.lb(ACK|PSH, 100, 500, 1)
	w.lb(ACK|PSH, 101, 500, 1)
	if f := only(t, w.t); f.stream != 0 {
		t.Errorf("stream %d, want 0", f.stream)
	}
}

// Round-trip times are right to the nanosecond as far as 4 s, to the microsecond beyond.
func TestRTT(t *testing.T) {
	const most = 1<<32 - 1
	for _, c := range [][2]int64{
		{1, 1},
		{most, most},
		{most + 1, most / 1000 * 1000},
		{5*second + 1234, 5*second + 1000},
		{3600 * second, 3600 * second},
		{1 << 62, most * 1000},
	} {
		w := &wire{t: NewTracker(Config{}), now: 50 * year}
		w.handshake(99, 499)
		f := only(t, w.t)
		if got := f.RTT(); got != 2*millisecond {
			t.Fatalf("RTT %d", got)
		}
		*f = Flow{}
		if f.setRTT(c[0]); f.RTT() != c[1] {
			t.Errorf("RTT %d of %d, want %d", f.RTT(), c[0], c[1])
		}
	}
}

// An IPv6 address in the mapped form of IPv4 that stood in an IPv6 header is no IPv4 address.
func TestMappedAddr(t *testing.T) {
	mapped := netip.MustParseAddr("::ffff:10.9.0.2")
	a, b := AddrFrom(mapped), AddrFrom(mapped.Unmap())
	if a == b || a.Is4() || !b.Is4() || a.Netip() != mapped || b.Netip() != mapped.Unmap() || a.Unmap() != b || b.Unmap() != b {
		t.Errorf("%v %v, %+v %+v", a, b, a, b)
	}
	if c := AddrFrom(netip.MustParseAddr("2001:db8::1")); c.Unmap() != c {
		t.Errorf("%v became %v", c, c.Unmap())
	}
}

// A copy of the SYN-ACK that comes late takes nothing back of what the target acknowledged.
func TestLateSYNACK(t *testing.T) {
	w := &wire{t: NewTracker(Config{})}
	w.handshake(99, 499)
	w.lb(ACK|PSH, 100, 500, 100)
	w.target(ACK, 500, 200, 0)
	w.target(SYN|ACK, 499, 100, 0)
	f := w.t.Flow(0)
	if _, target := f.Sides(); target.Ack != 200 || target.Nxt != 500 {
		t.Errorf("the target acknowledges %d and goes on at %d", target.Ack, target.Nxt)
	}
}

// Which side's receive window is closed is said by its newest answer to a probe: not by one that came late, from when it
// had less, nor by an RST.
func TestWindowShut(t *testing.T) {
	type segment struct {
		flags  Flags
		ack    Seq
		window uint16
	}
	for _, c := range []struct {
		name string
		segs []segment
		want bool
	}{
		{"full", []segment{{ACK, 200, 0}, {ACK, 200, 0}}, true},
		{"open again", []segment{{ACK, 200, 0}, {ACK, 200, 0}, {ACK, 200, 500}}, false},
		{"takes more", []segment{{ACK, 150, 0}, {ACK, 150, 0}, {ACK, 200, 500}}, false},
		{"an answer that came late", []segment{{ACK, 150, 0}, {ACK, 150, 0}, {ACK, 200, 500}, {ACK, 150, 0}}, false},
		{"an update that came late", []segment{{ACK, 150, 500}, {ACK, 200, 0}, {ACK, 200, 0}, {ACK, 150, 500}}, true},
		{"RST", []segment{{ACK, 200, 500}, {RST, 200, 0}}, false},
	} {
		w := &wire{t: NewTracker(Config{})}
		w.handshake(99, 499)
		w.lb(ACK|PSH, 100, 500, 100)
		for _, s := range c.segs {
			w.frame++
			w.now += millisecond
			w.seg = Segment{Frame: w.frame, Time: w.now, Src: targetEnd, Dst: lbEnd, Flags: s.flags, Seq: 500, Ack: s.ack, Window: s.window}
			w.t.Track(&w.seg)
		}
		if f := only(t, w.t); f.Half[1-f.LB()].WindowShut() != c.want {
			t.Errorf("%s: %v", c.name, !c.want)
		}
	}
}
