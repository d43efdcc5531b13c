package procs

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"connrace/capture"
	"connrace/cmd/connrace/internal/trace"
	"connrace/detect"
	"connrace/tcpstate"
)

// host is a host as a book sees it.
type host struct {
	t       *testing.T
	root    string
	listen  []capture.Socket
	connect []capture.Socket
}

func (h *host) Sockets(states uint32, each func(*capture.Socket)) error {
	all := h.connect
	if states == 1<<stateListen {
		all = h.listen
	}
	for i := range all {
		each(&all[i])
	}
	return nil
}

// process makes a process that has some sockets.
func (h *host) process(pid, parent int, start uint64, name string, inodes ...uint32) {
	h.t.Helper()
	dir := filepath.Join(h.root, fmt.Sprint(pid))
	os.RemoveAll(dir)
	if err := os.MkdirAll(filepath.Join(dir, "fd"), 0o700); err != nil {
		h.t.Fatal(err)
	}
	stat := fmt.Sprintf("%d (%s) S %d 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %d 1\n", pid, name, parent, start)
	for file, text := range map[string]string{"stat": stat, "cmdline": "/bin/" + name + "\x00secret\x00", "cgroup": "0::/\n"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			h.t.Fatal(err)
		}
	}
	for i, inode := range inodes {
		if err := os.Symlink(fmt.Sprintf("socket:[%d]", inode), filepath.Join(dir, "fd", fmt.Sprint(i))); err != nil {
			h.t.Fatal(err)
		}
	}
}

func (h *host) gone(pid int) { os.RemoveAll(filepath.Join(h.root, fmt.Sprint(pid))) }

func at(s string) tcpstate.Endpoint { return tcpstate.EndpointFrom(netip.MustParseAddrPort(s)) }

const sec = int64(time.Second)

// told is whom a question names, and how it ended.
func told(b *book, q detect.HostQuestion) string {
	p := b.answer(&q).Process
	if p == nil {
		return "nobody"
	}
	s := fmt.Sprintf("%d %s", p.PID, p.Name)
	if p.Until != 0 {
		s += " before"
	}
	if p.Exit != nil {
		s += fmt.Sprintf(" %d/%d", p.Exit.Signal, p.Exit.Code)
	}
	return s
}

func TestBook(t *testing.T) {
	h := &host{t: t, root: t.TempDir()}
	b := newBook(h.root, h)
	lb, target := at("10.0.0.1:4000"), at("10.0.0.2:80")
	h.listen = []capture.Socket{{Local: at("0.0.0.0:80"), Inode: 1}, {Local: at("127.0.0.1:81"), Inode: 2}}
	h.connect = []capture.Socket{
		{Local: target, Remote: lb, Inode: 3},
		{Local: target, Remote: at("10.0.0.1:4001"), Inode: 0}, // waits for accept()
		{Local: target, Remote: at("10.0.0.1:4002"), Inode: 4},
		{Local: at("10.0.0.2:9999"), Remote: at("10.0.0.3:80"), Inode: 5}, // is the host's own
	}
	h.process(10, 1, 100, "master", 1)
	h.process(11, 10, 101, "worker", 1, 3, 4)
	h.process(12, 10, 102, "worker", 1, 4)
	h.process(13, 1, 103, "other", 5)
	h.process(14, 1, 104, "one", 2)
	h.process(15, 1, 105, "two", 2)
	b.look(100*sec, true)
	b.look(101*sec, true)

	ask := func(lb tcpstate.Endpoint, closed int64) string {
		return told(b, detect.HostQuestion{LB: lb, Target: target, Time: closed, Close: closed})
	}
	listens := func(e string, when int64) string {
		return told(b, detect.HostQuestion{Target: at(e), Time: when, SYN: true})
	}
	for _, tt := range []struct{ what, got, want string }{
		{"a connection", ask(lb, 101*sec), "11 worker"},
		{"one that was closed before it was seen", ask(lb, 99*sec), "nobody"},
		{"one that was closed long after it was seen", ask(lb, 110*sec), "nobody"},
		{"one that was not accepted", ask(at("10.0.0.1:4001"), 101*sec), "nobody"},
		{"one that two have", ask(at("10.0.0.1:4002"), 101*sec), "nobody"},
		{"an unknown one", ask(at("10.0.0.1:4003"), 101*sec), "nobody"},
		{"a listener that is shared", listens("10.0.0.2:80", 101*sec), "10 master"},
		{"a listener of strangers to each other", listens("127.0.0.1:81", 101*sec), "nobody"},
		{"no listener", listens("10.0.0.2:82", 101*sec), "nobody"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %s, want %s", tt.what, tt.got, tt.want)
		}
	}

	// A worker is killed; its number becomes another's, which then has the same connection's ports.
	h.gone(11)
	b.exited(11, 0, detect.Exit{Time: 101*sec + 7, Signal: 9})
	h.process(11, 1, 999, "stranger", 6)
	h.connect = []capture.Socket{{Local: target, Remote: lb, Inode: 6}}
	for _, tt := range []struct{ what, got, want string }{
		{"the killed one", ask(lb, 101*sec), "11 worker 9/0"},
		{"the one of two that was killed", ask(at("10.0.0.1:4002"), 101*sec), "11 worker 9/0"},
		{"closed long before it was killed", ask(lb, 100*sec), "11 worker"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %s, want %s", tt.what, tt.got, tt.want)
		}
	}
	b.look(103*sec, true)
	if got := ask(lb, 101*sec); got != "nobody" {
		t.Errorf("of the connection before: %s", got)
	}
	if got := ask(lb, 103*sec); got != "11 stranger" {
		t.Errorf("the connection behind: %s", got)
	}

	// The listener ends with its last process, and another one begins.
	h.gone(10)
	h.gone(12)
	b.exited(12, 0, detect.Exit{Time: 103*sec + 1, Signal: 15})
	b.exited(10, 0, detect.Exit{Time: 103*sec + 2, Code: 3})
	h.listen = nil
	b.look(104*sec, true)
	h.process(20, 1, 2000, "again", 7)
	h.listen = []capture.Socket{{Local: at("0.0.0.0:80"), Inode: 7}}
	b.look(105*sec, true)
	for when, want := range map[int64]string{103 * sec: "10 master", 104*sec + 1: "10 master before 0/3", 105 * sec: "20 again", 200 * sec: "20 again"} {
		if got := listens("10.0.0.2:80", when); got != want {
			t.Errorf("at %d s %s listens, want %s", when/sec, got, want)
		}
	}

	// What is long gone is forgotten.
	h.connect, h.listen = nil, nil
	b.look(105*sec+keepFor+2*sec, true)
	if len(b.conns) != 0 || len(b.processes) == 0 {
		t.Errorf("%d connections, %d processes", len(b.conns), len(b.processes))
	}
	for pid, p := range b.processes {
		if p.Exit != nil {
			t.Errorf("%d ended long ago", pid)
		}
	}
}

