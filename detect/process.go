package detect

import (
	"cmp"
	"fmt"
	"path"
	"strings"

	"connrace/tcpstate"
)

// Process is a process of the target's host.
type Process struct {
	PID       int
	Name      string // as the kernel has it, 15 bytes at most
	Command   string // the program of its command line, never its arguments; "": unknown
	Container string // its id; "": it is in none, or that is unknown
	Pod       string // its uid, as Container
	Unit      string // systemd's
	Basis     string // what names it: ByComment; "": the host itself
	// Closed is how it closed the target's socket, where the kernel said that: CloseByExit,
	// CloseByCall, CloseByShutdown; "": unknown, or it did not.
	Closed string
	Exit   *Exit // how it ended about that moment; nil: it did not, as far as is known
	Alive  bool  // it was there when it was asked after
	Until  int64 // when it was seen to listen last, if it does not any more; 0: it does, or had a connection
}

// How a process closed a socket.
const (
	CloseByExit     = "exit"     // it ended, and the kernel closed what it had open
	CloseByCall     = "close"    // close()
	CloseByShutdown = "shutdown" // shutdown(): the process goes on to read
)

// Exit is how a process ended.
type Exit struct {
	Time   int64
	Signal int      // that ended it; 0: it exited
	Code   int      // exit status, if it exited
	OOM    bool     // by the kernel, which was out of memory
	Limit  uint64   // of the memory of its cgroup, octets; 0: unknown
	Killer *Process // who sent the signal; nil: unknown, or the kernel
	Caught *Signal  // what else it had been sent before, and not ignored; nil: nothing, or it is unknown
}

// Signal is one that a process was sent by another.
type Signal struct {
	Time   int64
	Number int
	From   *Process
}

// String says what the process got from whom.
func (s *Signal) String() string { return fmt.Sprintf("got %s from %s", signalName(s.Number), s.From) }

// HostQuestion asks about a connection, or with a zero LB about a listener.
type HostQuestion struct {
	LB, Target tcpstate.Endpoint
	Time       int64 // of the decisive segment
	Close      int64 // when the target closed; 0: it did not
	SYN        bool  // it was not set up: who listens, or did, is asked
}

// HostAnswer is what the host knows. The zero value is nothing.
type HostAnswer struct {
	// Process had the target's socket, or with HostQuestion.SYN listens, or did until it ended.
	Process *Process
	Drops   []HostDrop // the LB's newest segments that were dropped
	Reset   string     // why the host sent its RST, as the kernel calls it; "": unknown
}

// HostDrop is a segment that the kernel of the target's host dropped.
type HostDrop struct {
	Time   int64
	Seq    tcpstate.Seq
	Flags  tcpstate.Flags
	Reason string // as the kernel calls it: "TCP_LISTEN_OVERFLOW"
}

// askHost adds to findings what the target's host knows of its processes.
func (d *Detector) askHost(ps []*pending) {
	if d.opt.Host == nil {
		return
	}
	var qs []HostQuestion
	var of []*pending
	for _, p := range ps {
		f := p.f
		if f.Severity == Info || f.Socket != "" || d.opt.IsLocal != nil && !d.opt.IsLocal(f.Target.Addr) {
			continue
		}
		q := HostQuestion{LB: f.LB, Target: f.Target, Time: f.Time, Close: cmp.Or(f.closedAt(), p.closedAt()), SYN: f.Rule.About == AboutHandshake || f.Rule.Queue != NoQueue}
		if q.SYN {
			q.Close = 0
		}
		qs, of = append(qs, q), append(of, p)
	}
	if len(qs) == 0 {
		return
	}
	for i, a := range d.opt.Host(qs) {
		d.learnOfHost(of[i], &qs[i], &a)
	}
}

