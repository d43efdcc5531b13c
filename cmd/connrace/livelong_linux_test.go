package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"connrace/cmd/connrace/internal/cli"
	"connrace/cmd/connrace/internal/clitest"
)

// loadKey names in the environment what the test's program is to do instead of testing.
const loadKey = "CONNRACE_TEST_LOAD"

func init() {
	if what := os.Getenv(loadKey); what != "" {
		churn(what)
		os.Exit(0)
	}
}

// churn opens and closes connections on lo, so many a second, until it is killed: most of
// them for a few requests, some to a port where nobody listens, some that are reset while a
// request is outstanding.
func churn(rate string) {
	n, _ := strconv.Atoi(rate)
	l, err := net.Listen("tcp4", "127.0.0.1:8080")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for {
					first, err := r.ReadString('\n')
					if err != nil {
						return
					}
					for line := first; line != "\r\n" && err == nil; line, err = r.ReadString('\n') {
					}
					if strings.Contains(first, "/drop") {
						c.(*net.TCPConn).SetLinger(0)
						return
					}
					io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				}
			}()
		}
	}()
	var busy atomic.Int32
	tick := time.NewTicker(time.Second / time.Duration(n))
	for i := 0; ; i++ {
		<-tick.C
		if busy.Load() > 100 {
			continue
		}
		busy.Add(1)
		go func() {
			defer busy.Add(-1)
			to := "127.0.0.1:8080"
			if i%20 == 7 {
				to = "127.0.0.1:8081"
			}
			d := net.Dialer{Timeout: time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%200))}}
			c, err := d.Dial("tcp4", to)
			if err != nil {
				return
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(time.Second))
			b := make([]byte, 256)
			for k := range 3 {
				path := "/x"
				if i%20 == 3 && k == 2 {
					path = "/drop"
				}
				fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: app\r\n\r\n", path)
				if _, err := c.Read(b); err != nil {
					return
				}
			}
		}()
	}
}

// load starts churn in the namespace.
func (n *netNS) load(rate int) *process {
	exe, err := os.Executable()
	if err != nil {
		n.t.Fatal(err)
	}
	c := exec.Command(exe)
	c.Env = append(os.Environ(), loadKey+"="+strconv.Itoa(rate))
	return n.run(c)
}

// Killed, live leaves a capture that can be read up to what was flushed last, a second ago
// at most, and evidence that is whole.
func TestLiveKilled(t *testing.T) {
	t.Parallel()
	n := newNetNS(t)
	dir := t.TempDir()
	out, ev := filepath.Join(dir, "x.pcapng"), filepath.Join(dir, "ev")
	p := n.connrace("live", "-i", "lo", "--target", ":8080", "--target", ":8081", "-q", "-w", out, "--evidence", ev)
	n.watching(1, p)
	n.load(200)
	n.until("there is evidence", func() bool {
		es := clitest.EvidenceIn(ev)
		return len(es) > 3
	})
	n.until("packets are written", func() bool { return infoOf(out).Frames >= 500 })
	p.end(syscall.SIGKILL)
	if got := clitest.Readable(t, out, true); got == 0 {
		t.Error("tshark finds no frame")
	}
	code, stdout, stderr := after(t, t.Context(), nil, "analyze", "--format", "jsonl", out)
	ls := clitest.Lines(t, stdout)
	if frames := ls[len(ls)-1].Totals.Frames; code != cli.ExitOK || frames < 500 {
		t.Errorf("exit %d, %d frames: %s", code, frames, stderr)
	}
	es := clitest.EvidenceIn(ev)
	whole := 0
	for _, e := range es {
		if strings.HasPrefix(e.Name(), ".") {
			continue // it was being written
		}
		whole++
		if whole < 5 && clitest.Readable(t, filepath.Join(ev, e.Name()), false) == 0 {
			t.Errorf("%s has no frames", e.Name())
		}
	}
	// The next run goes on where this one ended.
	q := n.connrace("live", "-i", "lo", "--target", ":8081", "-q", "--evidence", ev)
	n.until("there is more evidence", func() bool {
		es = clitest.EvidenceIn(ev)
		return len(es) > whole+2
	})
	q.end(syscall.SIGTERM)
	es = clitest.EvidenceIn(ev)
	if len(es) <= whole || slices.ContainsFunc(es, func(e os.DirEntry) bool { return strings.HasPrefix(e.Name(), ".") }) {
		t.Errorf("%d files after %d, %s", len(es), whole, q.stderr)
	}
}

