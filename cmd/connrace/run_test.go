package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"connrace/cmd/connrace/internal/cli"
	"connrace/cmd/connrace/internal/clitest"
	"connrace/pcaps"
)

// capturePCAP is a script of the corpus as a capture file.
func capturePCAP(t *testing.T, script string) []byte {
	t.Helper()
	s, err := pcaps.Load(script)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := s.WritePCAP(&b, pcaps.FileFormat{}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// after runs connrace with a context and fails where it does not end soon.
func after(t *testing.T, ctx context.Context, stdin io.Reader, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	done := make(chan int, 1)
	go func() { done <- run(ctx, args, stdin, &out, &errs) }()
	select {
	case code = <-done:
	case <-time.After(time.Minute):
		t.Fatal("does not end")
	}
	return code, out.String(), errs.String()
}

// Ctrl-C while a pipe is silent: the report so far.
func TestInterruptedPipe(t *testing.T) {
	all := capturePCAP(t, "crowder")
	for _, format := range []string{"table", "json", "jsonl"} {
		r, w := io.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			w.Write(all[:len(all)-5]) // returns when all was taken
			w.Write(nil)
			cancel()
		}()
		code, stdout, stderr := after(t, ctx, r, "analyze", "--format", format, "-")
		if code != cli.ExitInterrupted || stderr != "" {
			t.Errorf("%s: exit %d: %s", format, code, stderr)
		}
		if format != "jsonl" && (!strings.Contains(stdout, "interrupted after frame 29") || strings.Count(stdout, "not read to its end") != 1) {
			t.Errorf("%s: %s", format, stdout)
		}
		w.Close()
	}
}

// Ctrl-C before the first byte has come.
func TestInterruptedBeforeHeader(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if code, stdout, stderr := after(t, ctx, r, "-"); code != cli.ExitInterrupted || stdout+stderr != "" {
		t.Errorf("exit %d: %s%s", code, stdout, stderr)
	}
}

// A closed pipe is no error, and ends the work.
func TestClosedPipe(t *testing.T) {
	signal.Ignore(syscall.SIGPIPE)
	file := filepath.Join(t.TempDir(), "a.pcap")
	if err := os.WriteFile(file, capturePCAP(t, "crowder"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"table", "json", "jsonl"} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		var stderr bytes.Buffer
		if code := run(t.Context(), []string{"--format", format, file}, nil, w, &stderr); code != cli.ExitOK || stderr.Len() > 0 {
			t.Errorf("%s: exit %d: %s", format, code, &stderr)
		}
		w.Close()
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestFullDisk(t *testing.T) {
	for _, args := range [][]string{{"--format", "table", "-"}, {"--format", "json", "-"}, {"--format", "jsonl", "-"}, {"explain"}, {"version"}, {"--help"}} {
		var stderr bytes.Buffer
		if code := run(t.Context(), args, bytes.NewReader(capturePCAP(t, "crowder")), fullDisk{}, &stderr); code != cli.ExitError {
			t.Errorf("%q: exit %d", args, code)
		}
		if s := stderr.String(); !strings.HasPrefix(s, "connrace: writing the output: ") || strings.Count(s, "\n") != 1 {
			t.Errorf("%q: %s", args, s)
		}
	}
}

// JSON lines come while the input still grows: a finding does not wait for frames behind
// those that complete it.
func TestLinesFollow(t *testing.T) {
	all, _ := copies(t, "fin-request-crossing", 2) // the second one, a minute later, completes the first
	for _, procs := range []int{1, 2} {
		linesFollow(t, procs, all)
	}
}

func linesFollow(t *testing.T, procs int, all []byte) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
	in, feed := io.Pipe()
	out, lines := io.Pipe()
	done := make(chan int)
	go func() {
		code := run(t.Context(), []string{"--format", "jsonl", "-"}, in, lines, io.Discard)
		lines.Close()
		done <- code
	}()
	go feed.Write(all)
	dec := json.NewDecoder(out)
	silent := time.AfterFunc(10*time.Second, func() { out.CloseWithError(errors.New("silence")) })
	var types []string
	for {
		var line struct{ Type string }
		if err := dec.Decode(&line); err != nil {
			if !errors.Is(err, io.EOF) {
				t.Errorf("%d processors: after %q: %v", procs, types, err)
			}
			break
		}
		if types = append(types, line.Type); len(types) == 1 {
			silent.Stop()
			feed.Close()
		}
	}
	feed.Close()
	if code := <-done; code != cli.ExitOK {
		t.Errorf("%d processors: exit %d", procs, code)
	}
	if len(types) < 3 || types[0] != "finding" || types[len(types)-1] != "summary" {
		t.Errorf("%d processors: lines %q", procs, types)
	}
}

// What the schema in docs says holds for all scripts, and says all there is: every object
// in the output has only the keys that it lists.
func TestSchema(t *testing.T) {
	report, line := clitest.Schemas(t)
	for name, b := range scriptCaptures(t) {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), []string{"--format", "json", "--streams", "-"}, bytes.NewReader(b), &stdout, &stderr); code != cli.ExitOK {
			t.Errorf("%s: exit %d: %s", name, code, &stderr)
		}
		clitest.Validate(t, report, name, stdout.Bytes())
		stdout.Reset()
		run(t.Context(), []string{"--format", "jsonl", "--streams", "-"}, bytes.NewReader(b), &stdout, &stderr)
		for l := range bytes.Lines(stdout.Bytes()) {
			clitest.Validate(t, line, name, l)
		}
	}
}

// What the report says is not said before it, too, where both are read in one place.
func TestWarnedOnce(t *testing.T) {
	data := capturePCAP(t, "crowder")
	for _, format := range []string{"table", "markdown", "json"} {
		f, err := os.Create(filepath.Join(t.TempDir(), "terminal"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if code := run(t.Context(), []string{"--format", format, "-"}, bytes.NewReader(data[:len(data)-10]), f, f); code != cli.ExitOK {
			t.Errorf("%s: exit code %d", format, code)
		}
		b, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		want := 1
		if format == "json" {
			want = 2 // a document, and what a person sees of it
		}
		if n := bytes.Count(b, []byte("cut off: only")); n != want {
			t.Errorf("%s: said %d times:\n%s", format, n, b)
		}
	}
}

func TestVersion(t *testing.T) {
	_, stdout, _ := after(t, t.Context(), nil, "version")
	if !strings.Contains(stdout, runtime.Version()) {
		t.Error(stdout)
	}
}
