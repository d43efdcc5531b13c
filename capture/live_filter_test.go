package capture

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/net/bpf"

	"connrace/tcpstate"
)

func TestFilter(t *testing.T) {
	const a, b, c, a6, b6 = "10.0.0.1", "10.0.0.2", "192.168.7.9", "2001:db8::1", "fd00::2"
	tcp := func(src string, sport uint16, dst string, dport uint16) testPacket {
		return testPacket{src: src, dst: dst, sport: sport, dport: dport, protocol: 6}
	}
	with := func(x testPacket, f func(*testPacket)) testPacket { f(&x); return x }
	quoted := func(kind byte, x testPacket) testPacket { x.icmp = kind; return x }
	tagged := func(tags ...uint16) func(*testPacket) { return func(x *testPacket) { x.tags = tags } }
	tests := []struct {
		name string
		ends []EndpointSpec
		yes  []testPacket
		no   []testPacket
	}{
		{
			"all TCP", nil,
			[]testPacket{tcp(a, 1, b, 2), tcp(a6, 1, b6, 2), with(tcp(a, 1, b, 2), tagged(0x88a8, 0x8100)), with(tcp(a6, 1, b6, 2), func(x *testPacket) { x.extensions = []byte{60} })},
			[]testPacket{with(tcp(a, 1, b, 2), func(x *testPacket) { x.protocol = 17 }), with(tcp(a6, 1, b6, 2), func(x *testPacket) { x.protocol = 17 })},
		},
		{
			"address",
			[]EndpointSpec{spec(b, 0)},
			[]testPacket{tcp(a, 1, b, 2), tcp(b, 2, a, 1), with(tcp(a, 1, b, 2), tagged(0x8100))},
			[]testPacket{tcp(a, 1, c, 2), tcp(a6, 1, b6, 2), with(tcp(a, 1, b, 2), func(x *testPacket) { x.protocol = 1 })},
		},
		{
			"port",
			[]EndpointSpec{spec("", 8080)},
			[]testPacket{tcp(a, 1, b, 8080), tcp(b6, 8080, a6, 1), with(tcp(a, 1, b, 8080), func(x *testPacket) { x.options = 10 })},
			[]testPacket{tcp(a, 1, c, 80), tcp(a6, 1, b6, 8081)},
		},
		{
			"address and port",
			[]EndpointSpec{spec(b, 8080), spec(b6, 443)},
			[]testPacket{tcp(a, 1, b, 8080), tcp(b, 8080, a, 1), tcp(a6, 1, b6, 443), tcp(b6, 443, a6, 9), with(tcp(a6, 1, b6, 443), tagged(0x9100))},
			[]testPacket{tcp(a, 8080, b, 1), tcp(b, 1, a, 8080), tcp(a6, 443, b6, 80)},
		},
		{
			"ICMP errors",
			[]EndpointSpec{spec(b, 8080), spec(b6, 443)},
			[]testPacket{
				quoted(3, tcp(a, 1, b, 8080)), quoted(11, tcp(b, 8080, a, 1)), with(quoted(3, tcp(a, 1, b, 8080)), tagged(0x8100)),
				quoted(3, with(tcp(a, 1, b, 8080), func(x *testPacket) { x.options = 3 })),
				quoted(1, tcp(a6, 1, b6, 443)), quoted(2, tcp(b6, 443, a6, 9)), quoted(3, tcp(a6, 1, b6, 443)),
			},
			[]testPacket{
				quoted(3, tcp(a, 1, b, 80)), quoted(3, tcp(a, 1, c, 8080)), quoted(8, tcp(a, 1, b, 8080)), quoted(5, tcp(a, 1, b, 8080)),
				quoted(3, with(tcp(a, 1, b, 8080), func(x *testPacket) { x.protocol = 17 })),
				quoted(1, tcp(a6, 1, b6, 80)), quoted(128, tcp(a6, 1, b6, 443)), quoted(137, tcp(a6, 1, b6, 443)),
				quoted(1, with(tcp(a6, 1, b6, 443), func(x *testPacket) { x.protocol = 17 })),
			},
		},
		{
			"ICMP errors about all TCP", nil,
			[]testPacket{quoted(3, tcp(a, 1, b, 8080)), quoted(1, tcp(a6, 1, b6, 443))},
			[]testPacket{quoted(8, tcp(a, 1, b, 8080)), quoted(3, with(tcp(a, 1, b, 8080), func(x *testPacket) { x.protocol = 17 })), quoted(129, tcp(a6, 1, b6, 443))},
		},
		{
			"prefix",
			[]EndpointSpec{spec("10.0.0.0/31", 0), spec("fd00::/7", 0), spec("2001:db8::/32", 80)},
			[]testPacket{tcp(a, 1, c, 2), tcp(c, 1, a, 2), tcp("fe00::1", 1, b6, 2), tcp(a6, 80, "::1", 1)},
			[]testPacket{tcp(b, 1, c, 2), tcp("fe00::1", 1, a6, 2)},
		},
		{
			"prefix of another kind",
			[]EndpointSpec{spec("::ffff:10.0.0.0/120", 80), spec("0.0.0.0/0", 81), spec("::/0", 82)},
			[]testPacket{tcp(a, 80, c, 2), tcp(c, 1, c, 81), tcp(a6, 82, b6, 1)},
			[]testPacket{tcp(a, 82, b, 1), tcp(a6, 81, b6, 1)},
		},
		{
			"ports that do not show",
			[]EndpointSpec{spec(b, 8080), spec(b6, 8080)},
			[]testPacket{
				with(tcp(a, 1, b, 8080), func(x *testPacket) { x.fragment = 0x2000 }),
				with(tcp(a, 1, b, 1), func(x *testPacket) { x.fragment = 0x2005 }),
				with(tcp(a6, 1, b6, 8080), func(x *testPacket) { x.extensions = []byte{0} }),
				with(tcp(a6, 1, b6, 1), func(x *testPacket) { x.extensions = []byte{44} }),
				with(tcp(a6, 1, b6, 1), func(x *testPacket) { x.extensions = []byte{60, 44} }),
				with(tcp(a6, 1, a6, 1), func(x *testPacket) { x.extensions = []byte{43} }),
			},
			[]testPacket{
				with(tcp(a, 1, b, 1), func(x *testPacket) { x.fragment = 0x2000 }),
				with(tcp(a, 1, c, 1), func(x *testPacket) { x.fragment = 0x0005 }),
				with(tcp(a6, 1, b6, 1), func(x *testPacket) { x.extensions = []byte{0} }),
				with(tcp(a6, 1, a6, 1), func(x *testPacket) { x.extensions = []byte{44} }),
				with(tcp(a6, 1, b6, 8080), func(x *testPacket) { x.extensions = []byte{60}; x.protocol = 58 }),
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := NewFilter(tt.ends)
			l := filterLink{snaplen: 1000}
			prog, err := f.program(l)
			if err != nil {
				t.Fatal(err)
			}
			for i, x := range slices.Concat(tt.yes, tt.no) {
				want := 0
				if i < len(tt.yes) {
					want = 1000
				}
				if p := etherPacket(x.build()); p.run(t, prog) != want || p.wanted(l, f.ends) != (want > 0) {
					t.Errorf("%+v: got %d, predicate %v, want %d", x, p.run(t, prog), p.wanted(l, f.ends), want)
				}
			}
		})
	}
}

