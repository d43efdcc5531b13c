package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Build says which program this is.
type Build struct{ Version, Revision, Go string }

// Address completes the address that --metrics was given: a port by itself is one of
// loopback, for figures tell about the host's traffic, and nobody has to prove who he is.
// unix:/PATH is a unix socket.
func Address(s string) (string, error) {
	if path, is := strings.CutPrefix(s, unixPrefix); is {
		if !strings.HasPrefix(path, "/") || len(path) > maxUnixPath {
			return "", fmt.Errorf("unix: must be followed by an absolute path of up to %d bytes", maxUnixPath)
		}
		return s, nil
	}
	if !strings.Contains(s, ":") {
		s = ":" + s
	}
	host, port, err := net.SplitHostPort(s)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n == 0 && port != "0" {
		return "", errors.New("must be HOST:PORT, :PORT for loopback, or unix:/PATH")
	}
	switch host {
	case "":
		host = "127.0.0.1"
	case "*":
		host = ""
	}
	return net.JoinHostPort(host, port), nil
}

// Server answers Prometheus.
type Server struct {
	http http.Server
	addr net.Addr
}

const (
	// maxConns is how many are connected at once: Prometheus needs one.
	maxConns = 64
	// maxPages is how many are written at once: with many targets they are large.
	maxPages = 4
	// maxHeader bounds the head of a request. Go lets pass 4 KB more than it is told.
	maxHeader = 1
)

// Serve answers those who connect to a listener.
func Serve(l net.Listener, s *Store, b Build) *Server {
	mux := http.NewServeMux()
	pages := make(chan struct{}, maxPages)
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		select {
		case pages <- struct{}{}:
			defer func() { <-pages }()
		default:
			http.Error(w, "too many ask at once", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", contentType)
		w.Write(page(s, b))
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { health(w, s) })
	g := newGate(l, maxConns)
	srv := &Server{
		addr: l.Addr(),
		http: http.Server{
			Handler:           g.answering(mux),
			ConnContext:       withConn,
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       10 * time.Second,
			WriteTimeout:      10 * time.Second,
			IdleTimeout:       2 * time.Minute,
			MaxHeaderBytes:    maxHeader,
			ErrorLog:          log.New(io.Discard, "", 0), // of clients that hang up
		},
	}
	go srv.http.Serve(g)
	return srv
}

// health tells whether the capture goes on.
func health(w http.ResponseWriter, s *Store) {
	if d := s.Stalled(); d > 0 {
		http.Error(w, fmt.Sprintf("stalled for %d s", int(d.Seconds())), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// Addr is where the server answers.
func (s *Server) Addr() string { return s.addr.String() }

// Close lets answers that have begun end until ctx does.
func (s *Server) Close(ctx context.Context) error {
	if err := s.http.Shutdown(ctx); err != nil {
		return s.http.Close()
	}
	return nil
}
