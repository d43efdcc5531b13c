package procs

import (
	"slices"
	"sync"
	"time"

	"connrace/capture"
	"connrace/cmd/connrace/internal/trace"
	"connrace/detect"
	"connrace/tcpstate"
)

// lister lists the TCP sockets of the network namespace that is watched (capture.Witness).
type lister interface {
	Sockets(states uint32, each func(*capture.Socket)) error
}

// conn is a connection of a listener's: the other end, and its own.
type conn struct{ remote, local tcpstate.Endpoint }

// book is what is known of sockets and processes. A process that is gone can no longer be asked
// after, so who has which socket is learnt beforehand, again and again, and kept for a while.
type book struct {
	mu        sync.Mutex
	root      string // of proc(5)
	list      lister
	processes map[int]*process // by number, those that are there as far as is known
	listeners map[tcpstate.Endpoint][]*held
	conns     map[conn]*held
	ports     map[uint16]int64 // on which somebody listened, and when last
	refreshed int64            // when listeners' processes were learnt anew
	asked     int64            // when connections were looked at because one was asked after
	cleaned   int64            // when what is old was forgotten
	looked    int64            // when it was looked last
	before    int64            // and the time before that
	searched  int64            // when all processes were
	search    time.Duration
	denied    bool // some process could not be looked into
	foreign   bool // the kernel's numbers of processes are not /proc's
	events    events
	tracer    *trace.Tracer // nil: the kernel's events are not seen
	listening chan struct{} // somebody has begun to listen, or has ended it
}

// held is a socket, and who has it.
type held struct {
	inode       uint32
	by          []*process // nil: not known; several inherited it
	tries       int        // how often it was searched for
	first, last int64      // when it was seen
}

const (
	// maxConns bounds the connections in mind, of some 200 bytes each.
	maxConns = 1 << 16
	// keepFor is how long a socket that is gone is kept in mind: longer than a finding waits.
	keepFor = 5 * int64(time.Minute)
	// maxHeld bounds the sockets that are known of one endpoint, one after the other or at once.
	maxHeld = 16
	// maxBy bounds the processes that are known of a socket.
	maxBy = 64
	// maxTries is how often a socket's process is searched for: it may be one that cannot be seen.
	maxTries = 3
	// maxProcesses bounds the processes in mind.
	maxProcesses = 1 << 14
)

const (
	refreshEvery = 10 * int64(time.Second)
	cleanEvery   = 10 * int64(time.Second)
	askEvery     = int64(time.Second)
)

const (
	stateListen = 10
	// connected are the states of a connection whose socket a process may have.
	connected = 1<<1 | 1<<4 | 1<<5 | 1<<8 // ESTABLISHED, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT
)

func newBook(root string, list lister) *book {
	return &book{
		root: root, list: list, processes: map[int]*process{}, listeners: map[tcpstate.Endpoint][]*held{}, conns: map[conn]*held{},
		ports: map[uint16]int64{}, events: newEvents(), listening: make(chan struct{}, 1),
	}
}

// look learns which sockets there are and who has them.
// With conns, connections are looked at, too: where the kernel says who closes them, that is wanted
// of those only that are asked after.
func (b *book) look(now int64, conns bool) (ports map[uint16]bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	wanted := map[uint32]*held{}
	want := func(h *held) {
		if h.last = now; h.by == nil && h.tries < maxTries {
			wanted[h.inode] = h
		}
	}
	ports = map[uint16]bool{}
	again := now-b.refreshed >= refreshEvery // workers that have begun since share it, too
	err = b.list.Sockets(1<<stateListen, func(s *capture.Socket) {
		ports[s.Local.Port] = true
		h := b.listener(s, now)
		if want(h); again {
			wanted[h.inode] = h
		}
	})
	if err != nil {
		return nil, err
	}
	if again {
		b.refreshed = now
	}
	if conns {
		err = b.list.Sockets(connected, b.connection(ports, want, now))
	}
	for port := range ports {
		b.ports[port] = now
	}
	for port, last := range b.ports { // what comes for a listener that is gone matters, too
		ports[port] = now-last <= keepFor
	}
	b.before, b.looked = b.looked, now
	b.find(wanted, now)
	if now-b.cleaned >= cleanEvery {
		b.cleaned = now
		b.forget(now)
		b.events.forget(now)
	}
	return ports, err
}

