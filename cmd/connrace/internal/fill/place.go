package fill

import (
	"fmt"
	"html/template"
	"regexp"
	"strings"
	"sync"
)

// place is a kind of place in a page.
type place uint8

const (
	inText  place = iota // between tags
	inTitle              // where tags mean nothing, but entities do
	inTag                // within a tag, outside of values
	inValue              // within the quoted value of an attribute that means nothing but itself
	inLink               // likewise, of an address within the page, behind its #
	inOther              // likewise, of any other attribute, or of an address
	inStyle
	inScript
)

// position is one in a page: the place, and within a tag what follows it.
type position struct {
	place, next place
}

var (
	tagName   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(?:/?[a-z][a-z0-9]*|!DOCTYPE)`) })
	attribute = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\s([a-z-]+)="$`) })
	// harmless are attributes that are no script, no style and no address of what is loaded.
	harmless = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^(?:class|id|title|content|aria-[a-z]+|data-copy|data-rule)$`)
	})
)

// after is the position behind a piece of the page.
func (p position) after(s string) (position, error) {
	for s != "" {
		switch p.place {
		case inText:
			_, tag, found := strings.Cut(s, "<")
			if !found {
				return p, nil
			}
			name := tagName().FindString(tag)
			if name == "" {
				return p, fmt.Errorf("%.20q is no tag", "<"+tag)
			}
			p = position{inTag, map[string]place{"title": inTitle, "style": inStyle, "script": inScript}[name]}
			s = tag[len(name):]
		case inTitle, inStyle, inScript:
			end := map[place]string{inTitle: "</title", inStyle: "</style", inScript: "</script"}[p.place]
			_, rest, found := strings.Cut(s, end)
			if !found {
				return p, nil
			}
			p, s = position{place: inTag}, rest
		case inTag:
			i := strings.IndexAny(s, `"'<>`)
			if i < 0 {
				i = len(s)
			}
			before := s[:i]
			if strings.Contains(strings.TrimSuffix(before, "="), "=") || strings.HasSuffix(before, "=") && !strings.HasPrefix(s[i:], `"`) {
				return p, fmt.Errorf("%q: a value without quotes", before)
			}
			if i == len(s) {
				return p, nil
			}
			switch s[i] {
			case '>':
				p = position{place: p.next}
			case '"':
				m := attribute().FindStringSubmatch(s[:i+1])
				switch {
				case m == nil:
					return p, fmt.Errorf("%q: a value without a name", s[:i+1])
				case m[1] == "href" && strings.HasPrefix(s[i+1:], "#"):
					p.place = inLink
				case harmless().MatchString(m[1]):
					p.place = inValue
				default:
					p.place = inOther
				}
			default:
				return p, fmt.Errorf("%q in a tag", s[i])
			}
			s = s[i+1:]
		case inValue, inLink, inOther:
			_, rest, found := strings.Cut(s, `"`)
			if !found {
				return p, nil
			}
			p.place, s = inTag, rest
		}
	}
	return p, nil
}

// escaper is html/template's: + is an entity, so that nobody takes the page for UTF-7.
var escaper = strings.NewReplacer("\x00", "\uFFFD", `"`, "&#34;", "&", "&amp;", "'", "&#39;", "+", "&#43;", "<", "&lt;", ">", "&gt;")

// escape is a value as it can stand at a place.
func (p place) escape(v any) (string, error) {
	switch x := v.(type) {
	case template.HTML:
		if p == inText {
			return string(x), nil
		}
	case template.CSS:
		if p == inStyle {
			return string(x), nil
		}
	case template.JS:
		if p == inScript {
			return string(x), nil
		}
	case nil:
		return "", nil
	default:
		switch p {
		case inText, inTitle, inValue:
			return escaper.Replace(fmt.Sprint(x)), nil
		case inLink:
			return percent(fmt.Sprint(x)), nil
		}
	}
	return "", fmt.Errorf("%T cannot stand there", v)
}

// percent escapes what has a meaning in an address.
func percent(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	return b.String()
}
