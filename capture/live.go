package capture

import (
	"fmt"
	"time"
)

// AnyInterface stands for all interfaces.
const AnyInterface = "any"

// What LiveOptions mean where they are zero.
const (
	DefaultSnaplen = 1024
	DefaultRing    = 64 << 20
	DefaultIdle    = 100 * time.Millisecond
)

// maxSnaplen is more than any packet has, as tcpdump's.
const maxSnaplen = 256 << 10

// LiveOptions say what is captured.
type LiveOptions struct {
	// Interfaces are names, or AnyInterface alone. A packet that crosses several of them is
	// delivered once.
	Interfaces []string
	// NetNS is the network namespace that they are in: a process id, a path or a name as
	// of ip-netns(8); "" is the process's own.
	NetNS       string
	Filter      *Filter // nil: all TCP
	Snaplen     int     // bytes kept of each packet
	Ring        int     // size in bytes of what is shared with the kernel
	Promiscuous bool    // named interfaces also receive packets for other hosts
	// Idle is how long Read waits for a packet before it returns none.
	Idle time.Duration
	// Link, if set, is told within Read that a named interface went down, came up again,
	// or is no more.
	Link func(LinkEvent)
}

// withDefaults fills in what was left out.
func (o LiveOptions) withDefaults() (LiveOptions, error) {
	if o.Snaplen == 0 {
		o.Snaplen = DefaultSnaplen
	}
	if o.Ring == 0 {
		o.Ring = DefaultRing
	}
	if o.Idle == 0 {
		o.Idle = DefaultIdle
	}
	switch {
	case len(o.Interfaces) == 0:
		return o, fmt.Errorf("no interface to capture from")
	case o.Snaplen < 0 || o.Snaplen > maxSnaplen:
		return o, fmt.Errorf("a snapshot length of %d is not between 1 and %d", o.Snaplen, maxSnaplen)
	case o.Ring < 0:
		return o, fmt.Errorf("a ring of %d bytes is not possible", o.Ring)
	}
	return o, nil
}

// LinkEvent is what happened to a watched interface.
type LinkEvent struct {
	Interface string
	State     LinkState
}

// LinkState says whether packets can come.
type LinkState uint8

// The states of an interface.
const (
	LinkUp LinkState = iota
	LinkDown
	LinkGone // removed, or moved to another namespace
)

func (s LinkState) String() string {
	return [...]string{LinkUp: "up", LinkDown: "down", LinkGone: "gone"}[s]
}

// LiveStats count what a Live has met since it was opened.
type LiveStats struct {
	Packets uint64 // that passed the filter, dropped ones included
	Drops   uint64 // of them dropped by the kernel, because the ring was full
	Freezes uint64 // how often it was full
	Copies  uint64 // left out: seen on another interface before
}
