package detect

import (
	"cmp"
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
	First, Last int64           // ns since the Unix epoch
	Stream      uint32          // of its first segment
	ISN         [2]tcpstate.Seq // the initial sequence numbers, the LB's and the target's, iff HasISN
	HasISN      [2]bool
	// Late: it was one too many, and is kept since a finding is about it. What came before that is not counted.
	Late       bool
	lb         uint8 // which half of its flow that is
	Requests   uint32
	Answers5xx uint32
	newest     uint32 // of its marks, + 1; 0: it has none
	nMarks     uint16
}

// NMarks is how many marks it has.
func (c *Connection) NMarks() int { return int(c.nMarks) }

// AppendMarks appends the marks of one of the connections in order of time.
func (r *Result) AppendMarks(to []Mark, c *Connection) []Mark {
	from := len(to)
	for i := c.newest; i != 0; {
		m := r.marks.at(i - 1)
		to = append(to, *m)
		to[len(to)-1].FromLB = m.FromLB == (c.lb == 1)
		i = m.before
	}
	own := to[from:]
	slices.Reverse(own)
	byTime := func(a, b Mark) int { return cmp.Compare(a.Time, b.Time) }
	if !slices.IsSortedFunc(own, byTime) {
		slices.SortStableFunc(own, byTime)
	}
	return to
}

