package detect

import (
	"fmt"
	"slices"
	"time"
)

// idleDefault is how long some software keeps an idle connection unless it is told
// otherwise. Only values looked up in source or documentation are listed.
type idleDefault struct {
	after    time.Duration
	software string
	setting  string // "" where there is none
	knob     string // Knob.Software of its settings; "" where there are none
}

// targetDefaults are the sides that close connections that the LB has opened.
var targetDefaults = []idleDefault{
	{2 * time.Second, "gunicorn", "--keep-alive", "gunicorn"},
	{5 * time.Second, "Node.js before 22.19 and 24.6", "server.keepAliveTimeout", "Node.js"},
	{5 * time.Second, "uvicorn", "--timeout-keep-alive", "uvicorn"},
	{5 * time.Second, "Apache httpd", "KeepAliveTimeout", "Apache"},
	{5 * time.Second, "Varnish", "timeout_idle", ""},
	{6 * time.Second, "Node.js from 22.19 and 24.6 to 25", "server.keepAliveTimeout 5 s + keepAliveTimeoutBuffer 1 s", "Node.js"},
	{20 * time.Second, "Puma before 7", "persistent_timeout", "Puma"},
	{20 * time.Second, "Tomcat with its own server.xml", "connectionTimeout", "Tomcat"},
	{30 * time.Second, "Jetty", "idleTimeout", "Jetty"},
	{60 * time.Second, "Tomcat, embedded", "connectionTimeout", "Tomcat"},
	{60 * time.Second, "Undertow", "NO_REQUEST_TIMEOUT", ""},
	{65 * time.Second, "Puma from 7", "persistent_timeout", "Puma"},
	{66 * time.Second, "Node.js from 26", "server.keepAliveTimeout 65 s + keepAliveTimeoutBuffer 1 s", "Node.js"},
	{75 * time.Second, "nginx", "keepalive_timeout", "nginx"},
	{75 * time.Second, "aiohttp before late 2024", "keepalive_timeout", ""},
	{130 * time.Second, "Kestrel", "Limits.KeepAliveTimeout", ""},
	{180 * time.Second, "Traefik", "respondingTimeouts.idleTimeout", ""},
	{300 * time.Second, "Caddy", "idle timeout", ""},
	{3630 * time.Second, "aiohttp since late 2024", "keepalive_timeout", ""},
}

// lbDefaults are the sides that keep a pool of connections to targets.
var lbDefaults = []idleDefault{
	{5 * time.Second, "CloudFront", "origin keep-alive timeout", ""},
	{60 * time.Second, "AWS ALB or CLB", "idle_timeout.timeout_seconds", "ALB"},
	{60 * time.Second, "nginx", "keepalive_timeout in upstream", "nginx"},
	{60 * time.Second, "Varnish", "backend_idle_timeout", ""},
	{90 * time.Second, "Go", "http.Transport.IdleConnTimeout", ""},
	{90 * time.Second, "Traefik", "forwardingTimeouts.idleConnTimeout", "Traefik"},
	{90 * time.Second, "Heroku router", "", ""},
	{120 * time.Second, "Caddy", "keepalive", ""},
	{240 * time.Second, "Azure load balancer", "idle timeout", ""},
	{300 * time.Second, "OCI load balancer", "", ""},
	{350 * time.Second, "AWS NLB", "TCP idle timeout", ""},
	{600 * time.Second, "Google Cloud load balancer", "", ""},
	{3600 * time.Second, "Envoy", "idle_timeout", "Envoy"},
}

// targetHints are the servers that close a connection idle for so long by default. That
// is a hint, no more: any server can be set to any value.
func targetHints(gap int64) []string { return hints(matching(targetDefaults, gap)) }

// lbHints are the load balancers that keep an idle connection for so long by default.
func lbHints(gap int64) []string { return hints(matching(lbDefaults, gap)) }

// LikelyKnobs are those of the rule's settings that belong to servers which by default close
// a connection idle for so long (ns).
func (r *Rule) LikelyKnobs(gap int64) []Knob {
	var out []Knob
	for _, d := range matching(targetDefaults, gap) {
		for _, k := range r.Servers {
			if k.Software == d.knob && !slices.Contains(out, k) {
				out = append(out, k)
			}
		}
	}
	return out
}

// A server closes at its timeout or up to a second late (gunicorn and lighttpd sweep,
// Node.js adds a buffer); it seems to close early only by the error of measurement.
const (
	closesLate  = 1100 * time.Millisecond
	closesEarly = 5 * time.Millisecond
)

// matching are the defaults that fit a gap, closest first. Those that fit it to 50 ms
// or a hundredth leave no room for the others.
func matching(defaults []idleDefault, gap int64) []idleDefault {
	late := func(d idleDefault) time.Duration { return max(time.Duration(gap)-d.after, 0) }
	var out []idleDefault
	for _, d := range defaults {
		if g := time.Duration(gap); g >= d.after-closesEarly && g <= d.after+closesLate {
			out = append(out, d)
		}
	}
	slices.SortStableFunc(out, func(a, b idleDefault) int { return int(late(a) - late(b)) })
	for i, d := range out {
		if d.after != out[0].after && late(out[0]) <= max(50*time.Millisecond, out[0].after/100) {
			return out[:i]
		}
	}
	return out
}

// lateSoftware is what closes so much later than it advertises (measured of Node.js 20.20 and
// Puma 5.6); nil: none known.
func lateSoftware(late int64) *Software {
	switch ms := late / millisecond; {
	case ms >= 950 && ms <= 1100:
		return &Software{Name: "Node.js", Basis: "it closes 1 s after what it advertises"}
	case ms >= 150 && ms <= 250:
		return &Software{Name: "Puma", Basis: "it closes 0.2 s after what it advertises"}
	}
	return nil
}

func hints(ds []idleDefault) []string {
	var out []string
	for _, d := range ds {
		setting := d.setting
		if setting != "" {
			setting += ", "
		}
		out = append(out, fmt.Sprintf("default of %s (%s%g s)", d.software, setting, d.after.Seconds()))
	}
	return out
}
