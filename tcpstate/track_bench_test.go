package tcpstate_test

import (
	"math"
	"testing"

	"connrace/pcaps"
	"connrace/tcpstate"
)

// BenchmarkTrack follows the segments of the corpus, all scripts as if captured one after
// another. The octets are those of the payload.
func BenchmarkTrack(b *testing.B) {
	scripts, err := pcaps.Corpus()
	if err != nil {
		b.Fatal(err)
	}
	var captures [][]tcpstate.Segment
	var octets int64
	packets := 0
	for _, s := range scripts {
		segs := s.Segments()
		captures = append(captures, segs)
		packets += len(segs)
		for i := range segs {
			octets += int64(segs[i].Len)
		}
	}
	b.SetBytes(octets)
	b.ReportAllocs()
	never := int64(math.MaxInt64)
	for b.Loop() {
		t := tcpstate.NewTracker(tcpstate.Config{})
		for _, segs := range captures {
			t.BeginCapture()
			t.TrackAll(segs, &never, func() {})
		}
		t.End()
	}
	b.ReportMetric(float64(b.N)*float64(packets)/b.Elapsed().Seconds(), "packets/s")
}
