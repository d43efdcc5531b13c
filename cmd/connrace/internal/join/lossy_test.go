package join_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"connrace/cmd/connrace/internal/join"
	"connrace/detect"
	"connrace/tcpstate"
)

// A capture that lost frames, one by one or several that follow each other, does not show that the path did, or made what
// is not in it: others are missing there, too, that its end has acknowledged. What is missing whatever it lost is still
// said to be.
func TestLossyCapture(t *testing.T) {
	for _, c := range []struct {
		lb, target string
		path       bool // it did lose segments
		every      int
	}{
		{"real/nginx-node-race-lb.pcap", "nginx-node-race.pcap", false, 20},
		{"real/haproxy-node-path-lb.pcap", "real/haproxy-node-path-target.pcap", true, 200},
	} {
		proved := 0
		for seed := range uint64(20) {
			r := rand.New(rand.NewPCG(seed, 3))
			files := [][]byte{nano(t, c.lb), nano(t, c.target)}
			kept, skip := bytes.Clone(files[1][:24]), 0
			for at := 24; at < len(files[1]); {
				record := files[1][at : at+16+int(binary.LittleEndian.Uint32(files[1][at+8:]))]
				if at += len(record); skip == 0 && r.IntN(c.every) == 0 {
					skip = 1 + r.IntN(8)
				}
				if skip > 0 && at < len(files[1])-2000 {
					skip--
					continue
				}
				kept = append(kept, record...)
			}
			files[1] = kept
			points, again := make([]join.Point, 2), make([]join.Again, 2)
			for k := range points {
				points[k], again[k] = noted(t, files[k], k)
			}
			m := join.Cases(points)[0].Merge()
			for _, k := range m.Look().Captures() {
				again[k].File = opened(t, files[k])
				if err := m.Look().Read(context.Background(), k, &again[k]); err != nil {
					t.Fatal(err)
				}
			}
			for _, f := range m.Result().Findings {
				if f.Proof == nil || f.Proof.Place != detect.OnPath && f.Measures.RSTOriginBasis != detect.OriginByJoining {
					continue
				}
				if proved++; !c.path && f.Measures.RSTOrigin != detect.OriginTarget {
					t.Errorf("%s, seed %d: %s", c.lb, seed, fmt.Sprint(f.Rule.ID, ": ", f.Summary))
				}
			}
		}
		if c.path && proved == 0 {
			t.Errorf("%s: nothing is proved any more", c.lb)
		}
	}
}

// A capture that lost frames here and there, of whatever kind, tells no failed try a second time, and does not blame the path for
// what it lost itself: what it lost of connections that nothing went wrong with shows that, too.
func TestFewFramesLost(t *testing.T) {
	lb, target := nano(t, "real/nginx-node-race-lb.pcap"), nano(t, "nginx-node-race.pcap")
	for seed := uint64(100); seed < 142; seed++ {
		r := rand.New(rand.NewPCG(seed, 7))
		files := [][]byte{lb, target}
		at := int(seed % 2)
		share := []int{100, 20, 5}[seed%3]
		kept := bytes.Clone(files[at][:24])
		each(t, files[at], func(record []byte, _ *tcpstate.Segment) {
			if r.IntN(share) != 0 {
				kept = append(kept, record...)
			}
		})
		files[at] = kept
		c, result := together(t, files...)
		if n := count(result); n > 20 {
			t.Errorf("seed %d, one in %d lost at %d: %d failed tries of 20, %d connections joined", seed, share, at, n, c.Links[0].Shared)
		}
		for _, f := range result.Findings {
			if f.Measures.RSTOrigin == detect.OriginBetween || f.Proof != nil && f.Proof.Place == detect.OnPath {
				t.Errorf("seed %d, one in %d lost at %d: %s: %s", seed, share, at, f.Rule.ID, f.Summary)
			}
		}
	}
}

// Of several copies of a segment a capture that lacks others may have lost one: the path did not.
func TestCopyNotCaptured(t *testing.T) {
	whole := nano(t, "real/nginx-slowaccept-backlog.pcap")
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 9))
		some := bytes.Clone(whole[:24])
		each(t, whole, func(record []byte, _ *tcpstate.Segment) {
			if r.IntN(30) != 0 {
				some = append(some, record...)
			}
		})
		_, result := together(t, whole, some)
		for _, f := range result.Findings {
			if f.Proof != nil && f.Proof.Place == detect.OnPath {
				t.Errorf("seed %d: %s: %s", seed, f.Rule.ID, f.Summary)
			}
		}
	}
}
