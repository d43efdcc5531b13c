package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"connrace/tcpstate"
)

// numbered makes a frame that can be told by a number.
func numbered(x testPacket, n int) []byte {
	if x.src == "" {
		x.src, x.dst = "10.9.0.1", "10.9.0.2"
	}
	x.sport, x.dport, x.protocol = 40000, 8080, 6
	b := x.build()
	binary.BigEndian.PutUint32(b[len(b)-16:], uint32(n)) // the sequence number
	return b
}

func sequence(f *Frame) int {
	return int(binary.BigEndian.Uint32(f.Data[len(f.Data)-16:]))
}

// TestLiveSeesAll: each frame comes once, whole, at either end of a wire, with the VLAN
// tags that the kernel takes off incoming frames.
func TestLiveSeesAll(t *testing.T) {
	n := newVeth(t)
	in, out := n.live(t, LiveOptions{Interfaces: []string{"v1"}}), n.live(t, LiveOptions{Interfaces: []string{"v0"}})
	s := n.sender(t, "v0")
	var sent [][]byte
	for i := range 3000 {
		x := testPacket{}
		switch i % 5 {
		case 1:
			x.tags = []uint16{0x8100}
		case 2:
			x.src, x.dst = "fd00::1", "fd00::2"
		case 3:
			x.tags = []uint16{0x88a8, 0x8100}
		case 4:
			x.src, x.dst, x.tags = "fd00::1", "fd00::2", []uint16{0x88a8}
		}
		sent = append(sent, numbered(x, i))
	}
	from := time.Now().UnixNano()
	if err := s.send(sent...); err != nil {
		t.Fatal(err)
	}
	until := time.Now().UnixNano()
	for _, c := range []struct {
		l         *Live
		direction Direction
		name      string
	}{{in, Inbound, "v1"}, {out, Outbound, "v0"}} {
		got := finish(t, c.l)
		if len(got) != len(sent) {
			t.Fatalf("%s: %d frames, want %d", c.name, len(got), len(sent))
		}
		for i, f := range got {
			if !bytes.Equal(f.Data, sent[i]) {
				t.Fatalf("%s: frame %d differs:\n% x\n% x", c.name, i, f.Data, sent[i])
			}
			want := Frame{
				Number: uint64(i + 1), Time: f.Time, Length: uint32(len(sent[i])), LinkType: LinkEthernet,
				Direction: c.direction, Interface: f.Interface, Data: f.Data,
			}
			if fmt.Sprint(f) != fmt.Sprint(want) || c.l.InterfaceName(f.Interface) != c.name || f.Time < from || f.Time > until {
				t.Fatalf("%s: %+v, want %+v; sent %d to %d", c.name, f, want, from, until)
			}
		}
		info := c.l.Info()
		if info.Frames != uint64(len(sent)) || info.Drops != 0 || !info.DropsKnown || info.Snaplen != DefaultSnaplen ||
			!slices.Equal(info.LinkTypes, []LinkType{LinkEthernet}) || info.First != got[0].Time {
			t.Errorf("%s: %+v", c.name, info)
		}
		if s := c.l.Stats(); s.Packets != uint64(len(sent)) {
			t.Errorf("%s: %+v", c.name, s)
		}
	}
}

func TestLiveSnaplen(t *testing.T) {
	n := newVeth(t)
	l := n.live(t, LiveOptions{Interfaces: []string{"v1"}, Snaplen: 60})
	big := append(numbered(testPacket{}, 1), make([]byte, 900)...)
	tagged := append(numbered(testPacket{tags: []uint16{0x8100}}, 1), make([]byte, 900)...)
	if err := n.sender(t, "v0").send(big, tagged); err != nil {
		t.Fatal(err)
	}
	for i, f := range readUntil(t, l, 2) {
		want := [][]byte{big, tagged}[i]
		if int(f.Length) != len(want) || !bytes.Equal(f.Data, want[:60]) {
			t.Errorf("frame %d: %d octets of %d: % x", i, len(f.Data), f.Length, f.Data)
		}
	}
}

// connection is one request and answer over a TCP connection to l.
func (n *netNS) connection(t *testing.T, l net.Listener) {
	t.Helper()
	n.do(t, func() error {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return err
		}
		defer c.Close()
		s, err := l.Accept()
		if err != nil {
			return err
		}
		defer s.Close()
		if _, err := io.WriteString(c, "request"); err != nil {
			return err
		}
		if _, err := io.ReadFull(s, make([]byte, 7)); err != nil {
			return err
		}
		if _, err := io.WriteString(s, "answer"); err != nil {
			return err
		}
		_, err = io.ReadFull(c, make([]byte, 6))
		return err
	})
}

