package tcpstate

import "testing"

// An ICMP error belongs to the half whose segment it quotes, if that sent such a segment; one
// about a SYN ends the attempt, unless the SYN comes again.
func TestICMP(t *testing.T) {
	lb := Endpoint{Addr4([]byte{10, 0, 0, 2}), 41000}
	refused := &ICMPError{From: Addr4([]byte{10, 0, 0, 9}), Type: 3, Code: 3}
	for _, tt := range []struct {
		name        string
		seq         Seq
		unnumbered  bool
		again, want bool
	}{
		{"the SYN", 99, false, false, true},
		{"eight octets of the SYN", 99, true, false, true},
		{"another sequence number", 98765, false, false, false},
		{"the SYN, which comes again", 99, false, true, false},
	} {
		w := &wire{t: NewTracker(Config{}), now: 50 * year}
		w.send(lb, targetEnd, SYN, 99, 0, 0)
		w.frame++
		w.seg = Segment{Frame: w.frame, Time: w.now + millisecond, Src: lb, Dst: targetEnd, Seq: tt.seq, Quoted: true, NoLength: true, Unnumbered: tt.unnumbered, ICMP: refused}
		w.t.Track(&w.seg)
		if tt.again {
			w.now += second
			w.send(lb, targetEnd, SYN, 99, 0, 0)
		}
		n := 0
		w.t.Each(func(f *Flow) {
			n++
			e := w.t.Notes(f).Half[f.LB()].SYNUnreachable()
			if (e != nil) != tt.want || e != nil && (e.From != refused.From || !e.Refused() || e.Name() != "port-unreachable") {
				t.Errorf("%s: %+v", tt.name, e)
			}
		})
		if n != 1 || w.t.Segments > 2 {
			t.Errorf("%s: %d flows, %d segments", tt.name, n, w.t.Segments)
		}
	}
}
