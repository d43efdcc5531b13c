package framing

import (
	"strings"
	"testing"
)

var (
	benchRequest = []byte("GET /api/v1/items/4711?full=true HTTP/1.1\r\nHost: backend.example.com\r\n" +
		"X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 443\r\n" +
		"X-Amzn-Trace-Id: Root=1-67891233-abcdef012345678912345678\r\nAccept: application/json\r\n" +
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n" +
		"Accept-Encoding: gzip, deflate, br\r\nCookie: session=" + strings.Repeat("x", 60) + "\r\n\r\n")
	benchAnswer = []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 14600\r\n" +
		"ETag: W/\"d-bNNVbesNpUvKBgtMOUeYOQ\"\r\nDate: Fri, 21 Nov 2025 01:59:00 GMT\r\n" +
		"Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n")
	benchBody   = make([]byte, 1460)
	benchRecord = []byte(record(recordData, 1000))
)

// exchangeOnce is a request and an answer with a body of ten segments.
func exchangeOnce(f *State, pool *Pool) {
	take(f, Requests, benchRequest, pool)
	take(f, Answers, benchAnswer, pool)
	for range 10 {
		take(f, Answers, benchBody, pool)
	}
}

func take(f *State, s Side, p []byte, pool *Pool) {
	if n := uint32(len(p)); !f.SkipBody(s, n) {
		for b, used := f.Next(s, p, n, pool); b.Kind != None; b, used = f.Next(s, p, n, pool) {
			p, n = p[used:], n-used
		}
	}
}

func BenchmarkHTTP1(b *testing.B) {
	p := newHTTP1Probe()
	for b.Loop() {
		exchangeOnce(&p.State, &p.pool)
	}
}

func BenchmarkHTTP1Body(b *testing.B) {
	p := newHTTP1Probe()
	p.dir[Answers].state, p.dir[Answers].left = bodyOctets, 1<<60
	for b.Loop() {
		take(&p.State, Answers, benchBody, &p.pool)
	}
}

func BenchmarkTLS(b *testing.B) {
	var p probe
	p.Sync(Requests, benchRecord)
	for b.Loop() {
		take(&p.State, Requests, benchRecord, &p.pool)
	}
}

func BenchmarkParseRequestHead(b *testing.B) {
	for b.Loop() {
		ParseRequestHead(benchRequest)
	}
}

// TestFramingAllocates nothing, not even for heads in pieces once the pool has grown.
func TestFramingAllocates(t *testing.T) {
	p := newHTTP1Probe()
	var q probe
	q.Sync(Requests, benchRecord)
	n := testing.AllocsPerRun(100, func() {
		exchangeOnce(&p.State, &p.pool)
		for k := 100; k > 0; k -= 30 {
			take(&p.State, Requests, benchRequest[100-k:130-k], &p.pool)
		}
		take(&p.State, Requests, benchRequest[120:], &p.pool)
		take(&p.State, Answers, benchAnswer[:30], &p.pool)
		take(&p.State, Answers, benchAnswer[30:], &p.pool)
		for range 10 {
			take(&p.State, Answers, benchBody, &p.pool)
		}
		take(&q.State, Requests, benchRecord[:3], &q.pool)
		take(&q.State, Requests, benchRecord[3:], &q.pool)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
	if !p.Synced(Requests) || !p.Synced(Answers) || p.open != 0 || !q.Synced(Requests) {
		t.Error("lost sync")
	}
}
