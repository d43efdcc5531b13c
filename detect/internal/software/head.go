package software

import "bytes"

// Bounds of the heads that are looked at; servers allow about as much.
const (
	maxHead   = 16 << 10
	maxFields = 64
)

// head is the whole head of an HTTP/1 message.
type head struct {
	line   []byte // the first line
	fields []field
}

type field struct{ name, value []byte }

// parse reads a head that ends with its empty line. ok is false where it is cut off, or is none.
func parse(p []byte) (h head, ok bool) {
	if len(p) > maxHead {
		return h, false
	}
	for first := true; ; first = false {
		line, rest, found := bytes.Cut(p, []byte("\r\n"))
		switch i := bytes.IndexByte(line, ':'); {
		case !found:
			return h, false
		case first:
			h.line = line
		case len(line) == 0:
			return h, len(rest) == 0
		case i <= 0 || len(h.fields) == maxFields:
			return h, false
		default:
			h.fields = append(h.fields, field{line[:i], bytes.Trim(line[i+1:], " \t")})
		}
		p = rest
	}
}

// index is where a field stands; -1: nowhere. Without the case of letters.
func (h *head) index(name string) int {
	for i := range h.fields {
		if bytes.EqualFold(h.fields[i].name, []byte(name)) {
			return i
		}
	}
	return -1
}

// has reports whether one of the fields is there.
func (h *head) has(names ...string) bool {
	for _, n := range names {
		if h.index(n) >= 0 {
			return true
		}
	}
	return false
}
