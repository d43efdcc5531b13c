package detect_test

import (
	"strings"
	"testing"

	"connrace/detect"
	"connrace/pcaps"
	"connrace/tcpstate"
)

// host is a kernel that is asked every 200 ms while segments come in.
type host struct {
	counters  detect.KernelCounters
	listeners func(at int64) []detect.KernelListener
	count     func(at int64, c *detect.KernelCounters)
	somaxconn uint32
}

// watch analyses a script beside a kernel; at counts from its first segment.
func (h *host) watch(t *testing.T, name string, o detect.Options) *detect.Result {
	t.Helper()
	s, err := pcaps.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	d := detect.New(o)
	segs := s.Segments()
	next := segs[0].Time - second
	for i := range segs {
		for ; next <= segs[i].Time; next += 200 * millisecond {
			at := next - segs[0].Time
			if h.count != nil {
				h.count(at, &h.counters)
			}
			d.AddSample(&detect.KernelSample{Time: next, Listeners: h.listeners(at), Counters: h.counters, SOMaxConn: h.somaxconn})
		}
		d.Segments(segs[i : i+1])
	}
	return d.Finish()
}

func on(addr [4]byte, port uint16, queue, limit uint32) detect.KernelListener {
	return detect.KernelListener{End: tcpstate.Endpoint{Addr: tcpstate.Addr4(addr[:]), Port: port}, Queue: queue, Limit: limit}
}

var (
	anyAddr = [4]byte{}
	own     = [4]byte{10, 0, 1, 9}
	six     = func(port uint16, queue, limit uint32) detect.KernelListener {
		return detect.KernelListener{End: tcpstate.Endpoint{Port: port}, Queue: queue, Limit: limit}
	}
)

// between is the queue of a listener that is full between two times.
func between(from, to int64, l detect.KernelListener) func(int64) detect.KernelListener {
	return func(at int64) detect.KernelListener {
		x := l
		if at < from || at > to {
			x.Queue = 0
		}
		return x
	}
}

