package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"connrace/cmd/connrace/internal/clitest"
)

// watchWorker starts a server, watches it, and makes a request in which its worker ends. It
// returns the finding about that and the worker's number.
func watchWorker(t *testing.T, how string, flags ...string) (f clitest.Line, pid string, live *process) {
	t.Helper()
	return watchWorkerBy(t, how, func(n *netNS) *process {
		// From outside, where the process connector is.
		args := append([]string{"live", "--netns", n.path, "-i", "lo", "--target", ":8080", "--format", "jsonl"}, flags...)
		return (&netNS{t: t, calls: hostCalls(t)}).run(connraceCommand(t, args...))
	})
}

func watchWorkerBy(t *testing.T, how string, start func(*netNS) *process) (f clitest.Line, pid string, live *process) {
	t.Helper()
	n := newNetNS(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(exe, how, "127.0.0.1:8080")
	c.Args[0] = "connrace-worker"
	c.Env = append(os.Environ(), "EXE="+exe, "GORACE=atexit_sleep_ms=0")
	if how == "memory" {
		limitMemory(t, c)
	}
	master := n.run(c)
	n.until("the worker begins", func() bool { return strings.Contains(master.stdout.String(), "\n") })
	pid = strings.TrimSpace(master.stdout.String())
	p := newPool(t, n, "127.0.0.1:8080")
	live = start(n)
	n.watching(1, live)
	if !slices.Contains(live.Args, "off") { // what was before the helper has begun has no name
		n.until("processes are looked for", func() bool { return lookedFor(live) })
	}
	n.until("the worker answers", func() bool { return p.request() == nil })
	time.Sleep(1200 * time.Millisecond) // connections are learnt twice a second
	p.c.SetDeadline(time.Time{})        // the answer's has nearly passed where the worker was slow to begin
	if _, err := fmt.Fprintf(p.c, "GET /end HTTP/1.1\r\nHost: app\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	n.until("the finding", func() bool {
		if live.isOver() {
			t.Fatalf("it has ended, %v: %s\n%s", live.ProcessState, live.stderr, live.stdout)
		}
		return strings.Contains(live.stdout.String(), `"finding"`)
	})
	live.endSoon(syscall.SIGINT)
	fs := clitest.Of(clitest.Lines(t, live.stdout.String()), "finding")
	if len(fs) != 1 || fs[0].Rule != "closed-with-request-outstanding" {
		t.Fatalf("%d findings: %s", len(fs), live.stdout)
	}
	return fs[0], pid, live
}

// lookedFor reports whether live has begun to look for processes, or has said why it does not.
func lookedFor(live *process) bool {
	said := live.stderr.String()
	return strings.Contains(said, "seen of processes") || strings.Contains(said, "not seen: ") || strings.Contains(said, "not named")
}

// cpuOf is the CPU time that a process has had.
func cpuOf(pid int) time.Duration {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 13 {
		return 0
	}
	const tick = time.Second / 100
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * tick
}

// memoryOfWorker is more than a worker needs, whose program is built for tests.
const memoryOfWorker = 300 << 20

// limitMemory lets a command run in a cgroup of its own, with little memory.
func limitMemory(t *testing.T, c *exec.Cmd) {
	t.Helper()
	for _, x := range []struct{ top, limit, swap string }{
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"}, {"/sys/fs/cgroup", "memory.max", "memory.swap.max"},
	} {
		dir, err := os.MkdirTemp(x.top, "connrace-test-")
		if err != nil {
			continue
		}
		t.Cleanup(func() { os.Remove(dir) })
		if os.WriteFile(filepath.Join(dir, x.limit), []byte(fmt.Sprint(memoryOfWorker)), 0) != nil {
			continue
		}
		os.WriteFile(filepath.Join(dir, x.swap), []byte("0"), 0) // where there is no swap, it needs none
		// By the name by which it is started the test's program knows what it is to be.
		named := filepath.Join(t.TempDir(), "connrace-worker")
		if err := os.Symlink(c.Path, named); err != nil {
			t.Fatal(err)
		}
		c.Args = append([]string{"sh", "-c", `echo $$ >"$0" && exec "$@"`, filepath.Join(dir, "cgroup.procs"), named}, c.Args[1:]...)
		if c.Path, err = exec.LookPath("sh"); err != nil {
			t.Skip("needs sh")
		}
		return
	}
	t.Skip("no cgroup with a limit on memory can be made here")
}

// hostCalls run in the namespace that the test is in.
func hostCalls(t *testing.T) chan func() {
	calls := make(chan func())
	go func() {
		runtime.LockOSThread() // what it starts is killed when the thread ends, which may else be another test's
		for f := range calls {
			f()
		}
	}()
	t.Cleanup(func() { close(calls) })
	return calls
}

