package lblog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// show writes what was parsed of a line, to be compared with what was meant.
func show(e *Entry, ok bool) string {
	switch {
	case !ok:
		return "no line of it"
	case e == nil:
		return "not failed"
	}
	clock := func(ns int64) string {
		if ns == 0 {
			return "-"
		}
		return time.Unix(0, ns).UTC().Format("15:04:05.000000")
	}
	s := fmt.Sprintf("%s-%s %v %d %s %s", clock(e.Start), clock(e.End), failureNames[e.Failure], e.Status, dash(e.Method), dash(e.Path))
	if e.Alias != "" {
		s += " alias " + e.Alias
	}
	if e.Target != (endpoint{}) {
		s += " target " + e.Target.String()
	}
	if e.TraceID != "" {
		s += " trace " + e.TraceID
	}
	for _, ep := range e.Ends {
		s += " end " + ep.String()
	}
	if e.Retries >= 0 {
		s += fmt.Sprint(" retries ", e.Retries)
	}
	if e.Cut {
		s += " cut"
	}
	return s
}

var failureNames = map[Failure]string{
	Unsaid: "unsaid", Closed: "closed", Truncated: "truncated", Refused: "refused", ConnectError: "connect-error", ConnectTimeout: "connect-timeout",
	ReadTimeout: "read-timeout", ClientGone: "client-gone", TargetStatus: "target-status", BadAnswer: "bad-answer", Local: "local",
}

// Each kind has a parser, a name of its own and a title.
func TestKinds(t *testing.T) {
	for k := Unknown; k < nKinds; k++ {
		if ParseKind(k.String()) != k || k.Title() == "" || (kinds[k].parse == nil) != (k == Unknown) {
			t.Errorf("kind %d: name %q, title %q, parser %t", k, k, k.Title(), kinds[k].parse != nil)
		}
	}
}

