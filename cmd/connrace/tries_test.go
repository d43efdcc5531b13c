package main

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"connrace/cmd/connrace/internal/cli"
	"connrace/cmd/connrace/internal/clitest"
	"connrace/pcaps"
)

// As many tries failed of each real capture as the truth has of its time. Waits that end alike are
// time-outs to packets; where it was the clients that waited, the load balancer's own log decides it,
// whatever the order of its lines.
func TestTriesAreTrue(t *testing.T) {
	type tries struct {
		Failed, Aborts uint64
	}
	dir := t.TempDir()
	count := func(args ...string) tries {
		t.Helper()
		code, stdout, stderr := after(t, t.Context(), nil, append([]string{"--format", "json"}, args...)...)
		if code != cli.ExitOK || stderr != "" {
			t.Fatalf("%q: exit %d: %s", args, code, stderr)
		}
		type counts struct {
			Failed uint64 `json:"failed_tries"`
			Open   uint64 `json:"open_tries"`
			Aborts uint64 `json:"client_aborts"`
		}
		var r struct {
			Totals  counts
			Targets []counts
		}
		if err := json.Unmarshal([]byte(stdout), &r); err != nil {
			t.Fatal(err)
		}
		var sum counts
		for _, x := range r.Targets {
			sum = counts{sum.Failed + x.Failed, sum.Open + x.Open, sum.Aborts + x.Aborts}
		}
		if r.Totals != sum || sum.Open != 0 {
			t.Errorf("%q: %+v in total, of the targets %+v", args, r.Totals, sum)
		}
		return tries{sum.Failed, sum.Aborts}
	}
	reals, err := pcaps.Reals()
	if err != nil {
		t.Fatal(err)
	}
	r, decided := rand.New(rand.NewPCG(3, 4)), 0
	for _, x := range reals {
		var want tries // by packets alone
		var aborts uint64
		capture := clitest.Put(t, dir, x.File)
		for _, f := range x.Failed {
			if f.Frame == 0 && strings.Contains(x.File, "mid-stream") {
				continue // before the capture began, or after it had ended
			}
			want.Failed++
			if f.Class == "client_abort" {
				aborts++
			}
		}
		if got := count(capture); got != want {
			t.Errorf("%s: %+v, want %+v", x.File, got, want)
		}
		if len(x.Logs) == 0 {
			continue
		}
		want.Failed, want.Aborts = want.Failed-aborts, aborts
		decided += int(aborts)
		for range 3 {
			args := []string{capture}
			for _, name := range x.Logs {
				log, err := pcaps.File(name)
				if err != nil {
					t.Fatal(err)
				}
				lines := slices.Collect(strings.Lines(string(log)))
				r.Shuffle(len(lines), func(i, k int) { lines[i], lines[k] = lines[k], lines[i] })
				path := filepath.Join(dir, filepath.Base(name))
				if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o644); err != nil {
					t.Fatal(err)
				}
				args = append(args, "--log", path)
			}
			if got := count(args...); got != want {
				t.Errorf("%s with its logs: %+v, want %+v", x.File, got, want)
			}
		}
	}
	if decided < 50 {
		t.Errorf("logs decided only %d", decided)
	}
}
