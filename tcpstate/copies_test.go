package tcpstate

import "testing"

// A connection is another one, shown once more, if its first segment is that of the other: with the same numbers,
// options and identification, and at once.
func TestCopies(t *testing.T) {
	pod := Endpoint{Addr4([]byte{10, 9, 1, 9}), 80}
	for name, change := range map[string]func(*Segment){
		"":                            func(*Segment) {},
		"another sequence number":     func(s *Segment) { s.Seq++ },
		"another timestamp":           func(s *Segment) { s.TSVal++ },
		"another identification":      func(s *Segment) { s.IPID++ },
		"another window":              func(s *Segment) { s.Window++ },
		"no hop between":              func(s *Segment) { s.TTL++ },
		"hops of another path":        func(s *Segment) { s.TTL -= copyHops },
		"later":                       func(s *Segment) { s.Time += copyWithin },
		"an RST, of which many agree": func(s *Segment) { s.Flags |= RST },
	} {
		for _, first := range []Segment{
			{Flags: SYN, Seq: 7, HasTS: true, TSVal: 5, IPID: 9, Window: 1000, TTL: 64},
			{Flags: ACK, Seq: 7, Ack: 3, Len: 10, HasTS: true, TSVal: 5, TSEcr: 4, IPID: 9, Window: 1000, TTL: 64},
		} {
			var copies []Segment
			tr := NewTracker(Config{Copy: func(s *Segment, stream uint32) {
				if copies = append(copies, *s); stream != 1 {
					t.Errorf("stream %d", stream)
				}
			}})
			s := first
			s.Frame, s.Time, s.Src, s.Dst = 1, second, lbEnd, targetEnd
			tr.Track(&s)
			s.Frame, s.Time, s.Dst, s.TTL = 2, second+20000, pod, 63
			change(&s)
			tr.Track(&s)
			s.Frame, s.Flags, s.Src, s.Dst = 3, ACK, pod, lbEnd // whatever it is, it goes the same way
			tr.Track(&s)
			if want := map[bool]int{true: 2}[name == ""]; len(copies) != want {
				t.Errorf("%q, %s: %d copies, want %d", name, first.Flags, len(copies), want)
			}
		}
	}
}
