package capture

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Live captures from interfaces. It is a Source, but for Read's returning nothing now and
// then. Read, Stats, Info and Close belong to one goroutine.
type Live struct {
	opt   LiveOptions
	fd    int
	ring  ring
	links []link
	names map[uint32]string
	pins  *pins // nil: one interface
	info  Info
	stats LiveStats

	gap     bool      // packets were dropped in front of the next frame
	looked  time.Time // at the links
	bounced bool      // the only one was down for a moment at least
	end     error     // what Read returns once it is empty; nil: it goes on
	endTime time.Time // when it is

	wake struct {
		sync.Mutex
		fd int // an eventfd; -1: closed
	}
	stop atomic.Bool
}

// link is a named interface.
type link struct {
	name  string
	index uint32
	state LinkState
}

const (
	// blockSize is what a ring is made of: a block is handed over when it is full or
	// blockAge old, so many small blocks outlast a stalled reader however few packets
	// they hold.
	blockSize = 256 << 10
	blockAge  = 50 * time.Millisecond
	// lookEvery is how often named interfaces are looked at, lookSoon while one is down.
	lookEvery = time.Second
	lookSoon  = 100 * time.Millisecond
	maxNames  = 1 << 16
)

// OpenLive begins to capture. Not one packet comes that the filter refuses: the filter is
// there before the socket is.
func OpenLive(o LiveOptions) (*Live, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	l := &Live{opt: o, fd: -1, names: make(map[uint32]string)}
	l.wake.fd = -1
	if err := l.open(); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func (l *Live) open() error {
	var err error
	if l.wake.fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	err = inNetNS(l.opt.NetNS, func() error {
		// Without a protocol the socket gets no packet yet.
		if l.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return socketError(err)
		}
		return l.findLinks()
	})
	if err != nil {
		return err
	}
	f := filterLink{header: mixedHeader, snaplen: uint32(l.opt.Snaplen)}
	bound := 0
	switch len(l.links) {
	case 0:
	case 1:
		bound = int(l.links[0].index)
		if f.header, err = l.header(); err != nil {
			return err
		}
	default:
		for _, k := range l.links {
			f.interfaces = append(f.interfaces, k.index)
		}
	}
	if len(l.links) != 1 {
		l.pins = newPins()
	}
	if err := l.filter(f); err != nil {
		return err
	}
	if err := l.mapRing(); err != nil {
		return err
	}
	if err := l.promiscuous(); err != nil {
		return err
	}
	to := unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL), Ifindex: bound}
	if err := unix.Bind(l.fd, &to); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(l.opt.Interfaces, ", "), err)
	}
	l.info = Info{Format: "live", Snaplen: uint32(l.opt.Snaplen), DropsKnown: true}
	return nil
}

// socketError says what to do where capturing is not permitted.
func socketError(err error) error {
	if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) {
		return fmt.Errorf("packet socket: %w", err)
	}
	exe, _ := os.Executable()
	if exe == "" {
		exe = os.Args[0]
	}
	return fmt.Errorf("capturing is not permitted: use sudo, or \"setcap cap_net_raw+ep %s\", or AmbientCapabilities=CAP_NET_RAW in the systemd unit (%w)", exe, err)
}

// findLinks looks up the interfaces by name.
func (l *Live) findLinks() error {
	if slices.Contains(l.opt.Interfaces, AnyInterface) {
		if len(l.opt.Interfaces) > 1 {
			return fmt.Errorf("%q includes all other interfaces: give it alone", AnyInterface)
		}
		return nil
	}
	for _, name := range l.opt.Interfaces {
		r, err := unix.NewIfreq(name)
		if err == nil {
			err = unix.IoctlIfreq(l.fd, unix.SIOCGIFINDEX, r)
		}
		if err != nil {
			return fmt.Errorf("%s: no such interface; there are %s", name, interfaceNames())
		}
		k := link{name: name, index: r.Uint32()}
		if slices.ContainsFunc(l.links, func(o link) bool { return o.index == k.index }) {
			continue
		}
		l.links = append(l.links, k)
		l.names[k.index] = name
	}
	return nil
}

