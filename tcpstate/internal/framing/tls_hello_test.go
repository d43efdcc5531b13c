package framing

import (
	"bytes"
	"testing"
)

// clientHelloOf is a record with a ClientHello that offers the protocols.
func clientHelloOf(protocols ...string) []byte {
	var list []byte
	for _, p := range protocols {
		list = append(append(list, byte(len(p))), p...)
	}
	alpn := append([]byte{0, extALPN, 0, byte(len(list) + 2), 0, byte(len(list))}, list...)
	body := append([]byte{3, 3}, make([]byte, 32)...)
	body = append(body, 0, 0, 2, 0x13, 1, 1, 0) // no session id, a suite, no compression
	body = append(append(body, 0, byte(len(alpn))), alpn...)
	msg := append([]byte{clientHello, 0, 0, byte(len(body))}, body...)
	return append([]byte{recordHandshake, 3, 1, 0, byte(len(msg))}, msg...)
}

func TestHello(t *testing.T) {
	h1, h2 := clientHelloOf("http/1.1"), clientHelloOf("h2", "http/1.1")
	for _, c := range []struct {
		name     string
		captured []byte
		sent     int
		inside2  bool // HTTP/2 may be inside
	}{
		{"HTTP/1 is offered", h1, len(h1), false},
		{"HTTP/2 is offered", h2, len(h2), true},
		{"it goes on in the next segment", h2[:50], 50, true},
		{"the snap length cut it before its ALPN", h2[:50], len(h2), false},
		{"the snap length cut it in its head", h2[:12], len(h2), false},
		{"the snap length cut it behind its ALPN", h2, len(h2) + 100, true},
	} {
		var f State
		if !f.Sync(Requests, c.captured) {
			t.Errorf("%s: not recognised", c.name)
			continue
		}
		f.Next(Requests, c.captured, uint32(c.sent), &Pool{})
		if f.HTTP2Inside() != c.inside2 {
			t.Errorf("%s: HTTP/2 inside %t, want %t", c.name, f.HTTP2Inside(), c.inside2)
		}
	}
}

// A hello may claim any length.
func TestHelloOfAnyLength(t *testing.T) {
	whole := clientHelloOf("h2")
	for _, s := range []Side{Requests, Answers} {
		for n := range 64 {
			b := bytes.Clone(whole)
			if b[recordHead+3] = byte(n); s == Answers {
				b[recordHead] = serverHello
			}
			for cut := recordHead; cut <= len(b); cut++ {
				var f State
				f.Sync(s, b[:cut])
				f.Next(s, b[:cut], uint32(len(b)), &Pool{})
			}
		}
	}
}
