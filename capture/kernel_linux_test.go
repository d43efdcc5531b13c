package capture

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"connrace/tcpstate"
)

// witness opens a Witness in the namespace.
func (n *netNS) witness(t testing.TB, unixPaths ...string) *Witness {
	t.Helper()
	w, err := OpenWitness(WitnessOptions{NetNS: n.path(), Unix: unixPaths})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func sampleOf(t testing.TB, w *Witness) Sample {
	t.Helper()
	s, err := w.Sample()
	if err != nil {
		t.Fatal(err)
	}
	s.Listeners, s.Unix = slices.Clone(s.Listeners), slices.Clone(s.Unix)
	return s
}

// socket makes a socket in the namespace.
func (n *netNS) socket(t testing.TB, family, kind int) (fd int) {
	t.Helper()
	n.do(t, func() (err error) {
		fd, err = unix.Socket(family, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		return err
	})
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func sockaddr(end string) (int, unix.Sockaddr) {
	a := netip.MustParseAddrPort(end)
	if a.Addr().Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
}

// backlog listens with a backlog of its own, options being set before.
func (n *netNS) backlog(t testing.TB, end string, backlog int, options ...func(fd int) error) int {
	t.Helper()
	family, a := sockaddr(end)
	fd := n.socket(t, family, unix.SOCK_STREAM)
	options = append(options, func(fd int) error { return unix.Bind(fd, a) }, func(fd int) error { return unix.Listen(fd, backlog) })
	for _, o := range options {
		if err := o(fd); err != nil {
			t.Fatal(err)
		}
	}
	return fd
}

// connect begins to connect.
func (n *netNS) connect(t testing.TB, end string) int {
	t.Helper()
	family, a := sockaddr(end)
	fd := n.socket(t, family, unix.SOCK_STREAM)
	if err := unix.Connect(fd, a); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		t.Fatal(err)
	}
	return fd
}

// listenerAt is what the sample says of the listeners at end.
func listenerAt(t testing.TB, s Sample, end string) (ls []Listener) {
	t.Helper()
	e := tcpstate.EndpointFrom(netip.MustParseAddrPort(end))
	for _, l := range s.Listeners {
		if l.End == e {
			ls = append(ls, l)
		}
	}
	if len(ls) == 0 {
		t.Fatalf("%s is not among %+v", end, s.Listeners)
	}
	return ls
}

// TestWitnessAcceptQueue: listen(1) without accept() holds two connections; what comes then
// is dropped, and the kernel says whose it was.
func TestWitnessAcceptQueue(t *testing.T) {
	for _, end := range []string{"127.0.0.1:8080", "[::1]:8080"} {
		t.Run(end, func(t *testing.T) {
			n := newNetNS(t)
			w := n.witness(t)
			fd := n.backlog(t, end, 1)

			other := "127.0.0.1:9090"
			n.backlog(t, other, 5)
			before := sampleOf(t, w)
			if l := listenerAt(t, before, end); len(l) != 1 || l[0].Queue != 0 || l[0].Limit != 1 || l[0].Drops != 0 {
				t.Errorf("at first: %+v", l)
			}
			n.connect(t, end)
			n.connect(t, end)
			full := sampleOf(t, w)
			if l := listenerAt(t, full, end); l[0].Queue != 2 || l[0].Limit != 1 || l[0].Drops != 0 {
				t.Errorf("full: %+v", l)
			}
			if c := full.Counters; c != before.Counters {
				t.Errorf("full: %+v", c)
			}
			third := n.connect(t, end)
			over := sampleOf(t, w)
			if c, b := over.Counters, before.Counters; c.ListenOverflows != b.ListenOverflows+1 || c.ListenDrops != b.ListenDrops+1 {
				t.Errorf("a third: %+v", c)
			}
			if l := listenerAt(t, over, end); l[0].Queue != 2 || l[0].Drops != 1 {
				t.Errorf("a third: %+v", l)
			}
			if l := listenerAt(t, over, other); l[0].Queue != 0 || l[0].Limit != 5 || l[0].Drops != 0 {
				t.Errorf("the other listener: %+v", l)
			}
			unix.Close(third)
			if c, _, err := unix.Accept(fd); err != nil {
				t.Error(err)
			} else {
				unix.Close(c)
			}
			if l := listenerAt(t, sampleOf(t, w), end); l[0].Queue != 1 {
				t.Errorf("after accept(): %+v", l)
			}
			if age := time.Since(time.Unix(0, over.Time)); age < 0 || age > time.Minute {
				t.Errorf("sampled %v ago", age)
			}
		})
	}
}

// TestWitnessListeners: which listeners there are, and what their limit is.
func TestWitnessListeners(t *testing.T) {
	n := newNetNS(t)
	n.do(t, func() error { return os.WriteFile("/proc/sys/net/core/somaxconn", []byte("7"), 0) })
	w := n.witness(t)
	if s := sampleOf(t, w); len(s.Listeners) != 0 || s.SomaxConn != 7 {
		t.Errorf("%+v", s)
	}
	option := func(level, name int) func(int) error {
		return func(fd int) error { return unix.SetsockoptInt(fd, level, name, 1) }
	}
	share := option(unix.SOL_SOCKET, unix.SO_REUSEPORT)
	only6 := option(unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
	n.backlog(t, "0.0.0.0:80", 1000, share)
	n.backlog(t, "0.0.0.0:80", 3, share)
	n.backlog(t, "[::]:80", 5, share, only6)
	n.backlog(t, "[::]:81", 6)
	s := sampleOf(t, w)
	if len(s.Listeners) != 4 {
		t.Errorf("%+v", s.Listeners)
	}
	for _, c := range []struct {
		end    string
		limits []uint32
		v6only bool
	}{
		{"0.0.0.0:80", []uint32{3, 7}, false}, // 1000 is more than somaxconn
		{"[::]:80", []uint32{5}, true},
		{"[::]:81", []uint32{6}, false},
	} {
		var limits []uint32
		for _, l := range listenerAt(t, s, c.end) {
			limits = append(limits, l.Limit)
			if l.V6Only != c.v6only {
				t.Errorf("%s: %+v", c.end, l)
			}
		}
		if slices.Sort(limits); !slices.Equal(limits, c.limits) {
			t.Errorf("%s: limits %v, want %v", c.end, limits, c.limits)
		}
	}
	if here, err := OpenWitness(WitnessOptions{}); err != nil {
		t.Error(err)
	} else {
		defer here.Close()
		if s := sampleOf(t, here); slices.ContainsFunc(s.Listeners, func(l Listener) bool { return l.End.Port == 81 && l.Limit == 6 }) {
			t.Errorf("listeners of another namespace: %+v", s.Listeners)
		}
	}
}

// TestWitnessMany: more listeners than fit into one answer.
func TestWitnessMany(t *testing.T) {
	n := newNetNS(t)
	w := n.witness(t)
	const many = 700
	for i := range many {
		n.backlog(t, fmt.Sprintf("127.0.0.1:%d", 10000+i), i)
	}
	s := sampleOf(t, w)
	if len(s.Listeners) != many {
		t.Fatalf("%d listeners", len(s.Listeners))
	}
	for _, l := range s.Listeners {
		if l.Limit != uint32(l.End.Port)-10000 {
			t.Errorf("%+v", l)
		}
	}
}

// TestWitnessUnix: a unix socket's queue, told by its path, also after the socket was
// replaced.
func TestWitnessUnix(t *testing.T) {
	n := newNetNS(t)
	dir, err := os.MkdirTemp("", "w") // short: sun_path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "a.sock")
	w := n.witness(t, path, filepath.Join(dir, "none.sock"))
	if s := sampleOf(t, w); len(s.Unix) != 0 {
		t.Errorf("%+v", s.Unix)
	}
	listen := func(path string, backlog int) {
		t.Helper()
		fd := n.socket(t, unix.AF_UNIX, unix.SOCK_STREAM)
		if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
			t.Fatal(err)
		}
		if err := unix.Listen(fd, backlog); err != nil {
			t.Fatal(err)
		}
	}
	listen(path, 1)
	listen(filepath.Join(dir, "b.sock"), 9)
	for i := range 3 {
		err := unix.Connect(n.socket(t, unix.AF_UNIX, unix.SOCK_STREAM), &unix.SockaddrUnix{Name: path})
		if i < 2 && err != nil || i == 2 && !errors.Is(err, unix.EAGAIN) {
			t.Errorf("connection %d: %v", i+1, err)
		}
		s := sampleOf(t, w)
		if len(s.Unix) != 1 || s.Unix[0].Path != path || s.Unix[0].Queue != uint32(min(i+1, 2)) || s.Unix[0].Limit != 1 {
			t.Errorf("after connection %d: %+v", i+1, s.Unix)
		}
	}
	// The socket is served still, but new connections come to another one.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	listen(path, 4)
	if s := sampleOf(t, w); len(s.Unix) != 1 || s.Unix[0].Queue != 0 || s.Unix[0].Limit != 4 {
		t.Errorf("replaced: %+v", s.Unix)
	}
}

func TestWitnessAllocations(t *testing.T) {
	n := newNetNS(t)
	n.backlog(t, "127.0.0.1:80", 5)
	n.backlog(t, "[::1]:80", 5)
	const fields = 2                                              // of the two lines of netstat
	for path, paths := range [][]string{nil, {"/nothing.sock"}} { // stat(2) wants its path with a NUL
		w := n.witness(t, paths...)
		if allocs := testing.AllocsPerRun(50, func() { w.Sample() }); allocs > float64(fields+path) {
			t.Errorf("%v: %v allocations", paths, allocs)
		}
	}
}

func BenchmarkWitness(b *testing.B) {
	n := newNetNS(b)
	for i := range 20 {
		n.backlog(b, fmt.Sprintf("127.0.0.1:%d", 10000+i), 5)
	}
	for _, paths := range [][]string{nil, {"/nothing.sock"}} {
		b.Run(fmt.Sprintf("20 listeners, %d unix", len(paths)), func(b *testing.B) {
			w := n.witness(b, paths...)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := w.Sample(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestWitnessAnswers: whatever comes in an answer, it is not read beyond its end.
func TestWitnessAnswers(t *testing.T) {
	w := &Witness{paths: []unixPath{{path: "/a"}}}
	whole := make([]byte, 120)
	for i := range whole {
		whole[i] = byte(i%5 + 8)
	}
	for n := range whole {
		w.listener(whole[:n])
		w.unixListener(whole[:n])
		d := netlink{seq: native32(whole[8:])}
		d.answers(whole[:n], unix.SOCK_DIAG_BY_FAMILY, func(m []byte) { w.listener(m) })
	}
}

func TestCounterFileErrors(t *testing.T) {
	for _, text := range []string{"", "Tcp: OutRsts\n", "Udp: A\nUdp: 1\n"} {
		path := filepath.Join(t.TempDir(), "snmp")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		c := counterFile{f: f, prefix: "Tcp:"}
		if err := c.read(); err == nil {
			t.Errorf("%q: no error", text)
		}
		f.Close()
	}
	var v, none uint64
	path := filepath.Join(t.TempDir(), "snmp")
	text := "Ip: OutRsts\nIp: 9\nTcp: MaxConn OutRsts\nTcp: -1 18446744073709551615\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c := counterFile{f: f, prefix: "Tcp:", values: map[string]*uint64{"OutRsts": &v, "Missing": &none}}
	if err := c.read(); err != nil || v != 1<<64-1 || none != 0 {
		t.Errorf("%d, %d, %v", v, none, err)
	}
}
