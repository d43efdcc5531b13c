package pipeline

import (
	"slices"
	"testing"

	"connrace/tcpstate"
)

// Which segments are the newest does not depend on how many come at once: by them it is decided which file continues which.
func TestNewest(t *testing.T) {
	segs := make([]tcpstate.Segment, 3*newestEvery*mostNewest+17)
	for i := range segs {
		segs[i].Frame = uint64(i + 1)
	}
	for _, all := range []int{5, mostNewest, 3*mostNewest + 5, len(segs)} {
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
			if want := newest(uint64(all)); !slices.Equal(got, want) {
				t.Errorf("of %d, %d at once: %v, want %v", all, atOnce, got, want)
			}
		}
	}
}

// newest are the frames that are kept of so many.
func newest(n uint64) (frames []uint64) {
	const round = mostNewest * newestEvery
	for i := range uint64(mostNewest) {
		f := i * newestEvery // the newest that has this place, counted from 0
		if f += (n - min(n, f+1)) / round * round; f >= n || f < mostNewest {
			f = i
		}
		if f < n {
			frames = append(frames, f+1)
		}
	}
	slices.Sort(frames)
	return frames
}

// Of traffic that repeats itself every few segments, such as requests and answers by turns, all parts are among them.
func TestNewestOfRepeated(t *testing.T) {
	segs := make([]tcpstate.Segment, 3*newestEvery*mostNewest)
	for i := range segs {
		segs[i].Frame = uint64(i)
	}
	var n Newest
	n.add(segs)
	for period := uint64(2); period <= 16; period++ {
		parts := map[uint64]bool{}
		for _, s := range n.All() {
			parts[s.Frame%period] = true
		}
		if len(parts) != int(period) {
			t.Errorf("%d of %d parts", len(parts), period)
		}
	}
}
