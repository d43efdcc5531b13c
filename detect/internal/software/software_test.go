package software

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// lines are a head's, written in one line.
func lines(s string) []byte { return []byte(strings.ReplaceAll(s, "|", "\r\n")) }

// A named head and who is to be named.
type named struct{ head, want string }

// recorded are the heads in a file of testdata.
func recorded(t testing.TB, file string) (rs []named) {
	b, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(string(b)) {
		if want, head, ok := strings.Cut(strings.TrimSpace(l), " "); ok && want != "#" {
			rs = append(rs, named{strings.TrimSpace(head), strings.NewReplacer("-", "", "_", " ").Replace(want)})
		}
	}
	return rs
}

func TestRecordedRequests(t *testing.T) {
	for _, r := range recorded(t, "requests.txt") {
		if got := OfRequest(lines(r.head)).Name; got != r.want {
			t.Errorf("%s: %q, want %q", r.head, got, r.want)
		}
	}
}

// Of all that real servers write each is named as the one that it is, or nobody is.
func TestRecordedAnswers(t *testing.T) {
	for _, r := range recorded(t, "answers.txt") {
		s := OfAnswer(lines(r.head))
		if got := s.Name; s.Likely {
			s.Name = got + "?"
		}
		if s.Name != r.want {
			t.Errorf("%s: %q, want %q", r.head, s.Name, r.want)
		}
	}
}

func TestPassedOn(t *testing.T) {
	for _, r := range recorded(t, "passed_on.txt") {
		if got := OfAnswer(lines(r.head)).Name; got != r.want {
			t.Errorf("%s: %q, want %q", r.head, got, r.want)
		}
	}
}

