package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"connrace/cmd/connrace/internal/cli"
	"connrace/cmd/connrace/internal/clitest"
	"connrace/pcaps"
)

// replayed are the findings that JSON lines leave when updates have been applied.
func replayed(t *testing.T, lines string) []map[string]any {
	t.Helper()
	byID := map[any]map[string]any{}
	for l := range strings.Lines(lines) {
		var f map[string]any
		if err := json.Unmarshal([]byte(l), &f); err != nil {
			t.Fatal(err)
		}
		switch _, known := byID[f["id"]]; {
		case f["type"] == "finding" && !known, f["type"] == "update" && known:
			byID[f["id"]] = f
		case f["type"] != "summary":
			t.Fatalf("out of place: %s", l)
		}
	}
	var out []map[string]any
	for _, f := range byID {
		out = append(out, f)
	}
	return out
}

// contents are findings without what the two formats number and name differently, in an order of its own.
func contents(t *testing.T, fs []map[string]any, severity string) string {
	t.Helper()
	var out []string
	for _, f := range fs {
		if severity != "" && f["severity"] != severity {
			continue
		}
		delete(f, "id")
		delete(f, "type")
		b, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(b))
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// Who follows JSON lines and applies the updates has in the end the findings of JSON, also where the load
// balancer's log changed some when all had been told.
func TestReplay(t *testing.T) {
	dir := t.TempDir()
	type one struct{ capture, log string }
	var all []one
	statuses := []int{499, 504}
	corpus, err := pcaps.Corpus()
	if err != nil {
		t.Fatal(err)
	}
	logged := 0
	for _, s := range corpus {
		var b bytes.Buffer
		if err := s.WritePCAP(&b, pcaps.FileFormat{}); err != nil {
			t.Fatal(err)
		}
		x := one{filepath.Join(dir, s.Name+".pcap"), filepath.Join(dir, s.Name+".log")}
		if err := os.WriteFile(x.capture, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		all = append(all, x)
		// What nginx would have logged of the requests that it gave up: in turn that the client did, and
		// that its own time was up.
		var r struct {
			Findings []struct {
				Rule     string
				Request  struct{ Path string }
				Evidence []struct {
					Role string
					Time time.Time
				}
			}
		}
		_, stdout, _ := after(t, t.Context(), nil, "--format", "json", x.capture)
		if err := json.Unmarshal([]byte(stdout), &r); err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		for _, f := range r.Findings {
			for _, e := range f.Evidence {
				if f.Rule == "lb-closed-with-request-outstanding" && (e.Role == "lb-fin" || e.Role == "lb-rst") {
					logged++
					fmt.Fprintf(&log, "1.2.3.4 - - [%s] \"GET %s HTTP/1.1\" %d 0 \"-\" \"-\"\n", e.Time.Format("02/Jan/2006:15:04:05 -0700"), cmp.Or(f.Request.Path, "/"), statuses[logged%2])
					break
				}
			}
		}
		if err := os.WriteFile(x.log, []byte(log.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	reals, err := pcaps.Reals()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range reals {
		for _, log := range r.Logs {
			all = append(all, one{clitest.Put(t, dir, r.File), clitest.Put(t, dir, log)})
		}
	}
	byLog := 0
	for _, x := range all {
		for _, severity := range []string{"", "error"} {
			args := []string{"--log", x.log, x.capture}
			if severity != "" {
				args = append([]string{"--severity", severity}, args...)
			}
			code, stdout, stderr := after(t, t.Context(), nil, append([]string{"--format", "json"}, args...)...)
			if code != cli.ExitOK || stderr != "" {
				t.Fatalf("%q: exit %d: %s", args, code, stderr)
			}
			var doc struct{ Findings []map[string]any }
			if err := json.Unmarshal([]byte(stdout), &doc); err != nil {
				t.Fatal(err)
			}
			byLog += strings.Count(stdout, "as its log says") + strings.Count(stdout, "its log says so")
			_, lines, _ := after(t, t.Context(), nil, append([]string{"--format", "jsonl"}, args...)...)
			want, got := contents(t, doc.Findings, ""), contents(t, replayed(t, lines), severity)
			if got != want {
				t.Errorf("%q: JSON has\n%s\nJSON lines have\n%s", args, want, got)
			}
		}
	}
	if byLog < 10 {
		t.Errorf("only %d findings say what the log says", byLog)
	}
}
