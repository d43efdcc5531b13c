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
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"connrace/detect"
)

// Command is the helper's command, which no help mentions.
const Command = "_processes"

// Helper is the helper as seen by who asks it. It belongs to one goroutine.
type Helper struct {
	cmd     *exec.Cmd
	f       *os.File
	out     *json.Encoder
	answers chan answer // closed: it answers no more
	asked   uint64      // the last request's number
	late    bool        // it has not been answered yet
	gone    bool
	// Sees says in one line what it can see and what not, and why.
	Sees string
	// Lost is how many of the kernel's events had been lost when it was asked last.
	Lost uint64
}

const (
	// beginWithin is how long the helper may take to begin.
	beginWithin = 10 * time.Second
	// answerWithin is how long is waited for an answer: packets wait, too.
	answerWithin = 2 * time.Second
	// mostAsked bounds what is asked at once.
	mostAsked = 64
)

// Open starts the helper for a network namespace, as in capture.LiveOptions: program is connrace.
// events: the kernel's are taken, too, as far as that allows.
func Open(program, netns string, events bool) (*Helper, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	f, other := os.NewFile(uintptr(fds[0]), "socket"), os.NewFile(uintptr(fds[1]), "socket")
	h := newHelper(f)
	in := json.NewDecoder(f)
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
	err = errors.Join(h.out.Encode(&setup{NetNS: netns, Events: events}), in.Decode(&a))
	if err == nil && a.Err != "" {
		err = errors.New(a.Err)
	}
	if err != nil {
		h.Close()
		return nil, fmt.Errorf("the helper does not begin: %w", err)
	}
	h.Sees = a.Sees
	f.SetDeadline(time.Time{})
	go h.read(in)
	return h, nil
}

func newHelper(f *os.File) *Helper {
	return &Helper{f: f, out: json.NewEncoder(f), answers: make(chan answer, 1)}
}

// read passes answers on, until there are no more. At most one is not yet taken.
func (h *Helper) read(in *json.Decoder) {
	defer close(h.answers)
	for {
		var a answer
		if in.Decode(&a) != nil {
			return
		}
		h.answers <- a
	}
}

// Ask asks. What is not known, or not in time, is zero.
func (h *Helper) Ask(qs []detect.HostQuestion) []detect.HostAnswer {
	all := make([]detect.HostAnswer, 0, len(qs))
	for part := range slices.Chunk(qs, mostAsked) {
		as := h.ask(part)
		all = append(all, as...)
		all = append(all, make([]detect.HostAnswer, len(part)-len(as))...)
	}
	return all
}

// Count asks for Lost alone.
func (h *Helper) Count() { h.ask(nil) }

// ask asks at once. As long as it has not answered what was asked before, it is not asked.
func (h *Helper) ask(qs []detect.HostQuestion) []detect.HostAnswer {
	if h.late {
		select {
		case _, there := <-h.answers:
			h.late, h.gone = false, !there
		default:
		}
	}
	if h.late || h.gone {
		return nil
	}
	h.asked++
	h.f.SetWriteDeadline(time.Now().Add(answerWithin))
	if h.out.Encode(&request{h.asked, qs}) != nil {
		h.gone = true
		return nil
	}
	patience := time.NewTimer(answerWithin)
	defer patience.Stop()
	select {
	case a, there := <-h.answers:
		if h.gone = !there || a.ID != h.asked || len(a.Answers) != len(qs); h.gone {
			return nil
		}
		h.Lost = a.Lost
		return a.Answers
	case <-patience.C:
		h.late = true
		return nil
	}
}

// Gone reports whether it does not answer any more.
func (h *Helper) Gone() bool { return h.gone }

// Late reports whether it has not answered what it was asked.
func (h *Helper) Late() bool { return h.late }

// Close ends the helper.
func (h *Helper) Close() error {
	h.f.Close()
	const patience = time.Second
	defer time.AfterFunc(patience, func() { h.cmd.Process.Kill() }).Stop()
	return h.cmd.Wait()
}
