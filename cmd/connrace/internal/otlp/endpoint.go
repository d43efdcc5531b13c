// Package otlp sends findings as log records, and the figures of a live capture as
// metrics, to an OpenTelemetry collector.
package otlp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/metric"
)

var errEndpoint = errors.New("must be http://HOST:4318, https://…, grpc://HOST:4317 or grpcs://…")

// Endpoint checks where --otlp is to send to.
func Endpoint(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errEndpoint
	}
	switch u.Scheme {
	case "http", "https":
	case "grpc", "grpcs":
		if u.Path != "" && u.Path != "/" {
			return nil, errEndpoint
		}
		if u.Port() == "" {
			u.Host += ":4317"
		}
	default:
		return nil, errEndpoint
	}
	if u.User != nil {
		return nil, errors.New("must not hold a password, which other users see in the list of processes; put it into OTEL_EXPORTER_OTLP_HEADERS")
	}
	return u, nil
}

// dial makes the two exporters for an endpoint. None of them connects yet. Headers,
// certificates and compression come from the environment (OTEL_EXPORTER_OTLP_…), as with
// every OpenTelemetry program.
func dial(ctx context.Context, u *url.URL) (log.Exporter, metric.Exporter, error) {
	var (
		logs    log.Exporter
		metrics metric.Exporter
		err     [2]error
	)
	switch u.Scheme {
	case "http", "https":
		logs, err[0] = otlploghttp.New(ctx,
			otlploghttp.WithEndpointURL(u.JoinPath("v1/logs").String()), otlploghttp.WithTimeout(exportTimeout),
			otlploghttp.WithProxy(proxy), otlploghttp.WithRetry(otlploghttp.RetryConfig(retry)))
		metrics, err[1] = otlpmetrichttp.New(ctx,
			otlpmetrichttp.WithEndpointURL(u.JoinPath("v1/metrics").String()), otlpmetrichttp.WithTimeout(exportTimeout),
			otlpmetrichttp.WithProxy(proxy), otlpmetrichttp.WithRetry(otlpmetrichttp.RetryConfig(retry)))
	default:
		plain := url.URL{Scheme: map[string]string{"grpc": "http", "grpcs": "https"}[u.Scheme], Host: u.Host}
		logs, err[0] = otlploggrpc.New(ctx,
			otlploggrpc.WithEndpointURL(plain.String()), otlploggrpc.WithTimeout(exportTimeout),
			otlploggrpc.WithRetry(otlploggrpc.RetryConfig(retry)))
		metrics, err[1] = otlpmetricgrpc.New(ctx,
			otlpmetricgrpc.WithEndpointURL(plain.String()), otlpmetricgrpc.WithTimeout(exportTimeout),
			otlpmetricgrpc.WithRetry(otlpmetricgrpc.RetryConfig(retry)))
	}
	return logs, metrics, errors.Join(err[:]...)
}

// proxy chooses the proxy of a request, as the environment says, and refuses one that a
// redirect has led to: findings go to the collector that was named, and nowhere else. It is
// the one place where every request of the SDK's own client, the redirected ones too, comes
// by before it is sent; a client of our own would lose the certificates of the environment.
func proxy(r *http.Request) (*url.URL, error) {
	if r.Response != nil { // which caused this request
		return nil, fmt.Errorf("the collector answered %d, a redirect, which is not followed", r.Response.StatusCode)
	}
	return http.ProxyFromEnvironment(r)
}