// connection notes connections of listeners on some ports.
func (b *book) connection(ports map[uint16]bool, want func(*held), now int64) func(*capture.Socket) {
	return func(s *capture.Socket) {
		if s.Inode == 0 || !ports[s.Local.Port] {
			return
		}
		c := conn{s.Remote, s.Local}
		h := b.conns[c]
		if h == nil || h.inode != s.Inode {
			if h == nil && len(b.conns) >= maxConns {
				return
			}
			h = &held{inode: s.Inode, first: now}
			b.conns[c] = h
		}
		want(h)
	}
}

// listener is what is known of a listening socket.
func (b *book) listener(s *capture.Socket, now int64) *held {
	hs := b.listeners[s.Local]
	for _, h := range hs {
		if h.inode == s.Inode {
			return h
		}
	}
	h := &held{inode: s.Inode, first: now}
	if b.looked == 0 {
		h.first = 0 // since when it listens is not known
	}
	if len(hs) >= maxHeld {
		hs = slices.Delete(hs, 0, 1)
	}
	b.listeners[s.Local] = append(hs, h)
	return h
}

// find searches for the processes that have some sockets: first those that have had others, then,
// seldom, all of them.
func (b *book) find(wanted map[uint32]*held, now int64) {
	if len(wanted) == 0 {
		return
	}
	found := map[uint32][]int{}
	in := func(pid int) {
		err := sockets(b.root, pid, func(inode uint32) {
			if wanted[inode] != nil && len(found[inode]) < maxBy && !slices.Contains(found[inode], pid) {
				found[inode] = append(found[inode], pid)
			}
		})
		b.denied = b.denied || err != nil && isDenied(err)
	}
	for pid, p := range b.processes {
		if p.Exit == nil {
			in(pid)
		}
	}
	const share = 50 // of the time at most goes into looking through all processes
	if (len(found) < len(wanted) || b.refreshed == now) && now-b.searched >= max(int64(time.Second), share*int64(b.search)) {
		began := time.Now()
		for _, pid := range pids(b.root) {
			if p := b.processes[pid]; p == nil || p.Exit != nil { // whose number is another's now
				in(pid)
			}
		}
		b.searched, b.search = now, time.Since(began)
		for inode, h := range wanted {
			if found[inode] == nil {
				h.tries++
			}
		}
	}
	known := map[int]*process{}
	for inode, pids := range found {
		var by []*process
		for _, pid := range pids {
			p, seen := known[pid]
			if !seen {
				p = b.process(pid)
				known[pid] = p
			}
			if p != nil {
				by = append(by, p)
			}
		}
		if by != nil {
			wanted[inode].by = by
		}
	}
}

// process is a process that is there now; nil: it is gone, or there are too many.
func (b *book) process(pid int) *process {
	p, err := readProcess(b.root, pid)
	if err != nil {
		return nil
	}
	if was := b.processes[pid]; was != nil && was.start == p.start && was.Exit == nil {
		*was = p // it may have become another program
		return was
	}
	if len(b.processes) >= maxProcesses {
		return nil
	}
	b.processes[pid] = &p
	return &p
}

// forget gives up what is long gone.
func (b *book) forget(now int64) {
	for c, h := range b.conns {
		if now-h.last > keepFor {
			delete(b.conns, c)
		}
	}
	for pid, p := range b.processes {
		if p.Exit != nil && now-p.Exit.Time > keepFor {
			delete(b.processes, pid)
		}
	}
	const most = 1 << 10
	for e, hs := range b.listeners {
		if newest := hs[len(hs)-1]; len(b.listeners) > most && now-newest.last > keepFor {
			delete(b.listeners, e)
		}
	}
}

// exited notes that a process has ended.
func (b *book) exited(pid int, e detect.Exit) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := b.processes[pid]; p != nil && p.Exit == nil {
		p.Exit = &e
	}
}

// missed notes that exits may have been missed: numbers may be those of others by now.
func (b *book) missed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for pid, p := range b.processes {
		if now, err := readProcess(b.root, pid); err != nil || now.start != p.start {
			delete(b.processes, pid)
		}
	}
}

