package tcpstate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"
)

var (
	lbEnd     = Endpoint{Addr4([]byte{10, 0, 0, 2}), 41000}
	targetEnd = Endpoint{Addr4([]byte{10, 0, 1, 9}), 8080}
)

// wire makes segments between two ends.
type wire struct {
	t     *Tracker
	frame uint64
	now   int64
	seg   Segment
}

func (w *wire) send(src, dst Endpoint, fl Flags, seq, ack Seq, n uint32) {
	w.frame++
	w.now += millisecond
	w.seg = Segment{Frame: w.frame, Time: w.now, Src: src, Dst: dst, Flags: fl, Seq: seq, Ack: ack, Len: n}
	w.t.Track(&w.seg)
}

func (w *wire) lb(fl Flags, seq, ack Seq, n uint32) { w.send(lbEnd, targetEnd, fl, seq, ack, n) }

func (w *wire) target(fl Flags, seq, ack Seq, n uint32) { w.send(targetEnd, lbEnd, fl, seq, ack, n) }

func (w *wire) handshake(isnL, isnT Seq) {
	w.lb(SYN, isnL, 0, 0)
	w.target(SYN|ACK, isnT, isnL+1, 0)
	w.lb(ACK, isnL+1, isnT+1, 0)
}

func only(t *testing.T, tr *Tracker) *Flow {
	t.Helper()
	var f *Flow
	tr.Each(func(g *Flow) { f = g })
	if tr.Live() != 1 || f == nil {
		t.Fatalf("%d flows in the table, want 1", tr.Live())
	}
	return f
}

// events collects the kinds of the events that fire.
func events(cfg *Config, out *[]Kind) {
	for k := range nKinds {
		cfg.On(k, func(e *Event) { *out = append(*out, e.Kind) })
	}
}

// A request begins when the LB has seen an answer to all that it sent before; data that
// goes on is none, and a plain ACK fires nothing.
func TestTurns(t *testing.T) {
	var cfg Config
	var got []Kind
	events(&cfg, &got)
	w := &wire{t: NewTracker(cfg)}
	w.handshake(99, 499)
	w.lb(ACK|PSH, 100, 500, 100)   // request
	w.lb(ACK|PSH, 200, 500, 50)    // goes on
	w.target(ACK, 500, 250, 0)     // a plain ACK
	w.target(ACK|PSH, 500, 250, 9) // answer
	w.target(ACK|PSH, 509, 250, 9) // goes on
	w.lb(ACK, 250, 518, 0)
	w.lb(ACK|PSH, 250, 518, 10) // the next request
	want := []Kind{Opened, EstablishedNow, RequestBegan, AnswerBegan, RequestBegan}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("events %v, want %v", got, want)
	}
	f := only(t, w.t)
	lb, target := f.Sides()
	if f.recent[f.LB()].turn.Seq != 250 || f.recent[f.LB()].turn.Ack != 518 || !lb.Outstanding() || lb.Nxt != 260 {
		t.Errorf("LB's half: %+v", lb)
	}
	if f.recent[1-f.LB()].turn.Seq != 500 || f.recent[1-f.LB()].newest.Seq != 509 || target.Holes() {
		t.Errorf("target's half: %+v", target)
	}
}

// The lowest-ack copy is the first transmission, in whatever order the copies come.
func TestFirstTransmission(t *testing.T) {
	w := &wire{t: NewTracker(Config{})}
	w.handshake(99, 499)
	w.lb(ACK|PSH, 100, 500, 10)
	w.target(ACK|PSH, 500, 110, 10)
	w.lb(ACK|PSH, 110, 511, 10) // acknowledges a FIN that the capture shows later
	w.lb(ACK|PSH, 110, 510, 10) // sent before it
	w.target(ACK|FIN, 510, 110, 0)
	f := only(t, w.t)
	if f.recent[f.LB()].turn.Ack != 510 || w.t.turnRef(f, f.LB()).Frame() != 7 {
		t.Errorf("first transmission %+v, want frame 7 with ack 510", w.t.turnRef(f, f.LB()))
	}
}

