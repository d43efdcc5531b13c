package framing

import (
	"bytes"
	"encoding/binary"
)

// A load balancer may tell the client's address before the first request by the PROXY
// protocol (haproxy.org, proxy-protocol.txt §2), and its health checks may send nothing
// else: that is no request.
const (
	proxyV1    = "PROXY "
	proxyV1Max = 107
	proxyV2    = "\r\n\r\n\x00\r\nQUIT\n"
	proxyV2Min = 16
)

// proxyHeader is the length of the PROXY header that p begins with, 0: none.
func proxyHeader(p []byte) int {
	switch {
	case bytes.HasPrefix(p, []byte(proxyV1)):
		return bytes.IndexByte(p[:min(len(p), proxyV1Max)], '\n') + 1
	case len(p) >= proxyV2Min && string(p[:len(proxyV2)]) == proxyV2:
		return proxyV2Min + int(binary.BigEndian.Uint16(p[proxyV2Min-2:]))
	}
	return 0
}

// nextUnknown is Next before the protocol is known: at most a PROXY header.
func (f *State) nextUnknown(s Side, p []byte, n uint32, pool *Pool) (Boundary, uint32) {
	l := &f.dir[s]
	if l.state == unitHeader {
		l.state, l.unit = unitOctets, uint8(SetupBegins)
		return Boundary{Kind: SetupBegins}, 0
	}
	used := l.pass(n)
	if l.state != unitHeader {
		return Boundary{}, n
	}
	l.state = unsynced
	if used < uint32(len(p)) && f.recognise(s, p[used:]) {
		b, more := f.Next(s, p[used:], n-used, pool)
		return b, used + more
	}
	return Boundary{}, n
}