// A finding names the process that had the connection, and how that ended.
func TestLiveProcess(t *testing.T) {
	t.Parallel()
	for how, want := range map[string]clitest.Exit{"memory": {Signal: 9, OOM: true, Limit: memoryOfWorker}, "kill": {Signal: 9}, "harakiri": {Signal: 9}, "exit": {Code: 3}, "timeout": {Code: 1}} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			f, pid, live := watchWorker(t, how)
			if !strings.Contains(live.stderr.String(), "who closes") {
				t.Skip("no kernel events here: ", live.stderr)
			}
			if f.Process == nil || fmt.Sprint(f.Process.PID) != pid || f.Process.Closed != "exit" || f.Process.Exit == nil {
				t.Fatalf("%+v of %s\n%s", f.Process, pid, live.stderr)
			}
			e := *f.Process.Exit
			if e.Signal != want.Signal || e.Code != want.Code || e.OOM != want.OOM || e.Limit != want.Limit || (e.Killer != nil) != (how == "harakiri") {
				t.Errorf("%+v", e)
			}
			if c := e.Caught; (c != nil) != (how == "timeout") || c != nil && (c.Signal != 6 || c.From == nil || fmt.Sprint(c.From.PID) == pid) {
				t.Errorf("it had got %+v", c)
			}
			if how == "harakiri" && (e.Killer.Name != f.Process.Name || e.Killer.PID == f.Process.PID) {
				t.Errorf("killed by %+v", e.Killer)
			}
			if exe, _ := os.Executable(); !strings.HasPrefix(filepath.Base(exe), f.Process.Name) {
				t.Errorf("name %q", f.Process.Name)
			}
			if f.Process.Command != "connrace-worker" {
				t.Errorf("command %q", f.Process.Command)
			}
		})
	}
}

// Without the kernel's events, the process that has a socket is learnt beforehand, and the
// connector tells of its end.
func TestLiveProcessByProc(t *testing.T) {
	t.Parallel()
	const tries = 3 // on a busy machine it may be learnt too late
	idle, all := cpuTime()
	for try := range tries {
		f, pid, live := watchWorker(t, "exit", "--processes", "proc")
		if f.Process != nil && fmt.Sprint(f.Process.PID) != pid {
			t.Fatalf("%+v of %s", f.Process, pid)
		}
		if !strings.Contains(live.stderr.String(), "process connector)") || strings.Contains(live.stderr.String(), "who closes") {
			t.Skip("how processes end is not seen here: ", live.stderr)
		}
		if f.Process != nil && f.Process.Exit != nil && f.Process.Exit.Code == 3 && f.Process.Closed == "" {
			return
		}
		if try == tries-1 {
			idleNow, allNow := cpuTime()
			if share := (idleNow - idle) / (allNow - all); share < 0.3 {
				t.Skipf("the CPUs were idle for %.0f %% of the time: the end may be told too long after the close", 100*share)
			}
			t.Errorf("%+v", f.Process)
		}
	}
}

// Without both, the finding is the same, but for the process.
func TestLiveNoProcess(t *testing.T) {
	t.Parallel()
	f, _, live := watchWorker(t, "kill", "--processes", "off")
	if f.Process != nil || f.Confidence != "certain" || strings.Contains(live.stderr.String(), "seen of processes") {
		t.Errorf("%+v\n%s", f, live.stderr)
	}
}

// With fewer rights the finding is the same, with less of the process or nothing, and the first line
// says what cannot be seen and why.
func TestLiveFewRights(t *testing.T) {
	t.Parallel()
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		t.Skip("needs setpriv (util-linux)")
	}
	if out, err := exec.Command(setpriv, "--bounding-set", "-all,+net_raw,+bpf,+perfmon,+net_admin", "true").CombinedOutput(); err != nil {
		t.Skipf("rights cannot be given up here: %s", out)
	}
	for _, c := range []struct{ rights, said string }{
		{"+net_raw,+bpf,+perfmon", "who closes"},
		{"+net_raw,+net_admin", "the kernel's events (no CAP_BPF and CAP_PERFMON)"},
		{"+net_raw", "the kernel's events (no CAP_BPF and CAP_PERFMON)"},
	} {
		t.Run(c.rights, func(t *testing.T) {
			t.Parallel()
			f, pid, live := watchWorkerBy(t, "kill", func(n *netNS) *process {
				self := connraceCommand(t)
				named := filepath.Join(t.TempDir(), "connrace")
				if err := os.Symlink(self.Path, named); err != nil {
					t.Fatal(err)
				}
				cmd := exec.Command(setpriv, "--bounding-set", "-all,"+c.rights, "--inh-caps", "-all", named,
					"live", "-i", "lo", "--target", ":8080", "--format", "jsonl")
				cmd.Env = self.Env
				return n.run(cmd)
			})
			if f.Confidence != "certain" || f.Lost != true {
				t.Errorf("%+v", f)
			}
			said := live.stderr.String()
			events := strings.Contains(said, "who closes")
			switch p := f.Process; {
			case events && (p == nil || fmt.Sprint(p.PID) != pid || p.Closed != "exit" || p.Exit == nil || p.Exit.Signal != 9):
				t.Errorf("%+v of %s", p, pid)
			case !events && p != nil:
				t.Errorf("%+v is named without a right to see it", p)
			}
			if strings.Contains(c.rights, "bpf") && !events || strings.Contains(said, "(BTF)") || !strings.Contains(said, "who closes") && !strings.Contains(said, "no CAP_BPF") {
				t.Skip("no kernel events here, whatever the rights: ", said)
			}
			for _, want := range []string{c.said, "not seen: which process has a socket, but for this user's (no CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH)"} {
				if !strings.Contains(said, want) {
					t.Errorf("%q is not said: %s", want, said)
				}
			}
		})
	}
}

