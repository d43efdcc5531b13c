package capture

import (
	"bytes"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"connrace/detect"
	"connrace/pcaps"
	"connrace/tcpstate"
)

// ringMac is where a packet begins behind its header, with room for a VLAN tag.
const ringMac = (packetHeader+20+16+15)&^15 - 14 + vlanSize

// fillRing makes a ring as the kernel leaves it: full of packets, so many in a block. It
// moves their Data there.
func fillRing(packets []pcaps.Frame, each int) ring {
	const at, link, mac = ringHeader + 40, 14, ringMac
	longest := 0
	for i := range packets {
		longest = max(longest, len(packets[i].Data))
	}
	size := (mac + longest + 7) &^ 7
	block := (at + each*size + 4095) &^ 4095
	r := ring{mem: make([]byte, (len(packets)+each-1)/each*block), block: block}
	for i := range packets {
		b := r.mem[i/each*block:]
		if i%each == 0 {
			*(*unix.TpacketHdrV1)(unsafe.Pointer(&b[ringHeader])) = unix.TpacketHdrV1{
				Block_status: unix.TP_STATUS_USER, Num_pkts: uint32(min(each, len(packets)-i)), Offset_to_first_pkt: at,
			}
		}
		p, n := b[at+i%each*size:], len(packets[i].Data)
		*(*unix.Tpacket3Hdr)(unsafe.Pointer(&p[0])) = unix.Tpacket3Hdr{
			Next_offset: uint32(size), Sec: uint32(packets[i].Time / second), Nsec: uint32(packets[i].Time % second), Snaplen: uint32(n), Len: uint32(n),
			Mac: mac, Net: mac + link,
		}
		*(*unix.RawSockaddrLinklayer)(unsafe.Pointer(&p[packetHeader])) = unix.RawSockaddrLinklayer{
			Family: unix.AF_PACKET, Protocol: networkOrder(ethPIP), Ifindex: 2, Hatype: arphrdEther,
		}
		copy(p[mac:], packets[i].Data)
		packets[i].Data = p[mac:][:n:n]
	}
	return r
}

// again lets the kernel fill the ring with the same packets at other times.
func (r *ring) again(packets []pcaps.Frame) {
	for i := range packets {
		h := (*unix.Tpacket3Hdr)(unsafe.Add(unsafe.Pointer(&packets[i].Data[0]), -ringMac))
		h.Sec, h.Nsec = uint32(packets[i].Time/second), uint32(packets[i].Time%second)
	}
	for i := 0; i < len(r.mem); i += r.block {
		(*unix.TpacketHdrV1)(unsafe.Pointer(&r.mem[i+ringHeader])).Block_status = unix.TP_STATUS_USER
	}
}

// TestRingVLAN: a tag that the kernel took off stands in the packet's metadata, and is put
// back where it was (tpacket_rcv, packet_parse_headers).
func TestRingVLAN(t *testing.T) {
	addresses := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}
	rest := []byte{8, 0, 0x45, 0, 0, 40}
	with := func(tag ...byte) []byte { return slices.Concat(addresses, tag, rest) }
	for _, c := range []struct {
		name   string
		status uint32
		tpid   uint16
		tci    uint32
		want   []byte
	}{
		{"none", 0, 0, 0, with()},
		{"none, although something stands there", unix.TP_STATUS_USER, 0x88a8, 5, with()},
		{"before Linux 3.14, which does not tell the TPID", vlanValid, 0, 0x2005, with(0x81, 0, 0x20, 5)},
		{"802.1Q", vlanValid | vlanTPIDValid, 0x8100, 0xefff, with(0x81, 0, 0xef, 0xff)},
		{"802.1ad", vlanValid | vlanTPIDValid | unix.TP_STATUS_USER, 0x88a8, 7, with(0x88, 0xa8, 0, 7)},
		{"of no VLAN", vlanValid | vlanTPIDValid, 0x8100, 0, with(0x81, 0, 0, 0)},
	} {
		for _, snaplen := range []int{DefaultSnaplen, 18, 13, 5} {
			packets := []pcaps.Frame{{Data: with()}, {Data: with()}}
			r := fillRing(packets, len(packets))
			for i := range packets {
				h := (*unix.Tpacket3Hdr)(unsafe.Add(unsafe.Pointer(&packets[i].Data[0]), -ringMac))
				h.Status, h.Hv1.Vlan_tpid, h.Hv1.Vlan_tci = c.status, c.tpid, c.tci
			}
			r.acquire()
			for range packets {
				var f Frame
				r.packet(&f, snaplen)
				if int(f.Length) != len(c.want) || !bytes.Equal(f.Data, c.want[:min(snaplen, len(c.want))]) {
					t.Errorf("%s: %d octets of %d: % x, want % x", c.name, len(f.Data), f.Length, f.Data, c.want)
				}
			}
		}
	}
	// Of less than the addresses nothing can be made.
	packets := []pcaps.Frame{{Data: addresses[:11]}}
	r := fillRing(packets, 1)
	(*unix.Tpacket3Hdr)(unsafe.Add(unsafe.Pointer(&packets[0].Data[0]), -ringMac)).Status = vlanValid
	r.acquire()
	var f Frame
	if r.packet(&f, DefaultSnaplen); !bytes.Equal(f.Data, addresses[:11]) || f.Length != 11 {
		t.Errorf("%+v", f)
	}
}

