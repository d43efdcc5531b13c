package tcpstate

// wheel holds the flows that are due at a capture time, in slots of 10 ms. One turn is 41 s;
// what is due later is looked at once a turn (Varghese and Lauck, scheme 6).
type wheel struct {
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

// restart empties the wheel and lets it begin at any time.
func (w *wheel) restart() {
	w.clear()
	w.tick, w.next = 0, 0
}

// clear empties the wheel.
func (w *wheel) clear() {
	w.slots, w.blocks, w.n = [wheelSlots]chain{}, arena[timerBlock]{}, 0
}

// arm lets onTimer look at the flow at a time, if it does not sooner.
func (t *Tracker) arm(f *Flow, at int64) {
	tick := at / wheelTick
	if f.due != 0 && int32(uint32(tick)-f.due) >= 0 { // serial numbers: it is due within days
		return
	}
	f.due = max(uint32(tick), 1)
	t.wheel.add(f.index, tick)
	if t.wheel.n > 4*t.nflows+maxIdleTimers {
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

// rearm removes the entries that count no more. Many flows may be armed
// and forgotten within one turn.
func (t *Tracker) rearm() {
	t.wheel.clear()
	t.Each(func(f *Flow) {
		if f.due != 0 {
			t.wheel.add(f.index, t.dueTick(f))
		}
	})
}

// add enters a flow that is due in a tick: it is served when that is over.
func (w *wheel) add(i uint32, tick int64) {
	k := min(max(tick, w.tick)+1, w.tick+wheelSlots-1)
	c := &w.slots[k&(wheelSlots-1)]
	if c.first == 0 || w.blocks.at(c.last-1).n == uint32(len(timerBlock{}.entries)) {
		p := w.blocks.alloc()
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
func (w *wheel) due(now int64) bool { return now >= w.next }

// serveDue calls onTimer for the flows whose time has come.
func (t *Tracker) serveDue() {
	w := &t.wheel
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
			t.collectDue(b.entries[:b.n])
			w.n -= int(b.n)
			w.blocks.release(p - 1)
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
			t.onTimer(f)
		}
	}
	w.next = w.tick * wheelTick
}

// collectDue adds the entries that count to the work. It touches their flows in one go, so
// that the cache misses overlap.
func (t *Tracker) collectDue(entries []timer) {
	for _, e := range entries {
		f := t.flows.at(e.flow)
		t.prepared.sum += f.touch()
		if f.due == e.tick && f.flags&flowLive != 0 {
			t.wheel.work = append(t.wheel.work, e)
		}
	}
}
