package share

import (
	"bytes"
	"strings"
	"sync"
)

// What may be seen of the fields of a head: their names, if everybody knows them, and of the
// values of a few fields the words that everybody uses. It is what framing reads, and by what
// servers and load balancers are told apart; anything else is letters.

// names are the fields whose names are shown.
var names = set(`
accept accept-charset accept-encoding accept-language accept-ranges access-control-allow-credentials access-control-allow-headers
access-control-allow-methods access-control-allow-origin access-control-expose-headers access-control-max-age access-control-request-headers
access-control-request-method age allow alt-svc authorization cache-control cdn-loop cf-connecting-ip cf-ipcountry cf-ray cf-visitor client-ip
connection content-disposition content-encoding content-language content-length content-location content-md5 content-range
content-security-policy content-type cookie date dnt early-data etag expect expires forwarded from grpc-accept-encoding grpc-encoding
grpc-message grpc-status grpc-timeout host http2-settings if-match if-modified-since if-none-match if-range if-unmodified-since keep-alive
last-modified link location max-forwards origin permissions-policy pragma priority proxy-authenticate proxy-authorization proxy-connection
range referer referrer-policy retry-after sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user sec-websocket-accept
sec-websocket-extensions sec-websocket-key sec-websocket-protocol sec-websocket-version server set-cookie strict-transport-security te
traceparent tracestate trailer transfer-encoding true-client-ip upgrade upgrade-insecure-requests user-agent vary via warning
www-authenticate x-amz-cf-id x-amzn-trace-id x-appgw-trace-id x-b3-parentspanid x-b3-sampled x-b3-spanid x-b3-traceid x-cache
x-cloud-trace-context x-content-type-options x-correlation-id x-csrf-token x-envoy-attempt-count x-envoy-decorator-operation
x-envoy-expected-rq-timeout-ms x-envoy-external-address x-envoy-internal x-envoy-original-path x-envoy-peer-metadata
x-envoy-peer-metadata-id x-envoy-upstream-service-time x-forwarded x-forwarded-client-cert x-forwarded-for x-forwarded-host
x-forwarded-path x-forwarded-port x-forwarded-prefix x-forwarded-proto x-forwarded-scheme x-forwarded-server x-frame-options x-host
x-kong-proxy-latency x-kong-request-id x-kong-upstream-latency x-original-for x-original-forwarded-for x-original-host x-original-uri
x-powered-by x-proxy-cache x-real-ip x-request-id x-request-start x-requested-with x-runtime x-scheme x-served-by x-timer x-varnish
x-xss-protection l5d-dst-override l5d-client-id l5d-dst-canonical
:authority :method :path :scheme :status :protocol`)

// wordy are the fields of whose values the words are shown.
var wordy = set(`
accept accept-encoding cache-control connection content-encoding content-type expect keep-alive pragma proxy-connection server te
transfer-encoding upgrade user-agent vary via x-forwarded-proto x-forwarded-scheme x-powered-by x-scheme grpc-encoding
grpc-accept-encoding :scheme`)

// words are those that are shown there, and the only ones.
var words = set(`
close keep-alive upgrade http2-settings te timeout max chunked gzip deflate compress identity br zstd trailers websocket h2c h2 http https
HTTP 100-continue no-cache no-store max-age private public must-revalidate accept-encoding origin cookie q
text application image audio video multipart font plain html css csv xml json javascript octet-stream x-www-form-urlencoded form-data grpc
proto grpc-web png jpeg gif webp svg xhtml charset utf-8 utf8 iso-8859-1 us-ascii boundary event-stream problem ndjson
1.0 1.1 2.0 curl Go-http-client python-requests Mozilla AppleWebKit KHTML like Gecko Chrome Safari Firefox Edg compatible Windows Linux
Macintosh X11 Wget ELB-HealthChecker GoogleHC kube-probe Amazon-Route53-Health-Check-Service HealthCheck Consul Health Check Envoy HC
Prometheus ApacheBench hey wrk node node-fetch axios undici okhttp Java Apache-HttpClient grpc-go grpc-java-netty grpc-node-js
python-urllib3 aiohttp Python
gunicorn nginx openresty uvicorn Apache Apache-Coyote Jetty lighttpd Kestrel waitress hypercorn-h11 hypercorn-h2 granian Cowboy Caddy envoy
akka-http pekko-http h2o ATS daphne Werkzeug CherryPy TornadoServer Puma Microsoft-IIS istio-envoy cloudflare AmazonS3 awselb gws Google
Frontend varnish Varnish squid haproxy Express ASP.NET PHP Next.js Phusion Passenger Servlet JSP Undertow google CloudFront
Debian Ubuntu Unix CentOS Alpine`)

