package lblog

import (
	"strings"

	"connrace/cmd/connrace/internal/text"
)

// goSays finds out what an error of Go's net/http client says of a failed try, as Caddy logs it: what comes first in
// the list decides. Both ends of the connection may be named, as in "read tcp 10.0.0.1:40000->10.0.0.2:80: read: ...".
func (e *Entry) goSays(s string) {
	e.Says = withoutQuoted(s)
	for _, is := range goErrors {
		if strings.Contains(s, is.words) {
			if e.Failure, e.Why = is.failure, is.why; is.failure == ConnectError && strings.Contains(s, "timeout") {
				e.Failure = ConnectTimeout
			}
			break
		}
	}
	for word := range strings.FieldsSeq(s) {
		lb, target, two := strings.Cut(strings.TrimSuffix(word, ":"), "->")
		if two {
			e.end(lb)
		} else {
			target = lb
		}
		if ep, ok := parseEndpoint(target); ok && e.Target == (endpoint{}) {
			e.Target = ep
		}
	}
}

// withoutQuoted is what Go says without what it quotes of an answer, such as a malformed header, and without a request's query.
func withoutQuoted(s string) string {
	s, _, _ = strings.Cut(s, ` "`)
	if i := strings.Index(s, "header line: "); i >= 0 {
		s = s[:i+len("header line")]
	}
	return strings.TrimSuffix(text.WithoutSecrets(s, false), ":")
}

var goErrors = []struct {
	words   string
	failure Failure
	why     string
}{
	{"no upstreams available", Local, "Caddy had no upstream to send it to: none configured or none healthy"},
	{"no such host", Local, "the target's name could not be resolved"},
	{"cannot assign requested address", Local, "the load balancer's host had used up its local ports towards this target: widen ip_local_port_range"},
	{"too many open files", Local, "Caddy had no file descriptor left"},
	{"context canceled", ClientGone, ""},
	{"tls: ", Closed, "the TLS handshake with the target failed"},
	{"timeout awaiting response headers", ReadTimeout, ""},
	{"connection refused", Refused, "the target is down: nothing listens on its port"},
	{"dial tcp", ConnectError, ""},
	{"malformed ", BadAnswer, "the target answered, not as Go understands HTTP"},
	{"server sent GOAWAY", Closed, ""},
	{"server closed idle connection", Closed, ""},
	{"EOF", Closed, ""},
	{"connection reset by peer", Closed, ""},
	{"broken pipe", Closed, ""},
	{"use of closed network connection", Closed, ""},
	{"timeout", ReadTimeout, ""},
}