// A full disk costs packets and evidence, which are counted, and nothing else.
func TestLiveDiskFull(t *testing.T) {
	t.Parallel()
	n := newNetNS(t)
	dir := t.TempDir()
	small, kept := filepath.Join(dir, "small"), filepath.Join(dir, "kept")
	os.Mkdir(small, 0o700)
	os.Mkdir(kept, 0o700)
	self := connraceCommand(t)
	c := exec.Command("bash", "-c", `mount -t tmpfs -o size=1500k none "$1" || exit 77
(exec -a connrace "$2" live -i lo --target :8080 --target :8081 --format jsonl -w "$1/x.pcapng" --evidence "$1/ev" --metrics 127.0.0.1:9502) &
trap "kill -TERM $!" INT
wait $!; wait $!; code=$?
cp -r "$1"/* "$3"; exit $code`, "bash", small, self.Path, kept)
	if c.Err != nil {
		t.Skip("needs bash: ", c.Err)
	}
	c.Env = self.Env
	c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	p := n.run(c)
	n.until("it begins", func() bool {
		select {
		case <-p.ended:
			return true
		default:
			return strings.Contains(p.stderr.String(), "handle with care")
		}
	})
	if p.ProcessState != nil && p.ProcessState.ExitCode() == 77 {
		t.Skip("no mounts here: ", p.stderr)
	}
	n.watching(1, p)
	load := n.load(300)
	n.until("the disk is full", func() bool {
		said := p.stderr.String()
		return strings.Contains(said, "x.pcapng: no space left on device") && strings.Contains(said, "evidence is not written: ")
	})
	n.until("the metrics say so", func() bool {
		c, err := n.dial("", "127.0.0.1:9502")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprint(c, "GET /metrics HTTP/1.0\r\n\r\n")
		page, _ := io.ReadAll(c)
		counted := 0
		for _, name := range []string{"connrace_write_lost_total", "connrace_evidence_lost_total", "connrace_evidence_files_total"} {
			if strings.Contains(string(page), "\n"+name+" ") && !strings.Contains(string(page), "\n"+name+" 0\n") {
				counted++
			}
		}
		return counted == 3
	})
	load.end(syscall.SIGKILL)
	p.end(syscall.SIGINT)
	if code := p.ProcessState.ExitCode(); code != cli.ExitError { // -w is not what it should be
		t.Errorf("exit %d: %s", code, p.stderr)
	}
	ls := clitest.Lines(t, p.stdout.String())
	if len(ls) == 0 || ls[len(ls)-1].Type != "summary" {
		t.Fatalf("no summary: %s", p.stderr)
	}
	sum := ls[len(ls)-1]
	if sum.Totals.Frames < 2000 || !slices.ContainsFunc(sum.Captures[0].Warnings, func(w string) bool { return strings.Contains(w, "could not be written") }) {
		t.Errorf("%d frames, warnings %q", sum.Totals.Frames, sum.Captures[0].Warnings)
	}
	got := clitest.Readable(t, filepath.Join(kept, "x.pcapng"), false)
	if got == 0 {
		t.Error("nothing is left of -w")
	}
	es := clitest.EvidenceIn(filepath.Join(kept, "ev"))
	for i, e := range es {
		if i < 5 && clitest.Readable(t, filepath.Join(kept, "ev", e.Name()), false) == 0 {
			t.Errorf("%s has no frames", e.Name())
		}
	}
}

// An interface that goes down and comes up again is told of, and watched on.
func TestLiveLink(t *testing.T) {
	t.Parallel()
	n := newNetNS(t)
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs ip (iproute2)")
	}
	set := func(state string) {
		t.Helper()
		n.do(func() {
			if out, err := exec.Command("ip", "link", "set", "lo", state).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		})
	}
	p := n.connrace("live", "-i", "lo", "--format", "jsonl")
	n.watching(1, p)
	set("down")
	n.until("it says down", func() bool { return strings.Contains(p.stderr.String(), "lo is down") })
	set("up")
	n.until("it says up", func() bool { return strings.Contains(p.stderr.String(), "lo is up") })
	n.dial("", "127.0.0.1:9") // is refused
	p.Process.Signal(syscall.SIGUSR1)
	n.until("it shows what it has so far", func() bool { return strings.Contains(p.stdout.String(), `"type":"summary"`) })
	n.until("it has found something", func() bool { return strings.Contains(p.stdout.String(), `"type":"finding"`) })
	end := syscall.SIGHUP // as when a terminal is closed
	if signal.Ignored(end) {
		end = syscall.SIGTERM
	}
	p.endSoon(end)
	ls := clitest.Lines(t, p.stdout.String())
	if fs := clitest.Of(ls, "finding"); len(fs) != 1 || fs[0].Rule != "connection-refused" {
		t.Errorf("found %+v", fs)
	}
	if w := ls[len(ls)-1].Captures[0].Warnings; len(w) != 2 {
		t.Errorf("warnings %q", w)
	}
}

