package join

import (
	"cmp"
	"math"
	"slices"

	"connrace/detect"
	"connrace/tcpstate"
)

// Clock is how the clock of one point stands to that of another, nearer to the LB: what is to be
// added to a time of the nearer one.
//
// A segment to the target, sent at a and seen further on at b, shows that the offset is at most
// b-a, for it took time; one to the LB, that it is at least as much. How much of the difference
// is the way cannot be told; that the fastest segments took equally long both ways is an estimate.
type Clock struct {
	Known  bool
	At     int64 // a moment, ns, by the nearer clock, of which the rest is said
	Offset int64 // the estimate
	Lo, Hi int64 // between these it lies for certain
	Drift  float64
	// DriftKnown: the captures are long enough for Drift, in seconds per second, to show.
	DriftKnown bool

	up, down edge
	same     bool // they are one
}

// oneClock is that of two points in the same capture.
var oneClock = Clock{Known: true, same: true}

// sample is a segment that both points have: by how much the further clock was ahead of the
// nearer, at a time of the nearer one.
type sample struct {
	at, ahead int64
	target    int32 // an index in samples.targets
}

// samples are those of two points: segments to the target, and segments to the LB.
type samples struct {
	up, down []sample
	targets  [][2]tcpstate.Endpoint // as the two points name them
	hops     [2]int                 // how many segments of the LB, and of the target, had fewer hops to live at the second point, less those that had more
}

// maxSamples is about how many there are at most; of more connections than that takes those are
// compared that are spread over all.
const maxSamples = 1 << 14

const (
	// maxDrift is how fast two clocks can part: each may be slewed by 500 ppm (adjtimex(2)).
	maxDrift  = 1e-3
	stretches = 1024
	// granularity is that of a capture's times, in the formats that have the coarser one.
	granularity = int64(1e3)
	// longEnough is for how long clocks must be watched before their drift can be told from the
	// variance of delays.
	longEnough = int64(10e9)
)

// sampled are the samples of connections that two points share.
func sampled(a, b *detect.Result, pairs []pair) samples {
	var s samples
	marks := 0
	for _, p := range pairs {
		marks += a.Connections[p.a].NMarks()
	}
	room := min(marks, maxSamples) // what is not used of it takes addresses only
	s.up, s.down = make([]sample, 0, room), make([]sample, 0, room)
	var xs, ys []detect.Mark
	index := map[[2]tcpstate.Endpoint]int32{}
	var hashes [2][]uint32
	every := uint32(1 + marks/maxSamples)
	for i := range pairs {
		if uint32(i)*2654435769>>16%every != 0 { // as if by chance: connections may be alike by turns
			continue
		}
		p := &pairs[i]
		x, y := &a.Connections[p.a], &b.Connections[p.b]
		names := [2]tcpstate.Endpoint{x.Target, y.Target}
		t, is := index[names]
		if !is {
			t = int32(len(s.targets))
			index[names] = t
			s.targets = append(s.targets, names)
		}
		xs, ys = a.AppendMarks(xs[:0], x), b.AppendMarks(ys[:0], y)
		level(xs, ys)
		hashes[0] = hashed(hashes[0][:0], xs, p.shift)
		hashes[1] = hashed(hashes[1][:0], ys, [2]tcpstate.Seq{})
		for k := range xs {
			m := &xs[k]
			o := counterpart(xs, ys, &hashes, k, p.shift)
			if o == nil {
				continue
			}
			s.hops[side(m.FromLB)] += cmp.Compare(m.TTL, o.TTL)
			if n := (sample{m.Time, o.Time - m.Time, t}); m.FromLB {
				s.up = append(s.up, n)
			} else {
				s.down = append(s.down, n)
			}
		}
	}
	return s
}

// level leaves timestamps out where one of two captures has cut them off.
func level(xs, ys []detect.Mark) {
	stamped := func(x detect.Mark) bool { return x.Stamp != 0 }
	if slices.ContainsFunc(xs, stamped) == slices.ContainsFunc(ys, stamped) {
		return
	}
	for _, all := range [...][]detect.Mark{xs, ys} {
		for i := range all {
			all[i].Stamp = 0
		}
	}
}

// turn lets the other point be the nearer one.
func (s *samples) turn() {
	for _, x := range [...][]sample{s.up, s.down} {
		for i := range x {
			x[i].at, x[i].ahead = x[i].at+x[i].ahead, -x[i].ahead
		}
	}
	s.hops = [2]int{-s.hops[0], -s.hops[1]}
	for i, t := range s.targets {
		s.targets[i] = [2]tcpstate.Endpoint{t[1], t[0]}
	}
}

// hashed are numbers that are the same of marks that are the same.
func hashed(to []uint32, marks []detect.Mark, shift [2]tcpstate.Seq) []uint32 {
	for i := range marks {
		m := shifted(marks[i], shift)
		to = append(to, uint32(m.Seq)^uint32(m.Ack)*16777619^m.Stamp<<16)
	}
	return to
}

