package tcpstate

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// observer logs what a tracker says.
type observer struct {
	*Tracker
	log []observed
}

// observed is an event, or with nKinds as its Kind what a segment has left behind.
type observed struct {
	Event
	frame uint64
	flow  Flow
}

func observe(cfg Config) *observer {
	o := &observer{}
	for k := range nKinds {
		cfg.On(k, func(e *Event) {
			x := observed{Event: *e, flow: *e.Flow}
			if e.Seg != nil {
				x.frame = e.Seg.Frame
			}
			x.Flow, x.Seg = nil, nil
			o.log = append(o.log, x)
		})
	}
	o.Tracker = NewTracker(cfg)
	return o
}

func (o *observer) tracked() {
	frame, stream := o.Newest()
	o.log = append(o.log, observed{Event: Event{Kind: nKinds, Time: o.Now()}, frame: frame, flow: Flow{stream: stream}})
}

// crowd makes segments between a number of endpoints.
type crowd struct {
	*rand.Rand
	ends  []Endpoint
	frame uint64
	now   int64
	leaps bool // of the clock
}

func (c *crowd) segment() (s Segment) {
	if c.now += c.Int64N(1 << c.IntN(36)); c.leaps && c.IntN(30) == 0 {
		c.now += (c.Int64N(3) - 1) * c.Int64N(1<<c.IntN(61))
	}
	c.frame++
	i := c.IntN(len(c.ends) - 1)
	s = Segment{
		Frame: c.frame, Time: c.now, Src: c.ends[len(c.ends)-1], Dst: c.ends[i],
		Flags: [...]Flags{SYN, SYN | ACK, ACK, ACK, ACK, ACK | FIN, RST, RST | ACK}[c.IntN(8)],
		Seq:   [...]Seq{0, 1, 100, 0xffffffff, 0x7fffffff}[c.IntN(5)] + Seq(c.IntN(3)),
		Ack:   [...]Seq{0, 1, 100, 0xffffffff, 0x7fffffff}[c.IntN(5)] + Seq(c.IntN(3)),
		IPID:  uint16(c.IntN(3)), Quoted: c.IntN(40) == 0, NoLength: c.IntN(40) == 0, Bogus: c.IntN(40) == 0,
	}
	if !s.NoLength && c.IntN(2) == 0 {
		p := [...]string{
			"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST /x HTTP/1.1\r\nContent-Length: 500\r\n\r\nhello",
			"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", "\x17\x03\x03\x00\x13", "hello",
		}[c.IntN(5)]
		s.Len = 1 + c.Uint32N(120)
		s.Payload = []byte(p[:min(len(p), int(s.Len))])
	}
	if c.IntN(2) == 0 {
		s.Src, s.Dst = s.Dst, s.Src
	}
	return s
}

// FuzzTrackAll holds blocks of segments against the same ones taken one by one: the events
// are the same, and what they say of their flows. Numbers that the tracker says are exact
// are those of the slow numbering, until a SYN has the number of one that is long over by chance.
// With collide, all hashes are alike.
func FuzzTrackAll(f *testing.F) {
	for i := range uint64(8) {
		f.Add(i, uint16(2+i), uint8(1<<i|2), i&1 != 0, i&2 != 0, i&4 != 0)
	}
	f.Add(uint64(9), uint16(2500), uint8(0), true, false, false)
	f.Fuzz(func(t *testing.T, seed uint64, ends uint16, most uint8, leaps, collide, watch bool) {
		c := &crowd{Rand: rand.New(rand.NewPCG(seed, 0)), now: 50 * year, leaps: leaps}
		if collide {
			defer func(was [4]uint64) { seeds = was }(seeds)
			seeds = [4]uint64{}
		}
		for i := range 2 + ends%3000 {
			e := Endpoint{Addr4([]byte{10, 0, byte(i >> 8), byte(i)}), 1000 + i%7}
			if i%3 == 1 {
				e.Addr = AddrFrom(netip.AddrFrom16([16]byte{0x20, 1, 14: byte(i >> 8), 15: byte(i)}))
			}
			if collide {
				e.Port = 0
			}
			c.ends = append(c.ends, e)
		}
		cfg := Config{MaxFlows: int(most), MaxRetired: int(most / 2), Streams: true, MaxStreams: 1000}
		if watch {
			cfg.Watch = func(a, b Endpoint) bool { return (a.Addr.Lo+b.Addr.Lo)%2 == 0 }
		}
		single, blocks := observe(cfg), observe(cfg)
		slow, capture := oracle{pairs: map[[2]Endpoint]*conversation{}}, 0
		shifted, newest, chance := int64(0), map[uint32]int64{}, false // newest: of each stream
		var buf []Segment
		for range 12 {
			buf = buf[:0] // as who decodes does
			for range 1 + c.IntN(3*prepareSize) {
				buf = append(buf, c.segment())
			}
			if len(c.ends) > 2*arenaChunk && single.Live() < arenaChunk {
				for _, e := range c.ends[1:] { // many flows at once
					c.frame++
					buf = append(buf, Segment{Frame: c.frame, Time: c.now, Src: e, Dst: c.ends[0], Flags: ACK, Seq: 1})
				}
			}
			for i := range buf {
				single.Track(&buf[i])
				single.tracked()
				again, n := slow.again(&buf[i]), slow.number(&buf[i])
				now := single.Now() - shifted
				if single.newestStream != n && single.Exact(capture, single.newestStream) && !chance {
					if chance = again && now-newest[n] > (youngFor-1)*second; !chance {
						t.Fatalf("stream %d, want %d", single.newestStream, n)
					}
				}
				newest[n] = now
			}
			always := int64(math.MinInt64)
			blocks.TrackAll(buf, &always, blocks.tracked)
			check(t, blocks.Tracker)
			checkPools(t, blocks.Tracker)
			do := c.IntN(8)
			by := c.Int64N(1<<c.IntN(50)) - c.Int64N(1<<c.IntN(50))
			for _, o := range []*observer{single, blocks} {
				switch do {
				case 0:
					o.BeginCapture()
				case 1:
					o.Advance(o.Now() + by)
				case 2:
					o.Shift(by)
				}
			}
			switch do {
			case 0:
				c.frame, capture = 0, single.capture
				slow, newest, chance = oracle{pairs: map[[2]Endpoint]*conversation{}}, map[uint32]int64{}, false
			case 2:
				c.now += by
				shifted += by
			}
			same(t, single, blocks)
		}
		single.End()
		blocks.End()
		same(t, single, blocks)
		if single.Evicted != blocks.Evicted || single.Leaps() != blocks.Leaps() || single.RSTAfterFIN != blocks.RSTAfterFIN ||
			!slices.Equal(single.StreamStats(), blocks.StreamStats()) || !slices.Equal(single.ExactStreams(), blocks.ExactStreams()) {
			t.Error("the figures differ")
		}
	})
}

