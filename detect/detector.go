package detect

import (
	"hash/maphash"
	"sort"

	"connrace/tcpstate"
)

// Detector turns the segments of a capture into findings. Data flows one way: segments
// to the tracker, its events to the rules, their findings to the result.
type Detector struct {
	opt     Options
	tracker *tcpstate.Tracker
	capture int

	targets   map[tcpstate.Endpoint]*target
	near      [256]*target     // of targets, by nearSlot, for new connections to find them faster
	byTag     []*target        // by Flow.Tag
	shared    map[uint64]uint8 // by endKey: connections, up to 2
	open      incidents        // decided, waiting for what belongs to them
	due       int64            // when the first of them is complete
	incidents []*incident      // complete, in the order of completion
	findings  []*Finding
	nextID    int
	recent    ring[recentRequest]
	gaps      []gap
	totals    Totals
	forgotten forgotten // findings that are no longer kept
	kernel    *kernel   // nil: it has said nothing
	awaited   awaited
	looked    conn       // the connection that the rules look at
	reviewed  int64      // when a live analysis last looked back
	exchanges *exchanges // nil: not asked for
}

// gap is a place where frames are known to be missing.
type gap struct {
	time  int64
	frame uint64
}

const maxGaps = 1 << 16

// New makes a detector.
func New(o Options) *Detector {
	d := &Detector{
		opt: o, targets: map[tcpstate.Endpoint]*target{}, shared: map[uint64]uint8{},
		forgotten: forgotten{}, due: never,
	}
	if o.Exchanges {
		d.exchanges = newExchanges()
	}
	d.tracker = tcpstate.NewTracker(d.config())
	return d
}

// config is what the detector wants of a tracker.
func (d *Detector) config() tcpstate.Config {
	o := &d.opt
	cfg := tcpstate.Config{MaxFlows: o.MaxFlows, Streams: o.Streams, Role: d.role}
	if o.Live {
		cfg.MaxRetired = liveTombs
		if cfg.MaxFlows == 0 {
			cfg.MaxFlows = LiveFlows
		}
	}
	if o.IsTarget != nil {
		cfg.Watch = func(a, b tcpstate.Endpoint) bool { return o.IsTarget(a) || o.IsTarget(b) }
	}
	cfg.On(tcpstate.Opened, d.opened)
	cfg.On(tcpstate.RolesChanged, d.rolesChanged)
	cfg.On(tcpstate.SYNRepeated, d.synRepeated)
	cfg.On(tcpstate.EstablishedNow, d.established)
	cfg.On(tcpstate.RequestBegan, d.requestBegan)
	cfg.On(tcpstate.AnswerBegan, d.answerBegan)
	cfg.On(tcpstate.RequestStalled, d.requestStalled)
	cfg.On(tcpstate.CloseBegan, d.closeBegan)
	cfg.On(tcpstate.Settled, d.settled)
	cfg.On(tcpstate.Gone, d.gone)
	return cfg
}

// BeginCapture says that the segments that follow belong to capture i: frame and
// stream numbers start again, the state of the connections carries over.
func (d *Detector) BeginCapture(i int) {
	d.capture = i
	d.tracker.BeginCapture()
}

// Segment takes the next segment, in the order of the capture.
func (d *Detector) Segment(s *tcpstate.Segment) {
	d.tracker.Track(s)
	d.tracked()
}

// Segments takes the next segments, faster than one by one.
func (d *Detector) Segments(segs []tcpstate.Segment) { d.tracker.TrackAll(segs, d.tracked) }

// tracked is called behind each segment. It completes the incidents whose time has come.
func (d *Detector) tracked() {
	if d.opt.OnSegment != nil {
		d.opt.OnSegment(d.tracker.Newest())
	}
	if now := d.tracker.Now(); now >= d.due {
		d.close(now)
	}
}

// Gap says that frames are missing right before the given one: the kernel dropped them,
// or a damaged part of the file was skipped.
func (d *Detector) Gap(frame uint64, time int64) {
	if len(d.gaps) == maxGaps {
		if !d.opt.Live {
			return
		}
		d.gaps = append(d.gaps[:0], d.gaps[maxGaps/2:]...)
	}
	d.gaps = append(d.gaps, gap{time, frame})
}

// Finish ends the analysis.
func (d *Detector) Finish() *Result {
	d.tracker.End()
	d.close(1<<63 - 1)
	d.relearn()
	d.mismatches()
	d.conclude()
	r := d.result(d.findings)
	if d.opt.OnFinding == nil {
		for i, f := range r.Findings {
			f.ID = i + 1
		}
	}
	return r
}

