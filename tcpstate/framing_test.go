package tcpstate

import (
	"fmt"
	"strings"
	"testing"
	"unsafe"
)

// probe feeds a framing as the tracker does and writes down the boundaries: "q" or "a"
// for the side, the offset in the side's stream, the kind and what matters of it.
type probe struct {
	framing
	pool carryPool
	off  [2]int
	log  []string
}

func (p *probe) segment(s side, b []byte) { p.feed(s, b, uint32(len(b))) }

// feed takes n octets of which b were captured.
func (p *probe) feed(s side, b []byte, n uint32) {
	if !p.synced(s) {
		p.sync(s, b)
	}
	if p.within(s, n) {
		p.off[s] += int(n)
		return
	}
	for {
		bd, used := p.next(s, b, n, &p.pool)
		if used > n {
			panic("used more than there is")
		}
		p.off[s] += int(used)
		if bd.kind == noBoundary {
			if used != n {
				panic("stopped early")
			}
			return
		}
		p.log = append(p.log, fmt.Sprintf("%c%d %s", "qa"[s], p.off[s]-int(bd.back), describe(&bd)))
		b, n = b[min(int(used), len(b)):], n-used
	}
}

// segments feeds b in segments of size octets.
func (p *probe) segments(s side, b string, size int) {
	for len(b) > 0 {
		n := min(size, len(b))
		p.segment(s, []byte(b[:n]))
		b = b[n:]
	}
}

// newHTTP1Probe is in sync on both sides from the first octet on.
func newHTTP1Probe() *probe {
	var p probe
	p.proto = protoHTTP1
	p.lane[asks].state, p.lane[answers].state = between, between
	return &p
}

func describe(b *boundary) string {
	var s strings.Builder
	s.WriteString([...]string{"none", "begins", "head", "ends", "data", "setup", "closing", "lost"}[b.kind])
	if b.status != 0 && b.kind == headEnds {
		fmt.Fprintf(&s, " %d", b.status)
	}
	if b.stream != 0 {
		fmt.Fprintf(&s, " stream %d", b.stream)
	}
	if b.keepAlive != 0 {
		fmt.Fprintf(&s, " keep %d", b.keepAlive)
	}
	for _, x := range []struct {
		is   bool
		name string
	}{{b.close, "close"}, {b.bodiless, "bodiless"}, {b.upgraded, "upgraded"}, {b.disguised, "disguised"}} {
		if x.is {
			s.WriteString(" " + x.name)
		}
	}
	return s.String()
}

func (p *probe) String() string { return strings.Join(p.log, ", ") }

// TestFramingSize: a million flows hold one each.
func TestFramingSize(t *testing.T) {
	if n := unsafe.Sizeof(framing{}); n > 48 {
		t.Errorf("framing has %d octets", n)
	}
	if n := unsafe.Sizeof(lane{}); n > 16 {
		t.Errorf("lane has %d octets", n)
	}
	if n := unsafe.Sizeof(boundary{}); n > 16 {
		t.Errorf("boundary has %d octets", n)
	}
	if n := unsafe.Sizeof(carry{}); n > 256 {
		t.Errorf("carry has %d octets", n)
	}
}

func TestCarryPoolIsBounded(t *testing.T) {
	var pool carryPool
	handles := make([]uint16, maxCarries)
	for i := range handles {
		if !pool.add(&handles[i], []byte("a")) {
			t.Fatalf("refused number %d", i)
		}
	}
	var h uint16
	if pool.add(&h, []byte("a")) || h != 0 {
		t.Error("the pool grows beyond its bound")
	}

	// A lane that gets none loses sync and no more.
	p := probe{pool: pool}
	p.segment(asks, []byte("GET / HT"))
	if got, want := p.String(), "q0 begins, q8 lost"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	p.segment(asks, []byte("GET / HTTP/1.1\r\n\r\n"))
	if got, want := p.String(), "q0 begins, q8 lost, q8 begins, q26 head bodiless, q26 ends"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}

	for i := range handles {
		pool.free(&handles[i])
	}
	if !pool.add(&h, []byte("b")) || string(pool.get(h)) != "b" {
		t.Error("what was given back is not used again")
	}
}

// TestReset: what a lane keeps goes back to the pool.
func TestReset(t *testing.T) {
	var p probe
	p.segment(asks, []byte("GET / HTTP/1.1\r\nHost"))
	p.segment(answers, []byte("HTTP/1.1 2"))
	p.reset(&p.pool)
	if p.framing != (framing{}) {
		t.Errorf("left: %+v", p.framing)
	}
	if n := len(p.pool.unused); n != 2 || n != len(p.pool.bufs) {
		t.Errorf("%d of %d given back", n, len(p.pool.bufs))
	}
}

// FuzzFraming: whatever comes, with octets missing anywhere, ends, and keeps its bounds.
func FuzzFraming(f *testing.F) {
	for _, s := range []string{
		"GET / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		preface + h2(frameSettings, 0, 0, 0) + h2(frameHeaders, 4, 1, 9), record(recordHandshake, 9) + record(recordData, 19),
		proxyV2 + "\x21\x11\x00\x04abcdGET / HTTP/1.1\r\n\r\n", "PROXY UNKNOWN\r\nCONNECT a:1 HTTP/1.1\r\n\r\n",
	} {
		f.Add([]byte(s), []byte{0x05, 0x11, 0x40, 0x83, 0x7f}, []byte(s))
	}
	f.Fuzz(func(t *testing.T, ask, steps, answer []byte) {
		var p probe
		left := [2][]byte{ask, answer}
		for _, step := range append(steps, 0x3f, 0x7f) {
			s := side(step >> 6 & 1) // side, size, and whether the end was not captured
			n := min(int(step&0x3f)*4+1, len(left[s]))
			b := left[s][:n]
			left[s] = left[s][n:]
			if step>>7 != 0 {
				b = b[:n/2]
			}
			p.feed(s, b, uint32(n))
			for i := range p.lane {
				l := &p.lane[i]
				if l.left != 0 && l.state < octets && l.state != startLine && l.state != headerLines {
					t.Fatalf("%s: %d octets left in state %d", &p, l.left, l.state)
				}
				if l.carry != 0 && !p.synced(side(i)) {
					t.Fatalf("%s: keeps octets in state %d", &p, l.state)
				}
			}
		}
		if len(p.log) > 4*(len(ask)+len(answer))+8 {
			t.Errorf("%d boundaries", len(p.log))
		}
		p.reset(&p.pool)
		if len(p.pool.unused) != len(p.pool.bufs) {
			t.Error("not all given back")
		}
		ParseRequestHead(ask)
		ParseResponseHead(answer)
	})
}
