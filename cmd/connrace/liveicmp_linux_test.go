package main

import (
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"connrace/cmd/connrace/internal/clitest"
)

// A filter that rejects with ICMP errors is seen through the capture's own filter: the errors
// are about connections to a target that was asked for.
func TestLiveICMP(t *testing.T) {
	t.Parallel()
	n := newNetNS(t)
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("needs nft (nftables)")
	}
	n.do(func() {
		rules := "add table inet f; add chain inet f in { type filter hook input priority 0; }; " +
			"add rule inet f in tcp dport { 81, 82 } reject with icmpx type port-unreachable"
		if out, err := exec.Command("nft", rules).CombinedOutput(); err != nil {
			t.Skipf("no nftables here: %s", out)
		}
	})
	p := n.connrace("live", "-i", "lo", "--target", "127.0.0.1:81", "--target", "[::1]:81", "--format", "jsonl")
	n.watching(1, p)
	for _, to := range []string{"127.0.0.1:82", "[::1]:82", "127.0.0.1:81", "[::1]:81"} {
		if c, err := n.dial("", to); err == nil {
			c.Close()
			t.Errorf("%s is not rejected", to)
		}
	}
	n.until("both are found", func() bool { return strings.Count(p.stdout.String(), `"type":"finding"`) == 2 })
	p.endSoon(syscall.SIGTERM)
	ls := clitest.Lines(t, p.stdout.String())
	for i, f := range clitest.Of(ls, "finding") {
		to, kind := []string{"127.0.0.1:81", "[::1]:81"}[i], []string{`"type":3,"code":3`, `"type":1,"code":4`}[i]
		if f.Rule != "connection-refused" || f.Target != to || !strings.Contains(p.stdout.String(), kind) {
			t.Errorf("%s at %s, want connection-refused at %s by %s", f.Rule, f.Target, to, kind)
		}
	}
	if frames := ls[len(ls)-1].Totals.Frames; frames > 8 { // Linux sends a SYN again although it is rejected
		t.Errorf("%d frames: what is about other ports was captured", frames)
	}
}

// What goes unanswered is told while it does, and what became of it under the same number.
func TestLiveOpen(t *testing.T) {
	t.Parallel()
	n := newNetNS(t)
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("needs nft (nftables)")
	}
	nft := func(rules string) {
		n.do(func() {
			if out, err := exec.Command("nft", rules).CombinedOutput(); err != nil {
				t.Skipf("no nftables here: %s", out)
			}
		})
	}
	nft("add table inet f; add chain inet f in { type filter hook input priority 0; }; add rule inet f in tcp dport 81 drop")
	var l net.Listener
	var err error
	n.do(func() { l, err = net.Listen("tcp4", "127.0.0.1:81") })
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := n.connrace("live", "-i", "lo", "--target", ":81", "--format", "jsonl")
	n.watching(1, p)
	var fd int
	n.do(func() { fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0) })
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	unix.Connect(fd, &unix.SockaddrInet4{Port: 81, Addr: [4]byte{127, 0, 0, 1}}) // goes on
	n.until("it is told", func() bool { return strings.Contains(p.stdout.String(), `"open":true`) })
	nft("flush chain inet f in")
	n.until("the end is told", func() bool { return strings.Contains(p.stdout.String(), `"type":"update"`) })
	p.endSoon(syscall.SIGTERM)
	ls := clitest.Lines(t, p.stdout.String())
	found, updated := clitest.Of(ls, "finding"), clitest.Of(ls, "update")
	if len(found) != 1 || len(updated) == 0 {
		t.Fatalf("%d findings, %d updates", len(found), len(updated))
	}
	if f, u := found[0], updated[len(updated)-1]; f.Rule != "syn-unanswered" || f.Lost != false || u.ID != f.ID || u.Severity != "warning" || !strings.Contains(u.Summary, "late") {
		t.Errorf("%+v\nthen %+v", f, u)
	}
}