// A Mark is a segment that other captures of the connection have, too, by what its sender wrote
// into it: of the handshake, of the close, or one with which a message begins.
type Mark struct {
	Seq, Ack tcpstate.Seq
	Len      uint32
	Stamp    uint32         // its TSval, by which copies of a segment differ; 0: none
	Time     int64          // ns since the Unix epoch
	before   uint32         // the one before it of its connection, + 1; 0: there is none
	Control  tcpstate.Flags // SYN, FIN and RST of its flags
	FromLB   bool           // among marks: of the flow's second half, for which end is the LB may show later
	TTL      uint8          // time to live, hop limit; 0: not known
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

// rankOf is a number that comes of what a segment holds as if by chance.
func rankOf(seq, ack tcpstate.Seq, stamp uint32) uint32 {
	h := uint32(seq)*0x9e3779b1 ^ uint32(ack)*0x85ebca77 ^ stamp*0xc2b2ae3d
	h = (h ^ h>>15) * 0x2c1b3c6d
	return (h ^ h>>13) * 0x9e3779b1
}

// FirstMarks are how many of each side are always kept, SYNs aside: the first ones.
const FirstMarks = 2

const (
	maxConnections = 1 << 18 // in a ledger, unless Options say otherwise
	maxLate        = 1 << 16 // that are late
	firstMarks     = 3       // of one side are kept for being the first, SYNs aside
	ofAKind        = 12      // of one side are kept before fewer pass; the more there are, the better clocks can be compared
	manyMarks      = 1 << 14 // of all connections; from then on one in eight passes at first,
	fewZeros       = 3
	fewFirst       = FirstMarks // are kept for being the first where the handshake was captured,
	fewOfAKind     = 4          // and sooner still fewer,
	mostMarks      = 1 << 18    // and from then on the first ones where the handshake was captured
	mostPassed     = 1 << 20    // of all connections besides the first ones: only a capture that is made for it has more
)

// markBlock is how many marks there is room for at once.
const markBlock = 1024

// marks are those of all connections, in the order in which they came.
type marks struct {
	blocks [][]Mark
	n      uint32
}

func (s *marks) at(i uint32) *Mark { return &s.blocks[i/markBlock][i%markBlock] }

// add makes room for one more of a connection, to be filled in place.
func (s *marks) add(x *entry) *Mark {
	if s.n%markBlock == 0 {
		s.blocks = append(s.blocks, make([]Mark, markBlock))
	}
	s.n++
	m := s.at(s.n - 1)
	m.before = x.newest
	x.newest = s.n
	x.marks++
	return m
}

// ledger keeps the connections of an analysis. A nil one does nothing. Neither they nor their marks have pointers, and
// what is looked up for each message is little: the traffic is all the same to the garbage
// collector, and stays in the processor's cache.
type ledger struct {
	all    []Connection
	marks  *marks  // of what the capture shows once more, too
	byFlow []entry // by its index
	kept   int     // marks, SYNs aside
	passed int     // of those, the ones behind the first of their side
	most   int     // of all
	late   int
	cut    bool
}

func newLedger(o *Options, m *marks) *ledger {
	return &ledger{most: cmp.Or(o.MaxConnections, maxConnections), marks: m}
}

// entry is that of a flow that is not gone.
type entry struct {
	place    uint32 // in all, + 1; 0: there is none
	requests uint32
	newest   uint32 // of its marks, + 1; 0: it has none
	marks    uint16 // at most some 800
	setUp    bool   // its SYNs are kept
	kept     [2]kept
}

// kept is how many marks of a half there are, SYNs aside. Behind the first ones only those are
// kept whose rank has so many leading zeros, and of each number of zeros only a few: two captures
// that share a part of a connection keep the same ones of it, or one of them some of those that the
// other does, and however much there is, it is never all of the first or of the last.
type kept struct {
	limit uint32 // the highest rank of those that passes looks at
	n     uint8  // behind the first ones, modulo ofAKind
	zeros uint8
}

// asks lets a segment be looked at only if its rank has so many leading zeros.
func (k *kept) asks(zeros uint8) { k.zeros, k.limit = zeros, math.MaxUint32>>zeros }

// mostZeros are those of rank 0. Behind them nothing passes: a capture can be made so that all
// have that.
const mostZeros = 32

// of is the entry of a flow; nil: there is none.
func (l *ledger) of(f *tcpstate.Flow) *entry {
	if l == nil || int(f.Index()) >= len(l.byFlow) || l.byFlow[f.Index()].place == 0 {
		return nil
	}
	return &l.byFlow[f.Index()]
}

// opened begins the entry of a new flow.
func (l *ledger) opened(d *Detector, e *tcpstate.Event) {
	if l == nil || !l.begins() {
		return
	}
	r := d.tracker.Ref(e.Flow, e.Seg)
	capture, _ := d.locate(r.Frame())
	l.enter(e.Flow, Connection{Capture: capture, Stream: r.Stream, First: e.Time})
}

// begins reports whether there may be one more connection.
func (l *ledger) begins() bool {
	if len(l.all)-l.late >= l.most {
		l.cut = true
		return false
	}
	return true
}

// enter makes a connection that of a flow.
func (l *ledger) enter(f *tcpstate.Flow, c Connection) {
	most := l.most
	if len(l.all) >= most {
		most += maxLate
	}
	l.all = append(withRoom(l.all, len(l.all)+1, most), c)
	i := int(f.Index())
	l.byFlow = withRoom(l.byFlow, i+1, 2*(i+1))
	l.byFlow = l.byFlow[:max(len(l.byFlow), i+1)]
	l.byFlow[i] = entry{place: uint32(len(l.all)), kept: [2]kept{{limit: math.MaxUint32}, {limit: math.MaxUint32}}}
}

// withRoom is a table with room for n values, and for four times as many as it had if there will not be more than most.
// Room that is not used yet takes addresses only: slices.Grow would touch it, and smaller steps copy more.
func withRoom[T any](s []T, n, most int) []T {
	if n <= cap(s) {
		return s
	}
	more := make([]T, len(s), max(n, min(max(4*cap(s), 64), most)))
	copy(more, s)
	return more
}

// concerns keeps the connection of a finding although there were too many: else what two captures show of it
// would count twice.
func (l *ledger) concerns(x *tcpstate.Flow, f *Finding) {
	if l == nil || !l.cut || !f.HasStream || l.late == maxLate || l.of(x) != nil {
		return
	}
	l.late++
	first := f.Time
	for i := range f.Evidence {
		first = min(first, f.Evidence[i].Time)
	}
	l.enter(x, Connection{Capture: f.Capture, Stream: f.Stream, First: first, Late: true})
}

// setUp keeps the SYNs of a flow, which its notes hold no longer than it takes to set it up.
func (l *ledger) setUp(d *Detector, f *tcpstate.Flow) {
	x := l.of(f)
	if x == nil || x.setUp {
		return
	}
	x.setUp = true
	n := d.tracker.Notes(f)
	for i := range n.Half {
		for _, s := range n.Half[i].SYNs {
			m := l.marks.add(x)
			m.Seq, m.Ack, m.Len, m.Time, m.Control, m.TTL, m.FromLB = s.Seq, s.Ack, s.Len, s.Time, tcpstate.SYN, s.TTL(), i == 1
			if s.HasTS {
				m.Stamp = s.TSVal
			}
		}
	}
}

// established keeps what sets a flow up.
func (l *ledger) established(d *Detector, e *tcpstate.Event) {
	if l == nil {
		return
	}
	l.setUp(d, e.Flow)
	half := 0 // whoever sent what shows it
	if d.tracker.Endpoint(e.Flow, 1) == e.Seg.Src {
		half = 1
	}
	l.keepMark(e.Flow, half, e.Seg)
}

// requested counts a request.
func (l *ledger) requested(f *tcpstate.Flow) {
	if x := l.of(f); x != nil {
		x.requests++
	}
}

// answered5xx counts an answer.
func (l *ledger) answered5xx(f *tcpstate.Flow) {
	if x := l.of(f); x != nil {
		l.all[x.place-1].Answers5xx++
	}
}

// keep keeps the segment of an event, which the half of a flow has sent.
func (l *ledger) keep(f *tcpstate.Flow, half int, s *tcpstate.Segment) {
	if l != nil { // mostly there is none: keepMark is apart, so that this is inlined
		l.keepMark(f, half, s)
	}
}

func (l *ledger) keepMark(f *tcpstate.Flow, half int, s *tcpstate.Segment) {
	if s == nil || int(f.Index()) >= len(l.byFlow) {
		return
	}
	x := &l.byFlow[f.Index()]
	if rankOf(s.Seq, s.Ack, stampOf(s)) <= x.kept[half&1].limit { // as next to none
		l.tryMark(x, half, f, s)
	}
}

// tryMark keeps a segment if it passes.
func (l *ledger) tryMark(x *entry, half int, f *tcpstate.Flow, s *tcpstate.Segment) {
	if x.place != 0 && l.passes(&x.kept[half&1], f, s) {
		l.kept++
		m := l.marks.add(x)
		m.set(s)
		m.FromLB = half == 1
	}
}

// passes reports whether a segment is kept: it is one of the first, or has the rank for it.
func (l *ledger) passes(k *kept, f *tcpstate.Flow, s *tcpstate.Segment) bool {
	few := l.kept >= manyMarks
	if k.n < firstMarks {
		if k.n++; few && k.n == fewFirst && f.BeginCaptured() {
			k.n = firstMarks
		}
		return true
	}
	if few && k.zeros < fewZeros {
		if k.asks(fewZeros); rankOf(s.Seq, s.Ack, stampOf(s)) > k.limit {
			return false
		}
	}
	if k.zeros == mostZeros || l.kept >= mostMarks && f.BeginCaptured() || l.passed >= mostPassed {
		return false
	}
	l.passed++
	k.n++
	if n := k.n - firstMarks; few && n%fewOfAKind == 0 || n == ofAKind {
		k.asks(k.zeros + 1)
	}
	if k.n == firstMarks+ofAKind {
		k.n = firstMarks
	}
	return true
}

// stampOf is the TSval of a segment; 0: it has none.
func stampOf(s *tcpstate.Segment) uint32 {
	if s.HasTS {
		return s.TSVal
	}
	return 0
}

// set makes it one of a segment; from where, others know.
func (m *Mark) set(s *tcpstate.Segment) {
	m.Seq, m.Ack, m.Len, m.Stamp, m.Time, m.Control, m.TTL = s.Seq, s.Ack, s.Len, stampOf(s), s.Time, s.Flags&control, s.TTL
}

// gone completes the connection of a flow that is forgotten.
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
	c.Requests, c.lb, c.newest, c.nMarks = x.requests, uint8(lb), x.newest, x.marks
	*x = entry{}
}

// Hashes are those of the segments that were analysed last, with Options.Connections only.
func (d *Detector) Hashes() []uint32 { return d.tracker.Hashes() }

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
	var perhaps [1 << 11]uint32 // by the first bits of their hashes: few marks pass
	for i := range segs {
		if s := &segs[i]; !s.Quoted {
			var m Mark
			m.set(s)
			known[m.Identity()] = true
			h := rankOf(m.Seq, m.Ack, m.Stamp)
			perhaps[h>>21] |= 1 << (h >> 16 & 31)
		}
	}
	n := 0
	for i := range d.ledger.marks.n {
		m := d.ledger.marks.at(i)
		h := rankOf(m.Seq, m.Ack, m.Stamp)
		if perhaps[h>>21]&(1<<(h>>16&31)) == 0 {
			continue
		}
		if id := m.Identity(); known[id] {
			known[id] = false
			n++
		}
	}
	return n >= fewShared
}

// finish is what was kept.
func (r *Result) finish(l *ledger) {
	if l != nil {
		r.Connections, r.ConnectionsCut, r.marks = l.all, l.cut, l.marks
	}
}
