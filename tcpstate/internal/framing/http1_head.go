package framing

import (
	"bytes"
	"math"
)

// LooksLikeRequest reports whether p begins like an HTTP/1 request, wherever it stands:
// a method, a target as far as p goes and, if the line's end is there, a version.
func LooksLikeRequest(p []byte) bool {
	n := methodLen(p)
	if n < 3 || n == len(p) || !beginsRequestLine(p) {
		return false
	}
	return isMethod(p[:n]) || n+1 < len(p) && (p[n+1] == '/' || p[n+1] == '*') || bytes.IndexByte(p, '\n') > 0
}

// beginsRequestLine reports whether p, however short, can begin a request line where one
// is due.
func beginsRequestLine(p []byte) bool {
	n := methodLen(p)
	if n == len(p) {
		return n <= 20
	}
	return beginsRequest(p, n, bytes.IndexByte(p, '\n'))
}

// beginsRequest is beginsRequestLine where behind a method of n octets, shorter than p, more
// follows, and the first line ends with the octet at end; -1: its end is not there.
func beginsRequest(p []byte, n, end int) bool {
	if n+1 < len(p) && !beginsTarget(p, n) || n == 0 || n > 20 || p[n] != ' ' {
		return false
	}
	return end < 0 || endsInVersion(bytes.TrimSuffix(p[n+1:end], []byte{'\r'}))
}

// beginsTarget reports whether a method of n octets, a space, and an octet that may begin
// a target stand at the beginning of p.
func beginsTarget(p []byte, n int) bool {
	return n > 0 && n <= 20 && n+1 < len(p) && p[n] == ' ' && p[n+1] >= ' ' && p[n+1] < 0x7f
}

// endsInVersion reports whether the rest of a request line, behind the method, is a
// target and an HTTP/1 version.
func endsInVersion(rest []byte) bool {
	const version = "HTTP/1.1"
	n := len(rest) - len(version)
	return n > 1 && rest[n-1] == ' ' && string(rest[n:n+7]) == version[:7] && isDigit(rest[n+7])
}

// LooksLikeResponse reports whether p begins like an HTTP/1 status line.
func LooksLikeResponse(p []byte) bool {
	return len(p) >= len("HTTP/1.") && beginsStatusLine(p)
}

// beginsStatusLine is LooksLikeResponse for however few octets.
func beginsStatusLine(p []byte) bool {
	const pattern = "HTTP/1.d ddd"
	if len(p) >= len(pattern) {
		return string(p[:7]) == pattern[:7] && isDigit(p[7]) && p[8] == ' ' && isDigit(p[9]) && isDigit(p[10]) && isDigit(p[11])
	}
	for i := range p {
		if c := pattern[i]; c == 'd' && (p[i] < '0' || p[i] > '9') || c != 'd' && p[i] != c {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return c-'0' < 10 }

// visibleStatus is the status of a response whose first octets are p; 0: not to be seen.
func visibleStatus(p []byte) uint16 {
	if len(p) < 12 || !beginsStatusLine(p) {
		return 0
	}
	return uint16(p[9]-'0')*100 + uint16(p[10]-'0')*10 + uint16(p[11]-'0')
}

// methodLen is how many octets of p can be a method's. Methods are upper case by custom;
// WebDAV's and UPnP's have hyphens.
func methodLen(p []byte) int {
	for i, c := range p {
		if (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return i
		}
	}
	return len(p)
}

// methods are those of RFC 9110 §9.3, PATCH, WebDAV's (RFC 4918) and a few seen often.
var methods = [...]string{
	"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE",
	"PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "SEARCH",
	"REPORT", "PURGE", "QUERY",
}

func isMethod(p []byte) bool {
	for _, m := range methods {
		if m == string(p) {
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

// The header fields that framing reads; the values of direction.unit.
const (
	fieldOther uint8 = iota
	fieldContentLength
	fieldTransferEncoding
	fieldConnection
	fieldKeepAlive
)

// headerLine interprets a line of a head; keep is set to what Keep-Alive: timeout= says. A
// line that begins with white space continues the one before (obsolete folding, RFC 9112
// §5.2).
func (l *direction) headerLine(line []byte, keep *uint16) {
	value := line
	switch line[0] {
	case ' ', '\t':
	case 'C', 'c', 'T', 't', 'K', 'k': // the initials of the fields that matter
		var name []byte
		name, value, _ = bytes.Cut(line, []byte{':'})
		l.unit = fieldOf(trimBlanks(name))
	default:
		l.unit = fieldOther
	}
	if l.unit == fieldOther {
		return
	}
	for more := true; more; {
		var e []byte
		e, value, more = bytes.Cut(value, []byte{','})
		if e = trimBlanks(e); len(e) > 0 {
			l.fieldElement(e, keep)
		}
	}
}

// trimBlanks removes spaces and tabs at both ends.
func trimBlanks(p []byte) []byte {
	for len(p) > 0 && (p[0] == ' ' || p[0] == '\t') {
		p = p[1:]
	}
	for n := len(p); n > 0 && (p[n-1] == ' ' || p[n-1] == '\t'); n-- {
		p = p[:n-1]
	}
	return p
}

// fieldElement interprets one member of the list that a field's value is.
func (l *direction) fieldElement(e []byte, keep *uint16) {
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
			*keep = uint16(min(n, math.MaxUint16))
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
