package html

import (
	"bytes"
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"

	"connrace/cmd/connrace/internal/text"
)

// svg is a drawing in the making. Every argument of add is escaped, so that no text from a
// packet can become markup.
type svg struct{ b bytes.Buffer }

// percent is a place in a drawing that is as wide as the page lets it, of 1.
type percent float64

// anchor keeps a text at that place inside the drawing.
func (p percent) anchor() string {
	switch {
	case p < .05:
		return "start"
	case p > .95:
		return "end"
	}
	return "middle"
}

// add writes markup; verbs are %v only. Strings are escaped for text and for quoted
// attributes, coordinates are rounded to a tenth of a pixel.
func (s *svg) add(format string, args ...any) {
	for i, a := range args {
		switch x := a.(type) {
		case string:
			args[i] = template.HTMLEscapeString(x)
		case percent:
			args[i] = strconv.FormatFloat(math.Round(float64(x)*1e5)/1e3, 'f', -1, 64) + "%"
		case float64:
			args[i] = strconv.FormatFloat(math.Round(x*10)/10, 'f', -1, 64)
		}
	}
	fmt.Fprintf(&s.b, format, args...)
}

// html is the finished drawing.
func (s *svg) html() template.HTML { return template.HTML(s.b.String()) }

// cut shortens a text to n characters.
func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// prose is a text in which what stands between backquotes is code. Numbers and their units stay
// together.
func prose(s string) template.HTML {
	parts := strings.Split(text.Together(s), "`")
	var b strings.Builder
	for i, p := range parts {
		p = template.HTMLEscapeString(p)
		switch {
		case i%2 == 0:
			b.WriteString(p)
		case i == len(parts)-1:
			b.WriteString("`" + p) // the last one has no partner
		default:
			b.WriteString("<code>" + p + "</code>")
		}
	}
	return template.HTML(b.String())
}
