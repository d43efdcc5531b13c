package detect

import (
	"math"
	"slices"

	"connrace/detect/internal/idle"
	"connrace/detect/internal/kernel"
	"connrace/detect/internal/ring"
	"connrace/tcpstate"
)

// Detector turns the segments of a capture into findings. Data flows one way: segments
// to the tracker, its events to the handlers below, facts to the rules, their findings
// by way of pending to the result.
type Detector struct {
	opt     Options
	tracker *tcpstate.Tracker
	locate  func(ordinal uint64) (capture int, frame uint64) // the tracker's

	targets   targets
	roles     roles
	gaps      gaps
	kernel    kernel.History
	awaited   awaited
	scans     scans
	strays    ring.Ring[strayAnswer]
	speakTLS  map[tcpstate.Addr]struct{} // hosts that agreed on TLS with some target, as the LB
	requests  ring.Ring[recentRequest]
	accepted  accepted
	standing  flowSet // established, and nobody has begun to close
	undecided undecided
	scratch   Facts // of the connection that is looked at

	open      open
	mended    mended
	stalled   openWaits
	pending   pendings   // decided, waiting for what belongs to them
	waiting   int        // their weight
	due       int64      // when the first of them is complete
	asked     int64      // when the host was asked last
	settled   []*pending // complete, in the order of completion; with findings
	givenUp   givenUp    // of them
	findings  []*Finding
	kept      int // their weight
	nextID    int
	forgotten forgotten // findings that are no longer kept

	totals    Totals
	exchanges *exchanges // nil: not asked for
	senders   senders    // of hosts that were asked after
	ledger    *ledger    // likewise
	behind    *Detector  // of connections that the capture shows once more; nil: there are none
	reviewed  int64      // when a live analysis last looked back
	lookAgain int64      // when it looks at what is open
}

// New makes a detector.
func New(o Options) *Detector {
	d := newDetector(o)
	d.tracker = tcpstate.NewTracker(d.config())
	d.locate = d.tracker.Locate
	if o.Connections || o.Apart > 0 {
		d.ledger = newLedger(&o, new(marks))
	}
	return d
}

// newDetector makes one without a tracker.
func newDetector(o Options) *Detector {
	d := &Detector{opt: o, targets: newTargets(&o), roles: newRoles(&o), open: open{}, mended: mended{}, forgotten: forgotten{}, due: never, speakTLS: map[tcpstate.Addr]struct{}{}}
	if o.Exchanges {
		d.exchanges = newExchanges()
	}
	return d
}

// config is what the detector wants of a tracker.
func (d *Detector) config() tcpstate.Config {
	o := &d.opt
	cfg := tcpstate.Config{MaxFlows: o.MaxFlows, Streams: o.Streams, Hashes: o.Connections, Role: d.roles.of}
	if o.Live {
		cfg.MaxRetired = liveRetired
		if cfg.MaxFlows == 0 {
			cfg.MaxFlows = LiveFlows
		}
	}
	if o.Apart > 0 {
		cfg.Copy = d.onCopy
	}
	if o.IsTarget != nil {
		cfg.Watch = func(a, b tcpstate.Endpoint) bool { return o.IsTarget(a) || o.IsTarget(b) }
	}
	cfg.On(tcpstate.Opened, d.onOpened)
	cfg.On(tcpstate.RolesChanged, d.onRolesChanged)
	cfg.On(tcpstate.SYNRepeated, d.onSYNRepeated)
	cfg.On(tcpstate.FINRepeated, d.onFINRepeated)
	cfg.On(tcpstate.StrayAnswer, d.onStrayAnswer)
	cfg.On(tcpstate.EstablishedNow, d.onEstablished)
	cfg.On(tcpstate.RequestBegan, d.onRequestBegan)
	cfg.On(tcpstate.AnswerBegan, d.onAnswerBegan)
	cfg.On(tcpstate.AnswerTaken, d.onAnswerTaken)
	cfg.On(tcpstate.ServerError, d.onServerError)
	cfg.On(tcpstate.StreamBegan, d.onStreamBegan)
	cfg.On(tcpstate.StreamAnswered, d.onStreamAnswered)
	cfg.On(tcpstate.StreamsFailed, d.onStreamsFailed)
	cfg.On(tcpstate.RequestStalled, d.onRequestStalled)
	cfg.On(tcpstate.StallChanged, d.onStallChanged)
	cfg.On(tcpstate.Unacknowledged, d.onUnacknowledged)
	cfg.On(tcpstate.CloseBegan, d.onCloseBegan)
	cfg.On(tcpstate.Settled, d.onSettled)
	cfg.On(tcpstate.Gone, d.onGone)
	return cfg
}

