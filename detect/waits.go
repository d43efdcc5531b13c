package detect

import (
	"connrace/tcpstate"
)

// wait is a stalled request: it was sent and for at least 200 ms not answered. Or it is a FIN that
// had to be sent again. It fills a cache line, for where answers are slow all requests are.
type wait struct {
	flow     uint32
	older    int32 // the next older one of the same connection that goes on; -1: none
	ref      tcpstate.SegRef
	answered int64 // 0: still waiting
	acked    int64 // when the target had acknowledged it; 0: never
	copies   int32 // further ones that were sent while it had not
	fresh    bool  // its connection had no answer before: it may not have been accepted
	fin      bool
	void     bool // taken back
}

// waitKind is what a wait speaks for.
type waitKind int

const (
	// forQueue: it waits for the application. On a connection that the target had accepted only
	// an acknowledged request does: the kernel acknowledges data whatever the queue does. One that
	// was never sent again was acknowledged, whatever the capture has.
	forQueue waitKind = iota
	// forPath: it was sent again and again on a connection that the target had accepted,
	// unacknowledged: the path or the host is dead.
	forPath
	// forOverflow: the first data of a connection that may not have been accepted was sent again
	// and again.
	forOverflow
	waitKinds
)

// span is from when until when a wait speaks for something; from is never where it does not.
type span struct{ from, to int64 }

// between is such a span. A clock that was put back may have it end before it begins: it is none then.
func between(from, to int64) span {
	if to < from {
		return span{never, never}
	}
	return span{from, to}
}

// spans are those of a wait.
func (w *wait) spans() [waitKinds]span {
	s := [...]span{{never, never}, {never, never}, {never, never}}
	if w.void {
		return s
	}
	from, to := w.ref.Time, w.answered
	if to == 0 {
		to = never
	}
	if w.fresh || w.copies == 0 {
		if !w.fin {
			s[forQueue] = between(from, to)
		}
		if w.copies == 0 {
			return s
		}
		if w.acked != 0 {
			to = w.acked
		}
		if to > from {
			s[forOverflow] = span{from, to}
		}
		return s
	}
	if until := w.acked - 1; w.acked == 0 {
		s[forPath] = span{from, to}
	} else {
		s[forPath] = between(from, min(until, to))
	}
	if w.acked != 0 && !w.fin {
		s[forQueue] = between(max(from, w.acked), to)
	}
	return s
}

// openWaits are, by Flow.Index, the places of the newest waits that go on, more one; a connection
// waits at one target.
type openWaits []int32

// newest is the place of a connection's newest wait that goes on; -1: there is none.
func (o openWaits) newest(flow uint32) int32 {
	if int(flow) < len(o) {
		return o[flow] - 1
	}
	return -1
}

func (o *openWaits) set(flow uint32, i int32) {
	if n := int(flow) + 1 - len(*o); n > 0 {
		*o = append(*o, make([]int32, n)...)
	}
	(*o)[flow] = i + 1
}

// end takes a connection out.
func (o openWaits) end(flow uint32) {
	if int(flow) < len(o) {
		o[flow] = 0
	}
}

// waits are those at a target, open ones and those of the last minutes, in the order in which they
// stalled.
type waits struct {
	all   []wait
	most  int       // how many are kept
	index waitIndex // of them
}

// waitKeep is how long past waits are kept: a SYN's last retry comes up to two minutes
// after its first copy (tcp_syn_retries 6: 127 s).
const waitKeep = 140 * second

// begin notes that a connection waits, from when a segment was sent; what else is known of it is written there.
func (x *waits) begin(open *openWaits, flow uint32, since tcpstate.SegRef) *wait {
	if len(x.all) >= x.most {
		x.forget(*open, since.Time)
	}
	i := len(x.all)
	x.all = append(x.all, wait{})
	w := &x.all[i]
	w.flow, w.older, w.ref = flow, open.newest(flow), since
	open.set(flow, int32(i))
	return w
}