// Where ends may have been missed, a number that is another's by now is not believed.
func TestMissedExits(t *testing.T) {
	h := &host{t: t, root: t.TempDir()}
	b := newBook(h.root, h)
	lb, target := at("10.0.0.1:4000"), at("10.0.0.2:80")
	h.listen = []capture.Socket{{Local: target, Inode: 1}}
	h.connect = []capture.Socket{{Local: target, Remote: lb, Inode: 3}}
	h.process(10, 1, 100, "server", 1, 3)
	b.look(100*sec, true)
	h.process(10, 1, 200, "another")
	b.missed()
	b.exited(10, 0, detect.Exit{Time: 100*sec + 1, Signal: 9})
	if got := told(b, detect.HostQuestion{LB: lb, Target: target, Time: 100 * sec, Close: 100 * sec}); got != "10 server" {
		t.Error(got)
	}
}

// A process that ended without that having been told is forgotten all the same, and its number is
// another's then.
func TestGoneUnnoticed(t *testing.T) {
	h := &host{t: t, root: t.TempDir()}
	b := newBook(h.root, h)
	h.listen = []capture.Socket{{Local: at("10.0.0.2:80"), Inode: 1}}
	h.process(10, 1, 100, "server", 1)
	h.process(11, 10, 100, "server", 1)
	b.look(100*sec, false)
	h.gone(11)
	b.look(111*sec, false)
	b.exited(11, 0, detect.Exit{Time: 112 * sec, Code: 1}) // is of another one of that number
	if p := b.processes[11]; p == nil || p.gone != 111*sec || p.Exit != nil {
		t.Errorf("%+v", p)
	}
	b.look(122*sec+keepFor, false)
	if b.processes[11] != nil || b.processes[10] == nil {
		t.Errorf("%v in mind", b.processes)
	}
}

// An end that is told while it is looked is not missed.
func TestEndsWhileItIsLooked(t *testing.T) {
	h := &host{t: t, root: t.TempDir()}
	b := newBook(h.root, h)
	lb, target := at("10.0.0.1:4000"), at("10.0.0.2:80")
	h.connect = []capture.Socket{{Local: target, Remote: lb, Inode: 3}}
	h.process(10, 1, 100, "server", 3)
	wanted := b.note(nil, h.connect, true, map[uint16]bool{80: true}, 100*sec)
	b.exited(10, 0, detect.Exit{Time: 100*sec + 1, Signal: 9})
	b.find(wanted, true, 100*sec)
	if got := told(b, detect.HostQuestion{LB: lb, Target: target, Time: 100 * sec, Close: 100 * sec}); got != "10 server 9/0" {
		t.Error(got)
	}
	if b.ends != nil {
		t.Error("ends are kept for good")
	}
}

// slowHost takes its time to list sockets.
type slowHost struct {
	*host
	begun, goOn chan struct{}
}

