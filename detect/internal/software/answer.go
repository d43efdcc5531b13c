package software

import (
	"bytes"
	"slices"
	"strings"

	"connrace/tcpstate"
)

// product is a name in a Server field (RFC 9110 §10.2.4), and the software that writes it so.
type product struct {
	product string // without its version
	name    string
	field   string // the field's name as it writes it
	// form reports whether the field stands where the software puts it: elsewhere another
	// program has passed it on. May be nil.
	form func(*head, int) bool
	// likely says that nothing in the head belongs to one hop, so that a program in front that keeps
	// names and order may have passed it on.
	likely bool
}

var products = []product{
	{"gunicorn", "gunicorn", "Server", ofGunicorn, false}, // gunicorn/http/wsgi.py, default_headers
	{"nginx", "nginx", "Server", ofNginx, false},          // ngx_http_header_filter_module.c
	{"openresty", "nginx", "Server", ofNginx, false},
	{"uvicorn", "uvicorn", "server", ofUvicorn, false},      // uvicorn/config.py, encoded_headers
	{"Apache", "Apache", "Server", ofApache, false},         // http_filters.c, basic_http_header
	{"Apache-Coyote", "Tomcat", "Server", atFirst, false},   // Http11Processor.java, before 9
	{"Jetty", "Jetty", "Server", ofJetty, false},            // of 9
	{"Jetty", "Jetty", "Server", ofJetty12, true},           // HttpChannelState.java, onRequest
	{"lighttpd", "lighttpd", "Server", atLast, false},       // response.c, http_response_write_header
	{"Kestrel", "Kestrel", "Server", sorted, false},         // HttpHeaders.Generated.cs
	{"waitress", "waitress", "Server", sorted, false},       // waitress/task.py, build_response_header
	{"Werkzeug", "Werkzeug", "Server", ofWerkzeug, false},   // werkzeug/serving.py, run_wsgi
	{"daphne", "Daphne", "Server", ofDaphne, true},          // daphne/http_protocol.py, handle_reply
	{"TwistedWeb", "Twisted", "Server", ofTwisted, true},    // twisted/web/server.py, Request.process
	{"Cheroot", "Cheroot", "Server", dated, true},           // cheroot/server.py, send_headers
	{"TornadoServer", "Tornado", "Server", ofTornado, true}, // tornado/web.py, RequestHandler.clear
	{"aiohttp", "aiohttp", "Server", dated, true},           // aiohttp/web_response.py, _prepare_headers
	{"hypercorn-h11", "Hypercorn", "server", nil, false},
	{"hypercorn-h2", "Hypercorn", "", nil, false},
	{"granian", "Granian", "server", nil, false},
	{"Cowboy", "Cowboy", "server", nil, false},
	{"Caddy", "Caddy", "Server", nil, false},
	{"envoy", "Envoy", "server", nil, false},
	{"akka-http", "Akka HTTP", "Server", nil, false},
	{"pekko-http", "Pekko HTTP", "Server", nil, false},
	{"h2o", "h2o", "Server", nil, false},
	{"ATS", "Traffic Server", "Server", nil, false}, // proxy.config.http.response_server_str
}

// overHTTP2 are those of the products that speak HTTP/2 without TLS, as load balancers do to their targets: of
// another one it is not the other end that wrote the answer.
var overHTTP2 = []string{
	"nginx", "openresty", "Apache", "Jetty", "lighttpd", "Kestrel", "hypercorn-h2", "granian", "Cowboy", "Caddy", "envoy", "akka-http", "pekko-http", "h2o", "ATS",
}

// OfField tells the server by the Server field of an HTTP/2 answer alone: there all names are in lower case, no
// field belongs to one hop, and proxies keep the order. So one that does not name itself may have passed it on.
func OfField(value string) Software {
	if value == "" {
		return Software{}
	}
	name, version := nameAndVersion(value)
	for _, s := range products {
		if s.product == name && slices.Contains(overHTTP2, name) {
			return s.named(name, version, true)
		}
	}
	return Other
}

// nameAndVersion are the first of the products in a Server field.
func nameAndVersion(value string) (name, version string) {
	if s, v, ok := strings.Cut(value, "("); ok && s == "Jetty" {
		return s, v
	}
	if s, v, ok := strings.Cut(value, " aiohttp/"); ok && strings.HasPrefix(s, "Python/") {
		return "aiohttp", v
	}
	name, version, _ = strings.Cut(value, "/")
	return name, version
}

// named is the software, by its product and version.
func (p *product) named(product, version string, likely bool) Software {
	if version = digits(version); version != "" {
		product += "/" + version
	}
	return Software{Name: p.name, Basis: "its Server header, " + product, Likely: likely}
}

// passedOn reports whether a program has passed the answer on and added a field of its own.
func (h *head) passedOn() bool {
	return slices.ContainsFunc(h.fields, func(f field) bool { return tcpstate.AddedInPassing(strings.ToLower(f.name)) })
}

// OfAnswer tells the server by the whole head of an answer.
func OfAnswer(p []byte) Software {
	h, ok := parse(p)
	old := bytes.HasPrefix(h.line, []byte("HTTP/1.0 ")) // as some answer who asks so, nginx unless it is told otherwise
	if !ok || !old && !bytes.HasPrefix(h.line, []byte("HTTP/1.1 ")) || h.passedOn() {
		return Software{}
	}
	s := Software{}
	switch i := h.fold("Server"); {
	case i >= 0:
		if s = h.product(i); s == Other && old {
			return Software{}
		} else if s == Other && !ofApache(&h, i) && !ofGunicorn(&h, i) {
			s = unlike // Apache as a proxy keeps the field that it is given, but not its place
		}
	case old:
	default:
		if s = h.serverOrder(); s.Name == "" && bytes.HasPrefix(h.line, []byte("HTTP/1.1 2")) {
			s = Nameless
		}
	}
	if s.Name != "Envoy" && h.has("X-Envoy-Upstream-Service-Time") {
		return Software{} // Envoy names itself in what it passes on, unless it is told not to
	}
	return s
}

// product is the software that its Server field, the i-th, names.
func (h *head) product(i int) Software {
	f := h.fields[i]
	name, version := nameAndVersion(f.value)
	for _, s := range products {
		switch {
		case name != s.product:
		case s.likely && h.fold("Connection") > i:
			return Software{} // its own or, as lighttpd and others write it, that of who passed the answer on
		case f.name == s.field && h.value(f.name) != "" && (s.form == nil || s.form(h, i)):
			return s.named(name, version, s.likely)
		}
	}
	return Other
}

// serverOrder tells servers that name themselves nowhere by the order of what they add.
func (h *head) serverOrder() Software {
	for _, sign := range orders {
		if s := sign(h); s.Name != "" {
			return s
		}
	}
	return Software{}
}
