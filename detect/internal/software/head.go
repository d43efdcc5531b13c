package software

import (
	"bytes"
	"slices"
	"strings"
)

// Bounds of the heads that are looked at; servers allow about as much.
const (
	maxHead   = 16 << 10
	maxFields = 64
)

// head is the whole head of an HTTP/1 message. Names of fields are compared with the case of
// letters: it is a sign of who wrote them.
type head struct {
	line   []byte // the first line
	fields []field
}

type field struct{ name, value string }

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
			return h, len(rest) == 0 && len(h.fields) > 0
		case i <= 0 || len(h.fields) == maxFields:
			return h, false
		default:
			h.fields = append(h.fields, field{string(line[:i]), string(bytes.Trim(line[i+1:], " \t"))})
		}
		p = rest
	}
}

// fold is where a field stands, its name in any case; -1: nowhere.
func (h *head) fold(name string) int {
	for i := range h.fields {
		if equalFold(h.fields[i].name, name) {
			return i
		}
	}
	return -1
}

// equalFold compares ASCII: letters beyond have no case in the name of a field.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// has reports whether one of the fields is there, in any case.
func (h *head) has(names ...string) bool {
	for _, n := range names {
		if h.fold(n) >= 0 {
			return true
		}
	}
	return false
}

// value is that of a field with exactly this name; "": there is none, or several.
func (h *head) value(name string) (v string) {
	if i := h.fold(name); i >= 0 && h.fields[i].name == name {
		for _, f := range h.fields[i+1:] {
			if equalFold(f.name, name) {
				return ""
			}
		}
		v = h.fields[i].value
	}
	return v
}

// run reports whether fields of exactly these names follow each other from the i-th on;
// negative: from the end.
func (h *head) run(i int, names ...string) bool {
	if i < 0 {
		i += len(h.fields)
	}
	if i < 0 || i+len(names) > len(h.fields) {
		return false
	}
	for k, n := range names {
		if h.fields[i+k].name != n {
			return false
		}
	}
	return true
}

// lower reports whether all names are in lower case.
func (h *head) lower() bool {
	return !slices.ContainsFunc(h.fields, func(f field) bool { return strings.ToLower(f.name) != f.name })
}

// digits is the version that s begins with; "": it does not look like one.
func digits(s string) string {
	n := 0
	for n < len(s) && (s[n] >= '0' && s[n] <= '9' || s[n] == '.') {
		n++
	}
	if n > 16 {
		return ""
	}
	return s[:n]
}