// Segments takes the next segments, in the order of the capture.
func (d *Detector) Segments(segs []tcpstate.Segment) {
	due := &d.due
	if d.opt.OnSegment != nil {
		due = new(int64)
		*due = math.MinInt64 // behind every segment
	}
	d.tracker.TrackAll(segs, due, d.tracked)
}

// Finish ends the analysis.
func (d *Detector) Finish() *Result {
	d.tracker.End()
	d.flushDue(math.MaxInt64)
	for _, t := range d.targets.all {
		t.reinfer()
	}
	for _, t := range d.targets.all {
		d.judgeTarget(t, false)
	}
	for _, p := range d.settled { // again, with what the whole capture taught
		d.explainAgain(p)
	}
	if d.opt.OnFinding != nil {
		d.takeBackProbes()
	} else {
		d.findings = slices.DeleteFunc(d.findings, d.probed)
		for _, p := range d.settled {
			if d.probed(p.f) {
				d.tally(p, -1)
			}
		}
	}
	r := d.result(d.findings)
	r.Behind = d.finishBehind()
	if d.opt.OnFinding == nil {
		for i, f := range r.Findings {
			f.ID = i + 1
		}
	}
	return r
}

func (d *Detector) onOpened(e *tcpstate.Event) {
	f := e.Flow
	d.totals.Flows++
	d.roles.note(d.tracker.Endpoint(f, 1-f.LB()))
	if e.Seg.Flags&tcpstate.SYN == 0 { // who sends a SYN is no shared endpoint, whatever port it has again
		d.roles.note(d.tracker.Endpoint(f, f.LB()))
	}
	t := d.targetOf(f)
	d.exchanges.active(t.end, e.Time)
	d.spareLedger()
	d.ledger.opened(d, e)
	d.accepted.forget(f)
	if e.Seg.Flags&tcpstate.SYN == 0 {
		d.begins(f, t, -e.Time)
	}
	t.connections++
	if f.BeginCaptured() || e.Seg.Flags&tcpstate.SYN != 0 {
		t.attempted++
		if e.Seg.Flags&tcpstate.ACK == 0 {
			t.syns.Add(recentSYN{e.Seg.Src.Addr, d.tracker.Ref(f, e.Seg)})
			d.await(f, e.Seg.Time, t.end)
		}
	}
}

// onSYNRepeated counts it, and tells of a SYN that goes unanswered for long.
func (d *Detector) onSYNRepeated(e *tcpstate.Event) {
	d.targetOf(e.Flow).synRetrans++
	if d.open[e.Flow.Index()] == nil {
		d.judgeOpen(e.Flow, e.Time)
	}
}

// onEstablished notes how long a handshake took, and asks what its repeated SYNs say.
func (d *Detector) onEstablished(e *tcpstate.Event) {
	f := e.Flow
	t := d.targetOf(f)
	t.completed++
	seen := -e.Time
	d.ledger.established(d, e)
	m := d.tracker.Notes(f)
	lb, target := &m.Half[f.LB()], &m.Half[1-f.LB()]
	for i, h := range [...]*tcpstate.HalfNotes{lb, target} {
		if len(h.SYNs) > 0 {
			t.hops[i].add(h.SYNs[0].TTL())
		}
	}
	if rtt := f.RTT(); rtt > 0 {
		x := t.tell()
		x.heard = max(x.heard, target.SYNs[0].Time)
		x.rtt.Add(rtt)
		x.clocks.add(d.tracker.Endpoint(f, f.LB()).Addr, lb.SYNs[0])
		x.farNS += max(target.SYNs[0].Time-lb.SYNs[0].Time, 0)
		x.allNS += rtt
		seen = target.SYNs[0].Time + rtt
	}
	d.begins(f, t, seen)
	if lb.NSYN > 1 {
		d.judgeSYN(d.facts(f, e), SYNAnswered)
		d.conclude(f, wasAnswered)
	}
}

