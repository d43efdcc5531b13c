package pcaps

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"connrace/tcpstate"
)

// Transform changes a capture in a way that must not change what is found in it, modulo
// frame numbers, streams and addresses.
type Transform struct {
	Name  string
	Apply func(*Script) *Script
	File  FileFormat // for tests that go through a file
	// Cut: payload is not captured. Scripts with Options.Framing are left out, and what
	// headers of HTTP tell (method, path, advertised timers) is not known.
	Cut bool
	// Container: only the file or the frames change, not the segments.
	Container bool
}

// Transforms are all transformations.
var Transforms = []Transform{
	{Name: "wrap before the last data", Apply: wrapAt(lastData, 0)},
	{Name: "wrap inside the last data", Apply: wrapAt(lastData, 0.5)},
	{Name: "wrap behind the last data", Apply: wrapAt(lastData, 1)},
	{Name: "wrap behind the FIN", Apply: wrapAt(lastFIN, 1)},
	{Name: "other addresses", Apply: rename(reversed)},
	{Name: "other IP version", Apply: rename(otherVersion)},
	{Name: "among other traffic", Apply: amongOthers},
	{Name: "captured nearer to the LB", Apply: func(s *Script) *Script { return s.Moved(false) }},
	{Name: "captured nearer to the target", Apply: func(s *Script) *Script { return s.Moved(true) }},
	{Name: "requests captured 0.5 ms late", Apply: func(s *Script) *Script { return s.Skewed(true, time.Millisecond/2) }},
	{Name: "answers captured 0.5 ms late", Apply: func(s *Script) *Script { return s.Skewed(false, time.Millisecond/2) }},
	{Name: "requests captured 5 ms late", Apply: func(s *Script) *Script { return s.Skewed(true, 5*time.Millisecond) }},
	{Name: "answers captured 5 ms late", Apply: func(s *Script) *Script { return s.Skewed(false, 5*time.Millisecond) }},
	{Name: "every frame twice", Apply: (*Script).Doubled},
	{Name: "every frame twice, at both sides of a router", Apply: (*Script).Routed},
	{Name: "headers only", Apply: captured(func(c *Capture) { c.Headers, c.Snaplen = true, 0 }), Cut: true},
	{Name: "snaplen 70", Apply: snapped(70), Cut: true},
	{Name: "snaplen 74", Apply: snapped(74), Cut: true},
	{Name: "snaplen 96", Apply: snapped(96), Cut: true},
	{Name: "VLAN tag", Apply: captured(func(c *Capture) { c.Link, c.VLAN = Ethernet, 100 }), Container: true},
	{Name: "padding", Apply: captured(func(c *Capture) { c.Link, c.Pad = Ethernet, true }), Container: true},
	{Name: "link raw", Apply: linked(Raw), Container: true},
	{Name: "link null", Apply: linked(Null), Container: true},
	{Name: "link sll", Apply: linked(SLL), Container: true},
	{Name: "link sll2", Apply: linked(SLL2), Container: true},
	{Name: "big-endian", Apply: same, File: FileFormat{BigEndian: true}, Container: true},
	{Name: "nanoseconds", Apply: same, File: FileFormat{Nano: true}, Container: true},
	{Name: "big-endian nanoseconds", Apply: same, File: FileFormat{BigEndian: true, Nano: true}, Container: true},
	{Name: "pcapng", Apply: same, File: FileFormat{NG: true}, Container: true},
	{Name: "big-endian pcapng, nanoseconds", Apply: same, File: FileFormat{NG: true, BigEndian: true, Nano: true}, Container: true},
}

func same(s *Script) *Script { return s }

// captured changes how the frames were captured.
func captured(f func(*Capture)) func(*Script) *Script {
	return func(s *Script) *Script {
		r := s.Resolve()
		before := r.Capture
		f(&r.Capture)
		if n := r.Capture.Snaplen; n != 0 && n == before.Snaplen {
			r.Capture.Snaplen += r.Capture.size() - before.size() // cut off at the same place
		}
		return r
	}
}

