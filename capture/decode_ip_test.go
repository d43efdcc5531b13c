package capture

import (
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"connrace/tcpstate"
)

// The payload's length comes from the IP header, whatever pads the frame or was cut.
func TestIPLength(t *testing.T) {
	whole := inEther(0x0800, tcp4())
	padded := put(whole, "000000000000 deadbeef")
	long := inEther(0x0800, tcp4())
	long[17] += 100 // the packet claims more than the frame had
	offload := inEther(0x0800, tcp4())
	offload[16], offload[17] = 0, 0
	offload6 := inEther(0x86dd, tcp6())
	offload6[18], offload6[19] = 0, 0
	n := uint32(len(request))
	for _, c := range []struct {
		name    string
		data    []byte
		wire    int
		len     uint32
		payload int
	}{
		{"as is", whole, len(whole), n, len(request)},
		{"padding", padded, len(padded), n, len(request)},
		{"padding beyond the snapshot", whole, len(whole) + 6, n, len(request)},
		{"snapshot", whole[:len(whole)-5], len(whole), n, len(request) - 5},
		{"longer than the frame", long, len(long), n, len(request)},
		{"longer than the snapshot", long, len(long) + 200, n + 100, len(request)},
		{"segmentation offload", offload, len(offload), n, len(request)},
		{"segmentation offload and snapshot", offload, len(offload) + 60000, n + 60000, len(request)},
		{"segmentation offload of IPv6", offload6, len(offload6) + 90000, n + 90000, len(request)},
	} {
		f := frameOf(LinkEthernet, c.data)
		f.Length = uint32(c.wire)
		got := decode(f)
		if len(got) != 1 || got[0].Len != c.len || len(got[0].Payload) != c.payload || got[0].NoLength {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

func TestIPv4Options(t *testing.T) {
	hop := []byte{10, 9, 9, 9}
	for _, c := range []struct {
		name    string
		options []layers.IPv4Option
		dst     string
	}{
		{"router alert", []layers.IPv4Option{{OptionType: 148, OptionLength: 4, OptionData: []byte{0, 0}}}, "10.0.1.9:8080"},
		{"source route", []layers.IPv4Option{{OptionType: 131, OptionLength: 7, OptionData: append([]byte{4}, hop...)}}, "10.9.9.9:8080"},
		{"used source route", []layers.IPv4Option{{OptionType: 137, OptionLength: 7, OptionData: append([]byte{8}, hop...)}}, "10.0.1.9:8080"},
		{"bad source route", []layers.IPv4Option{{OptionType: 131, OptionLength: 3, OptionData: []byte{4}}}, "10.0.1.9:8080"},
	} {
		ip := header4(layers.IPProtocolTCP)
		ip.Options = c.options
		b := serialize(ip, gopacket.Payload(tcp4()[ip4Fixed:ip4Fixed+tcpFixed]))
		if got := decode(frameOf(LinkIPv4, b)); len(got) != 1 || got[0].Dst.String() != c.dst || got[0].Len != 0 {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

func TestIPv6Extensions(t *testing.T) {
	segment := tcp6()[ip6Fixed:]
	final := "20010db8000000000000000000000077"
	for _, c := range []struct {
		name string
		next uint8
		head []byte
		dst  string
	}{
		{"hop-by-hop", 0, put("06000104 00000000"), "[2001:db8::9]:8080"},
		{"destination", 60, put("06010104 00000000 0106 000000000000"), "[2001:db8::9]:8080"},
		{"shim", 140, put("06000000 00000000"), "[2001:db8::9]:8080"},
		{"authentication", 51, put("06040000 00000001 00000001 000000000000000000000000"), "[2001:db8::9]:8080"},
		{"all", 0, put("3c000104 00000000", "2b000104 00000000", "2c000300 00000000", "06000000 00000001"), "[2001:db8::9]:8080"},
		{"routing type 0", 43, put("06020001 00000000", final), "[2001:db8::77]:8080"},
		{"routing that is done", 43, put("06020000 00000000", final), "[2001:db8::9]:8080"},
		{"segment routing", 43, put("06040401 01000000", final, "20010db8000000000000000000000055"), "[2001:db8::77]:8080"},
		{"routing of another type", 43, put("0600fd01 00000000"), "[2001:db8::9]:8080"},
		{"atomic fragment", 44, put("06000000 00000001"), "[2001:db8::9]:8080"},
	} {
		got := decode(frameOf(LinkIPv6, in6(c.next, append(c.head, segment...))))
		if len(got) != 1 || got[0].Dst.String() != c.dst || got[0].Len != uint32(len(request)) {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

func TestJumbogram(t *testing.T) {
	const payload = 70000
	segment := append(tcp6()[ip6Fixed:ip6Fixed+tcpFixed:ip6Fixed+tcpFixed], make([]byte, payload)...)
	size := 8 + len(segment)
	option := []byte{6, 0, 0xc2, 4, byte(size >> 24), byte(size >> 16), byte(size >> 8), byte(size)}
	b := in6(0, append(option, segment...))
	b[4], b[5] = 0, 0
	f := frameOf(LinkIPv6, append(b, 0, 0, 0)) // and a trailer
	if got := decode(f); len(got) != 1 || got[0].Len != payload {
		t.Errorf("got %d segments", len(got))
	}
}

func TestSkipped(t *testing.T) {
	bad := ether4()
	bad[14] = 0x44
	first := frameOf(LinkEthernet, ether4())
	first.Data = first.Data[:20]
	cut := frameOf(LinkEthernet, ether4())
	cut.Data = cut.Data[:macHeader+ip4Fixed+tcpLeast-1]
	deep := tcp4()
	for range maxDepth {
		deep = in4(protoIPIP, deep)
	}
	for want, f := range map[string]*Frame{
		"not-ip":                frameOf(LinkEthernet, inEther(0x0806, make([]byte, 28))),
		"not-tcp":               frameOf(LinkIPv4, inUDP(53, request)),
		"no-packet":             {Number: 1, NoPacket: true},
		"truncated-link-header": frameOf(LinkEthernet, make([]byte, 13)),
		"truncated-ip-header":   first,
		"truncated-tcp-header":  cut,
		"malformed-ip-header":   frameOf(LinkEthernet, bad),
		"encrypted":             frameOf(LinkIPv4, in4(protoESP, request)),
		"nested-too-deep":       frameOf(LinkIPv4, deep),
		"unknown-link-type-147": frameOf(147, request),
	} {
		d := NewDecoder()
		if got := d.Decode(f, nil); len(got) != 0 {
			t.Errorf("%s: %+v", want, got)
		}
		if m := d.Skipped(); len(m) != 1 || m[want] != 1 {
			t.Errorf("%s: skipped %v", want, m)
		}
	}
}

// However many link types a file claims, the count of reasons stays small.
func TestSkippedBounded(t *testing.T) {
	d := NewDecoder()
	for i := range 1000 {
		d.Decode(frameOf(LinkType(10000+i), request), nil)
	}
	m := d.Skipped()
	total := uint64(0)
	for _, n := range m {
		total += n
	}
	if len(m) > maxUnknownLinks+1 || total != 1000 {
		t.Errorf("%d reasons for %d frames", len(m), total)
	}
}

func TestICMPQuotes(t *testing.T) {
	quoted4, quoted6 := tcp4(), tcp6()
	long := in4(protoTCP, append(tcp4()[ip4Fixed:], make([]byte, 200)...))
	for _, c := range []struct {
		name string
		f    *Frame
		want int
	}{
		{"unreachable", frameOf(LinkIPv4, in4(1, put("0303 0000 00000000", quoted4))), 1},
		{"time exceeded, as the RFC asks", frameOf(LinkIPv4, in4(1, put("0b00 0000 00000000", quoted4[:28]))), 1},
		{"16 octets of TCP", frameOf(LinkIPv4, in4(1, put("0b00 0000 00000000", quoted4[:36]))), 1},
		{"with extensions", frameOf(LinkIPv4, in4(1, put("0b00 0000 00 20 0000", long[:148], "20000000 00080101 00011140"))), 1},
		{"redirect", frameOf(LinkIPv4, in4(1, put("0501 0000 0a000001", quoted4))), 0},
		{"source quench", frameOf(LinkIPv4, in4(1, put("0400 0000 00000000", quoted4))), 1},
		{"echo", frameOf(LinkIPv4, in4(1, put("0800 0000 00010001", quoted4))), 0},
		{"IPv6 too big", frameOf(LinkIPv6, in6(58, put("0200 0000 00000500", quoted6))), 1},
		{"IPv6 echo", frameOf(LinkIPv6, in6(58, put("8000 0000 00010001", quoted6))), 0},
		{"IPv6 redirect", frameOf(LinkIPv6, in6(58, put("8900 0000 00000000", make([]byte, 32), "0201 000000000000",
			[]byte{4, byte((8 + len(quoted6) + 7) / 8)}, "000000000000", quoted6, make([]byte, -(8+len(quoted6))&7)))), 1},
	} {
		got := decode(c.f)
		if len(got) != c.want {
			t.Errorf("%s: %d segments", c.name, len(got))
			continue
		}
		for _, s := range got {
			if !s.Quoted || !s.NoLength || s.Len != 0 || s.Payload != nil || s.Dst.Port != 8080 || s.Seq != 1001 || s.Unnumbered != strings.Contains(c.name, "RFC asks") {
				t.Errorf("%s: %+v", c.name, s)
			}
		}
	}
}

// A frame may carry several packets. sFlow has the beginnings of sampled ones.
func TestSeveralPackets(t *testing.T) {
	head := func(b []byte) []byte { // a raw packet header record, 56 octets captured
		return put("00000001 00000048 00000001", []byte{0, 0, 0, byte(len(b))}, "00000004 00000038", b[:56])
	}
	sample := func(records ...[]byte) []byte {
		b := put("00000001 00000001 00000400 00000000 00000000 00000001 00000002", []byte{0, 0, 0, byte(len(records))})
		for _, r := range records {
			b = append(b, r...)
		}
		return put("00000001 0000", len(b), b)
	}
	datagram := put("00000005 00000001 0a000001 00000000 00000001 00000001 00000002",
		sample(head(inEther(0x0800, tcp4())), put("000003e9 00000010 00000001 00000000 00000001 00000000")),
		sample(head(inEther(0x0800, inUDP(53, request))), head(inEther(0x0800, tcp4()))))
	got := decode(frameOf(LinkIPv4, inUDP(6343, datagram)))
	if len(got) != 2 {
		t.Fatalf("%d segments", len(got))
	}
	for _, s := range got {
		if s.Src != tcpstate.EndpointFrom(src4) || s.Quoted || !s.NoLength || s.Len != 0 || s.Payload != nil {
			t.Errorf("%+v", s)
		}
	}

	two := put("ff03 0059", 0xc000|(1+len(tcp4())), "21", tcp4(), 0x4000|len(tcp4()), tcp4())
	if got := decode(frameOf(LinkPPP, two)); len(got) != 2 {
		t.Errorf("PPP multiplexing: %d segments", len(got))
	}
}