// forget makes room: of a quarter at least, so that it does not come with each wait.
func (x *waits) forget(open openWaits, now int64) {
	n := 0
	for i := range x.all {
		w := &x.all[i]
		if w.void || w.answered != 0 && now-w.answered >= waitKeep {
			continue
		}
		if w.answered == 0 {
			open.end(w.flow)
		}
		if n != i {
			x.all[n] = *w
		}
		n++
	}
	kept := x.all[:n]
	if len(kept) > x.most*3/4 {
		kept = append(kept[:0], kept[len(kept)/2:]...)
	}
	for i := range kept {
		if w := &kept[i]; w.answered == 0 {
			w.older = open.newest(w.flow)
			open.set(w.flow, int32(i))
		}
	}
	x.all, x.index = kept, waitIndex{}
}

// change changes a connection's waits that go on.
func (x *waits) change(open openWaits, flow uint32, do func(*wait)) {
	for i := open.newest(flow); i >= 0; i = x.all[i].older {
		w := &x.all[i]
		if int(i) >= x.index.n {
			do(w)
			continue
		}
		before := *w
		do(w)
		x.index.change(i, &before, w)
	}
}

// end notes that what a connection waited for waits no more.
func (x *waits) end(open openWaits, t *tcpstate.Tracker, f *tcpstate.Flow, now int64) {
	if open.newest(f.Index()) >= 0 {
		x.endAll(open, t, f, now) // apart, for mostly none waits
	}
}

func (x *waits) endAll(open openWaits, t *tcpstate.Tracker, f *tcpstate.Flow, now int64) {
	x.change(open, f.Index(), func(w *wait) {
		w.learn(t, f)
		w.answered = now
	})
	open.end(f.Index())
}

// takeBack forgets a connection's waits that go on: they were no requests to this target.
func (x *waits) takeBack(open openWaits, flow uint32) {
	x.change(open, flow, func(w *wait) { w.void = true })
	open.end(flow)
}

// learn notes whether the request has been acknowledged by now, and when.
func (w *wait) learn(t *tcpstate.Tracker, f *tcpstate.Flow) {
	_, target := f.Sides()
	acked := w.acked == 0 && target.HadReceived(w.ref.Seq)
	switch {
	case w.fin:
		if acked {
			w.acked = f.LastTime // at the latest
		}
		return
	case acked:
		w.acked = w.ref.Time
	}
	if f.Noted() { // mostly not: nothing was sent again
		m := &t.Notes(f).Half[f.LB()]
		w.copies = max(w.copies, int32(m.NCopies))
		if acked && m.TurnAcked.Set() {
			w.acked = m.TurnAcked.Time
		}
	}
}

// shift moves the times.
func (x *waits) shift(by int64) {
	for i := range x.all {
		w := &x.all[i]
		w.ref.Time += by
		if w.answered != 0 {
			w.answered += by
		}
		if w.acked != 0 {
			w.acked += by
		}
	}
	x.index = waitIndex{}
}

// onFINRepeated notes that a FIN was lost, or that the target does not even acknowledge it.
func (d *Detector) onFINRepeated(e *tcpstate.Event) {
	f := e.Flow
	if !f.Established() || f.BeginCaptured() && !d.tracker.NewestFromTarget(f).Set() {
		return // it may not have been accepted
	}
	x := d.targetOf(f).tell()
	if x.losses.Add(e.Time, 0); e.Side != f.LB() {
		return
	}
	known := false
	x.waits.change(d.stalled, f.Index(), func(w *wait) {
		if w.fin {
			w.copies++
			known = true
		}
	})
	if known {
		return
	}
	w := x.waits.begin(&d.stalled, f.Index(), d.tracker.Notes(f).Half[f.LB()].FIN)
	w.copies, w.fin = 1, true
}

// onStallChanged notes what has become of a request that waits.
func (d *Detector) onStallChanged(e *tcpstate.Event) {
	d.targetOf(e.Flow).kept().waits.change(d.stalled, e.Flow.Index(), func(w *wait) { w.learn(d.tracker, e.Flow) })
}
