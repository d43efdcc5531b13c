package framing

import "testing"

func TestProxyHeader(t *testing.T) {
	const (
		v1  = "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n" // 45 octets
		v2  = proxyV2 + "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x01\xdc\x04\x01\xbb"
		get = "GET / HTTP/1.1\r\n\r\n"
	)
	tests := []struct {
		name     string
		segments []string
		want     string
	}{
		{"v1", []string{v1 + get}, "q0 setup, q45 begins, q63 head bodiless, q63 ends"},
		{"v1 alone", []string{v1, get}, "q0 setup, q45 begins, q63 head bodiless, q63 ends"},
		{"v1 unknown", []string{"PROXY UNKNOWN\r\n"}, "q0 setup"},
		{"v2", []string{v2 + get}, "q0 setup, q28 begins, q46 head bodiless, q46 ends"},
		{"v2 in pieces", []string{v2[:20], v2[20:] + get}, "q0 setup, q28 begins, q46 head bodiless, q46 ends"},
		{"v2 and TLS", []string{v2 + record(recordHandshake, 10)}, "q0 setup, q28 setup"},
		{"v2 and what is not known", []string{v2 + "hello", get}, "q0 setup, q33 begins, q51 head bodiless, q51 ends"},
		{"cut", []string{v1[:30], get}, "q30 begins, q48 head bodiless, q48 ends"},
		{"no end", []string{"PROXY " + string(make([]byte, 200)) + "\r\n"}, ""},
	}
	for _, tt := range tests {
		var p probe
		for _, s := range tt.segments {
			p.segment(Requests, []byte(s))
		}
		if got := p.String(); got != tt.want {
			t.Errorf("%s\ngot  %s\nwant %s", tt.name, got, tt.want)
		}
	}

	var p probe
	p.segment(Requests, []byte(v2[:20]))
	if got := p.Inside(Requests); got != SetupBegins {
		t.Errorf("inside %d", got)
	}
	if h := ParseRequestHead([]byte(v1 + get)); h.Method != "GET" || h.Target != "/" {
		t.Errorf("%+v", h)
	}
}
