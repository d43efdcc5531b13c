package otlp

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// setting is what the environment says for a signal, LOGS or METRICS, under a name of the
// OpenTelemetry specification for exporters: what is said for the signal, else for all.
func setting(signal, name string) string {
	if v := os.Getenv("OTEL_EXPORTER_OTLP_" + signal + "_" + name); v != "" {
		return v
	}
	return os.Getenv("OTEL_EXPORTER_OTLP_" + name)
}

// pairs reads KEY=VALUE,KEY=VALUE, as the specification has it. No error quotes a value,
// which may be a password.
func pairs(s string) ([][2]string, error) {
	var all [][2]string
	for pair := range strings.SplitSeq(s, ",") {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue
		}
		key, value, ok := strings.Cut(pair, "=")
		key = strings.TrimSpace(key)
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if !ok || key == "" || err != nil {
			return nil, fmt.Errorf("must be KEY=VALUE,KEY=VALUE with values encoded as in URLs")
		}
		all = append(all, [2]string{key, value})
	}
	return all, nil
}

// headers are those that each message for a signal gets.
func headers(signal string) (http.Header, error) {
	ps, err := pairs(setting(signal, "HEADERS"))
	if err != nil {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_HEADERS: %w", err)
	}
	h := http.Header{"Content-Type": {"application/x-protobuf"}, "User-Agent": {"connrace"}}
	for _, p := range ps {
		h.Set(p[0], p[1])
	}
	return h, nil
}

// certificates are whom to trust and who to be, where the environment says so.
func certificates(signal string) (*tls.Config, error) {
	c := &tls.Config{}
	if path := setting(signal, "CERTIFICATE"); path != "" {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_CERTIFICATE: %w", err)
		}
		if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_CERTIFICATE: no certificate in %s", path)
		}
	}
	if cert, key := setting(signal, "CLIENT_CERTIFICATE"), setting(signal, "CLIENT_KEY"); cert != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE, OTEL_EXPORTER_OTLP_CLIENT_KEY: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// resource is who sends: this program on this host, and what the environment adds.
func resource(version string) (pcommon.Map, error) {
	as := pcommon.NewMap()
	as.PutStr("service.name", "connrace")
	as.PutStr("service.version", version)
	if host, err := os.Hostname(); err == nil {
		as.PutStr("host.name", valid(host))
	}
	ps, err := pairs(os.Getenv("OTEL_RESOURCE_ATTRIBUTES"))
	if err != nil {
		return as, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	for _, p := range ps {
		as.PutStr(valid(p[0]), valid(p[1]))
	}
	if name := os.Getenv("OTEL_SERVICE_NAME"); name != "" {
		as.PutStr("service.name", valid(name))
	}
	return as, nil
}