// Script syn-dropped: SYNs at 0.701 and 1.711 s are ignored, the one at 2.741 s is answered.
func TestKernelOnSYNs(t *testing.T) {
	overflows := func(at int64, c *detect.KernelCounters) {
		if at > 700*millisecond {
			c.ListenOverflows = 57
		}
		if at > 1710*millisecond {
			c.ListenOverflows = 64
		}
	}
	full := between(300*millisecond, 2500*millisecond, on(own, 8080, 2, 1))
	for _, c := range []struct {
		name       string
		host       host
		options    detect.Options
		confidence detect.Confidence
		grounds    string
	}{
		{"full queue, counted", host{
			listeners: func(at int64) []detect.KernelListener { return []detect.KernelListener{full(at)} }, count: overflows,
		}, detect.Options{}, detect.Certain, "queue 2 of 1, ListenOverflows +64"},

		{"listens on all addresses", host{
			listeners: func(at int64) []detect.KernelListener {
				l := full(at)
				l.End.Addr = tcpstate.Addr4(anyAddr[:])
				return []detect.KernelListener{l, on(own, 80, 0, 128)}
			}, count: overflows,
		}, detect.Options{}, detect.Certain, "queue 2 of 1"},

		{"listens on all IPv6 addresses", host{
			listeners: func(at int64) []detect.KernelListener { return []detect.KernelListener{six(8080, full(at).Queue, 1)} }, count: overflows,
		}, detect.Options{}, detect.Certain, "queue 2 of 1"},

		{"several sockets, one of them full", host{
			listeners: func(at int64) []detect.KernelListener {
				return []detect.KernelListener{on(own, 8080, 0, 1), full(at), on(own, 8080, 0, 1)}
			}, count: overflows,
		}, detect.Options{}, detect.Certain, "queue 2 of 1"},

		{"full queue, nothing counted", host{
			listeners: func(at int64) []detect.KernelListener { return []detect.KernelListener{full(at)} },
		}, detect.Options{}, detect.Likely, "queue 2 of 1, but no overflow was counted"},

		{"counted, near its limit, alone", host{
			listeners: func(int64) []detect.KernelListener {
				return []detect.KernelListener{on(own, 8080, 1, 1), on(own, 81, 3, 128)}
			}, count: overflows,
		}, detect.Options{}, detect.Certain, "queue 1 of 1, ListenOverflows +64"},

		{"counted, another one near its limit, too", host{
			listeners: func(int64) []detect.KernelListener {
				return []detect.KernelListener{on(own, 8080, 1, 1), on(own, 81, 128, 128)}
			}, count: overflows,
		}, detect.Options{}, detect.Likely, "another listener's"},

		{"counted, but it had room", host{
			listeners: func(int64) []detect.KernelListener {
				return []detect.KernelListener{on(own, 8080, 0, 128), on(own, 81, 129, 128)}
			}, count: overflows,
		}, detect.Options{}, detect.Likely, "another listener's"},

		{"counted, and dropped by this very one", host{
			listeners: func(at int64) []detect.KernelListener {
				l := on(own, 8080, 0, 128)
				l.Drops = 3
				if at > 700*millisecond {
					l.Drops = 4
				}
				if at > 1710*millisecond {
					l.Drops = 5
				}
				return []detect.KernelListener{l, on(own, 81, 129, 128)}
			}, count: overflows,
		}, detect.Options{}, detect.Certain, "ListenOverflows +64, 2 dropped by this listener"},

		{"counted, near its limit, but another one dropped", host{
			listeners: func(at int64) []detect.KernelListener {
				l := on(own, 81, 0, 128)
				if at > 1000*millisecond {
					l.Drops = 4
				}
				return []detect.KernelListener{on(own, 8080, 1, 1), l}
			}, count: overflows,
		}, detect.Options{}, detect.Likely, "another listener's"},

		{"IPv6 only", host{
			listeners: func(at int64) []detect.KernelListener {
				l := six(8080, full(at).Queue, 1)
				l.V6Only = true
				return []detect.KernelListener{l}
			}, count: overflows,
		}, detect.Options{}, detect.Suspected, "stalled request"},

		{"nothing counted, and it had room", host{
			listeners: func(int64) []detect.KernelListener { return []detect.KernelListener{on(own, 8080, 1, 128)} },
		}, detect.Options{}, detect.Suspected, "counted no overflow"},

		{"the queue of half-open connections", host{
			listeners: func(int64) []detect.KernelListener { return []detect.KernelListener{on(own, 8080, 1, 128)} },
			count: func(at int64, c *detect.KernelCounters) {
				overflows(at, c)
				c.ReqQFullDrop, c.ListenOverflows = c.ListenOverflows, 0
			},
		}, detect.Options{}, detect.Certain, "TCPReqQFullDrop +64, the queue of half-open connections was full"},

		{"another host's target", host{
			listeners: func(at int64) []detect.KernelListener {
				l := full(at)
				l.End.Addr = tcpstate.Addr4(anyAddr[:])
				return []detect.KernelListener{l}
			}, count: overflows,
		}, detect.Options{IsLocal: func(tcpstate.Addr) bool { return false }}, detect.Suspected, "stalled request"},

		{"nobody listens there", host{
			listeners: func(int64) []detect.KernelListener { return nil }, count: overflows,
		}, detect.Options{}, detect.Suspected, "stalled request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := c.host.watch(t, "syn-dropped", c.options)
			if len(r.Findings) != 1 {
				t.Fatalf("%d findings", len(r.Findings))
			}
			f := r.Findings[0]
			if f.Rule != detect.SYNDropped || f.Confidence != c.confidence || !strings.Contains(f.Grounds, c.grounds) {
				t.Errorf("%s %s, %s\nwant %s, %s", f.Rule.ID, f.Confidence, f.Grounds, c.confidence, c.grounds)
			}
			if kernel := strings.HasPrefix(f.Grounds, "the kernel: "); kernel != strings.Contains(f.Evidence[2].Note, "the kernel: ") && f.Evidence[2].Role == detect.RoleSYN {
				t.Errorf("the SYN's note is %q", f.Evidence[2].Note)
			}
		})
	}
}

