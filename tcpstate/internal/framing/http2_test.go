package framing

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// h2 makes a frame of n octets behind its header.
func h2(typ, flags byte, stream byte, n int) string {
	return string([]byte{0, byte(n >> 8), byte(n), typ, flags, 0, 0, 0, stream}) + string(make([]byte, n))
}

func TestHTTP2(t *testing.T) {
	settings, ack := h2(frameSettings, 0, 0, 12), h2(frameSettings, 1, 0, 0)
	open := func(p *probe, size int) {
		p.segments(Requests, preface+settings, size)
		p.segments(Answers, settings+ack, size)
		p.log = nil
	}
	tests := []struct {
		name  string
		feed  func(p *probe, size int)
		want  string
		whole bool
	}{
		{
			name: "one stream behind the other",
			feed: func(p *probe, size int) {
				p.segments(Requests, h2(frameHeaders, 5, 1, 30), size)
				p.segments(Answers, h2(frameHeaders, 4, 1, 20)+h2(frameData, 0, 1, 100)+h2(frameData, 1, 1, 7), size)
				p.segments(Requests, ack+h2(frameHeaders, 4, 3, 30)+h2(frameData, 1, 3, 10), size)
				p.segments(Answers, h2(frameHeaders, 5, 3, 20), size)
			},
			want: "q45 begins stream 1, q84 head stream 1, q84 ends stream 1, a30 begins stream 1, a59 head stream 1, " +
				"a59 body stream 1, a168 body stream 1, a184 ends stream 1, q93 begins stream 3, q132 head stream 3, " +
				"q132 body stream 3, q151 ends stream 3, a184 begins stream 3, a213 head stream 3, a213 ends stream 3",
		},
		{
			name: "streams at once, trailers, PING",
			feed: func(p *probe, size int) {
				p.segments(Requests, h2(frameHeaders, 4, 1, 9)+h2(frameHeaders, 5, 3, 9)+h2(frameHeaders, 5, 1, 3), size)
				p.segments(Answers, h2(framePing, 0, 0, 8)+h2(frameHeaders, 4, 3, 9)+h2(frameHeaders, 5, 3, 3), size)
			},
			want: "q45 begins stream 1, q63 head stream 1, q63 begins stream 3, q81 head stream 3, q81 ends stream 3, " +
				"q93 head stream 1, q93 ends stream 1, a47 begins stream 3, a65 head stream 3, a65 begins stream 3, " +
				"a77 head stream 3, a77 ends stream 3",
		},
		{
			name: "an answer without end is reset",
			feed: func(p *probe, size int) {
				p.segments(Requests, h2(frameHeaders, 5, 1, 9)+h2(frameHeaders, 5, 3, 9), size)
				p.segments(Answers, h2(frameHeaders, 4, 1, 9)+h2(frameRSTStream, 0, 1, 4), size)
				p.segments(Requests, h2(frameRSTStream, 0, 1, 4), size) // crossed: counts once
			},
			want: "q45 begins stream 1, q63 head stream 1, q63 ends stream 1, q63 begins stream 3, q81 head stream 3, " +
				"q81 ends stream 3, a30 begins stream 1, a48 head stream 1, a48 reset stream 1, q81 reset stream 1",
		},
		{
			name: "the client gives up",
			feed: func(p *probe, size int) {
				p.segments(Requests, h2(frameHeaders, 5, 1, 9)+h2(frameRSTStream, 0, 1, 4), size)
			},
			want: "q45 begins stream 1, q63 head stream 1, q63 ends stream 1, q63 reset stream 1",
		},
		{
			name: "GOAWAY",
			feed: func(p *probe, size int) {
				p.segments(Requests, h2(frameHeaders, 5, 1, 9), size)
				p.segments(Answers, h2(frameHeaders, 5, 1, 9)+h2(frameGoAway, 0, 0, 8), size)
			},
			want: "q45 begins stream 1, q63 head stream 1, q63 ends stream 1, a30 begins stream 1, a48 head stream 1, " +
				"a48 ends stream 1, a48 closing",
		},
		{
			name: "a frame that cannot be",
			feed: func(p *probe, size int) {
				p.segments(Answers, h2(framePing, 0, 0, 9)+h2(framePing, 0, 0, 8), size)
			},
			want:  "a30 lost",
			whole: true,
		},
		{
			name: "octets missing",
			feed: func(p *probe, _ int) {
				p.feed(Requests, []byte(h2(frameHeaders, 4, 1, 9)+h2(frameData, 0, 1, 500)[:20]), 18+509)
				p.feed(Requests, nil, 20)
				p.segment(Requests, []byte("some data"))
				p.segment(Requests, []byte(h2(frameHeaders, 5, 3, 9)))
			},
			want: "q45 begins stream 1, q63 head stream 1, q63 body stream 1, q572 lost, q601 begins stream 3, " +
				"q619 head stream 3, q619 ends stream 3",
			whole: true,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, size := range []int{1 << 20, 100, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1} {
				if tt.whole && size < 1<<20 {
					break
				}
				var p probe
				p.Sync(Requests, []byte(preface))
				open(&p, size)
				tt.feed(&p, size)
				if got := p.String(); got != tt.want {
					t.Errorf("in segments of %d octets\ngot  %s\nwant %s", size, got, tt.want)
				}
			}
		})
	}
}

