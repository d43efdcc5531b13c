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
		x := http2Exchange("", "", agent, fields)
		if x.Requests != 1 {
			t.Fatalf("%q: %+v", fields, x)
		}
		if got := nameOf(x.Server); got != want || x.Server != nil && !x.Server.Likely || x.LB != nil {
			t.Errorf("%q: server %+v, want %q; LB %+v", fields, x.Server, want, x.LB)
		}
	}
}

// The settings of HTTP/2 name both ends, most likely, unless the Server field says otherwise.
func TestWhoHTTP2Settings(t *testing.T) {
	const (
		haproxy = "\x00\x02\x00\x00\x00\x00\x00\x08\x00\x00\x00\x01\x00\x03\x00\x00\x00\x64"
		golang  = "\x00\x05\x00\x10\x00\x00\x00\x03\x00\x00\x00\xfa\x00\x06\x00\x10\x01\x40\x00\x01\x00\x00\x10\x00\x00\x04\x00\x10\x00\x00"
		grpc    = "\x00\x05\x00\x00\x40\x00"
	)
	for _, tt := range []struct{ lb, server, fields, wantLB, want string }{
		{haproxy, golang, "", "HAProxy", "Go"},
		{"", golang, "\x40\x06server\x05Caddy", "", "Caddy"},
		{"", golang, "\x40\x06server\x0cnginx/1.29.3", "", ""},
		{"", grpc, "\x40\x0ccontent-type\x10application/grpc", "", "grpc-go"},
		{"", grpc, "\x40\x0ccontent-type\x09text/html", "", ""},
		{golang, haproxy, "", "", ""},
	} {
		d := http2Exchange(tt.lb, tt.server, "", tt.fields)
		for at, s := range map[string]*detect.Software{tt.want: d.Server, tt.wantLB: d.LB} {
			if got := nameOf(s); got != at || s != nil && !s.Likely {
				t.Errorf("%q to %q: %+v, want %q", tt.lb, tt.server, s, at)
			}
		}
	}
}

// nameOf is the name of software; "": unknown.
func nameOf(s *detect.Software) string {
	if s == nil {
		return ""
	}
	return s.Name
}

// http2Exchange is the target of one request of HTTP/2, of the settings that both sides send first.
func http2Exchange(lbSettings, settings, agent, fields string) *detect.Target {
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
	frame := func(head, payload string) string { return "\x00\x00" + string(rune(len(payload))) + head + payload }
	const settingsHead, headersHead = "\x04\x00\x00\x00\x00\x00", "\x01\x05\x00\x00\x00\x01"
	sent := say(lb, target, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+frame(settingsHead, lbSettings), 101, 501)
	sent = say(lb, target, frame(headersHead, "\x83\x86\x84"+agent), sent, 501)
	say(target, lb, frame(settingsHead, settings)+frame(headersHead, "\x88"+fields), 501, sent)
	ts := x.d.Finish().Targets
	if len(ts) != 1 || ts[0].Requests != 1 {
		return &detect.Target{}
	}
	return &ts[0]
}
