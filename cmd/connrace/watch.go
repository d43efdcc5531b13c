package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"connrace/capture"
	"connrace/cmd/connrace/internal/confine"
	"connrace/cmd/connrace/internal/dump"
	"connrace/cmd/connrace/internal/outfile"
	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/text"
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
	Held           uint64 // findings that were not shown one by one
	// Snapshot is all that is known, at a price.
	Snapshot func() *detect.Result
}

// watch is one run of live. Everything but the sampler and Stop happens in one goroutine.
type watch struct {
	*session
	ctx   context.Context // that ends it; the session's goes on until all is written
	o     *liveFlags
	name  string // of what is watched
	in    input
	src   liveSource
	wall  func(time.Time) int64 // what the clock says, ns since the Unix epoch
	clock *stepClock
	step  int64 // the clock was set by that much; the frames from before have not all come
	began int64 // what the clock said then

	sampler *sampler // nil: the kernel is not asked
	warned  map[backlog]bool
	missing map[string]bool // unix sockets that nobody listens on

	follow    follower // shows findings as they are settled; nil: only the report does
	limiter   *limiter
	analysis  *report.Analysis
	settled   []*detect.Finding
	learnt    []*detect.Finding
	ids       *idSet
	held      uint64
	observers []observer
	exports   *exports // nil: no --metrics and no --otlp

	evidence *evidence  // nil: neither --evidence nor --annotate
	dump     *dump.Dump // nil: no -w

	usr1     chan os.Signal
	status   *status
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
func openWatch(ctx context.Context, e *env, l *liveFlags) (*watch, error) {
	filter, err := l.filter(ctx)
	if err != nil {
		return nil, err
	}
	if confining {
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
	plan := l.plan()
	err = l.export.listen()
	if err == nil {
		err = e.giveUp(plan, w.say)
	}
	if err == nil {
		err = w.openOutputs()
	}
	if err != nil {
		w.close()
		return nil, err
	}
	e.restrict(plan, l.verbose && !l.quiet, w.say)
	w.start(first)
	return w, nil
}

// newWatch makes a watch of a source.
func newWatch(ctx context.Context, e *env, l *liveFlags, src liveSource) *watch {
	now := time.Now()
	w := &watch{
		session: newSession(context.WithoutCancel(ctx), e, &l.analyzeFlags), ctx: ctx, o: l,
		name: strings.Join(l.interfaces, ", "), in: input{decoder: capture.NewDecoder()}, src: src,
		wall: time.Time.UnixNano, clock: newStepClock(now, now.UnixNano()), limiter: newLimiter(now), ids: newIDSet(),
		warned: map[backlog]bool{}, missing: map[string]bool{}, troubles: map[string]time.Time{},
		status: newStatus(e, l.quiet), seconds: now, unseen: now.Add(unseenAfter),
	}
	switch {
	case w.lines != nil:
		w.follow = w.lines
	case l.format.value == "table":
		w.follow = report.NewRunning(e.stdout, &w.shown)
	}
	w.tune = w.tuned
	w.report.Live = true
	w.report.Captures = []report.Capture{{}}
	return w
}

// openOutputs opens what --evidence, -w and --html name.
func (w *watch) openOutputs() (err error) {
	l := w.o
	v := &l.evidence
	if v.dir != "" || v.annotate != "" {
		if w.evidence, err = openEvidence(v, outfile.Umask(l.umask)); err != nil {
			return err
		}
	}
	if v.dir != "" {
		w.say(v.dir + " gets packets with headers and bodies of the findings' connections; handle with care")
		for _, text := range w.evidence.remarks(v.dir) {
			w.say(text)
		}
	}
	if v.annotate != "" {
		if w.annotated, err = outfile.Create(v.annotate, outfile.Umask(l.umask)); err != nil {
			return err
		}
	}
	if d := &l.dump; d.path != "" {
		build, _ := debug.ReadBuildInfo()
		w.dump, err = dump.New(dump.Options{
			Path: d.path, Size: int64(d.size), Every: d.rotateEvery(), Files: d.files, Zone: l.location(), Snaplen: uint32(l.snaplen),
			Section: capture.Section{OS: runtime.GOOS, Application: "connrace " + describeBuild(build)}, Name: w.src.InterfaceName, Umask: outfile.Umask(l.umask),
		}, time.Now().UnixNano())
		if err != nil {
			return err
		}
	}
	if err := w.openExports(); err != nil {
		return err
	}
	return l.page.create(l.umask)
}

// start begins the analysis; first is the kernel's first answer, nil: it is not asked.
func (w *watch) start(first *detect.KernelSample) {
	w.begin(0, nil)
	w.began = w.wall(time.Now())
	if first != nil {
		w.sample(first)
		for i := range first.Listeners {
			if w.seen != nil { // the capture's filter lets pass nothing that would show them
				w.seen.add(first.Listeners[i].End, 0)
			}
		}
	}
	w.usr1 = make(chan os.Signal, 1)
	notifyUSR1(w.usr1)
	w.status.text(fmt.Sprintf("watching %s ...", w.name))
}

// tuned makes an analysis fit to go on for weeks.
func (w *watch) tuned(a *analysis, o *detect.Options) {
	a.Files = map[int]*report.EvidenceFile{}
	w.analysis = &a.Analysis
	o.Live = true
	if w.o.maxFlows == 0 {
		// Those of a SYN flood take 1.7 KB each here, and half as much again as garbage.
		o.MaxFlows = min(flowsFor(2*availableMemory()), detect.LiveFlows)
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
}

// run watches until it is told to end.
func (w *watch) run() {
	defer context.AfterFunc(w.ctx, w.src.Stop)()
	if w.o.duration > 0 {
		defer time.AfterFunc(time.Duration(w.o.duration), w.src.Stop).Stop()
	}
	left := w.o.count
	for {
		batch := w.batch
		if w.o.count > 0 {
			batch = batch[:min(uint64(len(batch)), left)]
		}
		n, err := w.src.Read(batch)
		now := time.Now()
		left -= uint64(n)
		w.take(batch[:n], now)
		w.mind(n == 0, now)
		if err != nil && !errors.Is(err, io.EOF) {
			w.note(err.Error())
			w.failed = true // a supervisor may try again
		}
		if err != nil || w.o.count > 0 && left == 0 || w.dump != nil && w.dump.Done() {
			return
		}
		if w.follow != nil && errors.Join(w.follow.Err(), w.e.outputErr()) != nil {
			return // nobody takes what is found
		}
	}
}

// take takes the next frames.
func (w *watch) take(frames []capture.Frame, now time.Time) {
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
		w.cur.detector.Shift(w.step)
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
			w.complain("", w.dump.Frame(&frames[i]))
		}
	}
	w.feed(&w.in, frames)
	if w.evidence != nil {
		w.evidence.frames(frames)
	}
}

// lag is how far behind the clock the capture time is kept while no frame comes, since the
// next one may be that old: the kernel hands packets over in blocks.
const lag = 150 * time.Millisecond

// mind does what is due. idle: no frame is waiting.
func (w *watch) mind(idle bool, now time.Time) {
	d := w.cur.detector
	w.hear()
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
		w.soFar()
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
		w.complain("", w.dump.Flush())
	}
	if n, ok := w.drops.news(w.src.Stats().Drops, now); ok {
		w.sayDrops(n)
	}
	if w.seen != nil && now.After(w.unseen) {
		w.unseen = now.Add(unseenEvery)
		w.say("no packet of --target has come so far" + report.Seen(w.seen.list()))
	}
	w.showHeld(now, false)
	f := w.figures()
	for _, o := range w.observers {
		o.tick(f)
	}
	w.status.draw(w.name, f, now)
}

