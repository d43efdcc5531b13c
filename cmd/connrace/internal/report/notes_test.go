package report

import (
	"strings"
	"testing"

	"connrace/detect"
)

// TLS hellos that count as probes are said in a note: they may be the load balancer's after all.
func TestProbesNoted(t *testing.T) {
	noted := func(fs ...*detect.Finding) (is bool) {
		r := &Report{Captures: []Capture{{Path: "x.pcap"}}, Analyses: []Analysis{{Captures: []int{0}, Result: &detect.Result{Findings: fs}}}}
		for _, n := range r.Notes() {
			is = is || strings.HasPrefix(n, "2 TLS hellos met a port")
		}
		return is
	}
	probe := &detect.Finding{Rule: detect.TLSHandshakeFailed, Severity: detect.Info}
	if failed := (&detect.Finding{Rule: detect.TLSHandshakeFailed, Severity: detect.Error}); !noted(probe, failed, probe) {
		t.Error("no note of probes")
	}
	if other := (&detect.Finding{Rule: detect.RSTAfterFIN, Severity: detect.Info}); noted(other, other) {
		t.Error("a note of probes that there were none of")
	}
}