// Sequence numbers wrap anywhere.
func TestWrap(t *testing.T) {
	for _, isn := range []Seq{0xffffffff, 0xfffffff0, 0xffffff9b, 0x7fffffff} {
		w := &wire{t: NewTracker(Config{})}
		w.handshake(isn, isn-5)
		w.lb(ACK|PSH, isn+1, isn-4, 100)
		w.target(ACK|PSH, isn-4, isn+101, 100)
		w.lb(ACK|PSH, isn+101, isn+96, 100)
		f := only(t, w.t)
		lb, target := f.Sides()
		if f.recent[f.LB()].turn.Seq != isn+101 || lb.Nxt != isn+201 || target.Nxt != isn+96 || lb.Holes() || target.Holes() {
			t.Errorf("isn %#x: %+v %+v", isn, lb, target)
		}
	}
}

func TestHoles(t *testing.T) {
	w := &wire{t: NewTracker(Config{})}
	w.handshake(99, 499)
	w.lb(ACK|PSH, 100, 500, 10)
	w.target(ACK, 510, 110, 10) // [500,510) is missing
	w.t.flushAll()
	f := only(t, w.t)
	m := &w.t.Notes(f).Half[1-f.LB()]
	if !m.HoleBetween(500, 520) || m.HoleBetween(510, 520) {
		t.Fatalf("holes %v", m.holes)
	}
	w.target(ACK, 500, 110, 4)
	if !m.HoleBetween(504, 505) || m.HoleBetween(500, 504) {
		t.Fatalf("holes %v", m.holes)
	}
	w.target(ACK, 504, 110, 6)
	if m.HoleBetween(500, 520) {
		t.Fatalf("holes %v", m.holes)
	}
}

// RFC 9293 §3.6: what each side must be in, as far as the capture shows it.
func TestStates(t *testing.T) {
	state := func(w *wire) string {
		f := only(t, w.t)
		return w.t.State(f, f.LB()).String() + " " + w.t.State(f, 1-f.LB()).String()
	}
	w := &wire{t: NewTracker(Config{})}
	steps := []struct {
		do   func()
		want string
	}{
		{func() { w.lb(SYN, 99, 0, 0) }, "SYN-SENT LISTEN"},
		{func() { w.target(SYN|ACK, 499, 100, 0) }, "SYN-SENT SYN-RECEIVED"},
		{func() { w.lb(ACK, 100, 500, 0) }, "ESTABLISHED ESTABLISHED"},
		{func() { w.target(FIN|ACK, 500, 100, 0) }, "ESTABLISHED FIN-WAIT-1"},
		{func() { w.lb(ACK, 100, 501, 0) }, "CLOSE-WAIT FIN-WAIT-2"},
		{func() { w.lb(FIN|ACK, 100, 501, 0) }, "LAST-ACK FIN-WAIT-2"},
		{func() { w.target(ACK, 501, 101, 0) }, "CLOSED TIME-WAIT"},
	}
	for i, s := range steps {
		s.do()
		if got := state(w); got != s.want {
			t.Errorf("step %d: %s, want %s", i, got, s.want)
		}
	}
	w = &wire{t: NewTracker(Config{})}
	w.lb(ACK|PSH, 1000, 2000, 10)
	if got := state(w); got != "UNDETERMINED UNDETERMINED" {
		t.Errorf("mid-stream: %s", got)
	}
}

