package metrics

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Of thousands who never finish a request only so many are kept, at a price that does not
// grow with them, and who asks is answered all the while.
func TestHalfSent(t *testing.T) {
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := Serve(l, NewStore(rules, 1), Build{})
	defer srv.Close(context.Background())
	const clients = 5000
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	before := heap()
	for i := range clients {
		c, err := net.Dial("tcp", srv.Addr())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "GET /metrics HTTP/1.1\r\nHost: a\r\nX: %s", strings.Repeat("x", 1000))
		if open = append(open, c); len(open) > 256 { // no more descriptors than that
			open[0].Close()
			open = open[1:]
		}
		if i%1000 == 999 {
			if code, _ := get(t, "http://"+srv.Addr()+"/healthz"); code != 200 {
				t.Errorf("after %d: %d", i+1, code)
			}
		}
	}
	if grown := heap() - before; grown > 8<<20 {
		t.Errorf("%d half requests cost %d octets", clients, grown)
	}
	kept := 0
	for _, c := range open {
		c.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
		if _, err := c.Read(make([]byte, 1)); os.IsTimeout(err) {
			kept++
		}
	}
	if kept > maxConns {
		t.Errorf("%d are connected", kept)
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Who is being answered is not turned out for somebody new.
func TestGateKeepsTheBusy(t *testing.T) {
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := newGate(l, 2)
	go func() {
		for {
			if _, err := g.Accept(); err != nil {
				return
			}
		}
	}()
	defer l.Close()
	let := func(n int) *conn {
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
			g.mu.Lock()
			if len(g.conns) >= n {
				defer g.mu.Unlock()
				return g.conns[len(g.conns)-1]
			}
			g.mu.Unlock()
		}
		t.Fatalf("no %d connections", n)
		return nil
	}
	dial := func() net.Conn {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	closed := func(c net.Conn) bool {
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		_, err := c.Read(make([]byte, 1))
		return err == io.EOF
	}
	dial()
	g.setBusy(let(1), true)
	idle := dial()
	let(2)
	dial()
	if !closed(idle) {
		t.Error("who waits is not turned out")
	}
	g.setBusy(let(2), true)
	if !closed(dial()) {
		t.Error("a third was let in where two are being answered")
	}
}

func TestHeader(t *testing.T) {
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := Serve(l, NewStore(rules, 1), Build{})
	defer srv.Close(context.Background())
	for size, want := range map[int]int{2000: 200, 5000: 431} {
		r, _ := http.NewRequest("GET", "http://"+srv.Addr()+"/healthz", nil)
		r.Header.Set("X", strings.Repeat("x", size))
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("a header of %d octets: %d, want %d", size, resp.StatusCode, want)
		}
	}
}

func TestUnixSocket(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no owners of sockets")
	}
	dir, err := os.MkdirTemp("", "m") // a short path
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "m.sock")
	l, err := Listen("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	srv := Serve(l, NewStore(rules, 1), Build{})
	if st, err := os.Lstat(path); err != nil || st.Mode().Perm() != 0o660 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	client := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) }}}
	resp, err := client.Get("http://connrace/healthz")
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
	if _, err := Listen("unix:" + path); err == nil || !strings.Contains(err.Error(), "somebody answers there already") {
		t.Errorf("a second one: %v", err)
	}
	srv.Close(context.Background())
	if _, err := os.Lstat(path); err == nil {
		t.Error("the socket is left")
	}
	old, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	old.(*net.UnixListener).SetUnlinkOnClose(false)
	old.Close()
	l, err = Listen("unix:" + path)
	if err != nil {
		t.Fatalf("in place of a stale one: %v", err)
	}
	l.Close()
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen("unix:" + path); err == nil || !strings.Contains(err.Error(), "is no socket") {
		t.Errorf("in place of a file: %v", err)
	}
	if b, err := os.ReadFile(path); string(b) != "mine" {
		t.Errorf("the file is %q, %v", b, err)
	}
}
