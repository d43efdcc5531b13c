package pcaps

import (
	"bytes"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"connrace/tcpstate"
)

// Transformations leave the script alone, keep the wants and the order of time, and what
// they make can be compiled and read again.
func TestTransforms(t *testing.T) {
	for _, s := range corpus(t) {
		before := s.Format()
		wants := len(s.Want())
		for _, tr := range Transforms {
			m := tr.Apply(s)
			if len(m.Want()) != wants {
				t.Errorf("%s, %s: %d wants, had %d", s.Name, tr.Name, len(m.Want()), wants)
			}
			for i := 1; i < len(m.Packets); i++ {
				if m.Packets[i].Time < m.Packets[i-1].Time {
					t.Errorf("%s, %s: packet %d goes back in time", s.Name, tr.Name, i+1)
				}
			}
			text := m.Format()
			again, err := Parse("again", text)
			if err != nil {
				t.Errorf("%s, %s: %v\n%s", s.Name, tr.Name, err, text)
				continue
			}
			if !reflect.DeepEqual(again.Segments(), m.Segments()) {
				t.Errorf("%s, %s: read again it has other segments", s.Name, tr.Name)
			}
		}
		if !bytes.Equal(s.Format(), before) {
			t.Errorf("%s: a transformation changed it", s.Name)
		}
	}
}

// No capture shows an acknowledgment before what it acknowledges, wherever it was taken.
func TestCausality(t *testing.T) {
	for _, s := range corpus(t) {
		if holed(s.Name) {
			continue
		}
		for _, m := range []*Script{s.Resolve(), s.Moved(true), s.Moved(false), s.Doubled()} {
			sent := map[netip.AddrPort]map[netip.AddrPort]tcpstate.Seq{} // highest end, absolute
			for i := range m.Packets {
				p := &m.Packets[i]
				src, dst := &m.Hosts[p.Src], &m.Hosts[p.Dst]
				if end, ok := sent[dst.Addr][src.Addr]; ok && p.Flags.Has(tcpstate.ACK) && (dst.ISN + p.Ack).After(end) {
					t.Errorf("%s: packet %d acknowledges what is not there yet:\n%s", s.Name, i+1, m.Format())
					break
				}
				if sent[src.Addr] == nil {
					sent[src.Addr] = map[netip.AddrPort]tcpstate.Seq{}
				}
				end, ok := sent[src.Addr][dst.Addr]
				if e := src.ISN + p.End(); !ok || e.After(end) || p.Flags.Has(tcpstate.SYN) {
					sent[src.Addr][dst.Addr] = e
				}
			}
		}
	}
}

// holed tells scripts whose captures lack frames, or show them out of order, or mix
// incarnations.
func holed(name string) bool {
	for _, w := range []string{"hole", "gap", "one-direction", "mid-stream", "reorder", "fin-lost", "retransmission", "late", "old-rst", "port-reuse"} {
		if strings.Contains(name, w) {
			return true
		}
	}
	return false
}

// The race moves from the target's view to the LB's: request first, then the FIN.
func TestMoved(t *testing.T) {
	s, err := Load("fin-request-crossing")
	if err != nil {
		t.Fatal(err)
	}
	order := func(s *Script) string {
		var b strings.Builder
		for _, p := range s.Packets[len(s.Packets)-5:] {
			b.WriteString(s.Hosts[p.Src].Name[:1] + p.Flags.String() + " ")
		}
		return b.String()
	}
	if got, want := order(s), "tF. lP. tR lF. tR "; got != want {
		t.Fatalf("captured at the target: %s, want %s", got, want)
	}
	if got, want := order(s.Moved(false)), "lP. tF. lF. tR tR "; got != want {
		t.Errorf("captured nearer to the LB: %s, want %s", got, want)
	}
	if got, want := order(s.Moved(false).Moved(true)), order(s); got != want {
		t.Errorf("there and back: %s, want %s", got, want)
	}
}

// The wrap falls where the transformation's name says.
func TestWrap(t *testing.T) {
	s, err := Load("fin-request-crossing")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name              string
		request, end, fin tcpstate.Seq
	}{
		{"wrap before the last data", 0, 32, 40},
		{"wrap inside the last data", 1<<32 - 16, 16, 20},
		{"wrap behind the last data", 1<<32 - 32, 0, 0},
		{"wrap behind the FIN", 1<<32 - 33, 1<<32 - 1, 1<<32 - 1},
	} {
		for _, tr := range Transforms {
			if tr.Name != c.name {
				continue
			}
			segs := tr.Apply(s).Segments()
			if got := segs[7]; got.Seq != c.request || got.End() != c.end {
				t.Errorf("%s: request %d to %d, want %d to %d", c.name, got.Seq, got.End(), c.request, c.end)
			}
			if got := segs[6]; got.Seq != c.fin {
				t.Errorf("%s: FIN %d, want %d", c.name, got.Seq, c.fin)
			}
		}
	}
}

// Every frame comes twice with the same IP ID; the wants stay on the first.
func TestDoubled(t *testing.T) {
	s, err := Load("fin-request-crossing")
	if err != nil {
		t.Fatal(err)
	}
	d := s.Doubled()
	n := map[uint16]int{}
	for _, g := range d.Segments() {
		n[g.IPID]++
	}
	for id, k := range n {
		if k != 2 && id != 0 {
			t.Errorf("IP ID %d on %d frames", id, k)
		}
	}
	if len(d.Packets) != 2*len(s.Packets) {
		t.Errorf("%d frames", len(d.Packets))
	}
}

func TestSelect(t *testing.T) {
	s, err := Load("crowder")
	if err != nil {
		t.Fatal(err)
	}
	r := s.Select(func(frame int) bool { return frame != 285 })
	if len(r.Packets) != 290 || len(r.Want()) != 1 || r.Want()[0].Frame != 287 {
		t.Errorf("%d packets, wants %+v", len(r.Packets), r.Want())
	}
}
