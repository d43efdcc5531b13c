package capture

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"golang.org/x/net/bpf"

	"connrace/tcpstate"
)

// EndpointSpec is a set of endpoints: those of a prefix, of a port, or of both.
type EndpointSpec struct {
	Prefix netip.Prefix // invalid: any address
	Port   uint16       // 0: any port
}

// Contains reports whether e belongs to the set.
func (s EndpointSpec) Contains(e tcpstate.Endpoint) bool {
	return (s.Port == 0 || s.Port == e.Port) && (!s.Prefix.IsValid() || s.Prefix.Contains(e.Addr.Netip()))
}

// Filter says which packets the kernel hands over to a Live.
type Filter struct {
	ends []EndpointSpec
	raw  []bpf.RawInstruction // what tcpdump compiled; nil: made from ends
}

// NewFilter makes a filter for the TCP segments that come from or go to one of ends, for
// all TCP segments where there are none, and for ICMP errors that quote such a segment.
//
// The filter passes all of these, IPv4 and IPv6, with VLAN tags and without. It passes a
// little more, because a BPF program has no loops and no memory: fragments, which do not
// show their ports, and packets with several IPv6 extension headers. It does not look into
// tunnels; capture from the tunnel's device instead. Of ICMP it passes what the Decoder takes
// for evidence.
func NewFilter(ends []EndpointSpec) *Filter {
	f := &Filter{}
	for _, e := range ends {
		if p := e.Prefix; p.IsValid() {
			if p.Addr().Is4In6() && p.Bits() >= 96 {
				p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
			}
			e.Prefix = p.Masked()
		}
		if e == (EndpointSpec{}) {
			return &Filter{}
		}
		if !slices.Contains(f.ends, e) {
			f.ends = append(f.ends, e)
		}
	}
	return f
}

// maxInstructions is BPF_MAXINSNS of Linux's include/uapi/linux/bpf_common.h.
const maxInstructions = 4096

// program assembles the filter for frames as l has them; a nil Filter is for all TCP.
func (f *Filter) program(l filterLink) ([]bpf.RawInstruction, error) {
	if f == nil {
		f = &Filter{}
	}
	if f.raw != nil {
		return f.rawProgram(l)
	}
	raw, err := assembleFilter(l, f.ends)
	if err == nil && len(raw) > maxInstructions {
		// The kernel accepts no program for so many endpoints: all TCP is captured, and the
		// caller leaves out what it does not want.
		raw, err = assembleFilter(l, nil)
	}
	return raw, err
}

// coarser reports whether a filter for all TCP passes more than f.
func (f *Filter) coarser() bool { return f != nil && f.raw == nil && len(f.ends) > 0 }

// filterLink says which frames a filter will see.
type filterLink struct {
	header     headerKind
	interfaces []uint32 // frames of others are refused; none: all pass
	snaplen    uint32
}

// headerKind says which link headers frames have.
type headerKind uint8

const (
	etherHeader headerKind = iota
	otherHeader            // none, or one that the kernel knows the length of
	mixedHeader            // each device its own
)

func assembleFilter(l filterLink, ends []EndpointSpec) ([]bpf.RawInstruction, error) {
	p := &program{snaplen: l.snaplen}
	p.prologue(l.interfaces)
	p.network(l.header)
	p.ipv4(ends)
	p.ipv6(ends)
	return p.assemble()
}

// Linux's include/uapi/linux/if_arp.h, if_packet.h, filter.h and if_ether.h.
const (
	arphrdEther    = 1
	arphrdLoopback = 772
	packetOutgoing = 4
	skfNetOff      = 0xfff00000 // offsets from here on count from the network header
	ethPIP         = 0x0800
	ethPIPv6       = 0x86dd
	ethPQinQOld    = 0x9100
	ethPVLAN       = 0x8100
	ethPServiceTag = 0x88a8
)

// prologue leaves out interfaces that are not watched, and what the loopback interface
// shows twice: each packet goes out there and comes in.
func (p *program) prologue(interfaces []uint32) {
	if len(interfaces) > 0 {
		watched := p.label()
		p.emit(bpf.LoadExtension{Num: bpf.ExtInterfaceIndex})
		for _, index := range interfaces {
			p.jumpIf(bpf.JumpEqual, index, watched)
		}
		p.drop()
		p.place(watched)
	}
	done := p.label()
	p.emit(bpf.LoadExtension{Num: bpf.ExtLinkLayerType})
	p.jumpIf(bpf.JumpNotEqual, arphrdLoopback, done)
	p.emit(bpf.LoadExtension{Num: bpf.ExtType})
	p.jumpIf(bpf.JumpNotEqual, packetOutgoing, done)
	p.drop()
	p.place(done)
}

