package procs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"connrace/detect"
)

// Not answered in time, what was asked is not known; answered later, it goes on.
func TestLateAnswer(t *testing.T) {
	t.Parallel()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	f, other := os.NewFile(uintptr(fds[0]), "socket"), os.NewFile(uintptr(fds[1]), "socket")
	defer f.Close()
	h := newHelper(f)
	go h.read(json.NewDecoder(f))
	in, out := json.NewDecoder(other), json.NewEncoder(other)
	answered := make(chan struct{})
	late := make(chan struct{})
	go func() {
		defer other.Close()
		for i := range 3 {
			var r request
			if in.Decode(&r) != nil {
				return
			}
			if i == 1 {
				<-late
			}
			a := answer{ID: r.ID, Lost: r.ID}
			for _, q := range r.Questions {
				a.Answers = append(a.Answers, detect.HostAnswer{Process: &detect.Process{PID: int(q.Time)}})
			}
			out.Encode(&a)
			if i == 1 {
				close(answered)
			}
		}
	}()
	ask := func(n int) (pids []int) {
		qs := make([]detect.HostQuestion, n)
		for i := range qs {
			qs[i].Time = int64(i + 1)
		}
		for _, a := range h.Ask(qs) {
			if pids = append(pids, 0); a.Process != nil {
				pids[len(pids)-1] = a.Process.PID
			}
		}
		return pids
	}
	if got := ask(2); len(got) != 2 || got[1] != 2 || h.Late() {
		t.Error("first: ", got)
	}
	for range 2 { // the second time it is not even asked
		if got := ask(1); len(got) != 1 || got[0] != 0 || !h.Late() || h.Gone() {
			t.Error("late: ", got)
		}
	}
	close(late)
	<-answered
	for end := time.Now().Add(time.Minute); h.Late() && time.Now().Before(end); time.Sleep(time.Millisecond) {
		if got := ask(1); !h.Late() && (got[0] != 1 || h.Lost != 3) {
			t.Error("again: ", got)
		}
	}
	if h.Late() {
		t.Error("it is late for good")
	}
	if got := ask(1); got[0] != 0 || !h.Gone() {
		t.Error("ended: ", got)
	}
}

// Rights that are there are not said to be lacking.
func TestWhyNoEvents(t *testing.T) {
	denied := fmt.Errorf("no CAP_BPF and CAP_PERFMON: %w", fs.ErrPermission)
	for _, tt := range []struct {
		err       error
		permitted bool
		want      string
	}{
		{denied, false, denied.Error()},
		{denied, true, "bpf() is forbidden in spite of CAP_BPF and CAP_PERFMON: by a seccomp profile, or the kernel's lockdown"},
		{errors.New("no BTF"), true, "no BTF"},
	} {
		if got := whyNoEvents(tt.err, tt.permitted); got != tt.want {
			t.Errorf("%v: %s", tt.err, got)
		}
	}
}
