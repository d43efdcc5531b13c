package capture

import "connrace/tcpstate"

// WitnessOptions say what a Witness looks at besides TCP listeners and counters.
type WitnessOptions struct {
	// NetNS is the network namespace, as in LiveOptions.
	NetNS string
	// Unix are the paths of listening unix sockets.
	Unix []string
}

// Sample is what the kernel says of one network namespace at one moment. Its slices stay
// valid until the next call of Witness.Sample.
//
// Listener and Counters have the fields of detect.KernelListener and detect.KernelCounters,
// so that Go converts between them; detect must not import this package, nor this one detect.
type Sample struct {
	Time      int64 // ns since the Unix epoch, when the queues had been read
	Listeners []Listener
	Unix      []UnixListener
	Counters  Counters
	SomaxConn uint32 // net.core.somaxconn, which limits what listen() asks for; 0: not known
}

// Listener is a listening TCP socket; several can share an endpoint (SO_REUSEPORT).
type Listener struct {
	End    tcpstate.Endpoint // the address can be unspecified
	V6Only bool              // :: means IPv6 only
	Queue  uint32            // connections that wait for accept()
	Limit  uint32            // the queue is full when Queue exceeds it (sk_acceptq_is_full)
	// Drops counts the segments dropped because of this listener since it was made: a SYN or
	// a final ACK while the queue was full, and SYNs dropped because memory was short and
	// the like (tcp_listendrop in Linux's include/net/tcp.h). Counters are of the whole
	// namespace, Drops of this socket alone.
	Drops uint32
}

// Socket is a TCP socket.
type Socket struct {
	Local, Remote tcpstate.Endpoint
	// Inode is the number by which /proc/PID/fd names it; 0: no process has it, be it that none
	// has accepted it yet, or that all have closed it.
	Inode uint32
	// V6Only: it listens on :: for IPv6 only.
	V6Only bool
}

// UnixListener is a listening unix socket.
type UnixListener struct {
	Path  string // as given in WitnessOptions
	Queue uint32 // connections that wait for accept()
	Limit uint32 // connect() blocks, or fails with EAGAIN, when Queue exceeds it (unix_recvq_full)
}

// Counters are what the kernel counts in a network namespace as a whole: TcpExt of
// /proc/net/netstat, without its prefix TCP (Documentation/networking/snmp_counter.rst in
// Linux).
type Counters struct {
	ListenOverflows   uint64 // segments dropped because an accept queue was full
	ListenDrops       uint64 // those and SYNs dropped for other reasons
	ReqQFullDrop      uint64 // SYNs dropped because a SYN queue was full
	ReqQFullDoCookies uint64 // SYNs answered with a cookie because a SYN queue was full
}
