package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"connrace/cmd/connrace/internal/cli"
	"connrace/cmd/connrace/internal/clitest"
)

// TestMergeOne: a report that is merged with nothing says what it said, and so do its lines.
func TestMergeOne(t *testing.T) {
	dir := t.TempDir()
	in, report := filepath.Join(dir, "in.pcap"), filepath.Join(dir, "report.json")
	schema, _ := clitest.Schemas(t)
	all := capturesOf(t)
	for i, name := range slices.Sorted(maps.Keys(all)) {
		if i%6 != 0 || raced && i%36 != 0 {
			continue
		}
		if err := os.WriteFile(in, all[name], 0o600); err != nil {
			t.Fatal(err)
		}
		_, want, _ := after(t, t.Context(), nil, "--format", "json", "-q", in)
		for _, format := range []string{"json", "jsonl"} {
			_, doc, _ := after(t, t.Context(), nil, "--format", format, "-q", in)
			if err := os.WriteFile(report, []byte(doc), 0o600); err != nil {
				t.Fatal(err)
			}
			code, got, stderr := after(t, t.Context(), nil, "merge", "--format", "json", report)
			if code != cli.ExitOK || stderr != "" {
				t.Errorf("%s, %s: exit %d, %s", name, format, code, stderr)
				continue
			}
			if i%12 == 0 {
				clitest.Validate(t, schema, name, []byte(got))
			}
			for _, d := range differences("", unmerged(t, want), unmerged(t, got)) {
				t.Errorf("%s, %s: %s", name, format, d)
			}
		}
	}
}

// unmerged is a report without what merging changes: the names of captures, and the commands that
// check a fix.
func unmerged(t *testing.T, report string) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal([]byte(report), &doc); err != nil {
		t.Fatal(err)
	}
	for _, c := range doc["captures"].([]any) {
		delete(c.(map[string]any), "path")
	}
	for _, p := range doc["problems"].([]any) {
		delete(p.(map[string]any), "check")
	}
	for _, x := range doc["targets"].([]any) {
		delete(x.(map[string]any), "listener")
	}
	return doc
}

// TestMergeAdds: the figures of many reports are the sums of theirs.
func TestMergeAdds(t *testing.T) {
	dir := t.TempDir()
	args := []string{"merge", "--format", "json"}
	var lost, findings, requests float64
	for _, name := range []string{"crowder.pcap", "nginx-node-race.pcap", "real/nginx-uwsgi-harakiri.pcap", "real/nginx-node-firewall.pcap", "real/haproxy-go-healthy.pcap"} {
		_, doc, _ := after(t, t.Context(), nil, "--format", "json", "-q", clitest.Put(t, dir, name))
		path := filepath.Join(dir, strings.ReplaceAll(name, "/", "-")+".json")
		if err := os.WriteFile(path, []byte(doc), 0o600); err != nil {
			t.Fatal(err)
		}
		totals := unmerged(t, doc)["totals"].(map[string]any)
		lost += totals["failed_tries"].(float64)
		requests += totals["requests"].(float64)
		for _, n := range totals["findings"].(map[string]any) {
			findings += n.(float64)
		}
		args = append(args, path)
	}
	code, got, stderr := after(t, t.Context(), nil, args...)
	if code != cli.ExitOK || stderr != "" {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	doc := unmerged(t, got)
	totals := doc["totals"].(map[string]any)
	if totals["failed_tries"] != lost || totals["requests"] != requests || float64(len(doc["findings"].([]any))) != findings || lost == 0 {
		t.Errorf("failed tries %v, requests %v, findings %d; the reports have %v, %v, %v",
			totals["failed_tries"], totals["requests"], len(doc["findings"].([]any)), lost, requests, findings)
	}
	var failed float64
	for i, p := range doc["problems"].([]any) {
		q := p.(map[string]any)
		failed += q["failed_tries"].(float64)
		if check := fmt.Sprint(q["check"]); strings.Contains(check, ".pcap ") {
			t.Errorf("problem %d is checked by %s", i+1, check)
		}
	}
	if failed != lost {
		t.Errorf("the problems have %v failed tries, not %v", failed, lost)
	}
	var before string // findings are in order of time
	for _, f := range doc["findings"].([]any) {
		at := f.(map[string]any)["time"].(string)
		if at < before {
			t.Errorf("%s behind %s", at, before)
		}
		before = at
	}
	for _, format := range []string{"table", "csv", "markdown", "jsonl"} {
		args[2] = format
		code, out, stderr := after(t, t.Context(), nil, append(args, "--html", filepath.Join(dir, "page.html"))...)
		if code != cli.ExitOK || stderr != "" || !strings.Contains(out, "10.1.246.132:5005") {
			t.Errorf("%s: exit %d, %s", format, code, stderr)
		}
	}
}

// TestMergeHostile: a report that was cut off or spoilt is told of with its place, or taken for
// what it says; nothing breaks.
func TestMergeHostile(t *testing.T) {
	dir := t.TempDir()
	path, page := filepath.Join(dir, "report.json"), filepath.Join(dir, "page.html")
	_, doc, _ := after(t, t.Context(), nil, "--format", "json", "-q", clitest.Put(t, dir, "crowder.pcap"))
	try := func(what, doc string, want ...int) (stderr string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(doc), 0o600); err != nil {
			t.Fatal(err)
		}
		code, _, stderr := after(t, t.Context(), nil, "merge", "-q", "--html", page, path)
		if !slices.Contains(want, code) || code == cli.ExitError && !strings.Contains(stderr, path+": ") {
			t.Errorf("%s: exit %d: %s", what, code, stderr)
		}
		return stderr
	}
	end := strings.LastIndex(doc, "}")
	for at := 1; at < end; at += 211 {
		if stderr := try(fmt.Sprint("cut off at ", at), doc[:at], cli.ExitError); !strings.Contains(stderr, "the report is cut off at byte ") {
			t.Errorf("cut off at %d: %s", at, stderr)
		}
	}
	for _, x := range []struct{ from, to string }{
		{`"capture":0`, `"capture":123456789`},
		{`"capture":0`, `"capture":-5`},
		{`"stream":0`, `"stream":4294967295`},
		{`"frames":291`, `"frames":18446744073709551615`},
		{`"requests":94`, `"requests":0`},
		{`"2019-01-26T00:00:15`, `"9999-12-31T23:59:59`},
		{`"2019-01-26T00:00:0`, `"0001-01-01T00:00:0`},
		{`"idle_seconds":5`, `"idle_seconds":-1e300`},
		{`"role":"fin"`, `"role":"\u001b[31m<script>"`},
		{`10.1.246.132:5005`, `[::ffff:1.2.3.4]:1`},
		{`"attempts":null`, `"attempts":-7`},
		{`"Node.js"`, `"<b>\u202e"`},
		{`"evidence":[`, `"evidence":[{},{},`},
		{`"targets":[`, `"targets":[{},{},`},
		{`"captures":[`, `"captures":[{},`},
		{`"findings":[`, `"findings":[{"rule":"path-loss"},`},
		{`"close_cause":"idle-timeout"`, `"close_cause":"?"`},
	} {
		if !strings.Contains(doc, x.from) {
			t.Errorf("there is no %s in the report", x.from)
		}
		try(x.to, strings.ReplaceAll(doc, x.from, x.to), cli.ExitOK, cli.ExitError)
	}
}