const (
	curls       = "User-Agent: curl/8.5.0|Accept: */*"
	fromFirefox = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0|Accept: */*|Accept-Language: en|Accept-Encoding: gzip"
)

// requests are further forms, each with what it must not be mistaken for.
var requests = []named{
	// nginx
	{"GET / HTTP/1.1|Host: app|X-Request-ID: 0a|X-Real-IP: 192.0.2.1|X-Forwarded-For: 192.0.2.1|X-Forwarded-Host: app|X-Forwarded-Port: 443|X-Forwarded-Proto: https|X-Forwarded-Scheme: https|X-Scheme: https|" + curls + "||", "ingress-nginx"},
	{"POST / HTTP/1.1|Host: app|Content-Length: 3|" + fromFirefox + "||", "nginx"},
	{"POST / HTTP/1.1|Host: app|Content-Length: 3|User-Agent: Mozilla/5.0 (X11) Chrome/140.0|Accept: */*|Accept-Language: en|Accept-Encoding: gzip||", ""}, // as Chromium itself does
	{"POST / HTTP/1.1|Host: app|Content-Length: 3|User-Agent: own/1.0||", ""},
	{"GET / HTTP/1.1|Host: app|X-Real-IP: 192.0.2.1|X-Forwarded-For: 192.0.2.1|" + curls + "|X-Forwarded-Host: app|X-Forwarded-Server: lb|Connection: Keep-Alive||", ""}, // and Apache behind it
	{"GET / HTTP/1.1|Host: app|X-Real-IP: 192.0.2.1|" + curls + "|X-Varnish: 7||", ""},
	{"GET / HTTP/1.1|Host: app|X-Real-IP: 192.0.2.1|" + curls + "|Via: 1.1 google||", ""},
	{"GET / HTTP/1.0|" + curls + "|Host: app|Connection: close||", ""}, // curl -0
	{"GET / HTTP/1.0|Connection: Keep-Alive|Host: app|User-Agent: ApacheBench/2.3|Accept: */*||", ""},
	{"GET / HTTP/1.1|" + curls + "|Host: app|X-Real-IP: 192.0.2.1||", ""},
	// lower case
	{"GET / HTTP/1.1|host: app|user-agent: curl/8.5.0|accept: */*||", "HAProxy"},
	{"GET / HTTP/1.1|user-agent: curl/8.5.0|accept: */*|host: app||", ""},                   // hyper
	{"GET / HTTP/1.1|host: app|user-agent: curl/8.5.0|accept: */*|connection: close||", ""}, // or Node's http-proxy
	{"GET / HTTP/1.1|Host: app|user-agent: curl/8.5.0|accept: */*||", ""},
	{"GET / HTTP/1.1|host: app|user-agent: reqwest/0.12|accept: */*||", ""},
	{"GET / HTTP/1.1|host: app|user-agent: curl/8.5.0|accept: */*|x-forwarded-proto: http|x-request-id: 0a|x-envoy-expected-rq-timeout-ms: 15000||", "Envoy"},
	{"GET / HTTP/1.1|host: app|user-agent: curl/8.5.0|accept: */*|x-forwarded-proto: http|x-request-id: 0a||", ""},
	{"GET / HTTP/1.1|host: app|user-agent: curl/8.5.0|accept: */*|x-forwarded-proto: http||", ""},
	{"GET / HTTP/1.1|host: app|user-agent: curl/8.5.0|x-envoy-expected-rq-timeout-ms: 15000|x-forwarded-for: 192.0.2.1||", ""}, // and HAProxy behind it
	{"GET / HTTP/1.1|Host: app|X-Envoy-Expected-Rq-Timeout-Ms: 15000|" + curls + "||", ""},
	// Go
	{"GET / HTTP/1.1|Host: app|" + curls + "|X-Forwarded-For: 192.0.2.1|X-Forwarded-Host: app|X-Forwarded-Port: 80|X-Forwarded-Proto: http|X-Forwarded-Server: edge|X-Real-Ip: 192.0.2.1|Accept-Encoding: gzip||", "Traefik"},
	{"GET / HTTP/1.1|Host: app|" + curls + "|Via: 1.1 Caddy|X-Forwarded-For: 192.0.2.1|X-Forwarded-Host: app|X-Forwarded-Proto: http|Accept-Encoding: gzip||", "Caddy"},
	{"GET / HTTP/1.1|Host: app|" + curls + "|X-Token: a|Accept-Encoding: gzip||", ""}, // curl with two -H
	{"GET / HTTP/1.1|Host: app|User-Agent: Go-http-client/1.1|Accept-Encoding: gzip|X-Forwarded-For: 192.0.2.1||", ""},
	// Via, and who only stands further up
	{"GET / HTTP/1.1|Host: app|" + curls + "|Via: 1.1 cache (squid/5.7)|X-Forwarded-For: 192.0.2.1|Cache-Control: max-age=0|Connection: keep-alive||", "Squid"},
	{"GET / HTTP/1.1|Host: app|" + curls + "|X-Cloud-Trace-Context: 0a/1|Via: 1.1 google|X-Forwarded-For: 192.0.2.1|Connection: Keep-Alive||", "GCP"},
	{"GET / HTTP/1.1|Host: app|" + curls + "|X-Cloud-Trace-Context: 0a/1|Via: 1.1 google|X-Forwarded-For: 192.0.2.1||", ""},
	{"GET / HTTP/1.1|Host: app|" + curls + "|Via: 1.1 nghttpx, 1.1 other||", ""},
	{"GET / HTTP/1.1|Host: app|" + curls + "|X-Amzn-Trace-Id: Root=1-0-0||", ""},
	// health checks
	{"GET / HTTP/1.1|Host: 192.0.2.9:8080|Connection: close|User-Agent: ELB-HealthChecker/2.0|Accept-Encoding: gzip, compressed||", "AWS ELB"},
	{"GET / HTTP/1.1|Host: app|User-Agent: ELB-HealthChecker/2.0|Accept-Encoding: gzip, compressed||", ""},
	{"GET / HTTP/1.1|Host: 192.0.2.9|User-Agent: GoogleHC/1.0|Connection: Keep-alive||", "GCP"},
	{"GET / HTTP/1.1|Host: 192.0.2.9|User-Agent: kube-probe/1.31|Accept: */*|Connection: close||", ""},
	{"GET / HTTP/1.1|Host: app|User-Agent: Amazon-Route53-Health-Check-Service (ref 0; report http://example.com)|Connection: close||", ""},
	{"SSH-2.0-curl|Host: app|X-Varnish: 1||", ""},
}