// result is what is known, with the given findings put in order.
func (d *Detector) result(fs []*Finding) *Result {
	sort.SliceStable(fs, func(i, j int) bool { return fs[i].Time < fs[j].Time })
	return &Result{
		Totals: d.counts(), Targets: d.results(), Findings: fs, Streams: d.tracker.StreamStats(),
		ExactStreams: d.tracker.ExactStreams(), StreamsCut: d.tracker.StreamsCut(),
		Forgotten: d.forgotten.list(), Exchanges: d.exchanges.finish(),
	}
}

// counts are the totals so far.
func (d *Detector) counts() Totals {
	t := d.tracker
	d.totals.Segments, d.totals.Streams = t.Segments, t.Streams
	d.totals.RSTAfterFIN.Total = t.RSTAfterFIN
	d.totals.EvictedFlows = t.Evicted
	if l := t.Leaps(); l.Count > 0 {
		d.totals.Leaps = Leaps{Count: l.Count, By: l.By}
		d.totals.Leaps.Capture, d.totals.Leaps.Frame = t.Locate(l.Frame)
	}
	return d.totals
}

// role names the LB of a flow whose handshake was not captured: by the user's flags,
// else by what handshakes and earlier flows showed to be a shared endpoint.
func (d *Detector) role(a, b tcpstate.Endpoint) (int, tcpstate.Basis) {
	if o := d.opt.IsTarget; o != nil && o(a) != o(b) {
		if o(a) {
			return 1, tcpstate.ByFlag
		}
		return 0, tcpstate.ByFlag
	}
	if o := d.opt.IsLB; o != nil && o(a) != o(b) {
		if o(a) {
			return 0, tcpstate.ByFlag
		}
		return 1, tcpstate.ByFlag
	}
	return d.sharedEnd(a, b)
}

// sharedEnd tells the LB's end by the other end's being shared by several connections.
func (d *Detector) sharedEnd(a, b tcpstate.Endpoint) (int, tcpstate.Basis) {
	na, nb := d.shared[endKey(a)], d.shared[endKey(b)]
	switch {
	case na > 1 && nb <= 1:
		return 1, tcpstate.ByShared
	case nb > 1 && na <= 1:
		return 0, tcpstate.ByShared
	}
	return -1, 0
}

// maxShared bounds the endpoints that are counted.
const maxShared = 1 << 20

func (d *Detector) opened(e *tcpstate.Event) {
	f := e.Flow
	d.totals.Flows++
	for i := range 2 {
		d.share(d.tracker.Endpoint(f, i))
	}
	t := d.targetOf(f)
	d.exchanges.active(t.end, e.Time)
	t.connections++
	if f.BeginCaptured() || e.Seg.Flags&tcpstate.SYN != 0 {
		t.attempted++
		if e.Seg.Flags&tcpstate.ACK == 0 {
			t.noteSYN(e.Seg.Src.Addr, d.tracker.Ref(f, e.Seg))
			d.await(f, e.Seg.Time, t.end)
		}
	}
}

// endKey stands for an endpoint: of IPv4 it is address and port.
func endKey(ep tcpstate.Endpoint) uint64 {
	if ep.Addr.Is4() {
		return ep.Addr.Lo<<16 | uint64(ep.Port)
	}
	return maphash.Comparable(endSeed, ep)
}

var endSeed = maphash.MakeSeed()

// share counts the connections of an endpoint, as far as 2.
func (d *Detector) share(ep tcpstate.Endpoint) {
	key := endKey(ep)
	n, known := d.shared[key]
	switch {
	case n >= 2:
		return
	case known:
	case d.opt.Live && len(d.shared) >= liveShared:
		clear(d.shared) // whoever is shared shows it again soon
	case len(d.shared) >= maxShared:
		return
	}
	d.shared[key] = n + 1
}

// targetOf is the target of a flow, made when it is new.
func (d *Detector) targetOf(f *tcpstate.Flow) *target {
	if f.Tag != 0 {
		return d.byTag[f.Tag-1]
	}
	t := d.targetAt(d.tracker.Endpoint(f, 1-f.LB()))
	f.Tag = uint16(t.tag)
	t.flows++
	t.used = d.tracker.Now()
	t.noteLB(d.tracker.Endpoint(f, f.LB()).Addr)
	return t
}

