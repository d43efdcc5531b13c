package detect

import (
	"strings"
	"testing"
)

// TestAlertAdvice: what is said of an alert names the two sides as they are.
func TestAlertAdvice(t *testing.T) {
	said := map[string]bool{}
	for a := range alerts {
		for _, who := range [][2]string{{"target", "load balancer"}, {"load balancer", "target"}} {
			x := alertAdvice(a, who[0], who[1])
			if x == nil {
				continue
			}
			said[x.cause] = true
			if s := x.cause + x.fix; strings.Contains(s, "WHO") || strings.Contains(s, "OTHER") || !strings.HasPrefix(x.cause, "The "+who[0]) {
				t.Errorf("%s: %s", alertName(a), s)
			}
		}
	}
	if want := 2 * 9; len(said) != want {
		t.Errorf("%d things are said, not %d", len(said), want)
	}
	if x := alertAdvice(48, "load balancer", "target"); x.cause != "The load balancer did not accept the target's certificate: it does not know who issued it." {
		t.Error(x.cause)
	}
	// The target's complaint is about the client certificate that the load balancer sent.
	for _, a := range []uint8{42, 43, 44, 45, 46, 48} {
		if fix := alertAdvice(a, "target", "load balancer").fix; strings.Contains(fix, "s_client") || strings.Contains(fix, "proxy_ssl_trusted_certificate") || !strings.Contains(fix, "proxy_ssl_certificate") {
			t.Errorf("%s: %s", alertName(a), fix)
		}
	}
}
