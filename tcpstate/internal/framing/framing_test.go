package framing

import (
	"fmt"
	"strings"
	"testing"
	"unsafe"
)

// probe feeds a framing as the tracker does and writes down the boundaries: "q" or "a"
// for the side, the offset in the side's stream, the kind and what matters of it.
type probe struct {
	State
	pool Pool
	off  [2]int
	log  []string
}

func (p *probe) segment(s Side, b []byte) { p.feed(s, b, uint32(len(b))) }

// feed takes n octets of which b were captured.
func (p *probe) feed(s Side, b []byte, n uint32) {
	if !p.Synced(s) {
		p.Sync(s, b)
	}
	if p.SkipBody(s, n) {
		p.off[s] += int(n)
		return
	}
	for {
		bd, used := p.Next(s, b, n, &p.pool)
		if used > n {
			panic("used more than there is")
		}
		p.off[s] += int(used)
		if bd.Kind == None {
			if used != n {
				panic("stopped early")
			}
			return
		}
		p.log = append(p.log, fmt.Sprintf("%c%d %s", "qa"[s], p.off[s]-int(bd.Back), p.describe(s, &bd)))
		b, n = b[min(int(used), len(b)):], n-used
	}
}

// segments feeds b in segments of size octets.
func (p *probe) segments(s Side, b string, size int) {
	for len(b) > 0 {
		n := min(size, len(b))
		p.segment(s, []byte(b[:n]))
		b = b[n:]
	}
}

// newHTTP1Probe is in sync on both sides from the first octet on.
func newHTTP1Probe() *probe {
	var p probe
	p.proto = HTTP1
	p.dir[Requests].state, p.dir[Answers].state = between, between
	return &p
}

func (p *probe) describe(side Side, b *Boundary) string {
	var s strings.Builder
	s.WriteString([...]string{"none", "begins", "head", "body", "ends", "reset", "data", "setup", "closing", "lost"}[b.Kind])
	if b.Status != 0 && (b.Kind == HeadEnds || p.proto == HTTP2) {
		fmt.Fprintf(&s, " %d", b.Status)
	}
	if b.Stream != 0 && p.proto == HTTP2 {
		fmt.Fprintf(&s, " stream %d", b.Stream)
	}
	if b.Kind != HeadEnds || p.proto == HTTP2 {
		return s.String()
	}
	if keep := p.keep[side]; keep != 0 {
		fmt.Fprintf(&s, " keep %d", keep)
	}
	for _, x := range []struct {
		is   bool
		name string
	}{{b.Close, "close"}, {p.dir[side].state == complete, "bodiless"}, {p.dir[side].state == opaque, "upgraded"}} {
		if x.is {
			s.WriteString(" " + x.name)
		}
	}
	return s.String()
}

func (p *probe) String() string { return strings.Join(p.log, ", ") }

// TestFramingSize: a million flows hold one each.
func TestFramingSize(t *testing.T) {
	if n := unsafe.Sizeof(State{}); n > 48 {
		t.Errorf("framing has %d octets", n)
	}
	if unsafe.Offsetof(State{}.proto) != 0 {
		t.Error("what is spoken does not lie beside the sides' numbers")
	}
	if n := unsafe.Sizeof(direction{}); n > 16 {
		t.Errorf("lane has %d octets", n)
	}
	if n := unsafe.Sizeof(Boundary{}); n > 16 {
		t.Errorf("boundary has %d octets", n)
	}
	if n := unsafe.Sizeof(carry{}); n > 256 {
		t.Errorf("carry has %d octets", n)
	}
}

func TestCarryPoolIsBounded(t *testing.T) {
	var pool Pool
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
	p.segment(Requests, []byte("GET / HT"))
	if got, want := p.String(), "q0 begins, q8 lost"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	p.segment(Requests, []byte("GET / HTTP/1.1\r\n\r\n"))
	if got, want := p.String(), "q0 begins, q8 lost, q8 begins, q26 head bodiless, q26 ends"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}

	for i := range handles {
		pool.release(&handles[i])
	}
	if !pool.add(&h, []byte("b")) || string(pool.get(h)) != "b" {
		t.Error("what was given back is not used again")
	}
}

// TestReset: what a lane keeps goes back to the pool.
func TestReset(t *testing.T) {
	var p probe
	p.segment(Requests, []byte("GET / HTTP/1.1\r\nHost"))
	p.segment(Answers, []byte("HTTP/1.1 2"))
	p.Reset(&p.pool)
	if p.State != (State{}) {
		t.Errorf("left: %+v", p.State)
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
			s := Side(step >> 6 & 1) // side, size, and whether the end was not captured
			n := min(int(step&0x3f)*4+1, len(left[s]))
			b := left[s][:n]
			left[s] = left[s][n:]
			if step>>7 != 0 {
				b = b[:n/2]
			}
			p.feed(s, b, uint32(n))
			for i := range p.dir {
				l := &p.dir[i]
				if l.left != 0 && l.state < unitPayload && l.state != startLine && l.state != headerLines {
					t.Fatalf("%s: %d octets left in state %d", &p, l.left, l.state)
				}
				if l.kept != 0 && !p.Synced(Side(i)) {
					t.Fatalf("%s: keeps octets in state %d", &p, l.state)
				}
			}
		}
		if len(p.log) > 4*(len(ask)+len(answer))+8 {
			t.Errorf("%d boundaries", len(p.log))
		}
		p.Reset(&p.pool)
		if len(p.pool.unused) != len(p.pool.bufs) {
			t.Error("not all given back")
		}
		ParseRequestHead(ask)
	})
}
