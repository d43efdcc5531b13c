package detect

import (
	"math/bits"
	"slices"
	"sort"

	"connrace/tcpstate"
)

// maxTargets bounds the listeners that are told apart; the connections to all further
// ones are counted together.
const maxTargets = 1 << 15

// target is what is known of one listener: its figures, who waits for it now, and the
// samples that its timers are inferred from.
type target struct {
	// What every exchange touches, in two cache lines.
	end         tcpstate.Endpoint
	tag         uint32
	requests    uint64
	advertised  int64       // Keep-Alive: timeout=, ns; 0: none
	longest     int64       // of reuses; -1: none
	reuses      ring[int64] // gaps after which a request was answered, ns
	connections uint64

	// What every connection touches, in four.
	attempted, completed uint64
	flows                int   // connections in mind
	used                 int64 // when the newest of them was opened
	syns                 ring[recentSYN]
	lbs                  []tcpstate.Addr
	farNS, allNS         int64 // sums of SYN→SYN-ACK and of SYN→ACK, for the vantage
	rtt                  sketch

	mismatched int  // reviews in a row that found its idle timeout too short
	reported   bool // that was

	lost, refused, unanswered, synRetrans uint64
	pending                               uint64 // SYNs without an answer yet at the end
	maxWaiting                            int

	waits     []wait // stalled requests, open ones and those of the last minutes
	maxWaits  int
	overflows ring[int64]
	drops     ring[drop]

	closes, lbCloses closes
	atOnce           int      // closes right behind an answer that did not announce them
	inferred         struct { // what timers said when it last looked
		idle, lb *timer
		sweep    *timer // where there is no idle
		at       int    // closes seen then
	}
	crossed   int // requests that the target's idle close took away
	reuseHist Histogram
}

func newTarget(ep tcpstate.Endpoint, tag uint32, live bool) *target {
	t := &target{end: ep, tag: tag, longest: -1}
	t.syns.max, t.maxWaits = ringSize, ringSize
	most := liveSamples
	if !live {
		// Later ones, of many, have less to say: tag counts them.
		most = min(ringSize, max(maxSamples/int(tag), minSamples))
		t.syns.max, t.maxWaits = most, most
	}
	t.overflows.max, t.drops.max, t.reuses.max = most, most, most
	t.closes.max, t.lbCloses.max = min(most, maxCloses), min(most, maxCloses)
	return t
}

// Bounds of the samples of each kind: of all targets together, about, and of one at least.
const (
	maxSamples = 1 << 18
	minSamples = 32
)

// maxCloses is how many of the newest closes of one side are kept: a timer shows in far
// fewer, and what was closed together is decided within seconds.
const maxCloses = 1 << 10

const maxLBs = 64

func (t *target) noteLB(a tcpstate.Addr) {
	if len(t.lbs) > 0 && t.lbs[len(t.lbs)-1] == a {
		return
	}
	for _, b := range t.lbs {
		if a == b {
			return
		}
	}
	if len(t.lbs) < maxLBs {
		t.lbs = append(t.lbs, a)
	}
}

// ring keeps the newest values.
type ring[T any] struct {
	v     []T
	next  int // where the oldest is, once it is full
	count int // ever added
	max   int // how many are kept; 0: ringSize
}

const ringSize = 4096

func (r *ring[T]) add(x T) {
	r.count++
	most := r.max
	if most == 0 {
		most = ringSize
	}
	if n := len(r.v); n < most {
		if n == cap(r.v) { // many are filled: fewer copies than append makes, and no room left over
			r.v = slices.Grow(r.v, min(most-n, max(3*n, 16)))
		}
		r.v = append(r.v, x)
		return
	}
	r.v[r.next] = x
	if r.next++; r.next == most { // cheaper than a remainder
		r.next = 0
	}
}

// at is the i-th of the values kept, in the order in which they were added.
func (r *ring[T]) at(i int) *T {
	if i += r.next; i >= len(r.v) {
		i -= len(r.v)
	}
	return &r.v[i]
}

// search is the place, for at, of the first value that is so, as all behind it must be.
func (r *ring[T]) search(so func(*T) bool) int {
	return sort.Search(len(r.v), func(i int) bool { return so(r.at(i)) })
}

// newest is the value added last; nil: none was.
func (r *ring[T]) newest() *T {
	if len(r.v) == 0 {
		return nil
	}
	return r.at(len(r.v) - 1)
}

// recentSYN is a SYN that opened a connection.
type recentSYN struct {
	lb  tcpstate.Addr
	ref tcpstate.SegRef
}

