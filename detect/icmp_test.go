package detect_test

import (
	"strings"
	"testing"

	"connrace/detect"
	"connrace/pcaps"
	"connrace/tcpstate"
)

// A SYN that an ICMP error answers is refused by a filter, or cannot be delivered: certainly,
// and without a second copy.
func TestICMPAnswersSYN(t *testing.T) {
	s, err := pcaps.Load("connection-refused")
	if err != nil {
		t.Fatal(err)
	}
	syn := s.Segments()[0]
	for _, tt := range []struct {
		typ, code uint8
		rule, say string
	}{
		{3, 3, "connection-refused", "by a filter: ICMP port-unreachable from 10.0.0.9"},
		{3, 1, "syn-unanswered", "could not be delivered: ICMP host-unreachable from 10.0.0.9"},
		{3, 13, "syn-unanswered", "communication-prohibited"},
		{11, 0, "syn-unanswered", "time-exceeded"},
		{3, 4, "", ""},
	} {
		quote := syn
		quote.Frame, quote.Time, quote.Quoted, quote.NoLength = 2, syn.Time+1000, true, true
		quote.ICMP = &tcpstate.ICMPError{From: tcpstate.Addr4([]byte{10, 0, 0, 9}), Type: tt.typ, Code: tt.code}
		fs := analyse([]tcpstate.Segment{syn, quote}, detect.Options{}).Findings
		if tt.rule == "" {
			if len(fs) != 0 {
				t.Errorf("type %d code %d: %s", tt.typ, tt.code, fs[0].Rule.ID)
			}
			continue
		}
		if len(fs) != 1 || fs[0].Rule.ID != tt.rule || !fs[0].Lost || fs[0].Confidence != detect.Certain || !strings.Contains(fs[0].Summary, tt.say) {
			t.Errorf("type %d code %d: %+v", tt.typ, tt.code, fs)
			continue
		}
		f := fs[0]
		if e := f.Evidence[len(f.Evidence)-1]; e.Role != detect.RoleICMP || e.Frame != 2 || f.Measures.ICMP == nil || !strings.Contains(f.Fix, "10.0.0.9") {
			t.Errorf("type %d code %d: evidence %+v, fix %s", tt.typ, tt.code, e, f.Fix)
		}
	}
}