// counterpart is the mark that is the i-th of others; nil: it is not there, or there is doubt which
// copy it is.
func counterpart(as, bs []detect.Mark, hashes *[2][]uint32, i int, shift [2]tcpstate.Seq) (y *detect.Mark) {
	x := shifted(as[i], shift)
	same := func(o *detect.Mark) bool { return o.FromLB == x.FromLB && o.Identity() == x.Identity() }
	h := hashes[0][i]
	for k, o := range hashes[0] {
		if o == h && k != i {
			if o := shifted(as[k], shift); same(&o) {
				return nil
			}
		}
	}
	for k, o := range hashes[1] {
		if o == h && same(&bs[k]) {
			if y != nil {
				return nil
			}
			y = &bs[k]
		}
	}
	return y
}

// nearer reports whether the first of two points is the one nearer to the LB: segments of the LB have more hops to
// live there than at the other, and those of the target fewer; or, where no hop lies between the two, a segment to the
// target comes there earlier, and what answers it later. Neither clock matters. Where neither shows it is the first one,
// and known is false.
func (s *samples) nearer() (first, known bool) {
	inOrder(s.up)
	inOrder(s.down)
	if first, known = s.byHops(); known {
		return first, true
	}
	n := s.sooner()
	return n >= 0, n != 0
}

// byHops is nearer by hops alone.
func (s *samples) byHops() (first, known bool) {
	// What is in between may set them anew for one of the two: then they say nothing.
	lb, target := s.hops[0], s.hops[1]
	return lb-target > 0, lb >= 0 && target <= 0 && lb-target > 0 || lb <= 0 && target >= 0 && lb-target < 0
}

// sooner is how often the way from one segment to what answers it took longer as the first point saw it, less how
// often it took longer as the second did.
func (s *samples) sooner() (n int) {
	// Both samples hold the clocks' offset, and only the way differs.
	up, down := s.up, s.down
	j := 0
	for _, d := range down {
		for j < len(up) && up[j].at <= d.at {
			j++
		}
		if j > 0 {
			n += cmp.Compare(up[j-1].ahead, d.ahead)
		}
	}
	return n
}

// inOrder sorts samples by their times. Numbers are sorted in a quarter of the time.
func inOrder(s []sample) {
	first, last := int64(math.MaxInt64), int64(math.MinInt64)
	for i := range s {
		first, last = min(first, s[i].at), max(last, s[i].at)
	}
	const places = 16 // bits
	if len(s) > 1<<places || uint64(last-first) >= 1<<(64-places) {
		slices.SortStableFunc(s, func(x, y sample) int { return cmp.Compare(x.at, y.at) })
		return
	}
	keys, was := make([]uint64, len(s)), slices.Clone(s)
	for i := range s {
		keys[i] = uint64(s[i].at-first)<<places | uint64(i)
	}
	slices.Sort(keys)
	for i, k := range keys {
		s[i] = was[k&(1<<places-1)]
	}
}

// newClock works out how two clocks stand to each other, at the middle of what they share.
func newClock(up, down []sample) (c Clock) {
	if len(up) == 0 || len(down) == 0 {
		return c
	}
	first, last := int64(math.MaxInt64), int64(math.MinInt64)
	for _, s := range [][]sample{up, down} {
		for _, x := range s {
			first, last = min(first, x.at), max(last, x.at)
		}
	}
	c.At = first + int64(uint64(last-first)/2)
	c.up = newEdge(up, first, last, -1)
	c.down = newEdge(down, first, last, 1)
	c.Lo, c.Hi = c.bounds(c.At)
	c.Lo -= granularity
	c.Hi += granularity
	if c.Known = c.Lo <= c.Hi; !c.Known {
		return c
	}
	if uint64(last-first) >= uint64(longEnough) {
		c.Drift, c.DriftKnown = c.drift(first, last)
	}
	c.Offset = c.estimate()
	return c
}

// edge is what samples of one way say of the offset: that it is at most so much, or at least.
type edge struct {
	sign    int64    // 1: at least; -1: at most
	samples []sample // one for each stretch of time at most, in order
	// Of the samples up to each, and from each on, the place of the one that says most beyond.
	before, after []int
	near          int // where a time lay that was asked for before
}

// newEdge keeps of each stretch of time the sample that says most: the smallest, or the largest.
// Times are what captures say, and can be further apart than an int64 holds.
func newEdge(all []sample, first, last int64, sign int64) edge {
	var kept [stretches]sample
	var has [stretches]bool
	width := uint64(last-first)/stretches + 1
	for _, s := range all {
		i := uint64(s.at-first) / width
		if !has[i] || sign*s.ahead > sign*kept[i].ahead {
			kept[i], has[i] = s, true
		}
	}
	e := edge{sign: sign, samples: make([]sample, 0, min(len(all), stretches))}
	for i := range kept {
		if has[i] {
			e.samples = append(e.samples, kept[i])
		}
	}
	n := len(e.samples)
	e.before, e.after = make([]int, n), make([]int, n)
	for i := range n {
		e.before[i] = e.more(e.before[max(i-1, 0)], i, e.samples[i].at)
	}
	for i := n - 1; i >= 0; i-- {
		e.after[i] = i
		if i+1 < n {
			e.after[i] = e.more(i, e.after[i+1], e.samples[i].at)
		}
	}
	return e
}