// TestFilterKeepsSegments: no segment of a watched end is kept away, and no ICMP error about one.
func TestFilterKeepsSegments(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	d := NewDecoder()
	kept := 0
	for range 3000 {
		x, ends := randomPacket(rng), randomEnds(rng)
		p := etherPacket(x.build())
		prog, err := NewFilter(ends).program(filterLink{snaplen: 1 << 16})
		if err != nil {
			t.Fatal(err)
		}
		f := Frame{Number: 1, LinkType: LinkEthernet, Length: uint32(len(p.data)), Data: p.data}
		for _, s := range d.Decode(&f, nil) {
			watched := func(e EndpointSpec) bool { return e.Contains(s.Src) || e.Contains(s.Dst) }
			if !slices.ContainsFunc(ends, watched) && len(ends) > 0 || s.Quoted && s.ICMP == nil {
				continue
			}
			if kept++; p.run(t, prog) == 0 {
				t.Fatalf("kept away: %+v, %v", x, ends)
			}
		}
	}
	if kept < 500 {
		t.Errorf("only %d segments were of a watched end", kept)
	}
}

func randomPacket(rng *rand.Rand) testPacket {
	pick := func(from ...string) string { return from[rng.IntN(len(from))] }
	x := testPacket{sport: uint16(79 + rng.IntN(4)), dport: uint16(79 + rng.IntN(4)), protocol: 6}
	for range max(0, rng.IntN(5)-2) {
		x.tags = append(x.tags, [...]uint16{0x8100, 0x88a8, 0x9100}[rng.IntN(3)])
	}
	if rng.IntN(2) == 0 {
		all := []string{"10.0.0.1", "10.0.0.2", "10.0.1.1", "10.200.0.1", "0.0.0.0", "255.255.255.255"}
		x.src, x.dst = pick(all...), pick(all...)
		x.options = max(0, rng.IntN(14)-3)
		x.fragment = [...]uint16{0, 0, 0x4000, 0x2000, 0x2001, 0x1fff}[rng.IntN(6)]
	} else {
		all := []string{"2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "2001:dc8::1", "::", "fd00::1"}
		x.src, x.dst = pick(all...), pick(all...)
		for range max(0, rng.IntN(5)-2) {
			x.extensions = append(x.extensions, [...]byte{0, 60, 43, 44}[rng.IntN(4)])
		}
	}
	if rng.IntN(8) == 0 {
		x.protocol = byte(rng.Uint32())
	}
	if rng.IntN(4) == 0 {
		x.icmp = [...]byte{1, 2, 3, 4, 5, 8, 11, 128}[rng.IntN(8)]
	}
	return x
}

func randomEnds(rng *rand.Rand) []EndpointSpec {
	var ends []EndpointSpec
	for range rng.IntN(4) {
		var e EndpointSpec
		if rng.IntN(3) > 0 {
			e.Port = uint16(79 + rng.IntN(4))
		}
		if rng.IntN(3) > 0 || e.Port == 0 {
			src := netip.MustParseAddr(randomPacket(rng).src)
			p, _ := src.Prefix(src.BitLen() - rng.IntN(src.BitLen()+1)*rng.IntN(2))
			e.Prefix = p
		}
		ends = append(ends, e)
	}
	return ends
}

// TestFilterTooManyEnds: the kernel takes 4096 instructions.
func TestFilterTooManyEnds(t *testing.T) {
	var ends []EndpointSpec
	for i := range 1000 {
		a := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		ends = append(ends, EndpointSpec{netip.PrefixFrom(a, 32), 80})
	}
	watched := etherPacket(testPacket{src: "10.0.0.0", dst: "1.2.3.4", sport: 80, dport: 1, protocol: 6}.build())
	other := etherPacket(testPacket{src: "10.1.0.0", dst: "1.2.3.4", sport: 80, dport: 1, protocol: 6}.build())
	for _, n := range []int{1, 10, 100, 200, 500, 1000} {
		prog, err := NewFilter(ends[:n]).program(filterLink{snaplen: 100})
		if err != nil || len(prog) > maxInstructions {
			t.Fatalf("%d endpoints: %d instructions, %v", n, len(prog), err)
		}
		if watched.run(t, prog) == 0 || (other.run(t, prog) == 0) != (n <= 200) {
			t.Errorf("%d endpoints are watched wrongly", n)
		}
	}
}

func TestEndpointSpecContains(t *testing.T) {
	for _, tt := range []struct {
		spec EndpointSpec
		end  string
		want bool
	}{
		{spec("10.0.0.0/8", 0), "10.1.1.1:9", true},
		{spec("10.0.0.0/8", 8), "10.1.1.1:9", false},
		{spec("", 9), "[::1]:9", true},
		{spec("::1", 9), "[::1]:9", true},
		{spec("::1", 9), "127.0.0.1:9", false},
		{EndpointSpec{}, "127.0.0.1:9", true},
	} {
		if got := tt.spec.Contains(tcpstate.EndpointFrom(netip.MustParseAddrPort(tt.end))); got != tt.want {
			t.Errorf("%v contains %s: %v", tt.spec, tt.end, got)
		}
	}
}

// FuzzFilter compares the filter with the predicate on whatever octets.
func FuzzFilter(f *testing.F) {
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range 40 {
		f.Add(randomPacket(rng).build(), uint64(i), uint16(arphrdEther), uint8(0), uint8(i%3))
	}
	f.Add([]byte{}, uint64(1), uint16(arphrdLoopback), uint8(packetOutgoing), uint8(2))
	f.Fuzz(func(t *testing.T, data []byte, seed uint64, hardware uint16, packetType, kind uint8) {
		rng := rand.New(rand.NewPCG(seed, 0))
		ends := randomEnds(rng)
		l := filterLink{header: headerKind(kind % 3), snaplen: 96}
		for range rng.IntN(3) {
			l.interfaces = append(l.interfaces, rng.Uint32N(4))
		}
		data = append(data[:len(data):len(data)], make([]byte, 100)...) // headers are whole
		p := &packetBuffer{data: data, net: rng.IntN(20), index: 1, hardware: hardware, packetType: packetType}
		p.protocol = binary.BigEndian.Uint16(data[12:])
		filter := NewFilter(ends)
		prog, err := filter.program(l)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := p.run(t, prog) > 0, p.wanted(l, filter.ends); got != want {
			t.Errorf("filter %v, predicate %v\n%+v\n%v\n%+v\n%s", got, want, l, ends, p, listing(prog))
		}
	})
}

func listing(prog []bpf.RawInstruction) (s string) {
	for i, ins := range prog {
		s += fmt.Sprintf("%03d %v\n", i, ins.Disassemble())
	}
	return s
}