// The successful lines are the examples of AWS's documentation ("Access log entries"); the
// failed ones are made after them.
func TestALB(t *testing.T) {
	const (
		tail    = ` "curl/7.46.0" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-targets/73e2d6bc24d8a067 `
		trace   = `"Root=1-58337281-1d84f3d73c47ec4e58577259" "www.example.com" "arn:aws:acm:us-east-2:123456789012:certificate/12345678-1234-1234-1234-123456789012" `
		created = `1 2018-07-02T22:22:48.364000Z "authenticate,forward" "-" "-" "10.0.0.1:80" "-" "-" "-" TID_123456`
	)
	for _, c := range []struct{ line, want string }{
		{`http 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80 0.000 0.001 0.000 200 200 34 366 "GET http://www.example.com:80/ HTTP/1.1" "curl/7.46.0" - - arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-targets/73e2d6bc24d8a067 "Root=1-58337262-36d228ad5d99923122bbe354" "-" "-" 0 2018-07-02T22:22:48.364000Z "forward" "-" "-" "10.0.0.1:80" "200" "-" "-" TID_1234abcd5678ef90`, "not failed"},
		{`h2 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 10.0.1.252:48160 10.0.0.66:9000 0.000 0.002 0.000 200 200 5 257 "GET https://10.0.2.105:773/ HTTP/2.0" "curl/7.46.0"`, "not failed"},
		{`ws 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 10.0.0.140:40914 10.0.1.192:8010 0.001 0.003 0.000 101 101 218 587 "GET http://10.0.0.30:80/ HTTP/1.1" "-" - - -`, "not failed"},
		{`http 2018-11-30T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 - 0.000 0.001 0.000 502 - 34 366 "GET http://www.example.com:80/ HTTP/1.1" "curl/7.46.0" - - arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-targets/73e2d6bc24d8a067 "Root=1-58337364-23a8c76965a2ef7629b185e3" "-" "-" 0 2018-11-30T22:22:48.364000Z "forward" "-" "LambdaInvalidResponse" "-" "-" "-" "-"`, "22:22:48.364000-22:23:00.186641 unsaid 502 GET / trace Root=1-58337364-23a8c76965a2ef7629b185e3"},
		{`https 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80 -1 -1 -1 502 - 57 155 "GET https://www.example.com:443/a?b=c HTTP/1.1"` + tail + trace + created, "22:22:48.364000-22:23:00.186641 unsaid 502 GET /a?b=c target 10.0.0.1:80 trace Root=1-58337281-1d84f3d73c47ec4e58577259"},
		{`grpcs 2018-07-02T22:23:00.186641Z app/lb/1 192.168.131.39:2817 10.0.0.1:80 0.000 0.100 0.000 503 503 57 155 "POST https://www.example.com:443/pkg.Service/Call HTTP/2.0"` + tail + trace + created, "22:22:48.364000-22:23:00.186641 target-status 503 POST /pkg.Service/Call target 10.0.0.1:80 trace Root=1-58337281-1d84f3d73c47ec4e58577259"},
		{`wss 2018-07-02T22:23:00.186641Z app/lb/1 192.168.131.39:2817 10.0.0.1:80 0.000 -1 -1 460 - 57 155 "GET https://www.example.com:443/ HTTP/1.1"` + tail + trace + created, "22:22:48.364000-22:23:00.186641 client-gone 460 GET / target 10.0.0.1:80 trace Root=1-58337281-1d84f3d73c47ec4e58577259"},
		{`https 2018-07-02T22:23:00.186641Z app/lb/1 192.168.131.39:2817 - -1 -1 -1 503 - 57 155 "GET https://h:443/ HTTP/1.1"` + tail + trace + `0 2018-07-02T22:23:00.186000Z "fixed-response" "-" "-" "-" "-" "-" "-"`, "22:23:00.186000-22:23:00.186641 local 503 GET / trace Root=1-58337281-1d84f3d73c47ec4e58577259"},
		// As the log was in 2016, up to the trace id; before that, without it.
		{`http 2016-08-10T22:08:42.945958Z app/my-lb/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80 -1 -1 -1 502 - 34 366 "GET http://www.example.com:80/ HTTP/1.1" "curl/7.46.0" - - arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-targets/73e2d6bc24d8a067 "Root=1-58337262-36d228ad5d99923122bbe354"`, "--22:08:42.945958 unsaid 502 GET / target 10.0.0.1:80 trace Root=1-58337262-36d228ad5d99923122bbe354"},
		{`http 2016-08-10T22:08:42.945958Z app/my-lb/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80 -1 -1 -1 502 -`, "--22:08:42.945958 unsaid 502 - - target 10.0.0.1:80"},
		// The processing times split what a 502 and a 504 can be.
		{`http 2018-07-02T22:23:00.186641Z app/lb/1 1.2.3.4:5 10.0.0.1:80 0.001 -1 -1 502 - 1 1 "GET http://h:80/ HTTP/1.1"`, "--22:23:00.186641 closed 502 GET / target 10.0.0.1:80"},
		{`http 2018-07-02T22:23:00.186641Z app/lb/1 1.2.3.4:5 10.0.0.1:80 0.001 -1 -1 504 - 1 1 "GET http://h:80/ HTTP/1.1"`, "--22:23:00.186641 read-timeout 504 GET / target 10.0.0.1:80"},
		{`http 2018-07-02T22:23:00.186641Z app/lb/1 1.2.3.4:5 10.0.0.1:80 0.001 0.2 -1 502 - 1 1 "GET http://h:80/ HTTP/1.1"`, "--22:23:00.186641 truncated 502 GET / target 10.0.0.1:80"},
		// Quotes, backslashes and control characters in what the client sent.
		{`http 2018-07-02T22:23:00.186641Z app/lb/1 192.168.131.39:2817 10.0.0.1:80 -1 -1 -1 502 - 34 366 "GET http://h:80/\"a b\"?q=\x22\\ HTTP/1.1" "evil \" 200 200 \"" - - arn:x "Root=1-58337262-36d228ad5d99923122bbe354" "-" "-" 0 2018-07-02T22:23:00.000000Z "forward" "-" "-" "10.0.0.1:80" "-" "-" "-"`, `22:23:00.000000-22:23:00.186641 unsaid 502 GET /"a b"?q="\ target 10.0.0.1:80 trace Root=1-58337262-36d228ad5d99923122bbe354`},
		{`http 2018-07-02T22:23:00.186641Z app/lb/1 192.168.131.39:2817 [2001:db8::1]:80 -1 -1 -1 504 - 34 366 "- http://h:80- -" "-" - -`, "--22:23:00.186641 unsaid 504 - - target [2001:db8::1]:80"},
		{`http 2018-07-02T22:23:00.186641Z app/lb/1 192.168.131.39:2817 10.0.0.1:80 -1 -1 -1 504 - 34 366 "GET http://h:80/x`, "--22:23:00.186641 unsaid 504 GET /x target 10.0.0.1:80 cut"},
		// Fields that may yet come.
		{`http 2018-07-02T22:23:00.186641Z app/lb/1 192.168.131.39:2817 10.0.0.1:80 -1 -1 -1 502 - 34 366 "GET http://h:80/ HTTP/1.1" "-" - - arn:x "-" "-" "-" 0 2018-07-02T22:23:00.000000Z "forward" "-" "-" "10.0.0.1:80" "-" "-" "-" TID_1 "host" "uri" "status" more "and more"`, "22:23:00.000000-22:23:00.186641 unsaid 502 GET / target 10.0.0.1:80"},
		{"http 2018-07-02 app/lb/1 192.168.131.39:2817 10.0.0.1:80 -1 -1 -1 502 -", "no line of it"},
		{"", "no line of it"},
		{"http", "no line of it"},
	} {
		if got := show(albLine(c.line, time.UTC)); got != c.want {
			t.Errorf("%.120s\n got %s\nwant %s", c.line, got, c.want)
		}
	}
}

