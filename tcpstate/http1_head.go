package tcpstate

import (
	"bytes"
	"math"
)

// looksLikeRequest reports whether p begins like an HTTP/1 request, as far as it goes:
// a method, a target and, if the line's end is there, a version.
func looksLikeRequest(p []byte) bool {
	n := 0
	for n < len(p) && isMethodOctet(p[n]) {
		n++
	}
	if n == len(p) {
		return n > 0 && isMethod(p, true)
	}
	if n < 3 || n > 20 || p[n] != ' ' {
		return false
	}
	line := p[n+1:]
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		return endsInVersion(bytes.TrimSuffix(line[:i], []byte{'\r'}))
	}
	switch {
	case len(line) == 0:
		return isMethod(p[:n], false)
	case line[0] == '/' || line[0] == '*':
		return true
	}
	return line[0] > ' ' && line[0] < 0x7f && isMethod(p[:n], false)
}

// endsInVersion reports whether the rest of a request line, behind the method, is a
// target and an HTTP/1 version.
func endsInVersion(rest []byte) bool {
	i := bytes.LastIndexByte(rest, ' ')
	if i < 1 {
		return false
	}
	v := rest[i+1:]
	return len(v) == 8 && string(v[:7]) == "HTTP/1." && v[7] >= '0' && v[7] <= '9'
}

// looksLikeResponse reports whether p begins like an HTTP/1 response, as far as it goes.
func looksLikeResponse(p []byte) bool {
	const pattern = "HTTP/1.d ddd"
	for i := range min(len(p), len(pattern)) {
		if c := pattern[i]; c == 'd' && (p[i] < '0' || p[i] > '9') || c != 'd' && p[i] != c {
			return false
		}
	}
	return len(p) > 0
}

// visibleStatus is the status of a response whose first octets are p; 0: not to be seen.
func visibleStatus(p []byte) uint16 {
	if len(p) < 12 || !looksLikeResponse(p) {
		return 0
	}
	return uint16(p[9]-'0')*100 + uint16(p[10]-'0')*10 + uint16(p[11]-'0')
}

// isMethodOctet: methods are upper case by custom; WebDAV's and UPnP's have hyphens.
func isMethodOctet(c byte) bool { return c >= 'A' && c <= 'Z' || c == '-' || c == '_' }

// methods are those of RFC 9110 §9.3, PATCH, WebDAV's (RFC 4918) and a few seen often.
var methods = [...]string{
	"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE",
	"PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "SEARCH",
	"REPORT", "PURGE", "QUERY",
}

// isMethod reports whether p is one of the methods, or begins one.
func isMethod(p []byte, begins bool) bool {
	for _, m := range methods {
		if len(p) <= len(m) && m[:len(p)] == string(p) && (begins || len(p) == len(m)) {
			return true
		}
	}
	return false
}

// askKind is what the framing of the answer needs to know of a request's method.
func askKind(method []byte) uint16 {
	switch string(method) {
	case "HEAD":
		return askHead
	case "CONNECT":
		return askConnect
	}
	return askOther
}

// The header fields that framing reads; the values of lane.unit.
const (
	fieldOther uint8 = iota
	fieldContentLength
	fieldTransferEncoding
	fieldConnection
	fieldKeepAlive
)

// header takes a line of a head. A line that begins with white space continues the one
// before (obsolete folding, RFC 9112 §5.2).
func (l *lane) header(line []byte) {
	value := line
	if line[0] != ' ' && line[0] != '\t' {
		i := bytes.IndexByte(line, ':')
		if i < 0 {
			l.unit = fieldOther
			return
		}
		l.unit = fieldOf(bytes.TrimRight(line[:i], " \t"))
		value = line[i+1:]
	}
	if l.unit == fieldOther {
		return
	}
	for more := true; more; {
		var e []byte
		e, value, more = bytes.Cut(value, []byte{','})
		if e = bytes.Trim(e, " \t"); len(e) > 0 {
			l.element(e)
		}
	}
}

// element takes one member of the list that a field's value is.
func (l *lane) element(e []byte) {
	switch l.unit {
	case fieldContentLength:
		n, ok := parseUint(e, 10)
		if !ok || l.flags&headLength != 0 && n != l.left {
			l.flags |= headBadLength
			return
		}
		l.flags |= headLength
		l.left = n
	case fieldTransferEncoding:
		l.flags &^= headChunked | headCoded
		if fold(e, "chunked") {
			l.flags |= headChunked
		} else if !fold(e, "identity") {
			l.flags |= headCoded
		}
	case fieldConnection:
		if fold(e, "close") {
			l.flags |= headClose
		} else if fold(e, "keep-alive") {
			l.flags |= headKeep
		}
	case fieldKeepAlive:
		name, value, _ := bytes.Cut(e, []byte{'='})
		if n, ok := parseUint(bytes.Trim(value, ` "`), 10); ok && fold(bytes.TrimSpace(name), "timeout") {
			l.keep = uint16(min(n, math.MaxUint16))
		}
	}
}

func fieldOf(name []byte) uint8 {
	switch len(name) {
	case len("connection"):
		if fold(name, "connection") {
			return fieldConnection
		}
		if fold(name, "keep-alive") {
			return fieldKeepAlive
		}
	case len("content-length"):
		if fold(name, "content-length") {
			return fieldContentLength
		}
	case len("transfer-encoding"):
		if fold(name, "transfer-encoding") {
			return fieldTransferEncoding
		}
	}
	return fieldOther
}

// fold reports whether p is s, given in lower case, but for the case of letters.
func fold(p []byte, s string) bool {
	if len(p) != len(s) {
		return false
	}
	for i, c := range p {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != s[i] {
			return false
		}
	}
	return true
}

// parseChunkSize reads a chunk's size line; extensions and padding are passed over.
func parseChunkSize(line []byte) (uint64, bool) {
	n := 0
	for n < len(line) && line[n] != ';' && line[n] != ' ' && line[n] != '\t' {
		n++
	}
	return parseUint(line[:n], 16)
}

// parseUint reads digits and nothing else; one beyond 2^62 is none.
func parseUint(p []byte, base uint64) (n uint64, ok bool) {
	for _, c := range p {
		d := uint64(99)
		switch {
		case c >= '0' && c <= '9':
			d = uint64(c - '0')
		case c >= 'a' && c <= 'f':
			d = uint64(c-'a') + 10
		case c >= 'A' && c <= 'F':
			d = uint64(c-'A') + 10
		}
		if d >= base || n >= 1<<58 {
			return 0, false
		}
		n = n*base + d
	}
	return n, len(p) > 0
}
