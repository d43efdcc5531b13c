package text

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// Grouped writes a number with commas between groups of three digits.
func Grouped(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Plural writes "1 request", "2 requests", "1,234 requests".
func Plural(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if stem, ok := strings.CutSuffix(noun, "try"); ok {
		return Grouped(n) + " " + stem + "tries"
	}
	return Grouped(n) + " " + noun + "s"
}

// Span writes a duration as Short does, with a plain space.
func Span(ns int64) string { return Plain(Short(ns)) }

// Length writes how long something took, without a precision that nobody needs.
func Length(ns int64) string {
	if ns < int64(time.Minute) {
		return Span(ns)
	}
	return time.Duration(ns).Round(time.Second).String()
}

func trimZeros(s string) string {
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// Short writes a duration to three digits: 2 s, 1.25 s, 20.7 ms, 90 min.
// Number and unit stay on one line.
func Short(ns int64) string {
	const unit = "\u00a0"
	switch a := max(ns, -ns); {
	case a < 999.5e3:
		return Digits(float64(ns)/1e3, 3) + unit + "µs"
	case a < 999.5e6:
		return Digits(float64(ns)/1e6, 3) + unit + "ms"
	case a < 600e9:
		return Digits(float64(ns)/1e9, 3) + unit + "s"
	case a < 7200e9:
		return Digits(float64(ns)/60e9, 3) + unit + "min"
	}
	return Digits(float64(ns)/3600e9, 3) + unit + "h"
}

// Digits writes a number to n digits.
func Digits(v float64, n int) string {
	decimals := max(n-1-int(math.Log10(max(math.Abs(v), 1))), 0)
	return trimZeros(strconv.FormatFloat(v, 'f', decimals, 64))
}

// Roughly is a long time in words.
func Roughly(ns int64) string {
	sign := "+"
	hours := ns / 3600e9
	if ns < 0 {
		sign, hours = "-", -hours
	}
	n, unit := hours, "hour"
	switch {
	case hours >= 2*365*24:
		n, unit = hours/(365*24), "year"
	case hours >= 2*24:
		n, unit = hours/24, "day"
	}
	return sign + Plural(uint64(n), unit)
}

// Sentence begins a text with a capital letter.
func Sentence(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}

// number is one before a unit.
var number = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`([0-9]) (s|ms|µs|min|h|bytes)\b`) })

// Together is a text in which numbers are held together with their units, by no-break spaces.
func Together(s string) string { return number().ReplaceAllString(s, "$1\u00a0$2") }

// Plain is a text without the no-break spaces that hold a number and its unit together, for
// who searches in it.
func Plain(s string) string { return strings.ReplaceAll(s, "\u00a0", " ") }