// The lines with 10.77.0.2 are from nginx 1.22 in front of failing servers.
func TestNginxError(t *testing.T) {
	const context = `, client: 127.0.0.1, server: , request: "GET /r/1?d=90 HTTP/1.1", upstream: "http://10.77.0.2:8080/r/1?d=90", host: "127.0.0.1:8000"`
	for _, c := range []struct{ line, want string }{
		{`2026/11/20 19:38:48 [notice] 3934#3934: using the "epoll" event method`, "not failed"},
		{`2026/11/20 19:38:50 [error] 3937#3937: *20 upstream prematurely closed connection while reading response header from upstream` + context, "--19:38:50.000000 closed 0 GET /r/1?d=90 target 10.77.0.2:8080"},
		{`2026/11/20 19:38:50 [error] 3937#3937: *20 recv() failed (104: Connection reset by peer) while reading response header from upstream` + context, "--19:38:50.000000 closed 0 GET /r/1?d=90 target 10.77.0.2:8080"},
		{`2026/11/20 19:51:47 [error] 9806#9806: *15 writev() failed (104: Connection reset by peer) while sending request to upstream` + context, "--19:51:47.000000 closed 0 GET /r/1?d=90 target 10.77.0.2:8080"},
		{`2026/11/20 19:51:47 [error] 9806#9806: *15 readv() failed (104: Connection reset by peer) while reading upstream` + context, "--19:51:47.000000 truncated 0 GET /r/1?d=90 target 10.77.0.2:8080"},
		{`2026/11/20 19:51:47 [error] 9806#9806: *15 upstream prematurely closed connection while reading upstream` + context, "--19:51:47.000000 truncated 0 GET /r/1?d=90 target 10.77.0.2:8080"},
		{`2026/11/20 19:51:47 [error] 9806#9806: *15 connect() failed (111: Connection refused) while connecting to upstream` + context, "--19:51:47.000000 refused 0 GET /r/1?d=90 target 10.77.0.2:8080"},
		{`2026/11/20 19:53:24 [crit] 10736#10736: *99 connect() to 10.77.0.2:8080 failed (99: Cannot assign requested address) while connecting to upstream` + context, "--19:53:24.000000 local 0 GET /r/1?d=90 target 10.77.0.2:8080"},
		{`2026/11/20 19:53:24 [error] 1#1: *99 upstream timed out (110: Connection timed out) while connecting to upstream` + context, "--19:53:24.000000 connect-timeout 0 GET /r/1?d=90 target 10.77.0.2:8080"},
		{`2026/11/20 19:53:24 [error] 1#1: *99 upstream timed out (110: Connection timed out) while reading response header from upstream` + context, "--19:53:24.000000 read-timeout 0 GET /r/1?d=90 target 10.77.0.2:8080"},
		{`2026/11/20 19:51:01 [info] 9245#9245: *1 epoll_wait() reported that client prematurely closed connection, so upstream connection is closed too while sending request to upstream` + context, "--19:51:01.000000 client-gone 0 GET /r/1?d=90 target 10.77.0.2:8080"},
		// Syslog in front, a rewritten URI, IPv6, FastCGI, a referrer.
		{`<187>Nov 20 19:38:50 web1 nginx: 2026/11/20 19:38:50 [error] 3937#3937: *20 upstream prematurely closed connection while reading response header from upstream, client: 2001:db8::7, server: x.org, request: "POST /api/v1/x HTTP/2.0", upstream: "http://[fd00:77::2]:8080/v1/x", host: "x.org", referrer: "https://x.org/"`, "--19:38:50.000000 closed 0 POST /api/v1/x alias /v1/x target [fd00:77::2]:8080"},
		{`2026/11/20 19:38:50 [error] 1#1: *2 upstream prematurely closed FastCGI stdout while reading response header from upstream, client: 1.2.3.4, server: x, request: "GET / HTTP/1.1", upstream: "fastcgi://127.0.0.1:9000", host: "x"`, "--19:38:50.000000 closed 0 GET / target 127.0.0.1:9000"},
		{`2026/11/20 19:38:50 [error] 1#1: *2 connect() to unix:/run/app.sock failed (11: Resource temporarily unavailable) while connecting to upstream, client: 1.2.3.4, server: x, request: "GET / HTTP/1.1", upstream: "http://unix:/run/app.sock:/", host: "x"`, "--19:38:50.000000 local 0 GET /"},
		{`2026/11/20 19:38:50 [crit] 1#1: *2 connect() to unix:/run/app.sock failed (2: No such file or directory) while connecting to upstream, client: 1.2.3.4, server: x, request: "GET / HTTP/1.1", upstream: "http://unix:/run/app.sock:/", host: "x"`, "--19:38:50.000000 local 0 GET /"},
		{`2026/11/20 19:38:50 [error] 1#1: *2 no live upstreams while connecting to upstream, client: 1.2.3.4, server: x, request: "GET /x HTTP/1.1", upstream: "http://backend/x", host: "x"`, "--19:38:50.000000 local 0 GET /x"},
		{`2026/11/20 19:38:50 [error] 1#1: *2 upstream sent too big header while reading response header from upstream` + context, "--19:38:50.000000 bad-answer 0 GET /r/1?d=90 target 10.77.0.2:8080"},
		// What has nothing to do with a target, or is no failure.
		{`2026/11/20 19:38:50 [error] 1#1: *2 open() "/usr/share/nginx/html/x" failed (2: No such file or directory), client: 1.2.3.4, server: x, request: "GET /x HTTP/1.1", host: "x"`, "not failed"},
		{`2026/11/20 19:38:50 [warn] 1#1: *2 an upstream response is buffered to a temporary file /var/cache/nginx/1 while reading upstream` + context, "not failed"},
		{`2026/11/20 19:38:50 [info] 1#1: *2 writev() failed (104: Connection reset by peer) while sending to client` + context, "not failed"},
		{`2026/11/20 19:38:50 [warn] 1#1: *2 upstream server temporarily disabled while connecting to upstream` + context, "not failed"},
		{`2026/13/20 19:38:50 [error] 1#1: *2 no live upstreams`, "no line of it"},
		{"2026/11/20 19:38:50 [", "no line of it"},
		{"", "no line of it"},
	} {
		if got := show(nginxErrorLine(c.line, time.UTC)); got != c.want {
			t.Errorf("%.120s\n got %s\nwant %s", c.line, got, c.want)
		}
	}
}

