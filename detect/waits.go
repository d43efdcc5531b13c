package detect

import (
	"slices"

	"connrace/tcpstate"
)

// wait is a stalled request: it was sent and for at least 200 ms not answered. Or it is a FIN that
// had to be sent again.
type wait struct {
	flow     uint32
	ref      tcpstate.SegRef
	answered int64 // 0: still waiting
	acked    int64 // when the target had acknowledged it; 0: never
	copies   int   // further ones that were sent while it had not
	fresh    bool  // its connection had no answer before: it may not have been accepted
	fin      bool
}

func (w *wait) covers(at int64) bool {
	return w.ref.Time <= at && (w.answered == 0 || at <= w.answered)
}

// speaksForQueue reports whether at a time it waited for the application. On a connection that
// the target had accepted only an acknowledged request does: the kernel acknowledges data
// whatever the queue does. One that was never sent again was acknowledged, whatever the capture
// has.
func (w *wait) speaksForQueue(at int64) bool {
	return !w.fin && w.covers(at) && (w.fresh || w.copies == 0 || w.acked != 0 && w.acked <= at)
}

// speaksForPath reports whether at a time it was sent again and again on a connection that the
// target had accepted, unacknowledged: then the path or the host is dead.
func (w *wait) speaksForPath(at int64) bool {
	return w.covers(at) && !w.fresh && w.copies > 0 && (w.acked == 0 || w.acked > at)
}

// waitKeep is how long past waits are kept: a SYN's last retry comes up to two minutes
// after its first copy (tcp_syn_retries 6: 127 s).
const waitKeep = 140 * second

// stall notes a request that stalls.
func (x *told) stall(w wait) {
	if len(x.waits) >= x.maxWaits {
		keep := x.waits[:0]
		for _, o := range x.waits {
			if o.answered == 0 || w.ref.Time-o.answered < waitKeep {
				keep = append(keep, o)
			}
		}
		if len(keep) == len(x.waits) {
			keep = append(keep[:0], keep[len(keep)/2:]...)
		}
		x.waits = keep
	}
	x.waits = append(x.waits, w)
}

// onFINRepeated notes that a FIN was lost, or that the target does not even acknowledge it.
func (d *Detector) onFINRepeated(e *tcpstate.Event) {
	f := e.Flow
	if !f.Established() || f.BeginCaptured() && !d.tracker.NewestFromTarget(f).Set() {
		return // it may not have been accepted
	}
	if d.targetOf(f).tell().losses.Add(e.Time); e.Side != f.LB() {
		return
	}
	d.targetOf(f).tell().stallFIN(f.Index(), d.tracker.Notes(f).Half[f.LB()].FIN)
}

// stallFIN notes that a FIN was sent again.
func (x *told) stallFIN(flow uint32, fin tcpstate.SegRef) {
	for i := len(x.waits) - 1; i >= 0; i-- {
		if w := &x.waits[i]; w.fin && w.flow == flow && w.answered == 0 {
			w.copies++
			return
		}
	}
	x.stall(wait{flow: flow, ref: fin, copies: 1, fin: true})
}

// unstall notes that what a connection waited for waits no more.
func (x *told) unstall(t *tcpstate.Tracker, f *tcpstate.Flow, now int64) {
	for i := len(x.waits) - 1; i >= 0; i-- {
		if w := &x.waits[i]; w.flow == f.Index() && w.answered == 0 {
			w.learn(t, f)
			w.answered = now
		}
	}
}

// dropWait forgets a wait that goes on: it was no request to this target.
func (x *told) dropWait(flow uint32) {
	if len(x.waits) > 0 {
		x.waits = slices.DeleteFunc(x.waits, func(w wait) bool { return w.flow == flow && w.answered == 0 })
	}
}

// waitingAt is how many requests were stalled at a time, and the newest of them.
func (x *told) waitingAt(at int64) (n int, newest tcpstate.SegRef) {
	for i := range x.waits {
		if w := &x.waits[i]; w.speaksForQueue(at) {
			n++
			if w.ref.Time > newest.Time {
				newest = w.ref
			}
		}
	}
	return n, newest
}

// learn notes whether the request has been acknowledged by now, and when.
func (w *wait) learn(t *tcpstate.Tracker, f *tcpstate.Flow) {
	m := &t.Notes(f).Half[f.LB()]
	if w.fin {
		if _, target := f.Sides(); w.acked == 0 && target.HadReceived(w.ref.Seq) {
			w.acked = f.LastTime // at the latest
		}
		return
	}
	w.copies = max(w.copies, m.NCopies)
	if _, target := f.Sides(); w.acked == 0 && target.HadReceived(w.ref.Seq) {
		if w.acked = w.ref.Time; m.TurnAcked.Set() {
			w.acked = m.TurnAcked.Time
		}
	}
}

// refresh brings the requests that still wait up to date.
func (x *told) refresh(t *tcpstate.Tracker) {
	for i := range x.waits {
		w := &x.waits[i]
		if w.answered != 0 {
			continue
		}
		if f := t.Flow(w.flow); f != nil {
			w.learn(t, f)
		}
	}
}

// deadAt is how many accepted connections had requests at a time that the target did not
// acknowledge, and the newest of these.
func (x *told) deadAt(at int64) (n int, newest tcpstate.SegRef) {
	for i := range x.waits {
		if w := &x.waits[i]; w.speaksForPath(at) {
			n++
			if w.ref.Time > newest.Time {
				newest = w.ref
			}
		}
	}
	return n, newest
}

// othersWait reports whether, of another connection that may not have been accepted, the first
// data was sent again and again at some time between two.
func (x *told) othersWait(flow uint32, from, to int64) bool {
	return slices.ContainsFunc(x.waits, func(w wait) bool {
		end := w.acked
		if end == 0 {
			end = w.answered
		}
		return w.flow != flow && w.fresh && w.copies > 0 && w.ref.Time <= to && (end == 0 || end >= from) && (end == 0 || end > w.ref.Time)
	})
}

// largestAcked is the size of the largest segment of a stalled request that was acknowledged
// between two times; 0: none was.
func (x *told) largestAcked(from, to int64) (size uint32) {
	for i := range x.waits {
		if w := &x.waits[i]; w.acked != 0 && w.acked >= from && w.acked <= to {
			size = max(size, w.ref.Len)
		}
	}
	return size
}

// reached are the sizes of the largest segments that are known to have arrived, for each of the
// last seconds.
type reached [32]struct{ second, size uint32 }

// add notes that a segment arrived.
func (r *reached) add(at int64, size uint32) {
	s := uint32(at / second)
	b := &r[s%uint32(len(r))]
	if b.second != s {
		b.second, b.size = s, 0
	}
	b.size = max(b.size, size)
}

// largest is the size of the largest between two times; 0: none is known.
func (r *reached) largest(from, to int64) (size uint32) {
	a, b := uint32(from/second), uint32(to/second)
	for i := range r {
		if s := &r[i]; s.second-a <= b-a {
			size = max(size, s.size)
		}
	}
	return size
}
