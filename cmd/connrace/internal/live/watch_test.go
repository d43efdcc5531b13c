package live

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"connrace/capture"
	"connrace/cmd/connrace/internal/cli"
	"connrace/cmd/connrace/internal/clitest"
	"connrace/cmd/connrace/internal/offline"
	"connrace/cmd/connrace/internal/report"
	"connrace/detect"
	"connrace/pcaps"
)

// watched is what a run of live on a fake source wrote.
type watched struct {
	code           int
	stdout, stderr string
	w              *watch
}

// watchFake runs live on a source.
func watchFake(t testing.TB, src *fakeSource, change func(*watch), args ...string) watched {
	t.Helper()
	l, fs := NewFlags()
	if err := fs.Parse(append([]string{"-i", "fake0", "--format", "jsonl"}, args...)); err != nil {
		t.Fatal(err)
	}
	if wrong := l.Wrong(fs); wrong != "" {
		t.Fatal(wrong)
	}
	if err := l.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	e := &cli.Env{Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w := newWatch(ctx, e, l, src)
	if err := w.openOutputs(); err != nil {
		t.Fatal(err)
	}
	w.start(nil)
	if change != nil {
		change(w)
	}
	w.run()
	code := w.end()
	w.close()
	if !src.closed {
		t.Error("the source was not closed")
	}
	return watched{code, stdout.String(), stderr.String(), w}
}

// analyzed is what analyze says.
func analyzed(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	a, fs := offline.NewFlags()
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	if wrong := a.Wrong(fs, nil); wrong != "" {
		t.Fatal(wrong)
	}
	var out, errs bytes.Buffer
	code = a.Run(t.Context(), &cli.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs})
	return code, out.String(), errs.String()
}

// What live finds, after all updates, is what analyze finds in the same frames, for every script.
func TestWatchEqualsAnalyze(t *testing.T) {
	scripts, err := pcaps.Corpus()
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range scripts {
		src := newFakeSource(t, s.Name)
		src.each = 1 + i%9
		got := watchFake(t, src, nil, "-q")
		dir := t.TempDir()
		path := filepath.Join(dir, "x.pcap")
		f, _ := os.Create(path)
		if err := s.WritePCAP(f, pcaps.FileFormat{Nano: true}); err != nil {
			t.Fatal(err)
		}
		f.Close()
		_, stdout, _ := analyzed(t, "-q", "--format", "jsonl", path)
		key := func(ls []clitest.Line) (ks []string) {
			newest := map[int]clitest.Line{}
			for _, l := range ls {
				if l.Type == "finding" || l.Type == "update" {
					newest[l.ID] = l
				}
			}
			for _, l := range newest {
				k := l.Rule + " " + l.Target + " " + l.Time.String()
				for _, e := range l.Evidence {
					k += fmt.Sprintf(" %d:%d:%d:%s", e.Frame, e.Seq, e.Ack, e.Role)
				}
				ks = append(ks, k)
			}
			slices.Sort(ks)
			return ks
		}
		if a, b := key(clitest.Lines(t, got.stdout)), key(clitest.Lines(t, stdout)); !slices.Equal(a, b) {
			t.Errorf("%s:\nlive    %q\nanalyze %q", s.Name, a, b)
		}
		if got.code != cli.ExitOK || got.stderr != "" {
			t.Errorf("%s: exit %d, stderr %s", s.Name, got.code, got.stderr)
		}
	}
}