// Whoever sends the SYN-ACK is the target, but where both sides have sent a SYN
// (RFC 9293 §3.5) neither listens: there the roles are as without a handshake.
func TestRolesByHandshake(t *testing.T) {
	for _, tt := range []struct {
		name string
		by   Basis
		do   func(*wire)
	}{
		{"the SYN is missing", ByHandshake, func(w *wire) { w.target(SYN|ACK, 499, 100, 0); w.lb(ACK, 100, 500, 0) }},
		{"simultaneous open", ByPort, func(w *wire) {
			w.lb(SYN, 99, 0, 0)
			w.target(SYN, 499, 0, 0)
			w.lb(SYN|ACK, 99, 500, 0)
			w.target(SYN|ACK, 499, 100, 0)
		}},
		{"simultaneous open, the target's SYN is captured first", ByPort, func(w *wire) {
			w.target(SYN, 499, 0, 0)
			w.lb(SYN, 99, 0, 0)
			w.target(SYN|ACK, 499, 100, 0)
			w.lb(SYN|ACK, 99, 500, 0)
		}},
		{"split handshake", ByPort, func(w *wire) {
			w.lb(SYN, 99, 0, 0)
			w.target(SYN, 499, 0, 0)
			w.lb(SYN|ACK, 99, 500, 0)
			w.target(ACK, 500, 100, 0)
		}},
	} {
		w := &wire{t: NewTracker(Config{})}
		tt.do(w)
		if f := only(t, w.t); w.t.Endpoint(f, 1-f.LB()) != targetEnd || f.Basis() != tt.by {
			t.Errorf("%s: the target is %v, by %v", tt.name, w.t.Endpoint(f, 1-f.LB()), f.Basis())
		}
	}
}

// A closed flow is forgotten, an idle one too, and the numbers go on as Wireshark's.
func TestRetireAndNumber(t *testing.T) {
	w := &wire{t: NewTracker(Config{Streams: true})}
	w.handshake(99, 499)
	w.lb(FIN|ACK, 100, 500, 0)
	w.target(FIN|ACK, 500, 101, 0)
	w.lb(ACK, 101, 501, 0)
	w.now += 2 * second
	other := Endpoint{lbEnd.Addr, 50000}
	w.send(other, targetEnd, SYN, 7, 0, 0)
	if w.t.Live() != 1 {
		t.Errorf("%d flows live, want 1", w.t.Live())
	}
	w.target(RST, 501, 0, 0) // late: belongs to stream 0
	w.lb(SYN, 99, 0, 0)      // the same ISN: still stream 0
	w.lb(SYN, 100000, 0, 0)  // a new one
	w.target(RST, 501, 0, 0) // to the new one by number
	w.send(other, targetEnd, SYN, 7, 0, 0)
	w.t.End()
	var got []string
	for _, s := range w.t.StreamStats() {
		got = append(got, fmt.Sprintf("%d:%d segments %d syn %d rst", s.Stream, s.Segments, s.SYN, s.RST))
	}
	want := "[0:8 segments 2 syn 1 rst 1:2 segments 2 syn 0 rst 2:2 segments 1 syn 1 rst]"
	if fmt.Sprint(got) != want {
		t.Errorf("streams %v\nwant    %s", got, want)
	}
}

// oracle is a slow, plain statement of tshark 4.0's rule for tcp.stream.
type oracle struct {
	pairs map[[2]Endpoint]*conversation
	next  uint32
}

type conversation struct {
	stream uint32
	base   map[Endpoint]Seq
}

func (n *oracle) pair(s *Segment) [2]Endpoint {
	if fmt.Sprint(s.Dst) < fmt.Sprint(s.Src) {
		return [2]Endpoint{s.Dst, s.Src}
	}
	return [2]Endpoint{s.Src, s.Dst}
}

// again reports whether a segment is a SYN with the number of the conversation that there is.
func (n *oracle) again(s *Segment) bool {
	c := n.pairs[n.pair(s)]
	if c == nil {
		return false
	}
	base, has := c.base[s.Src]
	return has && base == s.Seq && s.Flags&(SYN|ACK) == SYN
}

func (n *oracle) number(s *Segment) uint32 {
	k := n.pair(s)
	c := n.pairs[k]
	open := func() {
		c = &conversation{n.next, map[Endpoint]Seq{}}
		n.pairs[k] = c
		n.next++
	}
	if c == nil {
		open()
	}
	base, has := c.base[s.Src]
	switch {
	case s.Flags&(SYN|ACK) == SYN && has && base != s.Seq:
		open()
	case s.Flags&(SYN|ACK) == SYN|ACK && has:
		c.base[s.Src] = s.Seq
	}
	if !s.Quoted && !s.NoLength {
		if _, ok := c.base[s.Src]; !ok {
			c.base[s.Src] = s.Seq - 1
			if s.Flags&SYN != 0 {
				c.base[s.Src] = s.Seq
			}
		}
		if _, ok := c.base[s.Dst]; !ok && s.Flags&ACK != 0 {
			c.base[s.Dst] = s.Ack - 1
		}
	}
	return c.stream
}

