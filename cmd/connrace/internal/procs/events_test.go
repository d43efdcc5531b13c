package procs

import (
	"os"
	"path/filepath"
	"testing"

	"connrace/capture"
	"connrace/cmd/connrace/internal/trace"
	"connrace/detect"
	"connrace/tcpstate"
)

// A listener that is there goes before one that is gone, whose address fits better.
func TestListenerInPlaceOfAnother(t *testing.T) {
	h := &host{t: t, root: t.TempDir()}
	b := newBook(h.root, h)
	h.process(100, 1, 5, "old", 7)
	h.listen = []capture.Socket{{Local: at("10.0.0.5:80"), Inode: 7}}
	b.look(1000*sec, true)
	h.gone(100)
	h.process(200, 1, 9, "new", 8)
	h.listen = []capture.Socket{{Local: at("0.0.0.0:80"), Inode: 8}}
	b.look(1010*sec, true)
	if got := told(b, detect.HostQuestion{Target: at("10.0.0.5:80"), LB: at("10.0.0.9:4000"), Time: 1010 * sec, SYN: true}); got != "200 new" {
		t.Error(got)
	}
}

// Whoever the kernel said has closed its listener does not listen any more, although that was not
// looked for again; nor is a port watched for ever on which somebody listened in between.
func TestListenerClosedSinceTheLook(t *testing.T) {
	h := &host{t: t, root: t.TempDir()}
	b := newBook(h.root, h)
	l := at("10.0.0.5:80")
	h.process(100, 1, 5, "old", 7)
	h.listen = []capture.Socket{{Local: l, Inode: 7}}
	b.look(1000*sec, true)
	task := trace.Task{PID: 100, Start: 5, Name: "old", Code: 9}
	b.event(&trace.Close{Time: 1001 * sec, Local: l, Listener: true, Exiting: true, Task: task})
	b.event(&trace.Exit{Time: 1001 * sec, Task: task})
	q := detect.HostQuestion{Target: l, LB: at("10.0.0.9:4000"), Time: 1002 * sec, SYN: true}
	if got := told(b, q); got != "100 old before 9/0" {
		t.Error(got)
	}
	b.event(&trace.Listen{Time: 1001*sec + 1, Local: l})
	if got := told(b, q); got != "100 old" {
		t.Error("somebody listens again: ", got)
	}
	b.event(&trace.Listen{Time: 1003 * sec, Local: at("0.0.0.0:2121")})
	h.listen = nil
	if ports, _ := b.look(1004*sec, true); !ports[2121] {
		t.Error("its connections may matter")
	}
	if ports, _ := b.look(1004*sec+keepFor, true); ports[2121] {
		t.Error("it is watched for ever")
	}
}

// What a host sends behind its first RST is because of that.
func TestFirstResetTells(t *testing.T) {
	h := &host{t: t, root: t.TempDir()}
	b := newBook(h.root, h)
	l, r := at("10.0.0.5:80"), at("10.0.0.9:4000")
	b.event(&trace.Reset{Time: 1000 * sec, Local: l, Remote: r, Reason: "TCP_ABORT_ON_CLOSE"})
	b.event(&trace.Reset{Time: 1000*sec + 1e6, Local: l, Remote: r, Reason: "NO_SOCKET"})
	if got := b.answer(&detect.HostQuestion{LB: r, Target: l, Time: 1000 * sec, Close: 1000 * sec}).Reset; got != "TCP_ABORT_ON_CLOSE" {
		t.Errorf("%+v", got)
	}
}

// Where there is more than fits, what is newest stays, and what may still be needed is counted.
func TestRecent(t *testing.T) {
	for _, tt := range []struct {
		what string
		step int64 // between two
		lost bool
	}{{"slowly", 1e9, false}, {"in a flood", 1e3, true}} {
		const most, n = 1 << 10, 5<<10 + 10
		r := recent[int, int]{most: most}
		lost := 0
		for i := range n {
			if r.put(i, -i, sec+int64(i)*tt.step) {
				lost++
			}
			if len(r.all) > most || cap(r.all) > most {
				t.Fatal("it grows")
			}
		}
		for i := range n {
			v, at := r.last(i)
			if there := i >= n-most; there && (v != -i || at != sec+int64(i)*tt.step) || !there && at != 0 {
				t.Errorf("%s: %d is %d of %d", tt.what, i, v, at)
			}
		}
		if want := map[bool]int{true: n - most}[tt.lost]; lost != want {
			t.Errorf("%s: %d lost, not %d", tt.what, lost, want)
		}
	}
}

// What comes of one key again and again is in nobody's way, and the newest of it are there.
func TestRecentOfOne(t *testing.T) {
	r := recent[string, int]{most: 64}
	r.put("rare", 1, sec)
	for i := range 1000 {
		if r.put("often", i, sec+int64(i)) {
			t.Fatal("lost")
		}
	}
	var got []int
	for at, v := range r.each("often") {
		if got = append(got, v); at != sec+int64(v) {
			t.Errorf("%d was at %d", v, at)
		}
	}
	if v, _ := r.last("rare"); v != 1 || len(got) != maxOfKey || got[0] != 999 || got[maxOfKey-1] != 1000-maxOfKey {
		t.Errorf("%d, %d", v, got)
	}
	if v, at := r.last("never"); v != 0 || at != 0 {
		t.Errorf("%d at %d", v, at)
	}
}

