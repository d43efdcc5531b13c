// Package procs names processes of the host that is watched: which one has, or had, a socket, and
// how it ended. A helper process of connrace's own learns that; who asks it keeps none of the
// rights that it takes, and the helper, which has them, reads nothing that strangers send.
//
//	live ── questions about findings ──▶ helper: book ◀── look: sock_diag, /proc/PID/fd
//	     ◀──────── answers ────────────              ◀── connector: processes that ended
//
// Landlock, which confines who reads packets, would never let it look into another process
// (hook_ptrace_access_check in Linux's security/landlock/task.c): hence two processes.
package procs

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"connrace/detect"
)

// Command is the helper's command, which no help mentions.
const Command = "_processes"

// Helper is the helper as seen by who asks it. It belongs to one goroutine.
type Helper struct {
	cmd  *exec.Cmd
	f    *os.File
	in   *json.Decoder
	out  *json.Encoder
	gone bool
	// Sees says in one line what it can see and what not, and why.
	Sees string
	// Lost is how many of the kernel's events had no room when it was asked last.
	Lost uint64
}

const (
	// beginWithin is how long the helper may take to begin.
	beginWithin = 10 * time.Second
	// answerWithin is how long the helper may take to answer, before it is given up: packets wait.
	answerWithin = 2 * time.Second
)

// Open starts the helper for a network namespace, as in capture.LiveOptions: program is connrace.
// events: the kernel's are taken, too, as far as that allows.
func Open(program, netns string, events bool) (*Helper, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	f, other := os.NewFile(uintptr(fds[0]), "socket"), os.NewFile(uintptr(fds[1]), "socket")
	h := &Helper{f: f, in: json.NewDecoder(f), out: json.NewEncoder(f)}
	h.cmd = exec.Command(program, Command)
	h.cmd.Args[0] = "connrace"
	h.cmd.ExtraFiles = []*os.File{other}
	h.cmd.Stderr = os.Stderr
	// Signals to the terminal's processes are not for it: it ends with the socket.
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = h.cmd.Start()
	other.Close()
	if err != nil {
		f.Close()
		return nil, err
	}
	f.SetDeadline(time.Now().Add(beginWithin))
	var a hello
	err = errors.Join(h.out.Encode(&setup{NetNS: netns, Events: events}), h.in.Decode(&a))
	if err == nil && a.Err != "" {
		err = errors.New(a.Err)
	}
	if err != nil {
		h.Close()
		return nil, fmt.Errorf("the helper does not begin: %w", err)
	}
	h.Sees = a.Sees
	return h, nil
}

// Ask asks. Of a helper that does not answer no more is asked.
func (h *Helper) Ask(q *detect.HostQuestion) detect.HostAnswer {
	if h.gone {
		return detect.HostAnswer{}
	}
	h.f.SetDeadline(time.Now().Add(answerWithin))
	var a answer
	if h.out.Encode(q) != nil || h.in.Decode(&a) != nil {
		h.gone = true
		return detect.HostAnswer{}
	}
	h.Lost = a.Lost
	return a.HostAnswer
}

// Gone reports whether it does not answer any more.
func (h *Helper) Gone() bool { return h.gone }

// Close ends the helper.
func (h *Helper) Close() error {
	h.f.Close()
	const patience = time.Second
	defer time.AfterFunc(patience, func() { h.cmd.Process.Kill() }).Stop()
	return h.cmd.Wait()
}
