package software

import (
	"bytes"
	"slices"
	"strings"
)

// signs of who wrote a request last. Each demands a form that its program's source makes, of a
// request whose client is known to write another one: a client that speaks to the target itself
// is no load balancer.
var signs = []func(*head) Software{
	(*head).haproxy, (*head).nginx, (*head).apache, (*head).goProxy, (*head).varnish, (*head).h2o, (*head).lighttpd, (*head).via, (*head).envoy,
	(*head).healthCheck,
}

// OfRequest tells the load balancer by the whole head of a request. Where two signs contradict
// each other, one program has passed on what another wrote: which is the last is not known.
func OfRequest(p []byte) Software {
	h, ok := parse(p)
	if !ok || !bytes.HasSuffix(h.line, []byte(" HTTP/1.1")) && !bytes.HasSuffix(h.line, []byte(" HTTP/1.0")) {
		return Software{}
	}
	var o Opinion
	for _, sign := range signs {
		o.Add(sign(&h))
	}
	return o.said
}

// client is what the request's User-Agent says of who wrote it first.
type client uint8

const (
	unknownClient client = iota
	curl
	goClient
	pythonRequests
	firefox
	browser // another one
)

// client tells those whose own order of fields is known: each writes Host first, and but for the
// browsers User-Agent second; all names with capitals.
func (h *head) client() client {
	i := h.fold("User-Agent")
	if i < 0 {
		return unknownClient
	}
	switch ua := h.fields[i].value; {
	case strings.HasPrefix(ua, "curl/"):
		return curl
	case strings.HasPrefix(ua, "Go-http-client/1."):
		return goClient
	case strings.HasPrefix(ua, "python-requests/"):
		return pythonRequests
	case !strings.HasPrefix(ua, "Mozilla/5.0 (") || !h.has("Accept") || !h.has("Accept-Language") || !h.has("Accept-Encoding"):
		return unknownClient
	case strings.Contains(ua, " Firefox/"):
		return firefox
	}
	return browser
}

// haproxy: HAProxy writes all names of HTTP/1 in lower case since 2.0 (src/mux_h1.c, from HTX),
// keeps their order, adds X-Forwarded-For last, and no Connection where it keeps the connection.
// Envoy, too, writes lower case, but adds X-Forwarded-Proto and X-Request-Id behind it; proxies
// on Node.js always send Connection. Proxies that are made with hyper write the same (its HeaderMap has no
// case, and hyper adds nothing), so it is most likely HAProxy, not certainly.
func (h *head) haproxy() Software {
	if h.client() == unknownClient || h.fields[0].name != "host" || h.has("connection", "keep-alive", "via", "x-request-id") {
		return Software{}
	}
	other := func(f field) bool { return strings.HasPrefix(f.name, "x-envoy-") || strings.HasPrefix(f.name, "l5d-") }
	if !h.lower() || slices.ContainsFunc(h.fields, other) {
		return Software{}
	}
	if h.has("x-forwarded-proto") && !h.run(-1, "x-forwarded-for") {
		return Software{}
	}
	return Software{Name: "HAProxy", Basis: "header names in lower case, as only few write them", Likely: true}
}

