package tcpstate

// timers wake flows at a capture time: a wheel of slots of 10 ms, one turn is 41 s;
// what is due later is looked at once a turn.
type timers struct {
	slots  [wheelSlots]chain
	blocks arena[timerBlock]
	tick   int64 // everything before it has been served
	next   int64 // when it begins, ns
	work   []timer
	n      int // entries, those that count no more included
}

// timer is an entry: it counts iff the flow is still due in that tick.
type timer struct{ flow, tick uint32 }

// chain are the blocks of a slot, by place, counted from 1; first is 0: it is empty.
type chain struct{ first, last uint32 }

// timerBlock is two cache lines of entries.
type timerBlock struct {
	entries [15]timer
	n       uint32
	next    uint32
}

const (
	wheelSlots = 4096
	wheelTick  = 10 * millisecond
)

// arm asks for a look at the flow at a time, if none comes sooner.
func (t *Tracker) arm(f *Flow, at int64) {
	tick := at / wheelTick
	if f.due != 0 && int32(uint32(tick)-f.due) >= 0 { // serial numbers: it is due within days
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
	w.slots, w.blocks, w.n = [wheelSlots]chain{}, arena[timerBlock]{}, 0
}

// add enters a flow that is due in a tick: it is served when that is over.
func (w *timers) add(i uint32, tick int64) {
	k := min(max(tick, w.tick)+1, w.tick+wheelSlots-1)
	c := &w.slots[k&(wheelSlots-1)]
	if c.first == 0 || w.blocks.at(c.last-1).n == uint32(len(timerBlock{}.entries)) {
		p := w.blocks.take()
		b := w.blocks.at(p)
		b.n, b.next = 0, 0
		if c.first == 0 {
			c.first = p + 1
		} else {
			w.blocks.at(c.last - 1).next = p + 1
		}
		c.last = p + 1
	}
	b := w.blocks.at(c.last - 1)
	b.entries[b.n] = timer{i, max(uint32(tick), 1)}
	b.n++
	w.n++
}

// due reports whether a slot may be served.
func (w *timers) due(now int64) bool { return now >= w.next }

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
		c := &w.slots[w.tick&(wheelSlots-1)]
		if c.first == 0 {
			continue
		}
		w.work = w.work[:0]
		for p := c.first; p != 0; {
			b := w.blocks.at(p - 1)
			t.dueOf(b.entries[:b.n])
			w.n -= int(b.n)
			w.blocks.give(p - 1)
			p = b.next
		}
		*c = chain{}
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
	}
	w.next = w.tick * wheelTick
}

// dueOf adds the entries that count to the work. It touches their flows in one go, so
// that the cache misses overlap.
func (t *Tracker) dueOf(entries []timer) {
	for _, e := range entries {
		if f := t.flows.at(e.flow); f.due == e.tick && f.flags&flowLive != 0 {
			t.timers.work = append(t.timers.work, e)
		}
	}
}

// look does what is due with a flow and arms it again if more is to come.
func (t *Tracker) look(f *Flow) {
	switch {
	case f.flags&flowDetached != 0:
		if quiet := f.LastTime + t.linger(f); f.flags&flowClosing != 0 && f.flags&flowSettled == 0 && t.now < min(quiet, t.Notes(f).CloseTime+lingerMax) {
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
			if at := t.Notes(f).CloseTime + lastLook; t.now < at {
				t.arm(f, at)
				return
			}
			f.flags |= flowLastLook
			t.fire(Settled, f, 0, nil)
		}
	case f.flags&flowEstablished == 0:
		lb, target := f.Sides()
		m := &t.Notes(f).Half[f.LB()]
		at := f.LastTime + 64*second
		if lb.SentSYN() && !target.SentSYN() && len(m.SYNs) > 0 {
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
	case f.flags&flowRevived != 0 && f.sent[0].turnFrame|f.sent[1].turnFrame == 0:
		if t.now-f.LastTime >= lingerMax {
			t.retire(f)
			return
		}
		t.arm(f, f.LastTime+lingerMax)
		return
	}
	lb, _ := f.Sides()
	if lb.Outstanding() && f.flags&flowStalled == 0 {
		if at := f.sent[f.LB()].turnTime + stallAfter; t.now < at {
			t.arm(f, at)
		} else {
			f.flags |= flowStalled
			t.fire(RequestStalled, f, f.LB(), nil)
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