// What cannot be done is said in a line, with what to do.
func TestLiveErrors(t *testing.T) {
	t.Parallel()
	n := newNetNS(t)
	for _, c := range []struct {
		name string
		args []string
		attr *syscall.SysProcAttr
		want string
	}{
		{"no such interface", []string{"-i", "nope0"}, nil, "nope0: no such interface; there are any, lo\n"},
		{"not permitted", []string{"-i", "lo"}, &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}},
		}, "setcap cap_net_raw+ep"},
		{"no such namespace", []string{"-i", "lo", "--netns", "/nowhere"}, nil, "there is no such process, path or name"},
		{"no such directory", []string{"-i", "lo", "-w", "/nowhere/x"}, nil, "/nowhere/x: no such file or directory"},
		{"no filter", []string{"-i", "lo", "--filter-ddd", "/nowhere"}, nil, "/nowhere: no such file or directory"},
		{"a bad filter", []string{"-i", "lo", "--filter-ddd", "/proc/self/comm"}, nil, "/proc/self/comm: "},
	} {
		cmd := connraceCommand(t, append([]string{"live"}, c.args...)...)
		cmd.SysProcAttr = c.attr
		if c.attr != nil {
			if err := exec.Command("unshare", "--user", "true").Run(); err != nil {
				t.Log("no user namespaces here")
				continue
			}
		}
		p := n.run(cmd)
		p.wait()
		if p.ProcessState.ExitCode() != cli.ExitError || strings.Count(p.stderr.String(), "\n") != 1 || !strings.Contains(p.stderr.String(), c.want) || p.stdout.String() != "" {
			t.Errorf("%s: exit %d, %s%s", c.name, p.ProcessState.ExitCode(), p.stderr, p.stdout)
		}
	}
}

// helperOf is the number of a program's helper, that names processes; 0: it has none.
func helperOf(p *process) int {
	all, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", p.Process.Pid))
	for _, file := range all {
		b, _ := os.ReadFile(file)
		if f := strings.Fields(string(b)); len(f) > 0 {
			pid, _ := strconv.Atoi(f[0])
			return pid
		}
	}
	return 0
}

