package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	exportTimeout = 10 * time.Second // of a try
	tryAgain      = time.Second      // before the second one; then twice as long each time,
	tryAgainMost  = 5 * time.Second  // but no longer than this
	maxAnswer     = 64 << 10         // of what a collector answers, to be read
)

// client posts messages of a signal to a collector.
type client struct {
	url    string
	header http.Header
	gzip   bool
	http   http.Client
}

// newClient connects to nobody yet. Headers, certificates and compression come from the
// environment (OTEL_EXPORTER_OTLP_…), as with every OpenTelemetry program.
func newClient(u *url.URL, signal string) (*client, error) {
	h, errHeaders := headers(signal)
	certs, errCerts := certificates(signal)
	if err := errors.Join(errHeaders, errCerts); err != nil {
		return nil, err
	}
	c := &client{url: u.JoinPath("v1", strings.ToLower(signal)).String(), header: h}
	if setting(signal, "COMPRESSION") == "gzip" {
		c.gzip = true
		h.Set("Content-Encoding", "gzip")
	}
	c.http = http.Client{
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: certs, ForceAttemptHTTP2: true, IdleConnTimeout: time.Minute},
		Timeout:   exportTimeout,
		// Findings go to the collector that was named, and nowhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// temporary is an error after which the same message may be taken later.
type temporary struct {
	error
	after time.Duration // the collector asks to wait for
}

// post sends a message once.
func (c *client) post(ctx context.Context, message []byte) error {
	var body bytes.Buffer
	if c.gzip {
		z := gzip.NewWriter(&body)
		z.Write(message)
		z.Close()
	} else {
		body.Write(message)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, &body)
	if err != nil {
		return err
	}
	req.Header = c.header.Clone()
	resp, err := c.http.Do(req)
	if err != nil {
		if op := (*net.OpError)(nil); errors.As(err, &op) { // nobody took the connection: a collector that is restarted
			return temporary{err, 0}
		}
		return err
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch code := resp.StatusCode; code {
	case http.StatusOK, http.StatusAccepted, http.StatusNoContent:
		return rejection(answer)
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return fmt.Errorf("the collector answered %d, a redirect, which is not followed", code)
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		// The specification has these tried again, and no others.
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return temporary{fmt.Errorf("the collector answered %d", code), time.Duration(max(seconds, 0)) * time.Second}
	default:
		return fmt.Errorf("the collector answered %d: %s", code, answer)
	}
}

// send sends a message, again and again while it may be taken later, until the context ends
// or the end has come; then once more.
func (c *client) send(ctx context.Context, message []byte, closing <-chan struct{}) error {
	for wait := tryAgain; ; wait = min(2*wait, tryAgainMost) {
		err := c.post(ctx, message)
		var t temporary
		if !errors.As(err, &t) {
			return err
		}
		select {
		case <-closing:
			return err
		default:
		}
		select {
		case <-time.After(max(wait, t.after)):
		case <-closing: // the last one
		case <-ctx.Done():
			return err
		}
	}
}

// rejected is what a collector did not take of a message that it took.
type rejected struct {
	n   uint64
	why string
}

func (r rejected) Error() string {
	return fmt.Sprintf("the collector rejected %d of them: %s", r.n, r.why)
}

// rejection reads ExportLogsServiceResponse or ExportMetricsServiceResponse, which are alike:
// field 1 is partial_success, in it 1 a count and 2 a text. What is no such message says nothing.
func rejection(answer []byte) error {
	partial, _ := field(answer, 1)
	_, n := field(partial, 1)
	if n == 0 {
		return nil
	}
	why, _ := field(partial, 2)
	return rejected{n, string(why)}
}

// field is the value of a field of a message of protobuf: its bytes, or its number. Fields of
// other kinds are not looked for, for there are none.
func field(message []byte, want uint64) ([]byte, uint64) {
	for {
		key, n := binary.Uvarint(message)
		if n <= 0 {
			return nil, 0
		}
		message = message[n:]
		v, n := binary.Uvarint(message)
		if n <= 0 {
			return nil, 0
		}
		message = message[n:]
		var b []byte
		switch kind := key & 7; {
		case kind == 2 && v <= uint64(len(message)):
			b, message = message[:v], message[v:]
		case kind != 0:
			return nil, 0
		}
		if key>>3 == want {
			return b, v
		}
	}
}