func (w *watch) figures() *figures {
	d := w.cur.detector
	f := &figures{
		Progress: d.Progress(), LiveStats: w.src.Stats(), Held: w.held, Snapshot: d.Snapshot,
	}
	if w.dump != nil {
		f.DumpLost = w.dump.Lost
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

// sayDrops warns of dropped packets; the report counts them.
func (w *watch) sayDrops(n uint64) {
	w.say(fmt.Sprintf("the kernel dropped %s: the ring was full (--ring, --snaplen and --target make room)", text.Plural(n, "packet")))
}

// hear takes the kernel's answers.
func (w *watch) hear() {
	if w.sampler == nil {
		return
	}
	for {
		select {
		case s := <-w.sampler.samples:
			w.sample(s)
		case err := <-w.sampler.errs:
			w.complain("asking the kernel about accept queues: ", err)
		default:
			return
		}
	}
}

// sample takes an answer of the kernel.
func (w *watch) sample(s *detect.KernelSample) {
	w.cur.detector.AddSample(s)
	w.warnAboutQueues(s)
	for _, o := range w.observers {
		o.sample(s)
	}
}

// linked takes note of a link that went down or came up.
func (w *watch) linked(e capture.LinkEvent) {
	w.note(fmt.Sprintf("%s is %s", e.Interface, e.State))
}

// say warns.
func (w *watch) say(line string) {
	w.status.clear()
	w.warn(line)
}

// maxNotes bounds what the report says of the capture.
const maxNotes = 100

// note warns of what may have hidden something, and keeps that for the report.
func (w *watch) note(line string) {
	w.say(line)
	if len(w.notes) < maxNotes {
		w.notes = append(w.notes, time.Now().In(w.o.location()).Format(time.DateTime)+" "+line)
	}
}

// complainEvery is how often the same trouble is warned of.
const complainEvery = 10 * time.Minute

// complain warns, once in a while, of trouble that does not end the watch; nil is none.
func (w *watch) complain(what string, err error) {
	if err == nil {
		return
	}
	now, same := time.Now(), what+reason(err)
	if at, known := w.troubles[same]; known && now.Sub(at) < complainEvery {
		return
	}
	if len(w.troubles) >= maxNotes {
		clear(w.troubles)
	}
	w.troubles[same] = now
	w.note(what + confine.Explain(err).Error())
}

// reason is what is at the bottom of an error, without the names of files.
func reason(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// dropNews are dropped packets that have not been told of.
type dropNews struct {
	told uint64
	at   time.Time
}

func (d *dropNews) news(drops uint64, now time.Time) (n uint64, ok bool) {
	if drops == d.told || now.Sub(d.at) < 10*time.Second {
		return 0, false
	}
	n = drops - d.told
	d.told, d.at = drops, now
	return n, true
}
