package detect

import (
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
	byTag     []*target // by Flow.Tag
	shared    map[tcpstate.Endpoint]uint32
	open      incidents   // decided, waiting for what belongs to them
	incidents []*incident // complete, in the order of completion
	findings  []*Finding
	nextID    int
	recent    ring[recentRequest]
	gaps      []gap
	totals    Totals
	exchanges *exchanges // nil: not asked for
}

// gap is a place where frames are known to be missing.
type gap struct {
	time  int64
	frame uint64
}

// New makes a detector.
func New(o Options) *Detector {
	d := &Detector{
		opt: o, targets: map[tcpstate.Endpoint]*target{}, shared: map[tcpstate.Endpoint]uint32{},
	}
	if o.Exchanges {
		d.exchanges = newExchanges()
	}
	cfg := tcpstate.Config{MaxFlows: o.MaxFlows, Streams: o.Streams, Role: d.role}
	if o.IsTarget != nil {
		cfg.Watch = func(a, b tcpstate.Endpoint) bool { return o.IsTarget(a) || o.IsTarget(b) }
	}
	cfg.On(tcpstate.Opened, d.opened)
	cfg.On(tcpstate.SYNRepeated, d.synRepeated)
	cfg.On(tcpstate.EstablishedNow, d.established)
	cfg.On(tcpstate.RequestBegan, d.requestBegan)
	cfg.On(tcpstate.AnswerBegan, d.answerBegan)
	cfg.On(tcpstate.RequestStalled, d.requestStalled)
	cfg.On(tcpstate.CloseBegan, d.closeBegan)
	cfg.On(tcpstate.Settled, d.settled)
	cfg.On(tcpstate.Gone, d.gone)
	d.tracker = tcpstate.NewTracker(cfg)
	return d
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
	if len(d.open) > 0 && d.open[0].until <= d.tracker.Now() {
		d.close(d.tracker.Now())
	}
}

// Segments takes the next segments, faster than one by one.
func (d *Detector) Segments(segs []tcpstate.Segment) {
	d.tracker.Prepare(segs)
	for i := range segs {
		d.Segment(&segs[i])
	}
}

// Gap says that frames are missing right before the given one: the kernel dropped them,
// or a damaged part of the file was skipped.
func (d *Detector) Gap(frame uint64, time int64) {
	if len(d.gaps) < 1<<16 {
		d.gaps = append(d.gaps, gap{time, frame})
	}
}

// Finish ends the analysis.
func (d *Detector) Finish() *Result {
	d.tracker.End()
	d.close(1<<63 - 1)
	d.mismatches()
	d.conclude()
	t := d.tracker
	d.totals.Segments, d.totals.Streams = t.Segments, t.Streams
	d.totals.RSTAfterFIN.Total = t.RSTAfterFIN
	d.totals.EvictedFlows = t.Evicted
	sort.SliceStable(d.findings, func(i, j int) bool { return d.findings[i].Time < d.findings[j].Time })
	if d.opt.OnFinding == nil {
		for i, f := range d.findings {
			f.ID = i + 1
		}
	}
	return &Result{
		Totals: d.totals, Targets: d.results(), Findings: d.findings, Streams: t.StreamStats(),
		Exchanges: d.exchanges.finish(),
	}
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
	na, nb := d.shared[a], d.shared[b]
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
		ep := f.Endpoint(i)
		if n, ok := d.shared[ep]; ok || len(d.shared) < maxShared {
			if n < 2 {
				d.shared[ep] = n + 1
			}
		}
	}
	t := d.targetOf(f)
	d.exchanges.active(t.end, e.Time)
	t.connections++
	if f.Handshake() || e.Seg.Flags&tcpstate.SYN != 0 {
		t.attempted++
		if e.Seg.Flags&tcpstate.ACK == 0 {
			t.noteSYN(e.Seg.Src.Addr, d.tracker.MarkOf(f, e.Seg))
		}
	}
}

// targetOf is the target of a flow, made when it is new.
func (d *Detector) targetOf(f *tcpstate.Flow) *target {
	if f.Tag != 0 {
		return d.byTag[f.Tag-1]
	}
	ep := f.Endpoint(1 - f.LB())
	t := d.targets[ep]
	if t == nil {
		if len(d.targets) >= maxTargets {
			ep = tcpstate.Endpoint{} // all further ones together
			t = d.targets[ep]
		}
		if t == nil {
			t = newTarget(ep, uint32(len(d.byTag)+1))
			d.targets[ep] = t
			d.byTag = append(d.byTag, t)
		}
	}
	f.Tag = t.tag
	t.noteLB(f.Endpoint(f.LB()).Addr)
	return t
}

// resolve looks again at the roles of a flow without a handshake: a shared endpoint
// may have shown itself since.
func (d *Detector) resolve(f *tcpstate.Flow) {
	if f.Basis <= tcpstate.ByFlag {
		return
	}
	i, b := d.sharedEnd(f.Endpoint(0), f.Endpoint(1))
	if i < 0 {
		return
	}
	if i != f.LB() {
		d.targetOf(f).connections--
		f.SetLB(i, b)
		f.Tag = 0
		d.targetOf(f).connections++
		return
	}
	f.SetLB(i, b)
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
	lb, tg := f.Sides()
	if tg.Last.Set() && tg.Turn.Set() {
		if gap := lb.Turn.Time - tg.Last.Time; gap >= 0 {
			t.reused(gap)
		}
	}
	if f.Stalled() {
		t.unstall(f.Index(), e.Time)
	}
	if m := d.tracker.Marks(f); m.Half[f.LB()].NCopies > 0 {
		d.judgeRecovered(d.conn(f, e))
	}
}

func (d *Detector) requestStalled(e *tcpstate.Event) {
	lb, _ := e.Flow.Sides()
	d.targetOf(e.Flow).stall(e.Flow.Index(), lb.Turn)
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
	if !f.Half[0].Seen() || !f.Half[1].Seen() {
		d.totals.OneDirection++
	}
	if !f.Handshake() {
		d.totals.NoHandshake++
	}
	if lb, target := f.Sides(); !f.PayloadSeen() && (lb.Turn.Set() || target.Last.Set()) {
		d.totals.NoPayload++
	}
}
