// Package live is the command live: it watches an interface for weeks, shows findings as they
// are settled, keeps what it shows and writes within bounds, and asks the kernel meanwhile.
// One goroutine does all that; the kernel is asked, files and output are written in others.
package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"connrace/capture"
	"connrace/cmd/connrace/internal/cli"
	"connrace/cmd/connrace/internal/confine"
	"connrace/cmd/connrace/internal/dump"
	"connrace/cmd/connrace/internal/memory"
	"connrace/cmd/connrace/internal/outfile"
	"connrace/cmd/connrace/internal/pipeline"
	"connrace/cmd/connrace/internal/procs"
	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/term"
	"connrace/detect"
)

// liveSource is an interface that is watched: a capture.Source whose Read returns nothing now
// and then. All but Stop belong to one goroutine.
type liveSource interface {
	capture.Source
	Stop()
	Stats() capture.LiveStats
	Info() capture.Info
	InterfaceName(index uint32) string
	Close() error
}

// observer is told what a watch sees, all by one goroutine. Metrics and exporters hang in
// here.
type observer interface {
	// finding is called with each finding, whether it is shown or not.
	finding(*detect.Finding)
	// sample is called with each answer of the kernel.
	sample(*detect.KernelSample)
	// tick is called about once a second, and at the end.
	tick(*figures)
}

// figures are what a watch counts.
type figures struct {
	detect.Progress
	capture.LiveStats
	DumpLost       uint64 // frames that -w could not write
	EvidenceFiles  uint64 // written
	EvidenceFailed uint64 // not
	Suppressed     uint64 // findings that were not shown one by one
	// Snapshot is all that is known, at a price.
	Snapshot func() *detect.Result
}

// watch is one run of live. Everything but the sampler and Stop happens in one goroutine.
type watch struct {
	*pipeline.Session
	ctx   context.Context // that ends it; the session's goes on until all is written
	o     *Flags
	name  string // of what is watched
	in    pipeline.Input
	src   liveSource
	wall  func(time.Time) int64 // what the clock says, ns since the Unix epoch
	clock *stepClock
	step  int64 // the clock was set by that much; the frames from before have not all come
	began int64 // what the clock said then

	host    *procs.Helper // nil: no process is named
	unheard dropNews      // events of the kernel's
	sampler *sampler      // nil: the kernel is not asked
	warned  map[backlog]bool
	missing map[string]bool // unix sockets that nobody listens on

	follow     []follower // who shows findings as they are settled; without any only the report does
	limiter    *limiter
	analysis   *report.Analysis
	settled    []*detect.Finding
	learnt     []*detect.Finding
	ids        *idSet
	suppressed uint64
	observers  []observer
	exports    *exports // nil: no --metrics and no --otlp

	annotated *outfile.File // what --annotate writes; nil: it was not asked for
	evidence  *evidence     // nil: neither --evidence nor --annotate
	dump      *dump.Queue   // nil: no -w

	usr1     chan os.Signal
	status   *term.Status
	statusAt time.Time // when it was shown last, and how many packets there were
	packets  uint64
	notes    []string // for the report
	seconds  time.Time
	advanced time.Time
	unseen   time.Time // when it is said that --target has matched nothing
	drops    dropNews
	troubles map[string]time.Time // what was warned of, and when
}

// follower shows findings as they are settled.
type follower interface {
	Finding(*report.Analysis, *detect.Finding)
	Update(*report.Analysis, *detect.Finding)
	Repeated(*report.Repeated)
	Err() error
}

// openWatch opens all that a watch needs. What is wrong shall be known before it begins.
func openWatch(ctx context.Context, e *cli.Env, l *Flags) (*watch, error) {
	filter, err := l.filter(ctx)
	if err != nil {
		return nil, err
	}
	if e.Confine {
		if err := confine.Raise(); err != nil {
			return nil, err
		}
	}
	var link func(capture.LinkEvent)
	src, err := capture.OpenLive(capture.LiveOptions{
		Interfaces: l.interfaces, NetNS: l.netns, Filter: filter, Snaplen: l.snaplen, Ring: int(l.ring), Promiscuous: l.promisc,
		Link: func(e capture.LinkEvent) { link(e) },
	})
	if err != nil {
		return nil, err
	}
	w := newWatch(ctx, e, l, src)
	link = w.linked
	s, first, err := newSampler(capture.WitnessOptions{NetNS: l.netns, Unix: l.targets.unix})
	if err != nil {
		w.note("the kernel cannot be asked about accept queues: " + err.Error())
	} else {
		w.sampler = s
	}
	w.openHost()
	plan := l.plan()
	err = l.export.listen()
	if err == nil {
		err = e.GiveUp(plan, w.warn)
	}
	if err == nil {
		err = w.openOutputs()
	}
	if err != nil {
		w.close()
		return nil, err
	}
	e.Restrict(plan, l.Verbose && !l.Quiet, w.warn)
	w.start(first)
	return w, nil
}

