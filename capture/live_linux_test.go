package capture

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
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

// TestLiveDrops: what a ring that is full cannot take is counted, and marked where it is
// missing.
func TestLiveDrops(t *testing.T) {
	n := newVeth(t)
	l := n.live(t, LiveOptions{Interfaces: []string{"v1"}, Ring: 1 << 20})
	s := n.sender(t, "v0")
	const rounds, each = 2, 20000
	var got []Frame
	for r := range rounds {
		var sent [][]byte
		for i := range each {
			sent = append(sent, numbered(testPacket{}, r*each+i))
		}
		if err := s.send(sent...); err != nil {
			t.Fatal(err)
		}
		for {
			m := make([]Frame, 100)
			k, err := l.Read(m)
			if err != nil {
				t.Fatal(err)
			}
			if k == 0 {
				break
			}
			for _, f := range m[:k] {
				f.Data = slices.Clone(f.Data)
				got = append(got, f)
			}
		}
	}
	if err := s.send(numbered(testPacket{}, rounds*each)); err != nil {
		t.Fatal(err)
	}
	got = append(got, finish(t, l)...)
	st := l.Stats()
	if st.Drops == 0 || st.Freezes == 0 || st.Packets != rounds*each+1 || uint64(len(got))+st.Drops != st.Packets || l.Info().Drops != st.Drops {
		t.Errorf("%d frames, %+v", len(got), st)
	}
	next, gaps := 0, 0
	for i := range got {
		if missing := sequence(&got[i]) != next; missing != got[i].AfterGap {
			t.Errorf("frame %d: sequence %d, expected %d, AfterGap %v", got[i].Number, sequence(&got[i]), next, got[i].AfterGap)
		}
		if got[i].AfterGap {
			gaps++
		}
		next = sequence(&got[i]) + 1
	}
	if gaps != rounds {
		t.Errorf("%d gaps", gaps)
	}
}

