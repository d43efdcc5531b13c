package framing

import "encoding/binary"

// Handshake messages and extensions (RFC 8446 §4, RFC 7301 §3.1).
const (
	clientHello = 1
	serverHello = 2

	extALPN     = 16
	extVersions = 43

	helloRandom = 2 + 32 // legacy_version and random
	helloHead   = 4      // type and length of a handshake message
)

// hello reads a ClientHello or ServerHello, b being what was captured of the segment behind the
// record's header: what was offered or agreed inside of TLS. A ClientHello that ends before its
// ALPN, because it goes on in another segment, says nothing, as one that was not captured. One
// that the snap length cut says as much as none of the payload would: HTTP/1 is assumed.
func (f *State) hello(s Side, b []byte, cut bool) {
	alpn, found, whole, v13 := readHello(s, b)
	switch {
	case s == Answers:
		f.agreed(alpn, found, whole, v13)
	case found || whole:
		f.offered(alpn, found)
	case cut:
		f.flags |= tlsNoHTTP2
	}
}

// readHello finds the ALPN of a hello, and whether TLS 1.3 was chosen. It is whole if it ends
// within b.
func readHello(s Side, b []byte) (alpn []byte, found, whole, v13 bool) {
	want := byte(clientHello)
	if s == Answers {
		want = serverHello
	}
	if len(b) < helloHead+helloRandom || b[0] != want {
		return nil, false, false, false
	}
	n := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
	whole = len(b) >= helloHead+n
	b = b[helloHead:min(len(b), helloHead+n)]
	ok := len(b) >= helloRandom
	if ok {
		b = b[helloRandom:]
		ok = skipVector(&b, 1) // session id
	}
	if s == Requests {
		ok = ok && skipVector(&b, 2) && skipVector(&b, 1) // suites, compression
	} else if ok = ok && len(b) >= 3; ok {
		b = b[3:] // suite, compression
	}
	if !ok {
		return nil, false, false, false
	}
	if len(b) < 2 {
		return nil, false, whole, false
	}
	for b = b[2:]; len(b) >= 4; {
		typ, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if b = b[4:]; len(b) < n {
			return alpn, found, false, v13
		}
		switch typ {
		case extALPN:
			alpn, found = b[:n], true
		case extVersions:
			v13 = v13 || s == Answers && n == 2 && b[0] == 3 && b[1] == 4
		}
		b = b[n:]
	}
	return alpn, found, whole, v13
}

// offered notes what a client offers.
func (f *State) offered(alpn []byte, any bool) {
	h2, h1, others := protocols(alpn)
	if !h2 && !others {
		f.flags |= tlsNoHTTP2
		if any && h1 {
			f.flags |= tlsHTTP1 // there is nothing else to agree on
		}
	}
}

// agreed notes what a server chooses. TLS 1.3 encrypts that.
func (f *State) agreed(alpn []byte, any, whole, v13 bool) {
	switch {
	case v13:
		f.flags |= tls13
	case any:
		if h2, h1, _ := protocols(alpn); h1 {
			f.flags |= tlsNoHTTP2 | tlsHTTP1
		} else if h2 {
			f.flags &^= tlsNoHTTP2 | tlsHTTP1
		}
	case whole:
		f.flags = f.flags&^tlsHTTP1 | tlsNoHTTP2 // it does not take part in ALPN
	}
}

// protocols tells what a list of ALPN names holds: drafts of HTTP/2 and SPDY count as HTTP/2.
func protocols(list []byte) (h2, h1, others bool) {
	if len(list) < 2 {
		return false, false, false
	}
	for list = list[2:]; len(list) > 0; {
		n := min(int(list[0]), len(list)-1)
		switch name := string(list[1 : 1+n]); {
		case len(name) >= 2 && name[:2] == "h2", len(name) > 4 && name[:4] == "spdy":
			h2 = true
		case len(name) > 7 && name[:7] == "http/1.":
			h1 = true
		default:
			others = true
		}
		list = list[1+n:]
	}
	return h2, h1, others
}

// skipVector takes a vector whose length stands in its first size octets.
func skipVector(b *[]byte, size int) bool {
	if len(*b) < size {
		return false
	}
	n := int((*b)[0])
	if size == 2 {
		n = int(binary.BigEndian.Uint16(*b))
	}
	if len(*b) < size+n {
		return false
	}
	*b = (*b)[size+n:]
	return true
}
