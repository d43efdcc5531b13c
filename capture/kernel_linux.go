package capture

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"connrace/tcpstate"
)

// Witness asks the kernel about the listeners of a network namespace: what a capture can
// only infer, the kernel knows. A Witness belongs to one goroutine.
type Witness struct {
	diag     sockDiag
	route    netlink // its addresses
	netstat  counterFile
	somax    *os.File
	paths    []unixPath
	sample   Sample
	somaxBuf [16]byte

	netns     uint32   // the namespace's number
	elsewhere bool     // the sockets' files are those of another process
	root      *os.File // its root; nil: it is not seen
}

// unixPath is a unix socket that is asked for.
type unixPath struct {
	path string // as it was given, and as it was bound if the socket's file is not seen
	stat unix.Stat_t
	seen bool // stat is valid
}

// OpenWitness opens the sockets and files that Sample reads, in the namespace. Only entering
// another namespace needs a privilege.
func OpenWitness(o WitnessOptions) (*Witness, error) {
	w := &Witness{diag: sockDiag{netlink{fd: -1}}, route: netlink{fd: -1}}
	for _, path := range o.Unix {
		w.paths = append(w.paths, unixPath{path: path})
	}
	if _, err := strconv.ParseUint(o.NetNS, 10, 32); err == nil && len(o.Unix) > 0 {
		// Opened once: it needs a privilege over the process that may be dropped later.
		w.elsewhere = true
		w.root, _ = os.OpenFile(filepath.Join("/proc", o.NetNS, "root"), unix.O_PATH|unix.O_DIRECTORY, 0)
	}
	var err error
	if err = inNetNS(o.NetNS, w.open); err == nil {
		_, err = w.Sample()
	}
	if err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

func (w *Witness) open() (err error) {
	if err := w.diag.open(); err != nil {
		return err
	}
	if err := w.route.open("rtnetlink", unix.NETLINK_ROUTE); err != nil {
		return err
	}
	if st := (unix.Stat_t{}); unix.Stat("/proc/thread-self/ns/net", &st) == nil {
		w.netns = uint32(st.Ino)
	}
	c := &w.sample.Counters
	w.netstat.prefix = "TcpExt:"
	w.netstat.values = map[string]*uint64{
		"ListenOverflows": &c.ListenOverflows, "ListenDrops": &c.ListenDrops,
		"TCPReqQFullDrop": &c.ReqQFullDrop, "TCPReqQFullDoCookies": &c.ReqQFullDoCookies,
	}
	if w.netstat.f, err = os.Open("/proc/thread-self/net/netstat"); err != nil {
		return err
	}
	// Containers may hide it.
	w.somax, _ = os.Open("/proc/sys/net/core/somaxconn")
	return nil
}

// Sample reads the queues, then the counters. The result is overwritten by the next call.
func (w *Witness) Sample() (Sample, error) {
	s := &w.sample
	s.Listeners, s.Unix = s.Listeners[:0], s.Unix[:0]
	for _, family := range [...]uint8{unix.AF_INET, unix.AF_INET6} {
		if err := w.diag.tcp(family, 1<<tcpListen, memInfo, w.listener); err != nil {
			return Sample{}, err
		}
	}
	if len(w.paths) > 0 {
		for i := range w.paths {
			p := &w.paths[i]
			p.seen = w.stat(p.path, &p.stat) == nil
		}
		if err := w.diag.unix(w.unixListener); err != nil {
			return Sample{}, err
		}
	}
	s.Time = time.Now().UnixNano()
	if err := w.netstat.read(); err != nil {
		return Sample{}, err
	}
	s.SomaxConn = w.somaxconn()
	return *s, nil
}

// stat is stat(2) of a socket's file, in the file system of the process that is watched.
func (w *Witness) stat(path string, st *unix.Stat_t) error {
	switch {
	case !w.elsewhere:
		return unix.Stat(path, st)
	case w.root == nil:
		return unix.EACCES
	}
	return unix.Fstatat(int(w.root.Fd()), strings.TrimLeft(path, "/"), st, 0)
}

// attrV6Only is of a socket that may listen (INET_DIAG_SKV6ONLY).
const attrV6Only = 11

// listener takes a TCP socket's message (struct inet_diag_msg).
func (w *Witness) listener(m []byte) {
	const (
		port, addr, rqueue, wqueue, size = 4, 8, 56, 60, 72
		attrMemInfo                      = 7
		memDrops                         = 8 // SK_MEMINFO_DROPS
	)
	if len(m) < size {
		return
	}
	l := Listener{
		End:   tcpstate.Endpoint{Addr: tcpstate.Addr16(m[addr:]).Unmap(), Port: be16(m, port)},
		Queue: native32(m[rqueue:]), Limit: native32(m[wqueue:]),
	}
	if m[0] == unix.AF_INET {
		l.End.Addr = tcpstate.Addr4(m[addr:])
	}
	for kind, v := range attributes(m[size:]) {
		switch {
		case kind == attrMemInfo && len(v) >= memDrops*4+4:
			l.Drops = native32(v[memDrops*4:])
		case kind == attrV6Only && len(v) >= 1:
			l.V6Only = v[0] != 0
		}
	}
	w.sample.Listeners = append(w.sample.Listeners, l)
}

// Sockets calls each with the TCP sockets that are in one of some states (bits 1<<state, states as
// in Linux's include/net/tcp_states.h).
func (w *Witness) Sockets(states uint32, each func(*Socket)) error {
	const (
		port, peerPort, addr, peerAddr, inode, size = 4, 6, 8, 24, 68, 72 // struct inet_diag_msg
	)
	for _, family := range [...]uint8{unix.AF_INET, unix.AF_INET6} {
		take := func(m []byte) {
			if len(m) < size {
				return
			}
			of := func(addr, port int) tcpstate.Endpoint {
				e := tcpstate.Endpoint{Addr: tcpstate.Addr16(m[addr:]).Unmap(), Port: be16(m, port)}
				if m[0] == unix.AF_INET {
					e.Addr = tcpstate.Addr4(m[addr:])
				}
				return e
			}
			s := Socket{Local: of(addr, port), Remote: of(peerAddr, peerPort), Inode: native32(m[inode:])}
			for kind, v := range attributes(m[size:]) {
				if kind == attrV6Only && len(v) >= 1 {
					s.V6Only = v[0] != 0
				}
			}
			each(&s)
		}
		if err := w.diag.tcp(family, states, 0, take); err != nil {
			return err
		}
		if err := w.diag.mptcp(family, states, take); err != nil {
			return err
		}
	}
	return nil
}

// NetNS is the number of the namespace, by which the kernel tells it from others; 0: unknown.
func (w *Witness) NetNS() uint32 { return w.netns }

// unixListener takes a unix socket's message (struct unix_diag_msg).
func (w *Witness) unixListener(m []byte) {
	const (
		size                        = 16
		attrName, attrFile, attrLen = 0, 1, 4
	)
	if len(m) < size {
		return
	}
	var name, file []byte
	var l UnixListener
	for kind, v := range attributes(m[size:]) {
		switch {
		case kind == attrName:
			name = v
		case kind == attrFile && len(v) >= 8:
			file = v
		case kind == attrLen && len(v) >= 8:
			l.Queue, l.Limit = native32(v), native32(v[4:])
		}
	}
	for i := range w.paths {
		if p := &w.paths[i]; p.is(name, file) {
			l.Path = p.path
			w.sample.Unix = append(w.sample.Unix, l)
		}
	}
}

// is reports whether p is the socket that was bound to name and made file. The name is not
// enough: a server that restarts replaces the file, and the old socket keeps its name.
func (p *unixPath) is(name, file []byte) bool {
	const minorBits = 20 // of the kernel's own dev_t
	for len(name) > 0 && name[len(name)-1] == 0 {
		name = name[:len(name)-1]
	}
	if !p.seen || file == nil {
		return string(name) == p.path
	}
	dev := native32(file[4:])
	same := native32(file) == uint32(p.stat.Ino)
	return same && (string(name) == p.path ||
		dev>>minorBits == unix.Major(uint64(p.stat.Dev)) && dev&(1<<minorBits-1) == unix.Minor(uint64(p.stat.Dev)))
}

func (w *Witness) somaxconn() uint32 {
	if w.somax == nil {
		return 0
	}
	n, _ := w.somax.ReadAt(w.somaxBuf[:], 0)
	v, _ := strconv.ParseUint(string(bytes.TrimSpace(w.somaxBuf[:n])), 10, 32)
	return uint32(v)
}

// Close releases what Witness holds.
func (w *Witness) Close() error {
	w.diag.close()
	w.route.close()
	var errs []error
	for _, f := range []*os.File{w.netstat.f, w.somax, w.root} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// counterFile is a file like /proc/net/netstat: a line of names, then a line of values, both
// with the same prefix.
type counterFile struct {
	f      *os.File
	prefix string
	values map[string]*uint64 // by name; this kernel may count less
	buf    [64 << 10]byte     // the whole is read at once: else it might change meanwhile
}

// read reads the counters.
func (c *counterFile) read() error {
	n, err := c.f.ReadAt(c.buf[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	var names [][]byte
	for line := range bytes.Lines(c.buf[:n]) {
		switch fields := bytes.Fields(line); {
		case len(fields) == 0 || string(fields[0]) != c.prefix:
		case names == nil:
			names = fields
		default:
			for i := range min(len(names), len(fields)) {
				if v := c.values[string(names[i])]; v != nil {
					*v, _ = strconv.ParseUint(string(fields[i]), 10, 64)
				}
			}
			return nil
		}
	}
	return fmt.Errorf("%s: has no %s lines", c.f.Name(), c.prefix)
}

// LocalAddrs returns the addresses that the namespace has now. Each of 127.0.0.0/8 is
// local, too. It asks a socket that was opened there (rtnetlink(7)): to enter the namespace
// anew would need CAP_SYS_ADMIN for as long as it is watched.
func (w *Witness) LocalAddrs() (map[tcpstate.Addr]bool, error) {
	local := map[tcpstate.Addr]bool{}
	const size = 8 // struct ifaddrmsg
	w.route.request(unix.RTM_GETADDR, size)[0] = unix.AF_UNSPEC
	err := w.route.dump(unix.RTM_NEWADDR, func(m []byte) {
		if len(m) < size {
			return
		}
		// IFA_LOCAL is the interface's own where IFA_ADDRESS is its peer's; IPv6 has only the
		// latter unless there is a peer.
		var addr []byte
		for kind, v := range attributes(m[size:]) {
			if kind == unix.IFA_LOCAL || kind == unix.IFA_ADDRESS && addr == nil {
				addr = v
			}
		}
		switch {
		case m[0] == unix.AF_INET && len(addr) == 4:
			local[tcpstate.Addr4(addr)] = true
		case m[0] == unix.AF_INET6 && len(addr) == 16:
			local[tcpstate.Addr16(addr)] = true
		}
	})
	if err != nil {
		return nil, err
	}
	return local, nil
}