func linked(l Link) func(*Script) *Script {
	return captured(func(c *Capture) { c.Link, c.VLAN, c.Pad = l, 0, false })
}

// snapped cuts frames as a snapshot length of n does with Ethernet and IPv4: headers of
// other sizes leave as much.
func snapped(n int) func(*Script) *Script {
	return func(s *Script) *Script {
		r := s.Resolve()
		if r.Capture.Headers || r.Capture.Snaplen != 0 {
			return r
		}
		r.Capture.Snaplen = n + r.Capture.size() - linkSizes[Ethernet]
		for i := range r.Hosts {
			if r.Hosts[i].Addr.Addr().Is6() {
				r.Capture.Snaplen += 20
				break
			}
		}
		return r
	}
}

// wrapAt shifts the sequence numbers of every endpoint so that they wrap at a part of
// the packet that find chooses. Incarnations of an endpoint keep their distance.
func wrapAt(find func(*Script, netip.AddrPort) *Packet, part float64) func(*Script) *Script {
	return func(s *Script) *Script {
		r := s.Resolve()
		shift := map[netip.AddrPort]tcpstate.Seq{}
		for _, h := range r.Hosts {
			if p := find(r, h.Addr); p != nil {
				n := uint32(p.End() - p.Seq)
				at := r.Hosts[p.Src].ISN + p.Seq.Add(uint32(float64(n)*part))
				shift[h.Addr] = -at
			}
		}
		for i := range r.Hosts {
			r.Hosts[i].ISN += shift[r.Hosts[i].Addr]
		}
		return r
	}
}

// lastData is the endpoint's last packet with payload.
func lastData(s *Script, a netip.AddrPort) *Packet {
	return s.last(a, func(p *Packet) bool { return p.Len > 0 })
}

// lastFIN is the endpoint's last FIN, without one its last data.
func lastFIN(s *Script, a netip.AddrPort) *Packet {
	if p := s.last(a, func(p *Packet) bool { return p.Flags.Has(tcpstate.FIN) }); p != nil {
		return p
	}
	return lastData(s, a)
}

func (s *Script) last(a netip.AddrPort, match func(*Packet) bool) *Packet {
	for i := len(s.Packets) - 1; i >= 0; i-- {
		if p := &s.Packets[i]; s.Hosts[p.Src].Addr == a && match(p) {
			return p
		}
	}
	return nil
}

func rename(f func(netip.Addr) netip.Addr) func(*Script) *Script {
	return func(s *Script) *Script {
		r := s.Resolve()
		for i := range r.Hosts {
			h := &r.Hosts[i]
			was := h.Addr.Addr().BitLen()
			h.Addr = netip.AddrPortFrom(f(h.Addr.Addr()), h.Addr.Port())
			if n := r.Capture.Snaplen; i == 0 && n != 0 {
				r.Capture.Snaplen += (h.Addr.Addr().BitLen() - was) * 20 / 96 // IPv6 headers are 20 bytes longer
			}
		}
		for i := range r.Packets {
			if p := &r.Packets[i]; r.Hosts[p.Src].Addr.Addr().Is4() && p.IPID.N == 0 && !p.reply() {
				p.IPID = Number{}
			}
		}
		return r.Resolve() // IPv6 has no IP IDs
	}
}

// reversed turns the order of addresses round, which tables of flows may sort by.
func reversed(a netip.Addr) netip.Addr {
	b := a.AsSlice()
	for i := len(b) - 3; i < len(b); i++ {
		b[i] = ^b[i]
	}
	r, _ := netip.AddrFromSlice(b) // it has the length of an address
	return r
}

// otherVersion puts an IPv4 address into fd00::/96, and an IPv6 address's end into 10/8.
func otherVersion(a netip.Addr) netip.Addr {
	if a.Is4() {
		b, v6 := a.As4(), [16]byte{0xfd}
		copy(v6[12:], b[:])
		return netip.AddrFrom16(v6)
	}
	b := a.As16()
	return netip.AddrFrom4([4]byte{10, b[13], b[14], b[15]})
}

