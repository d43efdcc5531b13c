package capture

import (
	"reflect"
	"testing"

	"github.com/google/gopacket/layers"

	"connrace/tcpstate"
)

var (
	optionNop        = layers.TCPOption{OptionType: layers.TCPOptionKindNop}
	optionMSS        = layers.TCPOption{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{5, 180}}
	optionScale      = layers.TCPOption{OptionType: layers.TCPOptionKindWindowScale, OptionLength: 3, OptionData: []byte{15}}
	optionDamaged    = layers.TCPOption{OptionType: layers.TCPOptionKindMSS, OptionLength: 9, OptionData: []byte{5}}
	optionSACK       = layers.TCPOption{OptionType: layers.TCPOptionKindSACKPermitted, OptionLength: 2}
	optionTimestamps = layers.TCPOption{
		OptionType: layers.TCPOptionKindTimestamps, OptionLength: 10, OptionData: []byte{0, 0, 0, 9, 0, 0, 0, 8},
	}
)

// plain are the frames that need no more than a peek.
var plain = []struct {
	name string
	data []byte
}{
	{"IPv4", ether4()},
	{"IPv6", inEther(0x86dd, tcp6())},
	{"IPv4 timestamps", inEther(0x0800, tcp4(optionNop, optionNop, optionTimestamps))},
	{"IPv6 timestamps", inEther(0x86dd, tcp6(optionNop, optionNop, optionTimestamps))},
	{"VLAN", put(macs, "8100 0005 0800", tcp4())},
	{"VLAN IPv6", put(macs, "8100 0005 86dd", tcp6())},
	{"padding", put(ether4(), "000000000000")},
	{"SYN", flagged(0x02, optionMSS, optionSACK, optionTimestamps, optionNop, optionScale)},
	{"SYN-ACK", flagged(0x12, optionMSS, optionNop, optionScale)},
	{"FIN", flagged(0x11, optionNop, optionNop, optionTimestamps)},
	{"RST", flagged(0x04)},
	{"damaged option", flagged(0x02, optionNop, optionDamaged)},
	{"options of a SYN elsewhere", flagged(0x10, optionMSS, optionNop, optionScale, optionSACK)},
}

// flagged is a frame with the given control bits and options.
func flagged(flags byte, options ...layers.TCPOption) []byte {
	b := inEther(0x0800, tcp4(options...))
	b[14+20+13] = flags
	return b
}

// soil fills s with what a reused segment might still hold.
func soil(s *tcpstate.Segment) {
	v := reflect.ValueOf(s).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
			f.SetUint(0x55)
		case reflect.Int8, reflect.Int64:
			f.SetInt(0x55)
		case reflect.Slice:
			f.SetBytes([]byte("soil"))
		case reflect.Struct:
			f.Set(reflect.ValueOf(tcpstate.Endpoint{Addr: tcpstate.Addr{Hi: 5, Lo: 5}, Port: 5}))
		}
	}
}

// sameAsHeaders compares peek, on a reused segment, with the way through all headers.
func sameAsHeaders(t *testing.T, f *Frame) (peeked bool) {
	t.Helper()
	var s tcpstate.Segment
	soil(&s)
	if !peek(f, &s) {
		return false
	}
	all := NewDecoder().headers(f, nil)
	if len(all) != 1 {
		t.Fatalf("peek saw a segment where there are %d", len(all))
	}
	if !reflect.DeepEqual(all[0], s) {
		t.Fatalf("peek    %+v\nheaders %+v", s, all[0])
	}
	return true
}

func TestPeek(t *testing.T) {
	for _, c := range plain {
		if !sameAsHeaders(t, frameOf(LinkEthernet, c.data)) {
			t.Errorf("%s: not peeked", c.name)
		}
		for n := range c.data {
			f := frameOf(LinkEthernet, c.data)
			f.Data = c.data[:n]
			sameAsHeaders(t, f)
		}
	}
}

// Everything odd goes through all headers.
func TestPeekLeaves(t *testing.T) {
	whole := ether4()
	const port, offset, length, fragment, version = 14 + 20, 14 + 20 + 12, 16, 20, 14
	whole[port] = socksPort >> 8
	if !peek(frameOf(LinkEthernet, whole), new(tcpstate.Segment)) {
		t.Error("not peeked")
	}
	for _, c := range []struct {
		name  string
		at    int
		value byte
	}{
		{"SOCKS", port + 1, socksPort & 0xff},
		{"short header", offset, 0x40},
		{"long header", offset, 0xf0},
		{"no length", length + 1, 0},
		{"more fragments", fragment, 0x20},
		{"later fragment", fragment + 1, 1},
		{"IP options", version, 0x46},
		{"another protocol", 14 + 9, 17},
		{"another type", 13, 6},
	} {
		b := append([]byte(nil), whole...)
		b[c.at] = c.value
		if peek(frameOf(LinkEthernet, b), new(tcpstate.Segment)) {
			t.Errorf("%s: peeked", c.name)
		}
	}
	if peek(frameOf(LinkRawIP, whole), new(tcpstate.Segment)) {
		t.Error("another link type: peeked")
	}
}

func FuzzPeek(f *testing.F) {
	for _, c := range plain {
		f.Add(uint32(len(c.data)), c.data)
	}
	for _, c := range encapsulations {
		if c.link == LinkEthernet {
			f.Add(uint32(len(c.data)), c.data)
		}
	}
	f.Fuzz(func(t *testing.T, wire uint32, data []byte) {
		sameAsHeaders(t, &Frame{
			Number: 3, Time: 4, LinkType: LinkEthernet, Length: max(wire, uint32(len(data))), Data: data,
		})
	})
}

// DecodeOptions finds the segments that Decode does, and the options of each.
func TestDecodeOptions(t *testing.T) {
	check := func(name string, link LinkType, data []byte) {
		f := &Frame{Number: 3, Time: 4, LinkType: link, Length: uint32(len(data)), Data: data}
		want := NewDecoder().Decode(f, make([]tcpstate.Segment, 0, 1))
		got, options := NewDecoder().DecodeOptions(f, nil)
		if len(got) != len(want) || len(options) != len(got) {
			t.Errorf("%s: %+v with %d options, want %+v", name, got, len(options), want)
			return
		}
		for i, s := range got {
			if !reflect.DeepEqual(s, want[i]) {
				t.Errorf("%s: %+v, want %+v", name, s, want[i])
			}
			if s.Options != (len(options[i]) > 0) && !s.NoLength {
				t.Errorf("%s: %x are the options of %+v", name, options[i], s)
			}
		}
	}
	for _, c := range plain {
		check(c.name, LinkEthernet, c.data)
	}
	for _, c := range encapsulations {
		check(c.name, c.link, c.data)
	}
}