// interfaceNames lists what could have been given.
func interfaceNames() string {
	names := []string{AnyInterface}
	all, _ := net.Interfaces()
	for _, i := range all {
		names = append(names, i.Name)
	}
	return strings.Join(names, ", ")
}

// header is the kind of link header that the only interface has.
func (l *Live) header() (headerKind, error) {
	name := l.links[0].name
	r, err := unix.NewIfreq(name)
	if err == nil {
		err = unix.IoctlIfreq(l.fd, unix.SIOCGIFHWADDR, r)
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	switch r.Uint16() {
	case arphrdEther, arphrdLoopback:
		return etherHeader, nil
	case unix.ARPHRD_NONE, unix.ARPHRD_RAWIP, unix.ARPHRD_TUNNEL, unix.ARPHRD_TUNNEL6, unix.ARPHRD_SIT, unix.ARPHRD_IPGRE:
		return otherHeader, nil // for tcpdump, too, packets begin with the IP header
	}
	if l.opt.Filter != nil && l.opt.Filter.raw != nil {
		return 0, fmt.Errorf("%s: filters of tcpdump are not understood for its kind of link", name)
	}
	return otherHeader, nil
}

// filter has the kernel filter.
func (l *Live) filter(f filterLink) error {
	prog, err := l.opt.Filter.program(f)
	if err != nil {
		return err
	}
	err = l.attach(prog)
	if errors.Is(err, unix.ENOMEM) && l.opt.Filter.coarser() {
		// More endpoints than net.core.optmem_max has room for: whoever reads sorts them.
		if prog, err = (*Filter)(nil).program(f); err == nil {
			err = l.attach(prog)
		}
	}
	if err != nil {
		return fmt.Errorf("packet filter: %w", err)
	}
	return nil
}

// attach gives the kernel a program.
func (l *Live) attach(prog []bpf.RawInstruction) error {
	f := make([]unix.SockFilter, len(prog))
	for i, ins := range prog {
		f[i] = unix.SockFilter{Code: ins.Op, Jt: ins.Jt, Jf: ins.Jf, K: ins.K}
	}
	return unix.SetsockoptSockFprog(l.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(f)), Filter: unsafe.SliceData(f)})
}

