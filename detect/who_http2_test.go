package detect_test

import (
	"testing"

	"connrace/detect"
	"connrace/tcpstate"
)

// The Server field of HTTP/2 answers names the server, most likely; the user agent of requests nobody.
func TestWhoHTTP2(t *testing.T) {
	const agent = "\x40\x0auser-agent\x0egrpc-go/1.60.0"
	for fields, want := range map[string]string{
		"\x40\x06server\x0cnginx/1.29.3":                   "nginx",
		"\x40\x06server\x0cnginx/1.29.3\x40\x03via\x032 x": "",
		"\x40\x06server\x08gunicorn":                       "",
		"":                                                 "",
	} {
		x := traffic{d: detect.New(detect.Options{})}
		lb, target := lbEnd(0), targetEnd(0)
		x.send(lb, target, tcpstate.SYN, 100, 0)
		x.send(target, lb, tcpstate.SYN|tcpstate.ACK, 500, 101)
		x.send(lb, target, tcpstate.ACK, 101, 501)
		say := func(from, to tcpstate.Endpoint, p string, seq, ack tcpstate.Seq) tcpstate.Seq {
			x.seg.Payload, x.seg.Len = []byte(p), uint32(len(p))
			x.send(from, to, tcpstate.ACK|tcpstate.PSH, seq, ack)
			seq = seq.Add(x.seg.Len)
			x.seg.Payload, x.seg.Len = nil, 0
			return seq
		}
		head := func(block string) string {
			return "\x00\x00" + string(rune(len(block))) + "\x01\x05\x00\x00\x00\x01" + block
		}
		const settings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
		sent := say(lb, target, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+settings, 101, 501)
		sent = say(lb, target, head("\x83\x86\x84"+agent), sent, 501)
		say(target, lb, settings+head("\x88"+fields), 501, sent)
		ts := x.d.Finish().Targets
		if len(ts) != 1 || ts[0].Requests != 1 {
			t.Fatalf("%q: %+v", fields, ts)
		}
		got := ""
		if s := ts[0].Server; s != nil {
			if got = s.Name; !s.Likely {
				t.Errorf("%s for certain", got)
			}
		}
		if got != want || ts[0].LB != nil {
			t.Errorf("%q: server %q, want %q; LB %+v", fields, got, want, ts[0].LB)
		}
	}
}