// number is a version or a figure: short ones say nothing, and long ones may be anything.
func isNumber(b []byte) bool {
	const components, digits = 3, 3
	n, run := 1, 0
	for _, c := range b {
		switch {
		case c == '.' && run > 0:
			n, run = n+1, 0
		case isDigit(c):
			run++
		default:
			return false
		}
		if n > components || run > digits {
			return false
		}
	}
	return run > 0
}

// set makes a set of words, whatever their case, when it is asked for: most runs of the program
// share nothing.
func set(list string) func() map[string]bool {
	return sync.OnceValue(func() map[string]bool {
		m := map[string]bool{}
		for _, w := range strings.Fields(list) {
			m[strings.ToLower(w)] = true
		}
		return m
	})
}

// field masks a line of a head; its name, the colon and blanks around the value stay.
func (k *secret) field(out, line []byte) {
	i := bytes.IndexByte(line, ':')
	if i <= 0 || line[0] == ' ' || line[0] == '\t' {
		// Folded, or none at all (RFC 9112 §5.2).
		if n := len(line) - len(bytes.TrimLeft(line, " \t")); n > 0 {
			copy(out, line[:n])
			k.letters(out[n:len(line)], line[n:])
			return
		}
		k.letters(out[:len(line)], line)
		return
	}
	k.name(out[:i], line[:i])
	out[i] = ':'
	from, to := i+1, len(line)
	for ; from < to && (line[from] == ' ' || line[from] == '\t'); from++ {
		out[from] = line[from]
	}
	for ; from < to && (line[to-1] == ' ' || line[to-1] == '\t'); to-- {
		out[to-1] = line[to-1]
	}
	k.value(out[from:to], strings.ToLower(string(bytes.TrimRight(line[:i], " \t"))), line[from:to])
}

// name masks a field's name. Whether letters are capitals tells who wrote it, and is shown.
func (k *secret) name(out, b []byte) {
	if names()[strings.ToLower(string(bytes.TrimRight(b, " \t")))] {
		copy(out, b)
		return
	}
	k.letters(out, bytes.ToLower(b))
	for i, c := range b {
		switch {
		case c == '-' && i > 0 && i < len(b)-1:
			out[i] = '-'
		case c >= 'A' && c <= 'Z':
			out[i] -= 'a' - 'A'
		}
	}
}

// value masks the value of a field whose name is given in lower case.
func (k *secret) value(out []byte, name string, v []byte) {
	const maxDigits = 12
	figures := func(also string, most int) bool {
		return len(v) <= most && strings.Trim(string(v), "0123456789"+also) == ""
	}
	switch {
	case name == "content-length" && figures(", ", maxDigits), name == ":status" && figures("", 3), name == "grpc-status" && figures("", 2),
		name == "grpc-timeout" && figures("HMSmun", 9):
		copy(out, v)
	case name == ":method":
		k.method(out, v)
	case name == ":path":
		k.path(out, v)
	case wordy()[name]:
		k.words(out, v)
	default:
		k.letters(out, v)
	}
}

// words masks a value of which the words are shown that everybody uses, and short figures behind
// them.
func (k *secret) words(out, v []byte) {
	known := false // the word before
	for i := 0; i < len(v); {
		n := i
		for n < len(v) && !isBetween(v[n]) {
			n++
		}
		if n == i {
			out[i] = v[i]
			known = known && (v[i] == '/' || v[i] == '=' || v[i] == '(')
			i++
			continue
		}
		w := string(v[i:n])
		switch {
		case known && i > 0 && isNumber(v[i:n]):
			copy(out[i:n], w)
		case words()[strings.ToLower(w)]:
			copy(out[i:n], w)
			known = true
		default:
			k.letters(out[i:n], v[i:n])
			known = false
		}
		i = n
	}
}

func isBetween(c byte) bool { return strings.IndexByte(" \t,;=/()\"*+", c) >= 0 }
