package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"connrace/pcaps"
	"connrace/tcpstate"
)

// template is a part of a connection, compiled once and written many times with other
// endpoints and sequence numbers. Its frames are of Ethernet, IPv4 and TCP.
type template struct {
	frames []pcaps.Frame // times since the start of the template
	octets [2]uint32     // what the LB and the target send
	wants  []pcaps.Want
}

// Places in the frames: Ethernet and IPv4 headers have no options.
const (
	ipAt     = 14
	ipSumAt  = ipAt + 10
	srcAt    = ipAt + 12
	dstAt    = ipAt + 16
	portsAt  = ipAt + 20
	seqAt    = portsAt + 4
	ackAt    = portsAt + 8
	flagsAt  = portsAt + 13
	tcpSumAt = portsAt + 16
	lbAddr   = 10<<24 | 1
	lbPort   = 40000
	target   = 10<<24 | 2
)

func compile(s *pcaps.Script) (*template, error) {
	frames, err := s.Frames()
	if err != nil {
		return nil, err
	}
	t := &template{frames: frames, wants: s.Want()}
	for i := range frames {
		frames[i].Time -= s.Capture.Start.UnixNano()
	}
	return t, nil
}

// faults are scripts of connections in which something breaks, or seems to. What is
// found in them is the same if the capture goes on.
var faults = []string{
	"fin-request-crossing", "fin-request-crossing-at-lb", "fin-request-crossing-post",
	"fin-request-crossing-half-closed", "fin-request-crossing-near-miss-in-time",
	"fin-request-crossing-healthy-idle-close", "request-after-fin", "request-after-fin-direct",
	"closed-with-request-outstanding", "closed-with-request-outstanding-body",
	"response-truncated", "connection-refused", "rst-request-crossing",
	"accept-queue-overflow", "healthy-retransmission",
}

// faultsHTTP2 are those of connections that speak HTTP/2.
var faultsHTTP2 = []string{
	"stream-reset", "stream-reset-half", "stream-reset-near-miss-complete", "stream-reset-healthy", "fin-request-crossing-http2-refused",
	"fin-request-crossing-goaway", "fin-request-crossing-healthy-http2-drain", "request-after-fin-http2-goaway", "closed-with-request-outstanding-http2",
	"closed-with-request-outstanding-near-miss-http2-hole", "response-truncated-http2", "response-truncated-near-miss-http2-trailers",
	"lb-closed-with-request-outstanding-http2", "healthy-http2",
}

func faultTemplates(names []string) ([]*template, error) {
	var out []*template
	for _, name := range names {
		s, err := pcaps.Load(name)
		if err != nil {
			return nil, err
		}
		t, err := compile(s)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// conversation makes scripts of a healthy connection, part by part.
type conversation struct {
	s    pcaps.Script
	next [2]tcpstate.Seq
}

func newConversation(seq tcpstate.Seq) *conversation {
	c := &conversation{next: [2]tcpstate.Seq{seq, seq}}
	c.s.Capture.Start = start
	c.s.Hosts = []pcaps.Host{{Name: "lb", Addr: endpoint(lbAddr, lbPort)}, {Name: "target", Addr: endpoint(target, 8080)}}
	return c
}

func endpoint(addr uint32, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, addr))), port)
}

// send adds a packet of side 0 or 1; n octets begin with a text.
func (c *conversation) send(at time.Duration, side int, flags tcpstate.Flags, text string, n int) {
	p := pcaps.Packet{
		Time: at, Src: side, Dst: 1 - side, Flags: flags, Seq: c.next[side], Len: n, Text: text, More: len(text) < n,
	}
	if flags.Has(tcpstate.ACK) {
		p.Ack = c.next[1-side]
	}
	if flags.Has(tcpstate.SYN) {
		p.MSS, p.SACKOK = pcaps.Num(1460), true
	}
	c.s.Packets = append(c.s.Packets, p)
	c.next[side] = p.End()
}

const (
	ack = tcpstate.ACK
	psh = tcpstate.PSH | tcpstate.ACK
	ms  = time.Millisecond
)

func opening() (*template, error) {
	c := newConversation(0)
	c.send(0, 0, tcpstate.SYN, "", 0)
	c.send(ms, 1, tcpstate.SYN|ack, "", 0)
	c.send(ms+50*time.Microsecond, 0, ack, "", 0)
	return compile(&c.s)
}

func closing() (*template, error) {
	c := newConversation(1)
	c.send(0, 0, tcpstate.FIN|ack, "", 0)
	c.send(ms, 1, tcpstate.FIN|ack, "", 0)
	c.send(ms+50*time.Microsecond, 0, ack, "", 0)
	return compile(&c.s)
}

// exchange is a request and its answer of so many octets, acknowledged every second
// segment.
func exchange(octets int) (*template, error) {
	const mss = 1460
	c := newConversation(1)
	request := "GET /items/1 HTTP/1.1\r\nHost: app.example\r\nUser-Agent: pcapgen\r\nAccept: */*\r\n\r\n"
	c.send(0, 0, psh, request, len(request))
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", octets)
	at := 3 * ms
	for left, i := len(head)+octets, 0; left > 0; i++ {
		n := min(left, mss)
		left -= n
		c.send(at, 1, psh, head[:min(len(head), n)], n)
		if at += 20 * time.Microsecond; i%2 == 1 || left == 0 {
			c.send(at, 0, ack, "", 0)
			at += 20 * time.Microsecond
		}
		head = ""
	}
	t, err := compile(&c.s)
	if err == nil {
		t.octets = [2]uint32{uint32(c.next[0] - 1), uint32(c.next[1] - 1)}
	}
	return t, err
}

// patch replaces 16-bit words of a frame and keeps checksums right (RFC 1624).
type patch struct {
	b       []byte
	ip, tcp uint32 // what the sums change by
}

// put sets four bytes; the addresses count in both checksums.
func (p *patch) put(at int, v uint32) {
	old := binary.BigEndian.Uint32(p.b[at:])
	binary.BigEndian.PutUint32(p.b[at:], v)
	d := (^old&0xffff + ^old>>16) + (v&0xffff + v>>16)
	p.tcp += d
	if at < portsAt {
		p.ip += d
	}
}

func (p *patch) done() {
	for _, s := range [...]struct {
		at int
		d  uint32
	}{{ipSumAt, p.ip}, {tcpSumAt, p.tcp}} {
		n := uint32(^binary.BigEndian.Uint16(p.b[s.at:])) + s.d
		for n > 0xffff {
			n = n&0xffff + n>>16
		}
		binary.BigEndian.PutUint16(p.b[s.at:], ^uint16(n))
	}
}