// network finds the network header: its Ethernet type to A, its offset to X. Of VLAN tags
// only those are seen that the kernel has not taken off.
func (p *program) network(h headerKind) {
	ether, found := p.label(), p.label()
	if h == mixedHeader {
		p.emit(bpf.LoadExtension{Num: bpf.ExtLinkLayerType})
		p.jumpIf(bpf.JumpEqual, arphrdEther, ether)
		p.jumpIf(bpf.JumpEqual, arphrdLoopback, ether)
	}
	if h != etherHeader {
		p.emit(bpf.LoadConstant{Dst: bpf.RegX, Val: skfNetOff}, bpf.LoadExtension{Num: bpf.ExtProto})
		p.jump(found)
	}
	p.place(ether)
	if h != otherHeader {
		const tags, size = 2, 4
		for off := uint32(macHeader); ; off += size {
			p.emit(bpf.LoadConstant{Dst: bpf.RegX, Val: off}, bpf.LoadAbsolute{Off: off - 2, Size: 2})
			if off == macHeader+tags*size {
				break
			}
			tag := p.label()
			for _, t := range [...]uint32{ethPVLAN, ethPServiceTag, ethPQinQOld} {
				p.jumpIf(bpf.JumpEqual, t, tag)
			}
			p.jump(found)
			p.place(tag)
		}
	}
	p.place(found)
}

// ICMP errors that quote a packet: RFC 792; RFC 4443 §2.1, of whose types the first four do.
const (
	icmpHeader      = 8
	icmpUnreachable = 3
	icmpExceeded    = 11
	icmpv6LastError = 4
)

// Scratch memory.
const (
	memPorts = 0 // source and destination
	memAddrs = 2 // source and destination, of one or four words
)

// anyPort stands for a port that the packet does not show.
const anyPort = 1 << 16

// ipv4 judges the packet at X if A says that it is IPv4.
func (p *program) ipv4(ends []EndpointSpec) {
	const protocol, fragment, offset, addrs = 9, 6, 0x1fff, 12
	other, icmp, quote, tcp, later, known := p.label(), p.label(), p.label(), p.label(), p.label(), p.label()
	p.jumpIf(bpf.JumpNotEqual, ethPIP, other)
	p.emit(bpf.LoadIndirect{Off: protocol, Size: 1})
	p.jumpIf(bpf.JumpEqual, protoTCP, tcp)
	p.jumpIf(bpf.JumpEqual, protoICMP, icmp)
	p.drop()

	p.place(icmp)
	p.behind4()
	p.emit(bpf.LoadIndirect{Off: 0, Size: 1})
	p.jumpIf(bpf.JumpEqual, icmpUnreachable, quote)
	p.jumpIf(bpf.JumpEqual, icmpExceeded, quote)
	p.drop()
	p.place(quote)
	p.quoted(0)
	p.emit(bpf.LoadIndirect{Off: protocol, Size: 1})
	p.jumpIf(bpf.JumpEqual, protoTCP, tcp)
	p.drop()

	p.place(tcp)
	if len(ends) == 0 {
		p.accept()
		p.place(other)
		return
	}
	p.addresses(addrs, 2)
	p.emit(bpf.LoadIndirect{Off: fragment, Size: 2})
	p.jumpIf(bpf.JumpBitsSet, offset, later)
	p.behind4()
	p.ports(0)
	p.jump(known)
	p.place(later)
	p.noPorts()
	p.place(known)
	p.endpoints(ends, 32)
	p.place(other)
}

// behind4 moves X behind the IPv4 header there.
func (p *program) behind4() {
	p.emit(bpf.LoadIndirect{Off: 0, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xf}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 2},
		bpf.ALUOpX{Op: bpf.ALUOpAdd}, bpf.TAX{})
}

// quoted moves X to the packet that an ICMP error quotes, which is off bytes behind X. It is
// judged as if it were the packet itself.
func (p *program) quoted(off uint32) {
	p.emit(bpf.TXA{}, bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: off + icmpHeader}, bpf.TAX{})
}

