package text

import (
	"strings"
	"unicode/utf8"

	"github.com/olekukonko/tablewriter/pkg/twwidth"
)

// Wrap breaks a text into lines of at most n columns: behind one of the characters in
// breaks, in the middle of a word only where one is too long. Spaces at a break vanish.
func Wrap(s string, n int, breaks string) []string {
	var lines []string
	for s != "" {
		end, at := fit(s, n, breaks)
		if end < len(s) && at > 0 {
			end = at
		}
		lines = append(lines, strings.TrimRight(s[:end], " "))
		s = strings.TrimLeft(s[end:], " ")
	}
	return lines
}

// fit is how much of s fits into n columns, at least one character, and where in that the
// last place to break is, 0 where there is none.
func fit(s string, n int, breaks string) (end, at int) {
	for i, r := range s {
		next := i + utf8.RuneLen(r)
		// No character takes more columns than bytes. The whole is measured: characters combine.
		if next > n && i > 0 && Width(s[:next]) > n {
			if r == ' ' {
				at = i
			}
			break
		}
		end = next
		if strings.ContainsRune(breaks, r) {
			at = end
		}
	}
	return end, at
}

// Width is how wide a text is on a terminal.
func Width(s string) int {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return twwidth.Width(s)
		}
	}
	return len(s)
}
