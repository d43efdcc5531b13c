package capture

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"connrace/tcpstate"
)

func sequence(f *Frame) int {
	return int(binary.BigEndian.Uint32(f.Data[len(f.Data)-16:]))
}

// TestLiveSeesAll: each frame comes once, whole, at either end of a wire, with the VLAN
// tags that the kernel takes off incoming frames.
func TestLiveSeesAll(t *testing.T) {
	n := newVeth(t)
	in, out := n.live(t, LiveOptions{Interfaces: []string{"v1"}}), n.live(t, LiveOptions{Interfaces: []string{"v0"}})
	s := n.sender(t, "v0")
	var sent [][]byte
	for i := range 3000 {
		x := testPacket{}
		switch i % 5 {
		case 1:
			x.tags = []uint16{0x8100}
		case 2:
			x.src, x.dst = "fd00::1", "fd00::2"
		case 3:
			x.tags = []uint16{0x88a8, 0x8100}
		case 4:
			x.src, x.dst, x.tags = "fd00::1", "fd00::2", []uint16{0x88a8}
		}
		sent = append(sent, numbered(x, i))
	}
	from := time.Now().UnixNano()
	if err := s.send(sent...); err != nil {
		t.Fatal(err)
	}
	until := time.Now().UnixNano()
	for _, c := range []struct {
		l         *Live
		direction Direction
		name      string
	}{{in, Inbound, "v1"}, {out, Outbound, "v0"}} {
		got := finish(t, c.l)
		if len(got) != len(sent) {
			t.Fatalf("%s: %d frames, want %d", c.name, len(got), len(sent))
		}
		for i, f := range got {
			if !bytes.Equal(f.Data, sent[i]) {
				t.Fatalf("%s: frame %d differs:\n% x\n% x", c.name, i, f.Data, sent[i])
			}
			want := Frame{
				Number: uint64(i + 1), Time: f.Time, Length: uint32(len(sent[i])), LinkType: LinkEthernet,
				Direction: c.direction, Interface: f.Interface, Data: f.Data,
			}
			if fmt.Sprint(f) != fmt.Sprint(want) || c.l.InterfaceName(f.Interface) != c.name || f.Time < from || f.Time > until {
				t.Fatalf("%s: %+v, want %+v; sent %d to %d", c.name, f, want, from, until)
			}
		}
		info := c.l.Info()
		if info.Frames != uint64(len(sent)) || info.Drops != 0 || !info.DropsKnown || info.Snaplen != DefaultSnaplen ||
			!slices.Equal(info.LinkTypes, []LinkType{LinkEthernet}) || info.First != got[0].Time {
			t.Errorf("%s: %+v", c.name, info)
		}
		if s := c.l.Stats(); s.Packets != uint64(len(sent)) {
			t.Errorf("%s: %+v", c.name, s)
		}
	}
}

func TestLiveSnaplen(t *testing.T) {
	n := newVeth(t)
	l := n.live(t, LiveOptions{Interfaces: []string{"v1"}, Snaplen: 60})
	big := append(numbered(testPacket{}, 1), make([]byte, 900)...)
	tagged := append(numbered(testPacket{tags: []uint16{0x8100}}, 1), make([]byte, 900)...)
	if err := n.sender(t, "v0").send(big, tagged); err != nil {
		t.Fatal(err)
	}
	for i, f := range readUntil(t, l, 2) {
		want := [][]byte{big, tagged}[i]
		if int(f.Length) != len(want) || !bytes.Equal(f.Data, want[:60]) {
			t.Errorf("frame %d: %d octets of %d: % x", i, len(f.Data), f.Length, f.Data)
		}
	}
}

