package lblog

import (
	"encoding/json"
	"strings"
)

// maxDepth bounds how deep the values of a line are nested.
const maxDepth = 16

// scanner reads a line of JSON without keeping what it does not need: logs are large and few lines are of interest.
type scanner struct {
	s     string
	i     int
	visit func(key, value string, quoted bool) // each string, number and word with its key
}

// object reads an object; false: the line is none, or is no JSON.
func (p *scanner) object() bool {
	return p.is('{') && p.members("", '}', 0) && strings.TrimSpace(p.s[p.i:]) == ""
}

// members reads what is left of an object or of a list, up to its end. A list's elements have the key of the list.
func (p *scanner) members(key string, end byte, depth int) bool {
	if p.is(end) {
		return true
	}
	for depth < maxDepth {
		if end == '}' {
			var ok bool
			if key, ok = p.str(); !ok || !p.is(':') {
				return false
			}
		}
		if !p.value(key, depth+1) {
			return false
		}
		if !p.is(',') {
			return p.is(end)
		}
	}
	return false
}

func (p *scanner) value(key string, depth int) bool {
	switch {
	case p.is('{'):
		return p.members(key, '}', depth)
	case p.is('['):
		return p.members(key, ']', depth)
	}
	if v, ok := p.str(); ok {
		p.visit(key, v, true)
		return true
	}
	n := strings.IndexAny(p.s[p.i:], ",]} \t")
	if n <= 0 {
		return false
	}
	p.visit(key, p.s[p.i:p.i+n], false)
	p.i += n
	return true
}

// is takes a character if it comes next, behind spaces.
func (p *scanner) is(c byte) bool {
	for p.i < len(p.s) && (p.s[p.i] == ' ' || p.s[p.i] == '\t') {
		p.i++
	}
	if p.i < len(p.s) && p.s[p.i] == c {
		p.i++
		return true
	}
	return false
}

// str takes a string.
func (p *scanner) str() (s string, ok bool) {
	if !p.is('"') {
		return "", false
	}
	escaped := false
	for i := p.i; i < len(p.s); i++ {
		switch p.s[i] {
		case '\\':
			escaped = true
			i++
		case '"':
			s, p.i = p.s[p.i:i], i+1
			if escaped {
				s = unescapeJSON(s)
			}
			return s, true
		}
	}
	return "", false
}

func unescapeJSON(s string) string {
	var out string
	if json.Unmarshal([]byte(`"`+s+`"`), &out) != nil {
		return unescape(s) // nginx's escape=default writes \xHH
	}
	return out
}
