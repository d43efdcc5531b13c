package software

import "bytes"

// products are the names in Server fields, as RFC 9110 §10.2.4 has them: a product with a
// version, each as its program's source writes it.
var products = []struct{ product, name string }{
	{"gunicorn", "gunicorn"},
	{"nginx", "nginx"},
	{"openresty", "nginx"},
	{"uvicorn", "uvicorn"},
	{"hypercorn-h11", "Hypercorn"},
	{"granian", "Granian"},
	{"Apache", "Apache"},
	{"Apache-Coyote", "Tomcat"},
	{"lighttpd", "lighttpd"},
	{"Kestrel", "Kestrel"},
	{"waitress", "waitress"},
	{"Cowboy", "Cowboy"},
	{"Caddy", "Caddy"},
	{"envoy", "Envoy"},
}

// passedOn are fields that programs add to answers which they pass on: whose Server field it is
// then is not known.
var passedOn = []string{"Via", "X-Varnish", "X-Cache", "X-Envoy-Upstream-Service-Time", "X-Proxy-Cache", "CF-Ray", "X-Amz-Cf-Id"}

// OfAnswer tells the server by the whole head of an answer.
func OfAnswer(p []byte) Software {
	h, ok := parse(p)
	if !ok || !bytes.HasPrefix(h.line, []byte("HTTP/1.")) || h.has(passedOn...) {
		return Software{}
	}
	i := h.index("Server")
	if i < 0 {
		return Software{}
	}
	product, version, _ := bytes.Cut(h.fields[i].value, []byte("/"))
	for _, s := range products {
		if string(product) == s.product {
			said := s.product
			if v := digits(version); v != "" {
				said += "/" + v
			}
			return Software{s.name, "Server: " + said}
		}
	}
	return Software{}
}

// digits is the version that p begins with; "": it does not look like one.
func digits(p []byte) string {
	n := 0
	for n < len(p) && (p[n] >= '0' && p[n] <= '9' || p[n] == '.') {
		n++
	}
	if n > 16 {
		return ""
	}
	return string(p[:n])
}
