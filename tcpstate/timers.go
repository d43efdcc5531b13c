package tcpstate

// timers wake flows at a capture time: a wheel of slots of 10 ms, one turn is 41 s;
// what is due later is looked at once a turn.
type timers struct {
	slots [wheelSlots][]timer
	tick  int64 // everything before it has been served
	work  []timer
	n     int // entries, those that count no more included
}

// timer is an entry: it counts iff the flow is still due in that tick.
type timer struct{ flow, tick uint32 }

const (
	wheelSlots = 4096
	wheelTick  = 10 * millisecond
)

// arm asks for a look at the flow at a time, if none comes sooner.
func (t *Tracker) arm(f *Flow, at int64) {
	tick := at / wheelTick
	if f.due != 0 && tick >= t.dueTick(f) {
		return
	}
	f.due = max(uint32(tick), 1)
	t.timers.add(f.index, tick)
	if t.timers.n > 4*t.nflows+maxIdleTimers {
		t.rearm()
	}
}

// dueTick is the tick of f.due, which holds its lower half: flows are due within days.
func (t *Tracker) dueTick(f *Flow) int64 {
	now := t.now / wheelTick
	return now + int64(int32(f.due-uint32(now)))
}

// maxIdleTimers is how many entries that count no more are worth no trouble.
const maxIdleTimers = 1 << 16

// rearm takes the entries out of the wheel that count no more. Many flows may be armed
// and forgotten within one turn.
func (t *Tracker) rearm() {
	t.timers.clear()
	t.Each(func(f *Flow) {
		if f.due != 0 {
			t.timers.add(f.index, t.dueTick(f))
		}
	})
}

// clear empties the wheel.
func (w *timers) clear() {
	for i := range w.slots {
		w.slots[i] = emptied(w.slots[i])
	}
	w.n = 0
}

// emptied is an empty slice; that of a large one is given back.
func emptied(s []timer) []timer {
	if cap(s) > 1<<12 {
		return nil
	}
	return s[:0]
}

// add enters a flow that is due in a tick: it is served when that is over.
func (w *timers) add(i uint32, tick int64) {
	k := min(max(tick, w.tick)+1, w.tick+wheelSlots-1)
	s := &w.slots[k&(wheelSlots-1)]
	*s = append(*s, timer{i, max(uint32(tick), 1)})
	w.n++
}

// due reports whether a slot may be served.
func (w *timers) due(now int64) bool { return now/wheelTick >= w.tick }

// wake looks at the flows whose time has come.
func (t *Tracker) wake() {
	w := &t.timers
	upto := t.now / wheelTick
	all := upto-w.tick > 1<<30 // so long that dueTick does not reach
	if w.tick == 0 || upto-w.tick > 2*wheelSlots {
		// The start, or a jump: one turn serves every slot.
		w.tick = max(w.tick, upto-wheelSlots)
	}
	for ; w.tick <= upto; w.tick++ {
		s := &w.slots[w.tick&(wheelSlots-1)]
		if len(*s) == 0 {
			continue
		}
		w.n -= len(*s)
		w.work = t.dueOf(*s, w.work[:0])
		*s = emptied(*s)
		for _, e := range w.work {
			f := t.flows.at(e.flow)
			if f.due != e.tick {
				continue
			}
			if tick := t.dueTick(f); tick >= upto && !all {
				w.add(e.flow, tick)
				continue
			}
			f.due = 0
			t.look(f)
		}
		w.work = emptied(w.work)
	}
}

// dueOf appends the entries that count to work. It touches all flows in one go, so that
// the cache misses overlap.
func (t *Tracker) dueOf(entries, work []timer) []timer {
	for _, e := range entries {
		if f := t.flows.at(e.flow); f.due == e.tick && f.flags&flowLive != 0 {
			work = append(work, e)
		}
	}
	return work
}

// look does what is due with a flow and arms it again if more is to come.
func (t *Tracker) look(f *Flow) {
	switch {
	case f.flags&flowDetached != 0:
		if quiet := f.LastTime + t.linger(f); f.flags&flowClosing != 0 && f.flags&flowSettled == 0 && t.now < min(quiet, f.CloseTime+lingerMax) {
			t.arm(f, t.closeDue(f, f.LastTime))
			return
		}
		t.retire(f)
		return
	case f.flags&flowClosing != 0:
		if f.flags&flowSettled == 0 {
			if at := t.closeDue(f, f.LastTime); t.now < at {
				t.arm(f, at)
				return
			}
			t.settle(f)
		}
		if t.final(f) {
			t.retire(f)
			return
		}
		// One side has closed and the other has not: look once more, much later.
		if f.flags&flowLastLook == 0 {
			if at := f.CloseTime + lastLook; t.now < at {
				t.arm(f, at)
				return
			}
			f.flags |= flowLastLook
			t.fire(Settled, f, 0, nil)
		}
	case f.flags&flowEstablished == 0:
		lb, target := f.Sides()
		m := &t.Marks(f).Half[f.lb]
		at := f.LastTime + 64*second
		if lb.SawSYN() && !target.SawSYN() && len(m.SYNs) > 0 {
			at = m.SYNs[len(m.SYNs)-1].Time + m.Patience()
			if len(m.SYNs) > 1 {
				at += 2 * m.Patience() // the capture may lack a copy: wait for the one after it too
			}
		}
		if t.now < at {
			t.arm(f, at)
			return
		}
		t.retire(f)
		return
	case f.flags&flowRevived != 0 && !f.Turn[0].Set() && !f.Turn[1].Set():
		if t.now-f.LastTime >= lingerMax {
			t.retire(f)
			return
		}
		t.arm(f, f.LastTime+lingerMax)
		return
	}
	lb, _ := f.Sides()
	if lb.Outstanding() && f.flags&flowStalled == 0 {
		if at := f.Turn[f.lb].Time + stallAfter; t.now < at {
			t.arm(f, at)
		} else {
			f.flags |= flowStalled
			t.fire(RequestStalled, f, int(f.lb), nil)
		}
	}
}

// settle lets the rules judge what has been seen.
func (t *Tracker) settle(f *Flow) {
	if f.flags&flowSettled != 0 {
		return
	}
	f.flags |= flowSettled
	t.fire(Settled, f, 0, nil)
}