// TestLiveSoak watches churn for as long as CONNRACE_SOAK says (60s in CI), of CONNRACE_SOAK_RATE
// connections a second (800), with the kernel's events where they can be had: memory, threads and descriptors of both processes stay as they are once
// everything is warm, and what is written is bounded. What is lost is told.
func TestLiveSoak(t *testing.T) {
	long := 8 * time.Second
	if s := os.Getenv("CONNRACE_SOAK"); s != "" {
		var err error
		if long, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
	}
	n := newNetNS(t)
	dir := t.TempDir()
	ev := filepath.Join(dir, "ev")
	out, err := os.Create(filepath.Join(dir, "out.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := connraceCommand(t, "live", "-i", "lo", "--target", "127.0.0.1", "--format", "jsonl", "--evidence", ev, "--evidence-max", "40,2MB",
		"--evidence-memory", "4MB", "--ring", "16MB", "-w", filepath.Join(dir, "x.pcapng"), "-C", "1", "-W", "3")
	cmd.Stdout = out
	p := n.run(cmd)
	n.watching(1, p)
	n.until("processes are looked for", func() bool { return lookedFor(p) })
	rate := 800
	if s := os.Getenv("CONNRACE_SOAK_RATE"); s != "" {
		var err error
		if rate, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	load := n.load(rate)

	type usage struct{ rss, fds, threads int }
	helper := helperOf(p)
	used := func(pid int) (u usage) {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		for l := range strings.Lines(string(b)) {
			f := strings.Fields(l)
			switch {
			case strings.HasPrefix(l, "RssAnon:"):
				u.rss, _ = strconv.Atoi(f[1])
			case strings.HasPrefix(l, "Threads:"):
				u.threads, _ = strconv.Atoi(f[1])
			}
		}
		fds, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		u.fds = len(fds)
		return u
	}
	var all, helpers []usage
	const parts = 10
	for range parts {
		time.Sleep(long / parts)
		all, helpers = append(all, used(p.Process.Pid)), append(helpers, used(helper))
	}
	spent := cpuOf(helper)
	load.end(syscall.SIGKILL)
	p.endSoon(syscall.SIGTERM)
	if code := p.ProcessState.ExitCode(); code != cli.ExitOK {
		t.Errorf("exit %d: %s", code, p.stderr)
	}

	t.Logf("RSS (kB), descriptors, threads after each tenth of %v: %v, of the helper %v; CPU %v user, %v system, the helper's %v", long, all, helpers,
		p.ProcessState.UserTime().Round(time.Millisecond), p.ProcessState.SystemTime().Round(time.Millisecond), spent)
	both := [][]usage{all, helpers}
	if raced { // the race detector's memory is of what a program does, not of what it keeps
		both = both[:1]
	}
	for _, us := range both {
		warm, end := us[parts/2], us[parts-1]
		if end.rss > warm.rss+warm.rss/10+4<<10 {
			t.Errorf("memory grows: %d kB after half the time, %d kB at the end", warm.rss, end.rss)
		}
		if end.fds > warm.fds+2 || end.threads > warm.threads+4 {
			t.Errorf("it leaks: %+v after half the time, %+v at the end", warm, end)
		}
	}
	const most = 32 << 10 // what is kept of events is bounded
	if end := helpers[parts-1]; end.rss > most && !raced {
		t.Errorf("the helper has %d kB", end.rss)
	}
	text, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	ls := clitest.Lines(t, string(text))
	sum := ls[len(ls)-1]
	found, held := 0, 0
	for _, n := range sum.Totals.Findings {
		found += n
	}
	for _, r := range clitest.Of(ls, "repeated") {
		held += r.Count
	}
	shown := len(clitest.Of(ls, "finding"))
	// Who closes is known of each connection that was reset with a request outstanding, unless it is said
	// that something was lost.
	if strings.Contains(p.stderr.String(), "who closes") && !raced {
		unnamed, named := 0, 0
		for _, f := range clitest.Of(ls, "finding") {
			switch {
			case f.Rule == "connection-refused": // somebody else's, or nobody's
			case f.Severity == "info": // nothing was lost: nobody is asked
			case f.Process == nil:
				unnamed++
				t.Logf("without a process: %s, %s, %s at %v: %s", f.Rule, f.Severity, f.LB, f.Time, f.Summary)
			case f.Process.PID != load.Process.Pid:
				t.Errorf("%d: process %d is named, not %d", f.ID, f.Process.PID, load.Process.Pid)
			default:
				named++
			}
		}
		lost := slices.ContainsFunc(sum.Captures[0].Warnings, func(w string) bool { return strings.Contains(w, "had no room") || strings.Contains(w, "helper") })
		t.Logf("%d findings with a process, %d without; events lost: %v", named, unnamed, lost)
		if unnamed > 0 && !lost || named == 0 {
			t.Errorf("%d findings have no process, %d have one", unnamed, named)
		}
	}
	t.Logf("%d frames, %d dropped, %d findings: %d shown, %d counted; %d octets of output",
		sum.Totals.Frames, sum.Totals.KernelDrops, found, shown, held, len(text))
	if shown+held != found || found < 20 || shown > 10_000+int(long/(20*time.Second))+1 /* as live limits it */ {
		t.Errorf("%d findings, %d shown, %d counted", found, shown, held)
	}
	es := clitest.EvidenceIn(ev)
	size := int64(0)
	for _, e := range es {
		if i, err := e.Info(); err == nil {
			size += i.Size()
		}
	}
	if len(es) == 0 || len(es) > 40 || size > 2e6 {
		t.Errorf("%d files of evidence with %d octets", len(es), size)
	}
	ws, _ := filepath.Glob(filepath.Join(dir, "x.pcapng*"))
	if len(ws) > 3 || len(ws) == 0 {
		t.Errorf("files of -w: %v", ws)
	}
	for _, w := range ws {
		if i, err := os.Stat(w); err != nil || i.Size() > 1.5e6 {
			t.Errorf("%s: %v %v", w, i.Size(), err)
		}
	}
}
