// Package pipeline leads frames from a source to a report: ReadLoop reads and decodes them in
// batches, ahead of the work where that pays; a Session hands the segments to the detector,
// and at the end compares, writes the report and says how it went. Package offline feeds it
// files, package live an interface.
package pipeline

import (
	"context"
	"sync/atomic"
	"time"

	"connrace/capture"
	"connrace/cmd/connrace/internal/cli"
	"connrace/cmd/connrace/internal/lblog"
	"connrace/cmd/connrace/internal/memory"
	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/term"
	"connrace/detect"
	"connrace/tcpstate"
)

// batchSize is how many frames are read at once: few enough that their data is still in
// the processor's cache when it is decoded.
const batchSize = 256

// Session is one run of analyze or live: frames in, one report out.
type Session struct {
	Ctx   context.Context
	Env   *cli.Env
	flags *Common
	Period

	Report    report.Report
	Shown     report.Options
	Lines     *report.Lines // only for --format jsonl
	Listeners *listeners    // nil once --target has matched, or where it is not given

	Cur    *Analysis // nil: none begun
	nextID int       // findings of the analyses before the current one
	Failed bool      // an input could not be read
	// Tune has its say in how an analysis is done; nil: nobody has.
	Tune func(*Analysis, *detect.Options)
	// Learnt is called with each finding that says more when the captures have been read, by the
	// load balancer's log.
	Learnt func(*report.Analysis, *detect.Finding)
	Spans  []lblog.Span // of time in which findings are shown
	// Connections: keep what tells the same connections in other captures. Findings are then
	// settled when all captures have been read: see Late.
	Connections bool
	Apart       int // see detect.Options
	// Workers are the processors that reading a file may use; with one nobody reads ahead.
	Workers int
	// Meanwhile is called between batches of frames of a file; nil: nothing else is to be done.
	Meanwhile func()
	Batch     []capture.Frame
	Newest    Newest  // with Connections only
	own       decoded // what the frames of Batch are decoded to
	noted     *noted  // how far it has come
}

// Analysis is one detector and what it was fed.
type Analysis struct {
	report.Analysis
	Detector *detect.Detector
	Window   Window
	First    int64              // time of the newest file's first frame
	Last     int64              // latest time of a frame; 0: none yet
	Links    []capture.LinkType // of the newest file
	Broken   bool               // frames are missing between the files
	reached  atomic.Int64
}

// Reached is a time that some frame has which was analysed, and of few a later one; 0: not known. Any
// goroutine may ask.
func (a *Analysis) Reached() int64 { return a.reached.Load() }

// NewSession makes a session: the findings of a period, found and shown as the flags say.
func NewSession(ctx context.Context, e *cli.Env, flags *Common, p Period) *Session {
	s := &Session{
		Ctx: ctx, Env: e, flags: flags, Period: p, Shown: flags.reportOptions(e),
		Batch: make([]capture.Frame, batchSize), noted: new(noted), Learnt: func(*report.Analysis, *detect.Finding) {},
	}
	s.Report.Skipped = map[string]uint64{}
	s.Report.Flags, s.Report.Page = flags.deciding(), flags.HTML.Path
	s.Report.Since, s.Report.Until = p.Since.String(), p.Until.String()
	if flags.Format.Value == "jsonl" {
		s.Lines = report.NewLines(e.Stdout, &s.Shown)
		s.Learnt = s.Lines.Update
	}
	if match := flags.Target.Matcher(); match != nil {
		s.Listeners = &listeners{match: match, segments: map[tcpstate.Endpoint]uint64{}}
	}
	return s
}

// Aside makes a session that reads another file for the same report, and all as this one does. What it was fed is in its
// analysis, and in what it has said of itself; the report stays untouched.
func (s *Session) Aside() *Session {
	a := *s
	a.Report, a.Lines, a.Listeners, a.Spans = report.Report{}, nil, nil, nil
	a.Cur, a.nextID, a.Failed, a.Meanwhile = nil, 0, false, nil
	a.Batch, a.Newest, a.own, a.noted = make([]capture.Frame, batchSize), Newest{}, decoded{}, new(noted)
	return &a
}

