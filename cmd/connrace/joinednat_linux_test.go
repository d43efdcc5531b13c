package main

import (
	"bufio"
	"encoding/json"
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

// farHost is the target's address behind the router.
const farHost = "10.78.0.2"

// must runs a program in a namespace.
func (n *netNS) must(name string, args ...string) {
	n.t.Helper()
	n.do(func() {
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			n.t.Skipf("%s %v: %v: %s", name, args, err, out)
		}
	})
}

// routed are three hosts: the LB's, a router whose interfaces are wireName and e1, and the target's. What
// is between the first two takes its time.
func routed(t *testing.T, delay time.Duration) (lb, router, server *netNS) {
	t.Helper()
	w := newWire(t, delay)
	lb, router, server = w.lb, w.target, newNetNS(t)
	router.must("ip", "link", "add", "e1", "type", "veth", "peer", "name", wireName, "netns", server.path)
	router.must("ip", "addr", "add", "10.78.0.1/24", "dev", "e1")
	server.must("ip", "addr", "add", farHost+"/24", "dev", wireName)
	router.do(func() { noOffload(t, "e1"); setUp(t, "e1") })
	server.do(func() { noOffload(t, wireName); setUp(t, wireName) })
	lb.must("ip", "route", "add", "10.78.0.0/24", "via", targetHost)
	router.do(func() {
		if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
			t.Skip("no forwarding here: ", err)
		}
	})
	return lb, router, server
}

// place is an interface that is captured.
type place struct {
	n     *netNS
	iface string
}

// capturedTries are captures at several places while a server answers every other one of six requests, and
// closes the connection of the rest.
func capturedTries(t *testing.T, lb, server *netNS, places []place) (files []string) {
	t.Helper()
	var l net.Listener
	var err error
	if server.do(func() { l, err = net.Listen("tcp4", farHost+":8080") }); err != nil {
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
	return captured(t, places, func(at place, file string) *process {
		return at.n.connrace("live", "-i", at.iface, "--target", ":8080", "-q", "-w", file)
	}, func() {
		const tries = 6
		failed := 0
		for range tries {
			if newPool(t, lb, farHost+":8080").request() != nil {
				failed++
			}
		}
		if failed != tries/2 {
			t.Fatalf("%d of %d failed", failed, tries)
		}
	})
}

// captured are files of several places, each written by a process of its own, of what happens meanwhile.
func captured(t *testing.T, places []place, start func(at place, file string) *process, happens func()) (files []string) {
	t.Helper()
	dir := t.TempDir()
	var ps []*process
	sockets := map[*netNS]int{}
	for i, at := range places {
		files = append(files, filepath.Join(dir, fmt.Sprintf("%d.pcap", i)))
		ps = append(ps, start(at, files[i]))
		sockets[at.n]++
	}
	for i, at := range places {
		at.n.watching(sockets[at.n], ps[i])
	}
	happens()
	for i, at := range places {
		last := int64(0)
		at.n.until("all is written", func() bool {
			was := last
			last = infoOf(files[i]).Last
			return last != 0 && last == was && time.Since(time.Unix(0, last)) > 300*time.Millisecond
		})
		ps[i].endSoon(syscall.SIGINT)
	}
	return files
}

// Between the LB and its target a router has masqueraded the LB's address: the captures of both ends
// are one case all the same, each failure is told once, and it is told what the address was behind it.
func TestJoinedThroughNAT(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("needs nft (nftables)")
	}
	lb, router, server := routed(t, 2*time.Millisecond)
	router.must("nft", "add table ip n; add chain ip n p { type nat hook postrouting priority 100; }; add rule ip n p oifname \"e1\" masquerade")
	files := capturedTries(t, lb, server, []place{{lb, wireName}, {server, wireName}})

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

// Captures of the LB, of a router on the way and of the target are joined pair by pair along the path, and so
// are those of two interfaces of one host: each failure is told once, with what each point has of it.
func TestJoinedThreePoints(t *testing.T) {
	t.Parallel()
	lb, router, server := routed(t, 2*time.Millisecond)
	server.must("ip", "route", "add", lbHost, "via", "10.78.0.1")
	all := capturedTries(t, lb, server, []place{{lb, wireName}, {router, wireName}, {router, "e1"}, {server, wireName}})
	for name, files := range map[string][]string{
		"LB, router and target": {all[2], all[3], all[0]},
		"with two of one host":  {all[3], all[2], all[1]},
		"all":                   {all[3], all[0], all[2], all[1]},
	} {
		code, stdout, stderr := after(t, t.Context(), nil, append([]string{"--format", "json"}, files...)...)
		if code != 0 {
			t.Fatalf("%s: exit %d: %s", name, code, stderr)
		}
		var r struct {
			Totals struct {
				Lost     uint64 `json:"lost_requests"`
				Requests uint64
			}
			Joined []struct {
				Points      []int
				Connections uint64
			}
			Findings []struct {
				Lost     bool
				Proof    *struct{ Place string }
				Evidence []struct{ Seen []struct{ Absent bool } }
			}
		}
		if err := json.Unmarshal([]byte(stdout), &r); err != nil {
			t.Fatal(err)
		}
		if r.Totals.Lost != 3 || r.Totals.Requests != 6 || len(r.Joined) != len(files)-1 {
			t.Errorf("%s: %+v, joined %+v", name, r.Totals, r.Joined)
		}
		for _, j := range r.Joined {
			if j.Connections != 6 {
				t.Errorf("%s: %+v", name, j)
			}
		}
		lost := 0
		for _, f := range r.Findings {
			if !f.Lost {
				continue
			}
			if lost++; f.Proof == nil || f.Proof.Place != "target" {
				t.Errorf("%s: proof %+v", name, f.Proof)
			}
			for _, e := range f.Evidence {
				if len(e.Seen) != 0 && len(e.Seen) != len(files) {
					t.Errorf("%s: seen at %+v", name, e.Seen)
				}
			}
		}
		if lost != 3 {
			t.Errorf("%s: %d findings", name, lost)
		}
		if t.Failed() {
			t.Log(stdout)
		}
	}
}
