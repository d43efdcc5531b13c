package framing

import (
	"strings"
	"testing"
)

// http1Tests: what the two sides send and where things begin and end in it.
var http1Tests = []struct {
	name        string
	ask, answer string
	want        string
}{
	{
		name:   "length",
		ask:    "POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
		answer: "HTTP/1.1 200 OK\r\ncontent-length:2\r\n\r\nok",
		want:   "q0 begins, q39 head, q44 ends, a0 begins, a37 head 200, a39 ends",
	},
	{
		name: "the next message follows",
		ask:  "PUT / HTTP/1.1\r\nContent-Length: 1\r\n\r\nxGET /b HTTP/1.1\r\n\r\n",
		want: "q0 begins, q37 head, q38 ends, q38 begins, q57 head bodiless, q57 ends",
	},
	{
		name: "chunked, with extension, capital hex, leading zeros and trailer",
		ask: "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" +
			"5;a=\"b\"\r\nhello\r\n00A \r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
		want: "q0 begins, q47 head, q96 ends, q96 begins, q114 head bodiless, q114 ends",
	},
	{
		name: "chunked by lone LFs",
		ask:  "POST / HTTP/1.1\nTransfer-Encoding: chunked\n\n3\nabc\n0\n\nGET / HTTP/1.1\n\n",
		want: "q0 begins, q44 head, q53 ends, q53 begins, q69 head bodiless, q69 ends",
	},
	{
		// RFC 9112 §6.3: if both are there Transfer-Encoding overrides.
		name: "length and chunked",
		ask:  "POST / HTTP/1.1\r\nContent-Length: 100\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n0\r\n\r\n",
		want: "q0 begins, q74 head, q79 ends",
	},
	{
		name: "length repeated",
		ask:  "POST / HTTP/1.1\r\nContent-Length: 3, 3\r\nContent-Length: 3\r\n\r\nabc",
		want: "q0 begins, q60 head, q63 ends",
	},
	{
		name: "lengths that differ",
		ask:  "POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
		want: "q0 begins, q57 head, q57 lost",
	},
	{
		name: "length that is none",
		ask:  "POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\nabc",
		want: "q0 begins, q39 head, q39 lost",
	},
	{
		name: "length that overflows",
		ask:  "POST / HTTP/1.1\r\nContent-Length: 18446744073709551621\r\n\r\nhello",
		want: "q0 begins, q57 head, q57 lost",
	},
	{
		name: "chunk size that overflows",
		ask:  "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000001\r\n",
		want: "q0 begins, q47 head, q66 lost",
	},
	{
		name: "chunk longer than its size",
		ask:  "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
		want: "q0 begins, q47 head, q55 lost",
	},
	{
		name:   "HEAD",
		ask:    "HEAD / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
		answer: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
		want: "q0 begins, q19 head bodiless, q19 ends, q19 begins, q37 head bodiless, q37 ends, " +
			"a0 begins, a38 head 200 bodiless, a38 ends, a38 begins, a76 head 200, a77 ends",
	},
	{
		name:   "204 and 304",
		ask:    "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
		answer: "HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\nHTTP/1.1 304\r\nTransfer-Encoding: chunked\r\n\r\n",
		want: "q0 begins, q18 head bodiless, q18 ends, q18 begins, q36 head bodiless, q36 ends, " +
			"a0 begins, a46 head 204 bodiless, a46 ends, a46 begins, a90 head 304 bodiless, a90 ends",
	},
	{
		name:   "interim answers",
		ask:    "HEAD / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n",
		answer: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
		want: "q0 begins, q41 head bodiless, q41 ends, a0 begins, a25 head 100 bodiless, a25 ends, " +
			"a25 begins, a65 head 103 bodiless, a65 ends, a65 begins, a103 head 200 bodiless, a103 ends",
	},
	{
		name:   "until close",
		ask:    "GET / HTTP/1.0\r\n\r\n",
		answer: "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
		want:   "q0 begins, q18 head close bodiless, q18 ends, a0 begins, a19 head 200",
	},
	{
		name:   "an answer in an unknown coding goes on until close",
		ask:    "GET / HTTP/1.1\r\n\r\n",
		answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
		want:   "q0 begins, q18 head bodiless, q18 ends, a0 begins, a44 head 200",
	},
	{
		name: "a request in an unknown coding cannot be framed",
		ask:  "POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\nabc",
		want: "q0 begins, q44 head, q44 lost",
	},
	{
		name:   "close and keep-alive",
		ask:    "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\nGET / HTTP/1.1\r\nConnection: foo, CLOSE\r\n\r\n",
		answer: "HTTP/1.1 200 OK\r\nKeep-Alive: max=3, Timeout=5\r\nContent-Length: 0\r\n\r\nHTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
		want: "q0 begins, q42 head bodiless, q42 ends, q42 begins, q84 head close bodiless, q84 ends, " +
			"a0 begins, a68 head 200 keep 5 bodiless, a68 ends, a68 begins, a106 head 200 close bodiless, a106 ends",
	},
	{
		name:   "upgrade",
		ask:    "GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		answer: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x05hello\nHTTP/1.1 200 OK\r\n\r\n",
		want:   "q0 begins, q61 head bodiless, q61 ends, a0 begins, a56 head 101 upgraded",
	},
	{
		name:   "tunnel",
		ask:    "CONNECT a:443 HTTP/1.1\r\n\r\n",
		answer: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n\x16\x03\x01",
		want:   "q0 begins, q26 head bodiless, q26 ends, a0 begins, a38 head 200 upgraded",
	},
	{
		name:   "tunnel refused",
		ask:    "CONNECT a:443 HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
		answer: "HTTP/1.1 403 No\r\nContent-Length: 3\r\n\r\nabc",
		want: "q0 begins, q26 head bodiless, q26 ends, q26 begins, q44 head bodiless, q44 ends, " +
			"a0 begins, a38 head 403, a41 ends",
	},
	{
		name:   "an answer nobody asked for",
		answer: "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n",
		want:   "a0 begins, a51 head 408 close, a51 lost",
	},
	{
		name:   "an answer without body nobody asked for",
		answer: "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n",
		want:   "a0 begins, a51 head 408 bodiless, a51 ends",
	},
	{
		name: "empty lines before a request, folded and odd header lines",
		ask:  "\r\n\nGET http://h/a HTTP/1.1\r\nno colon\r\nX : y\r\nContent-Length:\r\n 1\r\nConnection:\r\n\tclose\r\n\r\nx",
		want: "q3 begins, q89 head close, q90 ends",
	},
	{
		name: "a long line",
		ask:  "GET /" + strings.Repeat("a", 3000) + " HTTP/1.1\r\nCookie: " + strings.Repeat("b", 5000) + "\r\nContent-Length: 1\r\n\r\nx",
		want: "q0 begins, q8047 head, q8048 ends",
	},
	{
		name: "unusual methods",
		ask:  "M-SEARCH * HTTP/1.1\r\n\r\nVERSION-CONTROL /a HTTP/1.1\r\n\r\n",
		want: "q0 begins, q23 head bodiless, q23 ends, q23 begins, q54 head bodiless, q54 ends",
	},
	{
		name: "garbage behind a message",
		ask:  "GET / HTTP/1.1\r\n\r\nxyz",
		want: "q0 begins, q18 head bodiless, q18 ends, q18 lost",
	},
}

