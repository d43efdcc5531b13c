package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// netNS is a network namespace of the test's own, held by a thread that is in it.
type netNS struct {
	t     testing.TB
	path  string
	calls chan func()
	gone  chan struct{} // closed when the test has ended; what still runs then calls in vain
}

func newNetNS(t testing.TB) *netNS {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to make network namespaces")
	}
	n := &netNS{t: t, calls: make(chan func()), gone: make(chan struct{})}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		n.path = fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
		made <- err
		for {
			select {
			case f := <-n.calls:
				f()
			case <-n.gone:
				return
			}
		}
	}()
	if err := <-made; err != nil {
		close(n.gone)
		t.Skip("no network namespaces here: ", err)
	}
	t.Cleanup(func() { close(n.gone) })
	n.do(func() { setUp(t, "lo") })
	return n
}

// do runs f in the namespace: sockets that it opens and processes that it starts are there.
// f may end the test.
func (n *netNS) do(f func()) {
	n.t.Helper()
	done := make(chan bool)
	call := func() {
		whole := false
		defer func() { done <- whole }()
		f()
		whole = true
	}
	select {
	case n.calls <- call:
	case <-n.gone:
		return
	}
	switch whole := <-done; {
	case whole:
	case n.t.Skipped():
		n.t.SkipNow()
	default:
		n.t.FailNow()
	}
}

// dial connects from the namespace.
func (n *netNS) dial(from, to string) (c net.Conn, err error) {
	err = net.ErrClosed
	n.do(func() {
		d := net.Dialer{Timeout: patience}
		if from != "" {
			d.LocalAddr = net.TCPAddrFromAddrPort(netip4(from))
		}
		c, err = d.Dial("tcp", to)
	})
	return c, err
}

// setUp sets an interface up.
func setUp(t testing.TB, name string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	r, _ := unix.NewIfreq(name)
	r.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r); err != nil {
		t.Fatal(name, ": ", err)
	}
}

// noOffload lets an interface give out each packet as it is on a wire, with its checksum.
func noOffload(t *testing.T, name string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	const setTXChecksum, setTSO, setGSO = 0x17, 0x1f, 0x24 // ETHTOOL_S...
	for _, what := range []uint32{setTSO, setGSO, setTXChecksum} {
		value := struct{ command, data uint32 }{what, 0}
		var r struct {
			name [unix.IFNAMSIZ]byte
			data unsafe.Pointer
			_    [16]byte
		}
		copy(r.name[:], name)
		r.data = unsafe.Pointer(&value)
		if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&r))); e != 0 {
			t.Fatalf("%s: offload %#x: %v", name, what, e)
		}
	}
}

// process is a program that runs in a namespace.
type process struct {
	*exec.Cmd
	t              testing.TB
	stdout, stderr *buffer
	ended          chan struct{}
}

// start starts a program in the namespace; it is killed at the end of the test.
func (n *netNS) start(name string, args ...string) *process {
	n.t.Helper()
	return n.run(exec.Command(name, args...))
}

// connrace starts this program. It names processes only if that is asked for: built for tests, its
// helper may take a second to begin.
func (n *netNS) connrace(args ...string) *process {
	n.t.Helper()
	if args[0] == "live" && !slices.Contains(args, "--processes") {
		args = append(args, "--processes", "off")
	}
	return n.run(connraceCommand(n.t, args...))
}

// connraceCommand is this program, see TestMain.
func connraceCommand(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(exe, args...)
	c.Args[0] = "connrace"
	c.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0") // it would wait for a second
	return c
}

func (n *netNS) run(c *exec.Cmd) *process {
	n.t.Helper()
	p := &process{Cmd: c, t: n.t, stdout: &buffer{}, stderr: &buffer{}, ended: make(chan struct{})}
	if c.Stdout == nil {
		c.Stdout = p.stdout
	}
	if c.Stderr == nil {
		c.Stderr = p.stderr
	}
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{}
	}
	c.SysProcAttr.Pdeathsig = syscall.SIGKILL
	var err error
	n.do(func() { err = c.Start() })
	if err != nil {
		n.t.Fatal(err)
	}
	go func() { c.Wait(); close(p.ended) }()
	n.t.Cleanup(func() { c.Process.Kill(); <-p.ended })
	return p
}

// patience is how long a test waits for what should come at once, before it fails. Some
// machines have much to do besides.
const patience = time.Minute

// isOver reports whether it has ended.
func (p *process) isOver() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// end sends a signal and waits.
func (p *process) end(s os.Signal) {
	p.t.Helper()
	p.Process.Signal(s)
	p.wait()
}

func (p *process) wait() {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatalf("%v does not end\n%s", p.Args, p.stderr)
	}
}

