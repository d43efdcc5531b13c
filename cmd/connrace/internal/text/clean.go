// Package text writes figures, durations and messages as people read them, and makes
// strings from packets and file names harmless on the way.
package text

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Clean makes a string from a packet or a file name harmless for a terminal: bytes that
// are no UTF-8 and characters that are not printable (control characters, escape
// sequences, invisible and direction-changing ones) are written as Go writes them in a
// string literal.
func Clean(s string) string {
	if harmless(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n <= 1:
			b.WriteString(`\x`)
			b.WriteString(hexByte(s[i]))
		case strconv.IsPrint(r):
			b.WriteString(s[i : i+n])
		default:
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		}
		i += n
	}
	return b.String()
}

// ASCII is Clean for what must keep its width: what is not ASCII is escaped too.
func ASCII(s string) string {
	s = Clean(s)
	if strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if r < utf8.RuneSelf {
			b.WriteRune(r)
			continue
		}
		q := strconv.QuoteRuneToASCII(r)
		b.WriteString(q[1 : len(q)-1])
	}
	return b.String()
}

func harmless(s string) bool {
	for _, r := range s {
		if r == utf8.RuneError || !strconv.IsPrint(r) {
			return false
		}
	}
	return true
}

func hexByte(c byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[c>>4], digits[c&15]})
}

// Path is a request target as it is shown: see WithoutSecrets.
func Path(s string, query bool) string { return Clean(WithoutSecrets(s, query)) }
