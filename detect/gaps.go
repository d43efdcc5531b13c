package detect

import "sort"

// gaps are the times at which frames are known to be missing.
type gaps []int64

func (g *gaps) add(time int64, live bool) {
	const most = 1 << 16
	if len(*g) == most {
		if !live {
			return
		}
		*g = append((*g)[:0], (*g)[most/2:]...)
	}
	*g = append(*g, time)
}

// Gap says that frames are missing right before the given one: the kernel dropped them,
// or a damaged part of the file was skipped.
func (d *Detector) Gap(frame uint64, time int64) {
	if d.gaps.add(time, d.opt.Live); d.behind != nil {
		d.behind.Gap(frame, time)
	}
}

// near reports whether frames are known to be missing within a second of a time: what is
// missing may be what decides, and retries come within about as long.
func (g *gaps) near(t int64) bool {
	i := sort.Search(len(*g), func(i int) bool { return (*g)[i] >= t-second })
	return i < len(*g) && (*g)[i] <= t+second
}
