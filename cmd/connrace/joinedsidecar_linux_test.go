package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// sidecarApp is an application behind a proxy of TCP on its own host. It answers, until it is told not to.
type sidecarApp struct {
	mu   sync.Mutex
	open map[net.Conn]bool
	mute bool // closes instead of an answer
}

// newSidecarApp listens at farHost:8080 for the proxy, at loopback's port 9090 for the application.
func newSidecarApp(t *testing.T, n *netNS) *sidecarApp {
	t.Helper()
	a := &sidecarApp{open: map[net.Conn]bool{}}
	listen := func(at string) (l net.Listener) {
		var err error
		if n.do(func() { l, err = net.Listen("tcp4", at) }); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	front, back := listen(farHost+":8080"), listen("127.0.0.1:9090")
	each := func(l net.Listener, f func(net.Conn)) {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go f(c)
		}
	}
	go each(back, a.serve)
	go each(front, func(c net.Conn) {
		defer c.Close()
		b, err := n.dial("", "127.0.0.1:9090")
		if err != nil {
			return
		}
		defer b.Close()
		go func() { // ends with either connection
			io.Copy(b, c)
			b.(*net.TCPConn).CloseWrite()
		}()
		io.Copy(c, b)
	})
	return a
}

func (a *sidecarApp) serve(c net.Conn) {
	a.mu.Lock()
	a.open[c] = true
	a.mu.Unlock()
	defer c.Close()
	for r := bufio.NewReader(c); ; {
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		a.mu.Lock()
		mute := a.mute
		a.mute = false
		a.mu.Unlock()
		if mute {
			return
		}
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	}
}

// closeInstead lets the application close the connection of the next request, and not answer it.
func (a *sidecarApp) closeInstead() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mute = true
}

// closeIdle closes the connections that the application keeps.
func (a *sidecarApp) closeIdle() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for c := range a.open {
		c.Close()
		delete(a.open, c)
	}
}

// dumped are captures by tcpdump at several places, of what happens meanwhile. Its ring has room for only a few
// frames of the greatest size, so they are cut.
func dumped(t *testing.T, places []place, happens func()) []string {
	t.Helper()
	return captured(t, places, func(at place, file string) *process {
		return at.n.start("tcpdump", "-i", at.iface, "-w", file, "-U", "-Z", "root", "--immediate-mode", "--nano", "-s", "2000", "tcp")
	}, happens)
}

// sidecarReport is what is asked of a report.
type sidecarReport struct {
	Totals struct {
		Failed      uint64 `json:"failed_tries"`
		Requests    uint64
		RSTAfterFIN struct{ Total, Explained uint64 } `json:"rst_after_fin"`
	}
	Targets []struct {
		Target   string
		Failed   uint64 `json:"failed_tries"`
		Requests uint64
	}
	Joined []struct {
		Points      []int
		Connections uint64
		NAT         []struct{ Role, From, To string }
	}
	Findings []struct {
		Rule     string
		Target   string
		Lost     bool
		Measures struct {
			Cause   string `json:"close_cause"`
			Retried *bool
		}
		Evidence []struct{ Note string }
	}
}

// said is what a report says that must be the same of all captures that show the same: of each target how
// many requests there were and what became of them.
func (r *sidecarReport) said() []string {
	said := []string{fmt.Sprintf("%d requests, %d failed, %+v", r.Totals.Requests, r.Totals.Failed, r.Totals.RSTAfterFIN)}
	for _, x := range r.Targets {
		said = append(said, fmt.Sprintf("%s: %d requests, %d failed", x.Target, x.Requests, x.Failed))
	}
	for _, f := range r.Findings {
		said = append(said, fmt.Sprintf("%s: %s, lost %v, cause %s, retried %v", f.Target, f.Rule, f.Lost, f.Measures.Cause, f.Measures.Retried != nil && *f.Measures.Retried))
		for _, e := range f.Evidence {
			if strings.Contains(e.Note, "in between") || strings.Contains(e.Note, "again") {
				said = append(said, e.Note)
			}
		}
	}
	slices.Sort(said)
	return said
}

// Of a host that forwards and one that runs a proxy on loopback, captures of each interface are joined where they
// show the same connections, and not where a proxy has made others of them. So is one file of several
// interfaces: what it shows twice counts once.
func TestJoinedInterfaces(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"nft", "tcpdump", "mergecap"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip("needs ", name)
		}
	}
	t.Run("forwarded", func(t *testing.T) { t.Parallel(); joinedInterfaces(t, false) })
	t.Run("translated", func(t *testing.T) { t.Parallel(); joinedInterfaces(t, true) })
}

