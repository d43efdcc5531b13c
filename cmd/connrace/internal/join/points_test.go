package join_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"slices"
	"testing"

	"connrace/capture"
	"connrace/cmd/connrace/internal/join"
	"connrace/detect"
	"connrace/pcaps"
	"connrace/tcpstate"
)

// nano is a file of the corpus with times in nanoseconds.
func nano(t *testing.T, name string) []byte {
	t.Helper()
	b, err := pcaps.File(name)
	if err != nil {
		t.Fatal(err)
	}
	return otherEnd(t, append([]byte{0x4d, 0x3c, 0xb2, 0xa1}, b[4:24]...), nil, 0, 0, open(t, name))
}

// replaced is a capture behind a firewall that adds to the sequence numbers of the LB, or of the
// target.
func replaced(t *testing.T, file []byte, of []detect.Connection, fromLB bool, by uint32) []byte {
	t.Helper()
	out := bytes.Clone(file)
	in, err := capture.NewFile("file", bytes.NewReader(file), capture.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	be, ways := binary.BigEndian, waysToTarget(of)
	dec, batch := capture.NewDecoder(), make([]capture.Frame, 64)
	for {
		n, _ := in.Read(batch)
		if n == 0 {
			return out
		}
		for i := range batch[:n] {
			segs := dec.Decode(&batch[i], nil)
			if len(segs) == 0 {
				continue
			}
			tcp := out[batch[i].Offset+16+14:] // behind the headers of the record and of Ethernet
			tcp = tcp[tcp[0]&15*4:]
			at := 4
			if ways[endsOf(&segs[0])] != fromLB {
				if at = 8; tcp[13]&0x10 == 0 {
					continue
				}
			}
			be.PutUint32(tcp[at:], be.Uint32(tcp[at:])+by)
		}
	}
}

// together is the result of captures that were taken along one path.
func together(t *testing.T, files ...[]byte) (*join.Case, *detect.Result) {
	t.Helper()
	open := func(k int) *capture.File {
		f, err := capture.NewFile("file", bytes.NewReader(files[k]), capture.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	points, frames := make([]join.Point, len(files)), make([]uint64, len(files))
	for k := range files {
		points[k], frames[k] = analyse([]string{"a", "b", "c"}[k], open(k), k, 0)
	}
	cases := join.Cases(points)
	if len(cases) != 1 {
		t.Fatalf("%d cases", len(cases))
	}
	m := cases[0].Merge()
	for _, k := range m.Look().Captures() {
		if err := m.Look().Read(context.Background(), k, &join.Again{File: open(k), Frames: frames[k]}); err != nil {
			t.Fatal(err)
		}
	}
	return cases[0], m.Result()
}

// A firewall that replaces one side's sequence numbers hides nothing: the same connections, and the
// same proof of each finding.
func TestReplacedNumbers(t *testing.T) {
	lb, target := nano(t, "real/nginx-node-race-lb.pcap"), nano(t, "nginx-node-race.pcap")
	p, _ := point(t, "nginx-node-race.pcap", 0, 0)
	for _, fromLB := range []bool{true, false} {
		for _, by := range []uint32{1, 1 << 31, 3405691582} {
			c, r := together(t, lb, replaced(t, target, p.Result.Connections, fromLB, by))
			if l := c.Links[0]; l.OnlyAt[0] > 0 || r.Totals.LostRequests != 20 || r.Totals.Requests != 128 || count(r) != 20 {
				t.Errorf("from the LB %t, by %d: %+v, %d findings, link %d, only at %v", fromLB, by, r.Totals.Tries, count(r), l.Shared, l.OnlyAt)
			}
			for _, f := range r.Findings {
				if f.Lost && (f.Proof == nil || f.Proof.Place != detect.AtTarget) {
					t.Errorf("from the LB %t, by %d: %+v: %s", fromLB, by, f.Proof, f.Summary)
				}
			}
		}
	}
}

// Three points of one path, given in any order, are joined pairwise along it.
func TestThreePoints(t *testing.T) {
	lb, node := nano(t, "real/nginx-node-race-lb.pcap"), nano(t, "nginx-node-race.pcap")
	p, _ := point(t, "nginx-node-race.pcap", 0, 0)
	pod := otherEnd(t, node, p.Result.Connections, 30e3, 5e9, nil)
	for _, order := range [][]int{{0, 1, 2}, {2, 0, 1}, {1, 2, 0}} {
		var files [][]byte
		for _, k := range order {
			files = append(files, [][]byte{lb, node, pod}[k])
		}
		c, r := together(t, files...)
		var path []int
		for _, k := range c.Of {
			path = append(path, order[k])
		}
		if len(path) != 3 || path[0] != 0 || path[1] != 1 || len(c.Links) != 2 || c.Links[0].B != 1 || c.Links[1].A != 1 {
			t.Errorf("given %v: path %v, %d links", order, path, len(c.Links))
		}
		if r.Totals.LostRequests != 20 || r.Totals.Requests != 128 || count(r) != 20 {
			t.Errorf("given %v: %+v, %d findings", order, r.Totals.Tries, count(r))
		}
		for _, f := range r.Findings {
			if f.Lost && (f.Proof == nil || f.Proof.Place != detect.AtTarget || len(f.Evidence[0].Seen()) != 3) {
				t.Errorf("given %v: %+v, %+v: %s", order, f.Proof, f.Evidence[0].Seen(), f.Summary)
			}
		}
	}
}

// Of a long capture only some stretches are read again, and what is in them counts wherever they are: the
// last one, too, reaches to the end.
func TestStretches(t *testing.T) {
	lb, target := nano(t, "real/nginx-node-race-lb.pcap"), nano(t, "nginx-node-race.pcap")
	padding := func(like []byte) (b []byte) {
		for range 500 {
			b = append(b, like[:8]...)
			b = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, 1400), 1400)
			b = append(b, make([]byte, 1400)...)
		}
		return b
	}
	last := func(b []byte) []byte { // the time of the last frame
		at := b[24:]
		for n := 0; n < len(at); {
			next := n + 16 + int(binary.LittleEndian.Uint32(at[n+8:]))
			if next == len(at) {
				return at[n:]
			}
			n = next
		}
		return nil
	}
	for name, pad := range map[string]func([]byte) []byte{
		"before":           func(b []byte) []byte { return slices.Concat(b[:24], padding(b[24:]), b[24:]) },
		"behind":           func(b []byte) []byte { return slices.Concat(b, padding(last(b))) },
		"before and after": func(b []byte) []byte { return slices.Concat(b[:24], padding(b[24:]), b[24:], padding(last(b))) },
	} {
		files := [][]byte{pad(lb), pad(target)}
		open := func(k int) *capture.File {
			f, err := capture.NewFile(name, bytes.NewReader(files[k]), capture.ReadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
		points, again := make([]join.Point, 2), make([]join.Again, 2)
		for k := range points {
			f := open(k)
			f.Note(1 << 20)
			points[k], again[k].Frames = analyse(name, f, k, 0)
			if again[k].Places = f.Places(); len(again[k].Places.Stretches) < 2 {
				t.Fatalf("%s: %d stretches", name, len(again[k].Places.Stretches))
			}
		}
		m := join.Cases(points)[0].Merge()
		for _, k := range m.Look().Captures() {
			again[k].File = open(k)
			if err := m.Look().Read(context.Background(), k, &again[k]); err != nil {
				t.Fatal(err)
			}
		}
		for _, f := range m.Result().Findings {
			if f.Lost && (f.Proof == nil || f.Proof.Place != detect.AtTarget) {
				t.Errorf("padded %s: %+v: %s", name, f.Proof, f.Summary)
			}
		}
	}
}

// counted counts the octets that are read of a file.
type counted struct {
	*bytes.Reader
	n int
}

func (c *counted) ReadAt(p []byte, at int64) (int, error) {
	n, err := c.Reader.ReadAt(p, at)
	c.n += n
	return n, err
}

// Of two captures in which other packets lie between all those of the connections that findings are about little is
// read again, and the same is proved. Where they have changed meanwhile, what they hold is not taken for it.
func TestPieces(t *testing.T) {
	fill := func(b []byte) []byte {
		out := slices.Clone(b[:24])
		for at := b[24:]; len(at) > 0; {
			n := 16 + int(binary.LittleEndian.Uint32(at[8:]))
			for range 20 {
				out = append(out, at[:8]...)
				out = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(out, 1400), 1400)
				out = append(out, make([]byte, 1400)...)
			}
			out = append(out, at[:n]...)
			at = at[n:]
		}
		return out
	}
	files := [][]byte{fill(nano(t, "real/nginx-node-race-lb.pcap")), fill(nano(t, "nginx-node-race.pcap"))}
	open := func(r io.Reader) *capture.File {
		f, err := capture.NewFile("x", r, capture.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	for _, changed := range []bool{false, true} {
		points, again := make([]join.Point, 2), make([]join.Again, 2)
		for k := range points {
			points[k], again[k] = noted(t, files[k], k)
		}
		m := join.Cases(points)[0].Merge()
		for _, k := range m.Look().Captures() {
			b := slices.Clone(files[k])
			if changed { // the addresses of every other packet
				for at := 24; at < len(b); {
					n := 16 + int(binary.LittleEndian.Uint32(b[at+8:]))
					b[at+16+14+15] ^= 1
					at += n
				}
			}
			r := &counted{Reader: bytes.NewReader(b)}
			again[k].File = open(r)
			err := m.Look().Read(context.Background(), k, &again[k])
			if (err != nil) != changed {
				t.Fatal(err)
			}
			if most := len(files[k]) / 2; r.n > most {
				t.Errorf("%d of %d octets are read again, more than %d", r.n, len(files[k]), most)
			}
		}
		for _, f := range m.Result().Findings {
			if f.Lost && (f.Proof == nil || f.Proof.Place != detect.AtTarget) != changed {
				t.Errorf("changed %v: %+v: %s", changed, f.Proof, f.Summary)
			}
		}
	}
}

// Which of several points is nearer to the LB does not hang on their clocks, which may be seconds apart, nor on the order in
// which they are given: it shows by the ways that segments took, or by hops to live. Where neither shows that is said.
func TestOrder(t *testing.T) {
	node := nano(t, "nginx-node-race.pcap")
	p, _ := point(t, "nginx-node-race.pcap", 0, 0)
	ways := waysToTarget(p.Result.Connections)
	later := func(file []byte, seconds int, edit func(record []byte, s *tcpstate.Segment)) []byte {
		out := slices.Clone(file)
		each(t, out, func(record []byte, s *tcpstate.Segment) {
			binary.LittleEndian.PutUint32(record, binary.LittleEndian.Uint32(record)+uint32(seconds))
			if s != nil && edit != nil {
				edit(record, s)
			}
		})
		return out
	}
	hop := func(record []byte, s *tcpstate.Segment) {
		if ttl := &record[16+14+8]; ways[endsOf(s)] {
			*ttl--
		} else {
			*ttl++
		}
	}
	timed := [][]byte{nano(t, "real/nginx-node-race-lb.pcap"), node, otherEnd(t, node, p.Result.Connections, 30e3, 0, nil)}
	routed := [][]byte{node, later(node, 0, hop), later(later(node, 0, hop), 0, hop)}
	for name, along := range map[string][][]byte{"by the ways": timed, "by hops": routed} {
		for _, ahead := range [][]int{{0, 0, 0}, {5, 0, -7}, {-3, 4, 0}, {0, -9, 2}, {8, 1, 9}} {
			for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}} {
				var files [][]byte
				for _, k := range order {
					files = append(files, later(along[k], ahead[k], nil))
				}
				c, r := together(t, files...)
				var path []int
				for _, k := range c.Of {
					path = append(path, order[k])
				}
				if !slices.Equal(path, []int{0, 1, 2}) || len(c.Links) != 2 || c.Links[0].Guessed || c.Links[1].Guessed || r.Totals.LostRequests != 20 {
					t.Errorf("%s, given %v, %v s ahead: path %v, links %+v", name, order, ahead, path, c.Links)
				}
			}
		}
	}
	if c, _ := together(t, node, later(node, 5, nil)); !c.Links[0].Guessed || c.Of[0] != 0 {
		t.Errorf("of a copy: path %v", c.Of)
	}
}

// A capture may have changed since it was read, as a whole or behind its first frames: what does not show in it then may
// have been there.
func TestChangedWhileRead(t *testing.T) {
	for name, change := range map[string]func(record []byte){
		"the addresses of others": func(record []byte) { record[16+14+15] ^= 1 },
		"a hole":                  func(record []byte) { clear(record) },
		"later":                   func(record []byte) { record[3]++ },
		"cut short":               nil,
	} {
		for _, places := range []bool{false, true} { // of a compressed one they are not known
			if !places && name == "later" {
				continue // nothing tells
			}
			files := [][]byte{nano(t, "real/nginx-node-race-lb.pcap"), nano(t, "nginx-node-race.pcap")}
			points, again := make([]join.Point, 2), make([]join.Again, 2)
			for k := range points {
				points[k], again[k] = noted(t, files[k], k)
				if !places {
					again[k].Places = nil
				}
			}
			other := bytes.Clone(files[1])
			for at, frame := 24, uint64(0); at < len(other); frame++ {
				record := other[at : at+16+int(binary.LittleEndian.Uint32(other[at+8:]))]
				if at += len(record); frame <= again[1].Frames/2 {
				} else if change != nil {
					change(record)
				} else {
					other = other[:at]
				}
			}
			m := join.Cases(points)[0].Merge()
			files[1] = other
			for _, k := range m.Look().Captures() {
				again[k].File = opened(t, files[k])
				if err := m.Look().Read(context.Background(), k, &again[k]); (err != nil) != (k == 1) {
					t.Errorf("%s, places %v, %d: %v", name, places, k, err)
				}
			}
			for _, f := range m.Result().Findings {
				for i := range f.Evidence {
					if slices.ContainsFunc(f.Evidence[i].Seen(), func(s detect.Seen) bool { return s.Absent }) {
						t.Fatalf("%s, places %v: %s: %s", name, places, f.Evidence[i].Note, f.Summary)
					}
				}
			}
		}
	}
}

// opened is a capture.
func opened(t *testing.T, b []byte) *capture.File {
	t.Helper()
	f, err := capture.NewFile("x", bytes.NewReader(b), capture.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// noted is a capture as a point, with what is noted of it to read it once more.
func noted(t *testing.T, b []byte, index int) (join.Point, join.Again) {
	f, batch, dec := opened(t, b), make([]capture.Frame, 64), capture.NewDecoder()
	f.Note(1 << 20)
	c, d := capture.NewContents(1<<20), detect.New(detect.Options{Connections: true})
	for {
		n, _ := f.Read(batch)
		if n == 0 {
			break
		}
		segs := dec.DecodeAll(batch[:n], nil)
		d.Segments(segs)
		c.Add(segs, d.Hashes())
		c.Through(batch[n-1].Number)
	}
	info := f.Info()
	return join.Point{Name: "x", Result: d.Finish(), Spans: []join.Span{{Capture: index, First: info.First, Last: info.Last}}},
		join.Again{Frames: info.Frames, Places: f.Places(), Contents: c}
}

// Connections of one short exchange are known behind what replaces the LB's sequence numbers: their SYNs tell that, too.
func TestReplacedNumbersOfShortOnes(t *testing.T) {
	short := func(file []byte) []byte {
		return only(t, file, func(s *tcpstate.Segment) bool { return s.Len == 0 || s.Flags.Has(tcpstate.SYN) })
	}
	lb, target := nano(t, "real/nginx-node-race-lb.pcap"), nano(t, "nginx-node-race.pcap")
	p, _ := point(t, "nginx-node-race.pcap", 0, 0)
	c, _ := together(t, short(lb), replaced(t, short(target), p.Result.Connections, true, 3405691582))
	if l := c.Links[0]; l.Shared != 64 {
		t.Errorf("%d of 64 connections are joined", l.Shared)
	}
}

// Captures that have one segment of each connection in common, with its timestamp and ends, show the same connections,
// whatever else each has that the other lacks.
func TestOneSegmentInCommon(t *testing.T) {
	lb, target := nano(t, "real/nginx-node-race-lb.pcap"), nano(t, "nginx-node-race.pcap")
	began := map[tcpstate.Endpoint]bool{}
	requests := only(t, lb, func(s *tcpstate.Segment) bool { return s.Len > 0 && s.Dst.Port == 8080 })
	answers := only(t, target, func(s *tcpstate.Segment) bool {
		if s.Len == 0 || s.Dst.Port != 8080 {
			return s.Len > 0
		}
		first := !began[s.Src]
		began[s.Src] = true
		return first
	})
	if c, _ := together(t, requests, answers); c.Links[0].Shared != len(began) {
		t.Errorf("%d of %d connections are joined", c.Links[0].Shared, len(began))
	}
}
