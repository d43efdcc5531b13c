package procs

import (
	"time"

	"connrace/cmd/connrace/internal/trace"
	"connrace/detect"
	"connrace/tcpstate"
)

// events are what the kernel said, for a while: a finding asks for it seconds later.
type events struct {
	closes  recent[conn, closing]               // of a listener remote is zero
	listens recent[tcpstate.Endpoint, struct{}] // when somebody began to
	drops   recent[conn, detect.HostDrop]
	resets  recent[conn, string] // why
	signals recent[int, signal]  // by whom they were sent to
	ooms    recent[int, uint64]  // when a process was chosen to end, and when that began, as process.start; 0: not known
}

// How many of each kind are kept: of those that come with connections, as many as 5,000 connections
// a second bring while they may be needed.
func newEvents() events {
	var v events
	v.closes.most = 1 << 15
	v.drops.most, v.resets.most = 1<<14, 1<<14
	v.signals.most = 1 << 13
	v.listens.most, v.ooms.most = 1<<11, 1<<10
	return v
}

// closing is that a socket was closed.
type closing struct {
	by   *process
	how  string // as detect.Process.Closed
	code uint32 // how it ends, by detect.CloseByExit
}

// signal is one that may end a process.
type signal struct {
	number int
	start  uint64   // when the process began that it was sent to, as process.start
	from   *process // nil: the kernel, or the process itself
}

const (
	// eventsNeeded is how long one is needed at least: findings wait for less, as a rule.
	eventsNeeded = 5 * int64(time.Second)
	// maxOfKey bounds those of a connection, or of whatever else they are kept by.
	maxOfKey = 16
	// signalBefore is how long before a process ends by a signal that may have been sent.
	signalBefore = 10 * int64(time.Second)
	oomBefore    = 60 * int64(time.Second)
	// caughtBefore is how long before a process ends that may have been told to by a signal: longer than
	// supervisors wait, as a rule (systemd's TimeoutStopSec is 90 s).
	caughtBefore = 100 * int64(time.Second)
	// endsSoon is how soon a process ends that is said to end behind a close of its own.
	endsSoon = 2 * int64(time.Second)
)

// event notes what the kernel said. It reports whether somebody listens who did not before, or does
// not any more.
func (b *book) event(e any) (changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	v := &b.events
	lost := false
	switch e := e.(type) {
	case *trace.Listen:
		b.task(&e.Task)
		b.ports[e.Local.Port] = e.Time // else who listens for a moment only is watched for ever
		lost, changed = v.listens.put(e.Local, struct{}{}, e.Time), true
	case *trace.Close:
		c := closing{by: b.task(&e.Task), how: detect.CloseByShutdown, code: e.Task.Code}
		switch {
		case c.by == nil:
			c.how = "" // the network did; it is closed all the same
		case e.Exiting:
			c.how = detect.CloseByExit
		case e.ByCall || e.Listener:
			c.how = detect.CloseByCall
		}
		of := conn{e.Remote, e.Local}
		if e.Listener {
			of.remote = tcpstate.Endpoint{}
		}
		lost = v.closes.put(of, c, e.Time)
		changed = e.Listener
	case *trace.Exit:
		x := exitOf(e.Task.Code)
		x.Time = e.Time
		b.end(e.Task.PID, e.Task.Start, x)
	case *trace.Signal:
		s := signal{number: e.Number, start: e.ToStart}
		was, at := v.signals.last(e.To)
		if e.From.PID == e.To && was.number == e.Number && e.Time-at <= signalBefore {
			break // it caught the one from somebody else, tidied up, and lets itself be ended by it
		}
		if !e.Kernel && e.From.PID != e.To {
			s.from = b.task(&e.From)
		}
		lost = v.signals.put(e.To, s, e.Time)
	case *trace.OOM:
		lost = v.ooms.put(e.PID, b.startOf(e.PID), e.Time)
	case *trace.Drop:
		of := conn{e.From, e.To}
		d := detect.HostDrop{Time: e.Time, Seq: e.Seq, Flags: tcpstate.Flags(e.Flags), Reason: e.Reason}
		lost = v.drops.put(of, d, e.Time)
	case *trace.Reset:
		of := conn{e.Remote, e.Local}
		if _, was := v.resets.last(of); was != 0 && e.Time-was < resetNear {
			break // what it sends behind its first RST is because of that
		}
		lost = v.resets.put(of, e.Reason, e.Time)
	}
	if lost {
		b.lost++
	}
	return changed
}

// is reports whether a process is a task's.
func (p *process) is(t *trace.Task) bool {
	return p.PID == t.PID && (p.start == t.Start || p.start == 0 || t.Start == 0)
}