// Several closes by a process that is gone are those of one.
func TestClosedTwiceByOne(t *testing.T) {
	h := &host{t: t, root: t.TempDir()}
	b := newBook(h.root, h)
	l, r := at("10.0.0.5:80"), at("10.0.0.9:4000")
	for i := range 3 {
		b.event(&trace.Close{Time: 1000*sec + int64(i), Local: l, Remote: r, ByCall: true, Task: trace.Task{PID: 100, Start: 5, Name: "gone"}})
	}
	q := detect.HostQuestion{LB: r, Target: l, Time: 1000 * sec, Close: 1000 * sec}
	if got := told(b, q); got != "100 gone" {
		t.Error(got)
	}
	b.event(&trace.Close{Time: 1000*sec + 3, Local: l, Remote: r, ByCall: true, Task: trace.Task{PID: 100, Start: 6, Name: "another"}})
	if got := told(b, q); got != "nobody" {
		t.Error(got, " although another one of its number did, too")
	}
}

// A flood of what the kernel says is counted where it is too much.
func TestFloodOfEvents(t *testing.T) {
	h := &host{t: t, root: t.TempDir()}
	b := newBook(h.root, h)
	b.foreign = true
	const n = 1 << 16
	for i := range n {
		b.event(&trace.Drop{Time: sec + int64(i), From: numbered(i), To: at("10.0.0.5:80"), Reason: "NETFILTER_DROP"})
		b.event(&trace.Signal{Time: sec + int64(i), Number: 9, To: i})
	}
	if want := uint64(2*n - b.events.drops.most - b.events.signals.most); b.lost != want {
		t.Errorf("%d lost, not %d", b.lost, want)
	}
}

// Who catches a signal, tidies up and then raises it again (Node) was ended by who sent it first.
func TestSignalRaisedAgain(t *testing.T) {
	h := &host{t: t, root: t.TempDir()}
	b := newBook(h.root, h)
	h.process(10, 1, 100, "node")
	h.process(20, 1, 100, "kubelet")
	node := trace.Task{PID: 10, Name: "node", Start: 100, Code: 15}
	c := conn{at("10.0.0.9:4000"), at("10.0.0.5:80")}
	b.event(&trace.Signal{Time: 100 * sec, Number: 15, To: 10, From: trace.Task{PID: 20, Name: "kubelet", Start: 100}})
	b.event(&trace.Signal{Time: 101 * sec, Number: 15, To: 10, From: node})
	b.event(&trace.Close{Time: 101 * sec, Local: c.local, Remote: c.remote, Exiting: true, Task: node})
	p := b.answer(&detect.HostQuestion{LB: c.remote, Target: c.local, Time: 101 * sec, Close: 101 * sec}).Process
	if p == nil || p.Exit == nil || p.Exit.Killer == nil || p.Exit.Killer.PID != 20 {
		t.Errorf("%+v", p)
	}
}

// A process that is ending has no command line any more: it is its parent's, if they have one name.
func TestTaskThatEnds(t *testing.T) {
	h := &host{t: t, root: t.TempDir()}
	b := newBook(h.root, h)
	h.process(10, 1, 100, "app", 1)
	h.listen = []capture.Socket{{Local: at("10.0.0.5:80"), Inode: 1}}
	b.look(100*sec, false)
	h.process(11, 10, 200, "app")
	os.WriteFile(filepath.Join(h.root, "11", "cmdline"), nil, 0o600)
	c := conn{at("10.0.0.9:4000"), at("10.0.0.5:80")}
	b.event(&trace.Close{Time: 101 * sec, Local: c.local, Remote: c.remote, Exiting: true, Task: trace.Task{PID: 11, Parent: 10, Name: "app", Start: 200, Code: 3 << 8}})
	p := b.answer(&detect.HostQuestion{LB: c.remote, Target: c.local, Time: 101 * sec, Close: 101 * sec}).Process
	if p == nil || p.PID != 11 || p.Command != "/bin/app" || p.Exit == nil || p.Exit.Code != 3 {
		t.Errorf("%+v", p)
	}
}

