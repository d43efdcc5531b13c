package detect

import (
	"strconv"

	"connrace/tcpstate"
)

// What the rules share that are about octets which were sent again and again and never
// acknowledged: when that is a failure, and whose.

// threshold is how many copies of the same octets, over how long, it takes. Copies count the
// first one; those closer than 150 ms, less than the least retransmission timeout of Linux, do
// not count.
type threshold struct {
	copies int
	over   int64
}

// The thresholds. A segment that is lost on the way is sent again after 0.2 s, and after 0.4 s
// more: it takes two losses in a row to look like the first of them.
var (
	whenClosed = threshold{3, second/2 + 1} // a close shows that somebody gave up
	whenSilent = threshold{4, 3*second + 1} // none does, and no more copies come
	whenOpen   = threshold{3, 3 * second}   // none does, more may come: SYNs too
)

// openError is how long a failure must have gone on, undecided, to be an error.
const openError = 15 * second

func (t threshold) met(copies int, over int64) bool { return copies >= t.copies && over >= t.over }

// silence is what one side sent again and again and the other never acknowledged.
type silence struct {
	first, last tcpstate.SegRef
	copies      int
	over        int64  // from the first copy to the close, without one to the last copy
	least       uint32 // octets of the smallest copy
	fromLB      bool
	open        bool  // it is still due to be sent again
	until       int64 // when the close shows, or now
}

// silenceOf is what one side sent in vain; close is when a close shows, 0: never. ok is false below the thresholds.
func (x *Facts) silenceOf(fromLB bool, close int64) (s silence, ok bool) {
	u := x.lbUnacked
	if !fromLB {
		u = x.targetUnacked
	}
	if u == nil {
		return s, false
	}
	s = silence{fromLB: fromLB, first: u.First, last: u.Last, copies: u.Copies, least: u.Least, until: x.Now}
	s.over = s.last.Time - s.first.Time
	if close != 0 {
		s.until = close
		return s, whenClosed.met(s.copies, close-s.first.Time)
	}
	if x.Now >= s.last.Time+u.Patience() {
		return s, whenSilent.met(s.copies, s.over)
	}
	s.open = true
	return s, whenOpen.met(s.copies, s.over) && (x.Ended || x.GoesOn)
}

// swallowed is what the LB sent in vain.
func (x *Facts) swallowed() (s silence, ok bool) {
	u := x.lbUnacked
	if u == nil || x.answered && x.request.Set() && u.First.Seq.AtOrBefore(x.request.Seq) {
		return s, false
	}
	var closes []int64
	if cl := x.lbClose(); cl.Set() {
		closes = append(closes, cl.Time)
	}
	if x.closing.Set() && x.closing.Ack.AtOrBefore(u.First.Seq) {
		closes = append(closes, x.closing.Time)
	}
	if rst, reset := x.replyRST(); reset {
		closes = append(closes, rst.Time)
	}
	if len(closes) == 0 {
		return x.silenceOf(true, 0)
	}
	first := closes[0]
	for _, at := range closes {
		first = min(first, at)
	}
	s, ok = x.silenceOf(true, first)
	if cl := x.lbClose(); ok && (!cl.Set() || cl.Time > first) && u.Last.Time > first && u.First.Seq == x.request.Seq {
		// The target closed: what was sent behind that does not count.
		s.copies = 1
		for _, c := range x.ln.Copies {
			if c.Time <= first {
				s.copies++
			}
		}
		ok = whenClosed.met(s.copies, first-s.first.Time)
	}
	return s, ok
}

// eater is what is to blame for octets of the LB that were never acknowledged.
type eater uint8

// What may be.
const (
	nobody      eater = iota // they were acknowledged, or not sent often enough
	thePath                  // the connection was alive, or nothing speaks for the others
	theQueue                 // the accept queue had no room for the connection
	theOblivion              // the connection was used, and is not known any more
)

