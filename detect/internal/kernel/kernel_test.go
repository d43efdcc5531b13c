package kernel

import (
	"net/netip"
	"testing"

	"connrace/tcpstate"
)

func end(s string) tcpstate.Endpoint { return tcpstate.EndpointFrom(netip.MustParseAddrPort(s)) }

const start = 1_700_000_000 * second

// history takes samples of one listener, 200 ms apart: its queue of 4, what its socket had
// dropped, and ListenOverflows.
func history(samples ...[3]uint32) *History {
	k := &History{}
	for i, x := range samples {
		k.Add(&Sample{
			Time: start + int64(i)*200*millisecond, SOMaxConn: 4096, Counters: Counters{ListenOverflows: uint64(x[2])},
			Listeners: []Listener{{End: end("[::]:80"), Queue: x[0], Limit: 4, Drops: x[1]}},
		})
	}
	return k
}

func TestAsk(t *testing.T) {
	for _, tt := range []struct {
		name    string
		samples [][3]uint32
		at      []int64 // ms
		want    Answer
		ok      bool
		proves  bool
	}{
		{
			"full, and overflows counted",
			[][3]uint32{{1, 0, 7}, {5, 0, 7}, {5, 2, 9}, {5, 2, 9}, {0, 2, 9}},
			[]int64{300},
			Answer{Figures{5, 4, 2, Counters{ListenOverflows: 2}}, 1, 1, 1, 1, 0, true},
			true, true,
		},
		{
			"overflows of this one alone",
			[][3]uint32{{0, 0, 0}, {0, 1, 1}, {0, 1, 1}, {0, 1, 1}},
			[]int64{100},
			Answer{Figures{0, 4, 1, Counters{ListenOverflows: 1}}, 1, 0, 1, 1, 0, true},
			true, true,
		},
		{
			"at its limit there is room for one more",
			[][3]uint32{{4, 0, 0}, {4, 0, 0}, {4, 0, 0}},
			[]int64{200},
			Answer{Figures{4, 4, 0, Counters{}}, 1, 0, 0, 0, 0, true},
			true, false,
		},
		{"nothing", [][3]uint32{{0, 0, 3}, {0, 0, 3}, {0, 0, 3}}, []int64{100, 300}, Answer{Figures: Figures{Limit: 4}, Moments: 2, Sole: true}, true, false},
		{"a socket that was made anew begins at 0", [][3]uint32{{0, 9, 0}, {0, 1, 0}, {0, 1, 0}}, []int64{100}, Answer{Figures: Figures{Limit: 4}, Moments: 1, Sole: true}, true, false},
		{"before the first sample", [][3]uint32{{5, 0, 0}}, []int64{-300}, Answer{}, false, false},
		{"behind the last one", [][3]uint32{{5, 0, 0}}, []int64{1}, Answer{}, false, false},
	} {
		k := history(tt.samples...)
		var at []int64
		for _, ms := range tt.at {
			at = append(at, start+ms*millisecond)
		}
		got, ok := k.Ask(k.At(end("10.0.0.1:80")), at)
		if got != tt.want || ok != tt.ok || got.Proves() != tt.proves {
			t.Errorf("%s: %+v, %v, proves %v", tt.name, got, ok, got.Proves())
		}
	}
	k := &History{}
	if _, ok := k.Ask(k.At(end("10.0.0.1:80")), []int64{start}); ok || !k.Empty() {
		t.Error("an answer without samples")
	}
}

// Another listener whose queue is full may be the one that the counters count for.
func TestSole(t *testing.T) {
	k := &History{}
	for i := range int64(3) {
		k.Add(&Sample{Time: start + i*200*millisecond, Counters: Counters{ListenOverflows: uint64(i)}, Listeners: []Listener{
			{End: end("0.0.0.0:80"), Queue: 0, Limit: 4}, {End: end("0.0.0.0:81"), Queue: 9, Limit: 8},
		}})
	}
	if x, ok := k.Ask(k.At(end("10.0.0.1:80")), []int64{start}); !ok || x.Overflow != 1 || x.Sole || x.Proves() {
		t.Errorf("of the idle one: %+v", x)
	}
	if x, ok := k.Ask(k.At(end("10.0.0.1:81")), []int64{start}); !ok || !x.Sole || !x.Proves() {
		t.Errorf("of the full one: %+v", x)
	}
}

