package capture

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/google/gopacket/layers"

	"connrace/tcpstate"
)

func TestDecodeEncapsulations(t *testing.T) {
	for _, c := range encapsulations {
		t.Run(c.name, func(t *testing.T) {
			d := NewDecoder()
			got := d.Decode(frameOf(c.link, c.data), nil)
			if len(got) != 1 {
				t.Fatalf("%d segments, skipped %v", len(got), d.Skipped())
			}
			w := want(c.six)
			if c.name == "exported TCP" {
				w.IPID, w.TTL = 0, 0 // nothing tells them
			}
			if !reflect.DeepEqual(got[0], w) {
				t.Errorf("got  %+v\nwant %+v", got[0], w)
			}
		})
	}
}

// Cut anywhere, a frame gives the segment as long as ports to window are there, and what
// was cut from the payload still counts.
func TestDecodeSnaplen(t *testing.T) {
	for _, c := range encapsulations {
		w := want(c.six)
		for n := range c.data {
			f := frameOf(c.link, c.data)
			f.Data = c.data[:n]
			for _, s := range decode(f) {
				if s.NoLength && c.name == "IPComp" {
					continue // nobody knows how much is missing
				}
				if s.Src != w.Src || s.Dst != w.Dst || s.Seq != w.Seq || s.Len != w.Len || !bytes.HasPrefix(request, s.Payload) {
					t.Errorf("%s cut to %d octets: %+v", c.name, n, s)
				}
			}
		}
	}
	whole := ether4()
	for n := macHeader + ip4Fixed; n < len(whole); n++ {
		f := frameOf(LinkEthernet, whole)
		f.Data = whole[:n]
		got := decode(f)
		if has := n >= macHeader+ip4Fixed+tcpLeast; has != (len(got) == 1) {
			t.Errorf("%d octets: %d segments", n, len(got))
		} else if has && (got[0].Len != uint32(len(request)) || got[0].Window != 502) {
			t.Errorf("%d octets: %+v", n, got[0])
		}
	}
}

// Nothing that is decoded leaves garbage behind.
func TestDecodeAllocatesNothing(t *testing.T) {
	d := NewDecoder()
	segs := make([]tcpstate.Segment, 0, 8)
	for _, c := range encapsulations {
		if c.name == "IPComp" || strings.Contains(c.name, "Jacobson") {
			continue // except what has to be inflated or mended
		}
		f := frameOf(c.link, c.data)
		cut := frameOf(c.link, c.data)
		cut.Data = c.data[:len(c.data)-len(request)-2]
		if n := testing.AllocsPerRun(20, func() {
			segs = d.Decode(f, segs[:0])
			segs = d.headers(f, segs[:0])
			segs = d.Decode(cut, segs[:0])
		}); n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}

func TestDecodeAppends(t *testing.T) {
	d := NewDecoder()
	segs := d.Decode(frameOf(LinkEthernet, ether4()), nil)
	segs = d.Decode(frameOf(LinkEthernet, inEther(0x0806, make([]byte, 28))), segs)
	segs = d.Decode(frameOf(LinkIPv6, tcp6()), segs)
	if len(segs) != 2 || segs[0].Src != want(false).Src || segs[1].Src != want(true).Src {
		t.Errorf("got %+v", segs)
	}
}

func FuzzDecode(f *testing.F) {
	for _, c := range encapsulations {
		f.Add(uint16(c.link), uint32(len(c.data)), c.data)
	}
	f.Add(uint16(LinkEthernet), uint32(0), []byte(nil))
	f.Fuzz(func(t *testing.T, link uint16, wire uint32, data []byte) {
		d := NewDecoder()
		fr := &Frame{Number: 1, LinkType: LinkType(link), Length: max(wire, uint32(len(data))), Data: data}
		for range 2 { // again, for what the first time left behind
			for _, s := range d.Decode(fr, nil) {
				if len(s.Payload) > int(s.Len) || s.NoLength && s.Len != 0 || s.Quoted && !s.NoLength || s.Frame != 1 {
					t.Errorf("%+v", s)
				}
			}
		}
		if d.reasms.bytes > maxHeldBytes || len(d.unknown) > maxUnknownLinks {
			t.Error("holds too much")
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	ts := layers.TCPOption{OptionType: layers.TCPOptionKindTimestamps, OptionLength: 10, OptionData: make([]byte, 8)}
	nop := layers.TCPOption{OptionType: layers.TCPOptionKindNop}
	syn := headerTCP(ts)
	syn.SYN = true
	ip := header4(layers.IPProtocolTCP)
	syn.SetNetworkLayerForChecksum(ip)
	for _, c := range []struct {
		name string
		data []byte
	}{
		{"plain", inEther(0x0800, tcp4())},
		{"timestamps", inEther(0x0800, tcp4(nop, nop, ts))},
		{"IPv6", inEther(0x86dd, tcp6(nop, nop, ts))},
		{"VLAN", put(macs, "8100 0005 0800", tcp4(nop, nop, ts))},
		{"SYN", inEther(0x0800, serialize(ip, syn))},
		{"VXLAN", inEther(0x0800, inUDP(4789, put("0800000000000100", ether4())))},
		{"UDP", inEther(0x0800, inUDP(53, request))},
	} {
		f := frameOf(LinkEthernet, c.data)
		d := NewDecoder()
		segs := make([]tcpstate.Segment, 0, 4)
		bench := func(name string, decode func(*Frame, []tcpstate.Segment) []tcpstate.Segment) {
			b.Run(name, func(b *testing.B) {
				b.SetBytes(int64(len(c.data)))
				b.ReportAllocs()
				for b.Loop() {
					segs = decode(f, segs[:0])
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "packets/s")
			})
		}
		bench(c.name, d.Decode)
		bench(c.name+"/headers", d.headers)
	}
}
