// Package otlp sends findings as log records, and the figures of a live capture as
// metrics, to an OpenTelemetry collector.
package otlp

import (
	"errors"
	"net/url"
)

var (
	errEndpoint = errors.New("must be http://HOST:4318 or https://…")
	errGRPC     = errors.New("OTLP is sent over HTTP only, not over gRPC: name the collector's HTTP port, http://HOST:4318 or https://…")
)

// Endpoint checks where --otlp is to send to.
func Endpoint(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "":
		return nil, errEndpoint
	case u.Scheme == "grpc" || u.Scheme == "grpcs":
		return nil, errGRPC
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errEndpoint
	case u.User != nil:
		return nil, errors.New("must not hold a password, which other users see in the list of processes; put it into OTEL_EXPORTER_OTLP_HEADERS")
	}
	return u, nil
}