// FuzzTracker feeds random segments of a few connections and holds the tracker against
// the slow numbering and against its own invariants.
func FuzzTracker(f *testing.F) {
	for a := range uint64(4) {
		f.Add(a, uint64(2))
	}
	f.Fuzz(func(t *testing.T, a, b uint64) {
		r := rand.New(rand.NewPCG(a, b))
		tr := NewTracker(Config{Streams: true})
		few := Numberer{NewTracker(Config{MaxFlows: 3})}
		var segs []Segment
		var numbers []uint32
		slow := oracle{pairs: map[[2]Endpoint]*conversation{}}
		counts := map[uint32]uint64{}
		now := int64(0)
		v6 := netip.MustParseAddr("2001:db8::1")
		end := func(i int) Endpoint {
			if a&1 != 0 && i > 1 {
				return Endpoint{AddrFrom(v6), uint16(8080 + i)}
			}
			return Endpoint{Addr4([]byte{10, 0, 0, byte(i / 3)}), uint16(8080 + i)}
		}
		seqs := []Seq{0, 1, 2, 50, 100, 101, 0xffffffff, 0xfffffff0, 0x7fffffff}
		for frame := uint64(1); frame < 400; frame++ {
			now += r.Int64N(1 << r.IntN(36))
			if a&2 != 0 && r.IntN(40) == 0 {
				now += (r.Int64N(3) - 1) * 30 * 365 * 24 * 3600 * second
			}
			i, j := r.IntN(4), r.IntN(4)
			if i == j {
				continue
			}
			s := &Segment{
				Frame: frame, Time: now, Src: end(i), Dst: end(j), Flags: Flags(r.Uint32()) & (FIN | SYN | RST | ACK),
				Seq: seqs[r.IntN(len(seqs))] + Seq(r.IntN(3)), Ack: seqs[r.IntN(len(seqs))] + Seq(r.IntN(3)),
				Quoted: r.IntN(30) == 0, NoLength: r.IntN(30) == 0, Bogus: r.IntN(30) == 0,
			}
			if !s.NoLength && r.IntN(2) == 0 {
				s.Len = r.Uint32N(120)
				s.Payload = []byte("GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello")
				s.Payload = s.Payload[:min(len(s.Payload), int(s.Len))]
			}
			n := slow.number(s)
			if got := few.Number(s); got != n {
				t.Fatalf("stream %d, want %d", got, n)
			}
			tr.Track(s)
			if !s.Quoted {
				counts[n]++
			}
			check(t, tr)
			segs, numbers = append(segs, *s), append(numbers, n)
		}
		tr.End()
		all := NewTracker(Config{MaxFlows: 3})
		always := int64(math.MinInt64)
		all.TrackAll(segs, &always, func() {
			if _, got := all.Newest(); got != numbers[0] {
				t.Fatalf("stream %d, want %d", got, numbers[0])
			}
			numbers = numbers[1:]
			check(t, all)
		})
		for _, s := range tr.StreamStats() {
			if counts[s.Stream] != s.Segments {
				t.Fatalf("stream %d has %d segments, want %d", s.Stream, s.Segments, counts[s.Stream])
			}
			delete(counts, s.Stream)
		}
		if len(counts) > 0 {
			t.Fatalf("streams missing: %v", counts)
		}
	})
}

