package detect

import (
	"fmt"

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
	End    tcpstate.Endpoint // address 0.0.0.0 or ::, all of the host
	V6Only bool              // :: means IPv6 only
	Queue  uint32            // connections that wait for accept()
	Limit  uint32            // the backlog, as somaxconn clamped it: one more has room (sk_acceptq_is_full)
	Drops  uint32            // segments dropped because of it (tcp_listendrop); 0 also where it is not known
}

// KernelSocket is a unix socket that should be listened on.
type KernelSocket struct {
	Path         string
	Queue, Limit uint32
	Missing      bool // nobody listens there
}

// KernelCounters are counters of a whole network namespace, as /proc/net/netstat has them.
type KernelCounters struct {
	ListenOverflows, ListenDrops    uint64
	ReqQFullDrop, ReqQFullDoCookies uint64
}

func (c KernelCounters) minus(b KernelCounters) KernelCounters {
	return KernelCounters{
		c.ListenOverflows - b.ListenOverflows, c.ListenDrops - b.ListenDrops,
		c.ReqQFullDrop - b.ReqQFullDrop, c.ReqQFullDoCookies - b.ReqQFullDoCookies,
	}
}

// Kernel is what the kernel said of an incident: how full the listener's queue was, and
// what it counted meanwhile, in the whole namespace.
type Kernel struct {
	Queue, Limit uint32
	Dropped      uint64 // segments, because of this very listener
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
	if k.Dropped > 0 {
		s += fmt.Sprintf(", %d dropped by this listener", k.Dropped)
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
	v6only       bool
	most         uint32 // fullest ever
	seen         int64  // time of the newest sample that has it
	sum          uint64 // of the sockets' drops, newest and at the sample before
	before       uint64
	total        uint64        // of what they dropped while they were watched
	drops        ring[dropped] // the changes of total
	spans        ring[span]
	near         bool // at the newest sample
}

type dropped struct {
	time  int64
	total uint64
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
			l.count(s.Time)
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
		l = &listener{drops: ring[dropped]{max: liveSamples}}
		k.listeners[s.End] = l
	}
	if l.seen != now {
		l.sum = 0
	}
	l.sum += uint64(s.Drops)
	if l.seen == now && uint64(s.Queue)*uint64(l.limit+1) <= uint64(l.queue)*uint64(s.Limit+1) {
		return
	}
	l.seen, l.queue, l.limit, l.v6only = now, s.Queue, s.Limit, s.V6Only
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

// count adds up what the sockets dropped. A new socket begins at 0.
func (l *listener) count(now int64) {
	switch {
	case len(l.drops.v) == 0:
		l.drops.add(dropped{now, 0})
	case l.sum > l.before:
		l.total += l.sum - l.before
		l.drops.add(dropped{now, l.total})
	}
	l.before = l.sum
}

// droppedAt is what the sockets had dropped at a time.
func (l *listener) droppedAt(at int64) uint64 {
	r := &l.drops
	if len(r.v) == 0 {
		return 0
	}
	best := r.v[r.next%len(r.v)]
	for _, d := range r.v {
		if d.time <= at && d.time > best.time {
			best = d
		}
	}
	return best.total
}

// at is who listens on an endpoint; nil: nobody, as far as is known.
func (k *kernel) at(e tcpstate.Endpoint) *listener {
	if k == nil {
		return nil
	}
	if l := k.listeners[e]; l != nil {
		return l
	}
	l := k.listeners[tcpstate.Endpoint{Port: e.Port}]
	if e.Addr.Is4() {
		if l4 := k.listeners[tcpstate.Endpoint{Addr: tcpstate.Addr4(make([]byte, 4)), Port: e.Port}]; l4 != nil {
			return l4
		}
		if l != nil && l.v6only {
			return nil
		}
	}
	return l
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
		for i := range l.drops.v {
			l.drops.v[i].time += by
		}
		for i := range l.spans.v {
			l.spans.v[i].from += by
			l.spans.v[i].to += by
		}
	}
	for _, s := range k.sockets {
		s.calm += by
	}
}
