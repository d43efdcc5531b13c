package join_test

import (
	"testing"

	"connrace/capture"
	"connrace/cmd/connrace/internal/join"
	"connrace/detect"
	"connrace/tcpstate"
)

// A SYN that nobody answered is known at both points although a firewall has given it another sequence number, or one of the
// captures cut its options off; and a request is named where one of them has its name.
func TestUnansweredSYNs(t *testing.T) {
	const name = "real/haproxy-python-nat-any.pcap"
	for what, change := range map[string]func(s *tcpstate.Segment){
		"as captured": func(*tcpstate.Segment) {},
		"another sequence number": func(s *tcpstate.Segment) {
			port := s.Src.Port
			if port == 8080 {
				port = s.Dst.Port
			}
			if by := tcpstate.Seq(port) * 40503 << 8; s.Dst.Port == 8080 {
				s.Seq += by
			} else if s.Flags.Has(tcpstate.ACK) {
				s.Ack += by
			}
		},
		"without timestamps": func(s *tcpstate.Segment) { s.HasTS = false },
		"without payload":    func(s *tcpstate.Segment) { s.Payload = nil },
	} {
		results := nearAndBehind(t, name, all, func(s *tcpstate.Segment) bool {
			change(s)
			return true
		})
		span := []join.Span{{First: 1, Last: 2}}
		c := join.Cases([]join.Point{{Name: "a", Result: results[0], Spans: span}, {Name: "b", Result: results[1], Spans: span}})
		if len(c) != 1 {
			t.Fatalf("%s: %d cases", what, len(c))
		}
		if k := c[0].Links[0].Clock; !k.Known {
			t.Errorf("%s: clocks unknown", what)
		}
		r := c[0].Merge().Result()
		if n := r.Totals.Failed(); n != 12 {
			t.Errorf("%s: %d failed tries", what, n)
		}
		for _, f := range r.Findings {
			if f.Request != nil && f.Request.Path == "" {
				t.Errorf("%s: %s of a request without a name", what, f.Rule.ID)
			}
		}
	}
}

// A single SYN without a timestamp that nobody answered is known where addresses are translated, and others are joined.
func TestUnansweredWithoutTimestamps(t *testing.T) {
	seen := map[tcpstate.Endpoint]bool{}
	first := func(s *tcpstate.Segment) bool {
		s.HasTS = false
		again := s.Flags.Has(tcpstate.SYN) && seen[s.Src]
		seen[s.Src] = true
		return !again || s.Flags.Has(tcpstate.ACK)
	}
	results := nearAndBehind(t, "real/haproxy-python-nat-any.pcap", first, first)
	span := []join.Span{{First: 1, Last: 2}}
	c := join.Cases([]join.Point{{Name: "a", Result: results[0], Spans: span}, {Name: "b", Result: results[1], Spans: span}})[0]
	if l := c.Links[0]; l.Shared != 11 || l.OnlyAt != [2]int{2, 0} {
		t.Errorf("%d connections are joined, %v are not", l.Shared, l.OnlyAt)
	}
}

// What is still open at a point whose capture ends, or leaves out what ended it, has failed if another point shows that.
func TestOpenAtOnePoint(t *testing.T) {
	const name = "real/haproxy-python-nat-any.pcap"
	results := nearAndBehind(t, name, all, func(s *tcpstate.Segment) bool {
		return s.Flags&(tcpstate.RST|tcpstate.FIN) == 0 || s.Src.Port == 8080
	})
	if results[1].Totals.OpenTries == 0 {
		t.Fatal("nothing is open")
	}
	for _, f := range results[0].Findings {
		if f.Rule == detect.LBClosedWithRequestOutstanding { // as if its wait had not been round: a client may have left
			f.Severity = detect.Warning
		}
	}
	span := []join.Span{{First: 1, Last: 2}}
	r := join.Cases([]join.Point{{Name: "a", Result: results[0], Spans: span}, {Name: "b", Result: results[1], Spans: span}})[0].Merge().Result()
	if n := r.Totals.Tries; n.OpenTries != 0 || n.Failed() != 12 {
		t.Errorf("%d failed, %d open", n.Failed(), n.OpenTries)
	}
}

// nearAndBehind are what a capture shows of connections before and behind the translation, where they go to port 8080. Of either
// a function may change a segment, or leave it out.
func nearAndBehind(t *testing.T, name string, near, behind func(*tcpstate.Segment) bool) [2]*detect.Result {
	in, dec, batch := open(t, name), capture.NewDecoder(), make([]capture.Frame, 64)
	var ds [2]*detect.Detector
	for i := range ds {
		ds[i] = detect.New(detect.Options{Connections: true})
	}
	for {
		n, _ := in.Read(batch)
		if n == 0 {
			return [2]*detect.Result{ds[0].Finish(), ds[1].Finish()}
		}
		for _, s := range dec.DecodeAll(batch[:n], nil) {
			i, keep := 0, near
			if s.Src.Port == 8080 || s.Dst.Port == 8080 {
				i, keep = 1, behind
			}
			if keep(&s) {
				ds[i].Segments([]tcpstate.Segment{s})
			}
		}
	}
}

func all(*tcpstate.Segment) bool { return true }