// eaten says what became of octets of the LB that were never acknowledged.
func (x *Facts) eaten() (s silence, by eater) {
	s, ok := x.swallowed()
	if !ok || x.stream != nil && x.stream.Behind(s.first.Seq) { // of other streams
		return s, nobody
	}
	syns := x.tn.SYNs
	repeated, during := len(syns) > 1, false
	if repeated {
		for _, m := range syns[1:] {
			during = during || m.Time > s.first.Time
		}
	}
	fresh := x.fresh()
	lost, delivered := x.sizes(&s)
	switch {
	case x.complaint(&s) != nil:
		return s, thePath
	case fresh && during:
		return s, theQueue
	case sizeOf(lost, delivered) == TooLarge:
		return s, thePath
	case x.request.Set() && s.first.Seq.After(x.request.Seq) && x.acknowledged():
		return s, thePath // in the middle of a request
	case !fresh && (x.closing.Set() || x.target.Spoke() && !x.used()):
		return s, thePath // who closes or acknowledges knows the connection
	case !fresh:
		return s, theOblivion
	case repeated:
		return s, theOblivion // opened ahead of need: TCP_DEFER_ACCEPT, and given up
	case x.closing.Set():
		return s, thePath
	case x.of.told.waits.overflowed(x.flow.Index(), s.first.Time, s.until) || x.of.told.overflowNear(s.first.Time, s.until):
		return s, theQueue
	}
	return s, thePath
}

// fresh reports whether the connection may still be in the accept queue: its handshake was
// captured and the target has sent nothing but SYN-ACKs.
func (x *Facts) fresh() bool {
	fromLB, fromTarget := x.firstOctets()
	return x.flow.BeginCaptured() && x.tn.HasSYN() && !x.newestFromTarget.Set() && !x.target.Spoke() && !x.target.HadReceived(fromLB) &&
		!x.lb.HadReceived(fromTarget)
}

// inVain begins the finding of octets that were sent in vain.
func (x *Facts) inVain(s *silence) *Finding {
	at := s.first
	if s.fromLB && x.request.Set() && s.first.Seq == x.request.Seq {
		at = x.request
	}
	f := x.lost(at)
	if x.complaint(s) == nil {
		f.Confidence = min(f.Confidence, Likely)
	}
	f.Measures.Attempts = s.copies
	f.Measures.Outstanding = Duration{s.until - s.first.Time, true}
	x.addCopies(f, s)
	if s.open {
		f.Open, f.Lost = true, false
		f.Measures.Outstanding.NS = s.over
		if f.Severity = Warning; x.Now-s.first.Time >= openError {
			f.Severity = Error
		}
	}
	f.Measures.Waiting, _ = x.of.told.waits.at(forQueue, at.Time)
	return f
}

// addCopies adds the first and the last copy to the evidence, where they are not yet.
func (x *Facts) addCopies(f *Finding, s *silence) {
	add := func(m tcpstate.SegRef, r Role, note string) {
		e := x.evidence(m, s.fromLB, r, note)
		for i := range f.Evidence {
			if f.Evidence[i].Frame == e.Frame && f.Evidence[i].Capture == e.Capture {
				return
			}
		}
		f.Evidence = append(f.Evidence, e)
	}
	add(s.first, RoleRepeat, "never acknowledged")
	if s.copies > 1 {
		add(s.last, RoleRepeat, "the same bytes again")
	}
	sortEvidence(f.Evidence)
}

// times says how often and how long: "was sent 7 times in 31 s and never acknowledged".
func (s *silence) times(ended bool) string {
	switch {
	case s.open && ended:
		return says("was sent ", s.copies, " times in ", about(s.over), ", still unanswered when the capture ended")
	case s.open:
		return says("was sent ", s.copies, " times in ", about(s.over), isOpen)
	}
	return says("was sent ", s.copies, " times in ", about(s.until-s.first.Time), " and never acknowledged")
}

// about writes a time for people to two digits or so: "31 s", "3.4 s", "0.52 s".
func about(ns int64) string {
	s := float64(ns) / 1e9
	decimals := 2
	switch {
	case s >= 10:
		decimals = 0
	case s >= 1:
		decimals = 1
	}
	return strconv.FormatFloat(s, 'f', decimals, 64) + " s"
}
