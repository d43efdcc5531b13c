package detect

import (
	"connrace/detect/internal/idle"
	"connrace/tcpstate"
)

// Whether a target closed all of its connections or some of them, and whether it went on with the
// others, is told by two things that cost next to nothing: how many are open, and from when to when
// connections that were open before and after were served.

// begins counts a connection of a target that is established, or that was when the capture began.
func (d *Detector) begins(f *tcpstate.Flow, t *target, seen int64) {
	d.accepted.note(f, seen)
	if d.standing.add(f.Index()) {
		t.holds(max(seen, -seen), 1)
	}
}

// ends counts a connection no more that a side closes, or that is forgotten: there is no event then.
func (d *Detector) ends(f *tcpstate.Flow, e *tcpstate.Event) {
	if e != nil && e.Gap < 0 {
		d.closedUnseen(e)
	}
	if !d.standing.remove(f.Index()) {
		return
	}
	t := d.targetOf(f)
	x, byTarget := t.kept(), e != nil && e.Side != f.LB() && t.told != &silent
	if byTarget {
		x.old.close(e.Time, t.open)
	}
	t.holds(d.accepted.since(f), -1)
	if byTarget {
		x.closes.Fell(e.Time, x.old.open)
	}
}

// holds counts a connection that has been there since a time, or takes it away.
func (t *target) holds(since int64, n int32) {
	t.open += n
	if o := &t.kept().old; o.since != 0 && since <= o.since {
		o.open += n
	}
}

// old are the connections that were standing when a target began to close some. What is opened meanwhile does
// not count: a load balancer replaces at once what it needs, and a process that takes over accepts it.
type old struct {
	open   int32 // those that still are
	since  int64 // the first close behind a time without any; 0: there was none
	newest int64 // the newest close
}

// close says that the target closes one of those that are open.
func (o *old) close(at int64, open int32) {
	if at-o.newest > idle.Moment || at-o.since > idle.Moment+idle.Linger || at < o.since {
		o.since, o.open = at, open
	}
	o.newest = at
}

func (o *old) shift(by int64) {
	if o.since != 0 {
		o.since += by
		o.newest += by
	}
}

// served notes that a request was answered. It was sent for certain behind what closed long enough before it, on
// a connection that was no replacement of what was closed if that was long enough behind its begin. A
// target that is to stop says in its answers that it will close, or by GOAWAY, and has not gone on.
func (d *Detector) served(f *tcpstate.Flow, x *told, request int64) {
	if f.CloseAnnounced() || f.HTTP2() && d.tracker.Notes(f).Half[1-f.LB()].NotifyKind == tcpstate.GoAway {
		return
	}
	if since := d.accepted.since(f); since != 0 {
		x.served.Add(since+idle.Moment, request-idle.Moment)
	}
}
