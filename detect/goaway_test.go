package detect_test

import (
	"strings"
	"testing"
)

// A finding about streams of HTTP/2 that the target's close took away says whether a GOAWAY was sent, and what
// may be repeated.
func TestAboutGoAway(t *testing.T) {
	for _, c := range []struct{ script, cause, summary string }{
		{"fin-request-crossing-http2-refused", "In HTTP/2: its GOAWAY says that it never processed these requests", "2 HTTP/2 streams, 5 to 7; the last stream ID of its GOAWAY is 3"},
		{"closed-with-request-outstanding-http2-upgrade", "In HTTP/2: it sent no GOAWAY: nothing tells", "(HTTP/2 stream 3)"},
	} {
		for _, s := range corpus(t) {
			if s.Name != c.script {
				continue
			}
			fs := run(s).Findings
			if len(fs) != 1 || !strings.Contains(fs[0].Cause, c.cause) || !strings.Contains(fs[0].Summary, c.summary) {
				t.Errorf("%s: %s: %s", c.script, fs[0].Summary, fs[0].Cause)
			}
		}
	}
}
