package tcpstate

// Advance says that the capture has come to a time without a segment: who watches an
// interface does not wait for the next one. Times that have passed are ignored.
func (t *Tracker) Advance(now int64) {
	if now <= t.now {
		return
	}
	t.now = now
	if t.timers.due(now) {
		t.wake()
	}
	t.sweep()
}

// Newest is the newest segment's frame, and the number of the stream that it belongs to.
func (t *Tracker) Newest() (frame uint64, stream uint32) {
	return t.lastFrame - t.base, t.stream
}

// Shift says that the clock which segments are stamped with was set, forwards or back:
// all that is remembered moves by that much, as if it had always gone right.
func (t *Tracker) Shift(by int64) {
	shift(&t.clock.doubted, by)
	t.timers.restart()
	t.Each(func(f *Flow) {
		f.LastTime += by
		for i := range f.Half {
			shift(&f.sent[i].turnTime, by)
			shift(&f.sent[i].lastTime, by)
		}
		if f.notes != 0 {
			m := t.noteArena[f.notes]
			shift(&m.CloseTime, by)
			m.Half[0].shift(by)
			m.Half[1].shift(by)
		}
		if f.due != 0 {
			tick := t.dueTick(f) + by/wheelTick
			f.due = max(uint32(tick), 1)
			t.timers.add(f.index, tick)
		}
	})
	t.now += by
}

// shift moves a time that is 0 where there is none.
func shift(at *int64, by int64) {
	if *at != 0 {
		*at += by
	}
}

func (m *SegRef) shift(by int64) {
	if m.Set() {
		m.Time += by
	}
}

func (h *HalfNotes) shift(by int64) {
	for _, m := range []*SegRef{&h.FinalACK, &h.FIN, &h.Abort, &h.Notify, &h.PrevTurn, &h.TurnAcked, &h.Continuation} {
		m.shift(by)
	}
	for i := range h.SYNs {
		h.SYNs[i].shift(by)
	}
	for i := range h.RSTs {
		h.RSTs[i].shift(by)
	}
	for _, l := range [][]SegRef{h.Copies, h.Old, h.Refusals} {
		for i := range l {
			l[i].shift(by)
		}
	}
}

// restart empties the wheel and lets it begin at any time.
func (w *timers) restart() {
	w.clear()
	w.tick, w.next = 0, 0
}