// says is what a sample says of another time.
func (e *edge) says(i int, t int64) int64 {
	s := &e.samples[i]
	return s.ahead - e.sign*slack(t-s.at)
}

// more is which of two samples says more of a time. As clocks part equally fast wherever they
// are, it says more of all times beyond, too.
func (e *edge) more(i, j int, t int64) int {
	if e.sign*e.says(j, t) > e.sign*e.says(i, t) {
		return j
	}
	return i
}

// at is what all samples together say of a time.
func (e *edge) at(t int64) int64 {
	k := e.place(t)
	switch {
	case k == 0:
		return e.says(e.after[k], t)
	case k == len(e.samples):
		return e.says(e.before[k-1], t)
	}
	return e.says(e.more(e.before[k-1], e.after[k], t), t)
}

// place is how many samples are earlier than a time. Mostly times are asked for in order.
func (e *edge) place(t int64) int {
	for k := e.near; k <= min(e.near+1, len(e.samples)); k++ {
		if (k == 0 || e.samples[k-1].at < t) && (k == len(e.samples) || e.samples[k].at >= t) {
			e.near = k
			return k
		}
	}
	e.near, _ = slices.BinarySearchFunc(e.samples, t, func(s sample, t int64) int { return cmp.Compare(s.at, t) })
	return e.near
}

// bounds are those of the offset at a time of the nearer clock.
func (c *Clock) bounds(t int64) (lo, hi int64) {
	if c.same {
		return 0, 0
	}
	lo, hi = c.down.at(t), c.up.at(t)
	if lo > hi && lo-hi <= 2*granularity { // a way that takes no time
		lo, hi = hi, lo
	}
	return lo, hi
}

// slack is by how much two clocks part in a time, at most.
func slack(d int64) int64 { return int64(maxDrift * math.Abs(float64(d))) }

// drift is the median of how fast the middle between the two bounds moves from the first half of
// the time to the second.
func (c *Clock) drift(first, last int64) (float64, bool) {
	const parts = 8
	type middle struct {
		at    float64
		ahead float64
		ok    bool
	}
	var mids [parts]middle
	width := (last-first)/parts + 1
	for i := range mids {
		lo, hi := int64(math.MinInt64), int64(math.MaxInt64)
		from := first + int64(i)*width
		for _, s := range c.up.samples {
			if s.at >= from && s.at < from+width {
				hi = min(hi, s.ahead)
			}
		}
		for _, s := range c.down.samples {
			if s.at >= from && s.at < from+width {
				lo = max(lo, s.ahead)
			}
		}
		if lo != math.MinInt64 && hi != math.MaxInt64 {
			mids[i] = middle{float64(from + width/2 - c.At), float64(lo) + float64(hi-lo)/2, true}
		}
	}
	var slopes []float64
	for i := range parts / 2 {
		if x, y := mids[i], mids[i+parts/2]; x.ok && y.ok {
			slopes = append(slopes, (y.ahead-x.ahead)/(y.at-x.at))
		}
	}
	if len(slopes) < parts/2-1 {
		return 0, false
	}
	slices.Sort(slopes)
	// Delays vary: what is within the spread of the slopes, or within a quarter of the ways,
	// shows no drift.
	d, spread := slopes[len(slopes)/2], slopes[len(slopes)-1]-slopes[0]
	if math.Abs(d) <= spread || math.Abs(d)*float64(last-first) < float64(c.Hi-c.Lo)/4 {
		d = 0
	}
	return d, true
}

// estimate is the offset at c.At if the fastest segments took equally long both ways.
func (c *Clock) estimate() int64 {
	lo, hi := int64(math.MinInt64), int64(math.MaxInt64)
	for _, s := range c.up.samples {
		hi = min(hi, s.ahead-int64(c.Drift*float64(s.at-c.At)))
	}
	for _, s := range c.down.samples {
		lo = max(lo, s.ahead-int64(c.Drift*float64(s.at-c.At)))
	}
	return min(max(lo+(hi-lo)/2, c.Lo), c.Hi)
}

// Offset at a time of the nearer clock.
func (c *Clock) offset(t int64) int64 {
	if !c.Known || c.same {
		return 0
	}
	o := c.Offset + int64(c.Drift*float64(t-c.At))
	if lo, hi := c.bounds(t); lo <= hi {
		o = min(max(o, lo), hi)
	}
	return o
}