// targetAt is the target at an endpoint, made when it is new.
func (d *Detector) targetAt(ep tcpstate.Endpoint) *target {
	near := &d.near[nearSlot(ep)]
	if t := *near; t != nil && t.end == ep {
		return t
	}
	t := d.targets[ep]
	if t == nil {
		t = d.addTarget(ep)
	}
	*near = t
	return t
}

// nearSlot spreads the targets of one network, and those of one host.
func nearSlot(ep tcpstate.Endpoint) uint8 { return uint8(ep.Addr.Lo) ^ uint8(ep.Port*0x9e37>>8) }

// addTarget makes a target, or one of all further ones together.
func (d *Detector) addTarget(ep tcpstate.Endpoint) *target {
	most := maxTargets
	if d.opt.Live {
		most = liveTargets
	}
	if len(d.targets) < most {
		return d.newTarget(ep)
	}
	if d.opt.Live {
		if t := d.recycle(ep); t != nil {
			return t
		}
	}
	return d.others()
}

// newTarget makes a target.
func (d *Detector) newTarget(ep tcpstate.Endpoint) *target {
	t := newTarget(ep, uint32(len(d.byTag)+1), d.opt.Live)
	d.targets[ep] = t
	d.byTag = append(d.byTag, t)
	return t
}

// others is the target that stands for those beyond the ones that are told apart.
func (d *Detector) others() *target {
	if t := d.targets[tcpstate.Endpoint{}]; t != nil {
		return t
	}
	return d.newTarget(tcpstate.Endpoint{})
}

// resolve looks again at the roles of a flow without a handshake: a shared endpoint
// may have shown itself since.
func (d *Detector) resolve(f *tcpstate.Flow) {
	if f.Basis() <= tcpstate.ByFlag {
		return
	}
	i, b := d.sharedEnd(d.tracker.Endpoint(f, 0), d.tracker.Endpoint(f, 1))
	if i < 0 {
		return
	}
	changed := i != f.LB()
	f.SetLB(i, b)
	if changed {
		d.changeTarget(f)
	}
}

func (d *Detector) rolesChanged(e *tcpstate.Event) { d.changeTarget(e.Flow) }

// changeTarget takes a flow to the target that it has now.
func (d *Detector) changeTarget(f *tcpstate.Flow) {
	old := d.targetOf(f)
	old.connections--
	old.flows--
	old.dropWait(f.Index())
	f.Tag = 0
	d.targetOf(f).connections++
}

func (d *Detector) requestBegan(e *tcpstate.Event) {
	t := d.targetOf(e.Flow)
	d.exchanges.active(t.end, e.Time)
	t.requests++
	d.totals.Requests++
	t.advertise(e.Flow)
	d.noteRequest(e)
}

func (d *Detector) answerBegan(e *tcpstate.Event) {
	f := e.Flow
	t := d.targetOf(f)
	d.exchanges.active(t.end, e.Time)
	d.exchanges.answer(d, f, e.Seg)
	if _, target := f.Sides(); target.HasTurn() {
		if gap := d.tracker.Request(f).Time - d.tracker.NewestFromTarget(f).Time; gap >= 0 {
			t.reused(gap)
		}
	}
	if f.Stalled() {
		t.unstall(f.Index(), e.Time)
	}
	if m := d.tracker.Notes(f); m.Half[f.LB()].NCopies > 0 {
		d.judgeRecovered(d.conn(f, e))
	}
}

func (d *Detector) requestStalled(e *tcpstate.Event) {
	lb, target := e.Flow.Sides()
	if target.Captured() && lb.HadReceived(target.Nxt) {
		return // the LB has octets that the capture lacks: the answer may be among them
	}
	d.targetOf(e.Flow).stall(e.Flow.Index(), d.tracker.Notes(e.Flow).Half[e.Flow.LB()].AsSent(d.tracker.Request(e.Flow)))
}

func (d *Detector) gone(e *tcpstate.Event) {
	f := e.Flow
	if f.Closing() && f.Established() && !f.Decided() {
		c := *e
		c.Ended = true // nothing more will come of it
		d.settled(&c)
	}
	if f.Stalled() {
		d.targetOf(f).unstall(f.Index(), e.Time)
	}
	if !f.Half[0].Captured() || !f.Half[1].Captured() {
		d.totals.OneDirection++
	}
	if !f.BeginCaptured() {
		d.totals.NoHandshake++
	}
	if lb, _ := f.Sides(); !f.HasPayload() && (lb.HasTurn() || d.tracker.NewestFromTarget(f).Set()) {
		d.totals.NoPayload++
	}
	if f.Tag != 0 {
		d.byTag[f.Tag-1].flows--
		f.Tag = 0
	}
}
