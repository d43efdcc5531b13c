package lblog

import (
	"strings"
	"testing"
	"time"
)

// What is known to carry secrets, headers and queries, is in no field that is shown as it is.
func TestNoSecrets(t *testing.T) {
	const (
		context = `, client: 10.1.2.3, server: , request: "GET /x HTTP/1.1", upstream: "http://10.0.0.2:80/x", host: "x"`
		nginx   = `2026/11/20 19:38:50 [error] 1#1: *2 upstream sent `
		reading = ` while reading response header from upstream` + context
		caddy   = `{"level":"error","ts":1796005200.9,"logger":"http.log.error","request":{"method":"GET","uri":"/x"},"duration":0.1,"status":502,"msg":"`
	)
	for _, tt := range []struct {
		kind Kind
		line string
		want string // what the log says; "": nothing failed
	}{
		{NginxError, nginx + `duplicate header line: "Location: https://app/cb?code=SECRET", previous value: "Location: /SECRET", ignored` + reading, ""},
		{NginxError, nginx + `duplicate header line: "Content-Length: SECRET", previous value: "Content-Length: 2"` + reading, "upstream sent duplicate header line"},
		{NginxError, nginx + `invalid header: "X-Session SECRET\x0d..."` + reading, "upstream sent invalid header"},
		{NginxError, nginx + `invalid header: "X-Session SECRET, client: x"` + reading, "upstream sent invalid header"},
		{Caddy, caddy + `net/http: HTTP/1.x transport connection broken: malformed MIME header: missing colon: \"X-Session SECRET\""}`, "net/http: HTTP/1.x transport connection broken: malformed MIME header: missing colon"},
		{Caddy, caddy + `malformed MIME header line: X-Session SECRET"}`, "malformed MIME header line"},
		{Caddy, caddy + `no route for /x?token=SECRET"}`, "no route for /x"},
		{NginxJSON, `{"time":"2026-11-20T19:38:48Z","request":"/slow?q=SECRET HTTP/1.1","status":502,"request_time":0.1}`, "status 502"},
		{NginxJSON, `{"time":"2026-11-20T19:38:48Z","method":"/slow?q=SECRET","status":502,"request_time":0.1}`, "status 502"},
	} {
		e, ok := kinds[tt.kind].parse(tt.line, time.UTC)
		if !ok || (e == nil) != (tt.want == "") {
			t.Errorf("%s: %+v, %v", tt.line, e, ok)
		} else if e != nil && (e.Says != tt.want || strings.Contains(e.Says+e.Why+e.Method+e.Client, "SECRET")) {
			t.Errorf("%s: %q, %q, %q", tt.line, e.Says, e.Why, e.Method)
		}
	}
}
