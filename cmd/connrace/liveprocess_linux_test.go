package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"connrace/cmd/connrace/internal/clitest"
)

// watchWorker starts a server, watches it, and makes a request in which its worker ends. It
// returns the finding about that and the worker's number.
func watchWorker(t *testing.T, how string, flags ...string) (f clitest.Line, pid string, live *process) {
	t.Helper()
	n := newNetNS(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(exe, how, "127.0.0.1:8080")
	c.Args[0] = "connrace-worker"
	c.Env = append(os.Environ(), "EXE="+exe, "GORACE=atexit_sleep_ms=0")
	master := n.run(c)
	n.until("the worker begins", func() bool { return strings.Contains(master.stdout.String(), "\n") })
	pid = strings.TrimSpace(master.stdout.String())
	p := newPool(t, n, "127.0.0.1:8080")
	// From outside, where the process connector is.
	args := append([]string{"live", "--netns", n.path, "-i", "lo", "--target", ":8080", "--format", "jsonl"}, flags...)
	live = (&netNS{t: t, calls: hostCalls(t)}).run(connraceCommand(t, args...))
	n.watching(1, live)
	n.until("the worker answers", func() bool { return p.request() == nil })
	time.Sleep(1200 * time.Millisecond) // connections are learnt twice a second
	fmt.Fprintf(p.c, "GET /end HTTP/1.1\r\nHost: app\r\n\r\n")
	n.until("the finding", func() bool { return strings.Contains(live.stdout.String(), `"finding"`) })
	live.endSoon(syscall.SIGINT)
	fs := clitest.Of(clitest.Lines(t, live.stdout.String()), "finding")
	if len(fs) != 1 || fs[0].Rule != "closed-with-request-outstanding" {
		t.Fatalf("%d findings: %s", len(fs), live.stdout)
	}
	return fs[0], pid, live
}

// hostCalls run in the namespace that the test is in.
func hostCalls(t *testing.T) chan func() {
	calls := make(chan func())
	go func() {
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
	for how, want := range map[string]clitest.Exit{"kill": {Signal: 9}, "harakiri": {Signal: 9}, "exit": {Code: 3}} {
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
			if e.Signal != want.Signal || e.Code != want.Code || e.OOM || (e.Killer != nil) != (how == "harakiri") {
				t.Errorf("%+v", e)
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
