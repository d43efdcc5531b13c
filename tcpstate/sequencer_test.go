package tcpstate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// aConnection is a connection from SYN to RST, in the order of what happened; the times are ms.
func aConnection() []Segment {
	const ask, answer = "GET /a HTTP/1.1\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"
	var segs []Segment
	at := int64(1e18)
	add := func(src, dst Endpoint, fl Flags, seq, ack Seq, p string) {
		at += 100 * 1000
		segs = append(segs, Segment{
			Frame: uint64(len(segs) + 1), Time: at, Src: src, Dst: dst, Flags: fl, Seq: seq, Ack: ack,
			Len: uint32(len(p)), Payload: []byte(p),
		})
	}
	lb := func(fl Flags, seq, ack Seq, p string) { add(lbEnd, targetEnd, fl, seq, ack, p) }
	target := func(fl Flags, seq, ack Seq, p string) { add(targetEnd, lbEnd, fl, seq, ack, p) }
	n, m := Seq(len(ask)), Seq(len(answer))
	l, r := Seq(math.MaxUint32-9), Seq(math.MaxUint32-29) // both wrap
	lb(SYN, l-1, 0, "")
	target(SYN|ACK, r-1, l, "")
	lb(ACK, l, r, "")
	lb(ACK|PSH, l, r, ask[:9])
	lb(ACK|PSH, l+9, r, ask[9:])
	target(ACK, r, l+n, "")
	target(ACK|PSH, r, l+n, answer)
	lb(ACK, l+n, r+m, "")
	lb(ACK|PSH, l+n, r+m, ask)
	target(ACK|PSH, r+m, l+2*n, answer)
	target(FIN|ACK, r+2*m, l+2*n, "")
	lb(ACK|PSH, l+2*n, r+2*m, ask) // crosses the FIN
	target(RST, r+2*m+1, 0, "")
	lb(FIN|ACK, l+3*n, r+2*m+1, "")
	target(RST, r+2*m+1, 0, "")
	return segs
}

// story tracks segments in the given order. It tells which events fired for which frame, and
// what the connection came to. Payload lies in a buffer that is used again.
func story(t *testing.T, segs []Segment) string {
	t.Helper()
	var b strings.Builder
	var cfg Config
	for k := range nKinds {
		if k == RequestStalled || k == Settled || k == Gone {
			continue
		}
		cfg.On(k, func(e *Event) { fmt.Fprintf(&b, "%d:%d ", k, e.Seg.Frame) })
	}
	tr := NewTracker(cfg)
	var end string
	tr.cfg.On(Settled, func(e *Event) {
		f := e.Flow
		end = fmt.Sprintf("%+v %q %s %s", f.framing, tr.Head(f), tr.State(f, f.LB()), tr.State(f, 1-f.LB()))
		for i := range f.Half {
			h := f.Half[i]
			h.flags &^= flagPeerReply
			end += fmt.Sprintf("\n%d %d %d %b turn %+v holes %d RSTs %d", h.Nxt, h.Ack, h.AnswerSeq, h.flags, f.recent[i].turn, len(tr.Notes(f).Half[i].holes), tr.Notes(f).Half[i].NRST)
		}
	})
	var buf [64]byte
	for _, s := range segs {
		s.Payload = buf[:copy(buf[:], s.Payload)]
		tr.Track(&s)
		check(t, tr)
	}
	tr.End()
	if q := &tr.waiting; q.n != 0 || q.due != math.MaxInt64 || q.skewed != (queue{}) || q.missing != (queue{}) {
		t.Errorf("segments wait although the capture is over: %+v", q)
	}
	return b.String() + "\n" + end
}

// skewed are segments in the order in which a capture hands them over that delays each
// segment by what late says.
func skewed(segs []Segment, late func(i int) int64) []Segment {
	out := slices.Clone(segs)
	for i := range out {
		out[i].Time += late(i)
	}
	slices.SortStableFunc(out, func(a, b Segment) int { return int(a.Time - b.Time) })
	return out
}

