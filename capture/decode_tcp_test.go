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
		is      bool // there are timestamps
	}{
		{"all of a SYN", syn, mss + sack + ts + "01" + ws, true},
		{"none", syn, mss, false},
		{"timestamps", ack, "0101" + ts, true},
		{"behind the end", syn, "0000" + ts, false},
		{"unknown", syn, "0101fd04abcd" + ts, true},
		{"length 0", syn, "0300" + ts, false},
		{"length 1", syn, "0201" + ts, false},
		{"length beyond the header", syn, mss + "080c0000", false},
		{"no length", syn, ts + "0103", true},
		{"wrong length", syn, "0803aa00", false},
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
		if s.HasTS != c.is || s.HasTS != (s.TSVal == 9 && s.TSEcr == 8) {
			t.Errorf("%s: got %+v", c.name, s)
		}
	}
}

// Options that a snapshot length cut off are read as far as they go.
func TestTCPOptionsCut(t *testing.T) {
	f := tcpWith(2, unhex("080a0000000900000008 0402 020405b4 01 030307"), "")
	f.Data = f.Data[:20+20+12]
	got := decode(f)
	if len(got) != 1 || !got[0].HasTS || got[0].TSVal != 9 || got[0].Len != 0 || got[0].NoLength {
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
