package detect_test

import (
	"strings"
	"testing"

	"connrace/detect"
)

// Wherever the snap length cuts off what shows that a TLS handshake was complete, none is said to
// have failed.
func TestHandshakeCutOff(t *testing.T) {
	for _, s := range corpus(t) {
		if !strings.HasPrefix(s.Name, "healthy-tls") {
			continue
		}
		r := s.Resolve()
		for r.Capture.Snaplen = 60; r.Capture.Snaplen <= 200; r.Capture.Snaplen++ {
			for _, f := range run(r).Findings {
				if f.Rule == detect.TLSHandshakeFailed {
					t.Errorf("%s, snaplen %d: %s", s.Name, r.Capture.Snaplen, f.Summary)
				}
			}
		}
	}
}

// Where one side speaks TLS and the other does not, the scheme is what is to be changed, whoever closes
// first, and also where it may be a probe.
func TestWrongScheme(t *testing.T) {
	for name, fix := range map[string]string{
		"tls-handshake-failed-plain-port":          "proxy_pass http://",
		"tls-handshake-failed-wrong-port":          "proxy_pass http://",
		"tls-handshake-failed-lb-closes":           "proxy_pass http://",
		"closed-with-request-outstanding-tls-port": "proxy_pass https://",
		"closed-with-request-outstanding-refused":  "return 444",
	} {
		found := 0
		for _, s := range corpus(t) {
			if s.Name != name {
				continue
			}
			for _, f := range run(s.Resolve()).Findings {
				found++
				if !strings.Contains(f.Fix, fix) || strings.Contains(f.Fix, "https") != strings.Contains(fix, "https") {
					t.Errorf("%s: fix %q lacks %q", name, f.Fix, fix)
				}
			}
		}
		if found == 0 {
			t.Errorf("%s: nothing found", name)
		}
	}
}
