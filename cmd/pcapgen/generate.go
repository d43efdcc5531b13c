package main

import (
	"container/heap"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"time"

	"connrace/pcaps"
)

var start = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// config says what is to be generated.
type config struct {
	packets, flows, requests, faults int
	duration                         time.Duration
	from, to                         int // bytes of an answer
	snaplen                          int
	seed                             uint64
	format                           pcaps.FileFormat
	http2                            bool
}

func (c *config) wrong() error {
	switch {
	case c.packets < 1 || c.flows < 1 || c.requests < 1 || c.from < 0 || c.to < c.from || c.to > 1<<20:
		return errors.New("a number is out of range")
	case c.flows > lbs*targets*ports/2:
		return errors.New("too many flows for the addresses there are")
	case c.faults < 0 || c.faults > 1<<14:
		return errors.New("-faults: 0 to 16384")
	case c.faults > 0 && c.duration < time.Minute:
		return errors.New("-duration: with -faults at least 1m, for some of them take long")
	case c.snaplen != 0 && c.snaplen < 96:
		return errors.New("-snaplen: at least 96, for the headers")
	}
	return nil
}

// The endpoints of healthy connections.
const (
	lbs     = 8
	targets = 64
	ports   = 1 << 15
)

// connection is one that goes on: where it stands, and when its next packet is due.
type connection struct {
	at     int64 // of the next packet
	begin  int64 // of the part
	part   *template
	next   int       // frame of the part
	seq    [2]uint32 // what the numbers are shifted by
	left   int       // requests still to come; negative: it closes
	number uint32    // which says its endpoints
	fault  bool
}

// generator makes the packets of all connections in order of time. It is a heap of them.
type generator struct {
	config
	conns         []connection
	rand          *rand.Rand
	open, close   *template
	exchanges     []*template // by bytes
	think         float64     // mean pause between exchanges, ns
	opened        uint32
	packet, going int // written; faults not yet over
	w             *pcaps.Writer
	b             []byte
}

func (g *generator) Len() int           { return len(g.conns) }
func (g *generator) Less(i, j int) bool { return g.conns[i].at < g.conns[j].at }
func (g *generator) Swap(i, j int)      { g.conns[i], g.conns[j] = g.conns[j], g.conns[i] }

// Push is heap.Interface's; connections come at the start only.
func (g *generator) Push(any) {}

// Pop is heap.Interface's.
func (g *generator) Pop() any {
	g.conns = g.conns[:len(g.conns)-1]
	return nil
}