// The lines are as the schema has them, and so is what SIGUSR1 shows.
func TestWatchLines(t *testing.T) {
	_, schema := clitest.Schemas(t)
	src := newFakeSource(t, "crowder")
	src.drops = 3
	src.frames[200].AfterGap = true
	x := watchFake(t, src, func(w *watch) {
		src.hook = func(next int) {
			if next == len(src.frames) {
				src.hook = nil
				w.usr1 <- os.Interrupt
			}
		}
	}, "--evidence", filepath.Join(t.TempDir(), "ev"))
	ls := clitest.Lines(t, x.stdout)
	for s := range strings.Lines(x.stdout) {
		clitest.Validate(t, schema, "live", []byte(s))
	}
	if n := len(clitest.Of(ls, "summary")); n != 2 {
		t.Errorf("%d summaries, want one for SIGUSR1 and one at the end", n)
	}
	last := ls[len(ls)-1]
	if c := last.Captures[0]; c.Path != "fake0" || c.Format != "live" || last.Totals.KernelDrops != 3 || last.Totals.Frames != len(src.frames) {
		t.Errorf("the summary says %+v", last)
	}
	fs := clitest.Of(ls, "finding")
	if len(fs) != 1 || fs[0].File == "" || fs[0].Evidence[0].FileFrame == nil {
		t.Fatalf("findings %+v", fs)
	}
	if !strings.Contains(x.stderr, "the kernel dropped 3 packets") {
		t.Errorf("stderr %s", x.stderr)
	}
	data, err := os.ReadFile(fs[0].File)
	if err != nil {
		t.Fatal(err)
	}
	in, err := capture.NewFile(fs[0].File, bytes.NewReader(data), capture.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	batch := make([]capture.Frame, 64)
	n, err := in.Read(batch)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range fs[0].Evidence {
		if e.FileFrame == nil || *e.FileFrame > n || batch[*e.FileFrame-1].Time != src.frames[e.Frame-1].Time {
			t.Errorf("frame %d is not frame %v of the file", e.Frame, e.FileFrame)
		}
	}
}

// For people each finding is a few lines, at once, and the report comes at the end.
func TestWatchTable(t *testing.T) {
	x := watchFake(t, newFakeSource(t, "crowder"), nil, "--format", "table", "-q")
	running, rest, ok := strings.Cut(x.stdout, "fake0: ")
	if !ok || !strings.Contains(running, "#1 fin-request-crossing  ") || !strings.Contains(running, "tcp.stream eq 0") || strings.Count(running, "\n") > 8 {
		t.Errorf("while it runs:\n%s", running)
	}
	if !strings.Contains(rest, "1 finding in ") || !strings.Contains(rest, "\n1. The target closes idle connections") {
		t.Errorf("at the end:\n%s", rest)
	}
	for l := range strings.Lines(x.stdout) {
		if n := len([]rune(l)); n > 101 {
			t.Errorf("%d columns: %s", n, l)
		}
	}
}

// At the end there can be a page.
func TestWatchHTML(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.html")
	x := watchFake(t, newFakeSource(t, "crowder"), nil, "--html", path)
	b, err := os.ReadFile(path)
	if err != nil || x.code != cli.ExitOK || !bytes.Contains(b, []byte("fin-request-crossing")) {
		t.Errorf("%v, exit %d, %d octets", err, x.code, len(b))
	}
}

// The same finding again and again is shown for a while, then counted; nothing is left out
// silently, and nothing grows.
func TestWatchRepeated(t *testing.T) {
	one := newFakeSource(t, "connection-refused")
	const times = 3000
	src := one.again(times)
	per := len(clitest.Of(clitest.Lines(t, watchFake(t, one, nil, "-q").stdout), "finding"))
	dir := filepath.Join(t.TempDir(), "ev")
	x := watchFake(t, src, nil, "-q", "--evidence", dir, "--evidence-max", "20", "--evidence-memory", "1MB")
	ls := clitest.Lines(t, x.stdout)
	shown, held := len(clitest.Of(ls, "finding")), 0
	for _, r := range clitest.Of(ls, "repeated") {
		held += r.Count
	}
	sum := ls[len(ls)-1]
	total := 0
	for _, n := range sum.Totals.Findings {
		total += n
	}
	forgotten := 0
	for _, g := range sum.Forgotten {
		forgotten += g.Count
	}
	if total != per*times || shown+held != total || shown > kindBurst+100 || shown < kindBurst {
		t.Errorf("%d of %d findings, %d shown, %d counted", total, per*times, shown, held)
	}
	if forgotten == 0 || total-forgotten > 2500 {
		t.Errorf("%d forgotten", forgotten)
	}
	es := clitest.EvidenceIn(dir)
	if len(es) > 20 || len(es) == 0 {
		t.Errorf("%d files of evidence", len(es))
	}
	if len(x.w.analysis.Files) > 2*idsKept {
		t.Errorf("%d files in mind", len(x.w.analysis.Files))
	}
}

// A clock that is set while live runs is told of and changes no finding.
func TestWatchClockStep(t *testing.T) {
	for _, by := range []time.Duration{-time.Hour, time.Hour} {
		src := newFakeSource(t, "crowder")
		at := 250
		now := time.Now()
		shift := now.UnixNano() - src.frames[at].Time
		for i := range src.frames {
			src.frames[i].Time += shift
			if i >= at {
				src.frames[i].Time += int64(by)
			}
		}
		x := watchFake(t, src, func(w *watch) {
			src.hook = func(next int) {
				if next > at-20 {
					w.wall = func(now time.Time) int64 { return now.UnixNano() + int64(by) }
				}
			}
		})
		ls := clitest.Lines(t, x.stdout)
		if fs := clitest.Of(ls, "finding"); len(fs) != 1 || fs[0].Rule != "fin-request-crossing" {
			t.Errorf("%v: findings %+v", by, fs)
		}
		if !strings.Contains(x.stderr, "the clock was set by "+by.String()) {
			t.Errorf("%v: stderr %s", by, x.stderr)
		}
	}
}

func TestStepClock(t *testing.T) {
	at := time.Now()
	wall := at.UnixNano()
	c := newStepClock(at, wall)
	for i, by := range []time.Duration{0, 50 * time.Millisecond, -3 * time.Second, 0, time.Hour, -100 * time.Millisecond} {
		at = at.Add(time.Second)
		wall += int64(time.Second + by)
		want := int64(by)
		if by > -200*time.Millisecond && by < 200*time.Millisecond {
			want = 0
		}
		if got := c.step(at, wall); got != want {
			t.Errorf("%d: step %v, want %v", i, time.Duration(got), time.Duration(want))
		}
	}
}

func TestWatchCountsFrames(t *testing.T) {
	x := watchFake(t, newFakeSource(t, "crowder"), nil, "-c", "100")
	ls := clitest.Lines(t, x.stdout)
	if x.w.Report.Captures[0].Frames != 100 || len(clitest.Of(ls, "finding")) != 0 {
		t.Errorf("%d frames, %d findings", x.w.Report.Captures[0].Frames, len(clitest.Of(ls, "finding")))
	}
	if x := watchFake(t, newFakeSource(t, "crowder"), nil, "--fail-on", "error"); x.code != cli.ExitFailOn {
		t.Errorf("exit %d with --fail-on", x.code)
	}
}

// Nothing is left running.
func TestWatchLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 5 {
		watchFake(t, newFakeSource(t, "crowder"), nil, "--duration", "1h")
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if runtime.NumGoroutine() <= before {
			return
		}
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}

// watcher is an observer.
type watcher struct {
	findings, samples int
	last              figures
}

func (o *watcher) finding(*detect.Finding)     { o.findings++ }
func (o *watcher) sample(*detect.KernelSample) { o.samples++ }
func (o *watcher) tick(f *figures)             { o.last = *f }

func TestObserver(t *testing.T) {
	o := &watcher{}
	src := newFakeSource(t, "crowder")
	watchFake(t, src, func(w *watch) {
		w.observers = append(w.observers, o)
		w.sample(&detect.KernelSample{Time: src.frames[0].Time})
	}, "--severity", "error", "--rule", "port-reuse")
	if o.findings != 1 || o.samples != 1 || o.last.Packets != uint64(len(src.frames)) || o.last.Requests == 0 {
		t.Errorf("%+v", o)
	}
}

func TestIDSet(t *testing.T) {
	s := newIDSet()
	for i := range 10 * idsKept {
		s.set(i, isShown)
		s.set(i, isSuppressed)
	}
	if len(s.fate) != idsKept || s.get(10*idsKept-1) != isSuppressed || s.get(9*idsKept-1) != isUnknown {
		t.Errorf("%d kept", len(s.fate))
	}
}

func TestRunningRepeated(t *testing.T) {
	var b bytes.Buffer
	r := report.NewRunning(&b, &report.Options{})
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixNano()
	r.Repeated(&report.Repeated{Rule: detect.PortReuse, Severity: detect.Warning, Target: "10.0.0.1:80", Count: 1234, Lost: 5, First: at - 1e9, Last: at})
	if want := "2026-01-02 UTC\n03:04:05.000000  1,234 × port-reuse  10.0.0.1:80, 5 failed, since 03:04:04.000000\n"; b.String() != want {
		t.Errorf("wrote %q", b.String())
	}
}
