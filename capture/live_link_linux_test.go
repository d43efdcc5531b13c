package capture

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

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
		for deadline := time.Now().Add(patience); !slices.Equal(events, what); {
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
	for deadline := time.Now().Add(patience); len(events) == 0 && time.Now().Before(deadline); {
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
	terabyte := int64(1) << 40
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
		{LiveOptions{Interfaces: []string{"lo"}, Ring: int(terabyte)}, "can be made smaller"},
	} {
		if int64(c.o.Ring) != terabyte && c.want == "can be made smaller" {
			continue // an int has 32 bits
		}
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
	l := n.live(t, LiveOptions{Interfaces: []string{"v1"}, Idle: time.Hour})
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
	if got := finish(t, l); len(got) != 1 || time.Since(start) > patience {
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
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if open() == files && runtime.NumGoroutine() == goroutines { // AfterFunc's have ended
			break
		}
	}
	if f, g := open(), runtime.NumGoroutine(); f != files || g != goroutines {
		t.Errorf("%d files and %d goroutines were open, now %d and %d", files, goroutines, f, g)
	}
}
