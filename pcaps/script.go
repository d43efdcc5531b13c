package pcaps

import (
	"net/netip"
	"slices"
	"time"

	"connrace/tcpstate"
)

// Script is a capture in text form.
type Script struct {
	Name    string
	About   []string // the comment at the top, line by line
	Capture Capture
	Options Options
	Hosts   []Host
	Packets []Packet
	// Trailer are comment lines behind the last packet.
	Trailer []string
}

// Capture says how the packets were captured.
type Capture struct {
	Start   time.Time
	Link    Link
	VLAN    uint16 // 0: no tag
	Pad     bool   // to the least length of an Ethernet frame
	Snaplen int    // 0: everything was captured
	Headers bool   // no payload was captured, only headers
}

// Options are the conditions under which the wants hold, and the fillers.
type Options struct {
	Framing       bool          // they need the framing of HTTP, so the payload
	LBIdleTimeout time.Duration // 0: not given
	Targets, LBs  []int         // indexes into Hosts
	Fillers       []Pair
}

// Pair is a connection: indexes into Hosts of the one that opens it and of the other.
type Pair struct{ From, To int }

// Host is one end of connections.
type Host struct {
	Name    string
	Addr    netip.AddrPort
	ISN     tcpstate.Seq
	HasTS   bool
	TS      uint32 // TSval at the start of the capture, valid iff HasTS
	Want    *Want
	Comment string
	Before  []string // comment lines in front of it
}

// Packet is one segment.
type Packet struct {
	Time     time.Duration // since the start
	Src, Dst int           // indexes into Hosts
	Flags    tcpstate.Flags
	Seq, Ack tcpstate.Seq // relative; Ack is valid iff Flags has ACK
	Len      int
	Text     string // the payload, or its beginning iff More
	More     bool

	Win    Number
	MSS    Number
	WScale Number
	IPID   Number
	TTL    Number
	TS     *Timestamps // nil: as the host has it
	SACKOK bool
	ICMP   *ICMP // not nil: what was captured is an ICMP error that quotes the packet

	Frame uint64 // its number in the file; 0: the next
	Check int    // the frame's length; 0: whatever it is

	Want    *Want
	Comment string
	Before  []string // comment lines in front of it
}

// ICMP is an ICMP error, of the version that the addresses have. It goes to the sender of the
// packet that it quotes.
type ICMP struct {
	Name string // a key of icmpErrors
	From int    // index into Hosts
	MTU  uint32 // of too-big
}

// Number is a number that may not be given.
type Number struct {
	N   uint32
	Set bool
}

// Num is a given number.
func Num(n uint32) Number { return Number{n, true} }

// Or is the number, or n if it is not given.
func (n Number) Or(d uint32) uint32 {
	if n.Set {
		return n.N
	}
	return d
}

// Timestamps are the values of the option (RFC 7323 §3). Off: there is none, though
// the host has them.
type Timestamps struct {
	Val, Ecr uint32
	Off      bool
}

// Want is a finding that a script's author expects.
type Want struct {
	Rule       string
	Severity   string         // "": any
	Confidence string         // "": any
	Checks     []Check        // of the finding's measures
	Note       string         // why
	Frame      uint64         // of the decisive segment; 0: about a listener as a whole
	Time       int64          // of the decisive segment, ns since the Unix epoch
	Host       netip.AddrPort // the listener, or the decisive segment's sender
}

// Check is KEY=VALUE of a want.
type Check struct{ Key, Value string }

// Check is the value of a key that the want gives.
func (w *Want) Check(key string) (string, bool) {
	for _, c := range w.Checks {
		if c.Key == key {
			return c.Value, true
		}
	}
	return "", false
}

// Want are the expected findings, in the order of their decisive segments; those about
// whole listeners come first.
func (s *Script) Want() []Want {
	r := s.Resolve()
	var ws []Want
	for i := range r.Hosts {
		if h := &r.Hosts[i]; h.Want != nil {
			w := *h.Want
			w.Host = h.Addr
			ws = append(ws, w)
		}
	}
	for i := range r.Packets {
		if p := &r.Packets[i]; p.Want != nil {
			w := *p.Want
			w.Frame, w.Time, w.Host = uint64(i+1), r.Time(p), r.Hosts[p.Src].Addr
			ws = append(ws, w)
		}
	}
	return ws
}

// Time is a packet's absolute time, ns since the Unix epoch.
func (s *Script) Time(p *Packet) int64 { return s.Capture.Start.UnixNano() + int64(p.Time) }

// End is the relative number behind the packet: SYN and FIN count one each
// (RFC 9293 §3.4).
func (p *Packet) End() tcpstate.Seq {
	n := uint32(p.Len)
	for _, f := range [...]tcpstate.Flags{tcpstate.SYN, tcpstate.FIN} {
		if p.Flags.Has(f) {
			n++
		}
	}
	return p.Seq.Add(n)
}

// reply reports whether the packet is an RST that a kernel sends where it has no socket:
// without ACK, or in answer to a SYN (tcp_v4_send_reset).
func (p *Packet) reply() bool {
	return p.Flags&^tcpstate.ACK == tcpstate.RST && (!p.Flags.Has(tcpstate.ACK) || p.Seq == 0 && p.Len == 0)
}

// payload is what the packet carries.
func (p *Packet) payload() []byte {
	b := make([]byte, p.Len)
	for i := copy(b, p.Text); i < len(b); i++ {
		b[i] = 'x'
	}
	return b
}

// Clone is a copy that shares nothing which the transformations change.
func (s *Script) Clone() *Script {
	c := *s
	c.Hosts = slices.Clone(s.Hosts)
	c.Packets = slices.Clone(s.Packets)
	c.Options.Targets = slices.Clone(s.Options.Targets)
	c.Options.LBs = slices.Clone(s.Options.LBs)
	c.Options.Fillers = slices.Clone(s.Options.Fillers)
	return &c
}
