package framing

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
)

// FuzzHTTP1: however two streams are cut into segments, messages begin and end at the
// same octets; and as far as net/http understands the streams it agrees.
func FuzzHTTP1(f *testing.F) {
	for _, tt := range http1Tests {
		f.Add([]byte(tt.ask), []byte(tt.answer), []byte{0, 1, 2, 3, 5, 8, 13, 21, 34})
	}
	f.Add([]byte("CONNECT  HTTP/1.0\n\n"), []byte{}, []byte{})
	f.Add([]byte("CONNECT \x81 HTTP/1.0\n\n"), []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, ask, answer, cuts []byte) {
		if longLine(ask) || longLine(answer) {
			return // its end is not looked at when it comes in pieces
		}
		p, q := newHTTP1Probe(), newHTTP1Probe()
		for s, b := range [][]byte{ask, answer} {
			feedCut(p, Side(s), b, nil)
			feedCut(q, Side(s), b, cuts)
			want, lost := p.untilLost()
			got, lostToo := q.untilLost()
			if got != want {
				t.Fatalf("got  %s\nwant %s", got, want)
			}
			if lost || lostToo {
				break
			}
			if p.Unfinished(Side(s)) != q.Unfinished(Side(s)) || p.open != q.open {
				t.Fatalf("%s: not the same state", want)
			}
		}
		if n := len(q.pool.bufs) - len(q.pool.unused); n > 2 {
			t.Errorf("%d lines kept", n)
		}

		want := oracle(ask, answer)
		for i, w := range want {
			if i >= len(p.log) || p.log[i] != w && !strings.HasPrefix(p.log[i], w+" ") {
				t.Fatalf("got  %s\nwant %s", p, strings.Join(want, ", "))
			}
		}
	})
}

func longLine(b []byte) bool {
	for line := range bytes.Lines(b) {
		if len(line) > carrySize {
			return true
		}
	}
	return false
}

// oracle is the log of two streams as net/http reads them, as far as it does.
func oracle(ask, answer []byte) (log []string) {
	var requests []*http.Request
	r := newCounter(ask)
	for {
		begin := r.off()
		req, err := http.ReadRequest(r.Reader)
		if err != nil || req.ProtoMajor != 1 ||
			req.RequestURI == "" || req.RequestURI[0] < ' ' || req.RequestURI[0] >= 0x7f || // net/http takes all with CONNECT
			strings.Trim(req.Method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_") != "" ||
			len(req.Method) > 20 || spaced(req.Header) || req.ProtoMinor == 0 && coded(ask[begin:r.off()]) {
			return log
		}
		requests = append(requests, req)
		log = append(log, fmt.Sprintf("q%d begins", begin), fmt.Sprintf("q%d head", r.off()))
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return log
		}
		if log = append(log, fmt.Sprintf("q%d ends", r.off())); r.off() == len(ask) {
			break
		}
	}
	if len(requests) > maxOpen {
		return nil
	}
	for r = newCounter(answer); len(requests) > 0; {
		begin := r.off()
		resp, err := http.ReadResponse(r.Reader, requests[0])
		if err != nil || resp.ProtoMajor != 1 || resp.StatusCode < 100 || spaced(resp.Header) || resp.ProtoMinor == 0 && coded(answer[begin:r.off()]) {
			return log
		}
		log = append(log, fmt.Sprintf("a%d begins", begin), fmt.Sprintf("a%d head %d", r.off(), resp.StatusCode))
		switch {
		case resp.StatusCode == 101, requests[0].Method == "CONNECT" && resp.StatusCode/100 == 2:
			return log
		case resp.StatusCode >= 200:
			requests = requests[1:]
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return log
		}
		if resp.ContentLength < 0 && len(resp.TransferEncoding) == 0 && resp.Body != http.NoBody {
			return log // until close
		}
		log = append(log, fmt.Sprintf("a%d ends", r.off()))
	}
	return log
}

// coded: net/http ignores Transfer-Encoding in HTTP/1.0; it is faulty there.
func coded(head []byte) bool {
	return bytes.Contains(bytes.ToLower(head), []byte("transfer-encoding"))
}