// newWatch makes a watch of a source.
func newWatch(ctx context.Context, e *cli.Env, l *Flags, src liveSource) *watch {
	now := time.Now()
	w := &watch{
		Session: pipeline.NewSession(context.WithoutCancel(ctx), e, &l.Common, pipeline.Period{}), ctx: ctx, o: l,
		name: strings.Join(l.interfaces, ", "), in: pipeline.Input{Decoder: capture.NewDecoder()}, src: src,
		wall: time.Time.UnixNano, clock: newStepClock(now, now.UnixNano()), limiter: newLimiter(now), ids: newIDSet(),
		warned: map[backlog]bool{}, missing: map[string]bool{}, troubles: map[string]time.Time{},
		status: term.NewStatus(e.Stderr, l.Quiet), statusAt: now, seconds: now, unseen: now.Add(unseenAfter),
	}
	switch {
	case w.Lines != nil:
		w.follow = append(w.follow, w.Lines)
	case l.Format.Value == "table":
		w.follow = append(w.follow, report.NewRunning(e.Stdout, &w.Shown))
	}
	w.Tune = w.configure
	w.Learnt = func(_ *report.Analysis, f *detect.Finding) { w.learnt = append(w.learnt, f) }
	w.Report.Live = true
	w.Report.Captures = []report.Capture{{}}
	return w
}

// openOutputs opens what --evidence, -w and --html name.
func (w *watch) openOutputs() (err error) {
	l := w.o
	v := &l.evidence
	if v.dir != "" || v.annotate != "" {
		if w.evidence, err = openEvidence(v, outfile.Umask(l.Umask)); err != nil {
			return err
		}
	}
	if v.dir != "" {
		w.warn(v.dir + " gets packets with headers and bodies of the findings' connections; handle with care")
		for _, text := range w.evidence.remarks(v.dir) {
			w.warn(text)
		}
	}
	if v.annotate != "" {
		if w.annotated, err = outfile.Create(v.annotate, outfile.Umask(l.Umask)); err != nil {
			return err
		}
	}
	if d := &l.dump; d.path != "" {
		w.dump, err = dump.NewQueue(dump.Options{
			Path: d.path, Size: int64(d.size), Every: d.rotateEvery(), Files: d.files, Zone: l.Location(), Snaplen: uint32(l.snaplen),
			Section: capture.Section{OS: runtime.GOOS, Application: "connrace " + cli.ReadBuild().String()}, Name: w.src.InterfaceName, Umask: outfile.Umask(l.Umask),
		}, time.Now().UnixNano())
		if err != nil {
			return err
		}
	}
	if err := w.openExports(); err != nil {
		return err
	}
	return l.HTML.Create(l.Umask)
}

// start begins the analysis; first is the kernel's first answer, nil: it is not asked.
func (w *watch) start(first *detect.KernelSample) {
	w.Begin(0, nil)
	w.began = w.wall(time.Now())
	if first != nil {
		w.sample(first)
		for i := range first.Listeners {
			if w.Listeners != nil { // the capture's filter lets pass nothing that would show them
				w.Listeners.Add(first.Listeners[i].End, 0)
			}
		}
	}
	w.usr1 = make(chan os.Signal, 1)
	notifyUSR1(w.usr1)
	if w.host != nil && !w.o.Quiet {
		w.Env.Hint("connrace: " + w.host.Sees)
	}
	w.status.Text(fmt.Sprintf("watching %s ...", w.name), "")
}

// configure makes an analysis fit to go on for weeks.
func (w *watch) configure(a *pipeline.Analysis, o *detect.Options) {
	a.Files = map[int]*report.EvidenceFile{}
	w.analysis = &a.Analysis
	o.Live = true
	if w.o.MaxFlows == 0 {
		// Those of a SYN flood take 1.7 KB each here, and half as much again as garbage.
		o.MaxFlows = min(memory.FlowsFor(2*memory.Available()), detect.LiveFlows)
	}
	o.OnFinding = func(f *detect.Finding) { w.settled = append(w.settled, f) }
	o.OnUpdate = func(f *detect.Finding) { w.learnt = append(w.learnt, f) }
	if v := w.evidence; v != nil {
		o.OnSegment = v.segment
		if v.store != nil {
			o.OnIncident = func(f *detect.Finding) { v.decided = append(v.decided, f) }
		}
	}
	if w.sampler != nil {
		o.IsLocal = w.sampler.isLocal
	}
	if w.host != nil {
		o.Host = w.ask
	}
}

