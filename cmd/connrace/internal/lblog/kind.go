package lblog

import (
	"slices"
	"strings"
	"time"
)

// Kind is a kind of log.
type Kind uint8

// The kinds of log, in the order in which they are asked whether a line is theirs: the more
// particular form comes first. Unknown as a wish means that the lines shall tell.
const (
	Unknown Kind = iota
	ALB
	ELB
	NginxError
	IngressNginx
	ApacheError
	Traefik
	NginxAccess
	ApacheAccess // only as a wish: it looks like nginx's
	HAProxy
	Envoy
	EnvoyJSON
	TraefikJSON
	HAProxyJSON
	NginxJSON
	Caddy
	GCP
	JSON
	nKinds
)

// kinds say of each kind what it is called, whose log it is, and how a line is parsed. A parser reports whether a line
// is one of its log at all, and returns an entry if the request failed.
var kinds = [nKinds]struct {
	name, family string
	product      string // as people call it
	title        string
	zoneless     bool // its times are without a zone
	parse        func(line string, zone *time.Location) (*Entry, bool)
}{
	Unknown:      {title: "unknown log"},
	ALB:          {"alb", "alb", "AWS ALB", "ALB access log", false, albLine},
	ELB:          {"elb", "elb", "AWS Classic Load Balancer", "Classic Load Balancer access log", false, elbLine},
	NginxError:   {"nginx-error", "nginx", "nginx", "nginx error log", true, nginxErrorLine},
	IngressNginx: {"ingress-nginx", "nginx", "ingress-nginx", "ingress-nginx access log", false, ingressLine},
	ApacheError:  {"apache-error", "apache", "Apache", "Apache error log", true, apacheErrorLine},
	Traefik:      {"traefik", "traefik", "Traefik", "Traefik access log", false, traefikLine},
	NginxAccess:  {"nginx-access", "nginx", "nginx", "nginx access log", false, nginxAccessLine},
	ApacheAccess: {"apache-access", "apache", "Apache", "Apache access log", false, apacheAccessLine},
	HAProxy:      {"haproxy", "haproxy", "HAProxy", "HAProxy HTTP log", true, haproxyLine},
	Envoy:        {"envoy", "envoy", "Envoy", "Envoy access log", false, envoyLine},
	EnvoyJSON:    {"envoy-json", "envoy", "Istio", "Envoy access log (JSON)", false, jsonLine(EnvoyJSON)},
	TraefikJSON:  {"traefik-json", "traefik", "Traefik", "Traefik access log (JSON)", false, jsonLine(TraefikJSON)},
	HAProxyJSON:  {"haproxy-json", "haproxy", "HAProxy", "HAProxy log (JSON)", false, jsonLine(HAProxyJSON)},
	NginxJSON:    {"nginx-json", "nginx", "nginx", "nginx access log (JSON)", false, jsonLine(NginxJSON)},
	Caddy:        {"caddy", "caddy", "Caddy", "Caddy log", false, jsonLine(Caddy)},
	GCP:          {"gcp", "gcp", "Google Cloud", "Google Cloud load balancer log", false, jsonLine(GCP)},
	JSON:         {"json", "", "others in JSON", "access log (JSON)", false, jsonLine(JSON)},
}

func (k Kind) String() string { return kinds[k].name }

// Family is the load balancer whose log it is, such as "alb" or "nginx"; "": that is not known.
func (k Kind) Family() string { return kinds[k].family }

// Software is the load balancer that writes such a log, as detect.Software names it; "": that is
// not known.
func (k Kind) Software() string {
	return map[string]string{
		"alb": "ALB", "elb": "AWS ELB", "nginx": "nginx", "apache": "Apache", "traefik": "Traefik", "haproxy": "HAProxy", "envoy": "Envoy",
		"caddy": "Caddy", "gcp": "GCP",
	}[k.Family()]
}

// Title is what people call such a log.
func (k Kind) Title() string { return kinds[k].title }

// KindNames are the names that ParseKind takes.
func KindNames() []string {
	var names []string
	for _, k := range kinds[1:] {
		names = append(names, k.name)
	}
	return names
}

// Products are the load balancers whose logs are read, in words: "A, B and C".
func Products(and string) string { return list(func(k Kind) string { return kinds[k].product }, and) }

// Zoneless are the logs whose times are without a zone, in words.
func Zoneless(and string) string {
	return list(func(k Kind) string {
		if kinds[k].zoneless {
			return kinds[k].title
		}
		return ""
	}, and)
}

// list lists what of says of the kinds, each once.
func list(of func(Kind) string, and string) string {
	var words []string
	for k := range nKinds {
		if w := of(k); w != "" && !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " " + and + " " + words[last]
}

// ParseKind is the kind of a name; Unknown: there is none.
func ParseKind(name string) Kind {
	for k := range nKinds {
		if kinds[k].name == name {
			return k
		}
	}
	return Unknown
}