func joinedInterfaces(t *testing.T, translated bool) {
	const delay = 100 * time.Millisecond
	const pod = farHost + ":8080"
	lb, router, server := routed(t, delay)
	server.must("ip", "route", "add", lbHost, "via", "10.78.0.1")
	to := pod
	if translated {
		to = targetHost + ":80"
		router.must("nft", "add table ip n; add chain ip n p { type nat hook prerouting priority -100; }; add rule ip n p iifname \""+wireName+"\" tcp dport 80 dnat to "+pod)
	}
	app := newSidecarApp(t, server)
	files := dumped(t, []place{{router, wireName}, {router, "e1"}, {server, "lo"}, {router, "any"}, {server, "any"}}, func() {
		for _, race := range []bool{true, false} {
			p := newPool(t, lb, to)
			for range 2 {
				if err := p.request(); err != nil {
					t.Fatal(err)
				}
			}
			if race {
				begun := time.Now()
				app.closeIdle() // and its FIN meets the request
				if _, err := fmt.Fprint(p.c, "GET /x HTTP/1.1\r\nHost: app\r\n\r\n"); err != nil || time.Since(begun) > delay/2 {
					t.Skip("too slow a machine for a race: ", err)
				}
				io.Copy(io.Discard, p.c)
				p.c.Close()
				p.c = nil
			} else {
				app.closeInstead()
				if p.request() == nil {
					t.Fatal("answered")
				}
			}
			time.Sleep(4 * delay) // what is on its way comes
		}
	})
	eth0, veth, lo, routerAny, serverAny := files[0], files[1], files[2], files[3], files[4]
	merged := filepath.Join(t.TempDir(), "merged.pcapng")
	if out, err := exec.Command("mergecap", "-w", merged, eth0, veth, lo).CombinedOutput(); err != nil {
		t.Fatalf("mergecap: %v: %s", err, out)
	}

	report := func(args ...string) (r sidecarReport) {
		t.Helper()
		code, stdout, stderr := after(t, t.Context(), nil, append([]string{"--format", "json"}, args...)...)
		if code != 0 {
			t.Fatalf("exit %d: %s", code, stderr)
		}
		if stderr != "" { // that loopback shows other connections needs no warning
			t.Errorf("%v: %s", args, stderr)
		}
		if err := json.Unmarshal([]byte(stdout), &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	check := func(what string, r sidecarReport, want []string) {
		t.Helper()
		if got := r.said(); !slices.Equal(got, want) {
			t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	// at is what is said of an LB's connections to a target, and of those on loopback.
	const onLo = "127.0.0.1:9090"
	of := func(target string) []string {
		return []string{
			target + ": 6 requests, 2 failed",
			target + ": closed-with-request-outstanding, lost true, cause unknown, retried false",
			target + ": fin-request-crossing, lost true, cause unknown, retried false",
		}
	}
	proxied := []string{onLo + ": 5 requests, 1 failed", onLo + ": closed-with-request-outstanding, lost true, cause unknown, retried false"}
	sorted := func(parts ...[]string) []string { all := slices.Concat(parts...); slices.Sort(all); return all }

	for _, order := range [][]string{{eth0, veth, lo}, {lo, veth, eth0}, {veth, lo, eth0}} {
		r := report(order...)
		check(fmt.Sprint(order), r, sorted([]string{"11 requests, 3 failed, {Total:2 Explained:2}"}, of(to), proxied))
		points := []int{slices.Index(order, eth0), slices.Index(order, veth)}
		if len(r.Joined) != 1 || r.Joined[0].Connections != 2 || !slices.Equal(r.Joined[0].Points, points) {
			t.Fatalf("%v: joined %+v", order, r.Joined)
		}
		if n := r.Joined[0].NAT; translated != (len(n) == 1 && n[0].Role == "target" && n[0].From == to && n[0].To == pod) {
			t.Errorf("%v: NAT %+v", order, n)
		}
	}
	check("-i any with the proxy", report(serverAny), sorted([]string{"11 requests, 3 failed, {Total:2 Explained:2}"}, of(pod), proxied))
	if !translated {
		check("-i any on the router", report(routerAny), sorted([]string{"6 requests, 2 failed, {Total:2 Explained:2}"}, of(pod)))
		check("merged", report(merged), sorted([]string{"11 requests, 3 failed, {Total:2 Explained:2}"}, of(pod), proxied))
		return
	}
	// By addresses alone these are two targets.
	check("merged", report(merged), sorted([]string{"11 requests, 3 failed, {Total:2 Explained:2}"}, of(to), proxied))
	check("-i any on the router", report(routerAny), sorted([]string{"6 requests, 2 failed, {Total:2 Explained:2}"}, of(to)))
	check("-i any on the router, one target", report("--target", to, routerAny), sorted([]string{"6 requests, 2 failed, {Total:2 Explained:2}"}, of(to)))
}