func (t *target) noteSYN(lb tcpstate.Addr, m tcpstate.SegRef) { t.syns.add(recentSYN{lb, m}) }

// synAfter is the first SYN of an LB host behind a frame and within a second after a time.
func (t *target) synAfter(lb tcpstate.Addr, after int64, frame uint64) (tcpstate.SegRef, bool) {
	for i := t.syns.search(func(s *recentSYN) bool { return s.ref.Frame() > frame }); i < len(t.syns.v); i++ {
		if s := t.syns.at(i); s.lb == lb && s.ref.Time >= after && s.ref.Time <= after+second {
			return s.ref, true
		}
	}
	return tcpstate.SegRef{}, false
}

// wait is a stalled request: it was sent and for at least 200 ms not answered.
type wait struct {
	flow     uint32
	ref      tcpstate.SegRef
	answered int64 // 0: still waiting
}

// waitKeep is how long past waits are kept: a SYN's last retry comes up to two minutes
// after its first copy.
const waitKeep = 140 * second

func (t *target) stall(flow uint32, m tcpstate.SegRef) {
	if len(t.waits) >= t.maxWaits {
		keep := t.waits[:0]
		for _, w := range t.waits {
			if w.answered == 0 || m.Time-w.answered < waitKeep {
				keep = append(keep, w)
			}
		}
		if len(keep) == len(t.waits) {
			keep = append(keep[:0], keep[len(keep)/2:]...)
		}
		t.waits = keep
	}
	t.waits = append(t.waits, wait{flow: flow, ref: m})
}

func (t *target) unstall(flow uint32, now int64) {
	for i := len(t.waits) - 1; i >= 0; i-- {
		if w := &t.waits[i]; w.flow == flow && w.answered == 0 {
			w.answered = now
			return
		}
	}
}

// dropWait forgets a wait that goes on: it was no request to this target.
func (t *target) dropWait(flow uint32) {
	t.waits = slices.DeleteFunc(t.waits, func(w wait) bool { return w.flow == flow && w.answered == 0 })
}

// waitingAt is how many requests were stalled at a time.
func (t *target) waitingAt(at int64) int {
	n := 0
	for i := range t.waits {
		if t.waits[i].covers(at) {
			n++
		}
	}
	t.maxWaiting = max(t.maxWaiting, n)
	return n
}

func (w *wait) covers(at int64) bool {
	return w.ref.Time <= at && (w.answered == 0 || at <= w.answered)
}

// drop is a dropped SYN: when, and of which stream.
type drop struct {
	at     int64
	stream uint32
}

func (t *target) noteOverflow(at int64) {
	t.overflows.add(at)
}

// overflowNear reports whether the listener's accept queue was found full within 10 s.
func (t *target) overflowNear(from, to int64) bool {
	for _, o := range t.overflows.v {
		if o >= from-10*second && o <= to+10*second {
			return true
		}
	}
	return false
}

// longestIdle is more than any pool keeps a connection idle. Longer gaps come of a wrong
// clock.
const longestIdle = 2 * 3600 * second

// reused takes the idle gap of a request that was answered.
func (t *target) reused(gap int64) {
	if gap > longestIdle {
		return
	}
	t.longest = max(t.longest, gap)
	t.reuses.add(gap)
	t.reuseHist.add(gap)
}

func (h *Histogram) add(ns int64) {
	i := 0
	if ns > millisecond {
		// Four buckets an octave; within it the bounds are those of 2^(1/4).
		e := bits.Len64(uint64(ns/millisecond)) - 1
		i = 4 * e
		for _, q := range [...]int64{1_189_207, 1_414_214, 1_681_793} {
			i += int(uint64(q-1-ns>>e) >> 63) // 1 if ns >= q<<e; a branch could not be predicted
		}
	}
	h[min(i, len(h)-1)]++
}

// sketch is a histogram of times with 32 buckets an octave: 2 % fine. Of many targets the
// buckets are not in the cache: the newest times wait until there are some, for the misses
// to overlap.
type sketch struct {
	n     uint64
	b     []uint32
	fresh [7]int64 // with its number a cache line
	nf    int      // of fresh, that are not in b yet
}

func (s *sketch) add(ns int64) {
	if s.nf == len(s.fresh) {
		s.fold()
	}
	s.fresh[s.nf] = ns
	s.nf++
	s.n++
}

// fold counts the fresh ones.
func (s *sketch) fold() {
	if s.b == nil {
		s.b = make([]uint32, 40*32)
	}
	for _, ns := range s.fresh[:s.nf] {
		s.b[sketchBucket(ns)]++
	}
	s.nf = 0
}

