package text

import "strings"

// WithoutSecrets is a request target (RFC 9112 §3.2) without what is known to carry
// secrets: user information, and unless they are asked for, path parameters such as
// ;jsessionid=, the query and the fragment, of which also the marks may be
// percent-encoded, more than once where one proxy decodes for the next. What is behind the
// first mark goes with it.
func WithoutSecrets(target string, query bool) string {
	if !query {
		target = target[:mark(target)]
	}
	return withoutUsers(target)
}

// mark is where the first of ; ? # is, encoded or not; the length of s where there is none.
func mark(s string) int {
	for i := range len(s) {
		switch s[i] {
		case ';', '?', '#':
			return i
		case '%':
			rest := s[i+1:]
			for strings.HasPrefix(rest, "25") {
				rest = rest[2:]
			}
			if len(rest) > 3 && strings.EqualFold(rest[:3], "u00") { // as IIS also takes it
				rest = rest[3:]
			}
			if len(rest) >= 2 && (rest[0] == '3' && strings.IndexByte("bBfF", rest[1]) >= 0 || rest[:2] == "23") {
				return i
			}
		}
	}
	return len(s)
}

// withoutUsers takes user information out of the authority that a target is or has, and of
// those that its path or query has: proxies are asked for whole URLs that way.
func withoutUsers(s string) string {
	parts := strings.Split(s, "://")
	for i, p := range parts {
		from := 0
		if i == 0 && strings.HasPrefix(p, "/") { // a path, unless it begins with an authority
			if !strings.HasPrefix(p, "//") {
				continue
			}
			from = 2
		}
		host := p[from:]
		if n := strings.IndexAny(host, "/?#;"); n >= 0 {
			host = host[:n]
		}
		parts[i] = p[:from] + p[from+strings.LastIndexByte(host, '@')+1:]
	}
	return strings.Join(parts, "://")
}
