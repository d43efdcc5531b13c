// Package text writes figures, durations and messages as people read them, and makes
// strings from packets and file names harmless on the way.
package text

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Clean makes a string from a packet or a file name harmless for a terminal: bytes that
// are no UTF-8 and characters that are not printable (control characters, escape
// sequences, invisible and direction-changing ones) are written as Go writes them in a
// string literal.
func Clean(s string) string { return escape(s, strconv.IsPrint) }

// ASCII is Clean for what must keep its width: what is not ASCII is escaped too.
func ASCII(s string) string {
	return escape(s, func(r rune) bool { return r < utf8.RuneSelf && strconv.IsPrint(r) })
}

// escape writes all characters but the harmless ones as Go does.
func escape(s string, harmless func(rune) bool) string {
	if Simple(s) || strings.IndexFunc(s, func(r rune) bool { return r == utf8.RuneError || !harmless(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n <= 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case harmless(r):
			b.WriteString(s[i : i+n])
		default:
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		}
		i += n
	}
	return b.String()
}

// Simple reports whether a text can be written as it stands wherever there is an escape: all of
// it is printable ASCII without a quotation mark or a backslash, as it nearly always is.
func Simple(s string) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for ; len(s) >= 8; s = s[8:] {
		x := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		// An octet that is less than another one borrows from the top of its difference. One that
		// borrows from the next may have that taken for escaped, which does no harm.
		special := x | (x - ones*' ') | ((x ^ ones*'"') - ones) | ((x ^ ones*'\\') - ones) | ((x ^ ones*0x7f) - ones)
		if special&tops != 0 {
			return false
		}
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// Path is a request target as it is shown: see WithoutSecrets.
func Path(s string, query bool) string { return Clean(WithoutSecrets(s, query)) }
