package procs

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"connrace/capture"
	"connrace/cmd/connrace/internal/confine"
	"connrace/cmd/connrace/internal/trace"
	"connrace/detect"
)

// setup is what the helper is told first.
type setup struct {
	NetNS  string // as in capture.LiveOptions
	Events bool   // those of the kernel are wanted, too
}

// request is what it is asked later, and answer what it answers.
type (
	request struct {
		ID        uint64
		Questions []detect.HostQuestion
	}
	answer struct {
		ID      uint64 // the request's
		Answers []detect.HostAnswer
		Lost    uint64 // events, since it began
	}
)

// hello is what it answers.
type hello struct {
	Sees string // what it can see, and what not, and why
	Err  string // why it does nothing at all; "": it does
}

// helperFD is the helper's end of the socket between the two.
const helperFD = 3

// garbage is how much of it there may be for what is kept, in percent: half of what is usual, for the
// helper makes little of it, and its memory is for nothing else.
const garbage = 50

const (
	lookEvery = 500 * time.Millisecond
	// lookSeldom is enough where the kernel says who begins and ends to listen.
	lookSeldom = 5 * time.Second
	// lookAgain is how soon it is looked again at the earliest, where somebody begins to listen.
	lookAgain = 50 * time.Millisecond
	// lookShare of the time at most goes into looking.
	lookShare = 20
)

// Main is the helper: it learns which processes have which sockets, and answers questions until
// the other end is closed.
func Main() int {
	runtime.GOMAXPROCS(1) // it does little, and shall disturb nobody
	debug.SetGCPercent(garbage)
	f := os.NewFile(helperFD, "socket")
	defer f.Close()
	in, out := json.NewDecoder(f), json.NewEncoder(f)
	var s setup
	if in.Decode(&s) != nil {
		return 2
	}
	b, sees, err := begin(&s)
	h := hello{Sees: sees}
	if err != nil {
		h.Err = err.Error()
	}
	if out.Encode(&h) != nil || err != nil {
		return 2
	}
	go b.learn()
	for {
		var r request
		if in.Decode(&r) != nil {
			return 0
		}
		if a := b.answers(&r); out.Encode(&a) != nil {
			return 0
		}
	}
}

// answers is what is known about several.
func (b *book) answers(r *request) answer {
	a := answer{ID: r.ID, Answers: make([]detect.HostAnswer, 0, len(r.Questions))}
	if b.tracer != nil {
		b.drain() // the kernel told of a close before the packet that was captured
	}
	for i := range r.Questions {
		a.Answers = append(a.Answers, b.answer(&r.Questions[i]))
	}
	b.mu.Lock()
	a.Lost = b.lost
	b.mu.Unlock()
	if b.tracer != nil {
		a.Lost += b.tracer.Lost()
	}
	return a
}

// begin opens what takes rights, and gives them up.
func begin(s *setup) (b *book, sees string, err error) {
	if err := confine.Raise(); err != nil {
		return nil, "", err
	}
	w, err := capture.OpenWitness(capture.WitnessOptions{NetNS: s.NetNS})
	if err != nil {
		return nil, "", err
	}
	b = newBook("/proc", w)
	var can, cannot []string
	t, err := openTracer(s, w.NetNS())
	if err == nil {
		can, cannot = append(can, t.Sees...), append(cannot, t.Lacks...)
	} else if s.Events {
		cannot = append(cannot, "the kernel's events ("+whyNoEvents(err, confine.Have(confine.LoadPrograms, confine.LoadTracing))+")")
	}
	if st := (unix.Stat_t{}); unix.Stat("/proc/self/ns/pid", &st) == nil {
		b.foreign = st.Ino != initialPIDs
	}
	if c, err := openConnector(); t != nil {
	} else if err == nil {
		go c.run(b)
		can = append(can, "how processes end (process connector)")
	} else {
		cannot = append(cannot, "how processes end ("+why(err)+")")
	}
	plan := confine.Plan{Stay: true, Look: true, Keep: []confine.Capability{confine.SeeProcesses, confine.SeeDirectories}}
	if err := errors.Join(plan.GiveUp(), plan.Restrict()); err != nil {
		return nil, "", err
	}
	ports, err := b.look(time.Now().UnixNano(), true)
	if err != nil {
		return nil, "", err
	}
	if b.tracer = t; t != nil {
		t.Watch(ports)
		b.due = time.NewTimer(takeEvery)
		go b.take()
	}
	if t != nil && b.foreign {
		cannot = append(cannot, "the numbers that processes have here, where the kernel names them: they are the host's (not in its PID namespace)")
	}
	const whose = "which process has a socket"
	switch {
	case !b.denied:
		can = append([]string{whose}, can...)
	case confine.Have(confine.SeeProcesses, confine.SeeDirectories):
		can = append([]string{whose + ", but for processes that the system hides"}, can...)
	default:
		cannot = append([]string{whose + ", but for this user's (no CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH)"}, cannot...)
	}
	for _, x := range []struct {
		how   string
		which []string
	}{{"seen of processes: ", can}, {"not seen: ", cannot}} {
		if len(x.which) > 0 {
			sees += "; " + x.how + strings.Join(x.which, ", ")
		}
	}
	return b, strings.TrimPrefix(sees, "; "), nil
}