// same compares two logs, and empties them.
func same(t *testing.T, want, got *observer) {
	t.Helper()
	for i := range min(len(want.log), len(got.log)) {
		if want.log[i] != got.log[i] {
			t.Fatalf("%d of %d: %+v\nwant %+v", i, len(got.log), got.log[i], want.log[i])
		}
	}
	if len(want.log) != len(got.log) {
		t.Fatalf("%d events, want %d", len(got.log), len(want.log))
	}
	want.log, got.log = want.log[:0], got.log[:0]
}

// checkPools holds what flows and retired have taken against what is taken, and what
// flows are due at against the wheel.
func checkPools(t *testing.T, tr *Tracker) {
	t.Helper()
	marks, heads, carries := 0, 0, 0
	due := map[timer]bool{}
	tr.Each(func(f *Flow) {
		if f.notes != 0 {
			marks++
		}
		if f.head != 0 {
			heads++
		}
		carries += f.framing.Held()
		if f.due != 0 {
			due[timer{f.index, f.due}] = true
		}
	})
	for _, x := range []struct {
		of                string
		made, free, taken int
	}{
		{"flows", int(tr.flows.made), len(tr.flows.unused), tr.nflows},
		{"marks", max(len(tr.noteArena)-1, 0), len(tr.noteFree), marks},
		{"heads", max(len(tr.heads.bufs)-1, 0), len(tr.heads.free), heads},
		{"carries", tr.carries.Held(), 0, carries},
	} {
		if x.made-x.free != x.taken {
			t.Fatalf("%d %s made, %d free, %d taken", x.made, x.of, x.free, x.taken)
		}
	}

	g := &tr.retired
	kept, v6 := 0, 0
	for _, x := range g.index.slots {
		if x.place != 0 {
			kept++
			if g.flows.at(x.place-1).flags&retiredV6 != 0 {
				v6++
			}
		}
	}
	if n := int(g.flows.made) - len(g.flows.unused); n != kept || g.index.n != kept || int(g.v6.made)-len(g.v6.unused) != v6 {
		t.Fatalf("%d retired: %d taken, %d in the index; of IPv6 %d, %d taken", kept, n, g.index.n, v6, int(g.v6.made)-len(g.v6.unused))
	}

	w := &tr.wheel
	n, blocks := 0, uint32(0)
	for i := range w.slots {
		served := w.tick + (int64(i)-w.tick)&(wheelSlots-1)
		for p := w.slots[i].first; p != 0; p = w.blocks.at(p - 1).next {
			b := w.blocks.at(p - 1)
			blocks++
			n += int(b.n)
			for _, e := range b.entries[:b.n] {
				f := tr.flows.at(e.flow)
				if w.tick == 0 || served <= max(tr.dueTick(f), w.tick)+1 {
					delete(due, e)
				}
			}
		}
	}
	if len(due) > 0 {
		t.Fatalf("not in the wheel, or too late: %v", due)
	}
	if n != w.n || blocks != w.blocks.made-uint32(len(w.blocks.unused)) {
		t.Fatalf("%d timers, %d counted, in %d blocks of %d", n, w.n, blocks, w.blocks.made-uint32(len(w.blocks.unused)))
	}
}
