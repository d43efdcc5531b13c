package capture

import (
	"math"
	"slices"
	"testing"

	"connrace/tcpstate"
)

// The frames that hold segments between some ends are found, whichever end sends, and those of which nothing is
// known: with several segments, not noted, beyond the bound.
func TestContents(t *testing.T) {
	const most, frames = stepsBlock + 10, stepsBlock + 20
	tr := tcpstate.NewTracker(tcpstate.Config{Hashes: true})
	c := NewContents(most)
	end := func(port int) tcpstate.Endpoint {
		return tcpstate.Endpoint{Addr: tcpstate.Addr{Lo: 0xffff0a000001}, Port: uint16(port)}
	}
	var wanted []uint64
	var segs []tcpstate.Segment
	due := int64(math.MaxInt64)
	looked := func(n int) bool { return n%1000 == 7 }
	for n := 1; n <= frames; n++ {
		s := tcpstate.Segment{Frame: uint64(n), Src: end(1), Dst: end(2)}
		if looked(n) {
			s.Dst = end(3)
		}
		if n%2000 == 7 {
			s.Src, s.Dst = s.Dst, s.Src
		}
		if n%3 > 0 || looked(n) {
			segs = append(segs, s)
		}
		if n%5000 == 1 {
			segs = append(segs, tcpstate.Segment{Frame: uint64(n), Src: end(4), Dst: end(5)}, tcpstate.Segment{Frame: uint64(n), Src: end(6), Dst: end(5)})
		}
		if looked(n) || n%5000 == 1 || n > most {
			wanted = append(wanted, uint64(n))
		}
		if n%97 == 0 || n == frames {
			tr.TrackAll(segs, &due, func() {})
			c.Add(segs, tr.Hashes())
			c.Through(uint64(n))
			segs = segs[:0]
		}
	}
	var keys Keys
	keys.Add(AnyKey)
	keys.Add(KeyOf((&tcpstate.Segment{Src: end(3), Dst: end(1)}).Hash()))
	if other := KeyOf((&tcpstate.Segment{Src: end(2), Dst: end(1)}).Hash()); keys.Has(other) {
		t.Skip("two pairs of ends have the same hash by chance")
	}
	var got []uint64
	for first := uint64(1); first <= frames; first += 4999 {
		got = c.Among(&keys, first, min(first+4998, frames), got)
	}
	if !slices.Equal(got, wanted) {
		t.Errorf("%d frames: %v; want %d: %v", len(got), got, len(wanted), wanted)
	}
	for n := uint64(1); n <= frames; n++ {
		if keys.Has(c.Of(n)) != slices.Contains(wanted, n) {
			t.Errorf("frame %d: %v", n, c.Of(n))
		}
	}
	none := []tcpstate.Segment{}
	if !c.Holds(3, none) || c.Holds(7, none) || !c.Holds(most+1, none) || c.Noted() != most {
		t.Errorf("%v, %v, %v, %d noted", c.Holds(3, none), c.Holds(7, none), c.Holds(most+1, none), c.Noted())
	}
}
