package report

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"connrace/detect"
)

// An outage is one row of a list, with its findings behind it where all are asked for, and
// what has columns and keys names it.
func TestOutage(t *testing.T) {
	var fs []*detect.Finding
	for i := range 60 {
		f := &detect.Finding{
			ID: i + 1, Rule: detect.ConnectionRefused, Severity: detect.Error, Lost: true, LB: end("10.0.0.2:41000"), Target: end("10.0.1.9:81"),
			Time: at("2019-01-26T00:00:15Z") + int64(i)*1e9, Summary: "refused", HasStream: true, Stream: uint32(i),
		}
		f.LB.Port += uint16(i)
		fs = append(fs, f)
	}
	fs[20].Rule, fs[20].Severity = detect.FINRequestCrossing, detect.Warning // in between
	r := &Report{Captures: []Capture{{Path: "x.pcap"}}, Analyses: []Analysis{{Captures: []int{0}, Result: &detect.Result{Findings: fs}}}}
	rows := func(format func(*bytes.Buffer, *Options) error, verbose bool) (n int, s string) {
		t.Helper()
		var b bytes.Buffer
		if err := format(&b, &Options{Verbose: verbose}); err != nil {
			t.Fatal(err)
		}
		s = b.String()
		list, _, _ := strings.Cut(s, "Connection refused (")
		return strings.Count(list, "→ 10.0.1.9:81"), s
	}
	for name, f := range map[string]func(*bytes.Buffer, *Options) error{
		"table":    func(b *bytes.Buffer, o *Options) error { return Table(b, r, o) },
		"markdown": func(b *bytes.Buffer, o *Options) error { return Markdown(b, r, o) },
	} {
		if n, s := rows(f, false); n != 2 || !strings.Contains(s, "59 ×") || !strings.Contains(s, "error, 59 lost") {
			t.Errorf("%s: %d rows\n%s", name, n, s)
		}
		if n, s := rows(f, true); n != 61 || !strings.Contains(s, "59 ×") {
			t.Errorf("%s, all: %d rows\n%s", name, n, s)
		}
	}
	var b bytes.Buffer
	if err := CSV(&b, r, &Options{}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), ",1,1,Connection refused\r\n"); n != 59 {
		t.Errorf("CSV names the outage %d times", n)
	}
	b.Reset()
	if err := JSON(&b, r, &Options{}); err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Outages []struct {
			ID, Count int
			Target    string
			Findings  []int
		}
	}
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil || len(doc.Outages) != 1 {
		t.Fatalf("%v, %+v", err, doc)
	}
	if o := doc.Outages[0]; o.ID != 1 || o.Count != 59 || o.Target != "10.0.1.9:81" || len(o.Findings) != 59 || o.Findings[20] != 22 {
		t.Errorf("%+v", o)
	}
}
