package html

import (
	"strings"
	"testing"

	"connrace/cmd/connrace/internal/report"
	"connrace/detect"
)

func TestOutages(t *testing.T) {
	r := sample(3)
	fs := r.Analyses[0].Result.Findings
	for _, f := range fs {
		if f.Target == fs[0].Target {
			f.Rule = detect.ConnectionRefused
		}
	}
	page := render(t, r, report.Options{})
	for _, want := range []string{`<ul class="card plain outages"`, ` findings are one outage, of <code>10.0.1.9:8080</code>, from 10.0.0.2`, ` × Connection refused; <a href="#f1">`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not have %s", want)
		}
	}
	if page := render(t, sample(2), report.Options{}); strings.Contains(page, "one outage") {
		t.Error("an outage of nothing")
	}
}
