package capture

import (
	"testing"

	"connrace/tcpstate"
)

// tcpWith puts a TCP header with options, a whole number of words, into IPv4.
func tcpWith(flags byte, options []byte, payload string) *Frame {
	words := byte(5 + len(options)/4)
	tcp := put("a028 1f90 000003e9 000007d2", []byte{words << 4, flags}, "01f6 0000 0000", options, []byte(payload))
	return frameOf(LinkIPv4, in4(protoTCP, tcp))
}

func TestTCPOptions(t *testing.T) {
	const syn, ack = 2, 16
	const mss, ws, sack, ts = "020405b4", "030307", "0402", "080a0000000900000008"
	for _, c := range []struct {
		name    string
		flags   byte
		options string
		want    tcpstate.Segment
	}{
		{"all of a SYN", syn, mss + sack + ts + "01" + ws, tcpstate.Segment{
			MSS: 1460, WScale: 7, SACKPermitted: true, HasTS: true, TSVal: 9, TSEcr: 8,
		}},
		{"no scale", syn, mss, tcpstate.Segment{MSS: 1460, WScale: -1}},
		{"scale 0", syn, "01030300", tcpstate.Segment{WScale: 0}},
		{"too large a scale", syn, "010303ff", tcpstate.Segment{WScale: 14}},
		{"timestamps", ack, "0101" + ts, tcpstate.Segment{WScale: -1, HasTS: true, TSVal: 9, TSEcr: 8}},
		{"handshake options outside of a handshake", ack, mss + "01" + ws, tcpstate.Segment{WScale: -1}},
		{"behind the end", syn, "00000000" + mss, tcpstate.Segment{WScale: -1}},
		{"unknown", syn, "fd04abcd" + mss, tcpstate.Segment{MSS: 1460, WScale: -1}},
		{"length 0", syn, mss + "03000000", tcpstate.Segment{MSS: 1460, WScale: -1}},
		{"length 1", syn, "02010000" + mss, tcpstate.Segment{WScale: -1}},
		{"length beyond the header", syn, mss + "030a0000", tcpstate.Segment{MSS: 1460, WScale: -1}},
		{"no length", syn, mss + "01010103", tcpstate.Segment{MSS: 1460, WScale: -1}},
		{"wrong lengths", syn, "02030501 03020402 0803aa00", tcpstate.Segment{SACKPermitted: true, WScale: -1}},
	} {
		got := decode(tcpWith(c.flags, unhex(c.options), "xyz"))
		if len(got) != 1 {
			t.Errorf("%s: %d segments", c.name, len(got))
			continue
		}
		s := got[0]
		if string(s.Payload) != "xyz" || s.Len != 3 || !s.Options || s.NoLength {
			t.Errorf("%s: payload %q of %d", c.name, s.Payload, s.Len)
		}
		g := tcpstate.Segment{
			MSS: s.MSS, WScale: s.WScale, SACKPermitted: s.SACKPermitted, HasTS: s.HasTS, TSVal: s.TSVal, TSEcr: s.TSEcr,
		}
		if g.MSS != c.want.MSS || g.WScale != c.want.WScale || g.SACKPermitted != c.want.SACKPermitted ||
			g.HasTS != c.want.HasTS || g.TSVal != c.want.TSVal || g.TSEcr != c.want.TSEcr {
			t.Errorf("%s: got %+v, want %+v", c.name, g, c.want)
		}
	}
}

// Options that a snapshot length cut off are read as far as they go.
func TestTCPOptionsCut(t *testing.T) {
	f := tcpWith(2, unhex("020405b4 0402 080a0000000900000008 01 030307"), "")
	f.Data = f.Data[:20+20+6]
	got := decode(f)
	if len(got) != 1 || got[0].MSS != 1460 || !got[0].SACKPermitted || got[0].HasTS || got[0].Len != 0 || got[0].NoLength {
		t.Errorf("got %+v", got)
	}
}

func TestTCPHeaderLength(t *testing.T) {
	f := tcpWith(16, nil, "xyz")
	f.Data[20+12] = 0xf0 // 60 octets: more than there are
	if got := decode(f); len(got) != 1 || !got[0].NoLength || got[0].Flags != tcpstate.ACK {
		t.Errorf("longer than the packet: %+v", got)
	}
	// Wireshark numbers what cannot be a header, and shows its length.
	f.Data[20+12] = 0x40
	if got := decode(f); len(got) != 1 || !got[0].Bogus || got[0].Len != 20+3-16 || got[0].Payload != nil {
		t.Errorf("shorter than a header: %+v", got)
	}
}
