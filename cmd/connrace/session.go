package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"connrace/capture"
	"connrace/cmd/connrace/internal/lblog"
	"connrace/cmd/connrace/internal/outfile"
	"connrace/cmd/connrace/internal/report"
	"connrace/detect"
	"connrace/tcpstate"
)

// batchSize is how many frames are read at once: few enough that their data is still in
// the processor's cache when it is decoded.
const batchSize = 256

// session is one run of analyze: files in, one report out.
type session struct {
	ctx   context.Context
	e     *env
	flags *analyzeFlags

	report report.Report
	shown  report.Options
	lines  *report.Lines // only for --format jsonl
	seen   *listeners    // nil once --target has matched, or where it is not given

	cur    *analysis // nil: none begun
	nextID int       // findings of the analyses before the current one
	failed bool      // an input could not be read
	// tune has its say in how an analysis is done; nil: nobody has.
	tune  func(*analysis, *detect.Options)
	spans []lblog.Span // of time in which findings are shown
	batch []capture.Frame
	own   decoded // what the frames of batch are decoded to

	annotated *outfile.File   // what --annotate writes; nil: it was not asked for
	sources   map[int]*source // streams that are read again, by index in report.Captures
}

// analysis is one detector and what it was fed.
type analysis struct {
	report.Analysis
	detector *detect.Detector
	window   window
	last     int64              // latest time of a frame; 0: none yet
	links    []capture.LinkType // of the newest file
	broken   bool               // frames are missing between the files
}

func newSession(ctx context.Context, e *env, flags *analyzeFlags) *session {
	s := &session{
		ctx: ctx, e: e, flags: flags, shown: flags.reportOptions(e),
		batch: make([]capture.Frame, batchSize),
	}
	s.report.Skipped = map[string]uint64{}
	s.report.Since, s.report.Until = flags.since.text, flags.until.text
	if flags.format.value == "jsonl" {
		s.lines = report.NewLines(e.stdout, &s.shown)
	}
	if match := flags.target.matcher(); match != nil {
		s.seen = &listeners{match: match, segments: map[tcpstate.Endpoint]uint64{}}
	}
	return s
}

// stopped reports whether there is no use in going on: the user has interrupted, or
// nobody takes the output any more.
func (s *session) stopped() bool {
	return s.ctx.Err() != nil || s.lines != nil && s.lines.Err() != nil
}

// fail reports an input that cannot be read at all.
func (s *session) fail(err error) {
	s.failed = true
	if s.cur != nil {
		s.cur.broken = true
	}
	s.e.errorf("%v", err)
}

// file analyses one file, "-" for standard input.
func (s *session) file(path string) {
	src, done, err := s.open(path)
	if err != nil {
		if s.ctx.Err() == nil {
			s.fail(err)
		}
		return
	}
	defer done()
	stop := s.progress(path, src)
	n, err := src.Read(s.batch)
	s.place(src, s.batch[:n])
	index := len(s.report.Captures)
	s.report.Captures = append(s.report.Captures, report.Capture{})
	in := input{decoder: capture.NewDecoder(), index: index}
	if n > 0 {
		err = s.frames(src, &in, n)
	}
	stop()
	c := describe(path, src.Info())
	if !s.stopped() {
		s.ended(&c, err)
	} else if s.ctx.Err() != nil {
		c.Warnings = append(c.Warnings, fmt.Sprintf("interrupted after frame %d", c.Frames))
	}
	s.report.Captures[index] = c
	s.cur.last = max(s.cur.last, c.Last)
	for why, n := range in.decoder.Skipped() {
		s.report.Skipped[why] += n
	}
	s.warnAboutDay(&c)
}

// place decides where the file that begins with frames belongs: it continues the
// analysis of the one before, or begins another.
func (s *session) place(src *capture.File, frames []capture.Frame) {
	links := slices.Clone(src.Info().LinkTypes)
	slices.Sort(links)
	var first int64
	if len(frames) > 0 {
		first = frames[0].Time
	}
	if a := s.cur; a != nil && (len(frames) == 0 || a.last == 0 || first > a.last && slices.Equal(links, a.links)) {
		if len(frames) > 0 {
			if a.last == 0 {
				a.window = s.flags.window(first)
			}
			a.links = links
		}
		return
	}
	s.conclude()
	s.begin(first, links)
}

// begin begins an analysis.
func (s *session) begin(first int64, links []capture.LinkType) {
	a := &analysis{window: s.flags.window(first), links: links}
	a.FirstID = s.nextID
	o := s.flags.detectOptions()
	o.Exchanges = len(s.flags.logs) > 0
	if s.tune != nil {
		s.tune(a, &o)
	} else if s.lines != nil {
		o.OnFinding = func(f *detect.Finding) {
			if a.window.shows(f) {
				s.lines.Finding(&a.Analysis, f)
			}
		}
		o.OnUpdate = func(f *detect.Finding) {
			if a.window.shows(f) {
				s.lines.Update(&a.Analysis, f)
			}
		}
	}
	a.detector = detect.New(o)
	s.cur = a
}