// run watches until it is told to end.
func (w *watch) run() {
	defer context.AfterFunc(w.ctx, w.src.Stop)()
	if w.o.duration > 0 {
		defer time.AfterFunc(time.Duration(w.o.duration), w.src.Stop).Stop()
	}
	left := w.o.count
	for {
		batch := w.Batch
		if w.o.count > 0 {
			batch = batch[:min(uint64(len(batch)), left)]
		}
		n, err := w.src.Read(batch)
		now := time.Now()
		left -= uint64(n)
		w.advance(batch[:n], now)
		w.housekeeping(n == 0, now)
		if err != nil && !errors.Is(err, io.EOF) {
			w.note(err.Error())
			w.Failed = true // a supervisor may try again
		}
		if err != nil || w.o.count > 0 && left == 0 || w.dump != nil && w.dump.Done() {
			return
		}
		for _, to := range w.follow {
			if errors.Join(to.Err(), w.Env.OutputErr()) != nil {
				return // nobody takes what is found
			}
		}
	}
}

// advance feeds the next frames, each on its side of a step of the clock.
func (w *watch) advance(frames []capture.Frame, now time.Time) {
	if by := w.clock.step(now, w.wall(now)); by != 0 {
		w.note(fmt.Sprintf("the clock was set by %s: times before and after do not fit together", time.Duration(by).Round(time.Millisecond)))
		w.step += by
	}
	if w.step != 0 {
		before := 0
		for before < len(frames) && w.isBefore(frames[before].Time, w.wall(now)) {
			before++
		}
		w.feedAll(frames[:before])
		if before == len(frames) && before > 0 {
			return // more of them may come
		}
		w.Cur.Detector.Shift(w.step)
		w.step = 0
		frames = frames[before:]
	}
	w.feedAll(frames)
}

// isBefore reports whether a time was read off the clock before it was set.
func (w *watch) isBefore(t, now int64) bool {
	since := now - t
	return max(since-w.step, w.step-since) < max(since, -since)
}

// feedAll gives frames to everybody who wants them.
func (w *watch) feedAll(frames []capture.Frame) {
	if len(frames) == 0 {
		return
	}
	if w.dump != nil {
		for i := range frames {
			w.warnOnce("", w.dump.Frame(&frames[i]))
		}
	}
	w.Feed(&w.in, frames)
	if w.evidence != nil {
		w.evidence.frames(frames)
	}
}

// lag is how far behind the clock the capture time is kept while no frame comes, since the
// next one may be that old: the kernel hands packets over in blocks.
const lag = 150 * time.Millisecond

// housekeeping does what is due. idle: no frame is waiting.
func (w *watch) housekeeping(idle bool, now time.Time) {
	d := w.Cur.Detector
	w.drainSamples()
	if now.Sub(w.advanced) >= lag/2 {
		w.advanced = now
		at := w.src.Info().Last
		if idle && w.step == 0 {
			at = w.wall(now) - int64(lag)
		}
		if at > 0 {
			d.Advance(at)
		}
	}
	w.publish(now)
	if w.sampler != nil {
		w.sampler.hurry(d.Urgent(w.wall(now)))
	}
	select {
	case <-w.usr1:
		w.showSnapshot()
	default:
	}
	if now.Sub(w.seconds) >= time.Second {
		w.seconds = now
		w.second(now)
	}
}

// second does what is due once a second.
func (w *watch) second(now time.Time) {
	if w.dump != nil {
		w.warnOnce("", w.dump.Flush())
	}
	if n, ok := w.drops.news(w.src.Stats().Drops, now); ok {
		w.sayDrops(n)
	}
	if w.host != nil {
		w.sayLost(now)
	}
	if w.Listeners != nil && now.After(w.unseen) {
		w.unseen = now.Add(unseenEvery)
		w.warn("no packet of --target has come so far" + report.Seen(w.Listeners.List()))
	}
	w.showSuppressed(now, false)
	f := w.figures()
	for _, o := range w.observers {
		o.tick(f)
	}
	w.showStatus(f, now)
}

func (w *watch) figures() *figures {
	d := w.Cur.Detector
	f := &figures{
		Progress: d.Progress(), LiveStats: w.src.Stats(), Suppressed: w.suppressed, Snapshot: d.Snapshot,
	}
	if w.dump != nil {
		f.DumpLost = w.dump.Lost()
	}
	f.EvidenceFiles, f.EvidenceFailed = w.evidence.counts()
	return f
}

// A name that is mistaken in --target would else go unnoticed until the end, which may be
// weeks away.
const (
	unseenAfter = time.Minute
	unseenEvery = 24 * time.Hour
)

// drainSamples passes on the kernel's answers that have come.
func (w *watch) drainSamples() {
	if w.sampler == nil {
		return
	}
	for {
		select {
		case s := <-w.sampler.samples:
			w.sample(s)
		case err := <-w.sampler.errs:
			w.warnOnce("asking the kernel about accept queues: ", err)
		default:
			return
		}
	}
}

// sample passes on an answer of the kernel.
func (w *watch) sample(s *detect.KernelSample) {
	w.Cur.Detector.AddSample(s)
	w.warnAboutQueues(s)
	for _, o := range w.observers {
		o.sample(s)
	}
}

// linked notes a link that went down or came up.
func (w *watch) linked(e capture.LinkEvent) {
	w.note(fmt.Sprintf("%s is %s", e.Interface, e.State))
}