func TestNginxErrno(t *testing.T) {
	for text, want := range map[string]string{
		"connect() to unix:/run/a.sock failed (11: Resource temporarily unavailable) while connecting to upstream": "listen queue of the target's unix socket was full",
		"connect() to unix:/run/a.sock failed (111: Connection refused) while connecting to upstream":              "nobody listens on its unix socket",
		"connect() to unix:/run/a.sock failed (2: No such file or directory) while connecting to upstream":         "its unix socket does not exist",
		"connect() to 10.0.0.1:80 failed (99: Cannot assign requested address) while connecting to upstream":       "used up its local ports",
		"connect() failed (111: Connection refused) while connecting to upstream":                                  "nothing listens on its port",
		"connect() failed (113: No route to host) while connecting to upstream":                                    "found no way to the target",
		"no live upstreams while connecting to upstream":                                                           "out of service",
	} {
		if _, why := nginxSays(text, `upstream: "http://a/"`); !strings.Contains(why, want) {
			t.Errorf("%s: %q, want %q", text, why, want)
		}
	}
}

func TestNginxAccess(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{`127.0.0.1 - - [20/Nov/2026:19:38:48 +0000] "GET /r/635412 HTTP/1.1" 200 20 "-" "Go-http-client/1.1" rt=0.052 uct="0.021" uht="0.053" urt="0.053" ua="10.77.0.2:8080" us="200"`, "not failed"},
		{`127.0.0.1 - - [20/Nov/2026:19:38:50 +0000] "GET /r/635424?d=90 HTTP/1.1" 502 157 "-" "Go-http-client/1.1" rt=0.250 uct="0.000" uht="-" urt="0.000" ua="10.77.0.2:8080" us="502"`, "19:38:49.750000-19:38:50.000000 unsaid 502 GET /r/635424?d=90 target 10.77.0.2:8080 end 10.77.0.2:8080 retries 0"},
		{`127.0.0.1 - - [20/Nov/2026:21:38:50 +0200] "GET /x HTTP/1.1" 502 157 "-" "-"`, "--19:38:50.000000 unsaid 502 GET /x"},
		{`127.0.0.1 - - [20/Nov/2026:19:38:50 +0000] "GET /x HTTP/1.1" 503 20 "-" "-" rt=0.045 uct="0.021" uht="0.044" urt="0.044" ua="10.77.0.2:8080" us="503"`, "19:38:49.955000-19:38:50.000000 target-status 503 GET /x target 10.77.0.2:8080 end 10.77.0.2:8080 retries 0"},
		{`127.0.0.1 - - [20/Nov/2026:19:38:50 +0000] "GET /x HTTP/1.1" 502 20 "-" "-" request_time=0.3 upstream_addr="10.77.0.2:8080, 10.77.0.3:8080" upstream_status="502, 502"`, "19:38:49.700000-19:38:50.000000 unsaid 502 GET /x target 10.77.0.3:8080 end 10.77.0.2:8080 end 10.77.0.3:8080 retries 1"},
		{`www.x.org 10.1.2.3 - alice [20/Nov/2026:19:51:01 +0000] "GET /r/419196?d=600 HTTP/1.1" 499 0 "https://x.org/a \"b\"" "Mozilla/5.0 (X11)"`, "--19:51:01.000000 client-gone 499 GET /r/419196?d=600"},
		{`10.1.2.3 - - [20/Nov/2026:19:51:01 +0000] "\x16\x03\x01" 400 0 "-" "-"`, "not failed"},
		{`10.1.2.3 - - [20/Nov/2026:19:51:01 +0000] "-" 502 0 "-" "-"`, "--19:51:01.000000 unsaid 502 - -"},
		{`10.1.2.3 - - [20/Nov/2026:19:51:01] "GET / HTTP/1.1" 502 0`, "no line of it"},
		{`10.1.2.3 - - [99/Nov/2026:19:51:01 +0000] "GET / HTTP/1.1" 502 0`, "no line of it"},
		{"", "no line of it"},
	} {
		if got := show(nginxAccessLine(c.line, time.UTC)); got != c.want {
			t.Errorf("%.120s\n got %s\nwant %s", c.line, got, c.want)
		}
	}
}