// TestLiveLoopback: what the loopback interface shows twice is seen once, also where all
// interfaces are watched.
func TestLiveLoopback(t *testing.T) {
	n := newNetNS(t)
	for _, name := range []string{"lo", AnyInterface} {
		for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
			l := n.listen(t, "tcp", addr)
			x := n.live(t, LiveOptions{Interfaces: []string{name}})
			n.connection(t, l)
			d := NewDecoder()
			flags := map[tcpstate.Flags]int{}
			payload := ""
			for _, f := range finish(t, x) {
				if f.Direction != Inbound {
					t.Errorf("%s: %+v", name, f)
				}
				for _, s := range d.Decode(&f, nil) {
					flags[s.Flags&(tcpstate.SYN|tcpstate.FIN|tcpstate.ACK)]++
					payload += string(s.Payload)
				}
			}
			if flags[tcpstate.SYN] != 1 || flags[tcpstate.SYN|tcpstate.ACK] != 1 || flags[tcpstate.FIN|tcpstate.ACK] != 2 || payload != "requestanswer" {
				t.Errorf("%s, %s: %v, payload %q", name, addr, flags, payload)
			}
		}
	}
}

// TestLiveAny: what crosses several interfaces is seen once.
func TestLiveAny(t *testing.T) {
	n := newVeth(t)
	for _, names := range [][]string{{AnyInterface}, {"v1", "v0"}, {"lo", "v1"}} {
		l := n.live(t, LiveOptions{Interfaces: names})
		s := n.sender(t, "v0")
		var sent [][]byte
		for i := range 2000 {
			x := testPacket{}
			if i%2 == 0 {
				x.src, x.dst, x.tags = "fd00::1", "fd00::2", []uint16{0x8100}
			}
			sent = append(sent, numbered(x, i))
		}
		if err := s.send(sent...); err != nil {
			t.Fatal(err)
		}
		got := finish(t, l)
		if len(got) != len(sent) {
			t.Fatalf("%v: %d frames, want %d; %+v", names, len(got), len(sent), l.Stats())
		}
		for i := range got {
			if !bytes.Equal(got[i].Data, sent[i]) {
				t.Fatalf("%v: frame %d differs", names, i)
			}
		}
		wantCopies, wantName := 2000, "v0"
		if names[0] == "lo" {
			wantCopies, wantName = 0, "v1"
		}
		if name := l.InterfaceName(got[0].Interface); name != wantName || l.Stats().Copies != uint64(wantCopies) {
			t.Errorf("%v: seen on %s; %+v", names, name, l.Stats())
		}
	}
}

// TestLiveTun: devices without Ethernet headers give cooked ones.
func TestLiveTun(t *testing.T) {
	n := newNetNS(t)
	var tun *os.File
	n.do(t, func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Skipf("/dev/net/tun: %v", err)
		}
		tun = os.NewFile(uintptr(fd), "tun")
		r, err := unix.NewIfreq("tun0")
		if err != nil {
			return err
		}
		r.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		return unix.IoctlIfreq(fd, unix.TUNSETIFF, r)
	})
	defer tun.Close()
	n.ip(t, "link set tun0 up")
	filter := NewFilter([]EndpointSpec{spec("10.9.0.2", 8080), spec("fd00::2", 8080)})
	ddd, err := ParseDDD(strings.NewReader(dddRaw))
	if err != nil {
		t.Fatal(err)
	}
	dddAll, err := ParseDDD(strings.NewReader(dddAny))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		filter *Filter
	}{{"tun0", filter}, {"any", filter}, {"tun0", nil}, {"tun0", ddd}, {"any", dddAll}} {
		l := n.live(t, LiveOptions{Interfaces: []string{c.name}, Filter: c.filter})
		for _, x := range []testPacket{{}, {src: "fd00::1", dst: "fd00::2"}} {
			if _, err := tun.Write(numbered(x, 77)[macHeader:]); err != nil {
				t.Fatal(err)
			}
		}
		if c.filter != nil {
			x := numbered(testPacket{}, 3)[macHeader:]
			x[20+3]++ // another port
			tun.Write(x)
		}
		got := finish(t, l)
		if len(got) != 2 {
			t.Fatalf("%s: %d frames", c.name, len(got))
		}
		d := NewDecoder()
		for i := range got {
			f := &got[i]
			segs := d.Decode(f, nil)
			if f.LinkType != LinkLinuxSLL2 || int(f.Length) != len(f.Data) || len(segs) != 1 || segs[0].Seq != 77 || segs[0].Dst.Port != 8080 ||
				binary.BigEndian.Uint32(f.Data[4:]) != f.Interface || l.InterfaceName(f.Interface) != "tun0" {
				t.Errorf("%s: %+v: %+v", c.name, f, segs)
			}
		}
	}
}

