package share

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"connrace/capture"
	"connrace/tcpstate"
)

// withOptions puts options into a frame that frame has made, in the place of its own.
func withOptions(f, options []byte) []byte {
	const at = etherHead + ip4Head
	head := int(f[at+12]>>4) * 4
	out := append([]byte(nil), f[:at+tcpHead]...)
	out = append(out, options...)
	out = append(out, f[at+head:]...)
	out[at+12] = byte(tcpHead+len(options)) / 4 << 4
	binary.BigEndian.PutUint16(out[etherHead+2:], uint16(len(out)-etherHead))
	putSum(out[etherHead:etherHead+ip4Head], 10, 0)
	return out
}

// optionsIn are the options of each segment of a capture.
func optionsIn(t *testing.T, b []byte) (all []string) {
	t.Helper()
	f, err := capture.NewFile("capture", bytes.NewReader(b), capture.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d, batch := capture.NewDecoder(), make([]capture.Frame, 1)
	for {
		n, err := f.Read(batch)
		if n > 0 {
			_, os := d.DecodeOptions(&batch[0], nil)
			for _, o := range os {
				all = append(all, fmt.Sprintf("%x", o))
			}
		}
		if err != nil {
			return all
		}
	}
}

// Of TCP's options what says something of the connection stays; others are gone, and with them what
// they held.
func TestOptions(t *testing.T) {
	ack := func(v uint32) string { return fmt.Sprintf("%08x", v) }
	for _, c := range []struct{ name, in, want string }{
		{"a SYN's", "020405b40402080a0000000100000002" + "01030307", "020405b40402080a0000000100000002" + "01030307"},
		{"SACK", "0101050a" + ack(1000) + ack(2448), "0101050a" + ack(1000) + ack(2448)},
		{"blocks of nowhere", "0101050a" + ack(1<<31+7) + ack(1<<31+8), strings.Repeat("01", 12)},
		{"unknown ones", "fd08" + fmt.Sprintf("%x", planted[:6]) + "0204ffff", strings.Repeat("01", 8) + "0204ffff"},
		{"of wrong sizes", "0206" + fmt.Sprintf("%x", planted[:4]) + "0402", strings.Repeat("01", 6) + "0402"},
		{"behind the end", "0402" + "00" + "02" + "0405b4" + "01", "04020101"},
		{"damaged", "0402" + "0328" + "01010101", "04020101"},
		{"damaged from the beginning", "0328" + fmt.Sprintf("%x", planted[:6]), "01010101"},
		{"none", "", ""},
	} {
		var o []byte
		if _, err := fmt.Sscanf(c.in+" ", "%x", &o); err != nil && c.in != "" {
			t.Fatal(c.name, err)
		}
		in := write(t, [][]byte{
			withOptions(frame(lbAddr, targetAddr, 999, tcpstate.SYN, nil, ""), o),
			withOptions(frame(lbAddr, targetAddr, 1000, tcpstate.ACK, []byte("GET / HTTP/1.1\r\n\r\n"), ""), o),
		})
		out, _ := made(t, in)
		for i, got := range optionsIn(t, out) {
			if got != c.want {
				t.Errorf("%s: segment %d has %s, want %s", c.name, i, got, c.want)
			}
		}
		leaks(t, c.name, out)
		same(t, c.name, segments(t, in), segments(t, out))
	}
}

// Segments that share a frame share one in the copy: what a frame of PPP holds, and what is sent
// through SOCKS, which Wireshark counts as a connection of its own.
func TestSeveralSegments(t *testing.T) {
	ppp := func(segments ...[]byte) []byte {
		b := []byte{0xff, 0x03, 0x00, 0x59}
		for _, s := range segments {
			s = s[etherHead:]
			b = append(binary.BigEndian.AppendUint16(b, uint16(0xc000|(1+len(s)))), 0x21)
			b = append(b, s...)
		}
		return b
	}
	seg := func(seq uint32, what string) []byte {
		return frame(lbAddr, targetAddr, seq, tcpstate.ACK|tcpstate.PSH, []byte(what), planted)
	}
	request := "GET /" + planted + " HTTP/1.1\r\nHost: " + planted + "\r\n\r\n"
	three := ppp(
		frame(lbAddr, targetAddr, 999, tcpstate.SYN, nil, planted), seg(1000, request[:9]), seg(1009, request[9:]))
	split := ppp(seg(1000, request[:20]), frame(targetAddr, lbAddr, 7, tcpstate.ACK, nil, planted)) // waits for what follows
	in := func(frames ...[]byte) []byte {
		var b bytes.Buffer
		w, err := capture.NewWriter(&b, capture.Section{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.AddInterface(capture.Interface{LinkType: capture.LinkPPP, Resolution: 6}); err != nil {
			t.Fatal(err)
		}
		for i, f := range frames {
			if err := w.Packet(&capture.Packet{Time: int64(i) * 1e6, Data: f, Length: uint32(len(f))}); err != nil {
				t.Fatal(err)
			}
		}
		return b.Bytes()
	}
	var socks [][]byte
	seqs, ends := [2]uint32{1000, 7}, [2]string{lbAddr, targetAddr}
	for _, m := range []struct {
		from int
		what string
	}{{0, "\x05\x01\x00"}, {1, "\x05\x00"}, {0, "\x05\x01\x00\x01\x0a\x00\x00\x09\x00\x50"}, {1, "\x05\x00\x00\x01\x0a\x00\x00\x09\x00\x50"}, {0, request}, {1, "HTTP/1.1 200 OK\r\n\r\n"}} {
		f := frame(ends[m.from], ends[1-m.from], seqs[m.from], tcpstate.ACK|tcpstate.PSH, []byte(m.what), "")
		binary.BigEndian.PutUint16(f[etherHead+ip4Head+2*(1-m.from):], 1080)
		seqs[m.from] += uint32(len(m.what))
		socks = append(socks, f)
	}
	for name, c := range map[string][]byte{
		"SOCKS":        write(t, socks),
		"three":        in(three),
		"one waits":    in(split, ppp(seg(1020, request[20:]))),
		"cut off":      in(three[:len(three)-20], three),
		"and single":   in(ppp(seg(1000, request)), three, ppp(seg(5000, request))),
		"many of them": in(ppp(slicesOf(seg(1000, "GET / HTTP/1.1\r\n"), 90)...)),
	} {
		before := segments(t, c)
		if len(before) < 3 {
			t.Fatalf("%s: %d segments", name, len(before))
		}
		out, r := made(t, c)
		n := uint64(0)
		for i := range before {
			if before[i].Src.Port != 0 { // there is one
				n++
			}
		}
		if r.Left != 0 || r.Segments != n {
			t.Errorf("%s: %+v for %d segments", name, r, n)
		}
		same(t, name, before, segments(t, out))
		leaks(t, name, out)
	}
}

func slicesOf(b []byte, n int) (all [][]byte) {
	for range n {
		all = append(all, b)
	}
	return all
}
