package framing

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// newHTTP2Probe is in sync on both sides from the first octet on.
func newHTTP2Probe() *probe {
	var p probe
	p.proto, p.flags = HTTP2, h2FromStart
	p.dir[Requests].state, p.dir[Answers].state = unitHeader, unitHeader
	return &p
}

// held are the octets that are kept of a connection's frames and header blocks.
func (p *probe) held() (n int) {
	for _, c := range p.pool.conns {
		if c != nil {
			n += len(c.side[0].got) + len(c.side[0].fragments) + len(c.side[1].got) + len(c.side[1].fragments)
		}
	}
	return n
}

// FuzzHTTP2: however two streams are cut into segments, frames begin and end at the same octets,
// their header blocks say the same, and no more is kept than is allowed.
func FuzzHTTP2(f *testing.F) {
	block := "\x82\x86\x84\x41\x03app\x00\x0cx-request-id\x04abcd"
	cuts := []byte{0, 1, 2, 3, 5, 8, 13, 21, 34}
	f.Add([]byte(raw(frameHeaders, 5, 1, block)), []byte(raw(frameHeaders, 4, 1, "\x88")+raw(frameData, 1, 1, "ok")), cuts)
	f.Add([]byte(raw(frameHeaders, 1, 1, block[:4])+raw(frameContinuation, 4, 1, block[4:])), []byte(raw(frameRSTStream, 0, 1, "\x00\x00\x00\x07")), cuts)
	f.Add([]byte(raw(frameHeaders, 0x2c, 1, "\x01\x00\x00\x00\x00\x10"+block+"\x00")), []byte(raw(framePushPromise, 4, 1, "\x00\x00\x00\x02"+block)), cuts)
	f.Add([]byte(raw(frameSettings, 0, 0, "\x00\x01\x00\x00\x00\x00\x00\x05\x00\x01\x00\x00")), []byte(raw(frameGoAway, 0, 0, "\x7f\xff\xff\xff\x00\x00\x00\x00bye")+raw(framePing, 1, 0, "12345678")), cuts)
	f.Fuzz(func(t *testing.T, ask, answer, cuts []byte) {
		p, q := newHTTP2Probe(), newHTTP2Probe()
		for s, b := range [][]byte{ask, answer} {
			feedCut(p, Side(s), b, nil)
			feedCut(q, Side(s), b, cuts)
			if n := max(p.held(), q.held()); n > 4*maxBlock {
				t.Fatalf("%d octets kept", n)
			}
			want, lost := p.untilLost()
			got, lostToo := q.untilLost()
			if got != want {
				t.Fatalf("got  %s\nwant %s", got, want)
			}
			if lost || lostToo {
				return
			}
			if x, y := *p.Fields(Side(s), &p.pool), *q.Fields(Side(s), &q.pool); x != y {
				t.Fatalf("fields %+v, cut %+v", x, y)
			}
		}
		p.Reset(&p.pool)
		if p.pool.Taken() != 0 || len(p.pool.conns)-len(p.pool.freeConns) > 1 {
			t.Error("not all was given back")
		}
	})
}

// raw makes a frame of octets.
func raw(typ, flags, stream byte, payload string) string {
	n := len(payload)
	return string([]byte{byte(n >> 16), byte(n >> 8), byte(n), typ, flags, 0, 0, 0, stream}) + payload
}