// TestLiveBurst: the default ring outlasts a reader that stands still for 400 ms while more
// than half a million packets a second come in.
func TestLiveBurst(t *testing.T) {
	const rate, packets, chunk = 600_000, 420_000, 200
	n := newVeth(t)
	l := n.live(t, LiveOptions{Interfaces: []string{"v1"}, Ring: DefaultRing})
	s := n.sender(t, "v0")
	s.bypass(t)
	var sent [][]byte
	for i := range chunk {
		sent = append(sent, append(numbered(testPacket{}, i), make([]byte, 10)...))
	}
	done := make(chan error)
	start := time.Now()
	var took time.Duration
	go func() {
		var err error
		for i := 0; i < packets && err == nil; i += chunk {
			err = s.send(sent...)
			time.Sleep(time.Until(start.Add(time.Duration(i) * time.Second / rate)))
		}
		took = time.Since(start)
		done <- err
	}()
	batch := make([]Frame, 256)
	frames, stalled := 0, false
	for {
		k, err := l.Read(batch)
		if err != nil {
			t.Fatal(err)
		}
		if k == 0 && stalled {
			break
		}
		frames += k
		if !stalled && time.Since(start) > 200*time.Millisecond {
			stalled = true
			time.Sleep(400 * time.Millisecond)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	frames += len(finish(t, l))
	st := l.Stats()
	t.Logf("%d frames of %d octets in %v: %.2f Mpps; read %d, %+v",
		packets, len(sent[0]), took.Round(time.Millisecond), packets/took.Seconds()/1e6, frames, st)
	if st.Drops != 0 || uint64(frames) != st.Packets || frames < packets*99/100 {
		t.Errorf("%d frames of %d; %+v", frames, packets, st)
	}
}

// TestLiveBesideTcpdump: both see the same.
func TestLiveBesideTcpdump(t *testing.T) {
	if _, err := exec.LookPath("tcpdump"); err != nil {
		t.Skip("tcpdump is not installed")
	}
	n := newVeth(t)
	n.ip(t, "addr add 10.9.0.1/24 dev lo")
	for _, name := range []string{"lo", "any"} {
		var dump *exec.Cmd
		var stderr io.ReadCloser
		var stdout bytes.Buffer
		n.do(t, func() (err error) {
			dump = exec.Command("tcpdump", "-i", name, "-s", "200", "--immediate-mode", "-U", "-w", "-", "tcp")
			dump.Stdout = &stdout
			if stderr, err = dump.StderrPipe(); err != nil {
				return err
			}
			return dump.Start()
		})
		for said := ""; !strings.Contains(said, "snapshot length"); {
			b := make([]byte, 200)
			k, err := stderr.Read(b)
			if said += string(b[:k]); err != nil {
				t.Skipf("tcpdump does not run here: %s", said)
			}
		}
		x := n.live(t, LiveOptions{Interfaces: []string{name}, Snaplen: 200})
		for _, addr := range []string{"127.0.0.1:0", "[::1]:0", "10.9.0.1:0"} {
			l := n.listen(t, "tcp", addr)
			for range 5 {
				n.connection(t, l)
			}
		}
		live := finish(t, x)
		dump.Process.Signal(os.Interrupt)
		io.Copy(io.Discard, stderr)
		dump.Wait()
		f, err := NewFile(name, &stdout, ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		segments := func(next func() (*Frame, bool)) (all []string) {
			d := NewDecoder()
			for f, ok := next(); ok; f, ok = next() {
				for _, s := range d.Decode(f, nil) {
					s.Frame, s.Time = 0, 0
					all = append(all, fmt.Sprintf("%+v", s))
				}
			}
			return all
		}
		got := segments(func() (*Frame, bool) {
			if len(live) == 0 {
				return nil, false
			}
			f := &live[0]
			live = live[1:]
			return f, true
		})
		one := make([]Frame, 1)
		want := segments(func() (*Frame, bool) {
			for {
				_, err := f.Read(one)
				// The outgoing copies are what tcpdump leaves in on any (sll2.pkttype).
				if err == nil && one[0].LinkType == LinkLinuxSLL2 && one[0].Data[10] == packetOutgoing {
					continue
				}
				return &one[0], err == nil
			}
		})
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) || len(got) < 100 {
			t.Errorf("%s: %d segments, tcpdump has %d", name, len(got), len(want))
		}
	}
}

// TestLiveDropsAtOnce: what has been dropped is known before what is in the ring is read, and
// then counted once; a gap that is there is never missed.
func TestLiveDropsAtOnce(t *testing.T) {
	n := newVeth(t)
	l := n.live(t, LiveOptions{Interfaces: []string{"v1"}, Ring: 1 << 20})
	s := n.sender(t, "v0")
	const each = 20000
	var sent [][]byte
	for i := range each {
		sent = append(sent, numbered(testPacket{}, i))
	}
	if err := s.send(sent...); err != nil {
		t.Fatal(err)
	}
	early := l.Stats().Drops
	var got []Frame
	batch := make([]Frame, 100)
	for {
		k, err := l.Read(batch)
		if err != nil {
			t.Fatal(err)
		}
		if k == 0 {
			break
		}
		for _, f := range batch[:k] {
			f.Data = slices.Clone(f.Data)
			got = append(got, f)
		}
	}
	if err := s.send(numbered(testPacket{}, each)); err != nil {
		t.Fatal(err)
	}
	got = append(got, finish(t, l)...)
	st := l.Stats()
	if early == 0 || st.Drops != early || uint64(len(got))+st.Drops != st.Packets {
		t.Errorf("%d drops at once, %d frames, %+v", early, len(got), st)
	}
	next := 0
	for i := range got {
		if sequence(&got[i]) != next && !got[i].AfterGap {
			t.Errorf("frame %d: sequence %d, expected %d, and no gap", got[i].Number, sequence(&got[i]), next)
		}
		next = sequence(&got[i]) + 1
	}
}