// answer is what is known.
func (b *book) answer(q *detect.HostQuestion) (a detect.HostAnswer) {
	if b.tracer != nil && q.Close == 0 && !q.SYN && q.LB != (tcpstate.Endpoint{}) {
		if now := time.Now().UnixNano(); now-b.asked >= askEvery {
			b.asked = now
			b.look(now, true)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if q.SYN || q.LB == (tcpstate.Endpoint{}) {
		a.Process = b.listens(q.Target, q.Time)
	} else {
		a.Process = b.has(q)
	}
	if q.LB == (tcpstate.Endpoint{}) {
		return a
	}
	a.Drops = slices.Clone(b.events.drops[conn{q.LB, q.Target}])
	if r, ok := b.events.resets[conn{q.LB, q.Target}]; ok && r.Time-q.Time < resetNear && q.Time-r.Time < resetNear {
		a.Reset = r.Reason
	}
	return a
}

// resetNear is how far what the kernel says of an RST may lie from its packet.
const resetNear = int64(time.Second)

// listens is who listened on an endpoint at a time, or had until then.
func (b *book) listens(e tcpstate.Endpoint, at int64) *detect.Process {
	all := [][]*held{
		b.listeners[e], b.listeners[tcpstate.Endpoint{Addr: tcpstate.Addr4(make([]byte, 4)), Port: e.Port}], b.listeners[tcpstate.Endpoint{Port: e.Port}],
	}
	for i := range 2 * len(all) { // one that is there goes before any that is gone
		hs := all[i%len(all)]
		// Those that were there then, else those that were there last before.
		there := func(h *held) bool { return h.last >= at || h.last == b.looked }
		var then []*held
		for _, h := range hs {
			switch {
			case h.first > at:
			case len(then) == 0 || there(h) && !there(then[0]) || !there(then[0]) && h.last > then[0].last:
				then = append(then[:0], h)
			case there(h) || !there(then[0]) && h.last == then[0].last:
				then = append(then, h)
			}
		}
		if len(then) == 0 || there(then[0]) != (i < len(all)) {
			continue
		}
		var by []*process
		for _, h := range then {
			for _, p := range h.by {
				if !slices.Contains(by, p) {
					by = append(by, p)
				}
			}
		}
		gone := !there(then[0])
		if gone {
			for _, on := range []tcpstate.Endpoint{e, {Addr: tcpstate.Addr4(make([]byte, 4)), Port: e.Port}, {Port: e.Port}} {
				if told := b.closedBy(conn{local: on}, then[0].last, 0, at-then[0].last); told != nil {
					told.Until = then[0].last
					return told
				}
			}
		}
		p := root(by)
		if p == nil {
			return nil
		}
		told := p.Process
		if told.Exit = nil; gone {
			told.Exit = p.exitAbout(then[0].last, int64(2*time.Second)+b.looked-b.before)
			told.Until = then[0].last
		}
		return &told
	}
	return nil
}

// root is the process that stands for several which share a listener: the one that all others
// come from; nil: there is none.
func root(by []*process) (r *process) {
	for _, p := range by {
		if !slices.ContainsFunc(by, func(q *process) bool { return q.PID == p.parent }) {
			if r != nil {
				return nil
			}
			r = p
		}
	}
	return r
}

// How far the end of a process may lie from the close of a socket that it had to have to do with
// it: the kernel closes its sockets, and tells of its end behind that, or before.
const (
	exitBefore = int64(2 * time.Second) // its last thread may end later than the one that counts
	exitAfter  = int64(500 * time.Millisecond)
)

// exitAbout is how the process ended, if it did within a time behind a moment.
func (p *process) exitAbout(at, within int64) *detect.Exit {
	if e := p.Exit; e != nil && e.Time >= at-exitBefore && e.Time <= at+within {
		told := *e
		return &told
	}
	return nil
}

// closeNear is how far what the kernel says of a close may lie from its packet.
const closeNear = int64(time.Second)

// has is who had a connection.
func (b *book) has(q *detect.HostQuestion) *detect.Process {
	if q.Close != 0 {
		if p := b.closedBy(conn{q.LB, q.Target}, q.Close, closeNear, closeNear); p != nil {
			return p
		}
	}
	h := b.conns[conn{q.LB, q.Target}]
	at := q.Close
	if at == 0 {
		at = q.Time
	}
	// Seen only later, or not any more right before, it may have been another one: unless no close
	// of it has been seen.
	open := b.tracer != nil && q.Close == 0 && b.events.closes[conn{q.LB, q.Target}] == nil
	if h == nil || h.first > at && !open || at-h.last > int64(2*time.Second)+2*(b.looked-b.before) {
		return nil
	}
	by := h.by
	if len(by) > 1 { // it was inherited: only an end tells whose it was
		by = slices.DeleteFunc(slices.Clone(by), func(p *process) bool { return q.Close == 0 || p.exitAbout(at, exitAfter) == nil })
	}
	if len(by) != 1 {
		return nil
	}
	told := by[0].Process
	if told.Exit = nil; q.Close != 0 {
		told.Exit = by[0].exitAbout(at, exitAfter)
	}
	return &told
}