// Who exits by itself after a signal from another process, with its connection closed in between, did so
// because of that; a signal that it got later, its own ones, and one to another process of its number did not.
func TestSignalCaught(t *testing.T) {
	l := at("10.0.0.5:80")
	for i, tt := range []struct {
		what string
		sent trace.Signal
		want bool
	}{
		{"told to stop", trace.Signal{Time: 100 * sec, Number: 15, ToStart: 100}, true},
		{"after the close", trace.Signal{Time: 101*sec + 1, Number: 15, ToStart: 100}, false},
		{"while a supervisor waited", trace.Signal{Time: 11 * sec, Number: 15, ToStart: 100}, true},
		{"long before", trace.Signal{Time: sec / 2, Number: 15, ToStart: 100}, false},
		{"to reload, before", trace.Signal{Time: 60 * sec, Number: 1, ToStart: 100}, false},
		{"another process", trace.Signal{Time: 100 * sec, Number: 15, ToStart: 99}, false},
		{"the kernel", trace.Signal{Time: 100 * sec, Number: 2, ToStart: 100, Kernel: true}, false},
	} {
		h := &host{t: t, root: t.TempDir()}
		b := newBook(h.root, h)
		h.process(10, 1, 100, "worker")
		h.process(20, 1, 100, "master")
		c := conn{numbered(i), l}
		worker := trace.Task{PID: 10, Name: "worker", Start: 100, Code: 1 << 8}
		tt.sent.To, tt.sent.From = 10, trace.Task{PID: 20, Name: "master", Start: 100}
		send := func() { b.event(&tt.sent) }
		if tt.sent.Time <= 101*sec {
			send()
		}
		b.event(&trace.Close{Time: 101 * sec, Local: l, Remote: c.remote, ByCall: true, Task: worker})
		if tt.sent.Time > 101*sec {
			send()
		}
		b.event(&trace.Exit{Time: 101*sec + 90e6, Task: worker})
		p := b.answer(&detect.HostQuestion{LB: c.remote, Target: l, Time: 101 * sec, Close: 101 * sec}).Process
		if p == nil || p.Exit == nil || p.Exit.Code != 1 {
			t.Fatalf("%s: %+v", tt.what, p)
		}
		if s := p.Exit.Caught; (s != nil) != tt.want || s != nil && (s.Number != 15 || s.From.PID != 20 || s.Time != tt.sent.Time) {
			t.Errorf("%s: %+v", tt.what, s)
		}
	}
}

// How a process ended is known although it was gone before anybody could look at it; and that it goes on
// is said only of one that is there.
func TestGoneBeforeItIsLookedAt(t *testing.T) {
	h := &host{t: t, root: t.TempDir()}
	b := newBook(h.root, h)
	l := at("10.0.0.5:80")
	ask := func(c tcpstate.Endpoint) *detect.Process {
		return b.answer(&detect.HostQuestion{LB: c, Target: l, Time: 101 * sec, Close: 101 * sec}).Process
	}
	for i, there := range []bool{false, true} {
		task := trace.Task{PID: 10 + i, Name: "worker", Start: 100, Code: 3 << 8}
		if there {
			h.process(task.PID, 1, 100, "worker")
		}
		b.event(&trace.Close{Time: 101 * sec, Local: l, Remote: numbered(i), ByCall: true, Task: task})
		if p := ask(numbered(i)); p == nil || p.Alive != there || p.Exit != nil {
			t.Errorf("%+v", p)
		}
		b.event(&trace.Exit{Time: 101*sec + 1e6, Task: task})
		if p := ask(numbered(i)); p == nil || p.Alive || p.Exit == nil || p.Exit.Code != 3 {
			t.Errorf("%+v", p)
		}
	}
}

// Who is told to stop, and killed when it does not soon enough, got both signals.
func TestStoppedThenKilled(t *testing.T) {
	h := &host{t: t, root: t.TempDir()}
	b := newBook(h.root, h)
	h.process(10, 1, 100, "worker")
	h.process(20, 1, 100, "runc")
	c := conn{at("10.0.0.9:4000"), at("10.0.0.5:80")}
	runc := trace.Task{PID: 20, Name: "runc", Start: 100}
	b.event(&trace.Signal{Time: 100 * sec, Number: 15, To: 10, ToStart: 100, From: runc})
	b.event(&trace.Signal{Time: 130 * sec, Number: 9, To: 10, ToStart: 100, From: runc})
	worker := trace.Task{PID: 10, Name: "worker", Start: 100, Code: 9}
	b.event(&trace.Close{Time: 130*sec + 1, Local: c.local, Remote: c.remote, Exiting: true, Task: worker})
	b.event(&trace.Exit{Time: 130*sec + 2, Task: worker})
	p := b.answer(&detect.HostQuestion{LB: c.remote, Target: c.local, Time: 130 * sec, Close: 130 * sec}).Process
	if p == nil || p.Exit == nil || p.Exit.Signal != 9 || p.Exit.Killer == nil || p.Exit.Killer.PID != 20 || p.Exit.Caught == nil || p.Exit.Caught.Number != 15 {
		t.Errorf("%+v", p)
	}
}

// A process that has the number of one that ran out of memory is not said to have done so, too.
func TestNumberOfOneOutOfMemory(t *testing.T) {
	for _, tt := range []struct {
		start uint64
		oom   bool
	}{{5, true}, {9, false}} {
		h := &host{t: t, root: t.TempDir()}
		b := newBook(h.root, h)
		h.process(100, 1, 5, "greedy", 7)
		b.event(&trace.OOM{Time: 100 * sec, PID: 100})
		h.gone(100)
		x := detect.Exit{Time: 130 * sec, Signal: 9}
		if b.events.explain(&process{Process: detect.Process{PID: 100}, start: tt.start}, &x); x.OOM != tt.oom {
			t.Errorf("began at %d: out of memory %v, want %v", tt.start, x.OOM, tt.oom)
		}
	}
}
