package kernel

import (
	"connrace/detect/internal/ring"
	"connrace/tcpstate"
)

const (
	millisecond = int64(1e6)
	second      = int64(1e9)

	maxListeners = 1 << 12
	// listenerKeep is how long a listener is kept that samples have no more: longer than any
	// SYN waits (tcp_syn_retries 6: 127 s).
	listenerKeep = 600 * second
	// maxDrops bounds the changes of a listener's drops that are kept.
	maxDrops = 1 << 10
	// Slack is how far a sample may lie from the moment that it speaks of: longer than the
	// pause between two, which is 200 ms.
	Slack = 250 * millisecond
	// calmFor is how long a unix socket must have had room before it is said again that it
	// has none, by judgement: one burst, one finding.
	calmFor = 10 * second
)

// History keeps what the samples said for as long as a SYN may wait. The zero value has
// seen none.
type History struct {
	SOMaxConn uint32 // newest

	listeners   map[tcpstate.Endpoint]*State
	sockets     map[string]*socket
	counters    ring.Ring[counted] // a sample for each change
	first, last int64              // times of samples
	present     int                // listeners of the newest sample
}

type counted struct {
	time int64
	Counters
}

// State is an endpoint that is listened on, by one socket or several (SO_REUSEPORT). Of
// several the fullest speaks.
type State struct {
	Queue, Limit uint32 // newest
	Most         uint32 // the longest queue ever

	v6only bool
	seen   int64  // time of the newest sample that has it
	sum    uint64 // of the sockets' drops, newest and at the sample before
	before uint64
	total  uint64             // of what they dropped while they were watched
	drops  ring.Ring[dropped] // the changes of total
	spans  ring.Ring[span]
	near   bool // at the newest sample
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

// socket is a watched unix socket. Nothing of it is ever on a wire: that connections
// failed is not seen, only that the queue was full, and so connect() gave EAGAIN
// (unix_stream_connect, unix_recvq_full).
type socket struct {
	full bool
	calm int64 // since when it has not been full
}

// Empty reports whether there was no sample yet.
func (k *History) Empty() bool { return k.last == 0 }

// Add adds a sample. It returns the unix sockets that have no room any more.
func (k *History) Add(s *Sample) (full []*Socket) {
	if k.Empty() {
		k.listeners, k.sockets, k.first = map[tcpstate.Endpoint]*State{}, map[string]*socket{}, s.Time
	}
	before := k.last
	k.last, k.SOMaxConn = s.Time, s.SOMaxConn
	if n := k.counters.Newest(); n == nil || n.Counters != s.Counters {
		k.counters.Add(counted{s.Time, s.Counters})
	}
	for i := range s.Listeners {
		k.addListener(&s.Listeners[i], s.Time)
	}
	k.present = 0
	for e, l := range k.listeners {
		switch {
		case l.seen == s.Time:
			k.present++
			l.noteQueue(before, s.Time)
			l.noteDrops(s.Time)
		case s.Time-l.seen > listenerKeep:
			delete(k.listeners, e)
		default:
			l.near = false
		}
	}
	for i := range s.Sockets {
		if k.fills(&s.Sockets[i], s.Time) {
			full = append(full, &s.Sockets[i])
		}
	}
	return full
}

func (k *History) addListener(s *Listener, now int64) {
	l := k.listeners[s.End]
	if l == nil {
		if len(k.listeners) >= maxListeners {
			return
		}
		l = &State{drops: ring.Ring[dropped]{Max: maxDrops}}
		k.listeners[s.End] = l
	}
	if l.seen != now {
		l.sum = 0
	}
	l.sum += uint64(s.Drops)
	if l.seen == now && uint64(s.Queue)*uint64(l.Limit+1) <= uint64(l.Queue)*uint64(s.Limit+1) {
		return
	}
	l.seen, l.Queue, l.Limit, l.v6only = now, s.Queue, s.Limit, s.V6Only
	l.Most = max(l.Most, s.Queue)
}

// noteQueue keeps account of the times in which the queue was near its limit. before is
// the time of the sample before.
func (l *State) noteQueue(before, now int64) {
	full := l.Queue > l.Limit
	if near := l.Queue > 0 && uint64(l.Queue)*10 >= uint64(l.Limit)*9; !near {
		l.near = false
		return
	}
	if s := l.spans.Newest(); l.near && s != nil && s.full == full && s.to == before {
		s.to = now
		if l.Queue > s.queue {
			s.queue, s.limit = l.Queue, l.Limit
		}
	} else {
		l.spans.Add(span{now, now, l.Queue, l.Limit, full})
	}
	l.near = true
}

// noteDrops adds up what the sockets dropped. A new socket begins at 0.
func (l *State) noteDrops(now int64) {
	switch {
	case l.drops.Len() == 0:
		l.drops.Add(dropped{now, 0})
	case l.sum > l.before:
		l.total += l.sum - l.before
		l.drops.Add(dropped{now, l.total})
	}
	l.before = l.sum
}

// fills reports whether a unix socket has no room any more, and had for a while.
func (k *History) fills(s *Socket, now int64) (fills bool) {
	x := k.sockets[s.Path]
	if x == nil {
		x = &socket{}
		k.sockets[s.Path] = x
	}
	full := !s.Missing && s.Queue > s.Limit
	switch {
	case full && !x.full:
		fills = x.calm == 0 || now-x.calm >= calmFor
	case !full && x.full:
		x.calm = now
	}
	x.full = full
	return fills
}

// At is who listens on an endpoint; nil: nobody, as far as is known.
func (k *History) At(e tcpstate.Endpoint) *State {
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

// NearLimit reports whether the queue of a listener that fits is near its limit.
func (k *History) NearLimit(fits func(tcpstate.Endpoint) bool) bool {
	for e, l := range k.listeners {
		if l.near && fits(e) {
			return true
		}
	}
	return false
}

// Shift moves the times that are remembered, because the clock was set.
func (k *History) Shift(by int64) {
	if k.Empty() {
		return
	}
	k.first += by
	k.last += by
	k.counters.Each(func(c *counted) { c.time += by })
	for _, l := range k.listeners {
		l.seen += by
		l.drops.Each(func(d *dropped) { d.time += by })
		l.spans.Each(func(s *span) { s.from, s.to = s.from+by, s.to+by })
	}
	for _, s := range k.sockets {
		if s.calm != 0 {
			s.calm += by
		}
	}
}
