package share

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"connrace/tcpstate"
)

// message is what is known of the message of HTTP/1 at hand.
type message struct {
	answer                             bool
	status                             int
	length                             uint64
	hasLength, badLength, chunked, old bool
	coded                              bool
}

// kind is what the framing of an answer needs to know of its request (RFC 9112 §6.3).
type kind uint8

const (
	other kind = iota
	head
	connect
)

// requests are the kinds of those that were not answered.
type requests []kind

const maxAsked = 16

// line masks a line that is complete.
func (h *half) line() {
	b, last := h.unit.join(), h.unit[len(h.unit)-1].p
	out := make([]byte, len(b))
	line := bytes.TrimSuffix(b[:len(b)-1], []byte{'\r'})
	copy(out[len(line):], b[len(line):])
	if h.long {
		h.unit.write(nil)
		if h.long = false; h.state != headerLine && h.state != trailerLine {
			h.state = lost
		}
		return
	}
	ok := true
	switch h.state {
	case startLine:
		if len(line) > 0 {
			if ok = h.conn.t.key.startLine(out, line); ok {
				h.begin(line, last)
			}
		}
	case headerLine:
		if len(line) == 0 {
			h.body()
		} else {
			h.field(line)
			h.conn.t.key.field(out, line)
		}
	case chunkLine:
		n := bytes.IndexFunc(line, func(r rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF", r) })
		if n < 0 {
			n = len(line)
		}
		size, err := strconv.ParseUint(string(line[:n]), 16, 62)
		if ok = err == nil; ok {
			if copy(out, line[:n]); n < len(line) {
				out[n] = ';'
				h.conn.t.key.letters(out[n+1:len(line)], line[n+1:])
			}
			if h.state = trailerLine; size > 0 {
				h.skip(size, chunkEnd)
			}
		}
	case chunkEnd:
		ok = len(line) == 0
		h.state = chunkLine
	case trailerLine:
		if len(line) == 0 {
			h.state = startLine
		} else {
			h.conn.t.key.field(out, line)
		}
	}
	if !ok {
		h.unit.write(nil)
		h.state = lost
		return
	}
	h.unit.write(out)
}

// begin begins a message with its first line.
func (h *half) begin(line []byte, p *packet) {
	c, o := h.conn, h.other()
	h.state, h.message = headerLine, message{answer: beginsAnswer(line), old: bytes.HasSuffix(line, []byte("HTTP/1.0"))}
	if h.answer {
		h.status, _ = strconv.Atoi(string(line[9:12]))
		h.old = line[7] == '0'
		return
	}
	if p.seg.Flags.Has(tcpstate.ACK) && p.seg.Ack == o.next && o.state != startLine && o.state != endless {
		o.lose() // who asks again takes the answer for complete
	}
	if o.state == lost {
		c.asked = c.asked[:0]
	}
	if len(c.asked) == maxAsked {
		h.state = lost
		return
	}
	k := other
	switch {
	case bytes.HasPrefix(line, []byte("HEAD ")):
		k = head
	case bytes.HasPrefix(line, []byte("CONNECT ")):
		k = connect
	}
	c.asked = append(c.asked, k)
}

// field notes what a line of a head says of the body.
func (h *half) field(line []byte) {
	name, value, _ := strings.Cut(string(line), ":")
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "content-length":
		for v := range strings.SplitSeq(value, ",") {
			n, err := strconv.ParseUint(strings.Trim(v, " \t"), 10, 62)
			h.badLength = h.badLength || err != nil || h.hasLength && n != h.length
			h.hasLength, h.length = true, n
		}
	case "transfer-encoding":
		codings := strings.Split(value, ",")
		last := strings.ToLower(strings.Trim(codings[len(codings)-1], " \t"))
		h.chunked, h.coded = last == "chunked", last != "chunked" && last != "identity"
	}
}

// body decides at the end of a head what follows it (RFC 9112 §6.3).
func (h *half) body() {
	h.state = startLine
	if h.answer {
		if h.status < 200 && h.status != http.StatusSwitchingProtocols {
			return
		}
		k, known := other, len(h.conn.asked) > 0
		if known {
			k = h.conn.asked[0]
			h.conn.asked = h.conn.asked[1:]
		}
		switch {
		case h.status == http.StatusSwitchingProtocols, k == connect && h.status/100 == 2:
			h.other().giveUp()
			h.other().state, h.state = endless, endless
			return
		case k == head, h.status == http.StatusNoContent, h.status == http.StatusNotModified:
			return
		case !known && (!h.hasLength || h.length > 0):
			h.state = lost // nothing follows if it was a HEAD
			return
		}
	}
	switch {
	case (h.chunked || h.coded) && h.old, h.coded && !h.answer, !h.chunked && h.badLength:
		h.state = lost
	case h.chunked:
		h.state = chunkLine
	case h.coded, h.answer && !h.hasLength:
		h.state = endless
	case h.length > 0:
		h.skip(h.length, startLine)
	}
}

// methods are those that are shown.
var methods = strings.Fields("GET POST HEAD PUT DELETE OPTIONS PATCH CONNECT TRACE PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK SEARCH REPORT PURGE QUERY PRI")

// methodSize is how many octets can be a method's.
func methodSize(b []byte) int {
	for i, c := range b {
		if (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return i
		}
	}
	return len(b)
}

// beginsRequest reports whether b begins with a request line, as far as it goes.
func beginsRequest(b []byte) bool {
	n := methodSize(b)
	return n >= 3 && n <= 20 && n+1 < len(b) && b[n] == ' ' && b[n+1] > ' ' && b[n+1] < 0x7f &&
		(b[n+1] == '/' || b[n+1] == '*' || slices.Contains(methods, string(b[:n])) || bytes.IndexByte(b, '\n') > 0) &&
		(bytes.IndexByte(b, '\n') < 0 || versionSize(firstLine(b)) > 0)
}

// beginsAnswer reports whether b begins with a status line.
func beginsAnswer(b []byte) bool {
	return len(b) >= 12 && string(b[:7]) == "HTTP/1." && isDigit(b[7]) && b[8] == ' ' && isDigit(b[9]) && isDigit(b[10]) && isDigit(b[11])
}

func firstLine(b []byte) []byte {
	b, _, _ = bytes.Cut(b, []byte{'\n'})
	return bytes.TrimSuffix(b, []byte{'\r'})
}

func isDigit(c byte) bool { return c-'0' < 10 }

// versionSize is the size of the version that ends a request line, with the space before it.
func versionSize(line []byte) int {
	const version = " HTTP/1."
	n := len(line) - len(version) - 1
	if n > 0 && string(line[n:len(line)-1]) == version && isDigit(line[len(line)-1]) {
		return len(version) + 1
	}
	return 0
}

// startLine masks a request or status line, whole or cut off; false: it is none.
func (k *secret) startLine(out, line []byte) bool {
	if beginsAnswer(line) {
		copy(out, line[:12])
		code, _ := strconv.Atoi(string(line[9:12]))
		if reason := line[12:]; len(reason) > 0 {
			out[12] = ' '
			if copy(out[13:], line[13:]); string(line[13:]) != http.StatusText(code) {
				k.letters(out[13:len(line)], line[13:])
			}
		}
		return true
	}
	n := methodSize(line)
	if n == 0 || n > 20 || n == len(line) || line[n] != ' ' {
		return false
	}
	k.method(out[:n], line[:n])
	out[n] = ' '
	end := len(line) - versionSize(line)
	copy(out[end:], line[end:])
	if end > n+1 {
		k.path(out[n+1:end], line[n+1:end])
	}
	return true
}

// method masks a method: one that nobody knows becomes another that nobody knows.
func (k *secret) method(out, b []byte) {
	if slices.Contains(methods, string(b)) {
		copy(out, b)
		return
	}
	k.letters(out, b)
	copy(out, bytes.ToUpper(out))
}
