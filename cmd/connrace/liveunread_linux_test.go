package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"connrace/cmd/connrace/internal/cli"
	"connrace/cmd/connrace/internal/clitest"
)

// smallPipe is a pipe that a page of memory fills.
func smallPipe(t *testing.T, fd int) {
	t.Helper()
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, 4096); err != nil {
		t.Fatal(err)
	}
}

// refusals makes findings: connections to where nobody listens. To more ports they would be a
// scan.
func (n *netNS) refusals(many int) {
	for i := range many {
		n.dial("", fmt.Sprint("127.0.0.1:", 9000+i%4))
	}
}

// Nobody reads standard output, as where a pager is not scrolled: the capture goes on
// nevertheless, and a signal ends it with all files written.
func TestLiveUnread(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		shared bool // standard error goes there, too
		format string
	}{{"jsonl", false, "jsonl"}, {"table", false, "table"}, {"with stderr", true, "jsonl"}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n := newNetNS(t)
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			smallPipe(t, int(r.Fd()))
			dir := t.TempDir()
			file := func(name string) string { return filepath.Join(dir, name) }
			cmd := connraceCommand(t, "live", "-i", "lo", "--format", c.format, "-w", file("x.pcapng"),
				"--evidence", file("ev"), "--html", file("x.html"), "--annotate", file("a.pcapng"))
			cmd.Stdout = w
			if c.shared {
				cmd.Stderr = w
			}
			p := n.run(cmd)
			w.Close()
			n.watching(1, p)
			const many = 60
			evidence := func(files int) func() bool {
				return func() bool {
					es := clitest.EvidenceIn(file("ev"))
					return len(es) == files
				}
			}
			n.refusals(many) // several kilobytes each: the pipe is full
			n.until("there is evidence of all", evidence(many))
			n.refusals(1)
			n.until("there is evidence of one more", evidence(many+1))
			p.endSoon(syscall.SIGTERM)
			if code := p.ProcessState.ExitCode(); code != cli.ExitError {
				t.Errorf("exit %d", code)
			}
			if said := p.stderr.String(); !c.shared && !strings.HasSuffix(said, "connrace: writing the output: nobody reads it: the rest of it was given up\n") {
				t.Errorf("stderr: %s", said)
			}
			for _, name := range []string{"x.pcapng", "a.pcapng"} {
				if frames := clitest.Readable(t, file(name), false); frames >= 0 && frames != 2*(many+1) {
					t.Errorf("%s has %d frames", name, frames)
				}
			}
			if page, err := os.ReadFile(file("x.html")); err != nil || !strings.HasSuffix(strings.TrimSpace(string(page)), "</html>") {
				t.Errorf("the page is not whole: %v, %d octets", err, len(page))
			}
		})
	}
}

// A second signal ends it at once, whatever it waits for: here for somebody to read the
// page. Nothing is left lying about.
func TestLiveSecondSignal(t *testing.T) {
	t.Parallel()
	n := newNetNS(t)
	dir := t.TempDir()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	smallPipe(t, int(r.Fd()))
	c := connraceCommand(t, "live", "-i", "lo", "--html", "/dev/fd/3", "--annotate", filepath.Join(dir, "x.pcapng"))
	c.ExtraFiles = []*os.File{w}
	p := n.run(c)
	w.Close()
	n.watching(1, p)
	n.refusals(3)
	p.Process.Signal(syscall.SIGINT)
	n.until("the page is being written", func() bool {
		waiting, err := unix.IoctlGetInt(int(r.Fd()), unix.TIOCINQ) // FIONREAD
		return err == nil && waiting > 0
	})
	select {
	case <-p.ended: // the pipe does not hold the page
		t.Fatalf("it has ended: %s", p.stderr)
	default:
	}
	p.endSoon(syscall.SIGINT)
	if code := p.ProcessState.ExitCode(); code != cli.ExitInterrupted {
		t.Errorf("exit %d", code)
	}
	if es, err := os.ReadDir(dir); err != nil || len(es) != 0 {
		t.Errorf("%v, %v", es, err)
	}
}
