package detect

import (
	"cmp"
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

	kept [2]kept // of the LB's, and the target's
}

// kept is how many marks of a side there are, SYNs aside, and the last rank of those that may be
// replaced; 0: it was not looked for.
type kept struct {
	n     int
	worst uint32
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

// rank orders marks by what they hold, as if by chance: two captures that share a part of a
// connection choose the same ones of that part.
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
	manyMarks      = 1 << 16 // of all connections; behind that the first ones of a side are enough,
	fewMarks       = 9       // or these where the handshake was not captured
)

// ledger keeps the connections of an analysis. A nil one does nothing.
type ledger struct {
	all    []Connection
	marks  int
	byFlow []uint32 // place in all of a flow, by its index, + 1; 0: none
	cut    bool
}

// of is the entry of a flow; nil: there is none.
func (l *ledger) of(f *tcpstate.Flow) *Connection {
	if l == nil || int(f.Index()) >= len(l.byFlow) || l.byFlow[f.Index()] == 0 {
		return nil
	}
	return &l.all[l.byFlow[f.Index()]-1]
}

// opened begins the entry of a new flow.
func (l *ledger) opened(d *Detector, e *tcpstate.Event) {
	if l == nil {
		return
	}
	i := int(e.Flow.Index())
	if i >= len(l.byFlow) {
		l.byFlow = append(l.byFlow, make([]uint32, i+1-len(l.byFlow))...)
	}
	l.byFlow[i] = 0
	if len(l.all) == maxConnections {
		l.cut = true
		return
	}
	r := d.tracker.Ref(e.Flow, e.Seg)
	capture, _ := d.locate(r.Frame())
	l.all = append(l.all, Connection{Capture: capture, Stream: r.Stream, First: e.Time})
	l.byFlow[i] = uint32(len(l.all))
}

// setUp keeps the SYNs of a flow, which its notes hold no longer than it takes to set it up.
func (l *ledger) setUp(d *Detector, f *tcpstate.Flow) {
	c := l.of(f)
	if c == nil {
		return
	}
	m := d.tracker.Notes(f)
	for i := range m.Half {
		for _, s := range m.Half[i].SYNs {
			x := Mark{Seq: s.Seq, Ack: s.Ack, Len: s.Len, Time: s.Time, Control: tcpstate.SYN, FromLB: i == f.LB()}
			if s.HasTS {
				x.Stamp = s.TSVal
			}
			if !slices.Contains(c.Marks, x) {
				c.Marks = append(c.Marks, x)
			}
		}
	}
}

// keep keeps the segment of an event.
func (l *ledger) keep(d *Detector, e *tcpstate.Event) {
	c, s := l.of(e.Flow), e.Seg
	if c == nil || s == nil {
		return
	}
	m := markOf(s)
	m.FromLB = d.tracker.Endpoint(e.Flow, e.Flow.LB()) == s.Src
	k := &c.kept[0]
	if !m.FromLB {
		k = &c.kept[1]
	}
	switch {
	case k.n < firstMarks, l.marks < manyMarks && k.n < maxMarks, !e.Flow.BeginCaptured() && k.n < fewMarks:
		l.marks++
		k.n++
		c.Marks = append(c.Marks, m)
	case k.n == firstMarks && e.Flow.BeginCaptured() && l.marks >= manyMarks:
	case k.worst == 0 || m.rank() < k.worst:
		c.replace(k, m)
	}
}

// turned says that the ends of a flow are the other way round than was thought.
func (l *ledger) turned(f *tcpstate.Flow) {
	c := l.of(f)
	if c == nil {
		return
	}
	c.kept[0], c.kept[1] = c.kept[1], c.kept[0]
	for i := range c.Marks {
		c.Marks[i].FromLB = !c.Marks[i].FromLB
	}
}

// replace lets a mark take the place of the last one by rank of its side.
func (c *Connection) replace(k *kept, m Mark) {
	n, last, next := 0, -1, uint32(0)
	for i := range c.Marks {
		o := &c.Marks[i]
		if o.FromLB != m.FromLB || o.SYN() {
			continue
		}
		if n++; n <= firstMarks {
			continue
		}
		if r := o.rank(); last < 0 || r > c.Marks[last].rank() {
			if last >= 0 {
				next = max(next, c.Marks[last].rank())
			}
			last = i
		} else {
			next = max(next, r)
		}
	}
	if last < 0 {
		return
	}
	if m.rank() < c.Marks[last].rank() {
		c.Marks[last] = m
		next = max(next, m.rank())
	} else {
		next = c.Marks[last].rank()
	}
	k.worst = max(next, 1)
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
	c := l.of(f)
	if c == nil {
		return
	}
	l.setUp(d, f)
	lb := f.LB()
	c.LB, c.Target, c.Last = d.tracker.Endpoint(f, lb), d.tracker.Endpoint(f, 1-lb), f.LastTime
	for k, i := range [...]int{lb, 1 - lb} {
		if h := &f.Half[i]; h.SentSYN() {
			c.ISN[k], c.HasISN[k] = h.ISN, true
		}
	}
	slices.SortStableFunc(c.Marks, func(a, b Mark) int { return cmp.Compare(a.Time, b.Time) })
	l.byFlow[f.Index()] = 0
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
	for i := range d.ledger.all {
		for k := range d.ledger.all[i].Marks {
			if id := d.ledger.all[i].Marks[k].Identity(); known[id] {
				known[id] = false
				n++
			}
		}
	}
	return n >= fewShared
}

// finish is what was kept.
func (l *ledger) finish() ([]Connection, bool) {
	if l == nil {
		return nil, false
	}
	return l.all, l.cut
}
