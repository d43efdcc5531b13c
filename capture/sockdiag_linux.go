package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"

	"golang.org/x/sys/unix"
)

// sockDiag lists listening sockets (sock_diag(7)).
type sockDiag struct {
	fd  int
	seq uint32
	req []byte
	buf []byte
}

const (
	netlinkHeader = 16
	// diagBuffer is more than the kernel puts into one answer of a dump (netlink_dump).
	diagBuffer = 32 << 10
	tcpListen  = 10 // TCP_LISTEN, of unix sockets, too
)

func (d *sockDiag) open() (err error) {
	d.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return fmt.Errorf("sock_diag: %w", err)
	}
	d.buf = make([]byte, diagBuffer)
	// The kernel answers at once; should it not, nobody waits forever.
	return unix.SetsockoptTimeval(d.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1})
}

func (d *sockDiag) close() {
	if d.fd >= 0 {
		unix.Close(d.fd)
		d.fd = -1
	}
}

// tcp calls take with the message of each listening TCP socket of a family.
func (d *sockDiag) tcp(family uint8, take func([]byte)) error {
	const size, memInfo = 56, 1 << (7 - 1) // struct inet_diag_req_v2; INET_DIAG_SKMEMINFO
	r := d.request(size)
	r[0], r[1], r[2] = family, unix.IPPROTO_TCP, memInfo
	binary.NativeEndian.PutUint32(r[4:], 1<<tcpListen)
	err := d.dump(take)
	if errors.Is(err, unix.ENOENT) {
		if family == unix.AF_INET6 {
			return nil // a kernel without IPv6
		}
		return fmt.Errorf("sock_diag: the kernel has no inet_diag and tcp_diag: %w", err)
	}
	return err
}

// unix calls take with the message of each listening unix socket.
func (d *sockDiag) unix(take func([]byte)) error {
	const size, name, file, queue = 24, 1, 2, 0x10 // struct unix_diag_req; UDIAG_SHOW_…
	r := d.request(size)
	r[0] = unix.AF_UNIX
	binary.NativeEndian.PutUint32(r[4:], 1<<tcpListen)
	binary.NativeEndian.PutUint32(r[12:], name|file|queue)
	err := d.dump(take)
	if errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("sock_diag: the kernel has no unix_diag: %w", err)
	}
	return err
}

// request makes room for a request of size octets.
func (d *sockDiag) request(size int) []byte {
	if cap(d.req) < netlinkHeader+size {
		d.req = make([]byte, 128)
	}
	d.req = d.req[:netlinkHeader+size]
	clear(d.req)
	d.seq++
	binary.NativeEndian.PutUint32(d.req[0:], uint32(len(d.req)))
	binary.NativeEndian.PutUint16(d.req[4:], unix.SOCK_DIAG_BY_FAMILY)
	binary.NativeEndian.PutUint16(d.req[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	binary.NativeEndian.PutUint32(d.req[8:], d.seq)
	return d.req[netlinkHeader:]
}

// dump sends the request and calls take with the answers.
func (d *sockDiag) dump(take func([]byte)) error {
	if _, err := unix.Write(d.fd, d.req); err != nil {
		return fmt.Errorf("sock_diag: %w", err)
	}
	for {
		n, err := unix.Read(d.fd, d.buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("sock_diag: %w", err)
		}
		if done, err := d.answers(d.buf[:n], take); done || err != nil {
			return err
		}
	}
}

// answers takes the messages in b; done: there are no more.
func (d *sockDiag) answers(b []byte, take func([]byte)) (done bool, err error) {
	for len(b) >= netlinkHeader {
		n := int(native32(b))
		if n < netlinkHeader || n > len(b) {
			return false, fmt.Errorf("sock_diag: %w", io.ErrUnexpectedEOF)
		}
		m := b[netlinkHeader:n]
		kind, seq := binary.NativeEndian.Uint16(b[4:]), native32(b[8:])
		b = b[min((n+3)&^3, len(b)):]
		if seq != d.seq {
			continue // of a request that was given up
		}
		switch kind {
		case unix.NLMSG_DONE, unix.NLMSG_ERROR:
			if len(m) >= 4 && native32(m) != 0 {
				return true, fmt.Errorf("sock_diag: %w", unix.Errno(-int32(native32(m))))
			}
			return true, nil
		case unix.SOCK_DIAG_BY_FAMILY:
			take(m)
		}
	}
	return false, nil
}

// attributes are the netlink attributes in b, as many as are whole.
func attributes(b []byte) iter.Seq2[uint16, []byte] {
	const header = 4
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= header {
			n := int(binary.NativeEndian.Uint16(b))
			if n < header || n > len(b) || !yield(binary.NativeEndian.Uint16(b[2:])&^unix.NLA_F_NESTED, b[header:n]) {
				return
			}
			b = b[min((n+3)&^3, len(b)):]
		}
	}
}

func native32(b []byte) uint32 { return binary.NativeEndian.Uint32(b) }
