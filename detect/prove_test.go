package detect

import "testing"

// TestProveLostReset: that the LB's RST_STREAM never came to the target does not make it a request that was lost: it
// had arrived, and the LB gave it up.
func TestProveLostReset(t *testing.T) {
	f := &Finding{Rule: LBClosedWithRequestOutstanding, Severity: Error, Lost: true, Request: &Request{}, Summary: "the LB gave up", Cause: "c", Fix: "f"}
	s := Sightings{
		LBName: "lb.pcap", TargetName: "target.pcap",
		Request:  Passage{FromLB: true, LB: Sighted{Copies: 1, Checked: 1, Frame: 4}, Target: Sighted{Copies: 1, Checked: 1, Frame: 4}},
		Ack:      Passage{LB: Sighted{Copies: 1, Checked: 1, Frame: 5}, Target: Sighted{Copies: 1, Checked: 1, Frame: 5}},
		Decisive: Passage{FromLB: true, LB: Sighted{Copies: 2, Checked: 2, Frame: 6}},
	}
	if f.Prove(&s); f.Rule != LBClosedWithRequestOutstanding || f.Proof == nil || f.Proof.Place != AtTarget {
		t.Errorf("%s: %s", f.Rule.ID, f.Summary)
	}
}

// TestProveHandshake: of SYNs of which some came to the target, the path is to blame only where the target answered
// those; and a failure that has another cause than the silence keeps it.
func TestProveHandshake(t *testing.T) {
	copies := func(n int) Sighted { return Sighted{Copies: n, Checked: n, Frame: 1} }
	for _, c := range []struct {
		rule, want           *Rule
		sent, came           int // SYNs
		answers, answersCame int
		place                string
	}{
		{SYNUnanswered, SYNUnanswered, 6, 0, 0, 0, OnPath},
		{SYNUnanswered, SYNUnanswered, 6, 3, 0, 0, ""},
		{SYNDropped, SYNDropped, 4, 2, 1, 1, ""},
		{SYNDropped, SYNUnanswered, 4, 1, 1, 1, OnPath},
		{SYNDropped, SYNDropped, 4, 4, 1, 1, AtTarget},
		{SYNDropped, SYNDropped, 4, 4, 2, 1, AtTarget},
		{SYNUnanswered, SYNUnanswered, 4, 4, 4, 0, OnPath},
		{SYNUnanswered, SYNUnanswered, 4, 4, 4, 1, OnPath},
		{PortReuse, PortReuse, 2, 1, 1, 1, ""},
		{HandshakeReset, HandshakeReset, 2, 1, 1, 1, ""},
		{HandshakeReset, HandshakeReset, 1, 1, 1, 0, ""},
		{ConnectionRefused, ConnectionRefused, 2, 1, 0, 0, ""},
	} {
		f := &Finding{Rule: c.rule, Severity: Error, Lost: true, Cause: "c", Fix: "f"}
		f.Prove(&Sightings{
			LBName: "lb.pcap", TargetName: "target.pcap",
			SYN:    Passage{FromLB: true, LB: copies(c.sent), Target: copies(c.came)},
			SYNACK: Passage{LB: copies(c.answersCame), Target: copies(c.answers)},
		})
		place := ""
		if f.Proof != nil {
			place = f.Proof.Place
		}
		if f.Rule != c.want || place != c.place || place == "" && f.Cause != "c" {
			t.Errorf("%s, %d SYNs, %d came, %d answers, %d came: %s at %q: %s", c.rule.ID, c.sent, c.came, c.answers, c.answersCame, f.Rule.ID, place, f.Summary)
		}
	}
}

// TestProveAcknowledged: what its receiver acknowledges has arrived, and is only not in the capture; so has a SYN that was
// answered.
func TestProveAcknowledged(t *testing.T) {
	sent := Passage{FromLB: true, Acked: true, LB: Sighted{Copies: 1, Checked: 1, Frame: 4}}
	for _, r := range []*Rule{PathLoss, StaleConnection, ClosedWithRequestOutstanding, SYNUnanswered, SYNDropped} {
		f := &Finding{Rule: r, Severity: Error, Lost: true, Request: &Request{}, Cause: "c", Fix: "f"}
		s := Sightings{LBName: "lb.pcap", TargetName: "target.pcap", Request: sent, Decisive: sent, SYN: sent}
		if f.Prove(&s); f.Rule != r || f.Proof != nil {
			t.Errorf("%s: %+v: %s", r.ID, f.Proof, f.Summary)
		}
	}
}

// TestProveBeyond: an RST that had come a different way at the target's point already was not sent there.
func TestProveBeyond(t *testing.T) {
	once := Sighted{Copies: 1, Checked: 1, Frame: 4}
	for _, r := range []*Rule{ResetInExchange, ConnectionRefused, FINRequestCrossing} {
		f := &Finding{Rule: r, Severity: Error, Lost: true, Request: &Request{}, Cause: "c", Fix: "f"}
		s := Sightings{LBName: "lb.pcap", TargetName: "target.pcap", RST: Passage{LB: once, Target: once}, RSTBeyond: true}
		if f.Prove(&s); f.Measures.RSTOrigin == OriginTarget || f.Proof != nil {
			t.Errorf("%s: %+v: %s", r.ID, f.Proof, f.Summary)
		}
	}
}

// What came as far as a point at which the target is not may have been lost behind it, and an RST from there may be
// another's: neither is the target's for that.
func TestProveBeforeTarget(t *testing.T) {
	both := Passage{FromLB: true, LB: Sighted{Copies: 4, Checked: 4, Frame: 1, In: "lb.pcap"}, Target: Sighted{Copies: 4, Checked: 4, Frame: 2, In: "node.pcap"}}
	rst := Passage{LB: Sighted{Copies: 1, Checked: 1, Frame: 3}, Target: Sighted{Copies: 1, Checked: 1, Frame: 4}}
	for _, c := range []struct {
		rule          *Rule
		s             Sightings
		at, before    string // the place that is proved
		says          string
		origin, alike string // the RST's
	}{
		{SYNUnanswered, Sightings{SYN: both}, AtTarget, Beyond, "all 4 copies of the SYN went on towards the target (the first in frame 2 of node.pcap), and none of them got an answer", "", ""},
		{ConnectionRefused, Sightings{SYN: both, RST: rst}, AtTarget, "", "", OriginTarget, ""},
		{StaleConnection, Sightings{Request: both, RST: rst}, AtTarget, Beyond, "the request went on towards the target (frame 2 of node.pcap), and nothing came back", OriginTarget, ""},
		{LBClosedWithRequestOutstanding, Sightings{Request: both, Ack: rst}, AtTarget, Beyond, "the request went on towards the target (frame 2 of node.pcap), and it was acknowledged, but not answered", "", ""},
	} {
		for _, before := range []bool{false, true} {
			f := &Finding{Rule: c.rule, Severity: Error, Lost: true, Request: &Request{}, Cause: "c", Fix: "f"}
			s, place, origin := c.s, c.at, c.origin
			if s.LBName, s.TargetName, s.BeforeTarget = "lb.pcap", "node.pcap", before; before {
				place, origin = c.before, c.alike
			}
			f.Prove(&s)
			got, text := "", ""
			if f.Proof != nil {
				got, text = f.Proof.Place, f.Proof.Text
			}
			if got != place || f.Measures.RSTOrigin != origin || before && text != c.says {
				t.Errorf("%s, before %v: at %q, RST by %q: %s", c.rule.ID, before, got, f.Measures.RSTOrigin, text)
			}
		}
	}
}