// conclude ends the analysis that was begun.
func (s *session) conclude() {
	a := s.cur
	if a == nil {
		return
	}
	a.Result = a.detector.Finish()
	s.nextID += len(a.Result.Findings)
	a.window.limit(a.Result)
	for _, i := range a.Captures {
		c := &s.report.Captures[i]
		if span := a.window.of(c.First, c.Last); c.First != 0 && span.First <= span.Last {
			s.spans = append(s.spans, span)
		}
	}
	a.detector = nil
	if heapSize() > smallHeap {
		runtime.GC() // the report takes the room of the tables
	}
	s.report.Analyses = append(s.report.Analyses, a.Analysis)
	s.cur = nil
}

// input is the capture that is being read.
type input struct {
	decoder *capture.Decoder
	index   int  // in report.Captures
	entered bool // the detector knows of it
}

// feed hands frames to the detector.
func (s *session) feed(in *input, frames []capture.Frame) {
	s.own.reset()
	s.own.decode(in.decoder, frames)
	s.take(in, &s.own)
}

// take hands what frames were decoded to to the detector.
func (s *session) take(in *input, x *decoded) {
	a := s.cur
	from := 0
	for _, g := range x.gaps {
		if g.within || a.broken {
			s.flush(in, x.segs[from:g.segs])
			from = g.segs
			a.detector.Gap(g.frame, g.time)
		}
		a.broken = false
	}
	s.flush(in, x.segs[from:])
}

// flush hands segments to the detector. A capture without a TCP segment is none to it.
func (s *session) flush(in *input, segs []tcpstate.Segment) {
	a := s.cur
	if len(segs) == 0 {
		return
	}
	if !in.entered {
		in.entered = true
		a.detector.BeginCapture(len(a.Captures))
		a.Captures = append(a.Captures, in.index)
	}
	if s.seen != nil && s.seen.matched(segs) {
		s.seen = nil
	}
	a.detector.Segments(segs)
}

// ended takes note of how reading ended.
func (s *session) ended(c *report.Capture, err error) {
	if err == nil || errors.Is(err, io.EOF) {
		s.warn(c.Warnings...)
		return
	}
	c.Truncated = true
	s.cur.broken = true
	s.warn(c.Warnings...)
	s.warn(err.Error())
	c.Warnings = append(c.Warnings, err.Error())
}

func (s *session) warn(texts ...string) {
	if s.flags.quiet {
		return
	}
	for _, t := range texts {
		s.e.errorf("warning: %s", t)
	}
}

// warnAboutDay says which day a clock time was taken to mean where the capture has two.
func (s *session) warnAboutDay(c *report.Capture) {
	zone := s.flags.location()
	day := func(ns int64) string { return time.Unix(0, ns).In(zone).Format(time.DateOnly) }
	if c.First == 0 || day(c.First) == day(c.Last) {
		return
	}
	for _, m := range []*moment{&s.flags.since, &s.flags.until} {
		if m.kind == ofDay {
			s.warn(fmt.Sprintf("%s: %s was taken on %s, the day of the first packet; give the date to mean another", c.Path, m.text, day(c.First)))
		}
	}
}

// finish completes the report, writes it, and returns the exit code.
func (s *session) finish() int {
	s.complete()
	switch r := &s.report; {
	case len(r.Captures) > 0:
		return s.deliver()
	case r.Interrupted:
		return exitInterrupted
	}
	return exitError // each was reported
}

// complete ends the analysis, and compares it with what the flags name.
func (s *session) complete() {
	s.conclude()
	r := &s.report
	r.Interrupted = s.ctx.Err() != nil
	if s.seen != nil {
		r.Listeners = s.seen.list()
	}
	if len(r.Captures) > 0 && s.flags.compare(s.ctx, s.e, s.warn, r, s.spans, s.flags.location()) {
		s.failed = true
	}
}

// deliver writes the report, and returns the exit code.
func (s *session) deliver() int {
	r := &s.report
	code := s.e.written(s.show(r))
	s.writePackets()
	switch {
	case s.ctx.Err() != nil:
		return exitInterrupted
	case code != exitOK || s.failed:
		return exitError
	case s.flags.fails(r):
		return exitFailOn
	}
	return exitOK
}

// show writes a report to stdout.
func (s *session) show(r *report.Report) error {
	switch s.flags.format.value {
	case "json":
		return report.JSON(s.e.stdout, r, &s.shown)
	case "jsonl":
		return s.lines.Summary(r)
	case "csv":
		return report.CSV(s.e.stdout, r, &s.shown)
	case "markdown":
		return report.Markdown(s.e.stdout, r, &s.shown)
	}
	return report.Table(s.e.stdout, r, &s.shown)
}

// describe is a capture as reports show it.
func describe(path string, info capture.Info) report.Capture {
	c := report.Capture{
		Path: path, Format: info.Format, Compression: info.Compression, Frames: info.Frames, Bytes: info.Bytes,
		First: info.First, Last: info.Last, Snaplen: info.Snaplen, Drops: info.Drops, DropsKnown: info.DropsKnown,
		Warnings: info.Warnings,
	}
	for _, l := range info.LinkTypes {
		c.LinkTypes = append(c.LinkTypes, uint16(l))
	}
	return c
}
