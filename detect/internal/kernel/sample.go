// Package kernel keeps what samples of a kernel's listening sockets said, and answers
// whether a listener's queue was full at a time.
package kernel

import (
	"fmt"

	"connrace/tcpstate"
)

// Sample is what the kernel of the target's host says of its listeners at one moment,
// where the capture is taken there.
type Sample struct {
	Time      int64 // ns since the Unix epoch
	Listeners []Listener
	Sockets   []Socket // the watched unix sockets
	Counters  Counters
	SOMaxConn uint32 // net.core.somaxconn; 0: unknown
}

// Listener is a listening TCP socket.
type Listener struct {
	End    tcpstate.Endpoint // address 0.0.0.0 or ::, all of the host
	V6Only bool              // :: means IPv6 only
	Queue  uint32            // connections that wait for accept()
	Limit  uint32            // the backlog, as somaxconn clamped it: one more has room (sk_acceptq_is_full)
	Drops  uint32            // segments dropped because of it (tcp_listendrop); 0 also where it is not known
}

// Socket is a unix socket that should be listened on.
type Socket struct {
	Path         string
	Queue, Limit uint32
	Missing      bool // nobody listens there
}

// Counters are counters of a whole network namespace, as /proc/net/netstat has them.
type Counters struct{ ListenOverflows, ListenDrops, ReqQFullDrop, ReqQFullDoCookies uint64 }

func (c Counters) minus(b Counters) Counters {
	return Counters{
		c.ListenOverflows - b.ListenOverflows, c.ListenDrops - b.ListenDrops,
		c.ReqQFullDrop - b.ReqQFullDrop, c.ReqQFullDoCookies - b.ReqQFullDoCookies,
	}
}

// Figures are what the kernel said of a failure: how full the listener's queue was, and
// what it counted meanwhile, in the whole namespace.
type Figures struct {
	Queue, Limit uint32
	Dropped      uint64 // segments, because of this very listener
	Counted      Counters
}

func (k Figures) String() string {
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
