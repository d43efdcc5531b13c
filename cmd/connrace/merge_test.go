package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
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

// unmerged is a report without what merging changes: the names of captures, the commands that
// check a fix, and what of them proves it. Of answers that say 5xx a report has no times but in the problem that
// they are, which has no rules.
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
		p := p.(map[string]any)
		delete(p, "check")
		delete(p, "fixed_if")
		if rules := p["rules"].(map[string]any); len(rules) == 0 {
			for _, key := range []string{"first", "last", "what", "more"} {
				delete(p, key)
			}
		}
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

// TestMergeLong: a finding with more than any has is refused before it takes much memory.
func TestMergeLong(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "report.json")
	_, whole, _ := after(t, t.Context(), nil, "--format", "json", "-q", clitest.Put(t, dir, "crowder.pcap"))
	_, lines, _ := after(t, t.Context(), nil, "--format", "jsonl", "-q", filepath.Join(dir, "crowder.pcap"))
	const many = 300_000
	for _, doc := range []string{whole, lines} {
		for key, list := range map[string]string{
			"evidence": `"evidence":[%s{}],"was":[`,
			"requests": `"requests":[%s{}],"evidence":[`,
			"views":    `"views":[%s{}],"evidence":[`,
			"seen":     `"evidence":[{"seen":[%s{}]},`,
		} {
			for n, want := range map[int]int{4000: cli.ExitOK, many: cli.ExitError} {
				long := strings.Replace(doc, `"evidence":[`, fmt.Sprintf(list, strings.Repeat("{},", n)), 1)
				if err := os.WriteFile(path, []byte(long), 0o600); err != nil {
					t.Fatal(err)
				}
				code, _, stderr := after(t, t.Context(), nil, "merge", "--format", "json", path)
				if code != want || (code != cli.ExitOK) != strings.Contains(stderr, "a finding has a list of more than 4096 elements") {
					t.Errorf("%d of %s: exit %d, %s", n, key, code, stderr)
				}
			}
		}
	}
}

// TestMergeKeeps: what comments of a capture say, and which process they name, is in the merged report.
func TestMergeKeeps(t *testing.T) {
	dir := t.TempDir()
	in, report := filepath.Join(dir, "in.pcapng"), filepath.Join(dir, "report.json")
	if err := os.WriteFile(in, remarked(t, "eth0", onTarget), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"json", "jsonl"} {
		_, doc, _ := after(t, t.Context(), nil, "--format", format, "-q", in)
		if err := os.WriteFile(report, []byte(doc), 0o600); err != nil {
			t.Fatal(err)
		}
		_, want, _ := after(t, t.Context(), nil, "--format", "json", "-q", in)
		_, got, _ := after(t, t.Context(), nil, "merge", "--format", "json", report)
		for _, d := range differences("", unmerged(t, want), unmerged(t, got)) {
			t.Errorf("%s: %s", format, d)
		}
		if process, _ := remarksIn(t, []byte(got)); process["basis"] != "comment" {
			t.Errorf("%s: process %v", format, process)
		}
	}
}

