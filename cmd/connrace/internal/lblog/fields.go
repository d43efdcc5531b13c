package lblog

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"connrace/tcpstate"
)

// fields takes a line apart: fields between spaces, or in quotes.
type fields struct {
	rest   string
	quotes bool // the last field was in quotes
	cut    bool // a quoted field had no end
}

// next is the next field; ok is false at the end.
func (f *fields) next() (s string, ok bool) {
	f.rest = strings.TrimLeft(f.rest, " \t")
	if f.rest == "" {
		return "", false
	}
	if f.quotes = f.rest[0] == '"'; f.quotes {
		return f.quoted(), true
	}
	s, f.rest, _ = strings.Cut(f.rest, " ")
	return s, true
}

// peek is the next field's first octet; 0: there is none.
func (f *fields) peek() byte {
	if f.rest = strings.TrimLeft(f.rest, " \t"); f.rest == "" {
		return 0
	}
	return f.rest[0]
}

// quoted is the next field without its quotes. A quote in it is escaped by a backslash.
func (f *fields) quoted() string {
	in := f.rest[1:]
	for i := 0; i < len(in); i++ {
		switch in[i] {
		case '\\':
			i++
		case '"':
			f.rest = in[i+1:]
			return unescape(in[:i])
		}
	}
	f.rest, f.cut = "", true
	return unescape(in)
}

// unescape undoes \" \\ and \xHH.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b = append(b, s[i])
			continue
		}
		i++
		if s[i] == 'x' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b = append(b, byte(n))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

// request takes a request line apart. An absolute target becomes its path.
func (e *Entry) request(line string) {
	method, rest, ok := strings.Cut(line, " ")
	if !ok || method == "" || method == "-" || strings.HasPrefix(method, "<") || strings.ContainsAny(method, "/?") {
		return
	}
	e.Method = method
	target := rest
	if i := strings.LastIndexByte(rest, ' '); i >= 0 && (strings.HasPrefix(rest[i+1:], "HTTP/") || rest[i+1:] == "-") {
		target = rest[:i]
	} else {
		e.Cut = true
	}
	e.Path = path(target)
}

// path is the path and query of a request target. ALB writes whole URLs, without a slash
// behind the host where there is no path.
func path(target string) string {
	_, after, ok := strings.Cut(target, "://")
	if !ok || strings.ContainsAny(target[:len(target)-len(after)-3], "/?#") {
		return target
	}
	i := strings.IndexAny(after, "/?")
	switch {
	case i < 0:
		return "/"
	case after[i] == '?':
		return "/" + after[i:]
	}
	return after[i:]
}

// parseEndpoint reads ip:port; IPv6 with or without brackets.
func parseEndpoint(s string) (endpoint, bool) {
	i := strings.LastIndexByte(s, ':')
	if i <= 0 || i == len(s)-1 || len(s) > 56 {
		return endpoint{}, false
	}
	port, err := strconv.ParseUint(s[i+1:], 10, 16)
	if err != nil || port == 0 {
		return endpoint{}, false
	}
	host := strings.TrimSuffix(strings.TrimPrefix(s[:i], "["), "]")
	a, err := netip.ParseAddr(host)
	if err != nil || a.Zone() != "" {
		return endpoint{}, false
	}
	return tcpstate.EndpointFrom(netip.AddrPortFrom(a, uint16(port))), true
}

// extras reads what somebody added to the known fields: endpoints and words, also as the
// values of KEY=VALUE. HAProxy's bi= and bp= (%bi, %bp) belong together.
func (e *Entry) extras(rest string) {
	f := fields{rest: rest}
	var bi string
	for len(e.Words) < maxWords {
		s, ok := f.next()
		if !ok {
			return
		}
		key, value, keyed := strings.Cut(s, "=")
		if keyed && strings.HasPrefix(value, `"`) {
			// KEY="VALUE": next has cut at the first space inside.
			g := fields{rest: value + " " + f.rest}
			if !strings.HasSuffix(value, `"`) || len(value) == 1 {
				value = g.quoted()
				f.rest = g.rest
			} else {
				value = strings.Trim(value, `"`)
			}
		}
		if keyed && len(key) <= 32 && strings.Trim(key, lower+"_") == "" {
			switch key {
			case "bi", "backend_source_ip":
				bi = value
			case "bp", "backend_source_port":
				e.end(bi + ":" + value)
			default:
				e.value(key, value)
			}
			s = value
		}
		for part := range strings.FieldsFuncSeq(s, func(r rune) bool { return strings.ContainsRune(", |{}", r) }) {
			e.end(part)
			if len(part) >= minID && len(e.Words) < maxWords {
				e.Words = append(e.Words, part)
			}
		}
	}
}

const lower = "abcdefghijklmnopqrstuvwxyz"

// minID is how long a word must be to be taken for an id.
const minID = 8

func (e *Entry) end(s string) {
	if ep, ok := parseEndpoint(s); ok && len(e.Ends) < maxEnds {
		e.Ends = append(e.Ends, ep)
	}
}

// value takes what nginx's users call its $request_time and $upstream_ variables.
func (e *Entry) value(key, value string) {
	switch key {
	case "rt", "request_time":
		if d, ok := parseSeconds(value); ok && e.Kind == NginxAccess && e.Start == 0 {
			e.Start = e.End - d
		}
	case "ua", "upstream", "upstream_addr", "upstream_address":
		e.upstream(value)
	case "us", "upstream_status":
		e.upstreamStatus(lastOf(value))
	case "uht", "upstream_header_time":
		e.headerTime(lastOf(value))
	}
}

// lastOf is the last of several tries, "a, b : c".
func lastOf(list string) string { return list[strings.LastIndexAny(list, ", :")+1:] }

// upstream takes the targets that were tried, "a, b : c".
func (e *Entry) upstream(value string) {
	list := strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })
	if len(list) == 0 {
		return
	}
	if ep, ok := parseEndpoint(list[len(list)-1]); ok {
		e.Target = ep
		e.Retries = len(list) - 1
	}
}

// parseSeconds reads a number of seconds such as 0.021.
func parseSeconds(s string) (ns int64, ok bool) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v >= 0 && v < 1e9) {
		return 0, false
	}
	return int64(v*1e6+0.5) * 1e3, true
}

// stamp reads a time of a layout of which the zone, if it has none, is zone.
func stamp(layout, s string, zone *time.Location) (ns int64, ok bool) {
	t, err := time.ParseInLocation(layout, s, zone)
	if err != nil || t.Year() < 1970 || t.Year() > 2261 { // what int64 nanoseconds hold
		return 0, false
	}
	return t.UnixNano(), true
}

// status reads a status code; 0: it is none.
func status(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > 999 || len(s) != 3 {
		return 0
	}
	return n
}
