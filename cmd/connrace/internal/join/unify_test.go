package join_test

import (
	"testing"

	"connrace/cmd/connrace/internal/join"
	"connrace/detect"
	"connrace/tcpstate"
)

// A try of which one point has not captured the request is told once: there, too, it is the last of its connection.
func TestRequestAtOnePoint(t *testing.T) {
	const name = "real/nginx-node-race-lb.pcap"
	lb, target := nano(t, name), nano(t, "nginx-node-race.pcap")
	_, whole := together(t, lb, target)
	p, _ := point(t, name, 0, 0)
	for _, f := range p.Result.Findings { // as of a point that lacks the request
		if f.Lost {
			f.Request = nil
		}
	}
	q, _ := point(t, "nginx-node-race.pcap", 1, 0)
	c := join.Cases([]join.Point{p, q})
	if r := c[0].Merge().Result(); count(r) != count(whole) {
		t.Errorf("%d failed tries, not %d", count(r), count(whole))
	}
}

// Streams of HTTP/2 are known by their numbers, also where each point shows others of those that one close cut off.
func TestSameStreams(t *testing.T) {
	with := func(ids ...uint32) *detect.Finding {
		f := &detect.Finding{Rule: detect.StreamReset, Lost: true, Severity: detect.Error, Evidence: []detect.Evidence{{Role: detect.RoleRequest, Seq: tcpstate.Seq(len(ids))}}}
		for _, id := range ids {
			f.Requests = append(f.Requests, detect.StreamRequest{ID: id})
		}
		if f.Request = nil; len(ids) > 0 {
			f.Request = &f.Requests[0].Request
		}
		return f
	}
	for _, c := range []struct {
		a, b *detect.Finding
		same bool
	}{{with(1, 3), with(3), true}, {with(1), with(3), false}, {with(), with(1), false}, {with(), with(), true}} {
		if got := c.a.SameTry(c.b); got != c.same {
			t.Errorf("%v and %v: %t", c.a.Requests, c.b.Requests, got)
		}
	}
	if a, b := with(1, 3), with(1); a.Incident() != b.Incident() || !a.Knows(b) || b.Knows(a) {
		t.Error("two findings of one stream are not of one incident")
	}
}
