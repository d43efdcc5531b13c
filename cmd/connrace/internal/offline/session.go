// Package offline is the command analyze: files in, one report out. A file continues the one
// before or begins an analysis of its own; --annotate and --evidence read them once
// more, and so does remark where packets have comments.
package offline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"connrace/cmd/connrace/internal/cli"
	"connrace/cmd/connrace/internal/join"
	"connrace/cmd/connrace/internal/memory"
	"connrace/cmd/connrace/internal/outfile"
	"connrace/cmd/connrace/internal/pipeline"
	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/term"
)

// session is one run of analyze: files in, one report out.
type session struct {
	*pipeline.Session
	flags     *Flags
	annotated *outfile.File // what --annotate writes of the only capture
	files     []*reading
	points    []*point           // whose files may go on
	at        *point             // the one whose file is read, or was last
	came      int64              // time at which the point ended when that had been read
	left      int                // files behind that
	moved     chan struct{}      // a file that is read aside has got on
	apart     map[int]string     // why captures were not taken for a continuation, by index in report.Captures
	sources   map[int]*source    // streams that are read again, by index in report.Captures
	notes     map[int]join.Again // on reading captures again, likewise
	room      uint64             // frames that may yet be noted there
	commented []int              // captures with comments on packets, likewise
	once      map[int]bool       // streams that cannot be read again, likewise
	heard     map[int]*heard     // what is remarked on their packets
}

func newSession(ctx context.Context, e *cli.Env, flags *Flags) *session {
	s := &session{
		Session: pipeline.NewSession(ctx, e, &flags.Common, flags.Period), flags: flags, apart: map[int]string{}, once: map[int]bool{}, heard: map[int]*heard{},
		notes: map[int]join.Again{}, room: mostNoted, moved: make(chan struct{}, 1),
	}
	s.Workers = flags.processors()
	s.Shown.Streams = flags.streams
	s.Connections = len(flags.files) > 1 && !flags.noJoin
	if !flags.noJoin && (s.Connections || s.Lines == nil) { // findings are written as they are settled: none can be taken back
		s.Apart = mostTranslations
	}
	return s
}

// mostNoted is of how many frames, of all captures, it is noted where they are and of which connection,
// in 4 octets each.
const mostNoted = 1 << 23

// fail reports an input that cannot be read at all.
func (s *session) fail(err error) {
	s.Failed = true
	if s.Cur != nil {
		s.Cur.Broken = true
	}
	s.Env.Errorf("%v", err)
}

// turn does for a file what is done in the order in which files were given: it is told of here, and read unless it has been
// read before.
func (s *session) turn(i int) {
	r := s.files[i]
	s.left = len(s.files) - 1 - i
	if s.open(r); r.err != nil {
		if s.Ctx.Err() == nil {
			s.fail(r.err)
		}
		return
	}
	s.openNext(i + 1)
	index := len(s.Report.Captures)
	r.capture = index
	stop := term.Progress(s.Env.Stderr, s.flags.Quiet, r.path, r.src.Progress, r.soFar(s))
	if r.overlap {
		r.apart = begunBefore(r.first, s.came)
	}
	if r.point != nil {
		s.at = r.point
		s.Report.Captures = append(s.Report.Captures, report.Capture{})
		s.await(r)
	} else {
		if r.session == nil {
			r.session = s.Session
			if s.once[index] {
				s.heard[index] = newHeard()
				r.src.Remark(s.heard[index].note)
			}
			s.begin(r)
		} else {
			s.Batch, r.session = r.session.Batch, s.Session
		}
		s.place(r)
		s.at, r.in.Index, r.busy = r.point, index, true
		s.Report.Captures = append(s.Report.Captures, report.Capture{})
		s.Meanwhile = s.readOthers
		r.read()
		s.Meanwhile = nil
		s.noteEnd(r)
	}
	defer r.close()
	s.Cur, s.came = r.point.Analysis, r.last
	stop()
	if s.flags.Verbose && !s.flags.Quiet {
		s.Env.Errorf("%s: %s", r.path, s.processorsOf(r))
	}
	if s.Connections && !r.in.Decoder.Remembers() {
		s.notes[index] = join.Again{Places: r.src.Places(), Contents: r.in.Contents}
		s.room -= min(s.room, r.in.Contents.Noted())
	}
	c := pipeline.Describe(r.path, r.src.Info())
	if r.src.Info().Comments {
		s.commented = append(s.commented, index)
	}
	if r.apart != "" && s.Connections {
		s.apart[index] = r.path + ": " + r.apart // unless it is joined
	} else if r.apart != "" {
		c.Warnings = append(slices.Clone(c.Warnings), r.path+": "+r.apart)
	}
	if !r.stopped {
		s.tell(&c, r.readErr)
	} else if s.Ctx.Err() != nil {
		c.Interrupted = true
		c.Warnings = append(c.Warnings, fmt.Sprintf("interrupted after frame %d: the input was not read to its end", c.Frames))
	}
	s.Report.Captures[index] = c
	for why, n := range r.in.Decoder.Skipped() {
		s.Report.Skipped[why] += n
	}
	s.warnAboutPeriod(&c)
}