// generate writes a capture, and returns how often each rule is to be found in it.
func generate(c config, w io.Writer) (map[string]int, error) {
	if err := c.wrong(); err != nil {
		return nil, err
	}
	g := &generator{
		config: c, rand: rand.New(rand.NewPCG(c.seed, 0)),
		w: pcaps.NewWriter(w, c.format, pcaps.Ethernet, c.snaplen),
	}
	if err := g.prepare(); err != nil {
		return nil, err
	}
	found, err := g.plan()
	if err != nil {
		return nil, err
	}
	for heap.Init(g); g.packet < c.packets || g.going > 0; {
		if err := g.step(); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// prepare compiles the healthy parts and chooses the pauses that spread the packets over
// the duration.
func (g *generator) prepare() (err error) {
	if g.open, err = opening(); err != nil {
		return err
	}
	if g.close, err = closing(); err != nil {
		return err
	}
	const sizes = 16
	var frames float64
	perConnection := g.requests
	for i := range sizes {
		octets := g.from + (g.to-g.from)*i/(sizes-1)
		var t *template
		if g.http2 {
			perConnection = 1
			t, err = life(g.requests/2+g.requests*i/(sizes-1)+1, octets)
		} else {
			t, err = exchange(octets)
		}
		if err != nil {
			return err
		}
		g.exchanges = append(g.exchanges, t)
		frames += float64(len(t.frames)) / sizes
	}
	frames += float64(len(g.open.frames)+len(g.close.frames)) / float64(perConnection)
	g.think = float64(g.duration) * float64(g.flows) / (float64(g.packets) / frames)
	return nil
}

// plan puts in the connections: the healthy ones start as others end, the faults within
// the first half of the capture, each of them with endpoints of its own.
func (g *generator) plan() (map[string]int, error) {
	for range g.flows {
		var c connection
		g.begin(&c, int64(g.rand.Float64()*g.think))
		g.conns = append(g.conns, c)
	}
	names := faults
	if g.http2 {
		names = faultsHTTP2
	}
	all, err := faultTemplates(names)
	found := map[string]int{}
	for i := range g.faults {
		t := all[i%len(all)]
		at := int64(g.rand.Float64() * float64(g.duration) / 2)
		g.conns = append(g.conns, connection{
			at: at + t.frames[0].Time, begin: at, part: t, number: uint32(i), fault: true,
		})
		for _, w := range t.wants {
			found[w.Rule]++
		}
	}
	g.going = g.faults
	return found, err
}

// begin makes c a new healthy connection.
func (g *generator) begin(c *connection, at int64) {
	*c = connection{
		at: at, begin: at, part: g.open, number: g.opened,
		seq: [2]uint32{g.rand.Uint32(), g.rand.Uint32()}, left: 1 + g.rand.IntN(2*g.requests-1),
	}
	if g.http2 {
		c.left = 1
	}
	g.opened++
}

// step writes the packet that is due.
func (g *generator) step() error {
	c := &g.conns[0]
	err := g.write(c)
	if c.next++; c.next < len(c.part.frames) {
		c.at = c.begin + c.part.frames[c.next].Time
		heap.Fix(g, 0)
		return err
	}
	if c.fault {
		g.going--
		n := len(g.conns) - 1
		g.Swap(0, n)
		g.Pop()
		heap.Fix(g, 0)
		return err
	}
	c.seq[0] += c.part.octets[0]
	c.seq[1] += c.part.octets[1]
	at := c.at + int64(g.rand.Float64()*2*g.think)
	if c.part == g.open {
		at = c.at + int64(ms) // an LB connects because it has a request
	}
	c.left--
	switch {
	case c.left >= 0:
		c.at, c.begin, c.next, c.part = at, at, 0, g.exchanges[g.rand.IntN(len(g.exchanges))]
	case c.left == -1:
		c.at, c.begin, c.next, c.part = at, at, 0, g.close
	default:
		g.begin(c, at)
	}
	heap.Fix(g, 0)
	return err
}

// write writes a connection's next frame with its endpoints and numbers.
func (g *generator) write(c *connection) error {
	f := &c.part.frames[c.next]
	g.b = append(g.b[:0], f.Data...)
	p := patch{b: g.b}
	be := binary.BigEndian
	if c.fault {
		for _, at := range [...]int{srcAt, dstAt} {
			a := be.Uint32(g.b[at:]) // 10.0.0.x or 10.0.1.x
			p.put(at, a&0xff0001ff|1<<23|c.number<<9)
		}
	} else {
		n := c.number
		lb, t, port := n%lbs, n/lbs%targets, n/lbs/targets%ports
		ends := [2]uint32{10<<24 | 1<<16 | lb, 10<<24 | 2<<16 | t}
		seq, ack, lp := c.seq[0], c.seq[1], 8080|(1<<15|port)<<16
		if be.Uint32(g.b[srcAt:]) == target {
			ends[0], ends[1] = ends[1], ends[0]
			seq, ack, lp = ack, seq, lp<<16|lp>>16
		}
		p.put(srcAt, ends[0])
		p.put(dstAt, ends[1])
		p.put(portsAt, lp)
		p.put(seqAt, be.Uint32(g.b[seqAt:])+seq)
		if g.b[flagsAt]&0x10 != 0 {
			p.put(ackAt, be.Uint32(g.b[ackAt:])+ack)
		}
	}
	p.done()
	g.packet++
	captured := g.b
	if g.snaplen > 0 {
		captured = captured[:min(len(captured), g.snaplen)]
	}
	return g.w.Frame(&pcaps.Frame{Time: start.UnixNano() + c.at, Data: captured, Length: f.Length})
}
