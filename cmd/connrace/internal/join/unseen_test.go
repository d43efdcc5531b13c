package join_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"connrace/capture"
	"connrace/cmd/connrace/internal/join"
	"connrace/detect"
	"connrace/pcaps"
	"connrace/tcpstate"
)

// each calls do with the records of a capture of the corpus, and their segment; nil: it has none.
func each(t *testing.T, file []byte, do func(record []byte, s *tcpstate.Segment)) {
	t.Helper()
	in, err := capture.NewFile("file", bytes.NewReader(file), capture.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	dec, batch := capture.NewDecoder(), make([]capture.Frame, 1)
	for {
		if n, _ := in.Read(batch); n == 0 {
			return
		}
		at := batch[0].Offset
		record := file[at : at+16+int64(binary.LittleEndian.Uint32(file[at+8:]))]
		if segs := dec.Decode(&batch[0], nil); len(segs) > 0 {
			do(record, &segs[0])
		} else {
			do(record, nil)
		}
	}
}

// only is a capture with those segments alone.
func only(t *testing.T, file []byte, keep func(*tcpstate.Segment) bool) []byte {
	out := slices.Clone(file[:24])
	each(t, file, func(record []byte, s *tcpstate.Segment) {
		if s == nil || keep(s) {
			out = append(out, record...)
		}
	})
	return out
}

// What a capture lacks because of its filter, or because capturing missed it, was not lost on the path, and is
// nobody else's doing: of a path that loses nothing nothing is said to be lost.
func TestUnseenIsNotLost(t *testing.T) {
	scripts, err := pcaps.Corpus()
	if err != nil {
		t.Fatal(err)
	}
	const control = tcpstate.SYN | tcpstate.FIN | tcpstate.RST
	joined := map[string]int{}
	for _, s := range scripts {
		var b bytes.Buffer
		if err := s.WritePCAP(&b, pcaps.FileFormat{Nano: true}); err != nil {
			t.Fatal(err)
		}
		acked := map[[2]tcpstate.Endpoint]tcpstate.Seq{}
		each(t, b.Bytes(), func(_ []byte, x *tcpstate.Segment) {
			if x != nil && !x.Quoted && x.Flags&(tcpstate.ACK|tcpstate.RST) == tcpstate.ACK {
				k := [2]tcpstate.Endpoint{x.Dst, x.Src}
				if was, is := acked[k]; !is || x.Ack.After(was) {
					acked[k] = x.Ack
				}
			}
		})
		for name, keep := range map[string]func(*tcpstate.Segment) bool{
			"no data":      func(x *tcpstate.Segment) bool { return x.Len == 0 },
			"only data":    func(x *tcpstate.Segment) bool { return x.Len > 0 },
			"no bare RST":  func(x *tcpstate.Segment) bool { return x.Flags&(tcpstate.RST|tcpstate.ACK) != tcpstate.RST },
			"no RST":       func(x *tcpstate.Segment) bool { return x.Flags&tcpstate.RST == 0 },
			"SYN and RST":  func(x *tcpstate.Segment) bool { return x.Flags&(tcpstate.SYN|tcpstate.RST) != 0 },
			"only control": func(x *tcpstate.Segment) bool { return x.Flags&control != 0 },
			"missed": func(x *tcpstate.Segment) bool {
				ack, is := acked[endsOf(x)]
				return x.Len == 0 || !is || !ack.After(x.Seq)
			},
		} {
			for side := range 2 {
				files := [][]byte{b.Bytes(), b.Bytes()}
				files[side] = only(t, b.Bytes(), keep)
				open := func(k int) *capture.File {
					f, err := capture.NewFile(s.Name, bytes.NewReader(files[k]), capture.ReadOptions{})
					if err != nil {
						t.Fatal(err)
					}
					return f
				}
				points, frames := make([]join.Point, 2), make([]uint64, 2)
				for k := range files {
					points[k], frames[k] = analyse([]string{"a", "b"}[k], open(k), k, 0)
				}
				for _, c := range join.Cases(points) {
					joined[name]++
					m := c.Merge()
					for _, k := range m.Look().Captures() {
						if err := m.Look().Read(context.Background(), k, &join.Again{File: open(k), Frames: frames[k]}); err != nil {
							t.Fatal(err)
						}
					}
					for _, f := range m.Result().Findings {
						texts := f.Summary
						for i := range f.Evidence {
							texts += "; " + f.Evidence[i].Note
						}
						if f.Proof != nil && f.Proof.Place == detect.OnPath || strings.Contains(texts, "never arrived") || strings.Contains(texts, "did not send it, something between") {
							t.Errorf("%s, %s in %d: %s: %s", s.Name, name, side, f.Rule.ID, texts)
						}
					}
				}
			}
		}
	}
	for _, name := range []string{"no data", "only data", "no bare RST", "no RST", "SYN and RST", "only control", "missed"} {
		if joined[name] < len(scripts)/4 {
			t.Errorf("%s: %d cases", name, joined[name])
		}
	}
}

// A connection that a point does not show at all, although its target answered on it long before it failed, is one that the point did
// not recognise: it does not prove that the path did it.
func TestConnectionMissing(t *testing.T) {
	for _, pair := range [][2]string{{"real/nginx-node-race-lb.pcap", "nginx-node-race.pcap"}, {"real/nginx-node-nat-reset-lb.pcap", "real/nginx-node-nat-reset-target.pcap"}} {
		lb, target := nano(t, pair[0]), nano(t, pair[1])
		p, _ := point(t, pair[0], 0, 0)
		for _, f := range p.Result.Findings {
			port := f.LB.Port
			_, r := together(t, lb, only(t, target, func(s *tcpstate.Segment) bool { return s.Src.Port != port && s.Dst.Port != port }))
			for _, g := range r.Findings {
				if g.LB == f.LB && g.Proof != nil && (g.Proof.Place == detect.OnPath || g.Measures.RSTOrigin == detect.OriginBetween) {
					t.Errorf("%s: %s: %s, %+v", pair[0], g.Rule.ID, g.Summary, g.Proof)
				}
			}
		}
	}
}
