package pipeline

import (
	"slices"
	"testing"

	"connrace/tcpstate"
)

// Which segments are the newest does not depend on how many come at once: by them it is decided which file continues which.
func TestNewest(t *testing.T) {
	segs := make([]tcpstate.Segment, 3*mostNewest+17)
	for i := range segs {
		segs[i].Frame = uint64(i + 1)
	}
	for _, all := range []int{5, mostNewest, len(segs)} {
		for _, atOnce := range []int{1, 7, mostNewest - 1, mostNewest, mostNewest + 1, len(segs)} {
			var n Newest
			n.add(segs[:3])
			n.Forget()
			for chunk := range slices.Chunk(segs[:all], atOnce) {
				n.add(chunk)
			}
			var got []uint64
			for _, s := range n.All() {
				got = append(got, s.Frame)
			}
			slices.Sort(got)
			if first := max(all-mostNewest, 0); len(got) != all-first || got[0] != uint64(first+1) || got[len(got)-1] != uint64(all) {
				t.Errorf("%d of %d, %d at once: %v", len(got), all, atOnce, got)
			}
		}
	}
}