func TestHTTP1(t *testing.T) {
	for _, tt := range http1Tests {
		t.Run(tt.name, func(t *testing.T) {
			run := func(size int) string {
				p := newHTTP1Probe()
				p.segments(Requests, tt.ask, size)
				p.segments(Answers, tt.answer, size)
				return p.String()
			}
			if got := run(1 << 20); got != tt.want {
				t.Fatalf("got  %s\nwant %s", got, tt.want)
			}
			for size := 1; size <= 100; size++ {
				if got := run(size); got != tt.want {
					t.Fatalf("in segments of %d octets\ngot  %s\nwant %s", size, got, tt.want)
				}
			}
		})
	}
}

// TestHTTP1Gaps: octets that the capture does not have matter only where a line is due.
func TestHTTP1Gaps(t *testing.T) {
	const post = "POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n" // 41 octets
	const chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n"
	const get = "GET / HTTP/1.1\r\n\r\n"
	tests := []struct {
		name string
		feed func(p *probe)
		want string
	}{
		{"inside a body", func(p *probe) {
			p.segment(Requests, []byte(post))
			p.feed(Requests, nil, 999)
			p.segment(Requests, []byte("x"+get))
		}, "q0 begins, q41 head, q1041 ends, q1041 begins, q1059 head bodiless, q1059 ends"},
		{"up to a body's end", func(p *probe) {
			p.segment(Requests, []byte(post))
			p.feed(Requests, nil, 1000)
			p.segment(Requests, []byte(get))
		}, "q0 begins, q41 head, q1041 ends, q1041 begins, q1059 head bodiless, q1059 ends"},
		{"beyond a body's end", func(p *probe) {
			p.segment(Requests, []byte(post))
			p.feed(Requests, nil, 1001)
			p.segment(Requests, []byte("ET / HTTP/1.1\r\n\r\n"))
			p.segment(Requests, []byte(get))
		}, "q0 begins, q41 head, q1041 ends, q1041 lost, q1059 begins, q1077 head bodiless, q1077 ends"},
		{"body cut by the snap length", func(p *probe) {
			p.feed(Requests, []byte(post+"xx"), 41+1000)
			p.segment(Requests, []byte(get))
		}, "q0 begins, q41 head, q1041 ends, q1041 begins, q1059 head bodiless, q1059 ends"},
		{"head cut by the snap length", func(p *probe) {
			p.feed(Requests, []byte(post[:20]), 500)
			p.feed(Answers, []byte("HTTP/1.1 200 OK\r\nCon"), 600)
			p.feed(Requests, []byte(get[:9]), 18)
		}, "q0 begins, q20 lost, a0 begins, a20 lost, q500 begins, q509 lost"},
		{"inside a chunk", func(p *probe) {
			p.segment(Requests, []byte(chunked))
			p.feed(Requests, nil, 1000)
			p.segment(Requests, []byte("\r\n0\r\n\r\n"))
		}, "q0 begins, q47 head, q1059 ends"},
		{"over a chunk's size", func(p *probe) {
			p.segment(Requests, []byte(chunked))
			p.feed(Requests, nil, 1001)
			p.segment(Requests, []byte("\n0\r\n\r\n"))
		}, "q0 begins, q47 head, q1052 lost"},
		{"inside a head", func(p *probe) {
			p.segment(Requests, []byte("GET / HTTP/1.1\r\nHo"))
			p.feed(Requests, nil, 10)
			p.segment(Requests, []byte("\r\n\r\n"))
		}, "q0 begins, q18 lost"},
		{"between messages", func(p *probe) {
			p.segment(Requests, []byte(get))
			p.feed(Requests, nil, 18)
			p.segment(Requests, []byte(get))
		}, "q0 begins, q18 head bodiless, q18 ends, q18 lost, q36 begins, q54 head bodiless, q54 ends"},
		{"until close", func(p *probe) {
			p.segment(Requests, []byte(get))
			p.segment(Answers, []byte("HTTP/1.1 200 OK\r\n\r\nx"))
			p.feed(Answers, nil, 1e6)
		}, "q0 begins, q18 head bodiless, q18 ends, a0 begins, a19 head 200"},
		{"the request of an answer", func(p *probe) {
			// It may have been a HEAD: its answer is not framed, the next is.
			p.segment(Requests, []byte(get))
			p.segment(Answers, []byte("HTTP/1.1 204 No\r\n\r\n"))
			p.feed(Requests, nil, 18)
			p.segment(Answers, []byte("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"))
			p.segment(Requests, []byte(get))
			p.segment(Answers, []byte("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"))
		}, "q0 begins, q18 head bodiless, q18 ends, a0 begins, a19 head 204 bodiless, a19 ends, q18 lost, " +
			"a19 begins, a57 head 200, a57 lost, q36 begins, q54 head bodiless, q54 ends, a57 begins, a95 head 200, a96 ends"},
		{"the answer before a HEAD", func(p *probe) {
			p.segment(Requests, []byte(get))
			p.feed(Answers, nil, 100)
			p.segment(Requests, []byte("HEAD / HTTP/1.1\r\n\r\n"))
			p.segment(Answers, []byte("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"))
		}, "q0 begins, q18 head bodiless, q18 ends, a0 lost, q18 begins, q37 head bodiless, q37 ends, " +
			"a100 begins, a138 head 200 bodiless, a138 ends"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newHTTP1Probe()
			tt.feed(p)
			if got := p.String(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			for s := range p.dir {
				if !p.Synced(Side(s)) && p.dir[s].kept != 0 {
					t.Error("keeps octets that are of no use")
				}
			}
		})
	}
}

