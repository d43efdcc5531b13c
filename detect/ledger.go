package detect

import (
	"cmp"
	"iter"
	"math"
	"slices"

	"connrace/tcpstate"
)

// A Connection is what a capture shows of one connection that any other capture of it shows
// alike, wherever it was taken: addresses may be translated on the way, but the numbers are those
// of its two ends.
type Connection struct {
	LB, Target  tcpstate.Endpoint
	Capture     int
	Stream      uint32          // of its first segment
	ISN         [2]tcpstate.Seq // the initial sequence numbers, the LB's and the target's, iff HasISN
	HasISN      [2]bool
	First, Last int64 // ns since the Unix epoch
	Requests    uint32
	Answers5xx  uint32
	Marks       []Mark

	first uint32 // of its marks, until they are put together: see ledger.finish
}

// A Mark is a segment that other captures of the connection have, too, by what its sender wrote
// into it: of the handshake, of the close, or one with which a message begins.
type Mark struct {
	Seq, Ack tcpstate.Seq
	Len      uint32
	Stamp    uint32         // its TSval, by which copies of a segment differ; 0: none
	Time     int64          // ns since the Unix epoch
	Control  tcpstate.Flags // SYN, FIN and RST of its flags
	FromLB   bool
}

// Identity are the words of a mark that do not change on the way. A segment with a timestamp is
// known without its length, which offloading changes (TSO, GRO).
func (m *Mark) Identity() [4]uint32 {
	n := m.Len
	if m.Stamp != 0 {
		n = min(n, 1)
	}
	return [4]uint32{uint32(m.Seq), uint32(m.Ack), m.Stamp, n<<8 | uint32(m.Control)}
}

// SYN reports whether it is a SYN or SYN-ACK.
func (m *Mark) SYN() bool { return m.Control&tcpstate.SYN != 0 }

const control = tcpstate.SYN | tcpstate.FIN | tcpstate.RST

// rank is a number that comes of what a mark holds as if by chance.
func (m *Mark) rank() uint32 {
	h := uint32(2166136261) // FNV-1a, by words
	for _, w := range m.Identity() {
		h = (h ^ w) * 16777619
		h ^= h >> 15
	}
	return h
}

const (
	maxConnections = 1 << 18 // in a ledger
	firstMarks     = 3       // of one side are kept for being the first, SYNs aside
	maxMarks       = 24      // of one side; the more there are, the better clocks can be compared
	manyMarks      = 1 << 14 // of all connections; from then on fewMarks of a side are enough,
	fewMarks       = 9       // chosen from one in eight
	fewZeros       = 3
	mostMarks      = 1 << 18 // and from then on the first ones where the handshake was captured
)

// ledger keeps the connections of an analysis. A nil one does nothing. Marks have no pointers, and
// what is looked up for each message is little: the traffic is all the same to the garbage
// collector, and stays in the processor's cache.
type ledger struct {
	all    []Connection
	marks  []link
	free   uint32  // the place in marks of one that is of no flow, + 1, where others follow
	kept   int     // marks, SYNs aside
	byFlow []entry // by its index
	cut    bool
}

// link is a mark, and the place in marks of the next one of its connection, + 1.
type link struct {
	Mark
	next uint32
}

// entry is that of a flow that is not gone.
type entry struct {
	place                uint32 // in all, + 1; 0: there is none
	first, last          uint32 // of its marks, + 1
	requests, answers5xx uint32
	kept                 [2]kept // of the LB's, and the target's
}

// kept is how many marks of a side there are, SYNs aside. Behind the first ones only those are
// kept whose rank has so many leading zeros: two captures that share a part of a connection keep
// the same ones of it, or one of them some of those that the other does.
type kept struct{ n, zeros uint32 }

// mostZeros are those of rank 0, which passes always.
const mostZeros = 32

// passes reports whether a mark is kept that is not one of the first.
func (k *kept) passes(m *Mark) bool { return m.rank() <= math.MaxUint32>>k.zeros }

// of is the entry of a flow; nil: there is none.
func (l *ledger) of(f *tcpstate.Flow) *entry {
	if l == nil || int(f.Index()) >= len(l.byFlow) || l.byFlow[f.Index()].place == 0 {
		return nil
	}
	return &l.byFlow[f.Index()]
}

// opened begins the entry of a new flow.
func (l *ledger) opened(d *Detector, e *tcpstate.Event) {
	if l == nil {
		return
	}
	i := int(e.Flow.Index())
	if i >= len(l.byFlow) {
		l.byFlow = append(l.byFlow, make([]entry, i+1-len(l.byFlow))...)
	}
	l.byFlow[i] = entry{}
	if len(l.all) == maxConnections {
		l.cut = true
		return
	}
	r := d.tracker.Ref(e.Flow, e.Seg)
	capture, _ := d.locate(r.Frame())
	l.all = append(l.all, Connection{Capture: capture, Stream: r.Stream, First: e.Time})
	l.byFlow[i].place = uint32(len(l.all))
}

// add adds a mark to those of a flow.
func (l *ledger) add(x *entry, m Mark) {
	at := l.free
	if at != 0 {
		l.free = l.marks[at-1].next
		l.marks[at-1] = link{Mark: m}
	} else {
		l.marks = append(l.marks, link{Mark: m})
		at = uint32(len(l.marks))
	}
	if x.last == 0 {
		x.first = at
	} else {
		l.marks[x.last-1].next = at
	}
	x.last = at
}

