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