func sketchBucket(ns int64) int {
	if ns < 32 {
		return int(max(ns, 0))
	}
	e := bits.Len64(uint64(ns)) - 6
	return min((e+1)*32+int(ns>>e)-32, 40*32-1)
}

func (s *sketch) quantile(q float64) int64 {
	if s.n == 0 {
		return 0
	}
	s.fold()
	want := uint64(q * float64(s.n-1))
	var seen uint64
	for i, c := range s.b {
		seen += uint64(c)
		if c > 0 && seen > want {
			if i < 32 {
				return int64(i)
			}
			e := i/32 - 1
			lo := int64(i%32+32) << e
			return lo + int64(1)<<e/2
		}
	}
	return 0
}

func (s *sketch) median() int64 { return s.quantile(0.5) }

// closeSample is a close by one side: when, and how long the connection had been idle.
type closeSample struct {
	time, gap int64
	idle      bool            // nothing was outstanding as the closer saw it
	ref       tcpstate.SegRef // the FIN or RST
	seen      int64           // when it was known: time, or later than that of an announcement
}

// closes are what is known of the closes by one side: the newest ones, and the idle times
// of all.
type closes struct {
	ring[closeSample]
	gaps Histogram

	late    int64 // how long a close was not known, at most
	setBack bool  // the clock was, and the closes are not in the order in which they were seen
}

func (c *closes) add(s closeSample) {
	if n := c.newest(); n != nil && n.seen > s.seen {
		c.setBack = true
	}
	c.late = max(c.late, s.seen-s.time)
	c.ring.add(s)
	c.gaps.add(s.gap)
}

// around are the places, from i to before j, of the closes that may be of a moment. They
// are few of those kept on a busy target, and each of its incidents asks.
func (c *closes) around(at int64) (i, j int) {
	if c.setBack {
		return 0, len(c.v)
	}
	return c.search(func(s *closeSample) bool { return s.seen >= at-closeMoment }),
		c.search(func(s *closeSample) bool { return s.seen-c.late > at+closeMoment })
}

// shortGap is too short for an idle timeout, ns.
const shortGap = 100 * millisecond

// atOnce reports whether the close followed right behind an answer: that is a habit of the
// target, no timer and no restart.
func (s *closeSample) atOnce() bool { return s.idle && s.gap <= shortGap }

// timer is an inferred timeout with the cluster of gaps that it stands on.
type timer struct {
	Timeout
	lo, hi  int64
	moments int
	samples []closeSample
}

// fits reports whether a gap belongs to the timer. A timer may fire late, or the packets
// around it be delayed, but what it let pass it has not closed.
func (t *timer) fits(gap int64) bool {
	return t.overdue(gap) && gap <= t.hi+max(timerSlack, t.NS/20)
}

// overdue reports whether the timer had run out after a gap.
func (t *timer) overdue(gap int64) bool { return t != nil && gap >= t.lo-20*millisecond }

// vantage says on which side the capture was taken: the part of the handshake's round
// trip that lies towards the target.
func (t *target) vantage() string {
	if t.allNS == 0 || t.rtt.median() < 200_000 {
		return "unknown"
	}
	switch share := float64(t.farNS) / float64(t.allNS); {
	case share < 0.2:
		return "target"
	case share > 0.8:
		return "lb"
	}
	return "between"
}

// timeout infers an idle timeout from closes: a tight cluster of gaps from at least
// three distinct moments, or of two within 20 ms, that no answered reuse outlived.
func inferTimer(samples []closeSample, longest int64) *timer {
	var gs []closeSample
	mass := massCloses(samples)
	for i, s := range samples {
		if s.idle && s.gap > shortGap && !mass[i] {
			gs = append(gs, s)
		}
	}
	sort.Slice(gs, func(i, j int) bool { return gs[i].gap < gs[j].gap })
	ids, n := moments(gs)
	var best []closeSample
	bestMoments := 0
	seen := make([]int32, n) // how often a moment occurs in the window
	distinct := 0
	for i, j := 0, 0; i < len(gs); i++ {
		for j < len(gs) && gs[j].gap-gs[i].gap <= min(gs[i].gap/20, second*11/10) {
			if seen[ids[j]]++; seen[ids[j]] == 1 {
				distinct++
			}
			j++
		}
		if m, c := distinct, gs[i:j]; m > bestMoments && c[len(c)-1].gap+20*millisecond >= longest && 2*len(c) >= nearby(gs, c) &&
			(m >= 3 || m == 2 && c[len(c)-1].gap-c[0].gap <= 20*millisecond) {
			best, bestMoments = c, m
		}
		if seen[ids[i]]--; seen[ids[i]] == 0 {
			distinct--
		}
	}
	if best == nil {
		return nil
	}
	lo, hi := best[0].gap, best[len(best)-1].gap
	return &timer{
		Timeout: Timeout{NS: best[len(best)/2].gap, Samples: len(best), SpreadNS: hi - lo},
		lo:      lo, hi: hi, moments: bestMoments, samples: best,
	}
}