// from yields the marks of a connection from one on.
func (l *ledger) from(at uint32) iter.Seq[*Mark] {
	return func(yield func(*Mark) bool) {
		for ; at != 0; at = l.marks[at-1].next {
			if !yield(&l.marks[at-1].Mark) {
				return
			}
		}
	}
}

// setUp keeps the SYNs of a flow, which its notes hold no longer than it takes to set it up.
func (l *ledger) setUp(d *Detector, f *tcpstate.Flow) {
	x := l.of(f)
	if x == nil {
		return
	}
	n := d.tracker.Notes(f)
	for i := range n.Half {
	next:
		for _, s := range n.Half[i].SYNs {
			m := Mark{Seq: s.Seq, Ack: s.Ack, Len: s.Len, Time: s.Time, Control: tcpstate.SYN, FromLB: i == f.LB()}
			if s.HasTS {
				m.Stamp = s.TSVal
			}
			for o := range l.from(x.first) {
				if *o == m {
					continue next
				}
			}
			l.add(x, m)
		}
	}
}

// keep keeps the segment of an event.
func (l *ledger) keep(d *Detector, e *tcpstate.Event) {
	x, s := l.of(e.Flow), e.Seg
	if x == nil || s == nil {
		return
	}
	room := uint32(maxMarks)
	if l.kept >= mostMarks && e.Flow.BeginCaptured() {
		room = firstMarks
	} else if l.kept >= manyMarks {
		room = fewMarks
	}
	if room == firstMarks && x.kept[0].n >= room && x.kept[1].n >= room {
		return
	}
	m := markOf(s)
	m.FromLB = e.Side == e.Flow.LB()
	if e.Kind == tcpstate.EstablishedNow { // whoever sent what shows it
		m.FromLB = d.tracker.Endpoint(e.Flow, e.Flow.LB()) == s.Src
	}
	k := &x.kept[side(m.FromLB)]
	if room == fewMarks {
		k.zeros = max(k.zeros, fewZeros)
	}
	if k.n >= firstMarks && (room == firstMarks || !k.passes(&m)) {
		return
	}
	if k.zeros == mostZeros && k.n >= room { // made so that all have the least rank
		return
	}
	l.kept++
	k.n++
	l.add(x, m)
	for k.n > room && k.zeros < mostZeros {
		k.zeros++
		l.thin(x, m.FromLB)
	}
}

// turned says that the ends of a flow are the other way round than was thought.
func (l *ledger) turned(f *tcpstate.Flow) {
	x := l.of(f)
	if x == nil {
		return
	}
	x.kept[0], x.kept[1] = x.kept[1], x.kept[0]
	for m := range l.from(x.first) {
		m.FromLB = !m.FromLB
	}
}

// thin gives up the marks of a side that do not pass any more.
func (l *ledger) thin(x *entry, fromLB bool) {
	k := &x.kept[side(fromLB)]
	n, before := 0, &x.first
	for at := x.first; at != 0; at = *before {
		o := &l.marks[at-1]
		if o.FromLB == fromLB && !o.SYN() {
			if n++; n > firstMarks && !k.passes(&o.Mark) {
				*before = o.next
				o.next, l.free = l.free, at
				l.kept--
				k.n--
				continue
			}
		}
		x.last, before = at, &o.next
	}
}

// markOf is a segment as a mark; from where, others know.
func markOf(s *tcpstate.Segment) Mark {
	m := Mark{Seq: s.Seq, Ack: s.Ack, Len: s.Len, Time: s.Time, Control: s.Flags & control}
	if s.HasTS {
		m.Stamp = s.TSVal
	}
	return m
}

// gone completes the entry of a flow that is forgotten.
func (l *ledger) gone(d *Detector, f *tcpstate.Flow) {
	x := l.of(f)
	if x == nil {
		return
	}
	l.setUp(d, f)
	c, lb := &l.all[x.place-1], f.LB()
	c.LB, c.Target, c.Last = d.tracker.Endpoint(f, lb), d.tracker.Endpoint(f, 1-lb), f.LastTime
	for k, i := range [...]int{lb, 1 - lb} {
		if h := &f.Half[i]; h.SentSYN() {
			c.ISN[k], c.HasISN[k] = h.ISN, true
		}
	}
	c.Requests, c.Answers5xx, c.first = x.requests, x.answers5xx, x.first
	*x = entry{}
}

// fewShared is how many segments show that a capture is another one of the same connections: one
// or two may be sent again.
const fewShared = 3

// Shares reports whether segments are among those of the connections that were analysed, with
// Options.Connections only: another capture that begins with them does not continue this one,
// whatever the clocks say.
func (d *Detector) Shares(segs []tcpstate.Segment) bool {
	if d.ledger == nil {
		return false
	}
	known := map[[4]uint32]bool{}
	for i := range segs {
		if s := &segs[i]; !s.Quoted {
			m := markOf(s)
			known[m.Identity()] = true
		}
	}
	n := 0
	for i := range d.ledger.marks {
		if id := d.ledger.marks[i].Identity(); known[id] {
			known[id] = false
			n++
		}
	}
	return n >= fewShared
}

// finish is what was kept, the marks of each connection in order of time.
func (l *ledger) finish() ([]Connection, bool) {
	if l == nil {
		return nil, false
	}
	marks := make([]Mark, 0, len(l.marks))
	for i := range l.all {
		c := &l.all[i]
		from := len(marks)
		for m := range l.from(c.first) {
			marks = append(marks, *m)
		}
		c.Marks = marks[from:len(marks):len(marks)]
		slices.SortStableFunc(c.Marks, func(a, b Mark) int { return cmp.Compare(a.Time, b.Time) })
	}
	return l.all, l.cut
}
