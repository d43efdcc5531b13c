package tcpstate

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"connrace/tcpstate/internal/framing"
)

// h2Talk is an HTTP/2 connection that a test leads.
type h2Talk struct {
	t    *Tracker
	now  int64
	n    uint64
	ends [2]Endpoint
	next [2]Seq
}

func newH2Talk(cfg Config) *h2Talk {
	k := &h2Talk{t: NewTracker(cfg), now: 1e18, ends: [2]Endpoint{1: {Addr4([]byte{10, 0, 1, 9}), 8080}}}
	k.open(Endpoint{Addr4([]byte{10, 0, 0, 2}), 41000})
	return k
}

// open opens a connection of a client.
func (k *h2Talk) open(from Endpoint) {
	k.ends[0], k.next = from, [2]Seq{100, 5000}
	k.send(0, SYN, "")
	k.send(1, SYN|ACK, "")
	k.send(0, ACK, "")
	k.send(0, ACK, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+h2Frame(4, 0, 0, ""))
	k.send(1, ACK, h2Frame(4, 0, 0, ""))
}

func (k *h2Talk) send(side int, flags Flags, payload string) {
	k.n++
	k.now += 1000
	s := Segment{
		Frame: k.n, Time: k.now, Src: k.ends[side], Dst: k.ends[1-side], Seq: k.next[side], Flags: flags,
		Len: uint32(len(payload)), Payload: []byte(payload),
	}
	if flags.Has(ACK) {
		s.Ack = k.next[1-side]
	}
	k.next[side] = s.End()
	k.t.Track(&s)
}

func h2Frame(typ, flags byte, stream uint32, payload string) string {
	n := len(payload)
	return string([]byte{byte(n >> 16), byte(n >> 8), byte(n), typ, flags, byte(stream >> 24), byte(stream >> 16), byte(stream >> 8), byte(stream)}) + payload
}

// Very many streams that stay open, or are reset at once, take no more than their bound, and are
// counted; the connection's end gives all back.
func TestHTTP2Floods(t *testing.T) {
	const n = 100_000
	for name, more := range map[string]func(id uint32) string{
		"open":        func(uint32) string { return "" },
		"rapid reset": func(id uint32) string { return h2Frame(3, 0, id, "\x00\x00\x00\x08") },
	} {
		began := 0
		var cfg Config
		cfg.On(StreamBegan, func(*Event) { began++ })
		k := newH2Talk(cfg)
		var f *Flow
		k.t.Each(func(x *Flow) { f = x })
		for i := range uint32(n) {
			id := 2*i + 1
			k.send(0, ACK, h2Frame(1, 5, id, "\x82\x86\x84")+more(id))
			if got := len(k.t.HTTP2(f).Streams); got > maxStreams {
				t.Fatalf("%s: %d streams are kept", name, got)
			}
		}
		if uint64(began)+k.t.UnfollowedStreams != n {
			t.Errorf("%s: %d streams began, %d were not followed, of %d", name, began, k.t.UnfollowedStreams, n)
		}
		k.send(1, RST|ACK, "")
		k.t.End()
		k.t.forget(f)
		if n := k.t.carries.Taken(); n != 0 || len(k.t.http2) != 0 {
			t.Errorf("%s: %d octets of %d connections are left", name, n, len(k.t.http2))
		}
	}
}