// What looked like a firewall is a full queue where the kernel says so; else it speaks
// against one.
func TestKernelAgainstFirewall(t *testing.T) {
	h := host{listeners: func(int64) []detect.KernelListener { return []detect.KernelListener{on(own, 8080, 2, 1)} }}
	quiet := host{listeners: func(int64) []detect.KernelListener { return []detect.KernelListener{on(own, 8080, 0, 1)} }}
	h.count = func(at int64, c *detect.KernelCounters) { c.ListenOverflows = uint64(at/(100*millisecond) + 100) }
	for _, c := range []struct {
		host host
		rule *detect.Rule
		conf detect.Confidence
	}{{h, detect.SYNDropped, detect.Certain}, {quiet, detect.SYNUnanswered, detect.Suspected}} {
		r := c.host.watch(t, "syn-unanswered", detect.Options{})
		if len(r.Findings) == 0 {
			t.Fatal("no findings")
		}
		for _, f := range r.Findings {
			if f.Rule != c.rule || f.Confidence != c.conf || f.Measures.Kernel == nil {
				t.Errorf("%s %s: %s", f.Rule.ID, f.Confidence, f.Grounds)
			}
		}
	}
}

func TestKernelOnOverflow(t *testing.T) {
	h := host{listeners: func(int64) []detect.KernelListener { return []detect.KernelListener{on(own, 8080, 5, 4)} }}
	h.count = func(at int64, c *detect.KernelCounters) { c.ListenOverflows = uint64(at/(100*millisecond) + 100) }
	r := h.watch(t, "accept-queue-overflow", detect.Options{})
	if len(r.Findings) != 1 || r.Findings[0].Confidence != detect.Certain || !strings.Contains(r.Findings[0].Grounds, "queue 5 of 4") {
		t.Errorf("found %+v", r.Findings[0])
	}
	l := r.Targets[0].Listener
	if l == nil || l.MaxQueue != 5 || l.Limit != 4 {
		t.Errorf("listener %+v", l)
	}
	if len(r.Targets[0].Advice) != 1 || !strings.Contains(r.Targets[0].Advice[0], "listen backlog is 4") {
		t.Errorf("advice %q", r.Targets[0].Advice)
	}
}

// More samples are wanted from when a SYN to this host goes unanswered.
func TestUrgent(t *testing.T) {
	x := &traffic{d: detect.New(detect.Options{IsLocal: func(a tcpstate.Addr) bool { return a == targetEnd(0).Addr }})}
	x.seg.Time = 1000 * second
	x.d.AddSample(&detect.KernelSample{Time: x.seg.Time, Listeners: []detect.KernelListener{on(anyAddr, 8080, 0, 128)}})
	urgent := func(want bool, why string) {
		t.Helper()
		if x.d.Urgent(x.seg.Time+50*millisecond) != want {
			t.Errorf("%s: want %v", why, want)
		}
	}
	urgent(false, "nothing has happened")
	x.send(lbEnd(0), targetEnd(1), tcpstate.SYN, 100, 0)
	urgent(false, "a SYN to another host")
	x.send(lbEnd(1), targetEnd(0), tcpstate.SYN, 100, 0)
	if x.d.Urgent(x.seg.Time + millisecond) {
		t.Error("at once")
	}
	urgent(true, "a SYN without an answer")
	x.send(targetEnd(0), lbEnd(1), tcpstate.SYN|tcpstate.ACK, 500, 101)
	urgent(false, "answered")
	x.d.AddSample(&detect.KernelSample{Time: x.seg.Time, Listeners: []detect.KernelListener{on(anyAddr, 8080, 128, 128)}})
	urgent(true, "a queue near its limit")
	x.d.AddSample(&detect.KernelSample{Time: x.seg.Time + second, Listeners: []detect.KernelListener{on(anyAddr, 8080, 1, 128)}})
	urgent(false, "room again")
}