// ipv6 judges the packet at X if A says that it is IPv6. One extension header is followed:
// BIG TCP has one (RFC 2675).
func (p *program) ipv6(ends []EndpointSpec) {
	const next, addrs, base = 6, 8, 8
	v6, packet, extension, piece := p.label(), p.label(), p.label(), p.label()
	tcp, behind, hidden, known, all := p.label(), p.label(), p.label(), p.label(), p.label()
	p.jumpIf(bpf.JumpEqual, ethPIPv6, v6)
	p.drop()
	p.place(v6)
	p.emit(bpf.LoadIndirect{Off: next, Size: 1})
	p.jumpIf(bpf.JumpNotEqual, protoICMPv6, packet)
	p.emit(bpf.LoadIndirect{Off: ip6Fixed, Size: 1})
	quote := p.label()
	p.jumpIf(bpf.JumpLessOrEqual, icmpv6LastError, quote)
	p.drop()
	p.place(quote)
	p.quoted(ip6Fixed)
	p.place(packet)
	if len(ends) > 0 {
		p.addresses(addrs, 8)
	}
	p.emit(bpf.LoadIndirect{Off: next, Size: 1})
	p.jumpIf(bpf.JumpEqual, protoTCP, tcp)
	p.jumpIf(bpf.JumpEqual, protoFragment, piece)
	p.jumpIf(bpf.JumpEqual, protoHopByHop, extension)
	p.jumpIf(bpf.JumpEqual, protoDstOpts, extension)
	p.jumpIf(bpf.JumpEqual, protoRouting, all) // the packet's destination is not the last
	p.drop()

	p.place(extension)
	p.emit(bpf.LoadIndirect{Off: ip6Fixed, Size: 1})
	p.jumpIf(bpf.JumpEqual, protoTCP, behind)
	p.jumpIf(bpf.JumpEqual, protoFragment, hidden)
	p.place(piece)
	p.emit(bpf.LoadIndirect{Off: ip6Fixed, Size: 1})
	for _, n := range [...]uint32{protoTCP, protoHopByHop, protoDstOpts} {
		p.jumpIf(bpf.JumpEqual, n, hidden)
	}
	p.jumpIf(bpf.JumpEqual, protoRouting, all)
	p.drop()

	p.place(behind)
	p.emit(bpf.LoadIndirect{Off: ip6Fixed + 1, Size: 1}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 3},
		bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: base}, bpf.ALUOpX{Op: bpf.ALUOpAdd}, bpf.TAX{})
	p.place(tcp)
	if len(ends) > 0 {
		p.ports(ip6Fixed)
		p.jump(known)
		p.place(hidden)
		p.noPorts()
		p.place(known)
		p.endpoints(ends, 128)
	} else {
		p.place(hidden)
	}
	p.place(all)
	p.accept()
}

// addresses loads both addresses, words in all, from off bytes behind X: from memory they
// can be had in fewer of the kernel's instructions.
func (p *program) addresses(off uint32, words int) {
	for i := range words {
		p.emit(bpf.LoadIndirect{Off: off + 4*uint32(i), Size: 4}, bpf.StoreScratch{Src: bpf.RegA, N: memAddrs + i})
	}
}

// ports loads the ports of a TCP header off bytes behind X.
func (p *program) ports(off uint32) {
	for i := range 2 {
		p.emit(bpf.LoadIndirect{Off: off + 2*uint32(i), Size: 2}, bpf.StoreScratch{Src: bpf.RegA, N: memPorts + i})
	}
}

// noPorts says that the packet does not show its ports.
func (p *program) noPorts() {
	p.emit(bpf.LoadConstant{Dst: bpf.RegA, Val: anyPort},
		bpf.StoreScratch{Src: bpf.RegA, N: memPorts}, bpf.StoreScratch{Src: bpf.RegA, N: memPorts + 1})
}

// endpoints takes the packet if either of its ends, with addresses of so many bits, is one
// of ends, else drops it.
func (p *program) endpoints(ends []EndpointSpec, bits int) {
	for _, e := range ends {
		if e.Prefix.IsValid() && e.Prefix.Addr().BitLen() != bits {
			continue
		}
		for side := range 2 {
			next := p.label()
			p.prefix(e.Prefix, memAddrs+side*bits/32, next)
			if e.Port != 0 {
				match := p.label()
				p.emit(bpf.LoadScratch{Dst: bpf.RegA, N: memPorts + side})
				p.near(bpf.JumpEqual, uint32(e.Port), match)
				p.near(bpf.JumpNotEqual, anyPort, next)
				p.place(match)
			}
			p.accept()
			p.place(next)
		}
	}
	p.drop()
}

// prefix jumps to next unless the address in memory is in x; any is if x is not valid.
func (p *program) prefix(x netip.Prefix, memory int, next label) {
	b := x.Addr().AsSlice()
	for bits := x.Bits(); bits > 0; bits -= 32 {
		p.emit(bpf.LoadScratch{Dst: bpf.RegA, N: memory})
		if bits < 32 {
			p.emit(bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: ^uint32(0) << (32 - bits)})
		}
		p.near(bpf.JumpNotEqual, binary.BigEndian.Uint32(b), next)
		b, memory = b[4:], memory+1
	}
}
