package detect_test

import (
	"testing"

	"connrace/detect"
	"connrace/tcpstate"
)

// BenchmarkDetect judges the segments of the corpus, each script a capture of its own: the
// cost where nearly every connection breaks. The octets are those of the payload.
func BenchmarkDetect(b *testing.B) {
	var captures [][]tcpstate.Segment
	var octets int64
	packets := 0
	for _, s := range corpus(b) {
		segs := s.Segments()
		captures = append(captures, segs)
		packets += len(segs)
		for i := range segs {
			octets += int64(segs[i].Len)
		}
	}
	b.SetBytes(octets)
	b.ReportAllocs()
	for b.Loop() {
		for _, segs := range captures {
			d := detect.New(detect.Options{})
			d.Segments(segs)
			d.Finish()
		}
	}
	b.ReportMetric(float64(b.N)*float64(packets)/b.Elapsed().Seconds(), "packets/s")
}