func (d *Detector) onRequestBegan(e *tcpstate.Event) {
	t := d.targetOf(e.Flow)
	d.exchanges.active(t.end, e.Time)
	d.noteSpoken(t, e.Flow)
	delete(d.mended, e.Flow.Index())
	if answer := d.tracker.Answer(e.Flow); answer.Set() { // the one before: it has arrived
		t.tell().reached[1].add(answer.Time, answer.Len)
	}
	d.ledger.keep(e.Flow, e.Side, e.Seg)
	if e.Flow.HTTP2() {
		return // its streams are counted one by one
	}
	if e.Flow.HTTP2Unread() {
		t.unread++
	}
	d.countRequest(t, e.Flow)
	t.advertise(e.Flow)
	d.noteRequest(e)
	d.noteRequestHead(t, e)
}

// countRequest counts a request wherever requests are counted.
func (d *Detector) countRequest(t *target, f *tcpstate.Flow) {
	t.requests++
	d.totals.Requests++
	d.ledger.requested(f)
}

func (d *Detector) onAnswerBegan(e *tcpstate.Event) {
	f := e.Flow
	t := d.targetOf(f)
	d.ledger.keep(e.Flow, e.Side, e.Seg)
	d.exchanges.active(t.end, e.Time)
	d.noteAnswerHead(t, e)
	request := d.tracker.Request(f)
	x := t.tell()
	x.answers = true
	x.heard = max(x.heard, e.Time)
	x.reached[0].add(e.Time, request.Len)
	if took := e.Time - request.Time; took >= second {
		x.slow.Add(took)
	}
	if _, target := f.Sides(); f.HTTP2() {
	} else if d.exchanges.answer(d, f, e.Seg); target.HasTurn() {
		if gap := request.Time - d.tracker.NewestFromTarget(f).Time; gap >= 0 {
			x.reused(gap)
		}
	}
	d.served(f, x, request.Time)
	x.waits.end(d.stalled, d.tracker, f, e.Time)
	if f.Noted() && d.tracker.Notes(f).Half[f.LB()].NCopies > 0 && !f.Decided() && d.tracker.NewestFromTarget(f).Set() {
		x.losses.Add(request.Time, 0)
	}
}

func (d *Detector) onServerError(e *tcpstate.Event) {
	d.totals.Answers5xx++
	t := d.targetOf(e.Flow)
	t.answers5xx++
	t.noteAnswers5xx(e.Time)
	d.ledger.answered5xx(e.Flow)
}

func (d *Detector) onRequestStalled(e *tcpstate.Event) {
	f := e.Flow
	lb, target := f.Sides()
	t := d.targetOf(f)
	if t.mayBeHTTP2(f) {
		return // what has stalled may be no request
	}
	if target.Captured() && lb.HadReceived(target.Nxt) {
		return // the LB has octets that the capture lacks: the answer may be among them
	}
	request := d.tracker.Request(f)
	if f.Noted() {
		request = d.tracker.Notes(f).Half[f.LB()].AsSent(request)
	}
	w := t.tell().waits.begin(&d.stalled, f.Index(), request)
	w.fresh = f.BeginCaptured() && !d.tracker.NewestFromTarget(f).Set()
	w.learn(d.tracker, f)
}

// onCloseBegan notes the idle age of a connection that one side begins to close.
func (d *Detector) onCloseBegan(e *tcpstate.Event) {
	f := e.Flow
	d.ledger.keep(e.Flow, e.Side, e.Seg)
	d.ends(f, e)
	if e.Gap < 0 || !f.Established() || d.targetOf(f).mayBeHTTP2(f) || d.answersFIN(f, e.Side) {
		return
	}
	c, byLB, ok := idle.Close{}, e.Side == f.LB(), false
	if h := d.tracker.HTTP2(f); h != nil {
		c, byLB, ok = d.facts(f, e).closeOfStreams(h, e)
	} else {
		c, ok = d.facts(f, e).ownClose(e)
	}
	if !ok {
		return
	}
	t := d.targetOf(f)
	if byLB {
		d.closedByLB(f, t, c)
		return
	}
	t.advertise(f)
	x := t.tell()
	c.Open, c.Left = x.old.open, x.old.open
	x.heard = max(x.heard, e.Time)
	if c.AtOnce() {
		x.behindAnswers.Add(c.Time)
	}
	if c.Idle && f.CloseAnnounced() {
		return // as it said
	}
	if c.AtOnce() {
		x.atOnce++
	}
	x.closes.Add(c)
}