// tell warns of what is wrong with a capture, and of how reading it ended.
func (s *session) tell(c *report.Capture, err error) {
	if err != nil && !errors.Is(err, io.EOF) {
		c.Truncated = true
		c.Warnings = append(slices.Clone(c.Warnings), err.Error())
	}
	if format := s.flags.Format.Value; s.Env.OnePlace() && (format == "table" || format == "markdown") {
		return // the report that ends there, too, says them
	}
	s.Warn(c.Warnings...)
}

// warnAboutPeriod says which day a clock time was taken to mean where the capture has two,
// and where --since and --until leave nothing of it.
func (s *session) warnAboutPeriod(c *report.Capture) {
	zone := s.flags.Location()
	if s.Cur.Window.Empty() {
		s.Warn(fmt.Sprintf("%s: --since %s is after --until %s here: no finding is shown", c.Path, s.Since.String(), s.Until.String()))
	}
	day := func(ns int64) string { return time.Unix(0, ns).In(zone).Format(time.DateOnly) }
	if c.First == 0 || day(c.First) == day(c.Last) {
		return
	}
	for _, m := range []*cli.Moment{&s.Since, &s.Until} {
		if m.OfDay() {
			s.Warn(fmt.Sprintf("%s: %s was taken on %s, the day of the first packet; give the date to mean another", c.Path, m.String(), day(c.First)))
		}
	}
}

// finish completes the report, writes it, and returns the exit code.
func (s *session) finish() int {
	s.left = 0
	s.conclude(nil)
	if s.Connections || s.shownTwice() {
		s.join()
	}
	s.remark()
	if s.Connections {
		s.Late()
	}
	s.Complete()
	switch r := &s.Report; {
	case len(r.Captures) > 0:
		return s.Deliver(s.writePackets)
	case r.Interrupted:
		return cli.ExitInterrupted
	}
	return cli.ExitError // each was reported
}

// Run analyses the captures, and returns the exit code.
func (a *Flags) Run(ctx context.Context, e *cli.Env) int {
	memory.Available() // while all files are in reach
	if procs := runtime.GOMAXPROCS(0); a.workers > 0 && a.workers < procs {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(a.workers)) // the garbage collector, too
	}
	s := newSession(ctx, e, a)
	plan, warn := a.plan(), func(text string) { s.Warn(text) }
	if err := e.GiveUp(plan, warn); err != nil {
		e.Errorf("%v", err)
		return cli.ExitError
	}
	if err := a.Prepare(ctx); err != nil {
		e.Errorf("%v", err)
		return cli.ExitError
	}
	defer s.discardPackets()
	if err := s.preparePackets(); err != nil {
		e.Errorf("%v", err)
		return cli.ExitError
	}
	if err := a.HTML.Create(a.Umask); err != nil {
		e.Errorf("%v", err)
		return cli.ExitError
	}
	defer a.HTML.File.Discard()
	e.Restrict(plan, a.Verbose && !a.Quiet, warn)
	for i, path := range s.givenTwice(a.files, !a.noJoin) {
		s.files = append(s.files, &reading{index: i, path: path})
	}
	defer s.closeFiles()
	for i, r := range s.files {
		if r.point != nil || !s.Stopped() {
			s.turn(i)
		}
	}
	return a.HTML.Write(e, &s.Report, &s.Shown, s.finish())
}