// TestLiveFilterFirst: while other packets rush in, not one gets past the filter.
func TestLiveFilterFirst(t *testing.T) {
	n := newVeth(t)
	s := n.sender(t, "v0")
	var flood [][]byte
	for i := range 64 {
		b := numbered(testPacket{}, i)
		if i%16 != 0 {
			b[len(b)-17]++ // another port
		}
		flood = append(flood, b)
	}
	var stop atomic.Bool
	done := make(chan error)
	go func() {
		var err error
		for err == nil && !stop.Load() {
			err = s.send(flood...)
		}
		done <- err
	}()
	for _, name := range []string{"v1", AnyInterface} {
		for range 10 {
			l := n.live(t, LiveOptions{Interfaces: []string{name}, Ring: 1 << 20, Filter: NewFilter([]EndpointSpec{spec("10.9.0.2", 8080)})})
			for _, f := range readUntil(t, l, 100) {
				if p := be16(f.Data, macHeader+22); p != 8080 {
					t.Errorf("%s: frame %d: port %d", name, f.Number, p)
				}
			}
			l.Close()
		}
	}
	stop.Store(true)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestLiveDrops: what a ring that is full cannot take is counted, and marked where it is
// missing.
func TestLiveDrops(t *testing.T) {
	n := newVeth(t)
	l := n.live(t, LiveOptions{Interfaces: []string{"v1"}, Ring: 1 << 20})
	s := n.sender(t, "v0")
	const rounds, each = 2, 20000
	var got []Frame
	for r := range rounds {
		var sent [][]byte
		for i := range each {
			sent = append(sent, numbered(testPacket{}, r*each+i))
		}
		if err := s.send(sent...); err != nil {
			t.Fatal(err)
		}
		for {
			m := make([]Frame, 100)
			k, err := l.Read(m)
			if err != nil {
				t.Fatal(err)
			}
			if k == 0 {
				break
			}
			for _, f := range m[:k] {
				f.Data = slices.Clone(f.Data)
				got = append(got, f)
			}
		}
	}
	if err := s.send(numbered(testPacket{}, rounds*each)); err != nil {
		t.Fatal(err)
	}
	got = append(got, finish(t, l)...)
	st := l.Stats()
	if st.Drops == 0 || st.Freezes == 0 || st.Packets != rounds*each+1 || uint64(len(got))+st.Drops != st.Packets || l.Info().Drops != st.Drops {
		t.Errorf("%d frames, %+v", len(got), st)
	}
	next, gaps := 0, 0
	for i := range got {
		if missing := sequence(&got[i]) != next; missing != got[i].AfterGap {
			t.Errorf("frame %d: sequence %d, expected %d, AfterGap %v", got[i].Number, sequence(&got[i]), next, got[i].AfterGap)
		}
		if got[i].AfterGap {
			gaps++
		}
		next = sequence(&got[i]) + 1
	}
	if gaps != rounds {
		t.Errorf("%d gaps", gaps)
	}
}

// TestLiveBurst: the default ring outlasts a reader that stands still for 400 ms while more
// than half a million packets a second come in.
func TestLiveBurst(t *testing.T) {
	const rate, packets, chunk = 600_000, 600_000, 200
	n := newVeth(t)
	l := n.live(t, LiveOptions{Interfaces: []string{"v1"}, Ring: DefaultRing})
	s := n.sender(t, "v0")
	s.bypass(t)
	var sent [][]byte
	for i := range chunk {
		sent = append(sent, append(numbered(testPacket{}, i), make([]byte, 64)...))
	}
	done := make(chan error)
	start := time.Now()
	var took time.Duration
	go func() {
		var err error
		for i := 0; i < packets && err == nil; i += chunk {
			err = s.send(sent...)
			time.Sleep(time.Until(start.Add(time.Duration(i) * time.Second / rate)))
		}
		took = time.Since(start)
		done <- err
	}()
	batch := make([]Frame, 256)
	frames, stalled := 0, false
	for {
		k, err := l.Read(batch)
		if err != nil {
			t.Fatal(err)
		}
		if k == 0 && stalled {
			break
		}
		frames += k
		if !stalled && time.Since(start) > 200*time.Millisecond {
			stalled = true
			time.Sleep(400 * time.Millisecond)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	frames += len(finish(t, l))
	st := l.Stats()
	t.Logf("%d frames of %d octets in %v: %.2f Mpps; read %d, %+v",
		packets, len(sent[0]), took.Round(time.Millisecond), packets/took.Seconds()/1e6, frames, st)
	if st.Drops != 0 || uint64(frames) != st.Packets || frames < packets*99/100 {
		t.Errorf("%d frames of %d; %+v", frames, packets, st)
	}
}

// TestLiveLink: an interface that goes down and up is survived; one that is gone ends the
// capture.
func TestLiveLink(t *testing.T) {
	n := newVeth(t)
	var events []string
	l := n.live(t, LiveOptions{Interfaces: []string{"v1"}, Idle: 20 * time.Millisecond, Link: func(e LinkEvent) {
		events = append(events, e.Interface+" "+e.State.String())
	}})
	s := n.sender(t, "v0")
	batch := make([]Frame, 8)
	await := func(what ...string) {
		t.Helper()
		for deadline := time.Now().Add(3 * time.Second); !slices.Equal(events, what); {
			if _, err := l.Read(batch); err != nil || time.Now().After(deadline) {
				t.Fatalf("%v, want %v: %v", events, what, err)
			}
		}
	}
	n.ip(t, "link set v1 down")
	await("v1 down")
	n.ip(t, "link set v1 up")
	await("v1 down", "v1 up")
	n.ip(t, "link set v1 down")
	n.ip(t, "link set v1 up")
	await("v1 down", "v1 up", "v1 down", "v1 up")
	n.running(t, "v0", "v1")
	if err := s.send(numbered(testPacket{}, 5)); err != nil {
		t.Fatal(err)
	}
	n.ip(t, "link delete v1")
	got := 0
	for {
		k, err := l.Read(batch)
		got += k
		if err != nil {
			if !strings.Contains(err.Error(), "v1: the interface is gone") || got != 1 || events[len(events)-1] != "v1 gone" {
				t.Errorf("%d frames, %v, %v", got, err, events)
			}
			break
		}
	}
}

// TestLiveLinks: of several interfaces, one may go.
func TestLiveLinks(t *testing.T) {
	n := newVeth(t)
	n.addVeth(t, "w0", "w1")
	var events []LinkEvent
	l := n.live(t, LiveOptions{Interfaces: []string{"v1", "w1", "v1"}, Link: func(e LinkEvent) { events = append(events, e) }})
	n.ip(t, "link delete v1")
	batch := make([]Frame, 8)
	for deadline := time.Now().Add(3 * time.Second); len(events) == 0 && time.Now().Before(deadline); {
		if _, err := l.Read(batch); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(events, []LinkEvent{{"v1", LinkGone}}) {
		t.Fatal(events)
	}
	if err := n.sender(t, "w0").send(numbered(testPacket{}, 5)); err != nil {
		t.Fatal(err)
	}
	readUntil(t, l, 1)
}

// TestLiveNetNS finds a namespace by process.
func TestLiveNetNS(t *testing.T) {
	n := newVeth(t)
	var sleep *exec.Cmd
	n.do(t, func() error {
		sleep = exec.Command("sleep", "30")
		return sleep.Start()
	})
	defer func() { sleep.Process.Kill(); sleep.Wait() }()
	o := LiveOptions{Interfaces: []string{"v1"}, NetNS: fmt.Sprint(sleep.Process.Pid), Ring: 1 << 20}
	l, err := OpenLive(o)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := n.sender(t, "v0").send(numbered(testPacket{}, 5)); err != nil {
		t.Fatal(err)
	}
	readUntil(t, l, 1)
	o.NetNS = ""
	if _, err := OpenLive(o); err == nil || !strings.Contains(err.Error(), "v1: no such interface; there are any, lo") {
		t.Errorf("the process has changed its own namespace: %v", err)
	}
}

func TestLiveErrors(t *testing.T) {
	n := newNetNS(t)
	for _, c := range []struct {
		o    LiveOptions
		want string
	}{
		{LiveOptions{}, "no interface"},
		{LiveOptions{Interfaces: []string{"eth99"}}, "eth99: no such interface; there are any, lo"},
		{LiveOptions{Interfaces: []string{"an-interface-with-a-long-name"}}, "no such interface"},
		{LiveOptions{Interfaces: []string{"lo", "any"}}, `"any" includes all other`},
		{LiveOptions{Interfaces: []string{"lo"}, Snaplen: 1 << 20}, "snapshot length"},
		{LiveOptions{Interfaces: []string{"lo"}, NetNS: "no-such-name"}, "network namespace no-such-name: no such file"},
		{LiveOptions{Interfaces: []string{"lo"}, NetNS: "4194304999"}, "there is no such process"},
		{LiveOptions{Interfaces: []string{"lo"}, NetNS: "/dev/null"}, "/dev/null: invalid argument: it is none"},
		{LiveOptions{Interfaces: []string{"lo"}, Ring: 1 << 40}, "can be made smaller"},
	} {
		if c.o.NetNS == "" {
			c.o.NetNS = n.path()
		}
		l, err := OpenLive(c.o)
		if err == nil {
			l.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.o, err, c.want)
		}
	}
}

// without runs f on a thread that lacks a capability.
func without(t *testing.T, capability int, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good
		h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var data [2]unix.CapUserData
		err := unix.Capget(&h, &data[0])
		if err == nil {
			data[capability/32].Effective &^= 1 << (capability % 32)
			err = unix.Capset(&h, &data[0])
		}
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Skipf("drops a capability: %v", err)
	}
}

func TestLiveNotPermitted(t *testing.T) {
	n := newNetNS(t)
	without(t, unix.CAP_NET_RAW, func() {
		_, err := OpenLive(LiveOptions{Interfaces: []string{"lo"}})
		if !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "setcap cap_net_raw+ep /") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v", err)
		}
	})
	without(t, unix.CAP_SYS_ADMIN, func() {
		runtime.LockOSThread() // enterNetNS unlocks once
		err := enterNetNS("77", n.f, func() error { return nil })
		if !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "CAP_SYS_ADMIN") {
			t.Errorf("%v", err)
		}
		// The own one needs no capability.
		here, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			t.Fatal(err)
		}
		defer here.Close()
		ran := false
		runtime.LockOSThread()
		if err := enterNetNS("78", here, func() error { ran = true; return nil }); err != nil || !ran {
			t.Errorf("%v, ran %v", err, ran)
		}
	})
}

