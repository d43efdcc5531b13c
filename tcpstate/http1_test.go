package tcpstate

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
		name: "no HTTP",
		ask:  "EHLO example.com\r\n",
		want: "q0 lost",
	},
	{
		name: "HTTP/0.9",
		ask:  "GET /\r\n",
		want: "q0 lost",
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
				p.segments(asks, tt.ask, size)
				p.segments(answers, tt.answer, size)
				return p.String()
			}
			for size := 8192; size > 0; size-- {
				if got := run(size); got != tt.want {
					t.Fatalf("in segments of %d octets\ngot  %s\nwant %s", size, got, tt.want)
				}
				size = min(size, max(len(tt.ask), len(tt.answer), 1), 200)
			}
		})
	}
}
