package detect

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestPage(t *testing.T) {
	for _, r := range Rules {
		page := r.Page(Fit{})
		for l := range strings.Lines(page) {
			l = strings.TrimSuffix(l, "\n")
			if n := utf8.RuneCountInString(l); n > pageWidth {
				t.Errorf("%s: %d columns: %s", r.ID, n, l)
			}
			if l != strings.TrimRight(l, " ") || strings.Contains(l, "\t") {
				t.Errorf("%s: trailing space or tab: %q", r.ID, l)
			}
		}
		for _, s := range []string{r.ID, r.Title, "WHAT HAPPENED", "NOT TO BE CONFUSED WITH", "WHY", "WHAT TO CHANGE", "  at the LB "} {
			if !strings.Contains(page, s) {
				t.Errorf("%s: the page lacks %q", r.ID, s)
			}
		}
		flat := strings.Join(strings.Fields(page), " ")
		for _, k := range append(r.Servers[:len(r.Servers):len(r.Servers)], r.LBs...) {
			for line := range strings.SplitSeq(k.Line, "\n") {
				if !strings.Contains(flat, strings.TrimSpace(line)) {
					t.Errorf("%s: the page lacks or breaks %q", r.ID, line)
				}
			}
		}
	}
}

func TestIndex(t *testing.T) {
	index, causes, _ := strings.Cut(Index(), "\n\n")
	for _, id := range CauseIDs() {
		if !strings.Contains(causes, "\n"+id+" ") {
			t.Errorf("%s is not listed", id)
		}
	}
	lines := strings.Split(index, "\n")
	if len(lines) != len(Rules) {
		t.Fatalf("%d lines for %d rules", len(lines), len(Rules))
	}
	for i, l := range lines {
		if !strings.HasPrefix(l, Rules[i].ID+" ") || len(l) > pageWidth {
			t.Errorf("%d columns, the Title may have %d: %q", len(l), pageWidth-(len(l)-len(Rules[i].Title)), l)
		}
	}
}

// The tables of the rules in docs/rules.md and pcaps/README.md. With UPDATE=1 the test writes them.
func TestREADMETables(t *testing.T) {
	cell := func(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
	for _, x := range []struct {
		name, head string
		row        func(*Rule) string
	}{
		{"../docs/rules.md", "| rule | severity | what happened | what to change |\n|---|---|---|---|\n", func(r *Rule) string {
			return fmt.Sprintf("| `%s` | %s | %s | %s |\n", r.ID, r.grades(), cell(r.Sequence), cell(r.Fix))
		}},
		{"../pcaps/README.md", "| rule | decisive segment |\n|---|---|\n", func(r *Rule) string {
			return fmt.Sprintf("| `%s` | %s |\n", r.ID, cell(r.Decisive))
		}},
	} {
		b, err := os.ReadFile(x.name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // not beside the packages
		}
		if err != nil {
			t.Fatal(err)
		}
		const begin, end = "<!-- rules -->\n", "<!-- /rules -->"
		before, rest, ok := strings.Cut(string(b), begin)
		is, after, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			t.Fatalf("%s has no table between %q and %q", x.name, begin, end)
		}
		table := x.head
		for _, r := range Rules {
			table += x.row(r)
		}
		switch {
		case is == table:
		case os.Getenv("UPDATE") == "":
			t.Errorf("the table in %s is not that of the rules; UPDATE=1 go test ./detect -run README writes it", x.name)
		default:
			if err := os.WriteFile(x.name, []byte(before+begin+table+end+after), 0o644); err != nil {
				t.Error(err)
			}
		}
	}
}
