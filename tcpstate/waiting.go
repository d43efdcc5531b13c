package tcpstate

import "math"

// sequencer holds the segments that wait.
type sequencer struct {
	segs    arena[waiting]
	n       int
	copied  int    // capacity of their buffers, of those that are unused too
	due     int64  // when the first of them is looked at, ns; math.MaxInt64: none waits
	skewed  queue  // those that wait for what was captured late
	missing queue  // those that wait for what was lost and is to be sent again
	lacking bool   // what some waited for never came, though it had arrived
	hurried uint64 // those that had to go for want of room
}

// queue holds places of waiting segments, the first due first.
type queue struct{ first, last uint16 }

// waiting is a segment that waits. Its places in lists are counted from 1.
type waiting struct {
	seg     Segment // Frame is the ordinal
	buf     []byte  // holds the payload
	until   int64   // when it is looked at again
	flow    uint32
	stream  uint32
	dir     uint8
	missing bool // it is in that queue
	// next and prev are its neighbours in its side's list, which is a ring; n is, of the
	// first one, how long that is.
	next, prev, n uint16
	// later and earlier are its neighbours in the queue.
	later, earlier uint16
}

// at is the waiting segment at a place.
func (q *sequencer) at(i uint16) *waiting { return q.segs.at(uint32(i) - 1) }

// length is how many segments of a side wait.
func (q *sequencer) length(h *Half) int {
	if h.waiting == 0 {
		return 0
	}
	return int(q.at(h.waiting).n)
}

// enqueue puts a segment at a queue's end. None in that is due later.
func (q *sequencer) enqueue(i uint16, inMissing bool, until int64) {
	w := q.at(i)
	w.until, w.missing = until, inMissing
	l := q.queue(inMissing)
	w.earlier, w.later = l.last, 0
	if l.last != 0 {
		q.at(l.last).later = i
	} else {
		l.first = i
	}
	l.last = i
	q.setDue()
}

// dequeue takes a segment out of its queue.
func (q *sequencer) dequeue(i uint16) {
	w := q.at(i)
	l := q.queue(w.missing)
	if w.later != 0 {
		q.at(w.later).earlier = w.earlier
	} else {
		l.last = w.earlier
	}
	if w.earlier != 0 {
		q.at(w.earlier).later = w.later
	} else {
		l.first = w.later
	}
	q.setDue()
}

func (q *sequencer) queue(missing bool) *queue {
	if missing {
		return &q.missing
	}
	return &q.skewed
}

// setDue keeps due true.
func (q *sequencer) setDue() {
	q.due = math.MaxInt64
	for _, l := range [...]*queue{&q.skewed, &q.missing} {
		if l.first != 0 {
			q.due = min(q.due, q.at(l.first).until)
		}
	}
}

// oldest is the segment that has waited longest.
func (q *sequencer) oldest() uint16 {
	if q.missing.first != 0 {
		return q.missing.first
	}
	return q.skewed.first
}

// insert puts a segment into its side's list, which is in the order of sequence numbers and,
// among those alike, of acknowledgments.
func (q *sequencer) insert(h *Half, i uint16) {
	w := q.at(i)
	if h.waiting == 0 {
		h.waiting, w.next, w.prev, w.n = i, i, i, 1
		return
	}
	first := q.at(h.waiting)
	first.n++
	j := first.prev // the last one
	for !w.behind(q.at(j)) {
		if j == h.waiting {
			w.n, h.waiting = first.n, i
			j = first.prev
			break
		}
		j = q.at(j).prev
	}
	w.prev, w.next = j, q.at(j).next
	q.at(w.next).prev = i
	q.at(j).next = i
}

// behind reports whether a segment was sent behind another one of its side.
func (w *waiting) behind(o *waiting) bool {
	if d := w.seg.Seq.Sub(o.seg.Seq); d != 0 {
		return d > 0
	}
	return w.seg.Ack.AtOrAfter(o.seg.Ack)
}

// remove takes a segment out of its side's list.
func (q *sequencer) remove(h *Half, i uint16) {
	w := q.at(i)
	if w.next == i {
		h.waiting = 0
		return
	}
	n := q.at(h.waiting).n - 1
	q.at(w.prev).next, q.at(w.next).prev = w.next, w.prev
	if h.waiting == i {
		h.waiting = w.next
	}
	q.at(h.waiting).n = n
}

// drop takes a segment out of all lists. Its place stays taken.
func (t *Tracker) drop(f *Flow, i uint16) *waiting {
	q := &t.waiting
	w := q.at(i)
	q.dequeue(i)
	q.remove(&f.Half[w.dir&1], i)
	q.n--
	if f.Half[0].waiting|f.Half[1].waiting == 0 {
		f.flags &^= flowWaiting
	}
	return w
}

// giveWaiting gives a place back, and its buffer where there are too many octets in all.
func (t *Tracker) giveWaiting(i uint16) {
	q := &t.waiting
	if w := q.at(i); q.copied > maxCopied/2 {
		q.copied -= cap(w.buf)
		w.buf = nil
	}
	q.at(i).seg.Payload = nil
	q.segs.release(uint32(i) - 1)
}

// shift is Tracker.Shift for those that wait.
func (q *sequencer) shift(by int64) {
	for _, l := range [...]queue{q.skewed, q.missing} {
		for i := l.first; i != 0; i = q.at(i).later {
			q.at(i).until += by
			q.at(i).seg.Time += by
		}
	}
	q.setDue()
}
