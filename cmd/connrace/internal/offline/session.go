// Package offline is the command analyze: files in, one report out. A file continues the one
// before or begins an analysis of its own; --annotate and --evidence read them once
// more, and so does remark where packets have comments.
package offline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"connrace/capture"
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
	annotated *outfile.File      // what --annotate writes of the only capture
	points    []*point           // whose files may go on
	at        *point             // the one whose file is read, or was last
	left      int                // files behind that
	apart     map[int]string     // why captures were not taken for a continuation, by index in report.Captures
	sources   map[int]*source    // streams that are read again, by index in report.Captures
	notes     map[int]join.Again // on reading captures again, likewise
	room      uint64             // frames that may yet be noted there
	commented []int              // captures with comments on packets, likewise
	once      map[int]bool       // streams that cannot be read again, likewise
	heard     map[int]*heard     // what is remarked on their packets
	next      *opened            // the file that comes next; nil: it is opened in its turn
}

func newSession(ctx context.Context, e *cli.Env, flags *Flags) *session {
	s := &session{
		Session: pipeline.NewSession(ctx, e, &flags.Common, flags.Period), flags: flags, apart: map[int]string{}, once: map[int]bool{}, heard: map[int]*heard{},
		notes: map[int]join.Again{}, room: mostNoted,
	}
	s.Shown.Streams = flags.streams
	s.Connections = len(flags.files) > 1 && !flags.noJoin
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

// file analyses one file, "-" for standard input; others come behind it.
func (s *session) file(path string, others []string) {
	src, done, err := s.take(path)
	if err != nil {
		if s.Ctx.Err() == nil {
			s.fail(err)
		}
		return
	}
	defer done()
	if len(others) > 0 {
		s.openNext(others[0])
	}
	stop := term.Progress(s.Env.Stderr, s.flags.Quiet, path, src.Progress, s.SoFar)
	if s.Connections {
		src.Note(s.room)
	}
	if i := len(s.Report.Captures); s.once[i] {
		s.heard[i] = newHeard()
		src.Remark(s.heard[i].note)
	}
	n, err := src.Read(s.Batch)
	apart := s.place(path, src, s.Batch[:n])
	index := len(s.Report.Captures)
	s.Report.Captures = append(s.Report.Captures, report.Capture{})
	s.Newest = nil
	in := pipeline.Input{Decoder: capture.NewDecoder(), Index: index}
	if s.Connections {
		in.Contents = capture.NewContents(s.room)
	}
	if n > 0 {
		err = s.ReadLoop(src, &in, n)
	}
	stop()
	if s.Connections && !in.Decoder.Remembers() {
		s.notes[index] = join.Again{Places: src.Places(), Contents: in.Contents}
		s.room -= in.Contents.Noted()
	}
	c := pipeline.Describe(path, src.Info())
	if src.Info().Comments {
		s.commented = append(s.commented, index)
	}
	if apart != "" && s.Connections {
		s.apart[index] = path + ": " + apart // unless it is joined
	} else if apart != "" {
		c.Warnings = append(slices.Clone(c.Warnings), path+": "+apart)
	}
	if !s.Stopped() {
		s.ended(&c, err)
	} else if s.Ctx.Err() != nil {
		c.Interrupted = true
		c.Warnings = append(c.Warnings, fmt.Sprintf("interrupted after frame %d: the input was not read to its end", c.Frames))
	}
	s.Report.Captures[index] = c
	s.at.ended(c.Last, s.Newest)
	for why, n := range in.Decoder.Skipped() {
		s.Report.Skipped[why] += n
	}
	s.warnAboutPeriod(&c)
}

// ended notes how reading ended.
func (s *session) ended(c *report.Capture, err error) {
	if err != nil && !errors.Is(err, io.EOF) {
		c.Truncated = true
		s.Cur.Broken = true
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
	if s.Connections {
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
	defer s.discardNext()
	for files := s.givenTwice(a.files); len(files) > 0 && !s.Stopped(); files = files[1:] {
		s.left = len(files) - 1
		s.file(files[0], files[1:])
	}
	return a.HTML.Write(e, &s.Report, &s.Shown, s.finish())
}
