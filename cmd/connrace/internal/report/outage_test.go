package report

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"connrace/detect"
)

// An outage is named by what has columns and keys.
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
	var b bytes.Buffer
	if err := CSV(&b, r, &Options{}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), ",1,1,Connection refused,,,,"); n != 59 {
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
