package detect

import (
	"strings"

	"connrace/tcpstate"
)

// testimony is what the kernel says of the moments in which a listener let a segment go
// unanswered.
type testimony struct {
	Kernel
	moments  int
	full     int  // of them with a queue over its limit
	overflow int  // of them with ListenOverflows counted right then
	own      int  // of them with a drop because of this listener counted right then
	synq     int  // of them with TCPReqQFullDrop counted right then
	sole     bool // no other listener can have been the one that the counters count for
}

// testify asks the kernel about a listener and some moments, in order.
func (d *Detector) testify(e tcpstate.Endpoint, moments []int64) (x testimony, ok bool) {
	l, k := d.listener(e), d.kernel
	for l != nil && len(moments) > 0 && moments[len(moments)-1] > k.last {
		moments = moments[:len(moments)-1]
	}
	if l == nil || len(moments) == 0 || k.first > moments[0]+sampleSlack {
		return x, false
	}
	begin, end := moments[0], moments[len(moments)-1]
	x.moments = len(moments)
	x.Limit = l.limit
	for _, m := range moments {
		now := k.countersAt(m + sampleSlack).minus(k.countersAt(m))
		if now.ListenOverflows > 0 {
			x.overflow++
		}
		if now.ReqQFullDrop > 0 {
			x.synq++
		}
		if l.droppedAt(m+sampleSlack) > l.droppedAt(m) {
			x.own++
		}
		if s := l.spanAt(m); s != nil {
			if s.full {
				x.full++
			}
			if s.queue >= x.Queue {
				x.Queue, x.Limit = s.queue, s.limit
			}
		}
	}
	x.Counted = k.countersAt(end + sampleSlack).minus(k.countersAt(begin))
	x.Dropped = l.droppedAt(end+sampleSlack) - l.droppedAt(begin)
	x.sole = k.present == 1 || l.nearWithin(begin, end)
	for _, o := range k.listeners {
		x.sole = x.sole && (o == l || !o.nearWithin(begin, end) && o.droppedAt(end+sampleSlack) == o.droppedAt(begin))
	}
	return x, true
}

// spanAt is the span that a moment falls into, a full one if there is one.
func (l *listener) spanAt(m int64) (best *span) {
	for i := range l.spans.v {
		s := &l.spans.v[i]
		if s.from-sampleSlack <= m && m <= s.to+sampleSlack && (best == nil || s.full && !best.full) {
			best = s
		}
	}
	return best
}

func (l *listener) nearWithin(from, to int64) bool {
	for _, s := range l.spans.v {
		if s.from-sampleSlack <= to && from <= s.to+sampleSlack {
			return true
		}
	}
	return false
}

// proves reports whether the listener's full queue is why the segments went unanswered:
// overflows were counted, and its queue was seen full, or its own drops were counted, or
// it is the only one that they can be of.
func (x *testimony) proves() bool {
	return 2*x.overflow >= x.moments && (2*x.full >= x.moments || 2*x.own >= x.moments || x.sole)
}

// hear lets the kernel speak to a finding about a queue.
func (d *Detector) hear(in *incident) {
	f := in.f
	x, ok := d.testify(f.Target, in.moments)
	if !ok {
		return
	}
	figures := x.Kernel
	f.Measures.Kernel = &figures
	said := "the kernel: " + x.Kernel.String()
	switch {
	case x.proves():
		d.proved(in, said, Certain)
	case 2*x.synq >= x.moments && (2*x.own >= x.moments || x.sole) && f.Rule.Queue != FullForACKs:
		d.proved(in, said+", the queue of half-open connections was full", Certain)
	case 2*x.full >= x.moments && x.overflow == 0:
		d.proved(in, said+", but no overflow was counted", Likely)
	case 2*x.full >= x.moments:
		d.proved(in, said, Likely)
	case x.overflow > 0:
		d.proved(in, said+", which may be another listener's", Likely)
	case x.synq > 0 && f.Rule.Queue != FullForACKs:
		d.proved(in, said+", which may be another listener's", Likely)
	default:
		f.Grounds += "; the kernel found the listener's queue at most " + strings.TrimPrefix(x.Kernel.String(), "queue ") + " and counted no overflow"
	}
}

// proved makes a queue that was full of what was suspected to be one.
func (d *Detector) proved(in *incident, said string, c Confidence) {
	f := in.f
	if f.Rule.IfFull != nil {
		f.Rule = f.Rule.IfFull
		f.Grounds = said
		in.t.drops.add(drop{f.Time, f.Stream})
	} else {
		f.Grounds = said + "; " + f.Grounds
	}
	if d.gapNear(f.Time) {
		c = min(c, Likely) // the answer may be what is missing in the capture
	}
	f.Confidence = max(f.Confidence, c)
	for i := range f.Evidence {
		if e := &f.Evidence[i]; e.FromLB && e.Time == in.moments[0] {
			e.Note += " (" + said + ")"
			break
		}
	}
}

// awaited are handshakes with this host's listeners that may still be without an answer,
// the oldest first.
type awaited []awaitedSYN

type awaitedSYN struct {
	flow   uint32
	opened int64
}

const (
	maxAwaited = 1 << 10
	// slowSYN is how long a SYN is without an answer before the kernel is asked more often.
	slowSYN = 10 * millisecond
)

// await keeps a SYN to a listener of this host in mind.
func (d *Detector) await(f *tcpstate.Flow, opened int64, target tcpstate.Endpoint) {
	if d.kernel != nil && len(d.awaited) < maxAwaited && d.listener(target) != nil {
		d.awaited = append(d.awaited, awaitedSYN{f.Index(), opened})
	}
}

// Urgent reports whether samples of the kernel are wanted more often than else: SYNs to
// a listener of this host go unanswered, or a queue is near its limit.
func (d *Detector) Urgent(now int64) bool {
	k := d.kernel
	if k == nil {
		return false
	}
	n := 0
	for n < len(d.awaited) && !d.unanswered(d.awaited[n]) {
		n++
	}
	if n > 0 {
		d.awaited = append(d.awaited[:0], d.awaited[n:]...)
	}
	if len(d.awaited) > 0 && now-d.awaited[0].opened >= slowSYN {
		return true
	}
	for e, l := range k.listeners {
		if l.near && d.watches(e) {
			return true
		}
	}
	return false
}

// watches reports whether a listener may be a target's.
func (d *Detector) watches(e tcpstate.Endpoint) bool {
	return d.opt.IsTarget == nil || e.Addr.Netip().IsUnspecified() || d.opt.IsTarget(e)
}

func (d *Detector) unanswered(a awaitedSYN) bool {
	f := d.tracker.Flow(a.flow)
	if f == nil || f.Established() || f.Closing() {
		return false
	}
	_, target := f.Sides()
	syns := d.tracker.Notes(f).Half[f.LB()].SYNs
	return !target.SentSYN() && len(syns) > 0 && syns[0].Time == a.opened
}
