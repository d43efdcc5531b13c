package kernel

// Answer is what the kernel says of the moments in which a listener let a segment go
// unanswered.
type Answer struct {
	Figures
	Moments  int
	Full     int  // of them with a queue over its limit
	Overflow int  // of them with ListenOverflows counted right then
	Own      int  // of them with a drop because of this listener counted right then
	SYNQueue int  // of them with TCPReqQFullDrop counted right then
	Sole     bool // no other listener can have been the one that the counters count for
}

// Ask asks about a listener and some moments, in order. ok is false where the samples do
// not cover them.
func (k *History) Ask(l *State, moments []int64) (x Answer, ok bool) {
	for l != nil && len(moments) > 0 && moments[len(moments)-1] > k.last {
		moments = moments[:len(moments)-1]
	}
	if l == nil || len(moments) == 0 || k.first > moments[0]+Slack {
		return x, false
	}
	begin, end := moments[0], moments[len(moments)-1]
	x.Moments = len(moments)
	x.Limit = l.Limit
	for _, m := range moments {
		now := k.countersAt(m + Slack).minus(k.countersAt(m))
		if now.ListenOverflows > 0 {
			x.Overflow++
		}
		if now.ReqQFullDrop > 0 {
			x.SYNQueue++
		}
		if l.droppedAt(m+Slack) > l.droppedAt(m) {
			x.Own++
		}
		if s := l.spanAt(m); s != nil {
			if s.full {
				x.Full++
			}
			if s.queue >= x.Queue {
				x.Queue, x.Limit = s.queue, s.limit
			}
		}
	}
	x.Counted = k.countersAt(end + Slack).minus(k.countersAt(begin))
	x.Dropped = l.droppedAt(end+Slack) - l.droppedAt(begin)
	x.Sole = k.present == 1 || l.nearWithin(begin, end)
	for _, o := range k.listeners {
		x.Sole = x.Sole && (o == l || !o.nearWithin(begin, end) && o.droppedAt(end+Slack) == o.droppedAt(begin))
	}
	return x, true
}

// Proves reports whether the listener's full queue is why the segments went unanswered:
// overflows were counted, and its queue was seen full, or its own drops were counted, or
// it is the only one that they can be of.
func (x *Answer) Proves() bool {
	return x.Overflow > 0 && 2*x.Overflow >= x.Moments && (2*x.Full >= x.Moments || 2*x.Own >= x.Moments || x.Sole)
}

// countersAt are the counters at a time, or the oldest that are known.
func (k *History) countersAt(at int64) Counters {
	best := *k.counters.At(0)
	for _, c := range k.counters.All() {
		if c.time <= at && c.time > best.time {
			best = c
		}
	}
	return best.Counters
}

// droppedAt is what the sockets had dropped at a time.
func (l *State) droppedAt(at int64) uint64 {
	if l.drops.Len() == 0 {
		return 0
	}
	best := *l.drops.At(0)
	for _, d := range l.drops.All() {
		if d.time <= at && d.time > best.time {
			best = d
		}
	}
	return best.total
}

// spanAt is the span that a moment falls into, a full one if there is one.
func (l *State) spanAt(m int64) (best *span) {
	all := l.spans.All()
	for i := range all {
		s := &all[i]
		if s.from-Slack <= m && m <= s.to+Slack && (best == nil || s.full && !best.full) {
			best = s
		}
	}
	return best
}

func (l *State) nearWithin(from, to int64) bool {
	for _, s := range l.spans.All() {
		if s.from-Slack <= to && from <= s.to+Slack {
			return true
		}
	}
	return false
}
