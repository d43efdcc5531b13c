package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"connrace/capture"
	"connrace/cmd/connrace/internal/cli"
	"connrace/cmd/connrace/internal/clitest"
)

// target is a server that closes idle connections.
type target struct {
	name  string
	start func(t *testing.T, n *netNS, idle time.Duration) (addr string)
}

var goTarget = target{"Go", func(t *testing.T, n *netNS, idle time.Duration) string {
	var l net.Listener
	var err error
	n.do(func() { l, err = net.Listen("tcp4", targetHost+":8080") })
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{IdleTimeout: idle, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "ok") })}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return l.Addr().String()
}}

var nodeTarget = target{"Node", func(t *testing.T, n *netNS, idle time.Duration) string {
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("needs node")
	}
	n.start("node", "-e", fmt.Sprintf(`const s = require("http").createServer((q, r) => r.end("ok"))
s.keepAliveTimeout = %d; s.listen(3000, %q)`, idle.Milliseconds(), targetHost))
	return targetHost + ":3000"
}}

// balancer makes requests to a target over connections that it keeps.
type balancer struct {
	name string
	// start returns for each of so many pools of one connection a function that makes a
	// request.
	start func(t *testing.T, n *netNS, to string, pools int) []func() error
}

// pool is a connection that is kept, and opened anew when it has failed.
type pool struct {
	n  *netNS
	to string
	c  net.Conn
	r  *bufio.Reader
}

func newPool(t *testing.T, n *netNS, to string) *pool {
	p := &pool{n: n, to: to}
	t.Cleanup(func() {
		if p.c != nil {
			p.c.Close()
		}
	})
	return p
}

func (p *pool) request() error {
	if p.c == nil {
		c, err := p.n.dial("", p.to)
		if err != nil {
			return err
		}
		p.c, p.r = c, bufio.NewReader(c)
	}
	p.c.SetDeadline(time.Now().Add(5 * time.Second))
	_, err := fmt.Fprintf(p.c, "GET /x HTTP/1.1\r\nHost: app\r\n\r\n")
	var answer *http.Response
	if err == nil {
		answer, err = http.ReadResponse(p.r, nil)
	}
	if err == nil {
		var b bytes.Buffer
		_, err = b.ReadFrom(answer.Body)
		if answer.StatusCode != http.StatusOK {
			return errors.New(answer.Status)
		}
	}
	if err != nil {
		p.c.Close()
		p.c = nil
	}
	return err
}

var plainBalancer = balancer{"plain", func(t *testing.T, n *netNS, to string, pools int) (fs []func() error) {
	for range pools {
		fs = append(fs, newPool(t, n, to).request)
	}
	return fs
}}

