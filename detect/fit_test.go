package detect

import (
	"slices"
	"strings"
	"testing"
)

func TestNamed(t *testing.T) {
	for name, want := range map[string]string{
		"node": "Node.js", "Node.js": "Node.js", "nodejs": "Node.js", "GO": "Go", "spring-boot": "Spring Boot", "pekko": "Pekko HTTP",
		"grpc": "", "grpc-go": "grpc-go", "p": "", "": "", "nodes": "", ".": "", "haproxy": "HAProxy", "alb": "",
	} {
		if got, ok := Named(name, ServerNames()); ok != (want != "") || ok && got != want {
			t.Errorf("%q: %q %t, want %q", name, got, ok, want)
		}
	}
	for _, names := range [][]string{ServerNames(), LBNames()} {
		for _, n := range names {
			if got, ok := Named(n, names); !ok || got != n {
				t.Errorf("%q is called %q", n, got)
			}
		}
	}
}

// A page shows of each side what fits, and what fits any.
func TestPageFits(t *testing.T) {
	page := SYNDropped.Page(Fit{Server: "Node.js", LB: "Envoy"})
	for _, want := range []string{"backlog: 1024 })", "net.core.somaxconn", "Envoy"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	_, page, _ = strings.Cut(page, "WHAT TO CHANGE")
	for _, other := range []string{"gunicorn --", "nginx", "HAProxy"} {
		if strings.Contains(page, other) {
			t.Errorf("the page speaks of %s", other)
		}
	}
	if page := StreamReset.Page(Fit{Server: "gunicorn"}); !strings.Contains(page, "No setting of gunicorn is known to help.") {
		t.Error("the page does not say that there is none")
	}
}

// What heads of messages name has settings, but for software that is only named.
func TestNamesHaveSettings(t *testing.T) {
	known := slices.Concat(ServerNames(), LBNames())
	for _, n := range []string{
		"Node.js", "gunicorn", "nginx", "uvicorn", "Apache", "Tomcat", "Jetty", "lighttpd", "Kestrel", "waitress", "Hypercorn", "Granian", "Cowboy", "Caddy", "Envoy",
		"Akka HTTP", "Pekko HTTP", "Go", "Puma", "Werkzeug", "Daphne", "Twisted", "Cheroot", "Tornado", "aiohttp", "Unicorn", "Passenger", "HAProxy", "ingress-nginx", "Traefik", "Varnish", "h2o", "Squid", "Traffic Server", "nghttpx", "GCP", "AWS ELB", "ALB",
	} {
		if !slices.Contains(known, n) {
			t.Errorf("no setting of %s is listed", n)
		}
	}
}
