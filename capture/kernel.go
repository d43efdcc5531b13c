package capture

import "connrace/tcpstate"

// WitnessOptions say what a Witness looks at besides TCP listeners and counters.
type WitnessOptions struct {
	// NetNS is the network namespace, as in LiveOptions.
	NetNS string
	// Unix are paths of listening unix sockets.
	Unix []string
}

// Sample is what the kernel says of one network namespace at a time. Its slices stay valid
// until the next is taken.
type Sample struct {
	Time      int64 // ns since the Unix epoch, when the queues had been read
	Listeners []Listener
	Unix      []UnixListener
	Counters  Counters
	SomaxConn uint32 // net.core.somaxconn, which limits what listen() asks for; 0: not known
}

// Listener is a listening TCP socket; several can share an endpoint (SO_REUSEPORT).
type Listener struct {
	Endpoint  tcpstate.Endpoint // the address can be unspecified
	V6Only    bool
	Interface uint32 // index of the one that it is bound to; 0: any
	Inode     uint32 // tells sockets apart, as /proc/PID/fd shows them
	Queue     uint32 // connections that wait for accept()
	Limit     uint32 // of Queue, which exceeds it by one when it is full
	// Drops are the segments that were dropped because of this listener since it was made:
	// a SYN or a final ACK while the queue was full, and SYNs for want of memory and the
	// like (tcp_listendrop in Linux's include/net/tcp.h). Unlike the counters they are its
	// own.
	Drops uint32
}

// Full reports whether the queue takes no further connection (sk_acceptq_is_full).
func (l *Listener) Full() bool { return l.Queue > l.Limit }

// Serves reports whether connections to e can be the listener's.
func (l *Listener) Serves(e tcpstate.Endpoint) bool {
	a := l.Endpoint.Addr
	switch {
	case l.Endpoint.Port != e.Port:
		return false
	case a == e.Addr:
		return true
	case a == tcpstate.Addr{}:
		return !l.V6Only || !e.Addr.Is4()
	}
	return a.Is4() && uint32(a.Lo) == 0 && e.Addr.Is4()
}

// UnixListener is a listening unix socket.
type UnixListener struct {
	Path  string // as given in WitnessOptions
	Inode uint32
	Queue uint32 // connections that wait for accept()
	Limit uint32 // of Queue, which exceeds it by one when it is full
}

// Full reports whether connect() would block, or fail with EAGAIN (unix_recvq_full).
func (l *UnixListener) Full() bool { return l.Queue > l.Limit }

// Counters are what the kernel counts of a network namespace as a whole (nstat(8); Linux's
// Documentation/networking/snmp_counter.rst).
type Counters struct {
	ListenOverflows      uint64 // segments dropped because an accept queue was full
	ListenDrops          uint64 // those and SYNs dropped for other reasons
	TCPReqQFullDrop      uint64 // SYNs dropped because a SYN queue was full
	TCPReqQFullDoCookies uint64 // SYNs answered with a cookie for that reason
	TCPAbortOnData       uint64 // connections reset: data came after close(), or SO_LINGER
	TCPAbortOnClose      uint64 // connections reset: close() with data unread
	TCPDeferAcceptDrop   uint64 // final ACKs ignored on purpose
	OutRsts              uint64 // RSTs sent
}

// Sub is how much c has grown since before.
func (c Counters) Sub(before Counters) Counters {
	return Counters{
		ListenOverflows:      c.ListenOverflows - before.ListenOverflows,
		ListenDrops:          c.ListenDrops - before.ListenDrops,
		TCPReqQFullDrop:      c.TCPReqQFullDrop - before.TCPReqQFullDrop,
		TCPReqQFullDoCookies: c.TCPReqQFullDoCookies - before.TCPReqQFullDoCookies,
		TCPAbortOnData:       c.TCPAbortOnData - before.TCPAbortOnData,
		TCPAbortOnClose:      c.TCPAbortOnClose - before.TCPAbortOnClose,
		TCPDeferAcceptDrop:   c.TCPDeferAcceptDrop - before.TCPDeferAcceptDrop,
		OutRsts:              c.OutRsts - before.OutRsts,
	}
}
