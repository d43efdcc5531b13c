package pcaps

import (
	"slices"
	"time"

	"connrace/tcpstate"
)

// maxMove bounds how far a capture point moves, in travel time: a longer path would be
// another incident, as time-outs do not grow with it.
const maxMove = 50 * time.Millisecond

// Moved is what a capture nearer to the target, or to the LB, shows of the same traffic: one
// direction's packets come later against the other's, as far as each still comes behind
// all that its sender must have had: what it acknowledges, and what an RST answers.
// Within a direction the order stays.
func (s *Script) Moved(toTarget bool) *Script {
	r := s.Resolve()
	late := r.senders(toTarget)
	by := maxMove
	for i := range r.Packets {
		p := &r.Packets[i]
		if late[p.towards()] {
			continue
		}
		if c := r.cause(i); c >= 0 {
			by = min(by, p.Time-r.Packets[c].Time-time.Microsecond)
		}
	}
	if by <= 0 {
		return r
	}
	by -= by % time.Microsecond
	for i := range r.Packets {
		if p := &r.Packets[i]; late[p.towards()] {
			p.Time += by
		}
	}
	r.sort()
	return r
}

// Skewed is what a capture shows whose one direction comes late by a constant, as from another
// queue of the network card or another tap: that of those who open connections, or the other.
func (s *Script) Skewed(lbs bool, by time.Duration) *Script {
	r := s.Resolve()
	late := r.senders(lbs)
	for i := range r.Packets {
		if p := &r.Packets[i]; late[p.towards()] {
			p.Time += by
		}
	}
	r.sort()
	return r
}

// senders tells which hosts open connections (lbs), or which do not.
func (s *Script) senders(lbs bool) []bool {
	opens := make([]bool, len(s.Hosts))
	known := make([]bool, len(s.Hosts))
	note := func(host int, opener bool) {
		for j := range s.Hosts { // incarnations are of one kind
			if s.Hosts[j].Addr == s.Hosts[host].Addr && !known[j] {
				known[j], opens[j] = true, opener
			}
		}
	}
	for i := range s.Packets {
		if p := &s.Packets[i]; p.Flags.Has(tcpstate.SYN) {
			ack := p.Flags.Has(tcpstate.ACK)
			note(p.Src, !ack)
			note(p.Dst, ack)
		}
	}
	for i := range s.Packets { // without a handshake the higher port is the client's
		p := &s.Packets[i]
		higher := s.Hosts[p.Src].Addr.Port() > s.Hosts[p.Dst].Addr.Port()
		note(p.Src, higher)
		note(p.Dst, !higher)
	}
	if !lbs {
		for i := range opens {
			opens[i] = !opens[i]
		}
	}
	return opens
}

// cause is the newest packet of the other side that packet i must come behind; -1: none.
// With ACK, the first copy of the newest octet it acknowledges; a bare RST takes its
// number from the packet it answers; a duplicate ACK answers what came last.
func (s *Script) cause(i int) int {
	p := &s.Packets[i]
	switch {
	case p.ICMP != nil:
		return s.before(i, func(o *Packet) bool { return o.Src == p.Src && o.Dst == p.Dst && o.Seq == p.Seq && o.Len == p.Len })
	case !p.Flags.Has(tcpstate.ACK) && p.Flags.Has(tcpstate.RST):
		return s.before(i, func(o *Packet) bool {
			return o.Src == p.Dst && o.Dst == p.Src && o.Flags.Has(tcpstate.ACK) && o.Ack == p.Seq
		})
	case !p.Flags.Has(tcpstate.ACK):
		return -1
	case s.duplicate(i):
		src, dst := s.Hosts[p.Src].Addr, s.Hosts[p.Dst].Addr
		return s.before(i, func(o *Packet) bool { // of any incarnation: it may be a challenge ACK
			return s.Hosts[o.Src].Addr == dst && s.Hosts[o.Dst].Addr == src
		})
	}
	best := -1
	for j := range slices.Backward(s.Packets[:i]) {
		o := &s.Packets[j]
		if o.ICMP != nil || o.Src != p.Dst || o.Dst != p.Src || o.End() == o.Seq || o.End().After(p.Ack) {
			continue
		}
		if best < 0 || o.End().AtOrAfter(s.Packets[best].End()) {
			best = j
		}
	}
	return best
}

// before is the newest packet before i that matches; -1: none.
func (s *Script) before(i int, match func(*Packet) bool) int {
	for j := i - 1; j >= 0; j-- {
		if s.Packets[j].ICMP == nil && match(&s.Packets[j]) {
			return j
		}
	}
	return -1
}

// duplicate reports whether packet i is an ACK that says nothing new.
func (s *Script) duplicate(i int) bool {
	p := &s.Packets[i]
	if p.Flags != tcpstate.ACK || p.Len > 0 {
		return false
	}
	j := s.before(i, func(o *Packet) bool { return o.Src == p.Src && o.Dst == p.Dst && o.Flags.Has(tcpstate.ACK) })
	return j >= 0 && s.Packets[j].Ack == p.Ack
}
