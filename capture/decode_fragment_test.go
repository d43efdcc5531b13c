package capture

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"connrace/tcpstate"
)

// bigSegment is a TCP segment with n octets of payload, without IP.
func bigSegment(n int) []byte {
	b := append([]byte(nil), tcp4()[ip4Fixed:ip4Fixed+tcpFixed]...)
	for i := range n {
		b = append(b, byte(i), byte(i>>8))
	}
	return b[:tcpFixed+n]
}

// fragment4 and fragment6 are the octets from off to end of b as a frame.
func fragment4(id uint16, b []byte, off, end int) *Frame {
	p := in4(protoTCP, b[off:end])
	binary.BigEndian.PutUint16(p[4:], id)
	field := uint16(off / 8)
	if end < len(b) {
		field |= 0x2000
	}
	binary.BigEndian.PutUint16(p[6:], field)
	return frameOf(LinkIPv4, p)
}

func fragment6(id uint16, b []byte, off, end int) *Frame {
	field := off
	if end < len(b) {
		field |= 1
	}
	return frameOf(LinkIPv6, in6(protoFragment, put("0600", field, 0, int(id), b[off:end])))
}

func TestFragments(t *testing.T) {
	const n = 3000
	b := bigSegment(n)
	pieces := [][2]int{{0, 1000}, {1000, 2000}, {2000, len(b)}}
	for _, family := range []struct {
		name string
		make func(uint16, []byte, int, int) *Frame
	}{{"IPv4", fragment4}, {"IPv6", fragment6}} {
		for _, c := range []struct {
			name  string
			order []int
			at    int // which frame completes it
		}{
			{"in order", []int{0, 1, 2}, 2},
			{"backwards", []int{2, 1, 0}, 2},
			{"mixed", []int{1, 2, 0}, 2},
			{"repeated", []int{0, 0, 1, 1, 2}, 4},
		} {
			d := NewDecoder()
			for i, p := range c.order {
				got := d.Decode(family.make(9, b, pieces[p][0], pieces[p][1]), nil)
				if i != c.at {
					if len(got) != 0 {
						t.Errorf("%s %s: segment in frame %d", family.name, c.name, i)
					}
					continue
				}
				if len(got) != 1 || got[0].Len != n || !bytes.Equal(got[0].Payload, b[tcpFixed:]) || got[0].NoLength {
					t.Errorf("%s %s: %d segments", family.name, c.name, len(got))
				}
			}
			if m := d.Skipped(); m["fragment-incomplete"] != uint64(len(c.order)-1) {
				t.Errorf("%s %s: skipped %v", family.name, c.name, m)
			}
			if d.reasms.bytes != 0 || d.reasms.order.Len() != 0 || len(d.reasms.held) != 0 {
				t.Errorf("%s %s: still held", family.name, c.name)
			}
		}
	}
}

// Interleaved datagrams are told apart by addresses, id, protocol and VLAN.
func TestFragmentsApart(t *testing.T) {
	one, two := bigSegment(100), bigSegment(200)
	d := NewDecoder()
	segments := 0
	for _, f := range []*Frame{
		fragment4(1, one, 0, 64), fragment4(2, two, 0, 64), fragment6(1, two, 0, 64),
		fragment4(2, two, 64, len(two)), fragment6(1, two, 64, len(two)), fragment4(1, one, 64, len(one)),
	} {
		segments += len(d.Decode(f, nil))
	}
	if segments != 3 {
		t.Errorf("%d segments", segments)
	}
	tagged := func(vlan int, f *Frame) *Frame {
		return frameOf(LinkEthernet, put(macs, "8100", vlan, "0800", f.Data))
	}
	d = NewDecoder()
	for _, f := range []*Frame{tagged(5, fragment4(1, one, 0, 64)), tagged(6, fragment4(1, one, 64, len(one)))} {
		if len(d.Decode(f, nil)) != 0 {
			t.Error("fragments of two VLANs put together")
		}
	}
}

// Where fragments disagree, the one that starts first counts.
func TestFragmentsOverlap(t *testing.T) {
	b := bigSegment(100)
	evil := bytes.Repeat([]byte{0xee}, len(b))
	d := NewDecoder()
	d.Decode(fragment4(1, b, 0, 64), nil)
	d.Decode(fragment4(1, evil, 32, 96), nil)
	d.Decode(fragment4(1, evil, 0, 32), nil)
	got := d.Decode(fragment4(1, b, 64, len(b)), nil)
	want := slices.Concat(b[tcpFixed:64], evil[64:96], b[96:])
	if len(got) != 1 || !bytes.Equal(got[0].Payload, want) {
		t.Errorf("got %+v", got)
	}
}

// A first fragment of which the end was not captured is shown, without a length.
func TestFragmentCut(t *testing.T) {
	b := bigSegment(1000)
	f := fragment4(1, b, 0, 800)
	f.Data = f.Data[:100]
	d := NewDecoder()
	got := d.Decode(f, nil)
	if len(got) != 1 || !got[0].NoLength || got[0].Len != 0 || got[0].Payload != nil || got[0].Dst.Port != 8080 {
		t.Errorf("first: %+v", got)
	}
	f = fragment4(1, b, 800, len(b))
	f.Data = f.Data[:100]
	if got := d.Decode(f, nil); len(got) != 0 {
		t.Errorf("last: %+v", got)
	}
	f = fragment6(1, b, 0, 800)
	f.Data = f.Data[:100]
	if got := d.Decode(f, nil); len(got) != 0 {
		t.Errorf("IPv6: %+v", got)
	}
}

// A flood of fragments that never become whole holds no more than the bounds, and newer
// datagrams still come out.
func TestFragmentsBounded(t *testing.T) {
	d := NewDecoder()
	b := bigSegment(1400)
	for i := range 20000 {
		f := fragment4(uint16(i), b, 0, 1024)
		binary.BigEndian.PutUint16(f.Data[14:], uint16(i>>8))
		d.Decode(f, nil)
		if d.reasms.bytes > maxHeldBytes {
			t.Fatalf("%d octets held", d.reasms.bytes)
		}
	}
	if n := d.reasms.order.Len(); n != len(d.reasms.held) || n == 0 || n > maxHeldBytes/1024 {
		t.Errorf("%d datagrams held", n)
	}
	d.Decode(fragment4(7, b, 0, 1024), nil)
	if got := d.Decode(fragment4(7, b, 1024, len(b)), nil); len(got) != 1 {
		t.Error("a new datagram was lost")
	}

	d = NewDecoder()
	for i := range 2 * maxHeldFragments {
		d.Decode(fragment4(1, b, 8*(i%100), 8*(i%100)+8), nil)
		if e := d.reasms.order.Front(); e != nil && len(e.Value.(*datagramParts).pieces) > maxHeldFragments {
			t.Fatal("too many fragments of one datagram")
		}
	}
}

// What a decoder put together stays valid: it is not reused.
func TestFragmentsPayloadStays(t *testing.T) {
	d := NewDecoder()
	b := bigSegment(100)
	var segs []tcpstate.Segment
	for id := range uint16(2) {
		c := bytes.Clone(b)
		c[tcpFixed] = byte('a' + id)
		segs = d.Decode(fragment4(id, c, 0, 64), segs)
		segs = d.Decode(fragment4(id, c, 64, len(c)), segs)
	}
	if len(segs) != 2 || segs[0].Payload[0] != 'a' || segs[1].Payload[0] != 'b' {
		t.Errorf("%d segments", len(segs))
	}
}