// Who listens on an endpoint: the very address, then all of its family, then all.
func TestAt(t *testing.T) {
	k := &History{}
	k.Add(&Sample{Time: start, Listeners: []Listener{
		{End: end("10.0.0.1:80"), Limit: 1},
		{End: end("0.0.0.0:80"), Limit: 2},
		{End: end("[::]:80"), Limit: 3},
		{End: end("[::]:81"), Limit: 4},
		{End: end("[::]:82"), Limit: 5, V6Only: true},
	}})
	for e, want := range map[string]uint32{
		"10.0.0.1:80": 1, "10.0.0.2:80": 2, "[2001:db8::1]:80": 3, "10.0.0.1:81": 4, "[2001:db8::1]:82": 5, "10.0.0.1:82": 0, "10.0.0.1:83": 0,
	} {
		got := uint32(0)
		if l := k.At(end(e)); l != nil {
			got = l.Limit
		}
		if got != want {
			t.Errorf("%s: the one with backlog %d, want %d", e, got, want)
		}
	}
}

// Of several sockets that listen on an endpoint (SO_REUSEPORT) the fullest speaks, and their
// drops add up.
func TestReusePort(t *testing.T) {
	k := &History{}
	for i := range uint32(3) {
		k.Add(&Sample{Time: start + int64(i)*200*millisecond, Listeners: []Listener{
			{End: end("0.0.0.0:80"), Queue: 1, Limit: 4, Drops: i}, {End: end("0.0.0.0:80"), Queue: 5, Limit: 4, Drops: 2 * i}, {End: end("0.0.0.0:80"), Queue: 2, Limit: 4},
		}})
	}
	l := k.At(end("10.0.0.1:80"))
	if x, ok := k.Ask(l, []int64{start}); !ok || x.Queue != 5 || x.Full != 1 || x.Dropped != 3 || l.Most != 5 {
		t.Errorf("%+v", x)
	}
	if !k.NearLimit(func(e tcpstate.Endpoint) bool { return e.Port == 80 }) || k.NearLimit(func(e tcpstate.Endpoint) bool { return e.Port == 81 }) {
		t.Error("near its limit")
	}
}

// A unix socket that fills up is told of once, and again after it has had room for a while.
func TestUnixSocket(t *testing.T) {
	k := &History{}
	var told []int
	for i, queue := range []uint32{3, 6, 6, 0, 6, 0, 6} {
		at := start + int64(i)*second
		if i == 6 {
			at += calmFor
		}
		if full := k.Add(&Sample{Time: at, Sockets: []Socket{{Path: "/a", Queue: queue, Limit: 5}, {Path: "/b", Queue: 9, Missing: true}}}); len(full) > 0 {
			told = append(told, i)
			if len(full) != 1 || full[0].Path != "/a" {
				t.Errorf("%+v", full)
			}
		}
	}
	if len(told) != 2 || told[0] != 1 || told[1] != 6 {
		t.Errorf("told of at samples %v", told)
	}
}

// A listener that samples have no more is forgotten after a while, and the clock may be set.
func TestShift(t *testing.T) {
	const by = -3600 * second
	k := history([3]uint32{1, 0, 7}, [3]uint32{5, 0, 7}, [3]uint32{5, 2, 9})
	want, _ := k.Ask(k.At(end("10.0.0.1:80")), []int64{start + 200*millisecond})
	k.Shift(by)
	got, ok := k.Ask(k.At(end("10.0.0.1:80")), []int64{start + by + 200*millisecond})
	if !ok || got != want || !got.Proves() {
		t.Errorf("%+v, want %+v", got, want)
	}
	k.Add(&Sample{Time: start + by + listenerKeep})
	if k.At(end("10.0.0.1:80")) == nil {
		t.Error("forgotten too soon")
	}
	k.Add(&Sample{Time: start + by + second + listenerKeep})
	if k.At(end("10.0.0.1:80")) != nil {
		t.Error("not forgotten")
	}
}

func TestFigures(t *testing.T) {
	x := Figures{5, 4, 2, Counters{ListenOverflows: 3, ReqQFullDrop: 1, ReqQFullDoCookies: 6}}
	if got := x.String(); got != "queue 5 of 4, ListenOverflows +3, TCPReqQFullDrop +1, TCPReqQFullDoCookies +6, 2 dropped by this listener" {
		t.Error(got)
	}
}
