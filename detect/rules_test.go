package detect

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strings"
	"testing"

	"connrace/tcpstate"
)

func TestRulesAreComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Rules {
		if seen[r.ID] {
			t.Errorf("%s is listed twice", r.ID)
		}
		seen[r.ID] = true
		if Lookup(r.ID) != r {
			t.Errorf("Lookup(%q) does not find it", r.ID)
		}
		for name, s := range map[string]string{
			"Title": r.Title, "Diagram": r.Diagram, "Sequence": r.Sequence, "Apart": r.Apart, "Cause": r.Cause, "Fix": r.Fix,
			"Views.Target": r.Views.Target, "Views.LB": r.Views.LB, "Views.Between": r.Views.Between,
		} {
			if strings.TrimSpace(s) == "" {
				t.Errorf("%s: no %s", r.ID, name)
			}
			if name != "Title" && name != "Diagram" && !strings.HasSuffix(s, ".") {
				t.Errorf("%s: %s is no sentence: %q", r.ID, name, s)
			}
			if strings.Contains(s, "  ") && name != "Diagram" {
				t.Errorf("%s: double space in %s", r.ID, name)
			}
		}
		if len(r.Causes) == 0 || len(r.Servers) == 0 || len(r.LBs) == 0 {
			t.Errorf("%s: causes %d, servers %d, LBs %d", r.ID, len(r.Causes), len(r.Servers), len(r.LBs))
		}
		if len(r.Logs) == 0 && r.About != AboutTarget {
			t.Errorf("%s: nothing about logs", r.ID)
		}
		if r.Mildest > r.Severity {
			t.Errorf("%s: mildest %s above %s", r.ID, r.Mildest, r.Severity)
		}
		if r.Lost == LostAlways && r.Severity != Error {
			t.Errorf("%s: loses requests but is a mere %s", r.ID, r.Severity)
		}
		for _, k := range append(r.Servers[:len(r.Servers):len(r.Servers)], r.LBs...) {
			if k.Software == "" || k.Line == "" {
				t.Errorf("%s: half a setting: %+v", r.ID, k)
			}
		}
		for _, l := range r.Logs {
			if l.LB == "" || l.Text == "" {
				t.Errorf("%s: half a log line: %+v", r.ID, l)
			}
		}
	}
	if Lookup("") != nil || Lookup("no-such-rule") != nil {
		t.Error("Lookup finds what there is not")
	}
}