var nginxBalancer = balancer{"nginx", func(t *testing.T, n *netNS, to string, pools int) (fs []func() error) {
	if _, err := exec.LookPath("nginx"); err != nil {
		t.Skip("needs nginx")
	}
	dir := t.TempDir()
	var upstreams strings.Builder
	for i := range pools {
		fmt.Fprintf(&upstreams, `upstream u%d { server %s; keepalive 4; }
server { listen 127.0.0.1:%d; location / { proxy_pass http://u%d; } }
`, i, to, 8000+i, i)
	}
	conf := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log; events {}
http { access_log off; keepalive_timeout 600; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_next_upstream off;
client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
%[2]s}`, dir, &upstreams)
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	p := n.start("nginx", "-p", dir, "-c", filepath.Join(dir, "nginx.conf"), "-e", filepath.Join(dir, "error.log"))
	n.until("nginx listens", func() bool {
		c, err := n.dial("", "127.0.0.1:8000")
		if err == nil {
			c.Close()
		}
		select {
		case <-p.ended:
			t.Fatalf("nginx: %s", p.stderr)
		default:
		}
		return err == nil
	})
	for i := range pools {
		fs = append(fs, newPool(t, n, fmt.Sprint("127.0.0.1:", 8000+i)).request)
	}
	return fs
}}

// A race across a wire with a delay, watched live at the target, gives the findings that
// analyze has for the captures taken beside it.
func TestLiveRace(t *testing.T) {
	t.Parallel()
	const delay, idle, pools = 40 * time.Millisecond, 600 * time.Millisecond, 6
	for _, c := range []struct {
		lb     balancer
		target target
	}{{plainBalancer, goTarget}, {nginxBalancer, goTarget}, {nginxBalancer, nodeTarget}} {
		t.Run(c.lb.name+" "+c.target.name, func(t *testing.T) {
			t.Parallel()
			p := newWire(t, delay)
			addr := c.target.start(t, p.target, idle)
			timer := measureIdle(p.lb, addr)
			requests := c.lb.start(t, p.lb, addr, pools)

			p.lb.until("nothing is on its way any more", func() bool {
				a, b := p.lb.sockets()
				c, d := p.target.sockets()
				return a+b+c+d == 0
			})

			dir := t.TempDir()
			file := func(name string) string { return filepath.Join(dir, name) }
			own := file("own.pcapng")
			// Watched from outside, for a change.
			live := p.lb.connrace("live", "-i", wireName, "--netns", p.target.path, "--target", addr, "--format", "jsonl", "-q",
				"-w", own, "--evidence", file("ev"), "--snaplen", "2000")
			beside := []string{own}
			var tcpdump *process
			if _, err := exec.LookPath("tcpdump"); err == nil {
				_, port, _ := net.SplitHostPort(addr)
				tcpdump = p.target.start("tcpdump", "-i", wireName, "-w", file("tcpdump.pcap"), "-U", "-Z", "root", "--immediate-mode", "--nano", "tcp", "port", port)
				beside = append(beside, file("tcpdump.pcap"))
			}
			p.target.watching(len(beside), live)

			lost := 0
			for try := 0; try < 10 && !strings.Contains(live.stdout.String(), `"fin-request-crossing"`); try++ {
				if try > 0 { // on a busy machine they miss each other, or the timer was taken wrongly
					timer = measureIdle(p.lb, addr)
				}
				lost += race(requests, timer, delay)
				p.target.until("the target closes what is idle", func() bool {
					open, _ := p.target.sockets()
					return open == 0
				})
			}
			p.target.until("all is written", func() bool {
				last := infoOf(own).Last
				return last != 0 && !slices.ContainsFunc(beside, func(file string) bool { return infoOf(file).Last != last })
			})
			if tcpdump != nil {
				tcpdump.end(syscall.SIGINT)
			}
			live.endSoon(syscall.SIGINT)
			if code := live.ProcessState.ExitCode(); code != cli.ExitOK {
				t.Errorf("exit %d: %s", code, live.stderr)
			}

			got := verdicts(t, live.stdout.String(), true)
			races := 0
			for _, v := range got {
				if strings.HasPrefix(v, "fin-request-crossing") {
					races++
				}
			}
			if races == 0 || lost < races {
				t.Errorf("%d races, %d requests lost, of %d tried; the target's timer is %v\n%q", races, lost, pools, timer, got)
			}
			if tcpdump != nil && !strings.Contains(tcpdump.stderr.String(), "\n0 packets dropped by kernel") {
				t.Logf("on this busy machine tcpdump lost packets: %s", tcpdump.stderr)
				beside = beside[:1]
			}
			for _, capture := range beside {
				var stdout, stderr bytes.Buffer
				run(t.Context(), []string{"analyze", "--target", addr, "--format", "jsonl", "-q", capture}, nil, &stdout, &stderr)
				same := capture == own
				if got, want := verdicts(t, live.stdout.String(), same), verdicts(t, stdout.String(), same); !slices.Equal(got, want) {
					t.Errorf("live finds\n%s\nanalyze %s finds\n%s", strings.Join(got, "\n"), filepath.Base(capture), strings.Join(want, "\n"))
				}
				clitest.Readable(t, capture, false)
			}
			for _, f := range clitest.Of(clitest.Lines(t, live.stdout.String()), "finding") {
				if f.Rule == "fin-request-crossing" && clitest.Readable(t, f.File, false) == 0 {
					t.Errorf("no evidence of %d", f.ID)
				}
			}
		})
	}
}

// sockets is how many TCP sockets of the namespace are established, and how many others
// have not said all yet.
func (n *netNS) sockets() (established, others int) {
	var b []byte
	n.do(func() { b, _ = os.ReadFile("/proc/thread-self/net/tcp") })
	for l := range strings.Lines(string(b)) {
		f := strings.Fields(l)
		if len(f) < 4 || f[0] == "sl" {
			continue
		}
		switch f[3] {
		case "01":
			established++
		case "06", "07", "0A": // TCP_TIME_WAIT, TCP_CLOSE, TCP_LISTEN
		default:
			others++
		}
	}
	return established, others
}

// infoOf says what is in a capture that may be being written.
func infoOf(file string) capture.Info {
	f, err := os.Open(file)
	if err != nil {
		return capture.Info{}
	}
	defer f.Close()
	in, err := capture.NewFile(file, f, capture.ReadOptions{})
	if err != nil {
		return capture.Info{}
	}
	frames := make([]capture.Frame, 64)
	for err == nil {
		_, err = in.Read(frames)
	}
	return in.Info()
}

// measureIdle waits for a server, and measures how long it keeps an idle connection, as
// seen from the other end. The least of several counts: the machine may be busy.
func measureIdle(n *netNS, addr string) (least time.Duration) {
	n.t.Helper()
	var wg sync.WaitGroup
	took := make([]time.Duration, 4)
	for i := range took {
		var c net.Conn
		n.until("the target listens", func() bool {
			var err error
			c, err = n.dial("", addr)
			return err == nil
		})
		wg.Go(func() {
			defer c.Close()
			c.SetDeadline(time.Now().Add(10 * time.Second))
			fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: app\r\n\r\n")
			b := make([]byte, 1000)
			for last := time.Now(); ; last = time.Now() {
				if _, err := c.Read(b); err != nil {
					took[i] = time.Since(last)
					return
				}
			}
		})
	}
	wg.Wait()
	return slices.Min(took)
}

// race makes on each connection a request that crosses the target's close: sent when the
// FIN is on its way. It returns how many failed.
func race(requests []func() error, timer, delay time.Duration) int {
	failed := make([]bool, len(requests))
	var wg sync.WaitGroup
	for i, request := range requests {
		wg.Go(func() {
			time.Sleep(time.Duration(i) * 137 * time.Millisecond)
			if request() != nil {
				return
			}
			// The window is as wide as a round trip, and ends when the FIN arrives.
			time.Sleep(timer - 2*delay*time.Duration(2*i+1)/time.Duration(2*len(requests)))
			failed[i] = request() != nil
			if failed[i] {
				request() // as a load balancer does
			}
		})
	}
	wg.Wait()
	n := 0
	for _, f := range failed {
		if f {
			n++
		}
	}
	return n
}

// verdicts are findings after all updates, without times and numbers, in order. Another
// capture of the same packets has other times, by microseconds, and what is inferred from
// them is left out.
func verdicts(t *testing.T, stdout string, sameTimes bool) (vs []string) {
	t.Helper()
	newest := map[int]string{}
	for s := range strings.Lines(stdout) {
		var f struct {
			Type, Rule, Severity, Confidence, LB, Target string
			ID                                           int
			Lost                                         any
			Measures                                     struct {
				RST   string
				Cause string `json:"close_cause"`
			}
			Evidence []struct {
				From, Flags, Role string
				Seq, Ack, Len     uint32
			}
		}
		if err := json.Unmarshal([]byte(s), &f); err != nil {
			t.Fatal(err)
		}
		if !sameTimes {
			f.Measures.Cause = ""
			if f.Rule == "keepalive-mismatch" {
				f.Evidence = nil // samples of its timer
			}
		}
		if f.Type == "finding" || f.Type == "update" {
			newest[f.ID] = fmt.Sprint(f.Rule, f.Severity, f.Confidence, f.LB, f.Target, f.Lost, f.Measures, f.Evidence)
		}
	}
	for _, v := range newest {
		vs = append(vs, v)
	}
	slices.SortFunc(vs, cmp.Compare)
	return vs
}
