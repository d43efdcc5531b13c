package procs

import (
	"slices"
	"time"

	"connrace/detect"
	"connrace/tcpstate"
)

// answer is what is known.
func (b *book) answer(q *detect.HostQuestion) (a detect.HostAnswer) {
	if b.tracer != nil && q.Close == 0 && !q.SYN && q.LB != (tcpstate.Endpoint{}) {
		b.lookSoon()
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
	for _, d := range b.events.drops.each(conn{q.LB, q.Target}) {
		a.Drops = append(a.Drops, d)
	}
	if why, at := b.events.resets.last(conn{q.LB, q.Target}); at != 0 && at-q.Time < resetNear && q.Time-at < resetNear {
		a.Reset = why
	}
	return a
}

// resetNear is how far what the kernel says of an RST may lie from its packet.
const resetNear = int64(time.Second)

// listens is who listened on an endpoint at a time, or had until then.
func (b *book) listens(e tcpstate.Endpoint, at int64) *detect.Process {
	all := []tcpstate.Endpoint{e, {Addr: tcpstate.Addr4(make([]byte, 4)), Port: e.Port}, {Port: e.Port}}
	for i := range 2 * len(all) { // one that is there goes before any that is gone
		on := all[i%len(all)]
		// Those that were there then, else those that were there last before.
		n := 0
		for _, h := range b.listeners[on] {
			if h.last == b.looked {
				n++
			}
		}
		closed := b.closedSince(on, n, at)
		there := func(h *held) bool { return h.last >= at || h.last == b.looked && !closed }
		var then []*held
		for _, h := range b.listeners[on] {
			switch {
			case h.first > at, h.only6 && e.Addr.Is4():
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
			if told := b.closedBy(conn{local: on}, then[0].last, 0, at-then[0].last); told != nil {
				told.Until = then[0].last
				return told
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
// come from; nil: there is none. systemd is not, where it listens for a service (systemd.socket(5)): the
// service is to accept.
func root(by []*process) (r *process) {
	if len(by) > 1 {
		by = slices.DeleteFunc(slices.Clone(by), func(p *process) bool { return p.PID == 1 && p.Name == "systemd" })
	}
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
// it: the kernel closes its sockets, and tells of its end right behind that, or before. What ends
// later had closed its socket itself, and ended for whatever reason.
const (
	exitBefore = int64(2 * time.Second) // its last thread may end later than the one that counts
	exitAfter  = int64(20 * time.Millisecond)
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
	_, closed := b.events.closes.last(conn{q.LB, q.Target})
	open := b.tracer != nil && q.Close == 0 && closed < at-closeNear
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