// Doubled is the capture with every frame twice, 20 µs apart, as with tcpdump -i any.
func (s *Script) Doubled() *Script { return s.again(func(*Packet) {}) }

// Routed is the capture with every frame twice, as tcpdump -i any takes it on a router: forwarded.
func (s *Script) Routed() *Script {
	return s.again(func(p *Packet) { p.TTL = Num(uint32(p.ttl() - 1)) })
}

// again is the capture with every frame once more, changed, 20 µs later.
func (s *Script) again(change func(*Packet)) *Script {
	r := s.Resolve()
	for _, p := range r.Packets {
		change(&p)
		p.Time += 20 * time.Microsecond
		p.Want, p.Comment, p.Before = nil, "", nil
		r.Packets = append(r.Packets, p)
	}
	r.sort()
	return r
}

// sort puts the packets in order of time.
func (s *Script) sort() {
	slices.SortStableFunc(s.Packets, func(a, b Packet) int { return cmp.Compare(a.Time, b.Time) })
}

// Select is the capture with only those frames, counted from 1, that keep wants.
func (s *Script) Select(keep func(frame int) bool) *Script {
	r := s.Resolve()
	frame := 0
	r.Packets = slices.DeleteFunc(r.Packets, func(Packet) bool { frame++; return !keep(frame) })
	return r
}

// Interleave is the capture with another one's traffic mixed in. The other's hosts
// must have other addresses.
func (s *Script) Interleave(other *Script) *Script {
	r, o := s.Resolve(), other.Resolve()
	n := len(r.Hosts)
	for _, h := range o.Hosts {
		h.Name = "other-" + h.Name
		r.Hosts = append(r.Hosts, h)
	}
	for _, p := range o.Packets {
		p.Src, p.Dst = p.Src+n, p.Dst+n
		r.Packets = append(r.Packets, p)
	}
	r.sort()
	return r
}

// amongOthers mixes in healthy traffic to another target. It begins before the first
// packet, so that streams are numbered differently, and it ends with the last: a longer
// capture may show more.
func amongOthers(s *Script) *Script {
	first, last := s.Packets[0].Time, s.Packets[len(s.Packets)-1].Time
	o := &Script{Hosts: []Host{
		{Name: "a", Addr: netip.MustParseAddrPort("192.0.2.1:50001"), ISN: 1 << 31},
		{Name: "b", Addr: netip.MustParseAddrPort("192.0.2.1:50002"), ISN: 1<<32 - 70},
		{Name: "target", Addr: netip.MustParseAddrPort("192.0.2.9:8000"), ISN: 1<<32 - 50},
	}}
	fs := fillers{of: []Pair{{0, 2}, {1, 2}}}
	const n = 40 // exchanges, of three packets
	step := (last - first) / n
	for i := range time.Duration(n) {
		for j := range time.Duration(3) {
			o.Packets = append(o.Packets, fs.next(first+i*step+j*min(step/3, time.Millisecond)))
		}
	}
	return o.Interleave(s).restored(s)
}

// restored gives a mixture the script's own description.
func (s *Script) restored(of *Script) *Script {
	s.Name, s.About, s.Capture, s.Trailer = of.Name, of.About, of.Capture, of.Trailer
	n := len(s.Hosts) - len(of.Hosts)
	for i := range s.Hosts {
		if name, ok := strings.CutPrefix(s.Hosts[i].Name, "other-"); ok {
			s.Hosts[i].Name = name
		} else {
			s.Hosts[i].Name = "filler-" + s.Hosts[i].Name
		}
	}
	s.Options = of.Clone().Options
	s.Options.Fillers = nil
	for _, refs := range [][]int{s.Options.Targets, s.Options.LBs} {
		for i := range refs {
			refs[i] += n
		}
	}
	return s
}