func TestOfRequest(t *testing.T) {
	for _, r := range requests {
		if got := OfRequest(lines(r.head)).Name; got != r.want {
			t.Errorf("%s: %q, want %q", r.head, got, r.want)
		}
	}
}

var answers = []named{
	{"HTTP/1.1 200 OK|Server: gunicorn|Date: now|Connection: close||", "gunicorn"},
	{"HTTP/1.1 200 OK|Date: now|Server: gunicorn||", "other"}, // passed on by Apache
	{"HTTP/1.1 200 OK|server: gunicorn|date: now||", "other"}, // by HAProxy
	{"HTTP/1.1 200 OK|Server: gunicorn|Via: 1.1 proxy||", ""},
	{"HTTP/1.1 200 OK|Server: gunicorn|Server: Caddy||", "other"},
	{"HTTP/1.1 200 OK|Server: gunicornx||", "other"},
	{"HTTP/1.1 200 OK|Server: nginx/1.24.0 (Ubuntu)|Date: now|Connection: close||", "nginx"},
	{"HTTP/1.1 200 OK|Date: now|Server: Apache/2.4.66 (Debian)|Keep-Alive: timeout=5, max=100|Connection: Keep-Alive||", "Apache"},
	{"HTTP/1.1 200 OK|Date: now|Server: Apache|Content-Length: 0||", "Apache"},
	{"HTTP/1.1 200 OK|Date: now|Content-Length: 20|Server: Jetty(9.4.57.v20241219)||", "Jetty"},
	{"HTTP/1.1 200 OK|date: now|server: uvicorn|content-length: 2||", "uvicorn"},
	{"HTTP/1.1 200 OK|Content-Length: 2|Date: now|Server: lighttpd/1.4.69||", "lighttpd"},
	{"HTTP/1.1 200 OK|Content-Length: 2|Date: now|Server: Kestrel||", "Kestrel"},
	{"HTTP/1.1 200 OK|server: envoy|date: now|x-envoy-upstream-service-time: 3||", "Envoy"},
	{"HTTP/1.1 200 OK|date: now|server: uvicorn|x-envoy-upstream-service-time: 3||", ""},
	{"HTTP/1.1 200 OK|Content-Length: 20|Date: now|Connection: keep-alive|Keep-Alive: timeout=5||", "Node.js"},
	{"HTTP/1.1 200 OK|X-Powered-By: Express|Date: now|Connection: keep-alive|Keep-Alive: timeout=72|Transfer-Encoding: chunked||", "Node.js"},
	{"HTTP/1.1 200 OK|X-Powered-By: Express|Content-Length: 2|Date: now|Connection: close||", "Node.js"},
	{"HTTP/1.1 200 OK|Content-Length: 2|Date: now|X-Powered-By: Express||", ""}, // passed on, in Go's order
	{"HTTP/1.1 200 OK|content-length: 2|date: now|connection: keep-alive|keep-alive: timeout=5||", ""},
	{"HTTP/1.1 200 OK|Date: now|Keep-Alive: timeout=5|Connection: keep-alive||", ""},
	{"HTTP/1.1 200 OK|Date: now|Connection: close||", ""},
	{"HTTP/1.1 200 OK|Date: now|Content-Length: 5|Content-Type: text/plain; charset=utf-8||", "Go"},
	{"HTTP/1.1 200 OK|Content-Length: 20|Date: now|Content-Type: text/plain; charset=utf-8||", "Go"},
	{"HTTP/1.1 200 OK|Date: now|Content-Length: 5|Content-Type: text/plain; charset=utf-8|Connection: close||", "Go"},
	{"HTTP/1.1 200 OK|Content-Type: application/json|Date: now|Content-Length: 5||", ""},                   // or Bun
	{"HTTP/1.1 200 OK|Date: now|Content-Type: text/plain; charset=utf-8|Transfer-Encoding: chunked||", ""}, // or Kestrel
	{"HTTP/1.1 200 OK|Content-Length: 20|Content-Type: text/plain||", ""},                                  // uWSGI
	{"HTTP/1.1 200 OK|Server: Jetty(12.0.9)|Date: now|Content-Type: text/plain|Content-Length: 2||", "Jetty"},
	{"HTTP/1.1 200 OK|Server: Jetty(12.0.9)|Date: now|Content-Type: text/plain|Content-Length: 2|Accept-Ranges: bytes||", "other"}, // by lighttpd
	{"HTTP/1.1 200 OK|Server: Jetty(12.0.9)|Date: now|Content-Length: 2|Connection: keep-alive||", ""},                             // or nginx, with proxy_pass_header Server
	{"HTTP/1.1 200 OK|Server: TornadoServer/6.4|Content-Type: text/html|Date: now|Connection: close||", ""},
	{"HTTP/1.1 200 OK|Content-Length: 2|Content-Type: text/plain|Date: now|Server: Cheroot/9.0.0||", "other"},         // by Go
	{"HTTP/1.1 200 OK|Content-Type: text/plain|Content-Length: 2|Date: now|Server: Python/3.11 other/3.8||", "other"}, // of the same form
	{"HTTP/1.1 299 |Content-Length: 2|Date: now||", ""},                                                               // there is no reason to write
	{"HTTP/1.1 200 |content-length: 2|date: now||", ""},                                                               // Tomcat through HAProxy
	{"HTTP/1.1 200 OK|Content-Length: 2|Date: now||", ""},
	{"HTTP/1.1 200 |Content-Length: 2|Date: now|Connection: keep-alive|Keep-Alive: timeout=20||", ""}, // Tomcat to HTTP/1.0, or Node.js before it
	{"HTTP/1.1 200 OK|Date: now|Connection: close|Content-Type: text/plain|X-Runtime: 0.1|Server: own||", "other"},
	{"HTTP/1.0 200 OK|Server: gunicorn|Date: now|Content-Length: 2||", ""}, // passed on
	{"HTTP/1.0 200 OK|Date: now|Content-Length: 5|Content-Type: text/plain; charset=utf-8||", ""},
	{"GET / HTTP/1.1|Server: gunicorn||", ""},
}