// Stopped reports whether there is no use in going on: the user has interrupted, or
// nobody takes the output any more.
func (s *Session) Stopped() bool {
	return s.Ctx.Err() != nil || s.Lines != nil && s.Lines.Err() != nil
}

// Begin begins an analysis.
func (s *Session) Begin(first int64, links []capture.LinkType) {
	a := &Analysis{Window: s.Window(first, s.flags.Location()), Links: links}
	a.FirstID = s.nextID
	o := s.flags.detectOptions()
	if o.MaxFlows == 0 {
		o.MaxFlows = memory.FlowsFor(memory.Available())
	}
	o.Streams = s.Shown.Streams
	o.Exchanges = len(s.flags.Logs) > 0
	o.Connections, o.Apart = s.Connections, s.Apart
	if s.Tune != nil {
		s.Tune(a, &o)
	} else if s.Lines != nil && !s.Connections {
		o.OnFinding = func(f *detect.Finding) {
			if a.Window.shows(f) {
				s.Lines.Finding(&a.Analysis, f)
			}
		}
		o.OnUpdate = func(f *detect.Finding) {
			if a.Window.shows(f) {
				s.Lines.Update(&a.Analysis, f)
			}
		}
	}
	a.Detector = detect.New(o)
	s.Cur = a
}

// Conclude ends the analysis that was begun.
func (s *Session) Conclude() {
	a := s.Cur
	if a == nil {
		return
	}
	a.Result = a.Detector.Finish()
	s.nextID += len(a.Result.Findings)
	a.Window.limit(a.Result)
	for _, i := range a.Captures {
		c := &s.Report.Captures[i]
		if span := a.Window.of(c.First, c.Last); c.First != 0 && span.First <= span.Last {
			s.Spans = append(s.Spans, span)
		}
	}
	a.Detector = nil
	if len(a.Result.Findings)+len(a.Result.Targets) > fewRows {
		memory.CollectLarge() // the report takes the room of the tables
	}
	s.Report.Analyses = append(s.Report.Analyses, a.Analysis)
	s.Cur = nil
}

// fewRows are findings and targets of which a report takes so little room that to make it, which
// takes going through all that is kept, is not worth it: about 10 MB.
const fewRows = 1 << 12

// Input is the capture that is being read.
type Input struct {
	Decoder  *capture.Decoder
	Contents *capture.Contents // nil: it is not read again
	Index    int               // in report.Captures
	Ahead    bool              // it was read and decoded ahead
	entered  bool              // the detector knows of it
}

// Feed hands frames to the detector.
func (s *Session) Feed(in *Input, frames []capture.Frame) {
	s.own.reset()
	s.own.decode(in.Decoder, frames)
	s.analyse(in, &s.own)
}

// analyse hands what frames were decoded to to the detector.
func (s *Session) analyse(in *Input, x *decoded) {
	a := s.Cur
	from := 0
	for _, g := range x.gaps {
		if g.within || a.Broken {
			s.flush(in, x.segs[from:g.segs])
			from = g.segs
			a.Detector.Gap(g.frame, g.time)
		}
		a.Broken = false
	}
	s.flush(in, x.segs[from:])
	if in.Contents != nil {
		in.Contents.Through(x.last)
	}
	if n := len(x.segs); n > 0 {
		a.reached.Store(max(a.reached.Load(), x.segs[n-1].Time))
	}
	if s.Meanwhile != nil {
		s.Meanwhile()
	}
	// Behind a batch that is not full nothing may come for long.
	if now := time.Now(); len(x.segs) < batchSize || now.Sub(s.noted.at) >= noteEvery {
		p := a.Detector.Progress()
		s.noted.at = now
		s.noted.findings.Store(uint64(s.nextID) + p.Findings)
		s.noted.failed.Store(p.Failed())
		s.noted.answers5xx.Store(p.Answers5xx)
	}
}

// noted is how far an analysis has come, for who shows it meanwhile.
type noted struct {
	at                           time.Time
	findings, failed, answers5xx atomic.Uint64
}

// noteEvery is how often that is noted.
const noteEvery = 200 * time.Millisecond

// SoFar says what has been found so far. Any goroutine may ask.
func (s *Session) SoFar() string {
	return term.SoFar(s.noted.findings.Load(), s.noted.failed.Load(), s.noted.answers5xx.Load())
}