// sweepPeriod is how late a server may be that looks for overdue connections now and
// then: gunicorn and lighttpd once a second.
const sweepPeriod = second * 12 / 10

// nearby is how many of the sorted samples lie within a sweep's period of a cluster. A
// timer's closes are most of them; of closes spread evenly over the period some lie near
// each other by chance.
func nearby(gs, cluster []closeSample) int {
	lo, hi := cluster[0].gap-sweepPeriod, cluster[len(cluster)-1].gap+sweepPeriod
	i := sort.Search(len(gs), func(i int) bool { return gs[i].gap >= lo })
	j := sort.Search(len(gs), func(i int) bool { return gs[i].gap > hi })
	return j - i
}

// inferSweep infers from closes that no timer fits that the target sweeps: three quarters
// of at least five idle ages, from three moments, lie within one period, and no reuse was
// longer. What it says is too vague to be a timeout, but tells such closes from a
// restart's.
func inferSweep(samples []closeSample, longest int64) *timer {
	var gs []closeSample
	for _, s := range samples {
		if s.idle && s.gap > shortGap {
			gs = append(gs, s)
		}
	}
	sort.Slice(gs, func(i, j int) bool { return gs[i].gap < gs[j].gap })
	var best []closeSample
	for i, j := 0, 0; i < len(gs); i++ {
		for j < len(gs) && gs[j].gap-gs[i].gap <= sweepPeriod {
			j++
		}
		if j-i > len(best) {
			best = gs[i:j]
		}
	}
	if 4*len(best) < 3*len(gs) || len(best) < 5 || best[0].gap < sweepPeriod/2 || best[len(best)-1].gap+20*millisecond < longest {
		return nil
	}
	if _, n := moments(best); n < 3 {
		return nil
	}
	lo, hi := best[0].gap, best[len(best)-1].gap
	return &timer{Timeout: Timeout{NS: lo, Samples: len(best), SpreadNS: hi - lo}, lo: lo, hi: hi}
}

// moments numbers the distinct closing times among samples: those within 10 ms of each
// other are one.
func moments(c []closeSample) (ids []int32, n int) {
	order := byTime(c)
	ids = make([]int32, len(c))
	var last int64
	for _, i := range order {
		if n == 0 || c[i].time-last > 10*millisecond {
			n++
		}
		last = c[i].time
		ids[i] = int32(n - 1)
	}
	return ids, n
}

// byTime is the order of samples in time.
func byTime(c []closeSample) []int {
	order := make([]int, len(c))
	for i := range order {
		order[i] = i
	}
	sort.Slice(order, func(i, j int) bool { return c[order[i]].time < c[order[j]].time })
	return order
}

// closeMoment is how near in time closes belong together.
const closeMoment = 50 * millisecond

// massCloses marks the closes that belong to a mass close: at least three within one
// moment at unlike idle ages. Of a busy target's timer many fire in one moment, all alike.
func massCloses(samples []closeSample) []bool {
	order := byTime(samples)
	mass := make([]bool, len(samples))
	var ages []int64
	for i := 0; i < len(order); {
		first := samples[order[i]].time
		ages = ages[:0]
		j := i
		for ; j < len(order) && samples[order[j]].time-samples[order[max(j-1, i)]].time <= closeMoment && samples[order[j]].time-first <= 4*closeMoment; j++ {
			if s := &samples[order[j]]; !s.atOnce() {
				ages = append(ages, s.gap)
			}
		}
		if len(ages) >= 3 && 3*mostAlike(ages) <= 2*len(ages) {
			for _, k := range order[i:j] {
				mass[k] = true
			}
		}
		i = j
	}
	return mass
}

// mostAlike is how many of the idle ages are alike; it sorts them.
func mostAlike(ages []int64) int {
	slices.Sort(ages)
	most := 0
	for i, j := 0, 0; j < len(ages); j++ {
		for unlike(ages[i], ages[j]) {
			i++
		}
		most = max(most, j-i+1)
	}
	return most
}

// unlike reports whether idle ages differ by more than a timer's scatter.
func unlike(lo, hi int64) bool { return hi-lo > max(hi/10, 100*millisecond) }