// learnOfHost adds an answer to a finding.
func (d *Detector) learnOfHost(p *pending, q *HostQuestion, a *HostAnswer) {
	f := p.f
	d.hear(p, a)
	if f.Process = a.Process; f.Process == nil {
		return
	}
	f.Summary += "; " + f.Process.tell(q)
	if own := f.Process.advice(q); own != nil && f.own == nil && f.Lost {
		f.own = own
	}
}

// String names the process.
func (p *Process) String() string {
	name := p.Name
	if c := path.Base(p.Command); p.Command != "" && c != name && !strings.HasPrefix(c, name) {
		name += ", " + c
	}
	switch {
	case p.Container != "" && p.Pod != "":
		name += ", container " + short(p.Container) + " of pod " + p.Pod
	case p.Container != "":
		name += ", container " + short(p.Container)
	case p.Unit != "":
		name += ", " + p.Unit
	}
	return fmt.Sprintf("process %d (%s)", p.PID, name)
}

// Program is the name of the program that the process runs, or its own where that is unknown.
func (p *Process) Program() string {
	if p.Command != "" {
		return path.Base(p.Command)
	}
	return p.Name
}

// short is how a container's id is shown by the programs that run them.
func short(id string) string { return id[:min(len(id), 12)] }

// tell says in half a sentence what is known of the process in a finding.
func (p *Process) tell(q *HostQuestion) string {
	switch e := p.Exit; {
	case e != nil && q.SYN:
		return fmt.Sprintf("%s listened there until %s before: it %s", p, seconds(max(q.Time-e.Time, 0)), e)
	case q.SYN && p.Until != 0:
		return p.String() + " listened there before"
	case q.SYN:
		return p.String() + " listens there"
	case e != nil && p.Closed == CloseByExit:
		return fmt.Sprintf("%s had the connection and %s, which closed it", p, e)
	case e != nil && p.Closed != "" && e.Caught != nil:
		return fmt.Sprintf("%s %s, closed it, and %s %s", p, e.Caught, e.last(), apart(e.Time-q.Close))
	case e != nil && p.Closed != "":
		return fmt.Sprintf("%s closed it, and %s %s", p, e, apart(e.Time-q.Close))
	case e != nil:
		return fmt.Sprintf("%s had the connection and %s %s", p, e, apart(e.Time-q.Close))
	case p.Closed == CloseByShutdown:
		return p.String() + " shut the connection down"
	case p.Closed == CloseByCall && p.Alive:
		return p.String() + " closed it, and went on"
	case p.Closed == CloseByCall:
		return p.String() + " closed it"
	case q.Close != 0:
		return p.String() + " had the connection"
	}
	return p.String() + " has the connection"
}

// apart is how far a moment is from the close.
func apart(ns int64) string {
	if ns < 0 {
		return seconds(-ns) + " before the close"
	}
	return seconds(ns) + " after the close"
}

// String says how a process ended.
func (e *Exit) String() string {
	if e.Caught != nil {
		return e.Caught.String() + " and " + e.last()
	}
	return e.last()
}

// last says how it ended, whatever was before.
func (e *Exit) last() string {
	switch {
	case e.OOM && e.Limit > 0:
		return fmt.Sprintf("was ended by %s (out of memory, limit %s)", signalName(e.Signal), size(e.Limit))
	case e.OOM:
		return fmt.Sprintf("was ended by %s (out of memory)", signalName(e.Signal))
	case e.Signal != 0 && e.Killer != nil:
		return fmt.Sprintf("was ended by %s from %s", signalName(e.Signal), e.Killer)
	case e.Signal != 0:
		return "was ended by " + signalName(e.Signal)
	}
	return fmt.Sprintf("exited with status %d", e.Code)
}

// size writes a number of octets for people.
func size(n uint64) string {
	for _, u := range []struct {
		unit string
		of   uint64
	}{{"GB", 1 << 30}, {"MB", 1 << 20}, {"kB", 1 << 10}} {
		if n >= u.of {
			return fmt.Sprintf("%d %s", n/u.of, u.unit)
		}
	}
	return fmt.Sprintf("%d B", n)
}