// TestPreface: an HTTP/2 connection is not taken for HTTP/1.
func TestPreface(t *testing.T) {
	for p, want := range map[string]Protocol{
		preface: HTTP2, preface[:10]: HTTP2, "PRI * HTTP/1.1\r\n\r\n": HTTP1, "PRI": Unknown,
	} {
		var f State
		f.Sync(Requests, []byte(p))
		if f.proto != want {
			t.Errorf("%q: protocol %d, want %d", p, f.proto, want)
		}
	}
}

// TestHTTP2Go: what Go's client and server say to each other is understood.
func TestHTTP2Go(t *testing.T) {
	const n = 20
	rec := &recorder{t: t}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size, _ := io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/last" {
			w.Header().Set("Connection", "close") // becomes a GOAWAY
		}
		w.Write(make([]byte, size))
	}))
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Listener = rec.listen(srv.Listener)
	srv.Start()
	defer srv.Close()
	tr := &http.Transport{Protocols: srv.Config.Protocols, MaxConnsPerHost: 1} // else requests that begin together may dial
	defer tr.CloseIdleConnections()
	post := func(path string, size int) {
		resp, err := (&http.Client{Transport: tr}).Post(srv.URL+path, "", bytes.NewReader(make([]byte, size)))
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		if got, err := io.Copy(io.Discard, resp.Body); err != nil || int(got) != size {
			t.Error(got, err)
		}
	}
	post("/", 0)
	var wg sync.WaitGroup
	for i := range n - 2 {
		wg.Go(func() { post("/", 10000*i) })
	}
	wg.Wait()
	post("/last", 10)

	count := rec.count()
	for range 500 { // GOAWAY may follow the last answer a little later
		if count["a closing"] > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
		count = rec.count()
	}
	if count["q begins"] != n || count["a begins"] != n || count["a ends"] != n || count["a closing"] == 0 ||
		count["q lost"]+count["a lost"] != 0 {
		t.Errorf("%v", count)
	}
	if x := rec.Fields(Requests, &rec.pool); x.Method != "POST" || x.Target != "/last" || x.Version != "HTTP/2" {
		t.Errorf("the last request is %+v", x.RequestHead)
	}
	if got := rec.Fields(Answers, &rec.pool).Status; got != 200 {
		t.Errorf("status %d", got)
	}
	for s, want := range map[Side]string{Requests: "0002 0004 0005 0006", Answers: "0005 0003 0006 0001 0004"} {
		var ids []string
		for p := rec.FirstSettings(s, &rec.pool); len(p) >= settingSize; p = p[settingSize:] {
			ids = append(ids, fmt.Sprintf("%x", p[:2]))
		}
		if got := strings.Join(ids, " "); !strings.HasPrefix(got, want) {
			t.Errorf("side %d sent the settings %s, want %s", s, got, want)
		}
	}
}

// TestFirstSettings: those that follow the first, and those of a connection whose start was not captured, are not kept.
func TestFirstSettings(t *testing.T) {
	const first = "\x00\x05\x00\x00\x40\x00"
	for _, tt := range []struct{ begins, then, want string }{
		{preface, raw(frameSettings, 0, 0, first), first},
		{preface, raw(frameSettings, 0, 0, "") + raw(frameSettings, 0, 0, first), ""},
		{preface, raw(frameSettings, 0, 0, strings.Repeat(first, maxSettings)), strings.Repeat(first, maxSettings)},
		{preface, raw(frameSettings, 0, 0, strings.Repeat(first, maxSettings+1)) + raw(frameSettings, 0, 0, first), ""},
		{"", raw(frameSettings, 0, 0, first) + raw(frameSettings, 0, 0, first), ""},
	} {
		var f State
		var pool Pool
		p := []byte(tt.begins + tt.then)
		f.Sync(Requests, p)
		for b, used := f.Next(Requests, p, uint32(len(p)), &pool); used < uint32(len(p)); b, used = f.Next(Requests, p, uint32(len(p)), &pool) {
			if p = p[used:]; b.Kind == None {
				break
			}
		}
		if got := string(f.FirstSettings(Requests, &pool)); got != tt.want {
			t.Errorf("%q: kept %q, want %q", tt.then, got, tt.want)
		}
	}
}

// recorder feeds what a server's only connection reads and writes to a probe.
type recorder struct {
	t  *testing.T
	mu sync.Mutex
	probe
	conns int
}

// count is how often each kind of boundary came.
func (r *recorder) count() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	count := map[string]int{}
	for _, l := range r.log {
		count[l[:1]+" "+strings.Fields(l)[1]]++
	}
	return count
}

type (
	recordedListener struct {
		net.Listener
		r *recorder
	}
	recordedConn struct {
		net.Conn
		r *recorder
	}
)

func (r *recorder) listen(l net.Listener) net.Listener { return recordedListener{l, r} }

func (l recordedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	if l.r.conns++; l.r.conns > 1 {
		l.r.t.Error("more than one connection")
	}
	return recordedConn{c, l.r}, nil
}

func (c recordedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	c.r.segment(Requests, p[:n])
	return n, err
}

func (c recordedConn) Write(p []byte) (int, error) {
	c.r.mu.Lock()
	c.r.segment(Answers, p)
	c.r.mu.Unlock()
	return c.Conn.Write(p)
}
