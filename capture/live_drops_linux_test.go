package capture

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

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