// The lines with f b/s are HAProxy 2.6's; the others are the examples of its manual.
func TestHAProxy(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{`127.0.0.1:10005 [20/Nov/2026:19:39:10.072] f b/s 0/0/30/36/66 200 122 - - ---- 8/8/7/7/0 0/0 "GET /r/538470 HTTP/1.1"`, "not failed"},
		{`127.0.0.1:10009 [20/Nov/2026:19:39:12.125] f b/s 0/0/0/-1/16 502 209 - - SH-- 3/3/2/2/0 0/0 "GET /r/538478?d=120 HTTP/1.1"`, "19:39:12.125000-19:39:12.141000 closed 502 GET /r/538478?d=120 retries 0"},
		{`127.0.0.1:10004 [20/Nov/2026:19:45:13.279] f b/s 0/0/-1/-1/2502 503 217 - - sC-- 11/11/10/10/0 0/0 "GET /r/112753 HTTP/1.1"`, "19:45:13.279000-19:45:15.781000 connect-timeout 503 GET /r/112753 retries 0"},
		{`127.0.0.1:10013 [20/Nov/2026:19:48:30.521] f b/s 0/0/-1/-1/10 503 217 - - SC-- 2/2/1/1/3 0/0 "GET /r/109283?d=40 HTTP/1.1"`, "19:48:30.521000-19:48:30.531000 connect-error 503 GET /r/109283?d=40 retries 3"},
		{`127.0.0.1:10003 [20/Nov/2026:19:55:12.498] f b/s 0/0/0/23/74 200 2105 - - SD-- 1/1/0/0/0 0/0 "GET /r/448229?b=4000&half=1 HTTP/1.1"`, "19:55:12.498000-19:55:12.572000 truncated 200 GET /r/448229?b=4000&half=1 retries 0"},
		{`127.0.0.1:10001 [20/Nov/2026:19:51:13.943] f b/s 0/0/21/-1/351 400 206 - - CH-- 1/1/0/0/0 0/0 "GET /r/396950?d=600 HTTP/1.1"`, "19:51:13.943000-19:51:14.294000 client-gone 400 GET /r/396950?d=600 retries 0"},
		{`127.0.0.1:10001 [20/Nov/2026:19:55:38.341] f b/s 0/0/21/41/62 503 140 - - ---- 1/1/0/0/0 0/0 "GET /x HTTP/1.1"`, "19:55:38.341000-19:55:38.403000 target-status 503 GET /x retries 0"},
		// Syslog in front, captured headers, what somebody logs besides.
		{`Feb  6 12:14:14 localhost haproxy[14389]: 10.0.1.2:33317 [06/Feb/2009:12:14:14.655] http-in static/srv1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 {1wt.eu} {} "GET /index.html HTTP/1.1"`, "not failed"},
		{`Feb  6 12:14:14 localhost haproxy[14389]: 10.0.1.2:33317 [06/Feb/2009:12:14:14.655] http-in~ static/srv1 10/0/30/-1/+109 502 0 - - SHVN 1/1/1/1/+2 0/0 {1wt.eu|Root=1-5c6a1234-000000000000000000538470} {} "GET /index.html HTTP/1.1" 10.77.0.1:35570`, "12:14:14.655000-12:14:14.764000 closed 502 GET /index.html end 10.77.0.1:35570 retries 2"},
		{`127.0.0.1:10009 [20/Nov/2026:19:39:12.125] f b/s 0/0/0/-1/16 502 209 - - SH-- 3/3/2/2/0 0/0 "GET /r/1 HTTP/1.1" bi=10.77.0.1 bp=35570`, "19:39:12.125000-19:39:12.141000 closed 502 GET /r/1 end 10.77.0.1:35570 retries 0"},
		{`[fd00::9]:10009 [20/Nov/2026:19:39:12.125] f b/[fd00::2]:8080 0/0/0/-1/16 502 209 - - SH-- 3/3/2/2/0 0/0 "GET /r/1 HTTP/1.1" [fd00::1]:35570`, "19:39:12.125000-19:39:12.141000 closed 502 GET /r/1 target [fd00::2]:8080 end [fd00::1]:35570 retries 0"},
		{`127.0.0.1:1 [20/Nov/2026:19:39:12.125] f b/<NOSRV> -1/-1/-1/-1/0 503 217 - - SC-- 0/0/0/0/0 0/0 "GET / HTTP/1.1"`, "19:39:12.125000-19:39:12.125000 local 503 GET / retries 0"},
		{`127.0.0.1:1 [20/Nov/2026:19:39:12.125] f f/<NOSRV> -1/-1/-1/-1/5 400 0 - - PR-- 2/2/0/0/0 0/0 "<BADREQ>"`, "not failed"},
		{`127.0.0.1:1 [20/Nov/2026:19:39:12.125] f b/s 0/0/0/-1/5 502 0 - - PH-- 2/2/0/0/0 0/0 "GET / HTTP/1.1"`, "19:39:12.125000-19:39:12.130000 bad-answer 502 GET / retries 0"},
		{`127.0.0.1:1 [20/Nov/2026:19:39:12.125] f b/s 0/0/0/-1/5 502 0 - - SH-- 2/2/0/0/0 0/0 "GET /a-very-long-path-that-the-buffer-had-no-room-for`, "19:39:12.125000-19:39:12.130000 closed 502 GET /a-very-long-path-that-the-buffer-had-no-room-for retries 0 cut"},
		// The TCP log, a start, damage.
		{`127.0.0.1:1 [20/Nov/2026:19:39:12.125] f b/s 0/0/5 212 -- 1/1/1/1/0 0/0`, "no line of it"},
		{`Proxy f started.`, "no line of it"},
		{`127.0.0.1:1 [20/Nov/2026:19:39:12.125]`, "no line of it"},
		{" [ [ [", "no line of it"},
		{"", "no line of it"},
	} {
		if got := show(haproxyLine(c.line, time.UTC)); got != c.want {
			t.Errorf("%.120s\n got %s\nwant %s", c.line, got, c.want)
		}
	}
}