// check holds the tracker's tables against each other.
func check(t *testing.T, tr *Tracker) {
	t.Helper()
	live, indexed, v6 := 0, 0, uint32(0)
	tr.Each(func(f *Flow) {
		live++
		if f.flags&flowV6 != 0 {
			v6++
		}
		s := Segment{Src: tr.Endpoint(f, 0), Dst: tr.Endpoint(f, 1)}
		var q query
		queryOf(&s, &q)
		if q.hash != f.hash() || q.dir != 0 {
			t.Fatalf("flow %d: query %+v, key %+v", f.index, q, f.key)
		}
		g := tr.find(&q, &s)
		if f.flags&flowDetached == 0 {
			indexed++
			if g != f {
				t.Fatalf("flow %d is not found by its endpoints", f.index)
			}
		} else if g == f {
			t.Fatalf("detached flow %d is still found", f.index)
		}
		for i := range f.Half {
			h := &f.Half[i]
			if h.HasTurn() != tr.turnRef(f, i).Set() || h.HasTurn() && !h.Captured() {
				t.Fatalf("turn %+v of %+v", tr.turnRef(f, i), h)
			}
			if h.flags&flagTurnLow != 0 && (f.flags&flowNoted == 0 || tr.Notes(f).Half[i].TurnLow.AtOrAfter(f.recent[i].turn.Seq)) {
				t.Fatalf("half %d: its turn may have begun at %d, %d is its first octet", i, tr.Notes(f).Half[i].TurnLow, f.recent[i].turn.Seq)
			}
		}
		if f.flags&(flowNoted|flowClosing) != 0 && f.notes == 0 {
			t.Fatalf("flow %d has lost its marks", f.index)
		}
		for i := range tr.Notes(f).Half {
			m := &tr.Notes(f).Half[i]
			if (m.rareNotes == &nothingRare) == f.Noted() {
				t.Fatalf("flow %d: noted %t, and lies elsewhere", f.index, f.Noted())
			}
			if len(m.RSTs) > maxRSTs || len(m.Copies) > maxCopies || len(m.SYNs) > maxCopies || len(m.holes) > maxHoles {
				t.Fatalf("marks out of bounds: %+v", m)
			}
		}
	})
	if !reflect.ValueOf(nothingRare).IsZero() {
		t.Fatalf("marks of nobody: %+v", nothingRare)
	}
	checkWaiting(t, tr)
	if live != tr.Live() || indexed != tr.index.n {
		t.Fatalf("%d flows live, %d counted; %d in the index, %d counted", live, tr.Live(), indexed, tr.index.n)
	}
	if n := tr.v6.made - uint32(len(tr.v6.unused)); n != v6 {
		t.Fatalf("%d flows of IPv6, %d pairs of addresses", v6, n)
	}
}

// The table is bounded: a flood of SYNs evicts, and says so.
func TestMaxFlows(t *testing.T) {
	tr := NewTracker(Config{MaxFlows: 100})
	for i := range 5000 {
		tr.Track(&Segment{
			Frame: uint64(i + 1), Time: int64(i) * 1000, Flags: SYN, Seq: Seq(i),
			Src: Endpoint{Addr4([]byte{10, 1, byte(i >> 8), byte(i)}), uint16(i)}, Dst: targetEnd,
		})
		if tr.Live() > 100 || tr.retired.index.n > 401 {
			t.Fatalf("%d flows, %d retired", tr.Live(), tr.retired.index.n)
		}
	}
	if tr.Evicted < 4000 || tr.ExactStreams()[0] < 500 || tr.ExactStreams()[0] > 510 || tr.Exact(0, 600) {
		t.Errorf("evicted %d, the first %d stream numbers are exact", tr.Evicted, tr.ExactStreams()[0])
	}
}

// Data and acknowledgments of an established connection allocate nothing.
func TestNoAllocation(t *testing.T) {
	w := &wire{t: NewTracker(Config{})}
	w.handshake(99, 499)
	seqL, seqT := Seq(100), Seq(500)
	round := func() {
		w.lb(ACK|PSH, seqL, seqT, 100)
		seqL += 100
		w.target(ACK|PSH, seqT, seqL, 1000)
		seqT += 1000
		w.lb(ACK, seqL, seqT, 0)
	}
	for range 20000 { // the timer wheel's slots reach their size
		round()
	}
	if n := testing.AllocsPerRun(1000, round); n != 0 {
		t.Errorf("%v allocations per exchange", n)
	}
}