// A direction that is captured late by a constant changes nothing but the frames' order, and
// neither does a segment that is late.
func TestSkew(t *testing.T) {
	segs := aConnection()
	want := story(t, segs)
	if strings.Count(want, fmt.Sprintf(" %d:", RequestBegan)) != 3 {
		t.Fatalf("not three requests:\n%s", want)
	}
	for _, late := range []int64{50_000, 150_000, 500_000, 2 * millisecond, 5 * millisecond, 9 * millisecond} {
		for _, side := range []Endpoint{lbEnd, targetEnd} {
			got := story(t, skewed(segs, func(i int) int64 {
				if segs[i].Src == side {
					return late
				}
				return 0
			}))
			if sortWords(got) != sortWords(want) {
				t.Errorf("%v late by %d ns:\n%s\nwant\n%s", side, late, got, want)
			}
		}
		for one := range segs {
			if s := &segs[one]; s.Flags == RST || s.Flags == ACK && s.Len == 0 {
				continue // nothing tells what came behind it
			}
			got := story(t, skewed(segs, func(i int) int64 {
				if i == one {
					return late
				}
				return 0
			}))
			if sortWords(got) != sortWords(want) {
				t.Errorf("frame %d late by %d ns:\n%s\nwant\n%s", one+1, late, got, want)
			}
		}
	}
}

// sortWords sorts the words of the first line: events that do not depend on each other.
func sortWords(s string) string {
	line, rest, _ := strings.Cut(s, "\n")
	words := strings.Fields(line)
	slices.Sort(words)
	return strings.Join(words, " ") + "\n" + rest
}

// checkWaiting holds the lists of segments that wait against each other.
func checkWaiting(t *testing.T, tr *Tracker) {
	t.Helper()
	q := &tr.waiting
	n := 0
	tr.Each(func(f *Flow) {
		of := 0
		for dir := range f.Half {
			first := f.Half[dir].waiting
			length := q.length(&f.Half[dir])
			for i, k := first, 0; k < length; i, k = q.at(i).next, k+1 {
				w := q.at(i)
				if w.flow != f.index || int(w.dir) != dir || q.at(w.next).prev != i || w.until < q.due {
					t.Fatalf("in the list of half %d of flow %d: %+v", dir, f.index, w)
				}
				if k == length-1 && w.next != first {
					t.Fatalf("half %d of flow %d: more than %d segments wait", dir, f.index, length)
				}
			}
			of += length
		}
		if of > 0 != (f.flags&flowWaiting != 0) {
			t.Fatalf("flow %d: %d segments wait, flags %b", f.index, of, f.flags)
		}
		n += of
	})
	queued := 0
	for _, l := range [...]queue{q.skewed, q.missing} {
		last := uint16(0)
		for i := l.first; i != 0; i = q.at(i).later {
			if q.at(i).earlier != last || last != 0 && q.at(last).until > q.at(i).until {
				t.Fatalf("queue %+v: %+v", l, q.at(i))
			}
			last = i
			queued++
		}
		if l.last != last {
			t.Fatalf("queue %+v ends with %d", l, last)
		}
	}
	if n != q.n || queued != q.n {
		t.Fatalf("%d segments wait, %d in lists, %d in queues", q.n, n, queued)
	}
}

// What was captured in order never waits.
func TestInOrderPasses(t *testing.T) {
	tr := NewTracker(Config{})
	for _, s := range aConnection() {
		before := tr.waiting.n
		if tr.Track(&s); tr.waiting.n > before && s.Flags != RST {
			t.Errorf("frame %d waits", s.Frame)
		}
	}
}