// connection is one request and answer over a TCP connection to l.
func (n *netNS) connection(t *testing.T, l net.Listener) {
	t.Helper()
	n.do(t, func() error {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return err
		}
		defer c.Close()
		s, err := l.Accept()
		if err != nil {
			return err
		}
		defer s.Close()
		if _, err := io.WriteString(c, "request"); err != nil {
			return err
		}
		if _, err := io.ReadFull(s, make([]byte, 7)); err != nil {
			return err
		}
		if _, err := io.WriteString(s, "answer"); err != nil {
			return err
		}
		_, err = io.ReadFull(c, make([]byte, 6))
		return err
	})
}

// TestLiveLoopback: what the loopback interface shows twice is seen once, also where all
// interfaces are watched.
func TestLiveLoopback(t *testing.T) {
	n := newNetNS(t)
	for _, name := range []string{"lo", AnyInterface} {
		for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
			l := n.listen(t, "tcp", addr)
			x := n.live(t, LiveOptions{Interfaces: []string{name}})
			n.connection(t, l)
			d := NewDecoder()
			flags := map[tcpstate.Flags]int{}
			payload := ""
			for _, f := range finish(t, x) {
				if f.Direction != Inbound {
					t.Errorf("%s: %+v", name, f)
				}
				for _, s := range d.Decode(&f, nil) {
					flags[s.Flags&(tcpstate.SYN|tcpstate.FIN|tcpstate.ACK)]++
					payload += string(s.Payload)
				}
			}
			if flags[tcpstate.SYN] != 1 || flags[tcpstate.SYN|tcpstate.ACK] != 1 || flags[tcpstate.FIN|tcpstate.ACK] != 2 || payload != "requestanswer" {
				t.Errorf("%s, %s: %v, payload %q", name, addr, flags, payload)
			}
		}
	}
}

// TestLiveAny: what crosses several interfaces is seen once.
func TestLiveAny(t *testing.T) {
	n := newVeth(t)
	for _, names := range [][]string{{AnyInterface}, {"v1", "v0"}, {"lo", "v1"}} {
		l := n.live(t, LiveOptions{Interfaces: names})
		s := n.sender(t, "v0")
		var sent [][]byte
		for i := range 2000 {
			x := testPacket{}
			if i%2 == 0 {
				x.src, x.dst, x.tags = "fd00::1", "fd00::2", []uint16{0x8100}
			}
			sent = append(sent, numbered(x, i))
		}
		if err := s.send(sent...); err != nil {
			t.Fatal(err)
		}
		got := finish(t, l)
		if len(got) != len(sent) {
			t.Fatalf("%v: %d frames, want %d; %+v", names, len(got), len(sent), l.Stats())
		}
		for i := range got {
			if !bytes.Equal(got[i].Data, sent[i]) {
				t.Fatalf("%v: frame %d differs", names, i)
			}
		}
		wantCopies, wantName := 2000, "v0"
		if names[0] == "lo" {
			wantCopies, wantName = 0, "v1"
		}
		if name := l.InterfaceName(got[0].Interface); name != wantName || l.Stats().Copies != uint64(wantCopies) {
			t.Errorf("%v: seen on %s; %+v", names, name, l.Stats())
		}
	}
}