// A unix socket without room is reported once while it lasts.
func TestUnixSocket(t *testing.T) {
	d := detect.New(detect.Options{Live: true})
	now := 1000 * second
	for _, c := range []struct {
		seconds int64
		queue   uint32
		want    int
	}{{1, 1, 0}, {5, 2, 1}, {1, 0, 1}, {3, 2, 1}, {20, 0, 1}, {2, 3, 2}} {
		for range c.seconds * 5 {
			now += 200 * millisecond
			d.AddSample(&detect.KernelSample{Time: now, Sockets: []detect.KernelSocket{{Path: "/run/app.sock", Queue: c.queue, Limit: 1}}})
			d.Advance(now)
		}
		fs := d.Snapshot().Findings
		if len(fs) != c.want {
			t.Fatalf("%d findings, want %d", len(fs), c.want)
		}
	}
	f := d.Finish().Findings[0]
	if f.Lost || f.Severity != detect.Warning || f.Confidence != detect.Likely || f.TargetName() != "unix:/run/app.sock" ||
		f.TupleFilter() != "" || !strings.Contains(f.Summary, "2 of 1") {
		t.Errorf("%+v", f)
	}
}

func TestBacklogWarning(t *testing.T) {
	for _, c := range []struct {
		limit, somaxconn uint32
		want             string
	}{
		{1, 4096, "its listen backlog is 1: 2 connections that come at once fill it"},
		{5, 5, "net.core.somaxconn clamps it"},
		{128, 128, "all that net.core.somaxconn allows"},
		{100, 4096, ""},
		{4096, 4096, ""},
	} {
		if got := detect.BacklogWarning(c.limit, c.somaxconn); !strings.Contains(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%d of %d: %q", c.limit, c.somaxconn, got)
		}
	}
}

// A SYN that has no answer yet at the capture's end is dropped for certain where the
// kernel says so; else it is only counted.
func TestPendingSYN(t *testing.T) {
	for _, c := range []struct {
		name      string
		queue     uint32
		overflows uint64
		late      int64 // how long before the end the SYN came
		findings  int
		pending   uint64
	}{
		{"full, counted", 2, 1, second / 2, 1, 1},
		{"full, nothing counted", 2, 0, second / 2, 0, 1},
		{"room", 0, 0, second / 2, 0, 1},
		{"just sent", 2, 1, second / 10, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := &traffic{d: detect.New(detect.Options{Live: true})}
			x.seg.Time = 1000 * second
			sample := func(counted uint64) {
				x.d.AddSample(&detect.KernelSample{
					Time: x.seg.Time, Listeners: []detect.KernelListener{on(anyAddr, 8080, c.queue, 1)},
					Counters: detect.KernelCounters{ListenOverflows: counted, ListenDrops: counted},
				})
			}
			sample(0)
			x.send(lbEnd(1), targetEnd(0), tcpstate.SYN, 100, 0)
			end := x.seg.Time + c.late
			for x.seg.Time < end {
				x.seg.Time += 50 * millisecond
				sample(c.overflows)
			}
			x.d.Advance(end)
			r := x.d.Finish()
			if h := r.Targets[0].Handshakes; len(r.Findings) != c.findings || h.Pending != c.pending || h.Unanswered != 0 {
				t.Fatalf("%d findings, %+v", len(r.Findings), h)
			}
			for _, f := range r.Findings {
				if f.Rule != detect.SYNDropped || f.Confidence != detect.Certain || f.Severity != detect.Warning || f.Lost ||
					f.Measures.Attempts != 1 || !strings.Contains(f.Grounds, "queue 2 of 1, ListenOverflows +1") || !strings.Contains(f.Summary, "no answer yet after 500 ms") {
					t.Errorf("%+v", f)
				}
			}
		})
	}
}