// A segment waits for maxSkew at most, in capture time, whether frames come or not.
func TestWaitIsBounded(t *testing.T) {
	for _, live := range []bool{false, true} {
		w := &wire{t: NewTracker(Config{})}
		w.handshake(99, 499)
		w.lb(ACK|PSH, 100, 500, 10)
		w.target(ACK|PSH, 500, 130, 10) // the capture lacks [110, 130)
		if w.t.waiting.n != 1 {
			t.Fatalf("%d segments wait, want 1", w.t.waiting.n)
		}
		if live {
			w.t.Advance(w.now + maxSkew)
		} else {
			w.now += maxSkew
			w.send(Endpoint{lbEnd.Addr, 9}, targetEnd, SYN, 1, 0, 0)
		}
		if w.t.waiting.n != 0 {
			t.Errorf("live %v: it still waits", live)
		}
	}
}

// What was lost on the path is sent again: what came behind it waits for that, but not for long.
func TestGapWaitsForRetransmission(t *testing.T) {
	gap := func() *wire {
		w := &wire{t: NewTracker(Config{})}
		w.handshake(99, 499)
		w.lb(ACK|PSH, 150, 500, 50) // [100, 150) was lost
		w.target(ACK, 500, 100, 0)
		w.now += 200 * millisecond
		w.t.Advance(w.now)
		return w
	}
	w := gap()
	if w.t.waiting.n != 1 {
		t.Fatalf("%d segments wait, want 1", w.t.waiting.n)
	}
	w.lb(ACK|PSH, 100, 500, 50)
	f := only(t, w.t)
	if lb, _ := f.Sides(); w.t.waiting.n != 0 || lb.Holes() || lb.Nxt != 200 || w.t.Request(f).Seq != 100 {
		t.Errorf("%d wait, half %+v, request %+v", w.t.waiting.n, lb, w.t.Request(f))
	}
	w = gap()
	w.t.Advance(w.now + maxMissing + maxSkew)
	f = only(t, w.t)
	if lb, _ := f.Sides(); w.t.waiting.n != 0 || !lb.Holes() || lb.Nxt != 200 {
		t.Errorf("%d wait, half %+v", w.t.waiting.n, lb)
	}
	w = gap()
	w.target(ACK, 500, 200, 0) // the target has it: the capture lacks it
	w.t.Advance(w.now + maxSkew)
	if f = only(t, w.t); w.t.waiting.n != 0 || !f.Half[f.LB()].Holes() {
		t.Errorf("%d wait for what was received", w.t.waiting.n)
	}
}

// Where one direction is never captured, nothing waits for it but once.
func TestOneDirection(t *testing.T) {
	w := &wire{t: NewTracker(Config{})}
	w.lb(SYN, 99, 0, 0)
	w.lb(ACK, 100, 500, 0)
	w.now += maxSkew
	for i := range Seq(20) {
		w.lb(ACK|PSH, 100+10*i, 500+10*i, 10)
		if w.t.waiting.n != 0 {
			t.Fatalf("segment %d waits", i)
		}
	}
}

// A segment that waits belongs to the capture and to the stream that it arrived in.
func TestWaitsAcrossCaptures(t *testing.T) {
	w := &wire{t: NewTracker(Config{})}
	w.send(Endpoint{lbEnd.Addr, 9}, targetEnd, SYN, 1, 0, 0) // stream 0
	w.handshake(99, 499)                                     // frames 2 to 4, stream 1
	w.target(ACK|PSH, 500, 110, 10)                          // frame 5 answers what is late
	w.t.BeginCapture()
	w.frame = 0
	w.lb(ACK|PSH, 100, 500, 10)
	var f *Flow
	w.t.Each(func(g *Flow) {
		if g.HasData() {
			f = g
		}
	})
	for _, c := range []struct {
		ref     SegRef
		capture int
		frame   uint64
		stream  uint32
	}{{w.t.Request(f), 1, 1, 0}, {w.t.Answer(f), 0, 5, 1}} {
		if capture, frame := w.t.Locate(c.ref.Frame()); capture != c.capture || frame != c.frame || c.ref.Stream != c.stream {
			t.Errorf("capture %d frame %d stream %d, want %+v", capture, frame, c.ref.Stream, c)
		}
	}
}

// HasData reports whether either side has sent data.
func (f *Flow) HasData() bool { return f.Half[0].HasTurn() || f.Half[1].HasTurn() }

