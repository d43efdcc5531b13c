package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"

	"golang.org/x/sys/unix"
)

// netlink asks the kernel for lists of something (netlink(7)), in the network namespace in
// which it was opened.
type netlink struct {
	name string // of the protocol, for errors
	fd   int    // -1: not open
	seq  uint32
	req  []byte
	buf  []byte
}

const (
	netlinkHeader = 16
	// dumpBuffer is more than the kernel puts into one answer of a dump (netlink_dump).
	dumpBuffer = 32 << 10
)

func (d *netlink) open(name string, protocol int) (err error) {
	d.name = name
	d.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	d.buf = make([]byte, dumpBuffer)
	// The kernel answers at once; the limit only keeps a mistake from blocking forever.
	return unix.SetsockoptTimeval(d.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1})
}

func (d *netlink) close() {
	if d.fd >= 0 {
		unix.Close(d.fd)
		d.fd = -1
	}
}

// request makes room for a request of size bytes.
func (d *netlink) request(kind uint16, size int) []byte {
	if cap(d.req) < netlinkHeader+size {
		d.req = make([]byte, 128)
	}
	d.req = d.req[:netlinkHeader+size]
	clear(d.req)
	d.seq++
	binary.NativeEndian.PutUint32(d.req[0:], uint32(len(d.req)))
	binary.NativeEndian.PutUint16(d.req[4:], kind)
	binary.NativeEndian.PutUint16(d.req[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	binary.NativeEndian.PutUint32(d.req[8:], d.seq)
	return d.req[netlinkHeader:]
}

// dump sends the request and calls each with the answers, which are of a kind.
func (d *netlink) dump(kind uint16, each func([]byte)) error {
	if _, err := unix.Write(d.fd, d.req); err != nil {
		return fmt.Errorf("%s: %w", d.name, err)
	}
	for {
		n, err := unix.Read(d.fd, d.buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
		if done, err := d.answers(d.buf[:n], kind, each); done || err != nil {
			return err
		}
	}
}

// answers calls each with the messages in b; done: there are no more.
func (d *netlink) answers(b []byte, kind uint16, each func([]byte)) (done bool, err error) {
	for len(b) >= netlinkHeader {
		n := int(native32(b))
		if n < netlinkHeader || n > len(b) {
			return false, fmt.Errorf("%s: %w", d.name, io.ErrUnexpectedEOF)
		}
		m := b[netlinkHeader:n]
		is, seq := binary.NativeEndian.Uint16(b[4:]), native32(b[8:])
		b = b[min((n+3)&^3, len(b)):]
		if seq != d.seq {
			continue // of a request that was given up
		}
		switch is {
		case unix.NLMSG_DONE, unix.NLMSG_ERROR:
			if len(m) >= 4 && native32(m) != 0 {
				return true, fmt.Errorf("%s: %w", d.name, unix.Errno(-int32(native32(m))))
			}
			return true, nil
		case kind:
			each(m)
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
