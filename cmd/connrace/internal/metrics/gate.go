package metrics

import (
	"context"
	"net"
	"net/http"
	"slices"
	"sync"
)

// gate bounds how many are connected at once. Who comes when there are that many takes the
// place of the one who has waited longest without a whole request: thousands who never
// finish theirs keep nobody out who does, and cost no more than as many as are let in.
type gate struct {
	net.Listener
	limit int

	mu    sync.Mutex
	conns []*conn // the oldest first
}

// conn is a connection that was let in.
type conn struct {
	net.Conn
	g    *gate
	busy bool // its request is being answered
}

func newGate(l net.Listener, limit int) *gate { return &gate{Listener: l, limit: limit} }

// Accept lets the next one in.
func (g *gate) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if in := g.admit(c); in != nil {
			return in, nil
		}
		c.Close() // as many as there may be are being answered
	}
}

// admit makes room for a connection; nil: there is none.
func (g *gate) admit(c net.Conn) net.Conn {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.conns) >= g.limit {
		i := slices.IndexFunc(g.conns, func(c *conn) bool { return !c.busy })
		if i < 0 {
			return nil
		}
		g.conns[i].Conn.Close()
		g.conns = slices.Delete(g.conns, i, i+1)
	}
	in := &conn{Conn: c, g: g}
	g.conns = append(g.conns, in)
	return in
}

// Close closes the connection, whose place is free then.
func (c *conn) Close() error {
	c.g.mu.Lock()
	if i := slices.Index(c.g.conns, c); i >= 0 {
		c.g.conns = slices.Delete(c.g.conns, i, i+1)
	}
	c.g.mu.Unlock()
	return c.Conn.Close()
}

type connKey struct{}

// withConn lets handlers know the connection.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// answering keeps a connection while its request is answered.
func (g *gate) answering(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(connKey{}).(*conn); ok {
			g.setBusy(c, true)
			defer g.setBusy(c, false)
		}
		h.ServeHTTP(w, r)
	})
}

func (g *gate) setBusy(c *conn, busy bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c.busy = busy
}