// signals are those that end a process, by their numbers on Linux (signal(7)) that all
// architectures which Go knows share, but for MIPS.
var signals = map[int]string{
	1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL",
	10: "SIGUSR1", 11: "SIGSEGV", 12: "SIGUSR2", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM", 24: "SIGXCPU", 25: "SIGXFSZ", 31: "SIGSYS",
}

func signalName(n int) string {
	if s := signals[n]; s != "" {
		return s
	}
	return fmt.Sprintf("signal %d", n)
}

// withClose is how soon a process ends that closes connections because it does.
const withClose = second / 50

// advice is cause and fix of a finding whose target's process ended; nil: it did not.
func (p *Process) advice(q *HostQuestion) *advice {
	e := p.Exit
	switch {
	case e == nil:
		return nil
	case q.SYN || p.Closed == CloseByExit:
	case e.Time > q.Close+withClose && e.Caught == nil:
		return nil
	case p.Closed != "" && (e.Signal == 9 || e.OOM): // who is killed is not ending already, and closes nothing by itself
		return nil
	}
	what := p.String()
	cause := fmt.Sprintf("The target's %s %s.", what, e)
	switch {
	case q.SYN:
		cause = fmt.Sprintf("Nothing listened any more: %s %s.", what, e)
	case p.Closed != CloseByExit && e.Time > q.Close && e.Caught != nil:
		cause = fmt.Sprintf("Most likely it was ending already: the target's %s %s, closed the connection, and %s.", what, e.Caught, e.last())
	case p.Closed != CloseByExit && e.Time > q.Close:
		cause = fmt.Sprintf("Most likely it was ending already: the target's %s %s right after the close.", what, e)
	}
	switch {
	case e.OOM:
		return &advice{cause, "Give it more memory (the cgroup's memory.max, the container's limit), or let it need less: fewer workers or threads, smaller caches, requests of bounded size."}
	case e.Caught != nil && e.Caught.Number == 6 && (e.Signal == 0 || e.Signal == 9): // as gunicorn's --timeout does
		return &advice{cause, fmt.Sprintf("Look why %s aborted it: a watchdog (gunicorn --timeout) wants a longer time or faster requests.", e.Caught.From)}
	case e.Caught != nil && e.Signal == 9 && !e.OOM:
		return &advice{cause, "It was told to stop, and killed before it had answered: give it a longer grace period (terminationGracePeriodSeconds, TimeoutStopSec, gunicorn --graceful-timeout). And take it " + outFirst}
	case e.Signal == 9 && e.Killer != nil:
		return &advice{cause, fmt.Sprintf("Look why %s killed it: a watchdog (uWSGI harakiri, gunicorn --timeout) wants a longer time or faster requests; a stop that does not wait "+
			"for requests wants a longer grace period (terminationGracePeriodSeconds, TimeoutStopSec).", e.Killer)}
	case e.Signal == 9:
		return &advice{cause, "Look who kills it: a watchdog (uWSGI harakiri, gunicorn --timeout), the kernel out of memory (dmesg), or a stop that does not wait for requests (terminationGracePeriodSeconds, TimeoutStopSec)."}
	case e.Caught != nil && e.Signal == 0, e.Signal == 0 && e.Code == 0, e.Signal == 15, e.Signal == 2, e.Signal == 1, e.Signal == 3:
		in := " with requests in hand"
		if q.SYN {
			in = ""
		}
		return &advice{cause, "It was stopped" + in + ". Take it " + outFirst}
	case e.Signal == 0:
		return &advice{cause, "It gave up by itself: its own log says why, right before that moment. Let a worker answer a request that fails, instead of ending."}
	}
	return &advice{cause, fmt.Sprintf("It crashed (%s): look at its log and for a core dump (coredumpctl) of that moment.", signalName(e.Signal))}
}
