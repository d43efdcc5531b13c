package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"
)

// floodFrames is how many frames a flood has. CONNRACE_FLOOD=full makes 50 million, and the
// other tests of hostile input as large as they get, where any other value of it is so many.
func floodFrames(t *testing.T) (n uint64, full bool) {
	switch v := os.Getenv("CONNRACE_FLOOD"); v {
	case "":
		if raced {
			return 4_500, false
		}
		return 45_000, false
	case "full":
		return 50_000_000, true
	default:
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n, true
	}
}

// TestFlood: whatever comes in whatever number, memory and time are bounded and the report
// says what could not be kept.
func TestFlood(t *testing.T) {
	n, full := floodFrames(t)
	for _, c := range floods {
		t.Run(c.name, func(t *testing.T) {
			if !full {
				t.Parallel()
			}
			args := []string{"analyze", "--format", "json", "--rule", "keepalive-mismatch", "-"}
			if !full {
				args = append(args, "--max-flows", strconv.FormatUint(n/45, 10))
			}
			stdout, stderr, took, rss := mustRun(t, newFlood(n, c.next), args...)
			var doc struct {
				Captures []struct {
					Frames uint64
					Exact  *uint64 `json:"exact_streams"`
				}
				Totals struct {
					Frames   uint64
					Segments uint64 `json:"tcp_segments"`
					Findings map[string]uint64
					Evicted  uint64 `json:"evicted_flows"`
					Leaps    uint64 `json:"clock_leaps"`
				}
				Forgotten []struct{ Count uint64 }
			}
			if err := json.Unmarshal([]byte(stdout), &doc); err != nil {
				t.Fatalf("%v\n%.500s\n%s", err, stdout, stderr)
			}
			x := doc.Totals
			if full {
				counted := uint64(0)
				for _, g := range doc.Forgotten {
					counted += g.Count
				}
				t.Logf("%s: %d frames, %s, %d MB; %d evicted, %d findings, %d of them only counted, %d leaps",
					c.name, x.Frames, took.Round(time.Second/10), rss>>20, x.Evicted, x.Findings[c.rule], counted, x.Leaps)
			}
			if x.Frames != n || c.marks&noTCP == 0 && x.Segments < n*9/10 {
				t.Errorf("%d frames, %d segments", x.Frames, x.Segments)
			}
			if !full && (x.Evicted > 0) != (c.marks&evicts != 0) {
				t.Errorf("%d evicted", x.Evicted)
			}
			if x.Findings[c.rule] == 0 && c.rule != "" {
				t.Errorf("findings %v", x.Findings)
			}
			if (x.Leaps > 0) != (c.marks&leaps != 0) {
				t.Errorf("%d leaps of the clock", x.Leaps)
			}
			if limit := uint64(200 << 20); !full && !raced && rss > limit {
				t.Errorf("%d MB in memory", rss>>20)
			}
			if len(stderr) > 0 {
				t.Errorf("%s", stderr)
			}
			if strings.Contains(stdout, "frame 0)") {
				t.Error("a frame that is none is named")
			}
		})
	}
}

// TestFloodTable: the report for people says so too.
func TestFloodTable(t *testing.T) {
	stdout, _, _, _ := mustRun(t, newFlood(20_000, floods[3].next), "analyze", "-v", "--max-flows", "2", "-")
	for _, want := range []string{
		"9,998 connections forgotten for want of room (--max-flows)", "stream numbers from ", "may differ from Wireshark's",
		" ~",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is missing in\n%.2000s", want, stdout)
		}
	}
	stdout, _, _, _ = mustRun(t, newFlood(20_000, floods[3].next), "analyze", "--max-flows", "2", "--format", "json", "-")
	if !strings.Contains(stdout, `"stream_exact":false,`) ||
		!strings.Contains(stdout, `"display_filter":"(ip.addr==11.0.0.0 && tcp.port==`) || !strings.Contains(stdout, `) || frame.number in {`) {
		t.Errorf("%.2000s", stdout)
	}
	stdout, _, _, _ = mustRun(t, newFlood(20_000, floods[9].next), "analyze", "-")
	if want := "the clock is wrong in "; !strings.Contains(stdout, want) || !strings.Contains(stdout, "by +30 years") {
		t.Errorf("%q is missing in\n%.2000s", want, stdout)
	}
}

// runMeasured runs the program as a process of its own. peak is the most memory that it
// had, in bytes; 0: not known. What wait4 says of it includes the memory of the process
// that began it.
func runMeasured(t *testing.T, stdin io.Reader, args ...string) (stdout, stderr string, status int, took time.Duration, peak uint64) {
	t.Helper()
	cmd := exec.Command("connrace-measured", args...)
	cmd.Stdin = stdin
	told := filepath.Join(t.TempDir(), "status")
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", "CONNRACE_STATUS="+told)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	// Whoever is at the end before the input is does not read all of it.
	cmd.WaitDelay = time.Second
	begun := time.Now()
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	took = time.Since(begun)
	b, _ := os.ReadFile(told)
	if _, after, ok := strings.Cut(string(b), "VmHWM:"); ok {
		kb, _ := strconv.ParseUint(strings.Fields(after)[0], 10, 64)
		peak = kb << 10
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode(), took, peak
}

// measured is the program with what Linux has to say of it in the end.
func measured() {
	debug.SetGCPercent(50) // as main does
	code := run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	if b, err := os.ReadFile("/proc/self/status"); err == nil {
		os.WriteFile(os.Getenv("CONNRACE_STATUS"), b, 0o600)
	}
	os.Exit(code)
}

// mustRun runs the program, which must succeed.
func mustRun(t *testing.T, stdin io.Reader, args ...string) (stdout, stderr string, took time.Duration, rss uint64) {
	t.Helper()
	stdout, stderr, status, took, rss := runMeasured(t, stdin, args...)
	if status != 0 {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	return stdout, stderr, took, rss
}
