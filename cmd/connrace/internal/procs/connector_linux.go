package procs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"connrace/detect"
)

// connector tells of processes that end: PROC_EVENTS by the netlink connector (Linux's
// Documentation/driver-api/connector.rst). It needs CAP_NET_ADMIN, and exists only in the
// network and process namespaces that the host began with.
type connector struct{ fd int }

const (
	netlinkHeader = 16
	cnHeader      = 20 // struct cn_msg
	cnProc        = 1  // CN_IDX_PROC, CN_VAL_PROC
	procListen    = 1  // PROC_CN_MCAST_LISTEN
	procExit      = 0x80000000
)

// openConnector asks for the events.
func openConnector() (c *connector, err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_CONNECTOR)
	if err != nil {
		return nil, fmt.Errorf("process connector: %w", err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
			err = fmt.Errorf("process connector: %w", err)
		}
	}()
	// Of all events only ends are passed on. Their kind is in the host's order, and the filter
	// reads that of the network.
	var kind [4]byte
	binary.NativeEndian.PutUint32(kind[:], procExit)
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: netlinkHeader + cnHeader},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: binary.BigEndian.Uint32(kind[:]), Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0xffff},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}
	if err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: unsafe.SliceData(filter)}); err != nil {
		return nil, err
	}
	if err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1<<20); err != nil {
		return nil, err
	}
	// So that waiting for events ends now and then.
	if err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100e3}); err != nil {
		return nil, err
	}
	if err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: cnProc}); err != nil {
		return nil, err
	}
	m := make([]byte, netlinkHeader+cnHeader+4)
	binary.NativeEndian.PutUint32(m[0:], uint32(len(m)))
	binary.NativeEndian.PutUint16(m[4:], unix.NLMSG_DONE)
	binary.NativeEndian.PutUint32(m[16:], cnProc)
	binary.NativeEndian.PutUint32(m[20:], cnProc)
	binary.NativeEndian.PutUint16(m[32:], 4)
	binary.NativeEndian.PutUint32(m[36:], procListen)
	if err = unix.Sendto(fd, m, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	return &connector{fd}, nil
}

// run notes ends in a book, for good.
func (c *connector) run(b *book) {
	buf := make([]byte, 4096)
	for {
		n, _, err := unix.Recvfrom(c.fd, buf, 0)
		switch {
		case errors.Is(err, unix.ENOBUFS):
			b.missed()
		case err == nil:
			if pid, e, ok := parseExit(buf[:n]); ok {
				e.Time += sinceBoot()
				b.exited(pid, 0, e)
			}
		case !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR):
			return
		}
	}
}

// parseExit reads a message about the end of a process (struct proc_event); its time is since
// the host began. Ends of threads alone are none.
func parseExit(m []byte) (pid int, e detect.Exit, ok bool) {
	const when, thread, group, code, size = 8, 16, 20, 24, 32
	if len(m) < netlinkHeader+cnHeader+size {
		return 0, e, false
	}
	m = m[netlinkHeader+cnHeader:]
	u32 := func(at int) uint32 { return binary.NativeEndian.Uint32(m[at:]) }
	if u32(0) != procExit || u32(thread) != u32(group) {
		return 0, e, false
	}
	e = exitOf(u32(code))
	e.Time = int64(binary.NativeEndian.Uint64(m[when:]))
	return int(u32(group)), e, true
}

// sinceBoot is what must be added to times of CLOCK_MONOTONIC to have those since the Unix epoch.
// Both clocks are read at the same time only if nothing comes in between, which on a busy machine it
// may for longer than what tells two closes apart.
func sinceBoot() (ns int64) {
	const near = int64(20 * time.Microsecond)
	least := int64(math.MaxInt64)
	for range 10 {
		var before, at, after unix.Timespec
		if unix.ClockGettime(unix.CLOCK_MONOTONIC, &before) != nil || unix.ClockGettime(unix.CLOCK_REALTIME, &at) != nil || unix.ClockGettime(unix.CLOCK_MONOTONIC, &after) != nil {
			return 0
		}
		if took := after.Nano() - before.Nano(); took < least {
			least, ns = took, at.Nano()-before.Nano()-took/2
		}
		if least < near {
			break
		}
	}
	return ns
}