// TestLiveStop: Stop and Wake come through, and nothing is left open.
func TestLiveStop(t *testing.T) {
	n := newVeth(t)
	s := n.sender(t, "v0")
	open := func() int {
		d, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(d)
	}
	runtime.GC()
	files, goroutines := open(), runtime.NumGoroutine()
	l := n.live(t, LiveOptions{Interfaces: []string{"v1"}, Idle: time.Minute})
	time.AfterFunc(20*time.Millisecond, l.Wake)
	batch := make([]Frame, 8)
	if k, err := l.Read(batch); k != 0 || err != nil {
		t.Errorf("woken: %d, %v", k, err)
	}
	if err := s.send(numbered(testPacket{}, 1)); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	time.AfterFunc(time.Millisecond, l.Stop)
	if got := finish(t, l); len(got) != 1 || time.Since(start) > time.Second {
		t.Errorf("%d frames after %v", len(got), time.Since(start))
	}
	if k, err := l.Read(batch); k != 0 || err != io.EOF {
		t.Errorf("after the end: %d, %v", k, err)
	}
	if _, err := l.Read(nil); err != io.ErrShortBuffer {
		t.Error(err)
	}
	l.Close()
	l.Close()
	l.Stop()
	if k, err := l.Read(batch); k != 0 || !errors.Is(err, os.ErrClosed) {
		t.Errorf("closed: %d, %v", k, err)
	}
	for range 50 { // AfterFunc's goroutines end
		if open() == files && runtime.NumGoroutine() == goroutines {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if f, g := open(), runtime.NumGoroutine(); f != files || g != goroutines {
		t.Errorf("%d files and %d goroutines were open, now %d and %d", files, goroutines, f, g)
	}
}