// spaced: net/http takes white space before the colon for a part of the field's name. A
// request with it is to be refused, and a proxy takes it out of a response (RFC 9112 §5.1).
func spaced(h http.Header) bool {
	for name := range h {
		if strings.TrimRight(name, " \t") != name {
			return true
		}
	}
	return false
}

// counter knows how much has been taken from its reader.
type counter struct {
	*bufio.Reader
	from *bytes.Reader
}

func newCounter(b []byte) counter {
	r := bytes.NewReader(b)
	return counter{bufio.NewReader(r), r}
}

func (c counter) off() int { return int(c.from.Size()) - c.from.Len() - c.Buffered() }

// TestHTTP1Random: streams of well-formed messages, cut at random, are framed as net/http
// frames them, to the last octet.
func TestHTTP1Random(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		var ask, answer strings.Builder
		for range 1 + r.IntN(maxOpen) {
			exchange(r, &ask, &answer)
		}
		cuts := make([]byte, 200)
		for i := range cuts {
			cuts[i] = byte(r.Uint32() >> (24 + r.IntN(8)))
		}
		p := newHTTP1Probe()
		feedCut(p, Requests, []byte(ask.String()), cuts)
		feedCut(p, Answers, []byte(answer.String()), cuts[100:])
		want := oracle([]byte(ask.String()), []byte(answer.String()))
		if len(want) != len(p.log) || p.open != 0 {
			t.Fatalf("seed %d\ngot  %s\nwant %s", seed, p, strings.Join(want, ", "))
		}
		for i, w := range want {
			if p.log[i] != w && !strings.HasPrefix(p.log[i], w+" ") {
				t.Fatalf("seed %d\ngot  %s\nwant %s", seed, p, strings.Join(want, ", "))
			}
		}
	}
}

// exchange writes a random request and its answer.
func exchange(r *rand.Rand, ask, answer *strings.Builder) {
	pick := func(s ...string) string { return s[r.IntN(len(s))] }
	method := pick("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "PROPFIND")
	ask.WriteString(method + pick(" / ", " /a/b?c=d%20e ", " http://h/x ", " /"+strings.Repeat("p", r.IntN(150))+" ") + "HTTP/1.1\r\n")
	ask.WriteString(pick("Host: h", "host:h\r\nUser-Agent: x", "Host: h\r\nCookie: "+strings.Repeat("c", r.IntN(600))) + "\r\n")
	body(r, ask, method == "POST" || method == "PUT" || r.IntN(9) == 0)

	if r.IntN(8) == 0 {
		answer.WriteString(pick("HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"))
	}
	status := pick("200 OK", "204 No Content", "304 Not Modified", "404 Not Found", "500", "301 Moved")
	answer.WriteString("HTTP/1.1 " + status + "\r\nServer: s\r\n" + pick("", "Keep-Alive: timeout=5\r\n", "Connection: close\r\n"))
	if method == "HEAD" || status[0:2] == "20" && status != "200 OK" || status[:3] == "304" {
		answer.WriteString(pick("", "Content-Length: 77\r\n", "Transfer-Encoding: chunked\r\n") + "\r\n")
		return
	}
	body(r, answer, true)
}

// body ends a head and writes a body, if there is to be one.
func body(r *rand.Rand, w *strings.Builder, some bool) {
	switch n := r.IntN(3000); {
	case !some:
		w.WriteString("\r\n")
	case r.IntN(2) == 0:
		fmt.Fprintf(w, "content-LENGTH:  %d\r\n\r\n%s", n, strings.Repeat("b", n))
	default:
		w.WriteString("Transfer-Encoding: Chunked\r\n\r\n")
		for n > 0 {
			k := 1 + r.IntN(n)
			fmt.Fprintf(w, "%x\r\n%s\r\n", k, strings.Repeat("\n", k))
			n -= k
		}
		w.WriteString([]string{"0\r\n\r\n", "0\r\nX-T: 1\r\n\r\n"}[r.IntN(2)])
	}
}
