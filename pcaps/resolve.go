package pcaps

import (
	"fmt"
	"time"

	"connrace/tcpstate"
)

// Resolve is the script with all that the compiler decides written out: fillers in their
// places, IP IDs and timestamps. The transformations begin with it, so that they do not
// change what they do not mean to.
func (s *Script) Resolve() *Script {
	r := s.Clone()
	r.fill()
	r.Options.Fillers = nil
	next := make([]uint16, len(r.Hosts)) // IP ID of each sender
	for i := range r.Packets {
		p := &r.Packets[i]
		p.Check = 0
		if p.ICMP != nil {
			continue
		}
		r.identify(p, &next[p.Src])
		if p.TS == nil {
			p.TS = r.timestamps(i)
		}
	}
	for i := range r.Packets {
		if p := &r.Packets[i]; p.ICMP != nil {
			if o := r.quoted(p); o != nil {
				p.IPID, p.TS, p.Win, p.TTL = o.IPID, o.TS, o.Win, o.TTL
			}
		}
	}
	return r
}

// identify gives a packet its IP ID. Linux counts up for each sender; a reply RST, sent
// by no socket, has none (ip_send_unicast_reply, DF set).
func (s *Script) identify(p *Packet, next *uint16) {
	switch {
	case p.IPID.Set:
	case p.reply() || s.Hosts[p.Src].Addr.Addr().Is6():
		p.IPID = Num(0)
	default:
		if *next == 0 {
			*next = uint16(1000 * (p.Src + 1))
		}
		p.IPID = Num(uint32(*next))
		*next++
	}
}

// timestamps are those of packet i: none, or the sender's clock in milliseconds and
// the newest value of the other side that the acknowledgment covers (RFC 7323 §4.3). What
// the capture happened to have seen first says nothing of what the sender had.
func (s *Script) timestamps(i int) *Timestamps {
	p := &s.Packets[i]
	h := &s.Hosts[p.Src]
	if !h.HasTS || p.reply() {
		return &Timestamps{Off: true}
	}
	ts := &Timestamps{Val: h.TS + uint32(p.Time/time.Millisecond)}
	if !p.Flags.Has(tcpstate.ACK) {
		return ts
	}
	for j := i - 1; j >= 0; j-- {
		o := &s.Packets[j]
		if o.ICMP == nil && o.Src == p.Dst && o.Dst == p.Src && o.End() != o.Seq && o.End().AtOrBefore(p.Ack) && o.TS != nil && !o.TS.Off {
			ts.Ecr = o.TS.Val
			return ts
		}
	}
	ts.Ecr = s.Hosts[p.Dst].TS
	return ts
}

// fill puts the fillers' packets in front of the packets that say their frame number.
func (s *Script) fill() {
	fs := fillers{of: s.Options.Fillers}
	out := make([]Packet, 0, len(s.Packets))
	for _, p := range s.Packets {
		if n := int(p.Frame) - len(out) - 1; p.Frame != 0 && n > 0 {
			var from time.Duration
			if len(out) > 0 {
				from = out[len(out)-1].Time
			}
			for i := 1; i <= n; i++ {
				at := from + (p.Time-from)*time.Duration(i)/time.Duration(n+1)
				if p.Time%1000 == 0 {
					at -= at % 1000 // stay on whole microseconds
				}
				out = append(out, fs.next(max(at, from)))
			}
		}
		p.Frame = 0
		out = append(out, p)
	}
	s.Packets = out
}

// fillers makes healthy traffic, one packet after another.
type fillers struct {
	of    []Pair
	turn  int      // whose turn it is
	steps []int    // packets sent on each
	seq   [][2]int // next relative number of each side
}

// next is the next packet: each connection in turn has its handshake or one exchange.
func (f *fillers) next(at time.Duration) Packet {
	if f.steps == nil {
		f.steps, f.seq = make([]int, len(f.of)), make([][2]int, len(f.of))
	}
	i := f.turn
	step, seq := f.steps[i], &f.seq[i]
	from := 0
	if step%3 == 1 {
		from = 1
	}
	p := Packet{Time: at, Src: f.of[i].From, Dst: f.of[i].To, Flags: tcpstate.ACK}
	if from == 1 {
		p.Src, p.Dst = p.Dst, p.Src
	}
	switch {
	case step == 0:
		p.Flags = tcpstate.SYN
	case step == 1:
		p.Flags |= tcpstate.SYN
	case step%3 == 0:
		p.Flags |= tcpstate.PSH
		p.Text = fmt.Sprintf("GET /healthy/%d HTTP/1.1\r\nHost: filler\r\n\r\n", step/3)
	case step%3 == 1:
		p.Flags |= tcpstate.PSH
		p.Text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	}
	p.Seq, p.Len = tcpstate.Seq(seq[from]), len(p.Text)
	if p.Flags.Has(tcpstate.ACK) {
		p.Ack = tcpstate.Seq(seq[1-from])
	}
	if p.Flags.Has(tcpstate.SYN) {
		p.MSS, p.WScale, p.SACKOK = Num(1460), Num(7), true
	}
	seq[from] = int(p.End())
	f.steps[i]++
	if f.steps[i]%3 == 0 {
		f.turn = (i + 1) % len(f.of)
	}
	return p
}
