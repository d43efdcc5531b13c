package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Between the LB and its target a router has masqueraded the LB's address: the captures of both ends
// are one case all the same, each failure is told once, and it is told what the address was behind it.
func TestJoinedThroughNAT(t *testing.T) {
	t.Parallel()
	const far = "10.78.0.2"
	w := newWire(t, 2*time.Millisecond)
	router, server := w.target, newNetNS(t)
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("needs nft (nftables)")
	}
	do := func(n *netNS, name string, args ...string) {
		t.Helper()
		n.do(func() {
			if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
				t.Skipf("%s %v: %v: %s", name, args, err, out)
			}
		})
	}
	do(router, "ip", "link", "add", "e1", "type", "veth", "peer", "name", wireName, "netns", server.path)
	do(router, "ip", "addr", "add", "10.78.0.1/24", "dev", "e1")
	do(server, "ip", "addr", "add", far+"/24", "dev", wireName)
	router.do(func() { noOffload(t, "e1"); setUp(t, "e1") })
	server.do(func() { noOffload(t, wireName); setUp(t, wireName) })
	do(w.lb, "ip", "route", "add", "10.78.0.0/24", "via", targetHost)
	router.do(func() {
		if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
			t.Skip("no forwarding here: ", err)
		}
	})
	do(router, "nft", "add table ip n; add chain ip n p { type nat hook postrouting priority 100; }; add rule ip n p oifname \"e1\" masquerade")

	// It answers every other request, and closes the connection of the rest.
	var l net.Listener
	var err error
	if server.do(func() { l, err = net.Listen("tcp4", far+":8080") }); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for i := 0; ; i++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil && i%2 == 0 {
				fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
			c.Close()
		}
	}()

	dir := t.TempDir()
	files := []string{filepath.Join(dir, "lb.pcapng"), filepath.Join(dir, "target.pcapng")}
	ends := []*netNS{w.lb, server}
	var ps []*process
	for i, n := range ends {
		ps = append(ps, n.connrace("live", "-i", wireName, "--target", ":8080", "-q", "-w", files[i]))
		n.watching(1, ps[i])
	}
	const tries = 6
	failed := 0
	for range tries {
		if newPool(t, w.lb, far+":8080").request() != nil {
			failed++
		}
	}
	if failed != tries/2 {
		t.Fatalf("%d of %d failed", failed, tries)
	}
	for i, n := range ends {
		last := int64(0)
		n.until("all is written", func() bool {
			was := last
			last = infoOf(files[i]).Last
			return last != 0 && last == was && time.Since(time.Unix(0, last)) > 300*time.Millisecond
		})
		ps[i].endSoon(syscall.SIGINT)
	}

	code, stdout, stderr := after(t, t.Context(), nil, "--format", "json", files[0], files[1])
	if code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	for what, n := range map[string]int{
		`"nat":[{"role":"lb","from":"` + lbHost + `","to":"10.78.0.1","connections":6}]`: 1,
		`"lost_requests":3,`:                       2, // in all, and of the target
		`"rule":"closed-with-request-outstanding"`: 3,
		`"proof":{"place":"target"`:                3,
	} {
		if got := strings.Count(stdout, what); got != n {
			t.Errorf("%d times %s, not %d", got, what, n)
		}
	}
	if t.Failed() {
		t.Log(stdout)
	}
}
