package detect

import (
	"slices"

	"connrace/detect/internal/idle"
	"connrace/detect/internal/ring"
	"connrace/tcpstate"
)

// target is what is known of one listener: its figures, who waits for it now, and the
// samples that its timers are inferred from. Of the many that a scan touches nothing but
// this is kept: at most 512 octets each, with their places in the tables.
type target struct {
	end         tcpstate.Endpoint
	tag         uint32
	mixed       *told   // by the many listeners that it stands for; nil: it is one
	into        *target // that it was merged into; nil: it has a row of its own
	flows       int32   // connections that the tracker has
	open        int32   // of them, those that are established and that nobody has begun to close
	requests    uint64
	unread      uint64 // of them, those on connections that are HTTP/2 by the lengths of what was not captured
	told        *told  // silent: nothing yet
	advertised  int64  // Keep-Alive: timeout=, ns; 0: none
	connections uint64

	attempted, completed uint64
	used                 int64   // when its newest connection was opened
	hops                 [2]hops // of its LBs, its own
	syns                 ring.Ring[recentSYN]
	lbs                  []tcpstate.Addr

	tries                           Tries
	answers5xx                      uint64
	answered5xx                     [2]int64 // when the first of them began, and the last; 0: there is none
	refused, unanswered, synRetrans uint64
	pending                         uint64 // SYNs without an answer yet at the end

	held       ruleSet // rules about targets that matched when they were last asked
	reported   ruleSet // those whose finding was emitted: they are asked no more
	live       bool
	plain      bool   // a request of HTTP that can be read came here
	plainWith  uint64 // of which lbs
	maxWaiting int
}

// told is what a target has told by its answers, its silences and its closes.
type told struct {
	longest int64            // of reuses; -1: none
	reuses  ring.Ring[int64] // gaps after which a request was answered, ns
	gone    ring.Ring[int64] // gaps after which the connection was not known any more, ns

	farNS, allNS int64 // sums of SYN→SYN-ACK and of SYN→ACK, for the vantage
	rtt          idle.Sketch

	reached   [2]reached // sizes of segments that arrived, at the target and at the LB
	waits     waits
	overflows ring.Times // when the accept queue was found full
	drops     ring.Times // when SYNs were dropped, and of which streams
	clocks    clocks
	losses    ring.Times // when data or FINs of accepted connections were sent again
	silences  ring.Ring[silentTime]
	heard     int64 // when it last answered a SYN or a request, refused or closed

	answers bool // a request was answered
	oneWay  bool // a connection went on and on without an answer: see goesOneWay

	closes, lbCloses idle.Closes
	old              old              // the connections that it had when it began to close some
	atOnce           int              // closes right behind an answer that did not announce them
	slow             Histogram        // how long answers took that took a second or more
	refusals         ring.Ring[int64] // when connections were refused
	behindAnswers    moments          // when connections were closed right behind an answer
	served           idle.Spans       // when connections were served that were open before and after
	crossed          int              // requests that the target's idle close took away
	inferred         inferred
	who              who
	reuseHist        Histogram
}

// silent is what a target has told that has told nothing. It is never written.
var silent = told{longest: -1}

// Bounds of the samples of each kind: of all targets together, about, and of one at least.
const (
	ringSize   = ring.DefaultMax
	maxSamples = 1 << 18
	minSamples = 32
	// maxCloses is how many of the newest closes of one side are kept: a timer shows in far
	// fewer, and what was closed together is decided within seconds.
	maxCloses = 1 << 10
	maxLBs    = 64
)

func newTarget(ep tcpstate.Endpoint, tag uint32, live bool) *target {
	t := &target{end: ep, tag: tag, live: live, told: &silent}
	t.syns.Max, _ = t.samples()
	return t
}

// samples are how many SYNs and waits are kept, and how many samples of each other kind.
func (t *target) samples() (recent, kept int) {
	if t.live {
		return ringSize, liveSamples
	}
	// Later ones, of many, have less to say: tag counts them.
	n := min(ringSize, max(maxSamples/int(t.tag), minSamples))
	return n, n
}

// kept is what is kept of what was told, to be changed.
func (t *target) kept() *told {
	if t.mixed != nil {
		return t.mixed
	}
	return t.told
}

// tell is what the target has told, to be added to. What many listeners do that are not told apart says
// nothing of any of them: it is never looked at.
func (t *target) tell() *told {
	if t.told == &silent {
		return t.begin() // apart, so that the rest is inlined
	}
	return t.told
}

// begin is tell for a target that has told nothing that is looked at.
func (t *target) begin() *told {
	if t.mixed == nil {
		recent, most := t.samples()
		x := &told{longest: -1, waits: waits{most: recent}}
		x.overflows.Max, x.drops.Max, x.reuses.Max, x.refusals.Max = most, most, most, minSamples
		x.behindAnswers.Max, x.gone.Max, x.silences.Max = minSamples, minSamples, min(most, mostSilences)
		x.losses.Max = most
		x.closes.Max, x.lbCloses.Max = min(most, maxCloses), min(most, maxCloses)
		t.told = x
	}
	return t.kept()
}

// quiet reports whether nothing would be missed if the target were counted with others.
func (t *target) quiet() bool {
	return t.told == &silent && t.tries == Tries{} && t.refused+t.unanswered+t.pending+t.synRetrans == 0
}

// row is the target that its figures are shown with.
func (t *target) row() *target {
	if t.into != nil {
		return t.into
	}
	return t
}

