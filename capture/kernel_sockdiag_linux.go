package capture

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// sockDiag lists sockets (sock_diag(7)).
type sockDiag struct{ netlink }

const tcpListen = 10 // TCP_LISTEN, of unix sockets, too

func (d *sockDiag) open() error { return d.netlink.open("sock_diag", unix.NETLINK_SOCK_DIAG) }

// memInfo asks for a socket's memory and drops (INET_DIAG_SKMEMINFO).
const memInfo = 1 << (7 - 1)

// tcp calls each with the message of each TCP socket of a family that is in one of some states,
// which are bits; more are what else is asked for.
func (d *sockDiag) tcp(family uint8, states uint32, more uint8, each func([]byte)) error {
	return d.inet(family, unix.IPPROTO_TCP, states, more, each)
}

// mptcp is tcp for sockets of Multipath TCP, as Go's listeners are: a TCP socket that belongs to
// one has an inode that no process knows.
func (d *sockDiag) mptcp(family uint8, states uint32, each func([]byte)) error {
	err := d.inet(family, unix.IPPROTO_MPTCP, states, 0, each)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) {
		return nil // a kernel without it, or without its mptcp_diag
	}
	return err
}

func (d *sockDiag) inet(family uint8, protocol, states uint32, more uint8, each func([]byte)) error {
	const size, attrProtocol = 56, 3 // struct inet_diag_req_v2; INET_DIAG_REQ_PROTOCOL
	attr := 0
	if protocol > 255 { // which the request itself has no room for
		attr = 8
	}
	r := d.request(unix.SOCK_DIAG_BY_FAMILY, size+attr)
	r[0], r[1], r[2] = family, uint8(protocol), more
	binary.NativeEndian.PutUint32(r[4:], states)
	if attr > 0 {
		binary.NativeEndian.PutUint16(r[size:], uint16(attr))
		binary.NativeEndian.PutUint16(r[size+2:], attrProtocol)
		binary.NativeEndian.PutUint32(r[size+4:], protocol)
	}
	err := d.dump(unix.SOCK_DIAG_BY_FAMILY, each)
	if errors.Is(err, unix.ENOENT) {
		if family == unix.AF_INET6 {
			return nil // a kernel without IPv6
		}
		return fmt.Errorf("the kernel has no inet_diag and tcp_diag: %w", err)
	}
	return err
}

// unix calls each with the message of each listening unix socket.
func (d *sockDiag) unix(each func([]byte)) error {
	const size, name, file, queue = 24, 1, 2, 0x10 // struct unix_diag_req; UDIAG_SHOW_…
	r := d.request(unix.SOCK_DIAG_BY_FAMILY, size)
	r[0] = unix.AF_UNIX
	binary.NativeEndian.PutUint32(r[4:], 1<<tcpListen)
	binary.NativeEndian.PutUint32(r[12:], name|file|queue)
	err := d.dump(unix.SOCK_DIAG_BY_FAMILY, each)
	if errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("the kernel has no unix_diag: %w", err)
	}
	return err
}
