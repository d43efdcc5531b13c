package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"connrace/cmd/connrace/internal/cli"
)

// status are the values that all threads of a process have in a field of their status.
func (p *process) status(field string) string {
	p.t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", p.Process.Pid))
	if err != nil || len(files) < 2 {
		p.t.Fatalf("%d threads, %v", len(files), err)
	}
	values := map[string]bool{}
	value := ""
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // the thread has ended
		}
		m := regexp.MustCompile(`(?m)^` + field + `:\s*(.*?)\s*$`).FindSubmatch(b)
		if m == nil {
			p.t.Fatalf("no %s in %s", field, f)
		}
		value = string(m[1])
		values[value] = true
	}
	if len(values) != 1 {
		p.t.Errorf("%s differs: %v", field, values)
	}
	return value
}

// powerless sees that a process has no right but the ones of its user.
func (p *process) powerless(kept uint64) {
	p.t.Helper()
	for field, want := range map[string]string{
		"CapEff": fmt.Sprintf("%016x", kept), "CapPrm": fmt.Sprintf("%016x", kept), "CapBnd": fmt.Sprintf("%016x", kept),
		"CapInh": fmt.Sprintf("%016x", 0), "CapAmb": fmt.Sprintf("%016x", 0), "NoNewPrivs": "1", "Seccomp": "2",
	} {
		if got := p.status(field); got != want {
			p.t.Errorf("%s is %s, want %s", field, got, want)
		}
	}
}

func confinedTo(n *netNS, args ...string) *process {
	n.t.Helper()
	p := n.connrace(append([]string{"live", "-i", "lo", "-v", "--format", "jsonl"}, args...)...)
	n.until("confined", func() bool { return strings.Contains(p.stderr.String(), "connrace: confined: ") })
	return p
}

func TestLiveGivesUpRights(t *testing.T) {
	t.Parallel()
	n := newNetNS(t)
	dir := t.TempDir()
	page := filepath.Join(dir, "page.html")
	p := confinedTo(n, "--html", page, "--metrics", "127.0.0.1:1")
	p.powerless(0)
	p.endSoon(syscall.SIGTERM)
	if st, err := os.Stat(page); p.ProcessState.ExitCode() != cli.ExitOK || err != nil || st.Size() == 0 {
		t.Errorf("exit %d, %v\n%s", p.ProcessState.ExitCode(), err, p.stderr)
	}

	// The file of a unix socket is looked up again and again, wherever it is.
	p = confinedTo(n, "--target", "unix:"+filepath.Join(dir, "app.sock"))
	p.powerless(1 << unix.CAP_DAC_READ_SEARCH)
	p.endSoon(syscall.SIGTERM)
}

func TestLiveAsAnotherUser(t *testing.T) {
	t.Parallel()
	n := newNetNS(t)
	his, err := os.MkdirTemp("", "connrace-his-") // t.TempDir lies where he cannot go
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(his) })
	const uid, gid = 65534, 65533
	if err := os.Chown(his, uid, gid); err != nil {
		t.Fatal(err)
	}
	p := confinedTo(n, "--user", fmt.Sprintf("%d:%d", uid, gid), "--html", filepath.Join(his, "page.html"), "-w", filepath.Join(his, "all.pcapng"))
	p.powerless(0)
	for field, want := range map[string]int{"Uid": uid, "Gid": gid} {
		if got := strings.Fields(p.status(field)); len(got) != 4 || strings.Join(got, " ") != strings.TrimSpace(strings.Repeat(fmt.Sprint(want)+" ", 4)) {
			t.Errorf("%s is %s", field, got)
		}
	}
	if got := p.status("Groups"); got != fmt.Sprint(gid) {
		t.Errorf("groups %s", got)
	}
	p.endSoon(syscall.SIGTERM)
	for _, name := range []string{"page.html", "all.pcapng"} {
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(his, name), &st); err != nil || st.Uid != uid || st.Gid != gid {
			t.Errorf("%s: %v, of %d:%d", name, err, st.Uid, st.Gid)
		}
	}

	for _, tt := range []struct{ user, out, want string }{
		{"65534", t.TempDir(), "user nobody may not write there"},
		{"no-such-user", his, "there is no such user"},
		{"-1", his, "there is no such user"},
	} {
		p := n.connrace("live", "-i", "lo", "-Z", tt.user, "-w", filepath.Join(tt.out, "x.pcapng"), "--duration", "1s")
		<-p.ended
		if p.ProcessState.ExitCode() != cli.ExitError || !strings.Contains(p.stderr.String(), tt.want) {
			t.Errorf("-Z %s: exit %d, %s", tt.user, p.ProcessState.ExitCode(), p.stderr)
		}
	}
}

// Where only another user may write, root still does, with the one right that it takes.
func TestRootWritesForAnother(t *testing.T) {
	t.Parallel()
	n := newNetNS(t)
	his := t.TempDir()
	if err := os.Chown(his, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	p := confinedTo(n, "--html", filepath.Join(his, "page.html"))
	p.powerless(1 << unix.CAP_DAC_OVERRIDE)
	p.endSoon(syscall.SIGTERM)
	if _, err := os.Stat(filepath.Join(his, "page.html")); err != nil || p.ProcessState.ExitCode() != cli.ExitOK {
		t.Errorf("exit %d, %v", p.ProcessState.ExitCode(), err)
	}
}

// analyze reads what root may read, and says what confines it.
func TestAnalyzeGivesUpRights(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to have rights to give up")
	}
	dir := t.TempDir()
	b, err := os.ReadFile("../../pcaps/crowder.pcap")
	if err != nil {
		t.Fatal(err)
	}
	in := filepath.Join(dir, "his.pcap")
	if err := os.WriteFile(in, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(in, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		in: "CAP_DAC_READ_SEARCH to read inputs that are another user's", "../../pcaps/crowder.pcap": "user root with no capability",
	} {
		c := connraceCommand(t, "analyze", "-v", "--evidence", filepath.Join(dir, "ev"), path)
		out, err := c.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) || !strings.Contains(string(out), "fin-request-crossing") {
			t.Errorf("%s: %v\n%s", path, err, out)
		}
		os.RemoveAll(filepath.Join(dir, "ev"))
	}
}

// With the capability in its file, permitted only, the program captures for any user.
func TestCapabilityOfTheFile(t *testing.T) {
	n := newNetNS(t)
	dir, err := os.MkdirTemp("", "connrace-file-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o755)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "connrace")
	if out, err := exec.Command("cp", exe, file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	os.Chmod(file, 0o755)
	// struct vfs_cap_data: version 2, permitted, inheritable, and their upper halves.
	v := make([]byte, 20)
	v[3], v[5] = 2, 1<<(unix.CAP_NET_RAW-8)
	if err := unix.Setxattr(file, "security.capability", v, 0); err != nil {
		t.Skip("no capabilities of files here: ", err)
	}
	c := connraceCommand(t, "live", "-i", "lo", "-v", "--duration", "1s", "--format", "jsonl")
	c.Path, c.Dir = file, dir
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	p := n.run(c)
	<-p.ended
	if p.ProcessState.ExitCode() != cli.ExitOK || !strings.Contains(p.stderr.String(), "with no capability") {
		t.Errorf("exit %d\n%s", p.ProcessState.ExitCode(), p.stderr)
	}
}