// mapRing sets up the memory that packets come in.
func (l *Live) mapRing() error {
	if err := unix.SetsockoptInt(l.fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return fmt.Errorf("packet ring (needs Linux 3.2): %w", err)
	}
	// Room for the VLAN tag to be put back.
	if err := unix.SetsockoptInt(l.fd, unix.SOL_PACKET, unix.PACKET_RESERVE, vlanSize); err != nil {
		return fmt.Errorf("packet ring: %w", err)
	}
	block := blockSize
	for block < l.opt.Snaplen+4096 {
		block *= 2
	}
	blocks := max(l.opt.Ring/block, 4)
	const frame = 2048 // only for the kernel's arithmetic: packets lie close together
	req := unix.TpacketReq3{
		Block_size: uint32(block), Block_nr: uint32(blocks),
		Frame_size: frame, Frame_nr: uint32(block / frame * blocks),
		Retire_blk_tov: uint32(blockAge / time.Millisecond),
	}
	err := unix.SetsockoptTpacketReq3(l.fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &req)
	if err == nil {
		l.ring.block = block
		l.ring.mem, err = unix.Mmap(l.fd, 0, block*blocks, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	}
	if err != nil {
		return fmt.Errorf("packet ring of %d MiB, which can be made smaller: %w", block*blocks>>20, err)
	}
	return nil
}

func (l *Live) promiscuous() error {
	if !l.opt.Promiscuous {
		return nil
	}
	for _, k := range l.links {
		m := unix.PacketMreq{Ifindex: int32(k.index), Type: unix.PACKET_MR_PROMISC}
		if err := unix.SetsockoptPacketMreq(l.fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &m); err != nil {
			return fmt.Errorf("%s: promiscuous mode: %w", k.name, err)
		}
	}
	return nil
}

// networkOrder swaps the octets of v on a little-endian machine.
func networkOrder(v uint16) uint16 {
	b := [2]byte{byte(v >> 8), byte(v)}
	return *(*uint16)(unsafe.Pointer(&b))
}

// Read fills batch with the frames that are there. It waits for one, but no longer than
// LiveOptions.Idle, nor longer than until Wake is called: then it returns 0, nil. After
// Stop it returns what had come till then, then 0, io.EOF. Where no interface is left, it
// ends likewise with an error that names the last of them. Data stays valid until the next
// Read.
func (l *Live) Read(batch []Frame) (int, error) {
	if len(batch) == 0 {
		return 0, io.ErrShortBuffer
	}
	if l.ring.mem == nil {
		return 0, os.ErrClosed
	}
	if l.stop.Load() {
		l.finish(io.EOF)
	}
	if n := l.take(batch); n > 0 {
		return n, nil
	}
	for deadline := time.Now().Add(l.opt.Idle); ; {
		now := time.Now()
		l.look(now)
		l.count()
		until := deadline
		if l.end != nil {
			if !now.Before(l.endTime) {
				return 0, l.end
			}
			if l.endTime.Before(until) {
				until = l.endTime
			}
		}
		woken, err := l.wait(until.Sub(now))
		if err != nil {
			return 0, err
		}
		if n := l.take(batch); n > 0 {
			return n, nil
		}
		if l.stop.Load() {
			l.finish(io.EOF)
		} else if woken || !time.Now().Before(deadline) {
			return 0, nil
		}
	}
}

// take fills batch from the block that is held, or from the next one that has something.
func (l *Live) take(batch []Frame) int {
	n := 0
	for n == 0 {
		if l.ring.left == 0 {
			if l.ring.held != nil {
				l.ring.release()
			}
			ok, losing := l.ring.acquire()
			if !ok {
				return 0
			}
			if losing {
				l.count()
			}
			l.look(time.Now())
		}
		for ; n < len(batch) && l.ring.left > 0; n++ {
			f := &batch[n]
			*f = Frame{}
			l.ring.packet(f, l.opt.Snaplen)
			if l.pins != nil && l.pins.copied(f) {
				l.stats.Copies++
				n--
				continue
			}
			l.info.Frames++
			f.Number = l.info.Frames
		}
	}
	l.delivered(batch[:n])
	return n
}

// delivered keeps account of frames.
func (l *Live) delivered(batch []Frame) {
	if l.gap {
		batch[0].AfterGap = true
		l.gap = false
	}
	i := &l.info
	if i.First == 0 {
		i.First = batch[0].Time
	}
	for j := range batch {
		f := &batch[j]
		i.Bytes += int64(len(f.Data))
		i.Last = max(i.Last, f.Time)
		if !slices.Contains(i.LinkTypes, f.LinkType) {
			i.LinkTypes = append(i.LinkTypes, f.LinkType)
		}
	}
}

// count adds up the kernel's statistics, which begin at zero each time. They are read when
// a block says that packets were dropped in front of it, and while the ring is empty, so
// that it is known where packets are missing.
func (l *Live) count() {
	s, err := unix.GetsockoptTpacketStatsV3(l.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return
	}
	l.stats.Packets += uint64(s.Packets)
	l.stats.Drops += uint64(s.Drops)
	l.stats.Freezes += uint64(s.Freeze_q_cnt)
	l.gap = l.gap || s.Drops > 0
	l.info.Drops = l.stats.Drops
}

// wait waits for a block, for Wake, or for d to pass.
func (l *Live) wait(d time.Duration) (woken bool, err error) {
	fds := [2]unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}, {Fd: int32(l.wake.fd), Events: unix.POLLIN}}
	ms := max(0, int((d+time.Millisecond-1)/time.Millisecond))
	if _, err := unix.Poll(fds[:], ms); err != nil {
		if errors.Is(err, unix.EINTR) {
			return false, nil
		}
		return false, fmt.Errorf("poll: %w", err)
	}
	if fds[0].Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0 {
		code, err := unix.GetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_ERROR)
		switch {
		case err != nil:
			return false, fmt.Errorf("packet socket: %w", err)
		case unix.Errno(code) == unix.ENETDOWN:
			l.looked, l.bounced = time.Time{}, true
		case code != 0:
			return false, fmt.Errorf("packet socket: %w", unix.Errno(code))
		}
	}
	if fds[1].Revents != 0 {
		var b [8]byte
		unix.Read(l.wake.fd, b[:])
		woken = true
	}
	return woken, nil
}

