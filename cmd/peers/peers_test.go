package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// needGo skips where the programs cannot be built.
func needGo(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no go command to build with")
	}
}

// rows are the cells of a Markdown table, head and rule included.
func rows(text string) (all [][]string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "|") {
			cells := strings.Split(strings.Trim(line, "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			all = append(all, cells)
		}
	}
	return all
}

// The table beside others has each capture and command, with figures.
func TestCompare(t *testing.T) {
	needGo(t)
	dir := t.TempDir()
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-size", "0.001", "-rounds", "2", "-slow", "-limit", "1m", "-dir", dir}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + out.String())
	all := rows(out.String())
	captures, ours, tshark := 0, 0, 0
	for _, r := range all[2:] {
		if len(r) != len(all[0]) {
			t.Fatalf("%q", r)
		}
		if r[0] != "" {
			captures++
		}
		if ns, err := strconv.Atoi(r[2]); err != nil || ns < 0 {
			t.Errorf("%q", r)
		}
		if strings.HasPrefix(r[1], "tshark") {
			tshark++
		}
		if strings.HasPrefix(r[1], connrace) {
			ours++
			// What this process takes itself is no less than what a child can be seen to take.
			if m, err := strconv.Atoi(strings.TrimPrefix(r[4], "≤ ")); r[4] != "-" && (err != nil || m < 5) {
				t.Errorf("%q: memory", r)
			}
		}
	}
	if _, err := exec.LookPath("tshark"); err == nil && tshark == 0 && !strings.Contains(out.String(), "Not measured: ") {
		t.Error("tshark is there, but not in the table")
	}
	if captures != 4 || ours != 8 {
		t.Errorf("%d captures, %d runs of connrace", captures, ours)
	}
	empty(t, dir)
}

// The page has all its parts, with figures of each capture.
func TestPage(t *testing.T) {
	needGo(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "speed.md")
	if err := run(t.Context(), []string{"-size", "0.001", "-rounds", "1", "-dir", dir, "-write", file}, io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + string(page))
	for _, want := range []string{
		"    go run ./cmd/peers -size 0.001", "\nMeasured on ", "one request on each, ", "| connrace, one processor ", " requests stalled, ", "answers after 300ms, ", "| 2,000 targets ", "| six rotated files, gzip ", "| two points, begun two seconds apart ",
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("no %q", want)
		}
	}
}

func TestGrowth(t *testing.T) {
	needGo(t)
	dir := t.TempDir()
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-growth", "-size", "0.001", "-rounds", "1", "-dir", dir}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	all := rows(out.String())
	const growing, mounting = 2 + 5, 2 + 9 // with their heads
	if len(all) != growing+mounting {
		t.Fatalf("%d rows:\n%s", len(all), &out)
	}
	for _, r := range all[growing+2:] {
		if ns, err := strconv.Atoi(r[2]); err != nil || ns <= 0 {
			t.Errorf("%q", r)
		}
	}
	var got []string
	for _, r := range all[2:growing] {
		got = append(got, r[0]+" "+r[1])
		if ns, err := strconv.Atoi(r[3]); err != nil || ns <= 0 {
			t.Errorf("%q", r)
		}
	}
	if want := []string{"1 10,000", "10 10,000", "100 10,000", "1,000 10,000", "10 1,000"}; !slices.Equal(got, want) {
		t.Errorf("rows %q, want %q", got, want)
	}
	empty(t, dir)
}

// A program that is not there is named; connrace must find what is there.
func TestMeasure(t *testing.T) {
	needGo(t)
	b := &bench{dir: t.TempDir(), rounds: 1, slow: true, stderr: io.Discard}
	if err := b.build(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := b.make(t.Context(), small(2000, 10))
	if err != nil {
		t.Fatal(err)
	}
	if s.packets < 2000 || s.wants["fin-request-crossing"] == 0 {
		t.Fatalf("%+v", s)
	}
	t.Setenv("PATH", "")
	rs, err := b.measure(t.Context(), s)
	// floor.c needs gcc, which was there or not.
	if err != nil || len(rs) < 2 || len(rs) > 3 || len(b.notes) < 4 {
		t.Errorf("%v %v %v", rs, b.notes, err)
	}
	s.wants["fin-request-crossing"]++
	if _, err = b.measure(t.Context(), s); err == nil || !strings.Contains(err.Error(), "wrong findings") {
		t.Errorf("findings that are not there: %v", err)
	}
	s.packets++
	if _, err = b.measure(t.Context(), s); err == nil || !regexp.MustCompile(`read \d+ of \d+ packets`).MatchString(err.Error()) {
		t.Errorf("a packet that is not there: %v", err)
	}
}

// Another program that fails or takes too long is named, and not run again.
func TestFailing(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no shell to fail in")
	}
	b := &bench{dir: t.TempDir(), limit: 50 * time.Millisecond, stderr: io.Discard}
	for script, want := range map[string]string{
		"echo reading >&2; echo cannot >&2; exit 3": "exit status 3: cannot",
		"exec sleep 10": "not done after 50ms",
	} {
		c := command{name: "x", args: []string{sh, "-c", script}, once: true}
		if _, err := b.once(t.Context(), &c, &sample{}); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", script, err, want)
		}
	}
}

// Interrupted, it leaves nothing behind.
func TestInterrupted(t *testing.T) {
	needGo(t)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	// The first that is said is that a capture is being made.
	if err := run(ctx, []string{"-dir", dir}, io.Discard, writer(cancel)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	empty(t, dir)
}

// writer calls a function for each write.
type writer func()

func (w writer) Write(p []byte) (int, error) {
	w()
	return len(p), nil
}

func empty(t *testing.T, dir string) {
	t.Helper()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{"x"},
		{"-rounds", "0"},
		{"-size", "0"},
		{"-size", "2"},
		{"-size", "NaN"},
		{"-dir", filepath.Join(t.TempDir(), "none")},
	} {
		if run(t.Context(), args, io.Discard, io.Discard) == nil {
			t.Errorf("%q: no error", args)
		}
	}
}

func TestMedian(t *testing.T) {
	got := medians([]cost{{cpu: 5, wall: 1, peak: 9}, {cpu: 1, wall: 3, peak: 7}, {cpu: 2, wall: 2, peak: 8}})
	if want := (cost{cpu: 2, wall: 2, peak: 8}); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1_020_003: "1,020,003"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}
