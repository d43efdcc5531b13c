package capture

import (
	"encoding/binary"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ring is memory shared with the kernel, which fills one block after the other with
// packets and hands it over when it is full or old enough (TPACKET_V3; Linux's
// Documentation/networking/packet_mmap.rst).
type ring struct {
	mem   []byte
	block int // size of one
	index int // of the block that is held or comes next
	held  []byte
	head  *unix.TpacketHdrV1 // of the block held
	left  uint32             // packets in it that were not read
	at    uint32             // where the next of them is
}

const (
	ringHeader   = 8 // version and offset of private data, in front of the header
	packetHeader = 48
	vlanSize     = 4
	cookedSize   = 20 // of a LINKTYPE_LINUX_SLL2 header
	macAddrs     = 12
	// Bits of a packet's status.
	vlanValid     = unix.TP_STATUS_VLAN_VALID
	vlanTPIDValid = unix.TP_STATUS_VLAN_TPID_VALID
)

// acquire holds the next block if the kernel has handed it over. losing: packets have been
// dropped since the statistics were last read.
func (r *ring) acquire() (ok, losing bool) {
	b := r.mem[r.index*r.block:][:r.block]
	h := (*unix.TpacketHdrV1)(unsafe.Pointer(&b[ringHeader]))
	status := atomic.LoadUint32(&h.Block_status)
	if status&unix.TP_STATUS_USER == 0 {
		return false, false
	}
	r.held, r.head = b, h
	r.left, r.at = h.Num_pkts, h.Offset_to_first_pkt
	return true, status&unix.TP_STATUS_LOSING != 0
}

// release gives the block held back to the kernel.
func (r *ring) release() {
	atomic.StoreUint32(&r.head.Block_status, unix.TP_STATUS_KERNEL)
	r.held, r.head = nil, nil
	if r.index++; (r.index+1)*r.block > len(r.mem) {
		r.index = 0
	}
}

// packet makes f of the next packet of the block held. A VLAN tag that the kernel removed is
// put back in place, a link header that is not Ethernet's is replaced by LINKTYPE_LINUX_SLL2.
func (r *ring) packet(f *Frame, snaplen int) {
	at := int(r.at)
	h := (*unix.Tpacket3Hdr)(unsafe.Pointer(&r.held[at]))
	ll := (*unix.RawSockaddrLinklayer)(unsafe.Pointer(&r.held[at+packetHeader]))
	r.at += h.Next_offset
	r.left--

	f.Time = int64(h.Sec)*second + int64(h.Nsec)
	f.Direction = Inbound
	if ll.Pkttype == packetOutgoing {
		f.Direction = Outbound
	}
	f.Interface = uint32(ll.Ifindex)
	begin, end := at+int(h.Mac), at+int(h.Mac)+int(h.Snaplen)
	f.Length = h.Len
	if ll.Hatype == arphrdEther || ll.Hatype == arphrdLoopback {
		f.LinkType = LinkEthernet
		if h.Status&vlanValid != 0 && h.Snaplen >= macAddrs {
			begin -= vlanSize
			f.Length += vlanSize
			insertTag(r.held[begin:end], h)
		}
	} else {
		f.LinkType = LinkLinuxSLL2
		link := int(h.Net) - int(h.Mac)
		begin += link - cookedSize
		end = max(end, begin+cookedSize)
		f.Length = uint32(max(int(h.Len)-link, 0)) + cookedSize
		cookedHeader(r.held[begin:end], ll)
	}
	f.Data = r.held[begin:min(end, begin+snaplen)]
}

// insertTag puts a VLAN tag behind the addresses, which it moves 4 bytes to the front.
func insertTag(b []byte, h *unix.Tpacket3Hdr) {
	copy(b, b[vlanSize:][:macAddrs])
	tpid := uint16(ethPVLAN)
	if h.Status&vlanTPIDValid != 0 {
		tpid = h.Hv1.Vlan_tpid
	}
	binary.BigEndian.PutUint16(b[macAddrs:], tpid)
	binary.BigEndian.PutUint16(b[macAddrs+2:], uint16(h.Hv1.Vlan_tci))
}

// cookedHeader writes a header of LINKTYPE_LINUX_SLL2. It has room: in front of a network
// header the kernel leaves at least 16 bytes besides the room asked for.
func cookedHeader(b []byte, ll *unix.RawSockaddrLinklayer) {
	sll := *ll // b can overlap it
	binary.NativeEndian.PutUint16(b[0:], sll.Protocol)
	binary.BigEndian.PutUint16(b[2:], 0)
	binary.BigEndian.PutUint32(b[4:], uint32(sll.Ifindex))
	binary.BigEndian.PutUint16(b[8:], sll.Hatype)
	b[10], b[11] = sll.Pkttype, sll.Halen
	copy(b[12:cookedSize], sll.Addr[:])
}