// onSettled lets the rules judge a connection whose close, or whose set-up, is complete.
func (d *Detector) onSettled(e *tcpstate.Event) {
	f := e.Flow
	switch {
	case f.HTTP2() && f.Established() && (f.Closing() || e.Ended):
		d.settleStreams(e)
	case f.Decided():
	case !f.Established():
		d.judgeHandshake(d.facts(f, e))
	case e.Ended && !f.Closing() && d.answeredLast(f):
		d.onAnswerTaken(e)
	case f.Closing(), e.Ended && d.waits(f):
		if d.resolveRoles(f); d.inOrder(f) {
			return
		}
		d.judge(d.facts(f, e))
	}
}

// inOrder reports whether a connection has closed as nearly all do: its newest request was
// answered in full, and nobody sent an RST. No rule has anything to say of those, and to
// look costs less than to ask each. Of TLS it cannot tell: what looks like an answer may be
// a close_notify.
func (d *Detector) inOrder(f *tcpstate.Flow) bool {
	lb, target := f.Sides()
	if f.HTTP2() || !lb.Answered() || f.AnswerUnfinished() || f.MayBeTLS() || target.Holes() || lb.Holes() || target.HadReceived(lb.Nxt+1) {
		return false
	}
	if !f.Noted() {
		return true
	}
	m := d.tracker.Notes(f)
	return m.Half[0].NRST == 0 && m.Half[1].NRST == 0 && d.tracker.StillUnacked(f, 1-f.LB()) == nil
}

// answeredLast reports whether a request had to be sent again and has an answer, of which the capture does not
// show whether the LB took it.
func (d *Detector) answeredLast(f *tcpstate.Flow) bool {
	lb, _ := f.Sides()
	return f.Noted() && lb.Answered() && !lb.HadReceived(lb.AnswerSeq) && d.tracker.Notes(f).Half[f.LB()].NCopies > 0 && !d.waits(f)
}

// waits reports whether one side of a connection has sent octets again that the other has not
// acknowledged.
func (d *Detector) waits(f *tcpstate.Flow) bool {
	return d.tracker.StillUnacked(f, 0) != nil || d.tracker.StillUnacked(f, 1) != nil
}

// onUnacknowledged lets the rules judge a connection that nobody closes although its octets do
// not arrive.
func (d *Detector) onUnacknowledged(e *tcpstate.Event) {
	f := e.Flow
	if f.Decided() {
		return
	}
	if d.opt.Live && d.open[f.Index()] == nil && !f.HTTP2() {
		d.judgeOpen(f, e.Time)
	} else if f.Established() {
		d.resolveRoles(f)
		if f.HTTP2() {
			if d.judgeStreams(e, func(s *tcpstate.H2Stream) bool { return !s.Done }) {
				f.SetDecided()
			}
			return
		}
		d.judge(d.facts(f, e))
	}
}

func (d *Detector) onGone(e *tcpstate.Event) {
	f := e.Flow
	if f.Closing() && f.Established() && !f.Decided() {
		c := *e
		c.Ended = true // nothing more will come of it
		d.onSettled(&c)
	}
	d.conclude(f, wasLeft)
	delete(d.mended, f.Index())
	d.undecided.forget(f.Index())
	d.targetOf(f).kept().waits.end(d.stalled, d.tracker, f, e.Time)
	refused := false
	if f.Noted() { // nearly none is
		m := d.tracker.Notes(f)
		if at := m.Half[1-f.LB()].SentAgain(); at != 0 {
			d.targetOf(f).tell().losses.Add(at, 0)
		}
		refused = len(m.Half[0].Refusals)+len(m.Half[1].Refusals) > 0
	}
	if !refused && !(f.Half[0].Arrived() && f.Half[1].Arrived()) {
		d.totals.OneDirection++
	}
	switch {
	case f.HTTP2InTLS() && f.Handshake() != tcpstate.TLSHandshakeBegun && f.Handshake() != tcpstate.TLSHandshakeInPlain:
		d.totals.HTTP2InTLS++
	case f.Opaque():
		d.totals.OtherProtocols++
	case d.targetOf(f).mayBeHTTP2(f), f.HTTP2Unread():
		d.totals.HTTP2Unread++
	}
	if !f.BeginCaptured() {
		d.totals.NoHandshake++
	}
	if lb, _ := f.Sides(); !f.HasPayload() && (lb.HasTurn() || d.tracker.NewestFromTarget(f).Set()) {
		d.totals.NoPayload++
	}
	d.ledger.gone(d, f)
	d.ends(f, nil)
	d.targets.release(f)
}