// A firewall and a full queue at the same listener, at the same time: of each SYN it is known which
// of the two dropped it, and who listens.
func TestLiveFilterBesideQueue(t *testing.T) {
	t.Parallel()
	n := newNetNS(t)
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("needs nft (nftables)")
	}
	rules := "table inet t { chain in { type filter hook input priority 0; ip saddr 127.0.0.2 tcp dport 8080 drop; }; }"
	n.do(func() {
		c := exec.Command("nft", "-f", "-")
		c.Stdin = strings.NewReader(rules)
		if out, err := c.CombinedOutput(); err != nil {
			t.Skipf("no nftables here: %s", out)
		}
	})
	connect := acceptNever(t, n, 8080, 1, false)
	live := n.connrace("live", "-i", "lo", "--target", ":8080", "--format", "jsonl", "--processes", "auto")
	n.watching(1, live)
	n.until("the listener is warned of", func() bool { return strings.Contains(live.stderr.String(), "its listen backlog is 1") })
	connect(2 + 2) // two have room
	n.do(func() {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err == nil {
			t.Cleanup(func() { unix.Close(fd) })
			err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 2}})
		}
		if err == nil {
			err = unix.Connect(fd, &unix.SockaddrInet4{Port: 8080, Addr: [4]byte{127, 0, 0, 1}})
		}
		if err != unix.EINPROGRESS {
			t.Fatal(err)
		}
	})
	findings := func() []clitest.Line { return clitest.Of(clitest.Lines(t, live.stdout.String()), "finding") }
	n.until("three findings", func() bool { return strings.Count(live.stdout.String(), `"finding"`) >= 3 })
	live.endSoon(syscall.SIGINT)
	if !strings.Contains(live.stderr.String(), "why packets are dropped") {
		t.Skip("no kernel events here: ", live.stderr)
	}
	for _, f := range findings() {
		filtered := strings.HasPrefix(f.LB, "127.0.0.2:")
		want := map[bool]string{true: "syn-unanswered NETFILTER_DROP", false: "syn-dropped "}[filtered]
		if got := f.Rule + " " + f.Measures.DropReason; got != want || f.Confidence != "certain" {
			t.Errorf("%s: %s, %s, want %s: %s", f.LB, got, f.Confidence, want, f.Grounds)
		}
		if f.Process == nil || f.Process.PID != os.Getpid() {
			t.Errorf("%s: %+v listens, not %d", f.LB, f.Process, os.Getpid())
		}
	}
	last := clitest.Of(clitest.Lines(t, live.stdout.String()), "summary")[0]
	if ts := last.Targets; len(ts) != 1 || ts[0].Listener == nil || ts[0].Listener.Process == nil || ts[0].Listener.Process.PID != os.Getpid() {
		t.Errorf("the listener's process is not %d: %+v", os.Getpid(), ts)
	}
	if name := fmt.Sprintf("0.0.0.0:8080, process %d", os.Getpid()); strings.Contains(live.stderr.String(), "8080, process") && !strings.Contains(live.stderr.String(), strings.TrimPrefix(name, "0.0.0.0:")) {
		t.Errorf("another one is warned of: %s", live.stderr)
	}
}

// Refused, a finding names who listened before, and how that ended.
func TestLiveRefused(t *testing.T) {
	t.Parallel()
	n := newNetNS(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(exe, "alone", "127.0.0.1:8080")
	c.Args[0] = "connrace-worker"
	c.Env = append(os.Environ(), "EXE="+exe, "GORACE=atexit_sleep_ms=0")
	server := n.run(c)
	n.until("it listens", func() bool { return strings.Contains(server.stdout.String(), "\n") })
	live := n.connrace("live", "-i", "lo", "--target", ":8080", "--format", "jsonl", "--processes", "auto")
	n.watching(1, live)
	n.until("processes are looked for", func() bool { return lookedFor(live) })
	server.end(syscall.SIGKILL)
	time.Sleep(600 * time.Millisecond) // until it is noticed
	if _, err := n.dial("", "127.0.0.1:8080"); err == nil {
		t.Fatal("somebody listens")
	}
	n.until("the finding", func() bool { return strings.Contains(live.stdout.String(), `"finding"`) })
	live.endSoon(syscall.SIGINT)
	if !strings.Contains(live.stderr.String(), "who closes") {
		t.Skip("no kernel events here: ", live.stderr)
	}
	for _, f := range clitest.Of(clitest.Lines(t, live.stdout.String()), "finding") {
		p := f.Process
		if f.Rule != "connection-refused" || f.Measures.RSTReason != "NO_SOCKET" || p == nil || p.PID != server.Process.Pid || p.Exit == nil || p.Exit.Signal != 9 {
			t.Errorf("%s, %s: %+v, not %d: %s", f.Rule, f.Measures.RSTReason, p, server.Process.Pid, f.Summary)
		}
	}
}