// Times without a zone are of the zone that is said.
func TestZone(t *testing.T) {
	east := time.FixedZone("", 7200)
	e, _ := nginxErrorLine(`2026/11/20 21:38:50 [error] 1#1: *2 no live upstreams, client: 1.2.3.4`, east)
	h, _ := haproxyLine(`127.0.0.1:1 [20/Nov/2026:21:39:12.125] f b/s 0/0/0/-1/5 502 0 - - SH-- 2/2/0/0/0 0/0 "GET / HTTP/1.1"`, east)
	if got := e.Time().UTC().Hour(); got != 19 {
		t.Errorf("nginx: hour %d", got)
	}
	if got := h.Time().UTC().Hour(); got != 19 {
		t.Errorf("HAProxy: hour %d", got)
	}
}

// endless is a line that does not end.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	e.read += len(p)
	clear(p)
	return len(p), nil
}

// A line without end neither keeps the program busy forever nor from being interrupted.
func TestEndlessLine(t *testing.T) {
	in := &endless{}
	if err := (&File{}).read(t.Context(), in, time.UTC, nil); !errors.Is(err, ErrUnrecognised) || in.read > 2*undecidedOctets {
		t.Errorf("%v after %d octets", err, in.read)
	}
	ctx, cancel := context.WithCancel(t.Context())
	line := `2026/11/20 19:38:50 [notice] 3934#3934: using the "epoll" event method` + "\n"
	f := &File{}
	cancel()
	if err := f.read(ctx, io.MultiReader(strings.NewReader(line), in), time.UTC, nil); err != nil || f.Warning != "interrupted in line 2" {
		t.Errorf("%v, %q", err, f.Warning)
	}
}