// Fields that proxies add about the request that they pass on.
var forwarded = []string{"X-Real-IP", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port"}

// notNginx are fields that nginx adds only where it is told to, and others always.
var notNginx = []string{
	"Via", "X-Varnish", "X-Forwarded-Server", "X-Host", "Client-ip", "X-AppGW-Trace-Id", "X-Original-Host", "X-Kong-Request-Id", "X-Forwarded-Path",
	"X-Envoy-Expected-Rq-Timeout-Ms", "X-Cloud-Trace-Context",
}

// nginx: nginx writes the fields of proxy_set_header first, then Host, Connection and
// Content-Length, each unless it was set, and what the client sent behind them
// (ngx_http_proxy_module.c, ngx_http_proxy_headers).
func (h *head) nginx() Software {
	c := h.client()
	if c == unknownClient || h.has(notNginx...) {
		return Software{}
	}
	own := 0 // the fields that are nginx's
	var host, conn, length, about bool
	for _, f := range h.fields {
		switch {
		case f.name == "Host":
			host = true
		case f.name == "Connection" && (f.value == "close" || f.value == "upgrade"):
			conn = true
		case f.name == "Content-Length" && c != browser: // Chromium writes it there itself
			length = true
		case slices.Contains(forwarded, f.name):
			about = true
		case f.name == "Upgrade" || f.name == "X-Request-ID" || f.name == "X-Forwarded-Scheme" || f.name == "X-Scheme":
		default:
			goto end
		}
		own++
	}
end:
	rest := head{fields: h.fields[own:]}
	switch {
	case !host || rest.has("Connection", "Keep-Alive", "Host", "Content-Length", "X-Real-IP", "X-Forwarded-For"):
		return Software{}
	case conn && bytes.HasSuffix(h.line, []byte(" HTTP/1.0")):
		return Software{Name: "nginx", Basis: "HTTP/1.0 and Connection: close before its client's headers, as it writes them"}
	case bytes.HasSuffix(h.line, []byte(" HTTP/1.0")):
		return Software{}
	case conn && h.fields[0].name != "Host", length, about && h.fields[0].name == "Host":
		if h.has("X-Scheme") && h.has("X-Forwarded-Scheme") {
			return Software{Name: "ingress-nginx", Basis: "X-Scheme and X-Forwarded-Scheme before its client's headers, as it writes them"}
		}
		return Software{Name: "nginx", Basis: "its own headers before its client's, as it writes them"}
	}
	return Software{}
}

// apache: mod_proxy appends three fields, the body's length and Connection
// (proxy_util.c, ap_proxy_create_hdrbrgd).
func (h *head) apache() Software {
	end := len(h.fields) - 1
	if end > 0 && (h.fields[end-1].name == "Content-Length" || h.fields[end-1].name == "Transfer-Encoding") {
		end--
	}
	if h.run(-1, "Connection") && h.run(end-3, "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Server") {
		return Software{Name: "Apache", Basis: "X-Forwarded-For, -Host, -Server and Connection at the end, as mod_proxy writes them"}
	}
	return Software{}
}

// goProxy: net/http writes Host, User-Agent and Content-Length, the others in the order of their
// names, and behind them Accept-Encoding: gzip where the request has none (http.Transport). Other
// programs than proxies have nobody to forward for.
func (h *head) goProxy() Software {
	c := h.client()
	if c == unknownClient || !h.run(0, "Host", "User-Agent") || !bytes.HasSuffix(h.line, []byte(" HTTP/1.1")) {
		return Software{}
	}
	rest := h.fields[2:]
	if len(rest) > 0 && (rest[0].name == "Content-Length" || rest[0].name == "Transfer-Encoding") {
		rest = rest[1:]
	}
	added := false // Accept-Encoding, by the transport
	if n := len(rest) - 1; n > 0 && rest[n] == (field{"Accept-Encoding", "gzip"}) && rest[n-1].name > "Accept-Encoding" {
		rest, added = rest[:n], true
	}
	if !slices.IsSortedFunc(rest, func(a, b field) int { return strings.Compare(a.name, b.name) }) {
		return Software{}
	}
	between := -1 // where the request's Accept-Encoding stands, in Go's order and in no other
	for i, f := range rest {
		switch {
		case c == goClient && f.name == "Accept-Encoding", c == pythonRequests && f.name == "Accept" && i+1 < len(rest) && rest[i+1].name == "Accept-Encoding":
			between = i
		}
	}
	moved := between >= 0 && (c == pythonRequests || between+1 < len(rest) && !strings.HasPrefix(rest[between+1].name, "X-Forwarded-") && rest[between+1].name != "X-Real-Ip")
	switch is := (&head{fields: rest}); {
	case !(added && c != goClient) && !moved:
		return Software{}
	case is.has("X-Varnish", "Client-ip"):
		return Software{}
	case is.run(-1, "X-Real-Ip") && is.has("X-Forwarded-Server") && is.has("X-Forwarded-Port") && is.has("X-Forwarded-Host"):
		return Software{Name: "Traefik", Basis: "X-Forwarded-Host, -Port, -Server and X-Real-Ip in Go's order, as it writes them"}
	case strings.HasSuffix(is.value("Via"), "1.1 Caddy"):
		return Software{Name: "Caddy", Basis: "its Via header, Caddy"}
	case is.has("Via", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Server", "X-Real-Ip"):
		return Software{} // Caddy, or one of many that are written in Go
	case is.has("X-Forwarded-For"):
		return Software{Name: "Go", Basis: "header names in order, as net/http writes them"}
	}
	return Software{}
}

// varnish: Varnish appends X-Varnish, the number of its transaction (cache_fetch.c).
func (h *head) varnish() Software {
	v := h.value("X-Varnish")
	if v == "" || strings.Trim(v, "0123456789") != "" || !h.run(-1, "X-Varnish") || !h.has("X-Forwarded-For") {
		return Software{}
	}
	return Software{Name: "Varnish", Basis: "X-Varnish at the end, as it writes it"}
}

// h2o: h2o writes its connection and host in lower case first, keeps the names of the client,
// and appends its own (lib/core/proxy.c, build_request).
func (h *head) h2o() Software {
	if !h.run(0, "connection", "host") || !h.run(-3, "x-forwarded-proto", "x-forwarded-for", "via") {
		return Software{}
	}
	return Software{Name: "h2o", Basis: "connection and host first, x-forwarded-proto, -for and via last, as it writes them"}
}

// lighttpd: mod_proxy adds X-Host besides what others add (mod_proxy.c, proxy_set_Forwarded).
func (h *head) lighttpd() Software {
	i := h.fold("X-Host")
	if i < 1 || !h.run(i-1, "X-Forwarded-For", "X-Host", "X-Forwarded-Host", "X-Forwarded-Proto") || !h.run(-1, "Connection") {
		return Software{}
	}
	return Software{Name: "lighttpd", Basis: "X-Forwarded-For, X-Host, X-Forwarded-Host and -Proto, as mod_proxy writes them"}
}

// via: some programs name themselves in Via (RFC 9110 §7.6.3), behind all that they pass on.
func (h *head) via() Software {
	v := h.value("Via")
	hop := strings.TrimSpace(v[strings.LastIndexByte(v, ',')+1:])
	_, comment, _ := strings.Cut(hop, "(")
	switch name, version, _ := strings.Cut(strings.TrimSuffix(comment, ")"), "/"); {
	case name == "squid":
		return Software{Name: "Squid", Basis: "its Via header, squid/" + digits(version)}
	case name == "ApacheTrafficServer" && h.run(-1, "Via"):
		return Software{Name: "Traffic Server", Basis: "its Via header, ApacheTrafficServer/" + digits(version)}
	case hop == "1.1 nghttpx" && h.run(-1, "Via"):
		return Software{Name: "nghttpx", Basis: "its Via header, nghttpx"}
	case hop == "1.1 google" && h.value("Connection") == "Keep-Alive":
		return Software{Name: "GCP", Basis: "its Via header, google"}
	}
	return Software{}
}

// envoy: Envoy writes lower case and says how long it will wait
// (x-envoy-expected-rq-timeout-ms, unless suppress_envoy_headers is set).
func (h *head) envoy() Software {
	if h.fields[0].name != "host" || h.value("x-envoy-expected-rq-timeout-ms") == "" || h.has("connection", "via") || h.run(-1, "x-forwarded-for") || !h.lower() {
		return Software{}
	}
	return Software{Name: "Envoy", Basis: "x-envoy-expected-rq-timeout-ms"}
}

// healthCheck: those who check whether a target lives say who they are. A check that came
// through a proxy has lost its Connection field, or names whom it was forwarded for. What asks
// from elsewhere (kube-probe, Route 53) is none of the load balancer.
func (h *head) healthCheck() Software {
	if h.has(forwarded...) || h.has("Via") || !bytes.HasSuffix(h.line, []byte(" HTTP/1.1")) {
		return Software{}
	}
	ua, conn := h.value("User-Agent"), h.value("Connection")
	switch {
	case strings.HasPrefix(ua, "ELB-HealthChecker/") && conn == "close":
		return Software{Name: "AWS ELB", Basis: "its health checks, ELB-HealthChecker"}
	case ua == "GoogleHC/1.0" && strings.EqualFold(conn, "keep-alive"):
		return Software{Name: "GCP", Basis: "its health checks, GoogleHC"}
	}
	return Software{}
}
