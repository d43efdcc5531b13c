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

// mostKept is how many octets a book may keep in memory, with all that it bounds full.
const mostKept = 40 << 20

// book is what is known of sockets and processes. A process that is gone can no longer be asked
// after, so who has which socket is learnt beforehand, again and again, and kept for a while.
type book struct {
	root   string        // of proc(5)
	tracer *trace.Tracer // nil: the kernel's events are not seen
	// listening: somebody has begun to listen, or has ended it.
	listening chan struct{}
	foreign   bool // the kernel's numbers of processes are not /proc's

	taking  sync.Mutex  // held by who takes the kernel's events
	due     *time.Timer // until they are taken without anybody asking
	looking sync.Mutex  // held by who looks; it may take long
	searcher

	mu        sync.Mutex       // of what follows; never held while /proc is searched
	processes map[int]*process // by number, those that are there as far as is known
	listeners map[tcpstate.Endpoint][]*held
	conns     map[conn]*held
	ports     map[uint16]int64 // on which somebody listened, and when last
	looked    int64            // when it was looked last
	before    int64            // and the time before that
	ends      map[int]ending   // of processes that are not known, while it is looked; nil: it is not
	events    events
	lost      uint64 // what was not kept of what the kernel said
}

// searcher is what only who looks needs.
type searcher struct {
	list      lister
	refreshed int64 // when listeners' processes were learnt anew
	asked     int64 // when connections were looked at because one was asked after
	cleaned   int64 // when what is old was forgotten
	searched  int64 // when all processes were
	search    time.Duration
	denied    bool // some process could not be looked into
}

// held is a socket, and who has it.
type held struct {
	inode       uint32
	only6       bool       // it listens for IPv6 alone
	tries       uint8      // how often it was searched for
	by          []*process // nil: not known; several inherited it
	first, last int64      // when it was seen
}

// ending is how a process ended, and when it had begun (0: not known).
type ending struct {
	detect.Exit
	start uint64
}

const (
	// maxConns bounds the connections in mind, of some 150 bytes each.
	maxConns = 1 << 16
	// keepFor is how long a listener that is gone is kept in mind: connections may be refused for minutes.
	keepFor = 5 * int64(time.Minute)
	// keepConns is that of connections and processes: longer than a finding waits.
	keepConns = int64(time.Minute)
	// maxHeld bounds the sockets that are known of one endpoint, one after the other or at once.
	maxHeld = 16
	// maxBy bounds the processes that are known of a socket.
	maxBy = 64
	// maxTries is how often a socket's process is searched for: it may be one that cannot be seen.
	maxTries = 3
	// maxProcesses bounds the processes in mind. One more is named only where the kernel says that it closed
	// a connection.
	maxProcesses = 1 << 14
)

const (
	refreshEvery = 10 * int64(time.Second)
	cleanEvery   = 10 * int64(time.Second)
	askEvery     = int64(time.Second)
	// askPatience is how long an answer waits until connections have been looked at.
	askPatience = 500 * time.Millisecond
)

const (
	stateListen = 10
	// connected are the states of a connection whose socket a process may have.
	connected = 1<<1 | 1<<4 | 1<<5 | 1<<8 // ESTABLISHED, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT
)

func newBook(root string, list lister) *book {
	return &book{
		root: root, searcher: searcher{list: list}, processes: map[int]*process{}, listeners: map[tcpstate.Endpoint][]*held{}, conns: map[conn]*held{},
		ports: map[uint16]int64{}, listening: make(chan struct{}, 1), events: newEvents(),
	}
}

// look learns which sockets there are and who has them.
// With conns, connections are looked at, too: where the kernel says who closes them, that is wanted
// of those only that are asked after.
func (b *book) look(now int64, conns bool) (ports map[uint16]bool, err error) {
	b.looking.Lock()
	defer b.looking.Unlock()
	return b.lookAlone(now, conns)
}

// lookSoon looks at connections because one is asked after, unless somebody looks already.
func (b *book) lookSoon() {
	if !b.looking.TryLock() {
		return
	}
	now := time.Now().UnixNano()
	if now-b.asked < askEvery {
		b.looking.Unlock()
		return
	}
	b.asked = now
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer b.looking.Unlock()
		b.lookAlone(now, true)
	}()
	select {
	case <-done:
	case <-time.After(askPatience):
	}
}

// lookAlone looks; b.looking is held.
func (b *book) lookAlone(now int64, conns bool) (ports map[uint16]bool, err error) {
	ports = map[uint16]bool{}
	var listening, open []capture.Socket
	err = b.list.Sockets(1<<stateListen, func(s *capture.Socket) {
		ports[s.Local.Port] = true
		listening = append(listening, *s)
	})
	if err != nil {
		return nil, err
	}
	if conns {
		err = b.list.Sockets(connected, func(s *capture.Socket) {
			if s.Inode != 0 && ports[s.Local.Port] && len(open) < maxConns {
				open = append(open, *s)
			}
		})
	}
	again := now-b.refreshed >= refreshEvery // workers that have begun since share it, too
	if again {
		b.refreshed = now
	}
	wanted := b.note(listening, open, again, ports, now)
	b.find(wanted, again, now)
	if now-b.cleaned >= cleanEvery {
		b.cleaned = now
		b.check(now)
		b.forget(now)
	}
	return ports, err
}

