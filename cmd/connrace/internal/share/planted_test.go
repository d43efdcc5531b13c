package share

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"

	"connrace/capture"
	"connrace/tcpstate"
)

// frame is an Ethernet frame with a segment, and what somebody has hidden around it.
func frame(src, dst string, seq uint32, flags tcpstate.Flags, payload []byte, around string) []byte {
	be := binary.BigEndian
	b := append([]byte{2, 0, 'M', 'A', 'C', '!', 2, 0, 'm', 'a', 'c', '?'}, 0x08, 0)
	options := pad("\x94"+around, 4) // an IP option
	if around == "" {
		options = nil
	} else {
		options[1] = byte(len(options))
	}
	at := len(b)
	b = append(b, 0x40|byte(5+len(options)/4), 0, 0, 0, 0, 1, 0, 0, 64, 6, 0, 0)
	be.PutUint16(b[at+2:], uint16(20+len(options)+20+len(payload)))
	for _, a := range []string{src, dst} {
		b = append(b, netip.MustParseAddr(a).AsSlice()...)
	}
	b = append(b, options...)
	port := func(a string) uint16 {
		if strings.HasSuffix(a, ".1") {
			return 40000
		}
		return 8080
	}
	b = be.AppendUint16(be.AppendUint16(b, port(src)), port(dst))
	b = be.AppendUint32(be.AppendUint32(b, seq), 1)
	b = append(b, 5<<4, byte(flags), 0xff, 0xff, 0, 0, 0, 0)
	return append(append(b, payload...), around...) // behind the packet: Ethernet's padding
}

func pad(s string, to int) []byte {
	b := []byte(s)
	for len(b)%to != 0 {
		b = append(b, 0)
	}
	return b
}

const (
	lbAddr, targetAddr = "10.201.202.1", "203.77.88.99"
	// planted is what must be nowhere. No three octets of it are letters alone, which might come
	// about by chance.
	planted = "Zq7#Kw9$Xv2&Jb4!Pn6"
)

// What stands for what is planted must not be the same by chance, now and then.
func init() {
	readKey = func(key []byte) (int, error) {
		for i := range key {
			key[i] = byte(i)
		}
		return len(key), nil
	}
}

// leaks fails if three octets of what was planted, or an address, are in a copy.
func leaks(t testing.TB, name string, out []byte) {
	t.Helper()
	for i := 0; i+3 <= len(planted); i++ {
		if at := bytes.Index(out, []byte(planted[i:i+3])); at >= 0 {
			t.Errorf("%s: %q is in the copy: %q", name, planted[i:i+3], out[max(0, at-40):min(len(out), at+40)])
			return
		}
	}
	for _, a := range []string{lbAddr, targetAddr} {
		if b := netip.MustParseAddr(a).AsSlice(); bytes.Contains(out, b) || bytes.Contains(out, []byte(a)) {
			t.Errorf("%s: %s is in the copy", name, a)
		}
	}
	if bytes.Contains(bytes.ToLower(out), []byte("mac!")) || bytes.Contains(out, []byte("mac?")) {
		t.Errorf("%s: a hardware address is in the copy", name)
	}
}

// block makes a header block with names and values.
func block(e *hpack.Encoder, b *bytes.Buffer, fields ...string) []byte {
	b.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return bytes.Clone(b.Bytes())
}

func h2(typ, flags byte, stream uint32, payload []byte) []byte {
	b := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), typ, flags}
	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}

func vector(size int, b []byte) []byte {
	var n [4]byte
	binary.BigEndian.PutUint32(n[:], uint32(len(b)))
	return append(n[4-size:], b...)
}

func extension(typ uint16, b []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, typ), vector(2, b)...)
}

