package main

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"connrace/cmd/connrace/internal/cli"
	"connrace/cmd/connrace/internal/clitest"
)

// buffer is a bytes.Buffer that may be read while a process writes to it.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func netip4(host string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(host), 0) }

// On lo, a target that listens with a backlog of 1 and never accepts: the SYNs that its
// kernel drops come out as certain, with the kernel's figures. So does a unix socket.
func TestLiveQueue(t *testing.T) {
	t.Parallel()
	n := newNetNS(t)
	dir := t.TempDir()
	sock := filepath.Join(dir, "app.sock")
	var fds []int
	socket := func(family int, more int) int {
		fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|more, 0)
		if err != nil {
			t.Fatal(err)
		}
		fds = append(fds, fd)
		return fd
	}
	t.Cleanup(func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	})
	target := &unix.SockaddrInet4{Port: 8080, Addr: [4]byte{127, 0, 0, 1}}
	n.do(func() {
		tcp, ux := socket(unix.AF_INET, 0), socket(unix.AF_UNIX, 0)
		if err := unix.Bind(tcp, target); err != nil {
			t.Fatal(err)
		}
		if err := unix.Bind(ux, &unix.SockaddrUnix{Name: sock}); err != nil {
			t.Fatal(err)
		}
		for _, fd := range []int{tcp, ux} {
			if err := unix.Listen(fd, 1); err != nil {
				t.Fatal(err)
			}
		}
	})
	out := filepath.Join(dir, "all.pcapng")
	p := n.connrace("live", "-i", "lo", "--target", "127.0.0.1:8080", "--target", "unix:"+sock, "--target", "unix:"+sock+".gone",
		"--format", "jsonl", "--evidence", filepath.Join(dir, "ev"), "-w", out)
	n.watching(1, p)
	n.until("the kernel has been asked", func() bool { return strings.Count(p.stderr.String(), "its listen backlog is 1") == 2 })
	n.do(func() {
		for range 6 {
			fd := socket(unix.AF_INET, unix.SOCK_NONBLOCK)
			if err := unix.Connect(fd, target); err != nil && err != unix.EINPROGRESS {
				t.Fatal(err)
			}
			unix.Connect(socket(unix.AF_UNIX, unix.SOCK_NONBLOCK), &unix.SockaddrUnix{Name: sock})
		}
	})
	// Each of 4 SYNs is sent again after 1 and 3 s at the latest (tcp_syn_linear_timeouts).
	n.until("SYNs are dropped", func() bool { return n.overflows() >= 3*4 })
	for _, fd := range fds[2:] {
		unix.Close(fd)
	}
	fds = fds[:2]
	n.until("the findings are settled", func() bool { return strings.Count(p.stdout.String(), `"type":"finding"`) == 5 })
	p.endSoon(syscall.SIGTERM)
	if code := p.ProcessState.ExitCode(); code != cli.ExitOK {
		t.Errorf("exit %d", code)
	}
	for _, want := range []string{
		"127.0.0.1:8080: its listen backlog is 1: 2 connections", "unix:" + sock + ": its listen backlog is 1", ".gone: nobody listens there",
	} {
		if !strings.Contains(p.stderr.String(), want) {
			t.Errorf("stderr does not say %q:\n%s", want, p.stderr)
		}
	}
	_, schema := clitest.Schemas(t)
	for l := range strings.Lines(p.stdout.String()) {
		clitest.Validate(t, schema, "live", []byte(l))
	}
	ls := clitest.Lines(t, p.stdout.String())
	dropped := 0
	for _, f := range clitest.Of(ls, "finding") {
		k := f.Measures.Kernel
		switch {
		case f.Rule == "syn-dropped":
			dropped++
			if f.Confidence != "certain" || k == nil || k.Queue != 2 || k.Limit != 1 || k.Overflows < 3 ||
				!strings.Contains(f.Grounds, "the kernel: queue 2 of 1, ListenOverflows +") || !strings.Contains(f.Evidence[0].Note, "queue 2 of 1") {
				t.Errorf("%s: %s, %s, %+v", f.Rule, f.Confidence, f.Grounds, k)
			}
			if clitest.Readable(t, f.File, false) == 0 {
				t.Errorf("%s has no frames", f.File)
			}
		case f.Rule == "accept-queue-overflow" && f.Target == "unix:"+sock:
			if f.Confidence != "likely" || k.Queue != 2 || k.Limit != 1 {
				t.Errorf("%s: %s, %+v", f.Target, f.Confidence, k)
			}
		default:
			t.Errorf("also found %s at %s", f.Rule, f.Target)
		}
	}
	if dropped != 4 || len(clitest.Of(ls, "finding")) != 5 {
		t.Errorf("%d dropped connections of 4, %d findings", dropped, len(clitest.Of(ls, "finding")))
	}
	last := ls[len(ls)-1]
	if l := last.Targets[0].Listener; l == nil || l.MaxQueue != 2 || l.Limit != 1 {
		t.Errorf("listener %+v", l)
	}
	if got := clitest.Readable(t, out, false); got >= 0 && got != last.Totals.Frames {
		t.Errorf("-w has %d frames of %d", got, last.Totals.Frames)
	}
}

// overflows is how often a listener of the namespace had no room (TcpExt ListenOverflows).
func (n *netNS) overflows() (count int) {
	var b []byte
	n.do(func() { b, _ = os.ReadFile("/proc/thread-self/net/netstat") })
	names, values, _ := strings.Cut(string(b), "\n")
	at := slices.Index(strings.Fields(names), "ListenOverflows")
	if fs := strings.Fields(values); at > 0 && at < len(fs) {
		count, _ = strconv.Atoi(fs[at])
	}
	return count
}
