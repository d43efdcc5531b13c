package wireshark

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

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

// Of joined captures each shows what it has of the evidence, whichever of them the finding names.
func TestJoinedFieldsAreOnTheEvidence(t *testing.T) {
	w := newTshark(t)
	if runtime.GOOS == "windows" {
		t.Skip("there the script does not find the capture's name")
	}
	capture, r := write(t, t.TempDir(), "crowder")
	want := expected(r)
	r.Captures = append(r.Captures, report.Capture{Path: "other.pcap"})
	r.Analyses[0].Captures = []int{0, 1}
	for _, f := range r.Analyses[0].Result.Findings {
		f.Capture = 1
		for i := range f.Evidence {
			e := &f.Evidence[i]
			here := detect.Seen{Frame: e.Frame, Time: e.Time}
			e.Capture, e.Frame, e.Time = 1, e.Frame+1, e.Time+3e9
			e.SetSeen([]detect.Seen{here, {Point: 1, Capture: 1, Frame: e.Frame, Time: e.Time}})
		}
	}
	var j bytes.Buffer
	if err := report.JSON(&j, r, &report.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(capture+".connrace.json", j.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	got := w.fields(capture, "connrace.rule", "-E", "aggregator=|",
		"-e", "frame.number", "-e", "connrace.rule", "-e", "connrace.finding", "-e", "connrace.role", "-e", "connrace.summary")
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestFindingsAreExpertInformation counts each once, in its severity, and tells whether the
// JSON is older than the capture.
func TestFindingsAreExpertInformation(t *testing.T) {
	w := newTshark(t)
	capture, r := write(t, w.dir, "crowder")
	j := capture + ".connrace.json"
	expert := func() string {
		t.Helper()
		out, complaint := w.run("-r", capture, "-o", "connrace.json:"+j, "-q", "-z", "expert,note,connrace")
		if complaint != "" {
			t.Errorf("tshark says: %s", complaint)
		}
		return out
	}
	out, under := expert(), ""
	got := map[string]string{} // by id: under which head
	for l := range strings.Lines(out) {
		if head, _, ok := strings.Cut(l, " ("); ok && !strings.HasPrefix(l, " ") {
			under = head
		}
		if m := regexp.MustCompile(`^ +1 +Sequence +CONNRACE +connrace #(\d+) (\S+): `).FindStringSubmatch(l); m != nil {
			got[m[1]+" "+m[2]] = under
		}
	}
	findings := r.Analyses[0].Result.Findings
	for _, f := range findings {
		head := map[detect.Severity]string{detect.Error: "Errors", detect.Warning: "Warns", detect.Info: "Notes"}[f.Severity]
		if g := got[fmt.Sprintf("%d %s", f.ID, f.Rule.ID)]; g != head {
			t.Errorf("#%d %s: under %q, want %q", f.ID, f.Rule.ID, g, head)
		}
	}
	if len(got) != len(findings) || strings.Contains(out, "older") {
		t.Errorf("got %d of %d:\n%s", len(got), len(findings), out)
	}
	if runtime.GOOS == "windows" {
		return
	}
	if err := os.Chtimes(j, time.Time{}, time.Unix(1e9, 0)); err != nil {
		t.Fatal(err)
	}
	if out := expert(); !strings.Contains(out, j+" is older than the capture") {
		t.Errorf("not said to be older:\n%s", out)
	}
}

// TestOnceForARole has two findings of one rule that share a frame.
func TestOnceForARole(t *testing.T) {
	w := newTshark(t)
	capture, _ := write(t, w.dir, "crowder")
	j := filepath.Join(w.dir, "j")
	const text = `{"findings":[
		{"id":1,"rule":"a","evidence":[{"frame":5,"role":"fin"},{"frame":6,"role":"rst"}]},
		{"id":2,"rule":"a","evidence":[{"frame":5,"role":"fin"},{"frame":7,"role":"rst"}]},
		{"id":3,"rule":"b","evidence":[{"frame":5,"role":"request"},{"frame":6,"role":"rst"}]}]}`
	if err := os.WriteFile(j, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got := w.fields(capture, "frame.number in {5, 6}", "-o", "connrace.json:"+j,
		"-e", "frame.number", "-e", "connrace.rule", "-e", "connrace.role", "-e", "connrace.finding", "-e", "connrace.frame")
	if want := "5\ta,b\tfin,request\t1,2,3\t6,7,6\n6\ta,b\trst\t1,3\t5\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// windows stands in, before the script, for Wireshark's windows: it prints what they would
// show, and after the last packet presses all buttons.
const windows = `
local actions = {}
gui_enabled = function() return true end
MENU_TOOLS_UNSORTED = 0
register_menu = function(name, action) actions[name] = action end
set_filter = function(f) print("FILTER " .. f) end
apply_filter = function() end
new_dialog = function(_, action) action("2") end
local buttons = {}
TextWindow = { new = function()
	return {
		set = function(_, text) print(text) end,
		add_button = function(_, name, action) buttons[#buttons + 1] = action end,
	}
end }
local tap = Listener.new("frame")
function tap.draw()
	actions["connrace/Answer"]()
	for _, press in ipairs(buttons) do press() end
end
`

// TestWindow reads in it the answer and the findings, also of a report that is none.
func TestWindow(t *testing.T) {
	w := newTshark(t)
	capture, _ := write(t, w.dir, "crowder")
	stub, j := filepath.Join(w.dir, "windows.lua"), filepath.Join(w.dir, "j")
	if err := os.WriteFile(stub, append([]byte(windows), script()...), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		json string
		want []string
	}{
		{`{"totals":{"failed_tries":20,"requests":128},"problems":[{"title":"<b>20</b> lost","severity":"error","targets":["t:1"],
			"what":"It closed.","why":"Its timer.","timers":["2 s","longer"],"change":"Raise it.","fix":[{"software":"Node.js","likely":true,"line":"x = 65","note":"above"}],
			"check":"connrace a","findings":[2,"x",-1,1e99]},7],
			"findings":[{"id":1,"rule":"a","display_filter":"tcp.stream eq 1"},{"id":2,"rule":"b","summary":"why","display_filter":"tcp.stream\neq 2",
			"evidence":[{"frame":3,"role":"fin","note":"closes"}]}]}`, []string{
			"connrace\n\n20 tries failed (128 requests seen); 2 findings.\n", "1. <b>20</b> lost [error]\n   Targets  t:1\n",
			"   Change   Raise it.\n   Lines    if it is Node.js: x = 65  (above)\n   Check    connrace a\n   Filter   connrace.finding in {2}\n",
			"frame 3        fin              closes\n", "FILTER connrace.finding in {2}\n", "FILTER tcp.stream eq 1\n", "FILTER tcp.stream eq 2\n",
		}},
		{
			`{"totals":{"failed_tries":1e308,"requests":"x"},"problems":[{"title":{"a":1},"what":["a\u0000b\n",{"software":[],"line":7}],
			"findings":{"x":1},"fix":[[[[1]]]]},3],"findings":[{"id":2.5,"rule":7,"evidence":[{"frame":57.9,"role":"x%d"}]}]}`,
			[]string{"connrace\n\n1 finding.\n", "   What     a b \n"},
		},
		{`[]`, []string{"connrace\n\n0 findings.\n"}},
	} {
		if err := os.WriteFile(j, []byte(x.json), 0o600); err != nil {
			t.Fatal(err)
		}
		c := exec.Command(w.path, "-n", "-q", "-X", "lua_script:"+stub, "-r", capture)
		c.Env = append(os.Environ(), "WIRESHARK_CONFIG_DIR="+w.dir, "HOME="+w.dir, "CONNRACE_JSON="+j)
		out, err := c.CombinedOutput()
		if err != nil || strings.Contains(string(out), "Lua: Error") {
			t.Errorf("%v: %s", err, out)
		}
		for _, want := range x.want {
			if !strings.Contains(string(out), want) {
				t.Errorf("no %q in %s", want, out)
			}
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

// expected is what the script should say of a report: of a frame, for each role that it has,
// each rule, finding, role and summary once.
func expected(r *report.Report) string {
	type role struct {
		name   detect.Role
		values [4][]string
	}
	frames := map[uint64][]role{}
	for _, f := range r.Analyses[0].Result.Findings {
		for _, e := range f.Evidence {
			rs := frames[e.Frame]
			k := slices.IndexFunc(rs, func(r role) bool { return r.name == e.Role })
			if k < 0 {
				k = len(rs)
				rs = append(rs, role{name: e.Role})
			}
			for i, v := range []string{f.Rule.ID, fmt.Sprint(f.ID), string(e.Role), f.Summary} {
				if !slices.Contains(rs[k].values[i], v) {
					rs[k].values[i] = append(rs[k].values[i], v)
				}
			}
			frames[e.Frame] = rs
		}
	}
	var b strings.Builder
	for _, n := range slices.Sorted(maps.Keys(frames)) {
		fmt.Fprint(&b, n)
		for i := range 4 {
			var values []string
			for _, r := range frames[n] {
				values = append(values, r.values[i]...)
			}
			b.WriteString("\t" + strings.Join(values, "|"))
		}
		b.WriteByte('\n')
	}
	return b.String()
}
