package capture

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// sockDiag lists listening sockets (sock_diag(7)).
type sockDiag struct{ netlink }

const tcpListen = 10 // TCP_LISTEN, of unix sockets, too

func (d *sockDiag) open() error { return d.netlink.open("sock_diag", unix.NETLINK_SOCK_DIAG) }

// tcp calls each with the message of each listening TCP socket of a family.
func (d *sockDiag) tcp(family uint8, each func([]byte)) error {
	const size, memInfo = 56, 1 << (7 - 1) // struct inet_diag_req_v2; INET_DIAG_SKMEMINFO
	r := d.request(unix.SOCK_DIAG_BY_FAMILY, size)
	r[0], r[1], r[2] = family, unix.IPPROTO_TCP, memInfo
	binary.NativeEndian.PutUint32(r[4:], 1<<tcpListen)
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
