package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"connrace/cmd/connrace/internal/baseline"
	"connrace/cmd/connrace/internal/cli"
	"connrace/cmd/connrace/internal/infile"
	"connrace/cmd/connrace/internal/lblog"
	"connrace/cmd/connrace/internal/text"
)

// Compare name what a capture is held against: the load balancer's own logs, and an
// earlier report.
type Compare struct {
	Logs      []string
	logFormat cli.Choice
	logZone   cli.Zone
	Baseline  string

	before *baseline.Run // what Baseline names
}

// AddLogs adds the flags about logs.
func (b *Compare) AddLogs(fs *pflag.FlagSet) {
	b.logFormat = cli.OneOf("", lblog.KindNames()...)
	fs.StringArrayVar(&b.Logs, "log", nil, strings.Join(text.Wrap("join the load balancer's own log to the findings: `FILE`, plain or gzip, or a directory of them, of "+
		lblog.Products("or")+" (repeatable)", helpColumns, " "), "\n"))
	fs.Var(&b.logFormat, "log-format", strings.Join(text.Wrap("what kind of log it is, not by its lines: `KIND`: "+strings.Join(b.logFormat.Of, ", "), helpColumns, " "), "\n"))
	fs.Var(&b.logZone, "log-zone", strings.Join(text.Wrap("`ZONE` of times in logs without one ("+lblog.Zoneless("and")+"): +02:00, Europe/Berlin (default: UTC; local time with --local-time)",
		helpColumns, " "), "\n"))
}

// helpColumns is how wide the help of a flag is.
const helpColumns = 64

// LogNeeds are flags that say something about logs.
var LogNeeds = []cli.Needs{
	{Flag: "log-format", What: "--log FILE", Any: []string{"log"}},
	{Flag: "log-zone", What: "--log FILE", Any: []string{"log"}},
}

// AddBaseline adds the flag about an earlier report.
func (b *Compare) AddBaseline(fs *pflag.FlagSet) {
	fs.StringVar(&b.Baseline, "baseline", "", "compare with an earlier run: `FILE` is what it wrote, --format json\nor the page of --html; is the fix in effect?")
}

// Prepare reads the earlier report and sees that the logs are there: what is wrong shall
// be known before the captures are read.
func (b *Compare) Prepare(ctx context.Context) error {
	for _, path := range b.Logs {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("--log: %w", text.AtPath(path, err))
		}
	}
	if b.Baseline == "" {
		return nil
	}
	f, err := infile.Open(ctx, b.Baseline)
	if err != nil {
		return fmt.Errorf("--baseline: %w", err)
	}
	defer f.Close()
	if b.before, err = baseline.Load(infile.Stream(ctx, f)); err != nil {
		return fmt.Errorf("--baseline: %w", text.AtPath(b.Baseline, err))
	}
	return nil
}

// compare puts into a session's finished report what is held against it. failed: a log could not be read;
// each was reported.
func (b *Compare) compare(s *Session, local *time.Location) (failed bool) {
	r := &s.Report
	failed = b.join(s, local)
	if b.before != nil {
		r.Baseline = baseline.Compare(b.Baseline, b.before, r.Figures())
		if r.Since != "" || r.Until != "" {
			r.Baseline.Details = append(r.Baseline.Details,
				"--since and --until limit what is counted as lost here, but not the requests: the rate now is too low.")
		}
	}
	return failed
}

// join joins the logs to the findings, which then say what only a log knows.
func (b *Compare) join(s *Session, local *time.Location) (failed bool) {
	ctx, e, r := s.Ctx, s.Env, &s.Report
	if len(b.Logs) == 0 {
		return false
	}
	times := b.logZone.Location
	if times == nil {
		times = local
	}
	c := r.LogCapture()
	c.Spans = s.Spans
	j := lblog.NewJoiner(c, lblog.ParseKind(b.logFormat.Value), times)
	var done []os.FileInfo
	for _, path := range b.Logs {
		files := 0
		err := eachLog(ctx, path, func(file string, in *os.File, listed bool) error {
			files++
			if st, err := in.Stat(); err == nil {
				if slices.ContainsFunc(done, func(o os.FileInfo) bool { return os.SameFile(o, st) }) {
					return nil
				}
				done = append(done, st)
			}
			err := j.Read(ctx, file, infile.Stream(ctx, in))
			switch {
			case err == nil:
			case listed && errors.Is(err, lblog.ErrUnrecognised): // other things may lie beside logs
				s.Warn(fmt.Sprintf("--log: %s is passed over: %v", file, err))
			default:
				e.Errorf("--log: %s: %v%s", file, err, b.remedy(err))
				j.Unread(file, err)
				failed = true
			}
			return ctx.Err()
		}, func(file string, err error) {
			e.Errorf("--log: %v", text.AtPath(file, err))
			j.Unread(file, err)
			failed = true
		})
		if err == nil && files == 0 && !failed {
			s.Warn(fmt.Sprintf("--log: no file is in %s", path))
		}
	}
	r.Log = j.Finish()
	r.HearLog(s.Learnt)
	return failed
}

// remedy says what may help.
func (b *Compare) remedy(err error) string {
	if !errors.Is(err, lblog.ErrUnrecognised) {
		return ""
	}
	return " (--log-format says the kind; formats of one's own are not read)"
}

// eachLog opens a file, or each one in and below a directory (listed), links to files
// included, as Kubernetes has them in /var/log/containers. What cannot be opened it
// reports, and goes on. The error is one of read.
func eachLog(ctx context.Context, path string, read func(path string, f *os.File, listed bool) error, fail func(path string, err error)) error {
	open := func(path string, listed bool) error {
		var f *os.File
		var err error
		if listed {
			f, err = infile.OpenRegular(path)
		} else {
			f, err = infile.Open(ctx, path)
		}
		if err != nil {
			fail(path, err)
			return nil
		}
		defer f.Close()
		return read(path, f, listed)
	}
	if st, err := os.Stat(path); err != nil || !st.IsDir() {
		return open(path, false)
	}
	// The separator: WalkDir does not follow a link, not even the first.
	return filepath.WalkDir(path+string(filepath.Separator), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			fail(path, err)
			return nil
		}
		kind := d.Type()
		if kind&fs.ModeSymlink != 0 {
			if st, err := os.Stat(path); err == nil {
				kind = st.Mode().Type()
			}
		}
		if !kind.IsRegular() || strings.HasPrefix(d.Name(), ".") {
			return nil
		}
		return open(path, true)
	})
}
