package detect

import (
	"fmt"
	"strings"

	"connrace/tcpstate"
)

// KernelSample is what the kernel of the target's host says of its listeners at one
// moment, where the capture is taken there.
type KernelSample struct {
	Time      int64 // ns since the Unix epoch
	Listeners []KernelListener
	Sockets   []KernelSocket // the watched unix sockets
	Counters  KernelCounters
	SOMaxConn uint32 // net.core.somaxconn; 0: unknown
}

// KernelListener is a listening TCP socket.
type KernelListener struct {
	End   tcpstate.Endpoint // address 0.0.0.0 or ::, all of the host
	Queue uint32            // connections that wait for accept()
	Limit uint32            // the backlog, as somaxconn clamped it: one more has room (sk_acceptq_is_full)
}

// KernelSocket is a unix socket that should be listened on.
type KernelSocket struct {
	Path         string
	Queue, Limit uint32
	Missing      bool // nobody listens there
}

// KernelCounters are counters of a whole network namespace, as /proc/net/netstat and
// /proc/net/snmp have them.
type KernelCounters struct {
	ListenOverflows, ListenDrops    uint64
	ReqQFullDrop, ReqQFullDoCookies uint64
	AbortOnData, AbortOnClose       uint64
	OutRsts                         uint64
}

func (c KernelCounters) minus(b KernelCounters) KernelCounters {
	return KernelCounters{
		c.ListenOverflows - b.ListenOverflows, c.ListenDrops - b.ListenDrops,
		c.ReqQFullDrop - b.ReqQFullDrop, c.ReqQFullDoCookies - b.ReqQFullDoCookies,
		c.AbortOnData - b.AbortOnData, c.AbortOnClose - b.AbortOnClose, c.OutRsts - b.OutRsts,
	}
}

// Kernel is what the kernel said of an incident: how full the listener's queue was, and
// what it counted meanwhile, in the whole namespace.
type Kernel struct {
	Queue, Limit uint32
	Counted      KernelCounters
}

func (k Kernel) String() string {
	s := fmt.Sprintf("queue %d of %d", k.Queue, k.Limit)
	for _, c := range []struct {
		name string
		n    uint64
	}{{"ListenOverflows", k.Counted.ListenOverflows}, {"TCPReqQFullDrop", k.Counted.ReqQFullDrop}, {"TCPReqQFullDoCookies", k.Counted.ReqQFullDoCookies}} {
		if c.n > 0 {
			s += fmt.Sprintf(", %s +%d", c.name, c.n)
		}
	}
	return s
}

// TinyBacklog is a backlog that a handful of connections at once overflows. The defaults
// of servers begin at 100.
const TinyBacklog = 16

// BacklogWarning says what is wrong with a listener's backlog; "": nothing.
func BacklogWarning(limit, somaxconn uint32) string {
	const small = 512 // what servers ask for by themselves
	switch {
	case limit <= TinyBacklog && limit == somaxconn:
		return fmt.Sprintf("its listen backlog is %d, as net.core.somaxconn clamps it: %d connections that come at once fill it", limit, limit+1)
	case limit <= TinyBacklog:
		return fmt.Sprintf("its listen backlog is %d: %d connections that come at once fill it", limit, limit+1)
	case limit == somaxconn && limit < small:
		return fmt.Sprintf("its listen backlog is %d, all that net.core.somaxconn allows: a larger one in the server's configuration has no effect", limit)
	}
	return ""
}

// kernel keeps what the samples said for as long as a SYN may wait.
type kernel struct {
	listeners   map[tcpstate.Endpoint]*listener
	sockets     map[string]*socket
	counters    ring[counted] // a sample for each change
	first, last int64         // times of samples
	present     int           // listeners of the newest sample
	somaxconn   uint32
}

type counted struct {
	time int64
	KernelCounters
}

// listener is an endpoint that is listened on, by one socket or several (SO_REUSEPORT).
// Of several the fullest speaks.
type listener struct {
	queue, limit uint32 // newest
	most         uint32 // fullest ever
	seen         int64  // time of the newest sample that has it
	spans        ring[span]
	near         bool // at the newest sample
}

// span is a time in which a queue was near its limit, from sample to sample.
type span struct {
	from, to     int64
	queue, limit uint32 // the fullest
	full         bool   // over the limit: no further connection had room
}

const (
	maxListeners = 1 << 12
	listenerKeep = 600 * second
	// sampleSlack is how far a sample may lie from the moment that it speaks of: longer
	// than the pause between two.
	sampleSlack = 250 * millisecond
)

// Witness takes a sample. Its times are those of the segments' clock.
func (d *Detector) Witness(s *KernelSample) {
	k := d.kernel
	if k == nil {
		k = &kernel{listeners: map[tcpstate.Endpoint]*listener{}, sockets: map[string]*socket{}, first: s.Time}
		d.kernel = k
	}
	before := k.last
	k.last, k.somaxconn = s.Time, s.SOMaxConn
	c := s.Counters
	c.AbortOnData, c.AbortOnClose, c.OutRsts = 0, 0, 0 // not about queues, and always busy
	if n := k.counters.newest(); n == nil || n.KernelCounters != c {
		k.counters.add(counted{s.Time, c})
	}
	for i := range s.Listeners {
		k.take(&s.Listeners[i], s.Time)
	}
	k.present = 0
	for e, l := range k.listeners {
		switch {
		case l.seen == s.Time:
			k.present++
			l.note(before, s.Time)
		case s.Time-l.seen > listenerKeep:
			delete(k.listeners, e)
		default:
			l.near = false
		}
	}
	for i := range s.Sockets {
		d.witnessSocket(&s.Sockets[i], s.Time)
	}
}

