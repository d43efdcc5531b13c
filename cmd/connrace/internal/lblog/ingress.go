package lblog

import (
	"strings"
	"time"
)

// ingressLine parses a line of ingress-nginx's access log in its default form, upstreaminfo ("Log format", Ingress-Nginx
// Controller):
//
//	... "user agent" length request_time [upstream] [alternative] addresses lengths times statuses id
func ingressLine(line string, _ *time.Location) (e *Entry, ok bool) {
	f := fields{rest: line[strings.LastIndexByte(line, '"')+1:]}
	var v [4]string
	for i := range v {
		v[i], _ = f.next()
	}
	if !strings.HasPrefix(v[2], "[") || !strings.HasPrefix(v[3], "[") {
		return nil, false
	}
	e, _, ok = combinedLine(line)
	if e == nil {
		return nil, ok
	}
	e.Kind = IngressNginx
	if d, ok := parseSeconds(v[1]); ok {
		e.Start = e.End - d
	}
	e.upstream(f.nextList())
	f.nextList()
	f.nextList()
	e.upstreamStatus(lastOf(f.nextList()))
	if e.extras(f.rest); e.Target == (endpoint{}) && e.Status == 503 {
		e.NoTarget, e.Why = true, "ingress-nginx had no endpoint to send it to"
	}
	return e, true
}

// nextList is the next field of several values, one for each try: "a, b : c".
func (f *fields) nextList() string {
	list, _ := f.next()
	for strings.HasSuffix(list, ",") || f.peek() == ':' || strings.HasSuffix(list, ":") {
		s, ok := f.next()
		if !ok {
			break
		}
		list += " " + s
	}
	return list
}