// TestLiveTun: devices without Ethernet headers give cooked ones.
func TestLiveTun(t *testing.T) {
	n := newNetNS(t)
	var tun *os.File
	n.do(t, func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Skipf("/dev/net/tun: %v", err)
		}
		tun = os.NewFile(uintptr(fd), "tun")
		r, err := unix.NewIfreq("tun0")
		if err != nil {
			return err
		}
		r.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		return unix.IoctlIfreq(fd, unix.TUNSETIFF, r)
	})
	defer tun.Close()
	n.ip(t, "link set tun0 up")
	filter := NewFilter([]EndpointSpec{spec("10.9.0.2", 8080), spec("fd00::2", 8080)})
	ddd, err := ParseDDD(strings.NewReader(dddRaw))
	if err != nil {
		t.Fatal(err)
	}
	dddAll, err := ParseDDD(strings.NewReader(dddAny))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		filter *Filter
	}{{"tun0", filter}, {"any", filter}, {"tun0", nil}, {"tun0", ddd}, {"any", dddAll}} {
		l := n.live(t, LiveOptions{Interfaces: []string{c.name}, Filter: c.filter})
		for _, x := range []testPacket{{}, {src: "fd00::1", dst: "fd00::2"}} {
			if _, err := tun.Write(numbered(x, 77)[macHeader:]); err != nil {
				t.Fatal(err)
			}
		}
		if c.filter != nil {
			x := numbered(testPacket{}, 3)[macHeader:]
			x[20+3]++ // another port
			tun.Write(x)
		}
		got := finish(t, l)
		if len(got) != 2 {
			t.Fatalf("%s: %d frames", c.name, len(got))
		}
		d := NewDecoder()
		for i := range got {
			f := &got[i]
			segs := d.Decode(f, nil)
			if f.LinkType != LinkLinuxSLL2 || int(f.Length) != len(f.Data) || len(segs) != 1 || segs[0].Seq != 77 || segs[0].Dst.Port != 8080 ||
				binary.BigEndian.Uint32(f.Data[4:]) != f.Interface || l.InterfaceName(f.Interface) != "tun0" {
				t.Errorf("%s: %+v: %+v", c.name, f, segs)
			}
		}
	}
}

// TestLiveFilterFirst: while other packets rush in, not one gets past the filter.
func TestLiveFilterFirst(t *testing.T) {
	n := newVeth(t)
	s := n.sender(t, "v0")
	var flood [][]byte
	for i := range 64 {
		b := numbered(testPacket{}, i)
		if i%16 != 0 {
			b[len(b)-17]++ // another port
		}
		flood = append(flood, b)
	}
	var stop atomic.Bool
	done := make(chan error)
	go func() {
		var err error
		for err == nil && !stop.Load() {
			err = s.send(flood...)
		}
		done <- err
	}()
	for _, name := range []string{"v1", AnyInterface} {
		for range 10 {
			l := n.live(t, LiveOptions{Interfaces: []string{name}, Ring: 1 << 20, Filter: NewFilter([]EndpointSpec{spec("10.9.0.2", 8080)})})
			for _, f := range readUntil(t, l, 100) {
				if p := be16(f.Data, macHeader+22); p != 8080 {
					t.Errorf("%s: frame %d: port %d", name, f.Number, p)
				}
			}
			l.Close()
		}
	}
	stop.Store(true)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestLiveManyEnds: a filter for very many endpoints is too much for the kernel; then more
// comes through, but nothing is missing.
func TestLiveManyEnds(t *testing.T) {
	n := newVeth(t)
	s := n.sender(t, "v0")
	var ends []EndpointSpec
	for i := range 250 {
		a := netip.AddrFrom16([16]byte{0: 0xfd, 15: byte(i)})
		ends = append(ends, EndpointSpec{netip.PrefixFrom(a, 128), 8080})
	}
	for _, c := range []struct {
		ends   int
		optmem string
		want   int
	}{
		{30, "20480", 1}, // the default until Linux 6.7
		{100, "20480", 2},
		{250, "131072", 2},
	} {
		n.do(t, func() error {
			if err := os.WriteFile("/proc/sys/net/core/optmem_max", []byte(c.optmem), 0); err != nil {
				t.Skipf("limits the memory of a namespace's sockets: %v", err)
			}
			return nil
		})
		l := n.live(t, LiveOptions{Interfaces: []string{"v1"}, Filter: NewFilter(ends[:c.ends]), Ring: 1 << 20})
		if err := s.send(numbered(testPacket{src: "fd00::1:1", dst: "fd00::"}, 1), numbered(testPacket{}, 2)); err != nil {
			t.Fatal(err)
		}
		if got := finish(t, l); len(got) != c.want || sequence(&got[0]) != 1 {
			t.Errorf("%+v: %d frames", c, len(got))
		}
	}
}
