package framing

import (
	"strings"
	"testing"
)

func TestParseRequestHead(t *testing.T) {
	const full = "\r\nGET /a?b=c HTTP/1.1\r\nHost: x\r\nx-amzn-trace-ID:  Root=1-67891233-abcdef012345678912345678 \r\n" +
		"X-Request-Id: 7\r\nX-Request-Id: 8\r\n\r\nX-Amzn-Trace-Id: body\r\n"
	want := RequestHead{
		Method: "GET", Target: "/a?b=c", Version: "HTTP/1.1",
		TraceID: "Root=1-67891233-abcdef012345678912345678", RequestID: "7",
	}
	if got := ParseRequestHead([]byte(full)); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	// A head that is cut shows nothing that is not so.
	for i := range full {
		h := ParseRequestHead([]byte(full[:i]))
		if h.Method != "" && h.Method != want.Method || h.Version != "" && h.Version != want.Version ||
			h.TraceID != "" && h.TraceID != want.TraceID || h.RequestID != "" && h.RequestID != want.RequestID ||
			!strings.HasPrefix(want.Target, h.Target) || h.Method != "" && h.TargetCut != (i <= len("\r\nGET /a?b=c")) {
			t.Errorf("%q: %+v", full[:i], h)
		}
	}
	for p, want := range map[string]RequestHead{
		"":                                  {},
		"HTTP/1.1 200 OK\r\n":               {},
		"hello world":                       {},
		"POST /a b HTTP/1.0\nX-Request-Id:": {Method: "POST", Target: "/a b", Version: "HTTP/1.0"},
		"CONNECT h:1 HTTP/1.1\r\n\r\n":      {Method: "CONNECT", Target: "h:1", Version: "HTTP/1.1"},
		"GET http://h/ HT":                  {Method: "GET", Target: "http://h/"},
	} {
		if got := ParseRequestHead([]byte(p)); got != want {
			t.Errorf("%q: got %+v, want %+v", p, got, want)
		}
	}
}