// note notes the sockets that there are, and returns those whose processes are wanted. To the ports
// come those on which somebody listened.
func (b *book) note(listening, open []capture.Socket, again bool, ports map[uint16]bool, now int64) map[uint32]*held {
	b.mu.Lock()
	defer b.mu.Unlock()
	wanted := map[uint32]*held{}
	want := func(h *held) {
		if h.last = now; h.by == nil && h.tries < maxTries {
			wanted[h.inode] = h
		}
	}
	for i := range listening {
		h := b.listener(&listening[i], now)
		if want(h); again {
			wanted[h.inode] = h
		}
	}
	for i := range open {
		s := &open[i]
		c := conn{s.Remote, s.Local}
		h := b.conns[c]
		if h == nil || h.inode != s.Inode {
			if h == nil && len(b.conns) >= maxConns {
				continue
			}
			h = &held{inode: s.Inode, first: now}
			b.conns[c] = h
		}
		want(h)
	}
	for port := range ports {
		b.ports[port] = now
	}
	for port, last := range b.ports { // what comes for a listener that is gone matters, too
		if ports[port] = now-last <= keepFor; !ports[port] {
			delete(b.ports, port)
		}
	}
	b.before, b.looked = b.looked, now
	b.ends = map[int]ending{}
	return wanted
}

// listener is what is known of a listening socket.
func (b *book) listener(s *capture.Socket, now int64) *held {
	hs := b.listeners[s.Local]
	for _, h := range hs {
		if h.inode == s.Inode {
			return h
		}
	}
	h := &held{inode: s.Inode, only6: s.V6Only, first: now}
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
// seldom, all of them. It holds b.mu only where it begins and ends: events and answers do not wait
// for /proc.
func (b *book) find(wanted map[uint32]*held, again bool, now int64) {
	found := map[uint32][]int{}
	in := func(pid int) {
		err := sockets(b.root, pid, func(inode uint32) {
			if wanted[inode] != nil && len(found[inode]) < maxBy && !slices.Contains(found[inode], pid) {
				found[inode] = append(found[inode], pid)
			}
		})
		b.denied = b.denied || err != nil && isDenied(err)
	}
	all := false
	if len(wanted) > 0 {
		known := b.alive()
		for pid := range known {
			in(pid)
		}
		const share = 50 // of the time at most goes into looking through all processes
		if (len(found) < len(wanted) || again) && now-b.searched >= max(int64(time.Second), share*int64(b.search)) {
			all = true
			began := time.Now()
			for _, pid := range pids(b.root) {
				if _, done := known[pid]; !done {
					in(pid)
				}
			}
			b.searched, b.search = now, time.Since(began)
		}
	}
	read := map[int]process{}
	for _, pids := range found {
		for _, pid := range pids {
			if _, done := read[pid]; !done {
				if p, err := readProcess(b.root, pid); err == nil {
					read[pid] = p
				}
			}
		}
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	kept := map[int]*process{}
	for pid, p := range read {
		kept[pid] = b.keep(p)
	}
	b.ends = nil
	for inode, h := range wanted {
		if found[inode] == nil && all {
			h.tries++
		}
		var by []*process
		for _, pid := range found[inode] {
			if p := kept[pid]; p != nil {
				by = append(by, p)
			}
		}
		if by != nil {
			h.by = by
		}
	}
}

// alive are the processes in mind that are there as far as is known, and when they began.
func (b *book) alive() map[int]uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := map[int]uint64{}
	for pid, p := range b.processes {
		if p.isAlive() {
			all[pid] = p.start
		}
	}
	return all
}

// keep notes what was read of a process; nil: there are too many.
func (b *book) keep(p process) *process {
	if was := b.processes[p.PID]; was != nil && was.start == p.start {
		if was.isAlive() {
			if p.Command == "" { // it is ending
				p.Command = was.Command
			}
			*was = p // it may have become another program
		}
		return was
	}
	if e, ended := b.ends[p.PID]; ended && (e.start == 0 || e.start == p.start) {
		b.events.explain(&p, &e.Exit)
		p.Exit = &e.Exit
	}
	if len(b.processes) >= maxProcesses {
		return nil
	}
	b.processes[p.PID] = &p
	return &p
}

// check looks which of the processes in mind are gone without that having been told.
func (b *book) check(now int64) {
	var gone []process
	for pid, start := range b.alive() {
		if s, err := began(b.root, pid); err != nil || s != start {
			gone = append(gone, process{Process: detect.Process{PID: pid}, start: start})
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range gone {
		if p := b.processes[gone[i].PID]; p != nil && p.start == gone[i].start && p.isAlive() {
			p.gone = now
		}
	}
}

// forget gives up what is long gone.
func (b *book) forget(now int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c, h := range b.conns {
		if now-h.last > keepConns {
			delete(b.conns, c)
		}
	}
	for pid, p := range b.processes { // who had a listener that is gone is kept with that
		if p.Exit != nil && now-p.Exit.Time > keepConns || p.gone != 0 && now-p.gone > keepConns {
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

// exited notes that a process has ended; start as in ending.
func (b *book) exited(pid int, start uint64, e detect.Exit) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.end(pid, start, e)
}

func (b *book) end(pid int, start uint64, e detect.Exit) {
	switch p := b.processes[pid]; {
	case p != nil && p.Exit == nil && (p.start == start && start != 0 || p.gone == 0 && (p.start == 0 || start == 0)):
		b.events.explain(p, &e)
		p.Exit = &e
	case b.ends != nil && len(b.ends) < maxProcesses: // it may be one that is being found
		b.ends[pid] = ending{e, start}
	}
}

// missed notes that exits have been missed: numbers may be those of others by now.
func (b *book) missed() {
	b.mu.Lock()
	b.lost++
	b.mu.Unlock()
	b.check(time.Now().UnixNano())
}
