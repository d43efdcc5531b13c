package tcpstate

import "testing"

// BenchmarkFlood tracks SYNs of ever new connections.
func BenchmarkFlood(b *testing.B) {
	b.ReportAllocs()
	tr := NewTracker(Config{MaxFlows: 1 << 18})
	s := Segment{Dst: targetEnd, Flags: SYN}
	for i := range b.N {
		s.Frame, s.Time = uint64(i+1), 50*year+int64(i)*10_000
		s.Src = Endpoint{Addr4([]byte{11, byte(i >> 24), byte(i >> 16), byte(i >> 8)}), uint16(i)}
		s.Seq = Seq(i) * 7919
		tr.Track(&s)
	}
}
