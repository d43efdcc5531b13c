package report

import (
	"bytes"
	"strings"
	"testing"

	"connrace/detect"
)

// A target whose connections are well and whose answers say 5xx does not look healthy.
func TestServerErrors(t *testing.T) {
	for answers, want := range map[uint64]string{0: "FAILED", 18: "FAILED 5XX"} {
		a := Analysis{Captures: []int{0}, Result: &detect.Result{Targets: []detect.Target{{Target: end("10.0.1.9:81"), Connections: 3, Requests: 50, Answers5xx: answers}}}}
		a.Result.Totals.Answers5xx, a.Result.Totals.Requests = answers, 50
		r := &Report{Captures: []Capture{{Path: "x.pcap"}}, Analyses: []Analysis{a}}
		var table, markdown bytes.Buffer
		if err := Table(&table, r, &Options{}); err != nil {
			t.Fatal(err)
		}
		if err := Markdown(&markdown, r, &Options{}); err != nil {
			t.Fatal(err)
		}
		said := strings.Join(strings.Fields(table.String()), " ")
		if !strings.Contains(said, "REQUESTS "+want+" ─") || strings.Contains(said, "18 answers 5xx by the targets themselves") != (answers > 0) {
			t.Error(table.String())
		}
		if strings.Contains(said, "Nothing failed in what was captured.") != (answers == 0) {
			t.Error(said)
		}
		if got := strings.Contains(markdown.String(), "| 5xx |"); got != (answers > 0) {
			t.Error(markdown.String())
		}
	}
}
