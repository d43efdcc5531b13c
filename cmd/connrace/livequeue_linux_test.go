package main

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"connrace/cmd/connrace/internal/clitest"
)

// acceptNever listens on a port of lo, IPv4 or IPv6, and never accepts. connect begins
// connections to it that nobody waits for.
func acceptNever(t *testing.T, n *netNS, port, backlog int, v6 bool) (connect func(times int)) {
	t.Helper()
	family, addr := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	if v6 {
		family, addr = unix.AF_INET6, &unix.SockaddrInet6{Port: port, Addr: [16]byte{15: 1}}
	}
	socket := func(more int) int {
		fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|more, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		return fd
	}
	n.do(func() {
		fd := socket(0)
		if err := unix.Bind(fd, addr); err != nil {
			t.Fatal(err)
		}
		if err := unix.Listen(fd, backlog); err != nil {
			t.Fatal(err)
		}
	})
	return func(times int) {
		n.do(func() {
			for range times {
				if err := unix.Connect(socket(unix.SOCK_NONBLOCK), addr); err != nil && err != unix.EINPROGRESS {
					t.Fatal(err)
				}
			}
		})
	}
}

// Stopped before a SYN is repeated, live knows nevertheless that the kernel dropped it;
// without the kernel it says that there is no answer yet.
func TestLiveStoppedEarly(t *testing.T) {
	t.Parallel()
	const tries = 3 // on a busy machine the kernel may be asked too late
	for try := range tries {
		n := newNetNS(t)
		connect := acceptNever(t, n, 8080, 1, true)
		p := n.connrace("live", "-i", "lo", "--target", "[::1]:8080", "--format", "jsonl")
		n.watching(1, p)
		n.until("the kernel has been asked", func() bool { return strings.Contains(p.stderr.String(), "its listen backlog is 1") })
		connect(5)
		time.Sleep(700 * time.Millisecond)
		p.endSoon(syscall.SIGINT)
		fs := clitest.Of(clitest.Lines(t, p.stdout.String()), "finding")
		for _, f := range fs {
			if f.Rule != "syn-dropped" || f.Confidence != "certain" || f.Lost != false || f.Measures.Kernel.Queue != 2 || f.Measures.Kernel.Limit != 1 {
				t.Errorf("%+v", f)
			}
		}
		if len(fs) == 3 && strings.Contains(p.stdout.String(), `"pending":3`) {
			return
		}
		if try == tries-1 {
			t.Errorf("%d findings, or not 3 SYNs without an answer: %s", len(fs), p.stdout)
		}
	}
}

// Where --target lets nothing pass, the report says who listens instead.
func TestLiveWrongTarget(t *testing.T) {
	t.Parallel()
	n := newNetNS(t)
	acceptNever(t, n, 8080, 5, false)
	p := n.connrace("live", "-i", "lo", "--target", "127.0.0.1:8081", "--format", "table", "--duration", "0.2")
	p.wait()
	if want := "no packets; these listeners were seen: 127.0.0.1:8080\n"; !strings.Contains(p.stdout.String(), want) {
		t.Errorf("%s%s", p.stdout, p.stderr)
	}
}
