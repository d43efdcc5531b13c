package software

import (
	"bytes"
	"slices"
	"strings"
)

// product is a name in a Server field (RFC 9110 §10.2.4), and the software that writes it so.
type product struct {
	product string // without its version
	name    string
	field   string // the field's name as it writes it
	// form reports whether the field stands where the software puts it: elsewhere another
	// program has passed it on. May be nil.
	form func(*head, int) bool
}

var products = []product{
	{"gunicorn", "gunicorn", "Server", ofGunicorn}, // gunicorn/http/wsgi.py, default_headers
	{"nginx", "nginx", "Server", ofNginx},          // ngx_http_header_filter_module.c
	{"openresty", "nginx", "Server", ofNginx},
	{"uvicorn", "uvicorn", "server", ofUvicorn},    // uvicorn/config.py, encoded_headers
	{"Apache", "Apache", "Server", ofApache},       // http_filters.c, basic_http_header
	{"Apache-Coyote", "Tomcat", "Server", atFirst}, // Http11Processor.java, before 9
	{"Jetty", "Jetty", "Server", ofJetty},          // of 9
	{"lighttpd", "lighttpd", "Server", atLast},     // response.c, http_response_write_header
	{"Kestrel", "Kestrel", "Server", sorted},       // HttpHeaders.Generated.cs
	{"waitress", "waitress", "Server", sorted},     // waitress/task.py, build_response_header
	{"hypercorn-h11", "Hypercorn", "server", nil},
	{"hypercorn-h2", "Hypercorn", "", nil},
	{"granian", "Granian", "server", nil},
	{"Cowboy", "Cowboy", "server", nil},
	{"Caddy", "Caddy", "Server", nil},
	{"envoy", "Envoy", "server", nil},
	{"akka-http", "Akka HTTP", "Server", nil},
	{"pekko-http", "Pekko HTTP", "Server", nil},
	{"h2o", "h2o", "Server", nil},
	{"ATS", "Traffic Server", "Server", nil}, // proxy.config.http.response_server_str
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

func atFirst(_ *head, i int) bool { return i == 0 }
func atLast(h *head, i int) bool  { return i == len(h.fields)-1 }

// Connection belongs to one hop: who passes an answer on takes it away, or puts its own elsewhere.
func ofGunicorn(h *head, _ int) bool { return h.run(0, "Server", "Date", "Connection") }

func ofNginx(h *head, _ int) bool   { return h.run(0, "Server", "Date") && h.value("Connection") != "" }
func ofApache(h *head, _ int) bool  { return h.run(0, "Date", "Server") }
func ofUvicorn(h *head, _ int) bool { return h.run(0, "date", "server") && h.lower() }
func ofJetty(h *head, i int) bool   { return i > 1 && atLast(h, i) && h.run(0, "Date") }

// sorted reports whether the fields stand in the order of their names.
func sorted(h *head, _ int) bool {
	return slices.IsSortedFunc(h.fields, func(a, b field) int { return strings.Compare(a.name, b.name) })
}

// passedOn are fields that programs add to answers which they pass on: whose Server field it is
// then is not known.
var passedOn = []string{
	"Via", "X-Varnish", "X-Cache", "Age", "X-Proxy-Cache", "X-Kong-Upstream-Latency", "CF-Ray", "X-Amz-Cf-Id", "X-Served-By",
}

// OfAnswer tells the server by the whole head of an answer.
func OfAnswer(p []byte) Software {
	h, ok := parse(p)
	if !ok || !bytes.HasPrefix(h.line, []byte("HTTP/1.1 ")) || h.has(passedOn...) {
		return Software{}
	}
	s := Software{}
	if i := h.fold("Server"); i >= 0 {
		if s = h.product(i); s == Other && !ofApache(&h, i) && !ofGunicorn(&h, i) {
			s = unlike // Apache as a proxy keeps the field that it is given, but not its place
		}
	} else if s = h.serverOrder(); s.Name == "" && bytes.HasPrefix(h.line, []byte("HTTP/1.1 2")) {
		s = Nameless
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
		case f.name == s.field && h.value(f.name) != "" && (s.form == nil || s.form(h, i)):
			return s.named(name, version, false)
		}
	}
	return Other
}

// serverOrder tells servers that name themselves nowhere by the order of what they add.
func (h *head) serverOrder() Software {
	end := len(h.fields)
	if h.run(-1, "Content-Length") || h.run(-1, "Transfer-Encoding") {
		end--
	}
	switch {
	case h.run(end-3, "Date", "Connection", "Keep-Alive") && h.fields[end-2].value == "keep-alive" && strings.HasPrefix(h.fields[end-1].value, "timeout="):
		// lib/_http_outgoing.js, _storeHeader
		return Software{Name: "Node.js", Basis: "its Date, Connection: keep-alive and Keep-Alive headers, in this order"}
	case h.run(0, "X-Powered-By") && h.fields[0].value == "Express" && h.run(end-2, "Date", "Connection"):
		return Software{Name: "Node.js", Basis: "its X-Powered-By header, Express"}
	case h.sniffed():
		return Software{Name: "Go", Basis: "its Date, Content-Length and Content-Type headers, in this order"}
	}
	return Software{}
}

// sniffed reports whether the head ends as net/http ends it, with a type that it found by itself
// (extraHeader.Write, DetectContentType): one that the handler has set, or that came from
// elsewhere, stands before Date. The length is behind Date unless the handler has set it.
func (h *head) sniffed() bool {
	end := len(h.fields)
	if h.run(-1, "Connection") && h.fields[end-1].value == "close" {
		end--
	}
	if !h.run(end-3, "Date", "Content-Length", "Content-Type") && !(h.run(end-2, "Date", "Content-Type") && h.value("Content-Length") != "") {
		return false
	}
	switch h.fields[end-1].value {
	case "text/plain; charset=utf-8", "text/html; charset=utf-8", "text/xml; charset=utf-8", "application/octet-stream":
		return true
	}
	return false
}
