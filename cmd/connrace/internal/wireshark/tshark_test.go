package wireshark

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"connrace/cmd/connrace/internal/report"
	"connrace/detect"
	"connrace/pcaps"
)

// tshark runs it with the script and the profile, which are all that it has of the
// user's. What it says besides is an error of the test.
type tshark struct {
	t    *testing.T
	path string
	dir  string // of the installation
	env  []string
}

func newTshark(t *testing.T) *tshark {
	if testing.Short() {
		t.Skip("runs tshark")
	}
	path, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("needs tshark")
	}
	if v, _ := exec.Command(path, "--version").Output(); !regexp.MustCompile(`with Lua`).Match(v) {
		t.Skip("needs a tshark with Lua")
	}
	w := &tshark{t: t, path: path, dir: t.TempDir()}
	steps, err := In(w.dir).Plan()
	if err != nil {
		t.Fatal(err)
	}
	for i := range steps {
		if err := steps[i].Write(); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// run returns what tshark prints, and what it complains about.
func (w *tshark) run(args ...string) (out, complaint string) {
	w.t.Helper()
	c := exec.Command(w.path, append([]string{
		"-n", "-C", Profile, "-X", "lua_script:" + filepath.Join(w.dir, Script),
	}, args...)...)
	c.Env = append(os.Environ(), "WIRESHARK_CONFIG_DIR="+w.dir, "HOME="+w.dir, "CONNRACE_JSON=")
	c.Env = append(c.Env, w.env...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	b, err := c.Output()
	if err != nil {
		w.t.Fatalf("%v: %v\n%s", c, err, &stderr)
	}
	for l := range strings.Lines(stderr.String()) {
		if !strings.HasPrefix(l, "Running as user") && strings.TrimSpace(l) != "" {
			complaint += l
		}
	}
	return string(b), complaint
}

// fields are fields of the frames that a filter selects.
func (w *tshark) fields(capture, filter string, args ...string) string {
	w.t.Helper()
	out, complaint := w.run(append([]string{"-r", capture, "-Y", filter, "-T", "fields"}, args...)...)
	if complaint != "" {
		w.t.Errorf("tshark says: %s", complaint)
	}
	return out
}

// write puts a script of the corpus, as a capture, and its report into a directory.
func write(t *testing.T, dir, name string) (capture string, r *report.Report) {
	t.Helper()
	s, err := pcaps.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := s.WritePCAP(&b, pcaps.FileFormat{NG: true}); err != nil {
		t.Fatal(err)
	}
	segs := s.Segments()
	d := detect.New(detect.Options{})
	d.BeginCapture(0)
	for i := range segs {
		d.Segments(segs[i : i+1])
	}
	capture = filepath.Join(dir, name+".pcapng")
	r = &report.Report{
		Captures: []report.Capture{{Path: capture}},
		Analyses: []report.Analysis{{Result: d.Finish(), Captures: []int{0}}},
	}
	var j bytes.Buffer
	if err := report.JSON(&j, r, &report.Options{}); err != nil {
		t.Fatal(err)
	}
	for path, data := range map[string][]byte{capture: b.Bytes(), capture + ".connrace.json": j.Bytes()} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return capture, r
}

// TestFieldsAreOnTheEvidence reads the JSON that lies beside captures.
func TestFieldsAreOnTheEvidence(t *testing.T) {
	w := newTshark(t)
	if runtime.GOOS == "windows" {
		t.Skip("there the script does not find the capture's name")
	}
	dir := filepath.Join(w.dir, `it's $(here); "%s"`)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"crowder", "syn-dropped", "rst-after-fin-active", "fin-request-crossing-healthy-idle-close"} {
		capture, r := write(t, dir, name)
		got := w.fields(capture, "connrace.rule", "-E", "aggregator=|",
			"-e", "frame.number", "-e", "connrace.rule", "-e", "connrace.finding", "-e", "connrace.role", "-e", "connrace.summary")
		if want := expected(r); got != want || (want == "") != strings.Contains(name, "healthy") {
			t.Errorf("%s: got\n%s, want\n%s", name, got, want)
		}
	}
}

// TestOtherWaysToTheJSON names it, and runs connrace.
func TestOtherWaysToTheJSON(t *testing.T) {
	w := newTshark(t)
	capture, r := write(t, w.dir, "crowder")
	other, _ := write(t, w.dir, "syn-dropped")
	j := filepath.Join(w.dir, "elsewhere.json")
	if err := os.Rename(capture+".connrace.json", j); err != nil {
		t.Fatal(err)
	}
	var want []string
	for l := range strings.Lines(expected(r)) {
		n, _, _ := strings.Cut(l, "\t")
		want = append(want, n)
	}
	check := func(what string, want []string, capture string, args ...string) {
		t.Helper()
		got := strings.Fields(w.fields(capture, "connrace.rule", append(args, "-e", "frame.number")...))
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
	off := []string{"-o", "connrace.run:FALSE"}
	check("none", nil, capture, off...)
	check("preference", want, capture, "-o", "connrace.json:"+j)
	check("argument", want, capture, "-X", "lua_script1:"+j)
	w.env = []string{"CONNRACE_JSON=" + j}
	check("environment", want, capture)
	check("JSON of another capture", nil, other)
	if w.env = nil; runtime.GOOS == "windows" {
		return
	}
	program := filepath.Join(w.dir, "it's me")
	script := fmt.Sprintf("#!/bin/sh\n[ \"$*\" = 'analyze -q --format json -- %s' ] && cat '%s'\n", capture, j)
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	check("program", want, capture, "-o", "connrace.program:"+program)
	check("program, too large", nil, capture, "-o", "connrace.program:"+program, "-o", "connrace.run_max_mb:0")
	check("no program", nil, capture, "-o", "connrace.program:no-such-program")
}

// TestHostileJSON checks that what is no report shows nothing and harms nobody.
func TestHostileJSON(t *testing.T) {
	w := newTshark(t)
	capture, _ := write(t, w.dir, "crowder")
	j := filepath.Join(w.dir, "j")
	for _, x := range []struct{ json, complaint string }{
		{``, "value expected at byte 1"},
		{`{"findings":[{"id":1,`, "key expected"},
		{`{"findings":` + strings.Repeat("[", 1e6), "too deep"},
		{`[1] x`, "something behind the value"},
		{`["\x"]`, "bad escape"},
		{"[\"\n\"]", "control character"},
		{`["`, "string without end"},
		{`3`, ""},
		{` { "findings" : { "id" : [ ] } } `, ""},
		{`{"findings":[false,null,"x",[1],{"id":"1"},{"id":-1},{"id":1e300},{"id":1,"evidence":[{"frame":"5"},{"frame":-1},{"frame":1e99},7,null]},
			{"id":1,"evidence":3}]}`, ""},
	} {
		if err := os.WriteFile(j, []byte(x.json), 0o600); err != nil {
			t.Fatal(err)
		}
		out, complaint := w.run("-r", capture, "-o", "connrace.json:"+j, "-Y", "connrace.rule")
		if out != "" || (x.complaint == "") != (complaint == "") || !strings.Contains(complaint, x.complaint) {
			t.Errorf("%.60q: %s, %s, want %q", x.json, out, complaint, x.complaint)
		}
	}
	const text = `{"findings":[{"id":7,"rule":"%s %n \u001b[31m\u0000\ud83d\ude00 \ud800 \udc00\ud800\u0041 \/\"\\","lost":3,"summary":{},
		"evidence":[{"frame":5,"role":["x"],"note":null},{"frame":6,"time":"not yet","role":"π"},{"frame":7,"time":"1999-01-01T00:00:00Z"}]}]}`
	if err := os.WriteFile(j, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got := w.fields(capture, "connrace.finding == 7", "-o", "connrace.json:"+j, "-e", "frame.number", "-e", "connrace.role", "-e", "connrace.frame")
	if want := "5\t\t6,7\n6\tπ\t5,7\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestProfile lets tshark load the profile and colour with it.
func TestProfile(t *testing.T) {
	w := newTshark(t)
	capture, r := write(t, w.dir, "crowder")
	f := r.Analyses[0].Result.Findings[0]
	got := w.fields(capture, "connrace.finding", "--color", "-o", "connrace.json:"+capture+".connrace.json",
		"-e", "frame.number", "-e", "frame.coloring_rule.name")
	for _, e := range f.Evidence {
		name := map[detect.Role]string{detect.RoleRequest: "lost request", detect.RoleFIN: "close", detect.RoleRST: "close", detect.RoleLBFIN: "error"}[e.Role]
		if line := fmt.Sprintf("%d\tconnrace: %s\n", e.Frame, name); !strings.Contains(got, line) {
			t.Errorf("no %q in %s", line, got)
		}
	}
	out, complaint := w.run("-r", capture, "-o", "connrace.json:"+capture+".connrace.json", "-Y", "frame.number == 288")
	if complaint != "" || !strings.Contains(out, " fin-request-crossing request ") {
		t.Errorf("columns: %s, %s", out, complaint)
	}
	for _, file := range Files() {
		if file.Name != "dfilter_buttons" {
			continue
		}
		// Each filter by itself would take a run of tshark; a filter of all of them takes one.
		var all []string
		for _, m := range regexp.MustCompile(`(?m)^"TRUE","[^"]*","([^"]*)"`).FindAllStringSubmatch(string(file.Content), -1) {
			all = append(all, "("+strings.ReplaceAll(m[1], `\x22`, `"`)+")")
		}
		if got := w.fields(capture, strings.Join(all, " && ")+" || frame.number == 1", "-e", "frame.number"); got != "1\n" {
			t.Errorf("got %q", got)
		}
	}
}

// expected is what the script should say of a report.
func expected(r *report.Report) string {
	frames := map[uint64][4][]string{}
	for _, f := range r.Analyses[0].Result.Findings {
		for _, e := range f.Evidence {
			x := frames[e.Frame]
			for i, v := range []string{f.Rule.ID, fmt.Sprint(f.ID), string(e.Role), f.Summary} {
				x[i] = append(x[i], v)
			}
			frames[e.Frame] = x
		}
	}
	var lines []string
	for n := uint64(1); n < 1000; n++ {
		if x, ok := frames[n]; ok {
			line := fmt.Sprint(n)
			for i := range x {
				line += "\t" + strings.Join(x[i], "|")
			}
			lines = append(lines, line+"\n")
		}
	}
	return strings.Join(lines, "")
}
