package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"connrace/cmd/connrace/internal/clitest"
)

// What real servers run: / answers with the number of the worker, /slow takes longer than anybody
// waits, /fail ends the worker.
const (
	wsgiApp = `import os, time
def application(env, start):
    path = env["PATH_INFO"]
    if path == "/slow":
        open("has", "w").write(str(os.getpid()))
        time.sleep(60)
    if path == "/fail":
        os._exit(1)
    body = str(os.getpid()).encode()
    start("200 OK", [("Content-Length", str(len(body)))])
    return [body]
`
	nodeApp = `require("http").createServer((q, a) => {
  if (q.url == "/fail") process.nextTick(() => { throw new Error("on purpose") })
  if (q.url == "/slow") require("fs").writeFileSync("has", String(process.pid))
  if (q.url == "/") a.end(String(process.pid))
}).listen(8080, "127.0.0.1", 1)
`
)

// realServer is how a server's worker ends with a request in hand.
type realServer struct {
	name    string
	command []string // programs of the first word may have several names: a|b
	request string
	kill    syscall.Signal // that the test sends to the worker; 0: it ends by itself
	// How it ends, and whether its master did that. abort: a master that asks its worker to end, which
	// then closes the connection itself.
	signal, code int
	master       bool
	abort        bool
	listener     string // its name in the warning that its backlog is tiny; "": it has no such one
}

// Of a real server whose worker ends the finding names the worker, how that ended, and who did it;
// and at the start it is told whose backlog is tiny, and what to change.
func TestLiveRealServers(t *testing.T) {
	t.Parallel()
	uwsgi := []string{
		"uwsgi|uwsgi-core", "--plugin", "python3", "--http-socket", "127.0.0.1:8080", "--so-keepalive", "--master", "--processes", "1",
		"--listen", "1", "--harakiri", "1", "--wsgi-file", "app.py",
	}
	gunicorn := []string{"gunicorn", "--bind", "127.0.0.1:8080", "--workers", "1", "--backlog", "1", "--worker-tmp-dir", "."}
	for _, s := range []realServer{
		{name: "uwsgi harakiri", command: uwsgi, request: "/slow", signal: 9, master: true, listener: "uwsgi"},
		{name: "uwsgi exit", command: uwsgi, request: "/fail", code: 1},
		{name: "gunicorn timeout", command: append(gunicorn, "--timeout", "3", "app:application"), request: "/slow", abort: true, listener: "gunicorn"},
		{name: "gunicorn killed", command: append(gunicorn, "app:application"), request: "/slow", kill: syscall.SIGKILL, signal: 9},
		{name: "node exception", command: []string{"node|nodejs", "app.js"}, request: "/fail", code: 1, listener: "node"},
		{name: "node stopped", command: []string{"node|nodejs", "app.js"}, request: "/slow", kill: syscall.SIGTERM, signal: 15},
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.run(t)
		})
	}
}

func (s *realServer) run(t *testing.T) {
	n := newNetNS(t)
	dir := t.TempDir()
	for file, text := range map[string]string{"app.py": wsgiApp, "app.js": nodeApp} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var c *exec.Cmd
	for program := range strings.SplitSeq(s.command[0], "|") {
		if c = exec.Command(program, s.command[1:]...); c.Err == nil {
			break
		}
	}
	if c.Err != nil {
		t.Skip("needs ", c.Err)
	}
	c.Dir = dir
	server := n.run(c)
	ask := func(path string) (string, error) {
		p := newPool(t, n, "127.0.0.1:8080")
		var err error
		if p.c, err = n.dial("", p.to); err != nil {
			return "", err
		}
		p.c.SetDeadline(time.Now().Add(patience))
		fmt.Fprintf(p.c, "GET %s HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n", path)
		if path != "/" {
			return "", nil
		}
		r, err := http.ReadResponse(bufio.NewReader(p.c), nil)
		if err != nil {
			return "", err
		}
		b, err := io.ReadAll(r.Body)
		return string(b), err
	}
	var worker int
	n.until("it answers", func() bool {
		if server.isOver() {
			if strings.Contains(server.stdout.String()+server.stderr.String(), "_plugin.so") {
				t.Skip("needs uwsgi-plugin-python3")
			}
			t.Fatalf("%v has ended: %s%s", c.Args, server.stdout, server.stderr)
		}
		body, err := ask("/")
		worker, _ = strconv.Atoi(body)
		return err == nil && worker != 0
	})
	live := n.connrace("live", "-i", "lo", "--target", ":8080", "--format", "jsonl", "--processes", "auto")
	n.watching(1, live)
	n.until("processes are looked for", func() bool { return lookedFor(live) })
	if !strings.Contains(live.stderr.String(), "who closes") {
		t.Skip("no kernel events here: ", live.stderr)
	}
	has := func() int { // the worker that has the request: by now it may be another one
		b, _ := os.ReadFile(filepath.Join(dir, "has"))
		pid, _ := strconv.Atoi(string(b))
		return pid
	}
	ask(s.request)
	if s.kill != 0 {
		n.until("the worker has the request", func() bool {
			return has() != 0
		})
		syscall.Kill(has(), s.kill)
	}
	finding := func() (f clitest.Line, ok bool) {
		said := live.stdout.String()
		for _, f := range clitest.Of(clitest.Lines(t, said[:strings.LastIndexByte(said, '\n')+1]), "finding") {
			if f.Rule == "closed-with-request-outstanding" {
				return f, true
			}
		}
		return f, false
	}
	n.until("the finding", func() bool {
		if live.isOver() {
			t.Fatalf("it has ended: %s", live.stderr)
		}
		_, ok := finding()
		return ok
	})
	live.endSoon(syscall.SIGINT)
	f, _ := finding()
	p := f.Process
	if s.request == "/slow" {
		worker = has()
	}
	if p == nil || p.PID != worker {
		t.Fatalf("%+v is named, not %d: %s", p, worker, f.Summary)
	}
	t.Log(f.Summary)
	switch e := p.Exit; {
	case s.abort: // it was told to, and closed the connection itself
		if e != nil && e.Signal == 0 && e.Code == 0 {
			t.Errorf("%+v", e)
		}
	case e == nil || p.Closed != "exit" || e.Signal != s.signal || e.Code != s.code:
		t.Errorf("closed by %q, %+v", p.Closed, e)
	case s.master && (e.Killer == nil || e.Killer.PID != server.Process.Pid), s.kill != 0 && (e.Killer == nil || e.Killer.PID != os.Getpid()):
		t.Errorf("killed by %+v", e.Killer)
	}
	want := fmt.Sprintf("127.0.0.1:8080, process %d (", server.Process.Pid)
	if said := live.stderr.String(); s.listener != "" && (!strings.Contains(said, want) || !strings.Contains(said, "its listen backlog is 1: ")) {
		t.Errorf("%q is not warned of: %s", want, said)
	}
}
