package diagnosis

import (
	"testing"

	"connrace/detect"
)

// The load balancer waits longer than it did.
func TestPatient(t *testing.T) {
	for _, tt := range []struct {
		line   string
		waited int64
		want   string
	}{
		{"proxy_read_timeout 120s;", 30e9, "proxy_read_timeout 120s;"},
		{"proxy_read_timeout 120s;", 300e9, "proxy_read_timeout 600s;"},
		{"read_timeout: 120000", 61e9, "read_timeout: 122000"},
		{"idle_timeout.timeout_seconds = 120", 299_999_000_000, "idle_timeout.timeout_seconds = 600"},
		{"read_timeout 30 minutes", 300e9, "read_timeout 30 minutes"},
	} {
		if got := patient(detect.Knob{Line: tt.line}, tt.waited).Line; got != tt.want {
			t.Errorf("%q after %d ns: %q, want %q", tt.line, tt.waited, got, tt.want)
		}
	}
}

// What is pasted helps: the target outlives the load balancer.
func TestFitted(t *testing.T) {
	const s = int64(1e9)
	for _, tt := range []struct {
		line       string
		isLB       bool
		target, lb int64
		want       string // "": there is none
	}{
		{"server.keepAliveTimeout = 75_000; server.headersTimeout = 76_000", false, 5 * s, 0, "server.keepAliveTimeout = 75_000; server.headersTimeout = 76_000"},
		{"server.keepAliveTimeout = 75_000; server.headersTimeout = 76_000", false, 5 * s, 90 * s, "server.keepAliveTimeout = 95_000; server.headersTimeout = 96_000"},
		{"--keep-alive 75", false, 2 * s, 60 * s, "--keep-alive 75"},
		{"--keep-alive 75", false, 2 * s, 65 * s, "--keep-alive 75"},
		{"keepalive_timeout 75s;", false, 2 * s, 3600*s - 1, "keepalive_timeout 3605s;"},
		{`<Connector keepAliveTimeout="75000" ... />`, false, 2 * s, 350 * s, `<Connector keepAliveTimeout="355000" ... />`},
		{"TimeSpan.FromSeconds(180)", false, 2 * s, 120 * s, "TimeSpan.FromSeconds(180)"},
		{"TimeSpan.FromSeconds(180)", false, 2 * s, 350 * s, "TimeSpan.FromSeconds(355)"},
		{"keepalive_timeout 4s;", true, 5 * s, 0, "keepalive_timeout 4s;"},
		{"keepalive_timeout 4s;", true, 2 * s, 0, "keepalive_timeout 1s;"},
		{"keepalive_timeout 4s;", true, s, 0, ""},
		{`ProxyPass "/" "http://10.0.1.9:8080/" ttl=4`, true, 3 * s, 0, `ProxyPass "/" "http://10.0.1.9:8080/" ttl=2`},
		{"retry-on conn-failure empty-response", true, s, 0, "retry-on conn-failure empty-response"},
	} {
		got, ok := fitted(detect.Knob{Line: tt.line}, tt.isLB, tt.target, tt.lb)
		if ok != (tt.want != "") || ok && got.Line != tt.want {
			t.Errorf("%q against %d and %d ns: %q, %v, want %q", tt.line, tt.target, tt.lb, got.Line, ok, tt.want)
		}
	}
}