// TestMergeRepeated: findings that lines of live only count are counted, and those that live does
// not keep whole are not counted again where a line has told of them.
func TestMergeRepeated(t *testing.T) {
	dir := t.TempDir()
	_, doc, _ := after(t, t.Context(), nil, "--format", "jsonl", "-q", clitest.Put(t, dir, "crowder.pcap"))
	lines := strings.SplitAfter(strings.TrimSpace(doc), "\n")
	const group = `"rule":"fin-request-crossing","target":"10.1.246.132:5005","severity":"error",`
	const times = `"first":"2019-01-26T00:00:10.000000000Z","last":"2019-01-26T00:00:15.000000000Z"}`
	repeated := `{"type":"repeated",` + group + `"lb_host":"10.1.246.131","count":10,"lost":4,` + times + "\n"
	update := strings.Replace(lines[0], `"type":"finding","id":1`, `"type":"update","id":77`, 1) // of one that was only counted
	for _, c := range []struct {
		total, forgotten, want float64
	}{
		{11, 0, 11},
		{11, 11, 11}, // nothing was kept whole: lines have told of all
		{16, 9, 16},  // five were neither shown nor counted by a line
	} {
		last := lines[len(lines)-1]
		last = strings.Replace(last, `"findings":{"fin-request-crossing":1}`, fmt.Sprintf(`"findings":{"fin-request-crossing":%v}`, c.total), 1)
		last = strings.Replace(last, `"problems":`, fmt.Sprintf(`"forgotten":[{%s"lost":true,"close_cause":null,"count":%v,%s],"problems":`, group, c.forgotten, times), 1)
		path := filepath.Join(dir, "live.jsonl")
		if err := os.WriteFile(path, []byte(lines[0]+repeated+update+last), 0o600); err != nil {
			t.Fatal(err)
		}
		code, got, stderr := after(t, t.Context(), nil, "merge", "--format", "json", path)
		if code != cli.ExitOK || stderr != "" {
			t.Fatalf("exit %d, %s", code, stderr)
		}
		m := unmerged(t, got)
		findings := m["totals"].(map[string]any)["findings"].(map[string]any)["fin-request-crossing"]
		if whole := len(m["findings"].([]any)); findings != c.want || whole != 1 {
			t.Errorf("%v findings, %d of them whole, want %v and 1", findings, whole, c.want)
		}
		lost := 0.0
		for _, g := range m["forgotten"].([]any) {
			if g := g.(map[string]any); g["lost"] == true {
				lost += g["count"].(float64)
			}
		}
		if want := 4 + c.want - 11; lost != want {
			t.Errorf("%v failed ones are only counted, want %v", lost, want)
		}
	}
}

