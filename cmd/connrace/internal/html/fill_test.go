package html

import (
	"bytes"
	"html/template"
	"testing"

	"connrace/cmd/connrace/internal/report"
)

// TestAsHTMLTemplate: html/template, which is not linked into the program, fills in the same
// page, byte for byte, also where every text from outside is hostile.
func TestAsHTMLTemplate(t *testing.T) {
	oracle := template.Must(template.New("").Funcs(template.FuncMap{"prose": prose}).ParseFS(templates, "templates/*.html"))
	joined, _ := joinedSample()
	logged := sample(3)
	beside(logged, "+1 & 1")
	for _, x := range []struct {
		name string
		r    *report.Report
		o    report.Options
	}{
		{"empty", &report.Report{}, report.Options{}},
		{"one", sample(1), report.Options{}},
		{"packed", sample(400), report.Options{}},
		{"with queries", sample(12), report.Options{ShowQuery: true}},
		{"beside a log", logged, report.Options{}},
		{"hostile", poisoned(), report.Options{}},
		{"hostile with queries", poisoned(), report.Options{ShowQuery: true}},
		{"joined", joined, report.Options{}},
	} {
		t.Run(x.name, func(t *testing.T) {
			var want bytes.Buffer
			if err := write(&want, x.r, &x.o, oracle.Lookup("head")); err != nil {
				t.Fatal(err)
			}
			got := render(t, x.r, x.o)
			if want.String() == got {
				return
			}
			w := want.String()
			i := 0
			for i < min(len(w), len(got)) && w[i] == got[i] {
				i++
			}
			from := max(0, i-80)
			t.Errorf("html/template writes\n%q\nand not\n%q", w[from:min(len(w), i+80)], got[from:min(len(got), i+80)])
		})
	}
}
