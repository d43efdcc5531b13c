package capture

import (
	"testing"
	"time"
)

func TestPins(t *testing.T) {
	p, cut := newPins(), newPins()
	now := int64(1_700_000_000) * second
	packet := func(x testPacket, after time.Duration, iface uint32, d Direction) *Frame {
		return &Frame{LinkType: LinkEthernet, Time: now + int64(after), Interface: iface, Direction: d, Data: numbered(x, 1)}
	}
	v4, v6 := testPacket{}, testPacket{src: "fd00::1", dst: "fd00::2"}
	back := testPacket{src: "10.9.0.2", dst: "10.9.0.1"}
	tagged := testPacket{tags: []uint16{0x8100}}
	for i, c := range []struct {
		f    *Frame
		want bool
	}{
		{packet(v4, 0, 2, Inbound), false},
		{packet(v4, time.Microsecond, 3, Inbound), true},
		{packet(v4, 2*time.Microsecond, 2, Outbound), true}, // a router on a stick
		{packet(tagged, 3*time.Microsecond, 4, Inbound), true},
		{packet(v4, 4*time.Microsecond, 2, Inbound), false}, // a retransmission
		{packet(back, 5*time.Microsecond, 3, Inbound), false},
		{packet(v6, 6*time.Microsecond, 3, Inbound), false},
		{packet(v6, 7*time.Microsecond, 2, Inbound), true},
		{packet(v4, 999*time.Millisecond, 3, Inbound), true},
		{packet(v4, 1500*time.Millisecond, 3, Inbound), false}, // interface 2 has it no more
		{packet(v4, 1501*time.Millisecond, 2, Inbound), true},
		{packet(v4, -time.Hour, 2, Inbound), false}, // the clock was set
		{packet(v4, -time.Hour, 3, Inbound), true},
		{&Frame{LinkType: LinkEthernet, Data: []byte{1, 2, 3}}, false},
		{&Frame{LinkType: LinkEthernet, Data: []byte{1, 2, 3}, Interface: 9}, false},
		{&Frame{LinkType: LinkLinuxSLL2}, false},
	} {
		if got := p.isCopy(c.f); got != c.want {
			t.Errorf("%d: %v", i, got)
		}
		for n := range c.f.Data { // cut off, it is still not out of bounds
			cut.isCopy(&Frame{LinkType: LinkEthernet, Data: c.f.Data[:n]})
			cut.isCopy(&Frame{LinkType: LinkLinuxSLL2, Data: c.f.Data[:n]})
		}
	}
}

// TestPinsBounded: more flows than there is room for make no harm but that some are pinned
// anew.
func TestPinsBounded(t *testing.T) {
	p := newPins()
	const flows = 50_000
	copies := 0
	for i := range flows {
		f := Frame{LinkType: LinkEthernet, Time: int64(i) * 1000, Interface: 2, Data: numbered(testPacket{}, 1)}
		f.Data[26], f.Data[27], f.Data[28] = byte(i>>16), byte(i>>8), byte(i)
		if p.isCopy(&f) {
			t.Fatalf("flow %d is new", i)
		}
		f.Interface = 3
		if p.isCopy(&f) {
			copies++
		}
	}
	if copies != flows {
		t.Errorf("%d of %d copies", copies, flows)
	}
}