// Whatever comes, the segments that wait are bounded, and each is accounted for in the end.
func TestWaitingIsBounded(t *testing.T) {
	tr := NewTracker(Config{MaxFlows: 300})
	r := rand.New(rand.NewPCG(1, 2))
	payload := make([]byte, 1<<16)
	most := 0
	now := int64(1e18)
	for i := range 60_000 {
		now += r.Int64N(20_000)
		lb := Endpoint{lbEnd.Addr, uint16(r.IntN(400))}
		s := Segment{Frame: uint64(i + 1), Time: now, Src: lb, Dst: targetEnd, Flags: ACK, Seq: Seq(r.Uint32()), Ack: Seq(r.Uint32())}
		if r.IntN(2) == 0 {
			s.Src, s.Dst = s.Dst, s.Src
		}
		if r.IntN(9) == 0 {
			s.Flags = Flags(r.Uint32()) & (FIN | SYN | RST | ACK)
		}
		s.Len = r.Uint32N(1 << (4 + 12*uint32(i/20_000%2)))
		s.Payload = payload[:s.Len]
		tr.Track(&s)
		q := &tr.waiting
		if most = max(most, q.n); q.n > maxWaiting || q.copied > maxCopied+len(payload) {
			t.Fatalf("%d segments wait, with %d octets", q.n, q.copied)
		}
		if i%256 == 0 {
			check(t, tr)
		}
	}
	tr.End()
	if tr.waiting.n != 0 || tr.waiting.hurried == 0 || most < maxWaiting/4 {
		t.Errorf("%d wait in the end, %d at most, %d had to go", tr.waiting.n, most, tr.waiting.hurried)
	}
}

// Segments that wait take no memory of their own once there have been as many.
func TestWaitingAllocates(t *testing.T) {
	w := &wire{t: NewTracker(Config{})}
	w.handshake(99, 499)
	seq, ack := Seq(100), Seq(500)
	p := make([]byte, 100)
	round := func() {
		send := func(src, dst Endpoint, seq, ack Seq) {
			w.frame++
			w.now += millisecond / 10
			w.seg = Segment{Frame: w.frame, Time: w.now, Src: src, Dst: dst, Flags: ACK | PSH, Seq: seq, Ack: ack, Len: 100, Payload: p}
			w.t.Track(&w.seg)
		}
		send(targetEnd, lbEnd, ack, seq+100)
		send(lbEnd, targetEnd, seq, ack)
		seq, ack = seq+100, ack+100
	}
	round()
	if n := testing.AllocsPerRun(1000, round); n != 0 {
		t.Errorf("%v allocations for a request behind its answer", n)
	}
	if f := only(t, w.t); f.Half[f.LB()].Holes() || w.t.waiting.n != 0 {
		t.Errorf("half %+v", f.Half[f.LB()])
	}
}

func BenchmarkSkew(b *testing.B) {
	segs := aConnection()
	late := skewed(segs, func(i int) int64 {
		if segs[i].Src == lbEnd {
			return 2 * millisecond
		}
		return 0
	})
	for _, c := range []struct {
		name string
		segs []Segment
	}{{"in order", segs}, {"skewed", late}} {
		b.Run(c.name, func(b *testing.B) {
			tr := NewTracker(Config{})
			for i := range b.N {
				s := c.segs[i%len(c.segs)]
				s.Time += int64(i/len(c.segs)) * second * 60
				s.Src.Port, s.Dst.Port = s.Src.Port+uint16(i/len(c.segs)), s.Dst.Port+uint16(i/len(c.segs))
				tr.Track(&s)
			}
		})
	}
}

// Where the capture lacks frames, the copy that is due next may be one of them.
func TestPatienceWhereFramesAreMissing(t *testing.T) {
	u := Unacked{pause: 2 * second}
	if got := u.Patience(); got != 4600*millisecond {
		t.Errorf("%d ns", got)
	}
	u.lacking = true
	if got := u.Patience(); got < (4+8)*second {
		t.Errorf("%d ns, before the copy behind the next is due", got)
	}
}
