package capture

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/net/bpf"
)

// packetBuffer is a packet as the kernel runs a filter on it.
type packetBuffer struct {
	data       []byte // from the link header on
	net        int    // where the network header is
	protocol   uint16
	index      uint32
	hardware   uint16
	packetType uint8
}

// run runs prog on the packet. What only the kernel can load is put in as a constant, so
// that x/net's machine can do it.
func (b *packetBuffer) run(t testing.TB, prog []bpf.RawInstruction) int {
	t.Helper()
	ins := make([]bpf.Instruction, len(prog))
	for i := range prog {
		switch x := prog[i].Disassemble().(type) {
		case bpf.LoadExtension:
			v := map[bpf.Extension]uint32{
				bpf.ExtProto: uint32(b.protocol), bpf.ExtType: uint32(b.packetType),
				bpf.ExtInterfaceIndex: b.index, bpf.ExtLinkLayerType: uint32(b.hardware),
			}
			ins[i] = bpf.LoadConstant{Dst: bpf.RegA, Val: v[x.Num]}
		case bpf.LoadConstant:
			if x.Dst == bpf.RegX && x.Val == skfNetOff {
				x.Val = uint32(b.net)
			}
			ins[i] = x
		case bpf.LoadAbsolute:
			x.Off = b.offset(x.Off)
			ins[i] = x
		case bpf.LoadIndirect:
			x.Off = b.offset(x.Off)
			ins[i] = x
		case bpf.LoadMemShift:
			x.Off = b.offset(x.Off)
			ins[i] = x
		default:
			ins[i] = x
		}
	}
	vm, err := bpf.NewVM(ins)
	if err != nil {
		t.Fatal(err)
	}
	n, err := vm.Run(b.data)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (b *packetBuffer) offset(k uint32) uint32 {
	if k >= skfNetOff {
		return k - skfNetOff + uint32(b.net)
	}
	return k
}

// wanted says in plain Go what the filter shall let through.
func (b *packetBuffer) wanted(l filterLink, ends []EndpointSpec) bool {
	if len(l.interfaces) > 0 && !slices.Contains(l.interfaces, b.index) || b.hardware == arphrdLoopback && b.packetType == packetOutgoing {
		return false
	}
	p, kind := b.data[min(b.net, len(b.data)):], b.protocol
	if l.header == etherHeader || l.header == mixedHeader && (b.hardware == arphrdEther || b.hardware == arphrdLoopback) {
		p = b.data
		for tags := -1; ; tags++ {
			skip := 4
			if tags < 0 {
				skip = 14
			}
			if len(p) < skip {
				return false
			}
			kind = binary.BigEndian.Uint16(p[skip-2:])
			p = p[skip:]
			if tags == 1 || kind != 0x8100 && kind != 0x88a8 && kind != 0x9100 {
				break
			}
		}
	}
	switch kind {
	case 0x0800:
		return wanted4(p, ends)
	case 0x86dd:
		return wanted6(p, ends)
	}
	return false
}

func wanted4(p []byte, ends []EndpointSpec) bool {
	if len(p) >= 10 && p[9] == 1 { // ICMP: what it quotes
		if n := int(p[0]&15) * 4; len(p) < n+8 || p[n] != 3 && p[n] != 11 {
			return false
		} else {
			p = p[n+8:]
		}
	}
	if len(p) < 10 || p[9] != 6 {
		return false
	}
	if len(ends) == 0 {
		return true
	}
	if len(p) < 20 {
		return false
	}
	src, dst := netip.AddrFrom4([4]byte(p[12:])), netip.AddrFrom4([4]byte(p[16:]))
	if binary.BigEndian.Uint16(p[6:])&0x1fff != 0 {
		return wantedEnds(ends, src, dst, nil)
	}
	n := int(p[0]&15) * 4
	return len(p) >= n+4 && wantedEnds(ends, src, dst, p[n:])
}

func wanted6(p []byte, ends []EndpointSpec) bool {
	if len(p) >= 48 && p[6] == 58 && p[40] <= 4 {
		p = p[48:]
	}
	if len(p) < 7 {
		return false
	}
	next, ports, seen := p[6], []byte(nil), false
	switch next {
	case 6:
		seen, p = true, p[:len(p):len(p)]
		if len(p) >= 40 {
			ports = p[40:]
		}
	case 43:
		return true
	case 0, 60, 44:
		if len(p) < 41 {
			return false
		}
		switch inner := p[40]; {
		case inner == 6 && next != 44:
			seen = true
			if len(p) < 42 {
				return false
			}
			if n := 48 + int(p[41])*8; len(p) >= n {
				ports = p[n:]
			}
		case inner == 43:
			return true
		case inner == 44 && next == 44:
			return false
		case inner == 6 || inner == 0 || inner == 60 || inner == 44:
		default:
			return false
		}
	default:
		return false
	}
	if len(ends) == 0 {
		return true
	}
	if seen && len(ports) < 4 || len(p) < 40 {
		return false
	}
	return wantedEnds(ends, netip.AddrFrom16([16]byte(p[8:])), netip.AddrFrom16([16]byte(p[24:])), ports)
}

// wantedEnds matches both ends; no ports: any.
func wantedEnds(ends []EndpointSpec, src, dst netip.Addr, ports []byte) bool {
	for i, a := range []netip.Addr{src, dst} {
		for _, e := range ends {
			ok := !e.Prefix.IsValid() || e.Prefix.Contains(a)
			if e.Port != 0 && ports != nil {
				ok = ok && binary.BigEndian.Uint16(ports[2*i:]) == e.Port
			}
			if ok {
				return true
			}
		}
	}
	return false
}

func spec(s string, port uint16) EndpointSpec {
	if s == "" {
		return EndpointSpec{Port: port}
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		return EndpointSpec{p, port}
	}
	a := netip.MustParseAddr(s)
	return EndpointSpec{netip.PrefixFrom(a, a.BitLen()), port}
}

// testPacket is what a packet is made of.
type testPacket struct {
	src, dst     string
	sport, dport uint16
	tags         []uint16 // types of VLAN tags in the packet
	options      int      // words of IPv4 options
	fragment     uint16   // of the IPv4 header
	extensions   []byte   // of IPv6
	protocol     byte
	icmp         byte // the type of the ICMP error that quotes all this; 0: nothing does
}

func (x testPacket) build() []byte {
	b := make([]byte, 12, 192)
	for _, t := range x.tags {
		b = binary.BigEndian.AppendUint16(b, t)
		b = append(b, 0x60, 5)
	}
	if x.icmp != 0 {
		quoted := x
		quoted.icmp, quoted.tags = 0, nil
		packet := append([]byte{x.icmp, 0, 0, 0, 0, 0, 0, 0}, quoted.build()[14:]...)
		if netip.MustParseAddr(x.src).Is4() {
			b = append(b, 8, 0, 0x46, 0, 0, byte(24+len(packet)), 0, 7, 0, 0, 64, 1, 0, 0, 10, 0, 9, 9)
			b = append(append(b, 10, 0, 9, 8), 1, 1, 1, 1)
		} else {
			b = append(b, 0x86, 0xdd, 0x60, 0, 0, 0, 0, byte(len(packet)), 58, 64)
			b = append(b, make([]byte, 32)...)
		}
		return append(b, packet...)
	}
	src, dst := netip.MustParseAddr(x.src), netip.MustParseAddr(x.dst)
	tcp := binary.BigEndian.AppendUint16(nil, x.sport)
	tcp = binary.BigEndian.AppendUint16(tcp, x.dport)
	tcp = append(tcp, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 1, 0, 0, 0, 0, 0)
	if src.Is4() {
		n := 20 + 4*x.options
		b = append(b, 8, 0, 0x40|byte(n/4), 0)
		b = binary.BigEndian.AppendUint16(b, uint16(n+len(tcp)))
		b = append(b, 0, 7)
		b = binary.BigEndian.AppendUint16(b, x.fragment)
		b = append(b, 64, x.protocol, 0, 0)
		b = append(append(b, src.AsSlice()...), dst.AsSlice()...)
		for range x.options {
			b = append(b, 1, 1, 1, 1)
		}
		return append(b, tcp...)
	}
	kinds := append(slices.Clone(x.extensions), x.protocol)
	var ext []byte
	for i := range x.extensions {
		size := 8
		if x.extensions[i] != 44 && i == 0 {
			size = 24
		}
		h := make([]byte, size)
		h[0], h[1] = kinds[i+1], byte(size/8-1)
		if x.extensions[i] == 44 {
			h[1], h[3] = 0, 1
		}
		ext = append(ext, h...)
	}
	b = append(b, 0x86, 0xdd, 0x60, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(ext)+len(tcp)))
	b = append(b, kinds[0], 64)
	b = append(append(b, src.AsSlice()...), dst.AsSlice()...)
	return append(append(b, ext...), tcp...)
}

// numbered makes a frame that can be told by a number.
func numbered(x testPacket, n int) []byte {
	if x.src == "" {
		x.src, x.dst = "10.9.0.1", "10.9.0.2"
	}
	x.sport, x.dport, x.protocol = 40000, 8080, 6
	b := x.build()
	binary.BigEndian.PutUint32(b[len(b)-16:], uint32(n)) // the sequence number
	return b
}

func etherPacket(b []byte) *packetBuffer {
	return &packetBuffer{data: b, net: 14, protocol: binary.BigEndian.Uint16(b[12:]), index: 2, hardware: arphrdEther}
}