// isSame reports whether two are one process, which need not be in mind.
func (p *process) isSame(q *process) bool { return p == q || p.PID == q.PID && p.start == q.start }

// startOf is when the process began that has a number now, or had it last, as process.start; 0: not known.
func (b *book) startOf(pid int) uint64 {
	if !b.foreign {
		if start, err := began(b.root, pid); err == nil {
			return start
		}
	}
	if p := b.processes[pid]; p != nil {
		return p.start
	}
	return 0
}

// task is the process of a task; nil: of none.
func (b *book) task(t *trace.Task) *process {
	if t.PID == 0 {
		return nil
	}
	if p := b.processes[t.PID]; p != nil && p.is(t) {
		return p
	}
	p := &process{Process: detect.Process{PID: t.PID, Name: t.Name}, parent: t.Parent, start: t.Start}
	// It is kept although it may be gone already: how it ended may be told next.
	if len(b.processes) < maxProcesses {
		defer func() { b.processes[t.PID] = p }()
	}
	if b.foreign {
		return p
	}
	if read, err := readProcess(b.root, t.PID); err == nil && read.is(t) {
		p, p.Name = &read, t.Name
	}
	// It is gone already, or ending: without a command line. What it came from is where it was, most
	// likely, if it has its name.
	if from := b.processes[t.Parent]; p.Command == "" && from != nil && from.Name == t.Name {
		p.Command, p.Container, p.Pod, p.Unit, p.groups = from.Command, from.Container, from.Pod, from.Unit, from.groups
	}
	return p
}

// explain adds who is behind the end of a process.
func (v *events) explain(p *process, x *detect.Exit) {
	if start, at := v.ooms.last(p.PID); at != 0 && x.Signal == 9 && x.Time-at <= oomBefore && (start == 0 || p.start == 0 || start == p.start) {
		x.OOM, x.Limit = true, memoryLimit(p.groups)
		return
	}
	ended := false // the signal that ended it has been met
	for at, s := range v.signals.each(p.PID) {
		switch {
		case x.Time-at > caughtBefore:
			return
		case at > x.Time, s.start != 0 && p.start != 0 && s.start != p.start:
			continue
		}
		told := func() *detect.Process {
			from := s.from.Process
			from.Exit = nil
			return &from
		}
		switch {
		case s.number == x.Signal:
			if !ended && s.from != nil && x.Time-at <= signalBefore {
				x.Killer = told()
			}
			ended = true
		case s.from == nil, s.isReload() && x.Time-at > signalBefore:
		default:
			x.Caught = &detect.Signal{Time: at, Number: s.number, From: told()}
			return
		}
	}
}

// isReload reports whether it is one by which many are told to read their settings anew, or to open
// their logs.
func (s *signal) isReload() bool { return s.number == 1 || s.number == 10 || s.number == 12 }

// closedBy is who closed a socket about a time, as the kernel said; nil: it did not.
func (b *book) closedBy(of conn, at, before, within int64) *detect.Process {
	var c closing // the first one
	when := int64(0)
	for time, x := range b.events.closes.each(of) {
		if d := time - at; d < -before || d > within || x.by == nil {
			continue
		}
		if c.by != nil && !c.by.isSame(x.by) {
			return nil // several connections, one soon behind the other
		}
		c, when = x, time
	}
	if c.by == nil {
		return nil
	}
	told := c.by.Process
	told.Closed, told.Exit = c.how, nil
	x := c.by.Exit
	switch {
	case c.how == detect.CloseByExit && x == nil:
		e := exitOf(c.code)
		e.Time = when
		b.events.explain(c.by, &e)
		told.Exit = &e
	case x != nil && (c.how == detect.CloseByExit || x.Time >= when && x.Time-when <= endsSoon):
		e := *x
		if e.Caught != nil && e.Caught.Time > when {
			e.Caught = nil
		}
		told.Exit = &e
	case x == nil && !b.foreign:
		told.Alive = c.by.isThere(b.root)
	}
	return &told
}

// closedSince reports whether the kernel said of all of n sockets that listened when it was looked
// last that they were closed until a time, and of no other that it began.
func (b *book) closedSince(on tcpstate.Endpoint, n int, at int64) bool {
	last := int64(0)
	for time := range b.events.closes.each(conn{local: on}) {
		if time > b.looked && time <= at {
			n, last = n-1, max(last, time)
		}
	}
	_, begun := b.events.listens.last(on)
	return n <= 0 && last != 0 && begun < last
}

// exitOf is how a process ended by the code that wait(2) gives.
func exitOf(code uint32) (e detect.Exit) {
	if e.Signal = int(code & 0x7f); e.Signal == 0 {
		e.Code = int(code >> 8 & 0xff)
	}
	return e
}
