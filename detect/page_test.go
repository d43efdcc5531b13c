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
		page := r.Page()
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
			if !strings.Contains(flat, k.Line) {
				t.Errorf("%s: the page lacks or breaks %q", r.ID, k.Line)
			}
		}
	}
}

func TestIndex(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(Index()), "\n")
	if len(lines) != len(Rules) {
		t.Fatalf("%d lines for %d rules", len(lines), len(Rules))
	}
	for i, l := range lines {
		if !strings.HasPrefix(l, Rules[i].ID+" ") || len(l) > pageWidth {
			t.Errorf("%d columns, the Title may have %d: %q", len(l), pageWidth-(len(l)-len(Rules[i].Title)), l)
		}
	}
}

// markdown is the table of the rules as the README has it.
func markdown() string {
	var b strings.Builder
	b.WriteString("| rule | severity | what happened | what to change |\n|---|---|---|---|\n")
	for _, r := range Rules {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", r.ID, r.grades(), strings.ReplaceAll(r.Sequence, "|", `\|`), strings.ReplaceAll(r.Fix, "|", `\|`))
	}
	return b.String()
}

// The README's table is markdown(). With UPDATE=1 the test writes it.
func TestREADMETable(t *testing.T) {
	const name, begin, end = "../README.md", "<!-- rules -->\n", "<!-- /rules -->"
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("no README.md beside the packages")
	}
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), begin)
	table, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no table between %q and %q", name, begin, end)
	}
	if table == markdown() {
		return
	}
	if os.Getenv("UPDATE") == "" {
		t.Fatalf("the table in %s is not that of the rules; UPDATE=1 go test ./detect -run README writes it", name)
	}
	if err := os.WriteFile(name, []byte(before+begin+markdown()+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// pcaps/README.md says of each rule which segment is its decisive one.
func TestREADMESegments(t *testing.T) {
	b, err := os.ReadFile("../pcaps/README.md")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("no pcaps beside the package")
	}
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(b), "| rule | decisive segment |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	said := map[string]int{}
	for row := range strings.Lines(table) {
		rules := strings.Split(strings.Split(row, "|")[1], "`")
		for i := 1; i < len(rules); i += 2 {
			said[rules[i]]++
		}
	}
	delete(said, "")
	for _, r := range Rules {
		if said[r.ID] != 1 {
			t.Errorf("pcaps/README.md has the decisive segment of %s %d times", r.ID, said[r.ID])
		}
		delete(said, r.ID)
	}
	for id := range said {
		t.Errorf("pcaps/README.md has the decisive segment of %s, which is no rule", id)
	}
}
