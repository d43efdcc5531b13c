package capture

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// patience is how long a test waits for what should come at once, before it fails. Some
// machines have much to do besides.
const patience = time.Minute

// netNS is a network namespace of a test's own. Traffic is made in such only.
type netNS struct {
	f *os.File
}

// newNetNS makes a namespace with nothing but its loopback interface, or skips the test.
func newNetNS(t testing.TB) *netNS {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("makes network namespaces: needs root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("sets up interfaces: needs iproute2")
	}
	var n netNS
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread stays in the namespace
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			n.f, err = os.Open("/proc/thread-self/ns/net")
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Skipf("makes network namespaces: %v", err)
	}
	t.Cleanup(func() { n.f.Close() })
	n.ip(t, "link set lo up")
	return &n
}

// newVeth makes a namespace with a pair of Ethernet interfaces, v0 and v1.
func newVeth(t testing.TB) *netNS {
	t.Helper()
	n := newNetNS(t)
	n.addVeth(t, "v0", "v1")
	return n
}

// addVeth adds a pair of interfaces.
func (n *netNS) addVeth(t testing.TB, names ...string) {
	t.Helper()
	n.ip(t, fmt.Sprintf("link add %s type veth peer name %s", names[0], names[1]))
	for _, name := range names {
		n.ip(t, "link set "+name+" up")
	}
	n.running(t, names...)
}

// running waits until a pair of interfaces is running: before, what is sent is lost without
// an error.
func (n *netNS) running(t testing.TB, names ...string) {
	t.Helper()
	n.do(t, func() error {
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			a, errA := net.InterfaceByName(names[0])
			b, errB := net.InterfaceByName(names[1])
			if err := errors.Join(errA, errB); err != nil {
				return err
			}
			if a.Flags&b.Flags&net.FlagRunning != 0 {
				return nil
			}
		}
		return fmt.Errorf("%v are not running", names)
	})
	// linkwatch_do_dev has said so, and makes it true before it lets go of the lock that
	// this needs.
	n.ip(t, "link set "+names[0]+" up")
}

func (n *netNS) path() string { return fmt.Sprintf("/proc/self/fd/%d", n.f.Fd()) }

// do runs f in the namespace.
func (n *netNS) do(t testing.TB, f func() error) {
	t.Helper()
	if err := inNetNS(n.path(), f); err != nil {
		t.Fatal(err)
	}
}

func (n *netNS) ip(t testing.TB, args string) {
	t.Helper()
	n.do(t, func() error {
		out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ip %s: %w: %s", args, err, out)
		}
		return nil
	})
}

// live opens a capture in the namespace.
func (n *netNS) live(t testing.TB, o LiveOptions) *Live {
	t.Helper()
	o.NetNS = n.path()
	if o.Ring == 0 {
		o.Ring = 4 << 20
	}
	l, err := OpenLive(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// listen listens in the namespace.
func (n *netNS) listen(t testing.TB, network, addr string) net.Listener {
	t.Helper()
	var l net.Listener
	n.do(t, func() (err error) {
		l, err = net.Listen(network, addr)
		return err
	})
	t.Cleanup(func() { l.Close() })
	return l
}

// sender sends frames as they are.
type sender struct {
	fd   int
	msgs []multiMessage
	vecs []unix.Iovec
}

// multiMessage is struct mmsghdr.
type multiMessage struct {
	unix.Msghdr
	n uint32
}

func (n *netNS) sender(t testing.TB, device string) *sender {
	t.Helper()
	s := &sender{fd: -1}
	n.do(t, func() (err error) {
		s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		i, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		return unix.Bind(s.fd, &unix.SockaddrLinklayer{Ifindex: i.Index})
	})
	t.Cleanup(func() { unix.Close(s.fd) })
	return s
}

// bypass leaves out the queue of the device, and with it what captures on that see.
func (s *sender) bypass(t testing.TB) {
	if err := unix.SetsockoptInt(s.fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
		t.Fatal(err)
	}
}

// send sends frames in as few system calls as possible.
func (s *sender) send(frames ...[]byte) error {
	s.msgs, s.vecs = make([]multiMessage, len(frames)), make([]unix.Iovec, len(frames))
	for i, f := range frames {
		s.vecs[i].Base = unsafe.SliceData(f)
		s.vecs[i].SetLen(len(f))
		s.msgs[i].Iov = &s.vecs[i]
		s.msgs[i].SetIovlen(1)
	}
	for m := s.msgs; len(m) > 0; {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&m[0])), uintptr(len(m)), 0, 0, 0)
		switch {
		case errno == 0:
			m = m[n:]
		case errno != unix.EINTR && errno != unix.ENOBUFS && errno != unix.EAGAIN:
			return errno
		}
	}
	return nil
}

// readUntil reads frames, keeping copies of their data, until there are n or it has taken
// too long. n < 0: until the end.
func readUntil(t testing.TB, l *Live, n int) []Frame {
	t.Helper()
	var all []Frame
	batch := make([]Frame, 64)
	for deadline := time.Now().Add(patience); n < 0 || len(all) < n; {
		m, err := l.Read(batch)
		for _, f := range batch[:m] {
			f.Data = append([]byte(nil), f.Data...)
			all = append(all, f)
		}
		if err != nil {
			if n >= 0 || !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			return all
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d frames after %v, want %d; %+v", len(all), patience, n, l.Stats())
		}
	}
	return all
}

// finish stops the capture and reads what is left.
func finish(t testing.TB, l *Live) []Frame {
	t.Helper()
	l.Stop()
	return readUntil(t, l, -1)
}