// A fix that names no setting is no fix: at least one word of Fix stands in the lines
// of the rule's settings.
func TestFixNamesSetting(t *testing.T) {
	word := regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_.-]{4,}`)
	for _, r := range Rules {
		settings := map[string]bool{}
		for _, k := range append(r.Servers[:len(r.Servers):len(r.Servers)], r.LBs...) {
			for _, w := range word.FindAllString(k.Line+" "+k.Note, -1) {
				settings[w] = true
			}
		}
		var named []string
		for _, w := range word.FindAllString(r.Fix, -1) {
			if settings[w] && strings.ContainsAny(w, "_.-ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
				named = append(named, w)
			}
		}
		if len(named) == 0 {
			t.Errorf("%s: the fix names none of the rule's settings: %s", r.ID, r.Fix)
		}
	}
}

// What the packets cannot show must not be promised.
func TestNoPromises(t *testing.T) {
	banned := regexp.MustCompile(`(?i)guarante|\bensures?\b|eliminat|100 ?%|\bsimply\b|\beasily\b|\bjust (set|raise|use)\b|powerful|seamless|!`)
	for _, r := range Rules {
		if m := banned.FindString(r.Page(Fit{})); m != "" {
			t.Errorf("%s: says %q", r.ID, m)
		}
	}
}

func TestDiagrams(t *testing.T) {
	for _, r := range Rules {
		lines := strings.Split(strings.TrimPrefix(r.Diagram, "\n"), "\n")
		if !strings.HasPrefix(lines[0], "LB ") || !strings.HasSuffix(lines[0], " target") {
			t.Errorf("%s: header %q", r.ID, lines[0])
		}
		right := len(lines[0]) - len("rget") // the bar stands under the r
		for i, l := range lines {
			if len(l) > 78 {
				t.Errorf("%s: line %d has %d columns", r.ID, i, len(l))
			}
			if l != strings.TrimRight(l, " ") {
				t.Errorf("%s: line %d ends in spaces", r.ID, i)
			}
			if i > 0 && (l[1] != '|' || l[right] != '|') {
				t.Errorf("%s: line %d: bars are out of place: %q", r.ID, i, l)
			}
		}
	}
}

// The acknowledgments in the diagrams are what the rules decide by.
func TestDiagramsShowWhatDecides(t *testing.T) {
	line := regexp.MustCompile(`(?m)^ \| (<--|---) (\S+) +(\d+):\d+ ack (\d+)`)
	for _, tt := range []struct {
		rule             *Rule
		byTarget, byLB   bool // had seen the other's segment
		targetReplyReset bool
	}{
		{FINRequestCrossing, false, false, true},
		{RequestAfterFIN, false, true, true},
		{RSTRequestCrossing, false, false, true},
		{ClosedWithRequestOutstanding, true, false, false},
	} {
		var request, closing []string
		for _, m := range line.FindAllStringSubmatch(tt.rule.Diagram, -1) {
			switch {
			case m[1] == "---" && m[2] == "P." && request == nil:
				request = m
			case m[1] == "<--" && (m[2] == "F." || m[2] == "R.") && closing == nil:
				closing = m
			}
		}
		if request == nil || closing == nil {
			t.Errorf("%s: no request or no close in the diagram", tt.rule.ID)
			continue
		}
		var d, ackD, f, ackF uint32
		fmt.Sscan(request[3], &d)
		fmt.Sscan(request[4], &ackD)
		fmt.Sscan(closing[3], &f)
		fmt.Sscan(closing[4], &ackF)
		if got := tcpstate.Seq(ackF).After(tcpstate.Seq(d)); got != tt.byTarget {
			t.Errorf("%s: seen by the target: %v", tt.rule.ID, got)
		}
		if got := tcpstate.Seq(ackD).After(tcpstate.Seq(f)); got != tt.byLB {
			t.Errorf("%s: seen by the LB: %v", tt.rule.ID, got)
		}
		reply := fmt.Sprintf("<-- R  %d:%d", ackD, ackD)
		if got := strings.Contains(tt.rule.Diagram, reply); got != tt.targetReplyReset {
			t.Errorf("%s: a reply RST with the request's ack as its seq: %v", tt.rule.ID, got)
		}
	}
}

// Each rule stands in a file of its id's name, with a doc comment that says what Diagram
// shows, and its diagram once.
func TestRuleFiles(t *testing.T) {
	for _, r := range Rules {
		name := strings.ReplaceAll(r.ID, "-", "_") + ".go"
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Errorf("%s: %v", r.ID, err)
			continue
		}
		doc, matches := "", 0
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.GenDecl:
				if d.Tok == token.VAR && doc == "" {
					doc = d.Doc.Text()
				}
			case *ast.FuncDecl:
				if strings.HasPrefix(d.Name.Name, "match") {
					matches++
				}
			}
		}
		if len(doc) < 200 || strings.Contains(doc, " | ") {
			t.Errorf("%s: the doc comment is not what decides, without the diagram:\n%s", name, doc)
		}
		if matches == 0 {
			t.Errorf("%s: no match function", name)
		}
	}
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	declared := regexp.MustCompile(`(?m)^\tID: +"([a-z-]+)"`)
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		src, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range declared.FindAllStringSubmatch(string(src), -1) {
			if Lookup(m[1]) == nil {
				t.Errorf("%s: rule %s is not in Rules", f.Name(), m[1])
			}
		}
	}
}