// look notes when a named interface goes down, comes up or is gone.
func (l *Live) look(now time.Time) {
	if now.Sub(l.looked) < lookEvery || len(l.links) == 0 {
		return
	}
	l.looked = now
	left := 0
	for i := range l.links {
		k := &l.links[i]
		if k.state == LinkGone {
			continue
		}
		state := l.linkState(k)
		if l.bounced && state == LinkUp {
			l.linkIs(k, LinkDown)
		}
		l.linkIs(k, state)
		switch state {
		case LinkDown:
			l.looked = now.Add(lookSoon - lookEvery)
			fallthrough
		case LinkUp:
			left++
		}
	}
	l.bounced = false
	if left == 0 {
		l.finish(fmt.Errorf("%s: the interface is gone", l.links[len(l.links)-1].name))
	}
}

// linkIs reports a change.
func (l *Live) linkIs(k *link, s LinkState) {
	if k.state == s {
		return
	}
	k.state = s
	if l.opt.Link != nil {
		l.opt.Link(LinkEvent{k.name, s})
	}
}

func (l *Live) linkState(k *link) LinkState {
	var r unix.Ifreq
	r.SetUint32(k.index)
	if errors.Is(unix.IoctlIfreq(l.fd, unix.SIOCGIFNAME, &r), unix.ENODEV) {
		return LinkGone
	}
	if unix.IoctlIfreq(l.fd, unix.SIOCGIFFLAGS, &r) == nil && r.Uint16()&unix.IFF_UP == 0 {
		return LinkDown
	}
	return LinkUp
}

// finish lets in no more packets. Those that are in the ring come out when their block is
// old enough; the kernel looks at that only every blockAge.
func (l *Live) finish(err error) {
	if l.end != nil {
		return
	}
	l.end, l.endTime = err, time.Now().Add(3*blockAge)
	l.attach([]bpf.RawInstruction{{Op: bpfRET}})
}

// Wake makes Read return if it waits. It may be called by any goroutine.
func (l *Live) Wake() {
	l.wake.Lock()
	defer l.wake.Unlock()
	if l.wake.fd >= 0 {
		unix.Write(l.wake.fd, []byte{1, 0, 0, 0, 0, 0, 0, 1}) // not 0 in either byte order
	}
}

// Stop ends the capture: Read returns what has come, within about 150 ms, then io.EOF. It
// may be called by any goroutine.
func (l *Live) Stop() {
	l.stop.Store(true)
	l.Wake()
}

// Stats returns what Read has met so far. What the kernel has to say is as of when the
// ring was empty last, or had lost packets.
func (l *Live) Stats() LiveStats { return l.stats }

// Info returns what is known of the capture so far.
func (l *Live) Info() Info {
	info := l.info
	info.LinkTypes = slices.Clone(info.LinkTypes)
	return info
}

// InterfaceName is the name of the interface that frames have the index of; "" where it is
// not known any more.
func (l *Live) InterfaceName(index uint32) string {
	if name, ok := l.names[index]; ok {
		return name
	}
	var r unix.Ifreq
	r.SetUint32(index)
	if l.fd < 0 || unix.IoctlIfreq(l.fd, unix.SIOCGIFNAME, &r) != nil {
		return ""
	}
	name := r.Name()
	if len(l.names) < maxNames {
		l.names[index] = name
	}
	return name
}

// Close releases the ring; Data of frames is no longer valid then.
func (l *Live) Close() error {
	l.wake.Lock()
	defer l.wake.Unlock()
	if l.ring.mem != nil {
		unix.Munmap(l.ring.mem)
		l.ring = ring{}
	}
	for _, fd := range []*int{&l.fd, &l.wake.fd} {
		if *fd >= 0 {
			unix.Close(*fd)
			*fd = -1
		}
	}
	return nil
}