// initialPIDs is the number of the namespace of processes that the host began with
// (PROC_PID_INIT_INO).
const initialPIDs = 0xeffffffc

// openTracer loads the programs for the kernel's events, if they are wanted.
func openTracer(s *setup, netns uint32) (*trace.Tracer, error) {
	if !s.Events {
		return nil, errors.ErrUnsupported
	}
	t, err := trace.Open(netns)
	debug.FreeOSMemory() // what was read to load them is no longer needed
	return t, err
}

// why says in a few words why something cannot be had.
func why(err error) string {
	switch {
	case errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.ECONNREFUSED):
		return "only in the host's own network namespace"
	case errors.Is(err, fs.ErrPermission):
		return "no CAP_NET_ADMIN"
	}
	return err.Error()
}

// whyNoEvents is that for the kernel's events; permitted: there are the rights that they take.
func whyNoEvents(err error, permitted bool) string {
	if permitted && isDenied(err) { // not every runtime's default profile lets bpf() through for them
		return "bpf() is forbidden in spite of CAP_BPF and CAP_PERFMON: by a seccomp profile, or the kernel's lockdown"
	}
	return err.Error()
}

// isDenied reports whether an error is for want of a right.
func isDenied(err error) bool { return errors.Is(err, fs.ErrPermission) }

// learn looks again and again, for good.
func (b *book) learn() {
	wait := lookEvery
	for {
		select {
		case <-time.After(wait):
		case <-b.listening:
		}
		began := time.Now()
		ports, err := b.look(began.UnixNano(), b.tracer == nil)
		if wait = max(lookEvery, lookShare*time.Since(began)); b.tracer != nil {
			if err == nil {
				b.tracer.Watch(ports)
			}
			wait = max(lookSeldom, wait)
		}
		time.Sleep(max(lookAgain, lookShare*time.Since(began)))
	}
}

const (
	// takeEvery is how long the kernel's events wait to be taken, unless somebody asks. Where there are
	// findings all the time, somebody always does (detect's gatherTime).
	takeEvery = 300 * time.Millisecond
	// takeSoon is that where many have come.
	takeSoon = 20 * time.Millisecond
	many     = 500
)

// take takes the kernel's events, for good. It is not woken up for each: that would cost more than
// the event.
func (b *book) take() {
	for range b.due.C {
		if b.drain() != nil {
			return
		}
	}
}

// drain takes the kernel's events that have come by now.
func (b *book) drain() error {
	b.taking.Lock()
	defer b.taking.Unlock()
	n := 0
	err := b.tracer.Read(time.Now(), sinceBoot(), func(e any) {
		if n++; b.event(e) {
			select {
			case b.listening <- struct{}{}:
			default:
			}
		}
	})
	wait := takeEvery
	if n >= many {
		wait = takeSoon
	}
	b.due.Reset(wait)
	return err
}