// TestMergeApart: an address that is a host's own, or that two hosts had at the same time, is not
// one target; another private one is, and that is said.
func TestMergeApart(t *testing.T) {
	dir := t.TempDir()
	_, doc, _ := after(t, t.Context(), nil, "--format", "json", "-q", clitest.Put(t, dir, "crowder.pcap"))
	const real = "10.1.246.132:5005"
	vantage := regexp.MustCompile(`"vantage":"[a-z]+"`)
	for _, c := range []struct {
		name, address, vantage string
		later                  bool // the second report is of another day
		targets                int
		note                   string
	}{
		{"a host's own", "127.0.0.1:5005", "target", true, 2, "told of apart"},
		{"link-local", "[fe80::1]:5005", "lb", true, 2, "told of apart"},
		{"two hosts at once", real, "target", false, 2, "told of apart"},
		{"one host on two days", real, "target", true, 1, "taken for one box"},
		{"two load balancers", real, "lb", false, 1, "taken for one box"},
		{"a public address", "203.0.113.7:5005", "target", false, 1, ""},
		{"targets that were not told apart", "", "target", false, 1, ""},
	} {
		a := strings.ReplaceAll(doc, real, c.address)
		if c.address == "" {
			a = strings.ReplaceAll(doc, `"`+real+`"`, "null")
		}
		a = vantage.ReplaceAllString(a, `"vantage":"`+c.vantage+`"`)
		b := a
		if c.later {
			b = strings.ReplaceAll(b, "2019-01-26T", "2019-01-27T")
		}
		args := []string{"merge", "--format", "json"}
		for i, d := range []string{a, b} {
			args = append(args, filepath.Join(dir, fmt.Sprint(i, ".json")))
			if err := os.WriteFile(args[len(args)-1], []byte(d), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		code, got, stderr := after(t, t.Context(), nil, args...)
		if code != cli.ExitOK || stderr != "" {
			t.Fatalf("%s: exit %d, %s", c.name, code, stderr)
		}
		schema, _ := clitest.Schemas(t)
		clitest.Validate(t, schema, c.name, []byte(got))
		m := unmerged(t, got)
		ts := m["targets"].([]any)
		if len(ts) != c.targets || m["totals"].(map[string]any)["failed_tries"] != 2.0 {
			t.Errorf("%s: %d targets, totals %v", c.name, len(ts), m["totals"])
		}
		if len(ts) == 2 && fmt.Sprint(ts[1].(map[string]any)["captures"]) != "[1]" {
			t.Errorf("%s: the other box is of captures %v", c.name, ts[1].(map[string]any)["captures"])
		}
		for i, f := range m["findings"].([]any) {
			if at := f.(map[string]any)["capture"]; at != float64(i) {
				t.Errorf("%s: finding %d is of capture %v", c.name, i, at)
			}
		}
		said := fmt.Sprint(m["captures"])
		for _, note := range []string{"told of apart", "taken for one box"} {
			if strings.Contains(said, note) != (c.note == note) {
				t.Errorf("%s: %s", c.name, said)
			}
		}
	}
}

// TestMergeAgain: boxes that a merged report tells apart stay apart when it is merged once more, by
// itself or behind a third one.
func TestMergeAgain(t *testing.T) {
	dir := t.TempDir()
	vantage := regexp.MustCompile(`"vantage":"[a-z]+"`)
	merge := func(to string, format string, from ...string) string {
		t.Helper()
		for i := range from {
			from[i] = filepath.Join(dir, from[i])
		}
		code, got, stderr := after(t, t.Context(), nil, append([]string{"merge", "--format", format}, from...)...)
		if code != cli.ExitOK || stderr != "" {
			t.Fatalf("%s: exit %d, %s", to, code, stderr)
		}
		if err := os.WriteFile(filepath.Join(dir, to), []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return got
	}
	for _, address := range []string{"127.0.0.1:8080", "10.1.2.3:8080"} {
		for name, from := range map[string]string{"crowder.pcap": "10.1.246.132:5005", "nginx-node-race.pcap": "10.77.0.2:8080"} {
			_, doc, _ := after(t, t.Context(), nil, "--format", "json", "-q", clitest.Put(t, dir, name))
			doc = vantage.ReplaceAllString(strings.ReplaceAll(doc, from, address), `"vantage":"target"`)
			doc = regexp.MustCompile(`"first":"[^"]*","last":"[^"]*","snaplen"`).
				ReplaceAllString(doc, `"first":"2019-01-26T00:00:00Z","last":"2019-01-26T00:01:00Z","snaplen"`)
			if err := os.WriteFile(filepath.Join(dir, name+".json"), []byte(doc), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		same := func(want, got string) {
			t.Helper()
			for _, d := range differences("", unmerged(t, want), unmerged(t, got)) {
				t.Errorf("%s: %s", address, d)
			}
		}
		want := merge("ab", "json", "crowder.pcap.json", "nginx-node-race.pcap.json")
		if ts := unmerged(t, want)["targets"].([]any); len(ts) != 2 {
			t.Fatalf("%s: %d targets", address, len(ts))
		}
		same(want, merge("abx", "json", "ab"))
		merge("lines", "jsonl", "ab")
		same(want, merge("abl", "json", "lines"))
		want = merge("cab", "json", "crowder.pcap.json", "ab")
		if ts := unmerged(t, want)["targets"].([]any); len(ts) != 3 || fmt.Sprint(ts[2].(map[string]any)["captures"]) != "[2]" {
			t.Errorf("%s: targets %v", address, ts)
		}
		same(want, merge("cabx", "json", "cab"))
	}
}

// TestMergeLeaves: what is not merged is said.
func TestMergeLeaves(t *testing.T) {
	dir := t.TempDir()
	_, doc, _ := after(t, t.Context(), nil, "--format", "json", "-q", "--streams", clitest.Put(t, dir, "crowder.pcap"))
	path := filepath.Join(dir, "a.json")
	if err := os.WriteFile(path, []byte(doc), 0o600); err != nil {
		t.Fatal(err)
	}
	_, got, _ := after(t, t.Context(), nil, "merge", "--format", "json", path)
	if said := fmt.Sprint(unmerged(t, got)["captures"]); !strings.Contains(said, "a.json: not merged: the list of streams]") {
		t.Error(said)
	}
}
