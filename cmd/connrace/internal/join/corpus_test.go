package join_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"testing"

	"connrace/capture"
	"connrace/cmd/connrace/internal/join"
	"connrace/detect"
	"connrace/pcaps"
	"connrace/tcpstate"
)

// record is a packet of a file of the corpus, in nanoseconds.
type record struct {
	at   int64
	data []byte
}

// waysToTarget are the ends of segments to the target.
func waysToTarget(of []detect.Connection) map[[2]tcpstate.Endpoint]bool {
	ways := map[[2]tcpstate.Endpoint]bool{}
	for i := range of {
		if c := &of[i]; !ways[[2]tcpstate.Endpoint{c.Target, c.LB}] { // else the first one decides which way is which
			ways[[2]tcpstate.Endpoint{c.LB, c.Target}] = true
		}
	}
	return ways
}

func endsOf(s *tcpstate.Segment) [2]tcpstate.Endpoint { return [2]tcpstate.Endpoint{s.Src, s.Dst} }

// otherEnd is a capture as another point shows it, which every segment passes so long before or
// after, by a clock that is ahead. in is what is read; nil: file, of which else only the header is used.
func otherEnd(t *testing.T, file []byte, of []detect.Connection, way, ahead int64, in *capture.File) []byte {
	t.Helper()
	toTarget := waysToTarget(of)
	le := binary.LittleEndian
	if in == nil {
		var err error
		if in, err = capture.NewFile("file", bytes.NewReader(file), capture.ReadOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	var all []record
	dec, batch := capture.NewDecoder(), make([]capture.Frame, 64)
	for {
		n, _ := in.Read(batch)
		if n == 0 {
			break
		}
		for i := range batch[:n] {
			f := &batch[i]
			x := record{f.Time - way, append([]byte(nil), f.Data...)}
			if segs := dec.Decode(f, nil); len(segs) > 0 && toTarget[endsOf(&segs[0])] {
				x.at = f.Time + way
			}
			head := le.AppendUint32(le.AppendUint32(nil, uint32(len(f.Data))), f.Length)
			x.data = append(head, x.data...)
			all = append(all, x)
		}
	}
	slices.SortStableFunc(all, func(a, b record) int { return cmp.Compare(a.at, b.at) })
	out := slices.Clone(file[:24])
	for _, x := range all {
		at := x.at + ahead
		out = le.AppendUint32(le.AppendUint32(out, uint32(at/1e9)), uint32(at%1e9))
		out = append(out, x.data...)
	}
	return out
}

// Of whatever the scripts show, two ends of a path that loses nothing show together what one of them
// does: each failed try once, and none beside. Their clocks are told as exactly as the ways allow.
func TestCorpusFromBothEnds(t *testing.T) {
	scripts, err := pcaps.Corpus()
	if err != nil {
		t.Fatal(err)
	}
	const way = int64(20e3)
	joined, clocks := 0, 0
	for i, s := range scripts {
		var b bytes.Buffer
		if err := s.WritePCAP(&b, pcaps.FileFormat{Nano: true}); err != nil {
			t.Fatal(err)
		}
		ahead := []int64{0, 3e9, -3e9}[i%3]
		files := [][]byte{b.Bytes(), nil}
		open := func(k int) *capture.File {
			f, err := capture.NewFile(s.Name, bytes.NewReader(files[k]), capture.ReadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
		var points []join.Point
		var frames []uint64
		var alone []*detect.Result
		for k := range files {
			if k == 1 {
				files[1] = otherEnd(t, files[0], points[0].Result.Connections, way, ahead, nil)
			}
			p, n := analyse(s.Name, open(k), k, 0)
			points, frames, alone = append(points, p), append(frames, n), append(alone, p.Result)
		}
		want, lost := alone[0].Totals.Tries, count(alone[0])
		if o := alone[1]; o.Totals.Tries != want || count(o) != lost {
			continue // what is nearer to the target shows another order
		}
		cases := join.Cases(points)
		if len(cases) == 0 {
			continue
		}
		joined++
		if k := cases[0].Links[0].Clock; k.Known {
			clocks++
			if off := k.Offset - ahead; ahead < k.Lo || ahead > k.Hi || max(off, -off) > 100e3 {
				t.Errorf("%s: %d ahead: %+v", s.Name, ahead, k)
			}
		}
		m := cases[0].Merge()
		for _, k := range m.Look().Captures() {
			if err := m.Look().Read(context.Background(), k, &join.Again{File: open(k), Frames: frames[k]}); err != nil {
				t.Fatal(err)
			}
		}
		if r := m.Result(); r.Totals.Tries != want || count(r) != lost {
			t.Errorf("%s: %+v with %d findings, not %+v with %d", s.Name, r.Totals.Tries, count(r), want, lost)
		}
	}
	if joined < len(scripts)*3/4 || clocks < joined/2 {
		t.Errorf("%d of %d scripts were joined, and of %d the clocks compared", joined, len(scripts), clocks)
	}
}

// count are the findings that say that something failed.
func count(r *detect.Result) (n int) {
	for _, f := range r.Findings {
		if f.Lost || f.Open {
			n++
		}
	}
	return n
}