func (k *kernel) take(s *KernelListener, now int64) {
	l := k.listeners[s.End]
	if l == nil {
		if len(k.listeners) >= maxListeners {
			return
		}
		l = &listener{}
		k.listeners[s.End] = l
	}
	if l.seen == now && uint64(s.Queue)*uint64(l.limit+1) <= uint64(l.queue)*uint64(s.Limit+1) {
		return
	}
	l.seen, l.queue, l.limit = now, s.Queue, s.Limit
	l.most = max(l.most, s.Queue)
}

// note keeps account of the times in which the queue was near its limit. before is the
// time of the sample before.
func (l *listener) note(before, now int64) {
	full := l.queue > l.limit
	if near := l.queue > 0 && uint64(l.queue)*10 >= uint64(l.limit)*9; !near {
		l.near = false
		return
	}
	if s := l.spans.newest(); l.near && s != nil && s.full == full && s.to == before {
		s.to = now
		if l.queue > s.queue {
			s.queue, s.limit = l.queue, l.limit
		}
	} else {
		l.spans.add(span{now, now, l.queue, l.limit, full})
	}
	l.near = true
}

// at is who listens on an endpoint; nil: nobody, as far as is known.
func (k *kernel) at(e tcpstate.Endpoint) *listener {
	if k == nil {
		return nil
	}
	if l := k.listeners[e]; l != nil {
		return l
	}
	if e.Addr.Is4() {
		if l := k.listeners[tcpstate.Endpoint{Addr: tcpstate.Addr4(make([]byte, 4)), Port: e.Port}]; l != nil {
			return l
		}
	}
	return k.listeners[tcpstate.Endpoint{Port: e.Port}]
}

// listener is who listens on a target of this host; nil: it is another's, or not known.
func (d *Detector) listener(e tcpstate.Endpoint) *listener {
	if d.kernel == nil || d.opt.IsLocal != nil && !d.opt.IsLocal(e.Addr) {
		return nil
	}
	return d.kernel.at(e)
}

// countersAt are the counters at a time, or the oldest that are known.
func (k *kernel) countersAt(at int64) KernelCounters {
	r := &k.counters
	best := r.v[r.next%len(r.v)]
	for _, c := range r.v {
		if c.time <= at && c.time > best.time {
			best = c
		}
	}
	return best.KernelCounters
}

// testimony is what the kernel says of the moments in which a listener let a segment go
// unanswered.
type testimony struct {
	Kernel
	moments  int
	full     int  // of them with a queue over its limit
	overflow int  // of them with ListenOverflows counted right then
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
	x.sole = k.present == 1 || l.nearWithin(begin, end)
	for _, o := range k.listeners {
		x.sole = x.sole && (o == l || !o.nearWithin(begin, end))
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
// it was seen full, or it is the only one that the counted overflows can be of.
func (x *testimony) proves() bool {
	return 2*x.overflow >= x.moments && (2*x.full >= x.moments || x.sole)
}

// hear lets the kernel speak to a finding about a queue.
func (d *Detector) hear(in *incident) {
	f := in.f
	x, ok := d.testify(f.Target, in.moments)
	if !ok {
		return
	}
	f.Measures.Kernel = &Kernel{x.Queue, x.Limit, x.Counted}
	said := "the kernel: " + x.Kernel.String()
	switch {
	case x.proves():
		d.proved(in, said, Certain)
	case 2*x.synq >= x.moments && x.sole && f.Rule != AcceptQueueOverflow:
		d.proved(in, said+", the queue of half-open connections was full", Certain)
	case 2*x.full >= x.moments:
		d.proved(in, said+", but no overflow was counted", Likely)
	case x.overflow > 0:
		d.proved(in, said+", which may be another listener's", Likely)
	case x.synq > 0 && f.Rule != AcceptQueueOverflow:
		d.proved(in, said+", which may be another listener's", Likely)
	default:
		f.Grounds += "; the kernel found the listener's queue at most " + strings.TrimPrefix(x.Kernel.String(), "queue ") + " and counted no overflow"
	}
}

// proved makes a queue that was full of what was suspected to be one.
func (d *Detector) proved(in *incident, said string, c Confidence) {
	f := in.f
	if f.Rule == SYNUnanswered {
		f.Rule = SYNDropped
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
func (d *Detector) await(f *tcpstate.Flow, target tcpstate.Endpoint) {
	if d.kernel != nil && len(d.awaited) < maxAwaited && d.listener(target) != nil {
		d.awaited = append(d.awaited, awaitedSYN{f.Index(), f.Opened})
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
	if f == nil || f.Opened != a.opened || f.Established() || f.Closing() {
		return false
	}
	_, target := f.Sides()
	return !target.SawSYN()
}

func (k *kernel) shift(by int64) {
	if k == nil {
		return
	}
	k.first += by
	k.last += by
	for i := range k.counters.v {
		k.counters.v[i].time += by
	}
	for _, l := range k.listeners {
		l.seen += by
		for i := range l.spans.v {
			l.spans.v[i].from += by
			l.spans.v[i].to += by
		}
	}
	for _, s := range k.sockets {
		s.calm += by
	}
}
