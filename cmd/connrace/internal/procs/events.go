package procs

import (
	"time"

	"connrace/cmd/connrace/internal/trace"
	"connrace/detect"
	"connrace/tcpstate"
)

// events are what the kernel said, for a while: a finding asks for it seconds later.
type events struct {
	closes  map[conn][]closing // of a listener remote is zero
	drops   map[conn][]detect.HostDrop
	resets  map[conn]detect.HostReset
	signals map[int]signal // the newest, by whom it was sent to
	ooms    map[int]int64  // when a process was chosen to end
}

// closing is that a socket was closed.
type closing struct {
	time int64
	by   *process
	how  string
	code uint32 // how it ends, by detect.CloseByExit
}

// signal is one that may end a process.
type signal struct {
	time   int64
	number int
	from   *process // nil: the kernel
}

const (
	// maxEvents bounds those of each kind.
	maxEvents = 1 << 14
	// maxOfConn bounds those of a connection.
	maxOfConn = 16
	// signalBefore is how long before a process ends by a signal that may have been sent.
	signalBefore = 10 * int64(time.Second)
	oomBefore    = 60 * int64(time.Second)
)

func newEvents() events {
	return events{
		closes: map[conn][]closing{}, drops: map[conn][]detect.HostDrop{}, resets: map[conn]detect.HostReset{},
		signals: map[int]signal{}, ooms: map[int]int64{},
	}
}

// event notes what the kernel said. It reports whether somebody listens who did not before, or does
// not any more.
func (b *book) event(e any) (changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	v := &b.events
	switch e := e.(type) {
	case *trace.Listen:
		b.task(&e.Task)
		return true
	case *trace.Close:
		c := closing{time: e.Time, by: b.task(&e.Task), how: detect.CloseByShutdown, code: e.Task.Code}
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
		v.closes[of] = bounded(append(v.closes[of], c))
		return e.Listener
	case *trace.Exit:
		x := exitOf(e.Task.Code)
		x.Time = e.Time
		if p := b.processes[e.Task.PID]; p != nil && p.is(&e.Task) {
			v.explain(p, &x)
			p.Exit = &x
		}
	case *trace.Signal:
		s := signal{time: e.Time, number: e.Number}
		if !e.Kernel && e.From.PID != e.To {
			s.from = b.task(&e.From)
		}
		v.signals[e.To] = s
	case *trace.OOM:
		v.ooms[e.PID] = e.Time
	case *trace.Drop:
		of := conn{e.From, e.To}
		v.drops[of] = bounded(append(v.drops[of], detect.HostDrop{Time: e.Time, Seq: e.Seq, Flags: tcpstate.Flags(e.Flags), Reason: e.Reason}))
	case *trace.Reset:
		of := conn{e.Remote, e.Local}
		if was, known := v.resets[of]; known && e.Time-was.Time < resetNear {
			break // what it sends behind its first RST is because of that
		}
		v.resets[of] = detect.HostReset{Time: e.Time, Reason: e.Reason}
	}
	return false
}

// bounded are the newest ones.
func bounded[T any](all []T) []T { return all[max(len(all)-maxOfConn, 0):] }

// forget gives up what is old; where there is more than fits, sooner.
func (v *events) forget(now int64) {
	trim(v.closes, now, func(cs []closing) int64 { return cs[len(cs)-1].time })
	trim(v.drops, now, func(ds []detect.HostDrop) int64 { return ds[len(ds)-1].Time })
	trim(v.resets, now, func(r detect.HostReset) int64 { return r.Time })
	trim(v.signals, now, func(s signal) int64 { return s.time })
	trim(v.ooms, now, func(t int64) int64 { return t })
}

func trim[K comparable, V any](m map[K]V, now int64, last func(V) int64) {
	for keep := keepFor; ; keep /= 2 {
		for k, v := range m {
			if now-last(v) > keep {
				delete(m, k)
			}
		}
		if len(m) <= maxEvents || keep < 10*int64(time.Second) {
			return
		}
	}
}

// is reports whether a process is a task's.
func (p *process) is(t *trace.Task) bool {
	return p.PID == t.PID && (p.start == t.Start || p.start == 0 || t.Start == 0)
}

// task is the process of a task; nil: of none.
func (b *book) task(t *trace.Task) *process {
	if t.PID == 0 {
		return nil
	}
	if p := b.processes[t.PID]; p != nil && p.is(t) {
		return p
	}
	if p, err := readProcess(b.root, t.PID); err == nil && p.is(t) && !b.foreign {
		p.Name = t.Name
		if len(b.processes) < maxProcesses {
			b.processes[t.PID] = &p
		}
		return &p
	}
	// It is gone already. What it came from is where it was, most likely, if it has its name.
	p := &process{Process: detect.Process{PID: t.PID, Name: t.Name}, parent: t.Parent, start: t.Start}
	if from := b.processes[t.Parent]; from != nil && from.Name == t.Name && !b.foreign {
		p.Command, p.Container, p.Pod, p.Unit, p.groups = from.Command, from.Container, from.Pod, from.Unit, from.groups
	}
	return p
}

// explain adds who is behind the end of a process.
func (v *events) explain(p *process, x *detect.Exit) {
	if x.Signal == 0 {
		return
	}
	if at, chosen := v.ooms[p.PID]; chosen && x.Signal == 9 && x.Time-at <= oomBefore {
		x.OOM, x.Limit = true, memoryLimit(p.groups)
		return
	}
	if s, sent := v.signals[p.PID]; sent && s.number == x.Signal && x.Time-s.time <= signalBefore && s.from != nil {
		killer := s.from.Process
		killer.Exit = nil
		x.Killer = &killer
	}
}

// closedBy is who closed a socket about a time, as the kernel said; nil: it did not.
func (b *book) closedBy(of conn, at, before, within int64) *detect.Process {
	var c *closing
	cs := b.events.closes[of]
	for i := range cs {
		if d := cs[i].time - at; d < -before || d > within || cs[i].by == nil {
			continue
		}
		if c != nil && c.by != cs[i].by {
			return nil // several connections, one soon behind the other
		}
		if c == nil {
			c = &cs[i]
		}
	}
	if c == nil {
		return nil
	}
	told := c.by.Process
	if told.Closed, told.Exit = c.how, nil; c.how == detect.CloseByExit {
		x := exitOf(c.code)
		if x.Time = c.time; c.by.Exit != nil {
			x = *c.by.Exit
		} else {
			b.events.explain(c.by, &x)
		}
		told.Exit = &x
	}
	return &told
}

// exitOf is how a process ended by the code that wait(2) gives.
func exitOf(code uint32) (e detect.Exit) {
	if e.Signal = int(code & 0x7f); e.Signal == 0 {
		e.Code = int(code >> 8 & 0xff)
	}
	return e
}