// TestHTTP1MidStream: a capture that begins inside a body ignores it.
func TestHTTP1MidStream(t *testing.T) {
	var p probe
	p.segment(Requests, []byte("binary \x00 POST / HTTP/1.1\r\n"))
	p.segment(Answers, []byte("<html>"))
	p.segment(Answers, []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")) // of what?
	p.segment(Requests, []byte("GET / HTTP/1.1\r\n\r\n"))
	p.segment(Answers, []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	const want = "a6 begins, a44 head 200, a44 lost, q26 begins, q44 head bodiless, q44 ends, " +
		"a46 begins, a84 head 200, a86 ends"
	if got := p.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestHTTP1Pipelining: more requests are outstanding than are kept.
func TestHTTP1Pipelining(t *testing.T) {
	p := newHTTP1Probe()
	const get = "HEAD / HTTP/1.1\r\n\r\n"
	p.segment(Requests, []byte(strings.Repeat(get, maxOpen)))
	if !p.Synced(Requests) || p.open != maxOpen {
		t.Fatalf("%d outstanding: %s", p.open, p)
	}
	p.log = nil
	for range maxOpen {
		p.segment(Answers, []byte("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"))
	}
	if strings.Contains(p.String(), "lost") || p.open != 0 {
		t.Errorf("%d outstanding: %s", p.open, p)
	}
	p.segment(Requests, []byte(strings.Repeat(get, maxOpen+1)))
	if p.Synced(Requests) {
		t.Error("still counting")
	}
}

func TestUnfinished(t *testing.T) {
	tests := []struct {
		answer string
		want   bool
	}{
		{"", false},
		{"H", true},
		{"HTTP/1.1 200 OK\r\n", true},
		{"HTTP/1.1 200 OK\r\n\r\nx", false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", true},
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", true},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", true},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false},
		{"HTTP/1.1 100 Continue\r\n\r\n", false},
		{"HTTP/1.1 101 Switching\r\n\r\nxyz", false},
		{"garbage", false},
	}
	for _, tt := range tests {
		p := newHTTP1Probe()
		p.segment(Requests, []byte("GET / HTTP/1.1\r\n\r\n"))
		p.segment(Answers, []byte(tt.answer))
		if got := p.Unfinished(Answers); got != tt.want {
			t.Errorf("%q: unfinished %v", tt.answer, got)
		}
	}
}

func TestLooksLike(t *testing.T) {
	for _, tt := range []struct {
		p                 string
		request, response bool
	}{
		{p: "GET / HTTP/1.1\r\n", request: true},
		{p: "GET /index.h", request: true},
		{p: "GET ", request: true},
		{p: "OPTIONS * ", request: true},
		{p: "CONNECT example.com:443", request: true},
		{p: "GET http://h/ HTTP/1.0\n", request: true},
		{p: "FOO /", request: true},
		{p: "FOO-BAR *", request: true},
		{p: "FOO bar HTTP/1.1\n", request: true},
		{p: "FOO bar"},
		{p: "FOO "},
		{p: "GET"},
		{p: "GET / HTTP/2.0\r\n"},
		{p: "GET /\r\n"},
		{p: "GET \x00\x01"},
		{p: "GE /"},
		{p: "get / HTTP/1.1\r\n"},
		{p: "ABCDEFGHIJKLMNOPQRSTU /"},
		{p: " / HTTP/1.1\r\n"},
		{p: ""},
		{p: "EHLO example.com\r\n"},
		{p: "\x16\x03\x01\x02\x00\x01"},
		{p: "HTTP/1.1 200 OK\r\n", response: true},
		{p: "HTTP/1.0 4", response: true},
		{p: "HTTP/1.", response: true},
		{p: "HTTP/1"},
		{p: "HTTP/1.1 OK"},
		{p: "HTTP/2 200"},
	} {
		if got := LooksLikeRequest([]byte(tt.p)); got != tt.request {
			t.Errorf("%q: request %v", tt.p, got)
		}
		if got := LooksLikeResponse([]byte(tt.p)); got != tt.response {
			t.Errorf("%q: response %v", tt.p, got)
		}
	}
}

func TestVisibleStatus(t *testing.T) {
	for p, want := range map[string]uint16{
		"HTTP/1.1 408 Request Timeout": 408, "HTTP/1.0 408": 408, "HTTP/1.1 40": 0, "HTTP/1.1 4x8": 0, "": 0,
	} {
		if got := visibleStatus([]byte(p)); got != want {
			t.Errorf("%q: %d", p, got)
		}
	}
}