func TestOfAnswer(t *testing.T) {
	for _, r := range answers {
		if got := OfAnswer(lines(r.head)).Name; got != r.want {
			t.Errorf("%s: %q, want %q", r.head, got, r.want)
		}
	}
}

// Of a head that is cut off anywhere, or that goes on behind its end, nobody is named.
func TestCutOff(t *testing.T) {
	for _, r := range slices.Concat(recorded(t, "requests.txt"), recorded(t, "answers.txt"), recorded(t, "passed_on.txt"), requests, answers) {
		whole := lines(r.head)
		for n := range len(whole) {
			for _, of := range []func([]byte) Software{OfRequest, OfAnswer} {
				if got := of(whole[:n]); got.Name != "" {
					t.Fatalf("%q: %v", whole[:n], got)
				}
				if got := of(append(slices.Clone(whole), 'x')); got.Name != "" {
					t.Fatalf("%q and more: %v", whole, got)
				}
			}
		}
	}
}

func TestOpinion(t *testing.T) {
	var o Opinion
	if o.Add(Software{}); o.Said() != nil || !o.Silent() {
		t.Error("named by nothing")
	}
	o.Add(Software{Name: "nginx", Basis: "a"})
	o.Add(Software{Name: "nginx", Basis: "b"})
	if s := o.Said(); s == nil || *s != (Software{Name: "nginx", Basis: "a"}) || o.Silent() {
		t.Errorf("%v", s)
	}
	o.Add(Software{Name: "Go", Basis: "c"})
	o.Add(Software{Name: "nginx", Basis: "d"})
	if s := o.Said(); s != nil || o.Silent() {
		t.Errorf("%v of two that contradict each other", s)
	}
	o = Opinion{}
	if o.Add(Other); o.Said() != nil || o.Silent() {
		t.Error("software that is not listed was named")
	}
}