// flush hands segments to the detector. A capture without a TCP segment is none to it.
func (s *Session) flush(in *Input, segs []tcpstate.Segment) {
	a := s.Cur
	if len(segs) == 0 {
		return
	}
	if !in.entered {
		in.entered = true
		a.Detector.BeginCapture(len(a.Captures))
		a.Captures = append(a.Captures, in.Index)
	}
	if s.Listeners != nil && s.Listeners.matched(segs) {
		s.Listeners = nil
	}
	a.Detector.Segments(segs)
	if in.Contents != nil {
		in.Contents.Add(segs, a.Detector.Hashes())
	}
	if s.Connections {
		s.Newest.add(segs)
	}
}

// Newest are the newest of a few of the segments that were analysed, always so many and the same ones, however many are
// analysed at once: the first ones, and of those behind them one in newestEvery. What they point to may be gone.
type Newest struct {
	segs []tcpstate.Segment
	n    int // that were analysed
}

const (
	mostNewest  = batchSize
	newestEvery = 17 // a prime, for traffic may repeat itself every few segments
)

func (x *Newest) add(segs []tcpstate.Segment) {
	k := min(max(mostNewest-x.n, 0), len(segs))
	x.segs = append(x.segs, segs[:k]...)
	x.n += k
	for i := k + (newestEvery-x.n%newestEvery)%newestEvery; i < len(segs); i += newestEvery {
		x.segs[(x.n+i-k)/newestEvery%mostNewest] = segs[i]
	}
	x.n += len(segs) - k
}

// Forget forgets them.
func (x *Newest) Forget() { x.segs, x.n = x.segs[:0], 0 }

// All are they, in no order.
func (x *Newest) All() []tcpstate.Segment { return x.segs }

// Late writes the JSON lines of findings that could not be written while they were settled.
func (s *Session) Late() {
	if s.Lines == nil {
		return
	}
	for i := range s.Report.Analyses {
		a := &s.Report.Analyses[i]
		for _, f := range a.Result.Findings {
			s.Lines.Finding(a, f)
		}
	}
}

// Warn warns on standard error, unless --quiet forbids it.
func (s *Session) Warn(texts ...string) {
	if s.flags.Quiet {
		return
	}
	for _, t := range texts {
		s.Env.Errorf("warning: %s", t)
	}
}

// Complete ends the analysis, and compares it with what the flags name.
func (s *Session) Complete() {
	s.Conclude()
	r := &s.Report
	r.Interrupted = s.Ctx.Err() != nil
	if s.Listeners != nil {
		r.Listeners = s.Listeners.List()
	}
	if len(r.Captures) > 0 && s.flags.compare(s, s.flags.Location()) {
		s.Failed = true
	}
}

// Deliver writes the report, then does what else is to be done, and returns the exit code.
func (s *Session) Deliver(then func()) int {
	r := &s.Report
	code := s.Env.Written(s.Show(r))
	then()
	switch {
	case s.Ctx.Err() != nil:
		return cli.ExitInterrupted
	case code != cli.ExitOK || s.Failed:
		return cli.ExitError
	case s.flags.fails(r):
		return cli.ExitFailOn
	}
	return cli.ExitOK
}

// Show writes a report to stdout.
func (s *Session) Show(r *report.Report) error {
	switch s.flags.Format.Value {
	case "json":
		return report.JSON(s.Env.Stdout, r, &s.Shown)
	case "jsonl":
		return s.Lines.Summary(r)
	case "csv":
		return report.CSV(s.Env.Stdout, r, &s.Shown)
	case "markdown":
		return report.Markdown(s.Env.Stdout, r, &s.Shown)
	}
	return report.Table(s.Env.Stdout, r, &s.Shown)
}

// Describe is a capture as reports show it.
func Describe(path string, info capture.Info) report.Capture {
	c := report.Capture{
		Path: path, Format: info.Format, Compression: info.Compression, Frames: info.Frames, Bytes: info.Bytes,
		First: info.First, Last: info.Last, Snaplen: info.Snaplen, Drops: info.Drops, DropsKnown: info.DropsKnown,
		Warnings: info.Warnings, Gaps: info.GapCount,
	}
	for _, l := range info.LinkTypes {
		c.LinkTypes = append(c.LinkTypes, uint16(l))
	}
	return c
}
