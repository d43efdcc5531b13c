package capture

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// fillRing makes a ring as the kernel leaves it: full of packets.
func fillRing(packet []byte, blocks, each int) ring {
	const at, link = ringHeader + 40, 14
	net := (packetHeader + 20 + 16 + 15) &^ 15
	mac := net - link + vlanSize
	size := (mac + len(packet) + 7) &^ 7
	block := (at + each*size + 4095) &^ 4095
	r := ring{mem: make([]byte, blocks*block), block: block}
	for i := range blocks {
		b := r.mem[i*block:]
		*(*unix.TpacketHdrV1)(unsafe.Pointer(&b[ringHeader])) = unix.TpacketHdrV1{
			Block_status: unix.TP_STATUS_USER, Num_pkts: uint32(each), Offset_to_first_pkt: at,
		}
		for j := range each {
			p := b[at+j*size:]
			*(*unix.Tpacket3Hdr)(unsafe.Pointer(&p[0])) = unix.Tpacket3Hdr{
				Next_offset: uint32(size), Sec: 1_700_000_000, Nsec: uint32(j), Snaplen: uint32(len(packet)), Len: uint32(len(packet)),
				Mac: uint16(mac), Net: uint16(mac + link),
			}
			*(*unix.RawSockaddrLinklayer)(unsafe.Pointer(&p[packetHeader])) = unix.RawSockaddrLinklayer{
				Family: unix.AF_PACKET, Protocol: networkOrder(ethPIP), Ifindex: 2, Hatype: arphrdEther,
			}
			copy(p[mac:], packet)
		}
	}
	return r
}

// BenchmarkLive takes small packets from a ring, as Read does, without the kernel.
func BenchmarkLive(b *testing.B) {
	packet := append(numbered(testPacket{}, 1), make([]byte, 10)...)
	run := func(b *testing.B, p *pins, decode bool) {
		const blocks, each = 64, 1600
		l := &Live{fd: -1, opt: LiveOptions{Snaplen: DefaultSnaplen}, ring: fillRing(packet, blocks, each), pins: p}
		d := NewDecoder()
		batch := make([]Frame, 256)
		segs := d.Decode(&Frame{}, nil)
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			for range blocks * each / len(batch) {
				k := l.take(batch)
				n += k
				if decode {
					for i := range k {
						segs = d.Decode(&batch[i], segs[:0])
					}
				}
				if r := &l.ring; r.left == 0 { // the kernel fills it again
					r.head.Block_status = unix.TP_STATUS_USER
					r.index = (r.index + 1) % blocks
					r.held = nil
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/packet")
	}
	b.Run("one interface", func(b *testing.B) { run(b, nil, false) })
	b.Run("any", func(b *testing.B) { run(b, newPins(), false) })
	b.Run("with decoding", func(b *testing.B) { run(b, nil, true) })
}

// TestLiveAllocations: taking a packet leaves no garbage.
func TestLiveAllocations(t *testing.T) {
	l := &Live{fd: -1, opt: LiveOptions{Snaplen: DefaultSnaplen}, ring: fillRing(numbered(testPacket{}, 1), 1, 10_000), pins: newPins()}
	batch := make([]Frame, 10)
	l.take(batch)
	if n := testing.AllocsPerRun(500, func() { l.take(batch) }); n != 0 {
		t.Errorf("%v allocations for ten packets", n)
	}
}
