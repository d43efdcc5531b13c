package capture

import (
	"fmt"
	"testing"

	"connrace/tcpstate"
)

// socksTalk sends segments between a client and a proxy on port 1080 and returns what the
// decoder adds for each: the ports of the quoted segment, or "".
func socksTalk(d *Decoder, talk []string) []string {
	var seq [2]tcpstate.Seq
	var added []string
	for i, line := range talk {
		way, flags, ports := 0, byte(0x18), "a028 0438"
		b := line[1:]
		switch line[0] {
		case '<':
			way, ports = 1, "0438 a028"
		case 'S':
			flags, seq = 2, [2]tcpstate.Seq{}
		case '=': // the client again, an octet back
			seq[0]--
		}
		payload := unhex(b)
		n := seq[way]
		tcp := put(ports, int(n>>16), int(n), "00000000 50", []byte{flags}, "01f6 0000 0000", payload)
		seq[way] += tcpstate.Seq(len(payload))
		p := in4(protoTCP, tcp)
		if way == 1 { // addresses the other way round
			copy(p[12:16], dst4.Addr().AsSlice())
			copy(p[16:20], src4.Addr().AsSlice())
		}
		f := frameOf(LinkIPv4, p)
		f.Number = uint64(i + 1)
		got := d.Decode(f, nil)
		what := ""
		for _, s := range got[1:] {
			if !s.Quoted || !s.NoLength || s.Len != 0 || s.Flags != 0 || s.Payload != nil || s.Frame != f.Number {
				what += "wrong "
			}
			what += fmt.Sprintf("%d>%d", s.Src.Port, s.Dst.Port)
		}
		added = append(added, what)
	}
	return added
}

func TestSOCKS(t *testing.T) {
	const out, back = "41000>80", "80>41000"
	for _, c := range []struct {
		name string
		talk []string
		want []string
	}{
		{
			"version 4",
			[]string{"S", ">04010050 0a000001 00", "<005a 0000 00000000", ">474554", "<485454", ">"},
			[]string{"", "", "", out, back, ""},
		},
		{"version 4 refused", []string{">04010050 0a000001 00", "<005b 0000 00000000", ">474554"}, []string{"", "", ""}},
		{
			"version 5",
			[]string{">05020001", "<0500", ">05010001 0a000001 0050", "<05000001 0a000002 1234", ">474554", "<485454"},
			[]string{"", "", "", "", out, back},
		},
		{
			// The method's reply makes Wireshark wait for the request again.
			"version 5 by name, all at once",
			[]string{">050100 05010003 03 616263 0050", "<0500", "<05000001 0a000002 1234", ">474554", ">474554"},
			[]string{"", "", "", "", out},
		},
		{
			"version 5 with a password",
			[]string{">05020002", "<0502", ">0101610162", "<0100", ">05010004 00000000000000000000000000000001 0050", "<0500", ">474554"},
			[]string{"", "", "", "", "", "", out},
		},
		{
			"version 5 with GSS-API",
			[]string{">05020001", "<0501", ">0101 0001 61", "<0101 0000", ">05010001 0a000001 0050", "<0500", ">474554"},
			[]string{"", "", "", "", "", "", out},
		},
		{"no method", []string{">05020001", "<05ff", ">474554"}, []string{"", "", ""}},
		{"another protocol", []string{">474554", "<485454", ">474554"}, []string{"", "", ""}},
		{"retransmission", []string{">04010050 0a000001 00", "<005a 0000 00000000", ">47", "=47"}, []string{"", "", out, ""}},
		{
			"a new connection",
			[]string{">04010050 0a000001 00", "<005a 0000 00000000", "S", ">474554"},
			[]string{"", "", "", ""},
		},
	} {
		if got := socksTalk(NewDecoder(), c.talk); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestSOCKSBounded(t *testing.T) {
	d := NewDecoder()
	for i := range 3 * maxProxied {
		tcp := put(2000+i, socksPort, "00000000 00000000 5018 01f6 0000 0000 0401")
		d.Decode(frameOf(LinkIPv4, in4(protoTCP, tcp)), nil)
	}
	if n := len(d.socks.proxied); n == 0 || n > maxProxied {
		t.Errorf("%d connections followed", n)
	}
}