func (h *slowHost) Sockets(states uint32, each func(*capture.Socket)) error {
	h.begun <- struct{}{}
	<-h.goOn
	return h.host.Sockets(states, each)
}

// While it is looked, however long that takes, questions are answered and events are taken.
func TestAnswersWhileItIsLooked(t *testing.T) {
	h := &slowHost{&host{t: t, root: t.TempDir()}, make(chan struct{}, 4), make(chan struct{})}
	b := newBook(h.root, h)
	b.tracer = &trace.Tracer{}
	done := make(chan struct{})
	go func() {
		b.look(sec, true)
		close(done)
	}()
	<-h.begun
	b.exited(10, 0, detect.Exit{Time: sec, Signal: 9})
	if got := told(b, detect.HostQuestion{LB: at("10.0.0.1:4000"), Target: at("10.0.0.2:80"), Time: sec}); got != "nobody" {
		t.Error(got)
	}
	close(h.goOn)
	<-done
}

// What listens on :: for IPv6 alone has no connection of IPv4.
func TestListensForIPv6Alone(t *testing.T) {
	h := &host{t: t, root: t.TempDir()}
	b := newBook(h.root, h)
	h.listen = []capture.Socket{{Local: at("[::]:80"), Inode: 1, V6Only: true}, {Local: at("[::]:81"), Inode: 2}}
	h.process(10, 1, 100, "six", 1)
	h.process(11, 1, 101, "both", 2)
	b.look(100*sec, false)
	for e, want := range map[string]string{"10.0.0.2:80": "nobody", "[2001:db8::2]:80": "10 six", "10.0.0.2:81": "11 both", "[2001:db8::2]:81": "11 both"} {
		if got := told(b, detect.HostQuestion{Target: at(e), Time: 100 * sec, SYN: true}); got != want {
			t.Errorf("%s: %s, want %s", e, got, want)
		}
	}
}

// What ended some time after it had closed the connection did not close it by ending.
func TestEndsAfterTheClose(t *testing.T) {
	h := &host{t: t, root: t.TempDir()}
	b := newBook(h.root, h)
	lb, target := at("10.0.0.1:4000"), at("10.0.0.2:80")
	h.listen = []capture.Socket{{Local: target, Inode: 1}}
	h.connect = []capture.Socket{{Local: target, Remote: lb, Inode: 3}}
	h.process(10, 1, 100, "server", 1, 3)
	b.look(100*sec, true)
	b.exited(10, 0, detect.Exit{Time: 101 * sec, Code: 1})
	for closed, want := range map[int64]string{101*sec + 1e6: "10 server 0/1", 101*sec - 1e6: "10 server 0/1", 101*sec - 300e6: "10 server"} {
		if got := told(b, detect.HostQuestion{LB: lb, Target: target, Time: closed, Close: closed}); got != want {
			t.Errorf("closed %d ms before: %s, want %s", (101*sec-closed)/1e6, got, want)
		}
	}
}

// Memory is bounded, however many connections there are.
func TestBookBounds(t *testing.T) {
	h := &host{t: t, root: t.TempDir()}
	b := newBook(h.root, h)
	target := at("10.0.0.2:80")
	h.listen = []capture.Socket{{Local: target, Inode: 1}}
	for i := range maxConns + 100 {
		h.connect = append(h.connect, capture.Socket{Local: target, Remote: tcpstate.Endpoint{Addr: tcpstate.Addr4([]byte{10, 1, byte(i >> 16), byte(i >> 8)}), Port: uint16(i&0xff) + 1}, Inode: uint32(i + 2)})
	}
	b.look(sec, true)
	h.connect = nil
	for i := range 2 * maxHeld {
		h.listen[0].Inode = uint32(1e6 + i)
		b.look(int64(i+2)*sec, true)
	}
	if len(b.conns) != maxConns || len(b.listeners[target]) > maxHeld {
		t.Errorf("%d connections, %d listeners", len(b.conns), len(b.listeners[target]))
	}
}

// Where systemd listens for a service, the service is named; before that has begun, systemd is.
func TestSocketActivation(t *testing.T) {
	h := &host{t: t, root: t.TempDir()}
	b := newBook(h.root, h)
	h.listen = []capture.Socket{{Local: at("0.0.0.0:80"), Inode: 7}}
	ask := func(now int64) string {
		b.look(now, true)
		return told(b, detect.HostQuestion{Target: at("10.0.0.5:80"), LB: at("10.0.0.9:4000"), Time: now, SYN: true})
	}
	h.process(1, 0, 1, "systemd", 7)
	if got := ask(100 * sec); got != "1 systemd" {
		t.Error(got)
	}
	h.process(10, 1, 100, "app", 7)
	h.process(11, 10, 101, "app", 7)
	if got := ask(120 * sec); got != "10 app" {
		t.Error(got)
	}
}
