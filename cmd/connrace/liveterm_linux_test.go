package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// newTerminal opens a terminal of so many columns, and the end that a program is given.
func newTerminal(t *testing.T, columns uint16) (user, program *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no terminals here: ", err)
	}
	t.Cleanup(func() { user.Close() })
	fd := int(user.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: columns})
	}
	if err == nil {
		program, err = os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Skip("no terminals here: ", err)
	}
	t.Cleanup(func() { program.Close() })
	return user, program
}

// On a terminal a line says how the watch is going; findings are shown above it as they
// are settled, and the line is gone when the report comes.
func TestLiveTerminal(t *testing.T) {
	t.Parallel()
	n := newNetNS(t)
	user, program := newTerminal(t, 70)
	screen := &buffer{}
	go io.Copy(screen, user)
	cmd := connraceCommand(t, "live", "-i", "lo", "--target", ":8080", "--target", ":8081")
	cmd.Stdout, cmd.Stderr = program, program
	cmd.Env = append(cmd.Env, "TERM=xterm", "NO_COLOR=")
	p := n.run(cmd)
	n.watching(1, p)
	n.load(100)
	line := regexp.MustCompile(`\rlo: [0-9,]+ packets/s, [0-9,]+ connections?, 0 dropped, [^\r\n]*\x1b\[K`)
	n.until("findings are shown above the line", func() bool {
		_, rest, found := strings.Cut(screen.String(), "connection-refused")
		return found && line.MatchString(rest)
	})
	report := regexp.MustCompile(`(?:\n|\x1b\[K)lo: [0-9,]+ frames, `)
	reports := func(n int) func() bool {
		return func() bool { return len(report.FindAllString(screen.String(), -1)) == n }
	}
	p.Process.Signal(syscall.SIGUSR1)
	n.until("the report so far is shown", reports(1))
	p.endSoon(syscall.SIGINT)
	n.until("the report is shown", reports(2))

	s := regexp.MustCompile(`^connrace: seen of processes: .*\r\n`).ReplaceAllString(screen.String(), "") // where it may see them
	if !strings.HasPrefix(s, "\rwatching lo ...\x1b[K") || strings.Contains(s, `"type":`) {
		t.Errorf("the screen:\n%q", s[:min(len(s), 2000)])
	}
	for _, l := range line.FindAllString(s, -1) {
		if shown := len(l) - len("\r\x1b[K"); shown > 70 {
			t.Errorf("%d columns: %q", shown, l)
		}
	}
	at := report.FindAllStringIndex(s, -1)
	if strings.Contains(s[at[1][1]:], "packets/s") {
		t.Error("the line is drawn over the report")
	}
}
