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
	if strings.IndexFunc(s, func(r rune) bool { return r == utf8.RuneError || !harmless(r) }) < 0 {
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

// Path is a request target as it is shown: see WithoutSecrets.
func Path(s string, query bool) string { return Clean(WithoutSecrets(s, query)) }