// Header blocks that never end, that say one thing a million times, or whose table is huge take no
// more than their bounds, and what follows them is understood.
func TestHTTP2Bombs(t *testing.T) {
	big := strings.Repeat("a", 4000)
	var table bytes.Buffer
	enc := hpack.NewEncoder(&table)
	enc.SetMaxDynamicTableSizeLimit(1 << 30)
	enc.WriteField(hpack.HeaderField{Name: "x", Value: big})
	for name, bomb := range map[string]string{
		"CONTINUATION flood": raw(frameHeaders, 0, 1, "\x82") + strings.Repeat(raw(frameContinuation, 0, 1, strings.Repeat("\x82", 16000)), 200) + raw(frameContinuation, 4, 1, ""),
		"empty ones":         raw(frameHeaders, 0, 1, "\x82") + strings.Repeat(raw(frameContinuation, 0, 1, ""), 100000) + raw(frameContinuation, 4, 1, ""),
		"HPACK bomb":         raw(frameHeaders, 4, 1, table.String()+strings.Repeat("\xbe", 12000)),
		"a huge table":       raw(frameHeaders, 4, 1, "\x3f\xe1\xff\xff\xff\x07"+"\x82"),
		"a huge string":      raw(frameHeaders, 4, 1, "\x04\x7f\xff\xff\xff\xff\x07"+"abc"),
		"an index of none":   raw(frameHeaders, 4, 1, "\xff\xff\xff\xff\x07"),
		"no end":             raw(frameHeaders, 0, 1, "\x82"),
		"another in between": raw(frameHeaders, 0, 1, "\x82") + raw(frameData, 0, 1, "x"),
	} {
		p := newHTTP2Probe()
		for b := []byte(bomb); len(b) > 0; {
			n := min(len(b), 1400)
			p.segment(Requests, b[:n])
			if b = b[n:]; p.held() > 2*maxBlock {
				t.Fatalf("%s: %d octets kept", name, p.held())
			}
		}
		p.segment(Requests, []byte(raw(frameHeaders, 5, 3, "\x82\x86\x04\x05/next")))
		if x := p.Fields(Requests, &p.pool); x.Target != "/next" {
			t.Errorf("%s: then %+v, log %s", name, x, last(p.log))
		}
	}
}

func last(log []string) string { return fmt.Sprint(log[max(len(log)-4, 0):]) }

// From the middle of a connection, and behind a hole, what the table held is not known: a field
// that comes of it is left out, and one that was added since is not.
func TestHTTP2UnknownTable(t *testing.T) {
	p := newHTTP2Probe()
	p.flags = 0
	p.segment(Requests, []byte(raw(frameHeaders, 5, 1, "\x82\xbe\xbf\x44\x02/a"))) // two entries of before, one new
	if x := p.Fields(Requests, &p.pool); x.Method != "GET" || x.Target != "/a" {
		t.Errorf("%+v", x)
	}
	p.segment(Requests, []byte(raw(frameHeaders, 5, 3, "\x82\xbe"))) // the new one
	if x := p.Fields(Requests, &p.pool); x.Target != "/a" {
		t.Errorf("%+v", x)
	}
	p.feed(Requests, nil, 30)
	p.segment(Requests, []byte(raw(frameHeaders, 5, 7, "\x82\xbe")))
	if x := p.Fields(Requests, &p.pool); x.Target != "" || x.Method != "GET" {
		t.Errorf("behind a hole: %+v", x)
	}
}

// Who wrote an answer is kept if its own field says it, whole and once, and nobody passed it on.
func TestHTTP2Server(t *testing.T) {
	literal := func(name, value string) string {
		return "\x40" + string(rune(len(name))) + name + string(rune(len(value))) + value
	}
	for block, want := range map[string]Fields{
		"\x88" + literal("server", "nginx"):                                                 {Server: "nginx"},
		"\x88" + literal("server", strings.Repeat("n", maxServer+1)):                        {},
		"\x88" + literal("server", "nginx") + literal("via", "2 x"):                         {Server: "nginx", PassedOn: true},
		"\x88" + literal("server", "Caddy") + literal("server", "nginx"):                    {Server: "nginx", PassedOn: true},
		"\x88" + literal("server", "nginx") + literal("x-envoy-upstream-service-time", "1"): {Server: "nginx", PassedOn: true},
		"\x88\xbe" + literal("server", "nginx"):                                             {Server: "nginx", PassedOn: true}, // an entry of before the capture
	} {
		p := newHTTP2Probe()
		p.flags = 0
		p.segment(Requests, []byte(raw(frameHeaders, 5, 1, "\x82\x84")))
		p.segment(Answers, []byte(raw(frameHeaders, 4, 1, block)))
		want.Status = 200
		if got := *p.Fields(Answers, &p.pool); got != want {
			t.Errorf("%q: %+v, want %+v", block, got, want)
		}
	}
}
