package capture

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// OpenLive begins to capture. No packet that the filter refuses is delivered: the filter is
// attached before the socket is bound.
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

// filter attaches the program of the filter for f.
func (l *Live) filter(f filterLink) error {
	prog, err := l.opt.Filter.program(f)
	if err != nil {
		return err
	}
	err = l.attach(prog)
	if errors.Is(err, unix.ENOMEM) && l.opt.Filter.coarser() {
		// More endpoints than net.core.optmem_max has room for: all TCP is captured, and the
		// caller leaves out what it does not want.
		if prog, err = (*Filter)(nil).program(f); err == nil {
			err = l.attach(prog)
		}
	}
	if err != nil {
		return fmt.Errorf("packet filter: %w", err)
	}
	return nil
}

// attach makes a program the socket's filter.
func (l *Live) attach(prog []bpf.RawInstruction) error {
	f := make([]unix.SockFilter, len(prog))
	for i, ins := range prog {
		f[i] = unix.SockFilter{Code: ins.Op, Jt: ins.Jt, Jf: ins.Jf, K: ins.K}
	}
	return unix.SetsockoptSockFprog(l.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(f)), Filter: unsafe.SliceData(f)})
}

// mapRing sets up the memory that the kernel writes packets to.
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
	const frame = 2048 // the kernel checks it, but TPACKET_V3 packs packets closely
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

// networkOrder is htons(3).
func networkOrder(v uint16) uint16 {
	b := [2]byte{byte(v >> 8), byte(v)}
	return *(*uint16)(unsafe.Pointer(&b))
}