// BenchmarkLive is what live does with small packets once the kernel has put them into its
// ring: it takes them, decodes them, follows their connections and lets the rules see what
// happens. The kernel's work is not in it.
func BenchmarkLive(b *testing.B) {
	const each = 1600
	run := func(b *testing.B, conns, segments int, p *pins, take func(*Decoder, *detect.Detector, []Frame)) {
		s := pcaps.NewSteady(conns, 64*each/(3+3*segments/2)/conns+1, segments)
		l := &Live{fd: -1, opt: LiveOptions{Snaplen: DefaultSnaplen}, ring: fillRing(s.Frames, each), pins: p}
		decoder, detector := NewDecoder(), detect.New(detect.Options{Live: true})
		detector.BeginCapture(0)
		for i, f := range pcaps.Opening(conns) {
			detector.Segments(decoder.Decode(&Frame{Number: uint64(i + 1), Time: f.Time, LinkType: LinkEthernet, Length: uint32(f.Length), Data: f.Data}, nil))
		}
		l.info.Frames = uint64(3 * conns)
		batch := make([]Frame, 256)
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			for {
				k := l.fill(batch)
				if k == 0 {
					break
				}
				n += k
				take(decoder, detector, batch[:k])
			}
			b.StopTimer() // the kernel fills the ring again
			s.Next()
			l.ring.again(s.Frames)
			b.StartTimer()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/packet")
		if r := detector.Finish(); len(r.Findings) > 0 || r.Totals.EvictedFlows > 0 {
			b.Errorf("%d findings, %+v", len(r.Findings), r.Totals)
		}
	}
	segs := make([]tcpstate.Segment, 0, 256)
	decode := func(d *Decoder, _ *detect.Detector, fs []Frame) {
		segs = segs[:0]
		for i := range fs {
			segs = d.Decode(&fs[i], segs)
		}
	}
	state := func(d *Decoder, x *detect.Detector, fs []Frame) {
		decode(d, x, fs)
		x.Segments(segs)
	}
	b.Run("ring", func(b *testing.B) { run(b, 100, 0, nil, func(*Decoder, *detect.Detector, []Frame) {}) })
	b.Run("ring, any", func(b *testing.B) { run(b, 100, 0, newPins(), func(*Decoder, *detect.Detector, []Frame) {}) })
	b.Run("decoded", func(b *testing.B) { run(b, 100, 0, nil, decode) })
	b.Run("with state, 100 connections", func(b *testing.B) { run(b, 100, 0, nil, state) })
	b.Run("with state, 10000 connections", func(b *testing.B) { run(b, 10_000, 0, nil, state) })
	b.Run("with state, 100 connections, answers of 40 packets", func(b *testing.B) { run(b, 100, 40, nil, state) })
}

// TestLiveAllocations: taking a packet leaves no garbage.
func TestLiveAllocations(t *testing.T) {
	l := &Live{fd: -1, opt: LiveOptions{Snaplen: DefaultSnaplen}, ring: fillRing(pcaps.NewSteady(100, 34, 0).Frames, 10_000), pins: newPins()}
	batch := make([]Frame, 10)
	l.fill(batch)
	if n := testing.AllocsPerRun(500, func() { l.fill(batch) }); n != 0 {
		t.Errorf("%v allocations for ten packets", n)
	}
}