// endSoon sends a signal and complains when the end takes longer than a second, although
// the CPUs had time for it.
func (p *process) endSoon(s os.Signal) {
	p.t.Helper()
	idle, all := cpuTime()
	begun := time.Now()
	p.end(s)
	took := time.Since(begun)
	if took <= time.Second {
		return
	}
	idleNow, allNow := cpuTime()
	share := (idleNow - idle) / (allNow - all)
	p.t.Logf("took %v to end, with the CPUs idle for %.0f %% of that", took, 100*share)
	if share > 0.3 {
		p.t.Error("that is too long")
	}
}

// cpuTime is for how long the CPUs have been idle, and what that is a part of (the first
// line of proc_stat(5)). What a hypervisor took counts as busy.
func cpuTime() (idle, all float64) {
	b, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(b), "\n")
	for i, f := range strings.Fields(line) {
		n, _ := strconv.ParseFloat(f, 64)
		if i == 4 {
			idle = n
		}
		if i <= 8 { // time of guests is in that of users
			all += n
		}
	}
	return idle, all
}

// watching waits until the program captures: so many packet sockets in the namespace do.
func (n *netNS) watching(sockets int, ps ...*process) {
	n.t.Helper()
	n.until("capturing begins", func() bool {
		for _, p := range ps {
			select {
			case <-p.ended:
				n.t.Fatalf("%v has ended: %s", p.Args, p.stderr)
			default:
			}
		}
		var b []byte
		n.do(func() { b, _ = os.ReadFile("/proc/thread-self/net/packet") })
		running := 0
		for l := range strings.Lines(string(b)) {
			if f := strings.Fields(l); len(f) > 5 && f[5] == "1" { // bound, so packets come
				running++
			}
		}
		return running >= sockets
	})
}

// until waits for something.
func (n *netNS) until(what string, is func() bool) {
	n.t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			n.t.Fatal("in vain: ", what)
		}
	}
}

// wire is two hosts with a wire between them that takes its time.
type wire struct{ lb, target *netNS }

const (
	lbHost     = "10.77.0.1"
	targetHost = "10.77.0.2"
	wireName   = "e0"
)

// newWire makes the hosts and the wire: a relay of frames between two veth pairs.
func newWire(t *testing.T, delay time.Duration) *wire {
	t.Helper()
	p := &wire{lb: newNetNS(t), target: newNetNS(t)}
	relay := newNetNS(t)
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs ip (iproute2)")
	}
	ip := func(n *netNS, args ...string) {
		t.Helper()
		n.do(func() {
			if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
				if strings.Contains(string(out), "not supported") || strings.Contains(string(out), "Unknown device type") {
					t.Skipf("no veth here: %s", out)
				}
				t.Fatalf("ip %v: %v\n%s", args, err, out)
			}
		})
	}
	for i, end := range []*netNS{p.lb, p.target} {
		name := fmt.Sprint("r", i)
		ip(relay, "link", "add", name, "type", "veth", "peer", "name", wireName, "netns", end.path)
		ip(end, "addr", "add", []string{lbHost, targetHost}[i]+"/24", "dev", wireName)
		end.do(func() { noOffload(t, wireName); setUp(t, wireName) })
		relay.do(func() { setUp(t, name) })
	}
	relay.do(func() { relayFrames(t, delay) })
	return p
}

// relayFrames carries frames between r0 and r1, late by delay, until the test ends.
func relayFrames(t *testing.T, delay time.Duration) {
	var fds [2]int
	for i := range fds {
		all := uint16(unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8)
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(all))
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.InterfaceByName(fmt.Sprint("r", i))
		if err == nil {
			err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: l.Index})
		}
		if err != nil {
			t.Fatal(err)
		}
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100000})
		fds[i] = fd
	}
	type frame struct {
		due  time.Time
		data []byte
	}
	quit := make(chan struct{})
	gone := make(chan struct{}, 4)
	for i := range fds {
		queue := make(chan frame, 1<<12)
		go func() { // takes them
			defer func() { close(queue); gone <- struct{}{} }()
			buf := make([]byte, 1<<16)
			for {
				select {
				case <-quit:
					return
				default:
				}
				n, from, err := unix.Recvfrom(fds[i], buf, 0)
				if l, ok := from.(*unix.SockaddrLinklayer); err == nil && ok && l.Pkttype != unix.PACKET_OUTGOING {
					queue <- frame{time.Now().Add(delay), bytes.Clone(buf[:n])}
				}
			}
		}()
		go func() { // hands them out
			defer func() { gone <- struct{}{} }()
			for f := range queue {
				time.Sleep(time.Until(f.due))
				unix.Write(fds[1-i], f.data)
			}
		}()
	}
	t.Cleanup(func() {
		close(quit)
		for range 4 {
			<-gone
		}
		unix.Close(fds[0])
		unix.Close(fds[1])
	})
}