// streams are what the two sides say, with what is planted in every place.
func streams() map[string][2][]byte {
	p := planted
	var buf bytes.Buffer
	e := hpack.NewEncoder(&buf)
	first := block(e, &buf, ":method", "POST", ":path", "/"+p+"?"+p, ":authority", p, "authorization", p, "x-"+strings.ToLower(p), p, "cookie", p, "content-type", p)
	second := block(e, &buf, ":method", "PATCH"+p, ":path", "/"+p+"?"+p, ":authority", p, "authorization", p)
	half := len(first) / 2
	padded := append([]byte{byte(len(p))}, append(bytes.Clone(second), p...)...)
	client := bytes.Join([][]byte{
		[]byte(preface), h2(frameSettings, 0, 0, append([]byte{0, 3, 0, 0, 0, 100}, pad("@@"+p[:16], 6)...)),
		h2(frameHeaders, 0, 1, first[:half]), h2(frameContinuation, flagEndHeaders, 1, first[half:]), h2(frameData, 0, 1, []byte(p)), h2(frameData, 9, 1, pad("\x03"+p, 1)),
		h2(framePing, 0, 0, []byte(p[:8])), h2(0xfa, 0, 0, []byte(p)), h2(frameHeaders, flagEndHeaders|flagPadded|1, 3, padded), h2(frameGoAway, 0, 0, append([]byte{0, 0, 0, 3, 0, 0, 0, 0}, p...)),
	}, nil)
	var other bytes.Buffer
	d := hpack.NewEncoder(&other)
	server := bytes.Join([][]byte{
		h2(frameSettings, 0, 0, nil), h2(frameHeaders, flagEndHeaders, 1, block(d, &other, ":status", "503", "server", p, "set-cookie", p, "grpc-message", p, "grpc-status", "14"+p)),
		h2(frameData, 1, 1, []byte(p+p)), h2(frameReset, 0, 3, []byte{0, 0, 0, 7}),
	}, nil)

	names := append([]byte{0}, vector(2, []byte(p))...)
	extensions := bytes.Join([][]byte{
		extension(extName, vector(2, names)), extension(extALPN, vector(2, append(vector(1, []byte("h2")), vector(1, []byte(p))...))),
		extension(35, []byte(p)), extension(0x5a71, []byte(p)), extension(extVersions, []byte(p)),
	}, nil)
	hello := func(kind byte, suites []byte) []byte {
		b := append([]byte{3, 3}, pad(p, 32)...)
		b = append(b, vector(1, []byte(p))...)
		b = append(append(b, suites...), vector(2, extensions)...)
		return append([]byte{22, 3, 1}, vector(2, append([]byte{kind}, vector(3, b)...))...)
	}
	record := func(typ byte) []byte { return append([]byte{typ, 3, 3}, vector(2, []byte(p))...) }
	tlsClient := bytes.Join([][]byte{hello(clientHello, append(vector(2, pad(p, 2)), vector(1, []byte(p))...)), record(20), record(22), record(23), record(21)}, nil)
	tlsServer := bytes.Join([][]byte{hello(serverHello, []byte(p[:3])), record(22), record(23), record(24)}, nil)

	http := "POST /" + p + "/%" + p + "?token=" + p + ";" + p + " HTTP/1.1\r\nHost: " + p + "\r\nx-" + p + ": 1\r\nCookie: a=" + p + "\r\n" +
		"X-Forwarded-For: " + lbAddr + ", " + targetAddr + "\r\nUser-Agent: curl/" + p + " (" + targetAddr + ") Mozilla/" + lbAddr + "\r\nContent-Length: 19\r\n\t" + p + "\r\n" +
		"Content-Type: application/json; boundary=" + p + "\r\nVia: 1.1 " + p + "\r\nno colon " + p + "\r\nConnection: keep-alive, " + p + "\r\n\r\n" + p +
		"BREW" + " " + p + " HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n13;" + p + "\r\n" + p + "\r\n0\r\nX-Trailer: " + p + "\r\nExpires: " + p + "\r\n\r\n"
	answer := "HTTP/1.1 200 " + p + "\r\nServer: nginx/" + p + "\r\nSet-Cookie: " + p + "\r\nKeep-Alive: timeout=" + p + "\r\nContent-Length: 19\r\n\r\n" + p +
		"HTTP/1.1 503 Service Unavailable\r\nServer: " + lbAddr + "\r\n\r\n" + p + p
	return map[string][2][]byte{
		"HTTP/1":  {[]byte(http), []byte(answer)},
		"HTTP/2":  {client, server},
		"TLS":     {tlsClient, tlsServer},
		"PROXY":   {[]byte("PROXY TCP4 " + lbAddr + " " + targetAddr + " 1 2\r\nGET / HTTP/1.1\r\nHost: " + p + "\r\n\r\n"), []byte(answer)},
		"PROXY 2": {append(append([]byte(proxyV2+"\x21\x11"), vector(2, []byte(p))...), http...), []byte(answer)},
		"AJP":     {[]byte("\x12\x34\x00\x20\x02" + p), []byte("AB" + p)},
		"FastCGI": {[]byte("\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x00" + p), []byte(p)},
		"uwsgi":   {[]byte("\x00\x40\x00\x00\x06\x00REQUES" + p), []byte(p)},
		"IMAP":    {[]byte(p[:8] + " LOGOUT " + p), []byte("* BYE " + p)},
		"101":     {[]byte("GET /" + p + " HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n" + p), []byte("HTTP/1.1 101 " + p + "\r\nUpgrade: " + p + "\r\n\r\n" + p)},
		"binary":  {[]byte("\x00\x01" + p), []byte("\xff" + p)},
	}
}

// write makes a pcapng of frames, with what is planted in all that is not frames.
func write(t testing.TB, frames [][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := capture.NewWriter(&b, capture.Section{Hardware: planted, OS: planted, Application: planted, Comments: []string{planted}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.AddInterface(capture.Interface{LinkType: capture.LinkEthernet, Name: planted, Description: planted, Filter: "host " + targetAddr, Resolution: 9}); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []uint32{4, 10, 0xbad, 5} { // names, secrets of TLS, a custom block, statistics
		body := pad(planted, 4)
		n := uint32(12 + len(body))
		b.Write(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, kind), n))
		b.Write(body)
		b.Write(binary.LittleEndian.AppendUint32(nil, n))
	}
	for i, f := range frames {
		if err := w.Packet(&capture.Packet{Time: int64(i) * 1e6, Data: f, Length: uint32(len(f)), Comments: []string{planted, targetAddr}}); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// cut makes frames of what the two sides say, in segments of so many octets.
func cut(say [2][]byte, size int, syn bool) (frames [][]byte) {
	ends := [2]string{lbAddr, targetAddr}
	if syn {
		frames = append(frames, frame(lbAddr, targetAddr, 999, tcpstate.SYN, nil, planted))
	}
	for i, b := range say {
		for at := 0; at < len(b); at += size {
			frames = append(frames, frame(ends[i], ends[1-i], uint32(1000+at), tcpstate.ACK|tcpstate.PSH, b[at:min(len(b), at+size)], planted))
		}
	}
	return frames
}