// merge adds what another target counted, and what will be counted for it.
func (t *target) merge(o *target) {
	o.into = t
	t.connections += o.connections
	t.requests += o.requests
	t.tries.Add(o.tries, 1)
	if o.answers5xx > 0 {
		t.answers5xx += o.answers5xx
		t.noteAnswers5xx(o.answered5xx[0])
		t.noteAnswers5xx(o.answered5xx[1])
	}
	t.attempted += o.attempted
	t.completed += o.completed
	t.refused += o.refused
	t.unanswered += o.unanswered
	t.pending += o.pending
	t.synRetrans += o.synRetrans
	t.maxWaiting = max(t.maxWaiting, o.maxWaiting)
}

func (t *target) noteAnswers5xx(at int64) {
	first, last := &t.answered5xx[0], &t.answered5xx[1]
	if *first == 0 || at < *first {
		*first = at
	}
	*last = max(*last, at)
}

func (t *target) noteLB(a tcpstate.Addr) {
	if n := len(t.lbs); n > 0 && t.lbs[n-1] == a || n >= maxLBs || slices.Contains(t.lbs, a) {
		return
	}
	t.lbs = append(t.lbs, a)
}

// recentSYN is a SYN that opened a connection.
type recentSYN struct {
	lb  tcpstate.Addr
	ref tcpstate.SegRef
}

// synAfter is the first SYN of an LB host behind a frame and within a second after a time.
func (t *target) synAfter(lb tcpstate.Addr, after int64, frame uint64) (tcpstate.SegRef, bool) {
	for i := t.syns.Search(func(s *recentSYN) bool { return s.ref.Frame() > frame }); i < t.syns.Len(); i++ {
		switch s := t.syns.At(i); {
		case s.ref.Time > after+2*second: // frames may be out of order, but not by so much
			return tcpstate.SegRef{}, false
		case s.lb == lb && s.ref.Time >= after && s.ref.Time <= after+second:
			return s.ref, true
		}
	}
	return tcpstate.SegRef{}, false
}

// queueNear is how far apart signs of a full queue may lie and speak of the same one, by
// judgement: a few retries of a SYN.
const queueNear = 10 * second

// overflowNear reports whether the listener's accept queue was found full around a time.
func (x *told) overflowNear(from, to int64) bool { return len(around(&x.overflows, from, to)) > 0 }

// lossy reports whether data or FINs of accepted connections were lost around a time: more than
// one, for one alone may be lost anywhere.
func (x *told) lossy(from, to int64) bool { return len(around(&x.losses, from, to)) > 1 }

// dropNear reports whether a SYN of another stream was dropped around a time.
func (x *told) dropNear(from, to int64, stream uint32) bool {
	return slices.ContainsFunc(around(&x.drops, from, to), func(d ring.Moment) bool { return d.Of != stream })
}

func around(signs *ring.Times, from, to int64) []ring.Moment {
	return signs.Between(from-queueNear, to+queueNear)
}

// longestIdle is more than any pool keeps a connection idle. Longer gaps come of a wrong
// clock.
const longestIdle = 2 * 3600 * second

// reused notes the idle gap of a request that was answered.
func (x *told) reused(gap int64) {
	if gap > longestIdle {
		return
	}
	x.longest = max(x.longest, gap)
	x.reuses.Add(gap)
	x.reuseHist.Add(gap)
}

// vantage says on which side the capture was taken: the part of the handshake's round
// trip that lies towards the target.
func (x *told) vantage() string {
	const near = 200_000 // ns: a round trip within one host or rack has no sides
	if x.allNS == 0 || x.rtt.Median() < near {
		return "unknown"
	}
	switch share := float64(x.farNS) / float64(x.allNS); {
	case share < 0.2:
		return "target"
	case share > 0.8:
		return "lb"
	}
	return "between"
}

// far is how long it takes from where the capture was taken to the target and back, ns.
func (x *told) far() int64 {
	if x.rtt.N == 0 {
		return 0
	}
	return x.farNS / int64(x.rtt.N)
}

// refusedNear reports whether a connection was refused shortly before or after a time, as by a
// process that ends and whose successor does not listen yet.
func (x *told) refusedNear(at int64) bool {
	return slices.ContainsFunc(x.refusals.All(), func(r int64) bool { return r >= at-second && r <= at+second })
}

// moments are when something happened.
type moments struct{ ring.Ring[int64] }

// burst is how often it happened at a time, and not in the second before or after; 0: then too.
func (m *moments) burst(at int64) (near int) {
	for _, x := range m.All() {
		switch away := max(x-at, at-x); {
		case away <= idle.Moment:
			near++
		case away > idle.Linger && away <= second:
			return 0
		}
	}
	return near
}

// shift moves the times that are remembered.
func (t *target) shift(by int64) {
	t.used += by
	for i, at := range t.answered5xx {
		if at != 0 {
			t.answered5xx[i] += by
		}
	}
	t.syns.Each(func(s *recentSYN) { s.ref.Time += by })
	if t.told == &silent {
		return
	}
	x := t.told
	x.waits.shift(by)
	if x.heard != 0 {
		x.heard += by
	}
	x.overflows.Shift(by)
	x.refusals.Each(func(at *int64) { *at += by })
	x.behindAnswers.Each(func(at *int64) { *at += by })
	x.losses.Shift(by)
	x.silences.Each(func(s *silentTime) { s.from, s.to = s.from+by, s.to+by })
	for i := range x.clocks {
		x.clocks[i].newest.Time += by
	}
	x.drops.Shift(by)
	x.served.Shift(by)
	x.old.shift(by)
	x.closes.Shift(by)
	x.lbCloses.Shift(by)
}