// Many connections, each with many streams of long names, header blocks that do not end, frames in
// pieces and tables as large as may be, take no more than the room that there is for all, and
// the flows less of theirs; what there was no room for is counted, and all is given back.
func TestHTTP2Room(t *testing.T) {
	const flows, connections = 6000, 6000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	k := newH2Talk(Config{MaxFlows: flows})
	room := k.t.carries.HTTP2Room
	name := strings.Repeat("n", 700)
	fields := strings.Repeat("\x40\x7f\xbd\x04"+strings.Repeat("x", 700)+"\x00", 20)
	for c := range connections {
		k.open(Endpoint{Addr{Hi: 0x2001 << 48, Lo: uint64(c)}, 1000})
		k.send(1, ACK, h2Frame(4, 0, 0, "\x00\x01\x00\x01\x00\x00"))
		for i := range uint32(40) {
			k.send(0, ACK, h2Frame(1, 5, 2*i+1, "\x82\x86\x04\x7f\xbd\x04"+name))
		}
		k.send(0, ACK, h2Frame(1, 5, 1001, "\x3f\xe1\xff\x03"+fields))
		k.send(0, ACK, h2Frame(1, 1, 2001, name)+h2Frame(9, 0, 2001, fields)+h2Frame(9, 0, 2001, fields))
		k.send(1, ACK, h2Frame(1, 4, 1, fields)[:8000])
		if n := k.t.carries.Taken(); n > room || n < 0 {
			t.Fatalf("%d octets are taken, of %d", n, room)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	heap, most := int64(after.HeapAlloc-before.HeapAlloc), room+int64(flows)*FlowCost
	t.Logf("%d octets in %d flows, %d taken of %d, %d streams not followed", heap, k.t.Live(), k.t.carries.Taken(), room, k.t.UnfollowedStreams)
	if heap > most {
		t.Errorf("%d octets, of %d", heap, most)
	}
	if k.t.Live() > flows*3/4+1 || k.t.Evicted == 0 || k.t.UnfollowedStreams == 0 {
		t.Errorf("%d flows, %d driven out, %d streams not followed", k.t.Live(), k.t.Evicted, k.t.UnfollowedStreams)
	}
	k.t.End()
	k.t.Each(k.t.forget)
	if n := k.t.carries.Taken(); n != 0 {
		t.Errorf("%d octets are left", n)
	}
}

// Answers whose status is not known, one behind the other, take no room that is not given back.
func TestHTTP2AnswersWithoutStatus(t *testing.T) {
	k := newH2Talk(Config{})
	k.send(0, ACK, h2Frame(1, 5, 1, "\x82\x86\x84"))
	for range 10 {
		k.send(1, ACK, h2Frame(1, 4, 1, "\x0f\x10\x10application/grpc"))
	}
	k.send(1, ACK, h2Frame(1, 5, 1, "\x00\x0bgrpc-status\x010"))
	k.t.Each(func(f *Flow) {
		if got := k.t.HTTP2(f).Streams[0].ContentType; got != "application/grpc" {
			t.Errorf("the answer is %q", got)
		}
	})
	k.t.End()
	k.t.Each(k.t.forget)
	if n := k.t.carries.Taken(); n != 0 {
		t.Errorf("%d octets are left", n)
	}
}

// What a stream came to, and what it is called.
func TestHTTP2Streams(t *testing.T) {
	k := newH2Talk(Config{})
	var f *Flow
	k.t.Each(func(x *Flow) { f = x })
	k.send(0, ACK, h2Frame(1, 5, 1, "\x82\x86\x04\x02/a")+h2Frame(1, 5, 3, "\x83\x86\x04\x02/b")+h2Frame(1, 5, 5, "\x82\x86\x04\x02/c"))
	k.send(1, ACK, h2Frame(1, 4, 3, "\x88")+h2Frame(0, 0, 3, "some")+h2Frame(1, 4, 5, "\x08\x03100"))
	k.send(1, ACK, h2Frame(3, 0, 1, "\x00\x00\x00\x07")+h2Frame(1, 5, 5, "\x8e"))
	got := ""
	for _, s := range k.t.HTTP2(f).Streams {
		got += fmt.Sprintf("%d %s %s answered=%t done=%t reset=%t code=%d status=%d octets=%d\n", s.ID, s.Head.Method, s.Head.Target,
			s.Answer.Set(), s.Done, s.ResetByTarget.Set(), s.Code, s.Status, s.Received)
	}
	const want = "1 GET /a answered=false done=false reset=true code=7 status=0 octets=0\n" +
		"3 POST /b answered=true done=false reset=false code=0 status=200 octets=4\n" +
		"5 GET /c answered=true done=true reset=false code=0 status=500 octets=0\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if h := k.t.HTTP2(f); h.Last != framing.NoLastStream {
		t.Errorf("last stream %d without a GOAWAY", h.Last)
	}
	k.send(1, ACK, h2Frame(7, 0, 0, "\x7f\xff\xff\xff\x00\x00\x00\x00")+h2Frame(7, 0, 0, "\x00\x00\x00\x03\x00\x00\x00\x00"))
	if h := k.t.HTTP2(f); h.Last != 3 || !h.GoAway.Set() {
		t.Errorf("last stream %d, want 3", h.Last)
	}
}

// A stream that stays open for long, a watch, is followed beside any number of others that end.
func TestHTTP2Watch(t *testing.T) {
	k := newH2Talk(Config{})
	var f *Flow
	k.t.Each(func(x *Flow) { f = x })
	k.send(0, ACK, h2Frame(1, 5, 1, "\x82\x86\x04\x06/watch"))
	k.send(1, ACK, h2Frame(1, 4, 1, "\x88"))
	for i := range uint32(1100) {
		id := 2*i + 3
		k.send(0, ACK, h2Frame(1, 5, id, "\x82\x86\x84"))
		k.send(1, ACK, h2Frame(0, 0, 1, "event")+h2Frame(1, 5, id, "\x88"))
	}
	k.send(0, ACK, "")
	h := k.t.HTTP2(f)
	st, ok := h.find(1)
	if !ok || st.Done || st.Doubtful() || st.Received != 1100*5 || h.open != 1 {
		t.Fatalf("the watch: followed=%t, %d open, %+v", ok, h.open, st)
	}
	if len(h.Streams) > 100 || k.t.UnfollowedStreams != 0 {
		t.Errorf("%d streams kept, %d not followed", len(h.Streams), k.t.UnfollowedStreams)
	}
}

// Streams whose answers were captured before their requests are in doubt, however many there are.
func TestHTTP2Ahead(t *testing.T) {
	k := newH2Talk(Config{})
	var f *Flow
	k.t.Each(func(x *Flow) { f = x })
	const n = 100
	for i := range uint32(n) {
		k.send(1, ACK, h2Frame(1, 5, 2*i+1, "\x88"))
	}
	for i := range uint32(n) {
		k.send(0, ACK, h2Frame(1, 5, 2*i+1, "\x82\x86\x84"))
	}
	k.send(0, ACK, h2Frame(1, 5, 2*n+1, "\x82\x86\x84"))
	for _, s := range k.t.HTTP2(f).Streams {
		if s.Doubtful() != (s.ID < 2*n) {
			t.Errorf("stream %d: in doubt: %t", s.ID, s.Doubtful())
		}
	}
}

// Streams that may have ended in what the capture lacks are not kept for ever.
func TestHTTP2Doubtful(t *testing.T) {
	k := newH2Talk(Config{})
	var f *Flow
	k.t.Each(func(x *Flow) { f = x })
	for i := range uint32(3000) {
		k.send(0, ACK, h2Frame(1, 5, 2*i+1, "\x82\x86\x84"))
		k.next[1] += 10 // its answer was not captured
		k.send(1, ACK, h2Frame(8, 0, 0, "\x00\x00\x01\x00"))
		k.now += 100 * millisecond
	}
	if h := k.t.HTTP2(f); k.t.UnfollowedStreams != 0 || len(h.Streams) > 400 || h.open > len(h.Streams) {
		t.Errorf("%d streams kept, %d not followed, %d open", len(h.Streams), k.t.UnfollowedStreams, h.open)
	}
}