// FuzzHead: whatever comes, what is said is made of words of this package and digits.
func FuzzHead(f *testing.F) {
	known := map[string]bool{"": true}
	for _, r := range slices.Concat(recorded(f, "requests.txt"), recorded(f, "answers.txt"), recorded(f, "passed_on.txt"), requests, answers) {
		f.Add(lines(r.head))
		known[strings.TrimSuffix(r.want, "?")] = true
	}
	for _, p := range products {
		known[p.name] = true
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		for _, s := range []Software{OfRequest(p), OfAnswer(p)} {
			if !known[s.Name] || len(s.Basis) > 100 || strings.ContainsFunc(s.Basis, func(c rune) bool { return c < ' ' || c > '~' }) {
				t.Errorf("%q: %+v", p, s)
			}
		}
	})
}

// What always names itself is excluded by an answer without its name, or with another one.
func TestNot(t *testing.T) {
	for _, tt := range []struct{ head, want string }{
		{"HTTP/1.1 200 OK|date: Mon, 30 Nov 2026 06:00:00 GMT|content-length: 2||", "gunicorn Apache"},
		{"HTTP/1.1 200 OK|date: Mon, 30 Nov 2026 06:00:00 GMT|server: own||", "gunicorn Apache"},
		{"HTTP/1.1 200 OK|Date: Mon, 30 Nov 2026 06:00:00 GMT|Server: Werkzeug/3.0.1 Python/3.12.3|Content-Length: 2||", ""}, // as Apache passes it on
		{"HTTP/1.1 200 OK|Server: gunicorn|Date: Mon, 30 Nov 2026 06:00:00 GMT|Connection: keep-alive|Server: own||", ""},    // of the application, too
		{"HTTP/1.1 200 OK|Server: gunicorn|Date: Mon, 30 Nov 2026 06:00:00 GMT|Content-Length: 2||", "gunicorn Apache"},
		{"HTTP/1.1 400 Bad Request|Connection: close|Content-Length: 2||", ""}, // as gunicorn answers what it cannot read
		{"HTTP/1.1 200 OK|Date: Mon, 30 Nov 2026 06:00:00 GMT|Via: 1.1 x||", ""},
		{"HTTP/1.1 200 OK|Server: gunicorn|Date: Mon, 30 Nov 2026 06:00:00 GMT|Connection: keep-alive||", ""},
		{"HTTP/1.1 200 OK|date: Mon, 30 Nov", ""},
	} {
		var o Opinion
		o.Add(OfAnswer(lines(tt.head)))
		if got := strings.Join(o.Not(), " "); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.head, got, tt.want)
		}
	}
}

// Over HTTP/2 a name is likely, and one of a server that does not speak it came through another program.
func TestOfField(t *testing.T) {
	for value, want := range map[string]string{
		"nginx/1.29.3":           "nginx, its Server header, nginx/1.29.3",
		"Jetty(12.0.9)":          "Jetty, its Server header, Jetty/12.0.9",
		"envoy":                  "Envoy, its Server header, envoy",
		"hypercorn-h2":           "Hypercorn, its Server header, hypercorn-h2",
		"Apache/2.4.62 (Debian)": "Apache, its Server header, Apache/2.4.62",
		"gunicorn":               "other, ",
		"uvicorn":                "other, ",
		"own\x1b[31m/1.0":        "other, ",
		"":                       ", ",
	} {
		s := OfField(value)
		if got := s.Name + ", " + s.Basis; got != want || s.Likely != (s.Basis != "") {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}
