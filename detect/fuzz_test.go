package detect_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"connrace/detect"
	"connrace/tcpstate"
)

// pace are the steps of time that a fuzzed capture can take.
var pace = [16]int64{
	0, 1, 1000, millisecond, 20 * millisecond, 160 * millisecond, 250 * millisecond, second, 3 * second, 5 * second,
	70 * second, 3 * 3600 * second, 30 * 365 * 24 * 3600 * second, -millisecond, -5 * second, -3 * 3600 * second,
}

// stream makes of any octets a capture that resembles one: connections of an LB or two to
// a target or two are set up, used, closed, repeated, mixed up.
type stream struct {
	data  []byte
	now   int64
	frame uint64
	conns [6]struct {
		lb, target tcpstate.Endpoint
		seq        [2]tcpstate.Seq // of what comes next, the LB's first
	}
	sent []tcpstate.Segment
}

func newStream(data []byte) *stream {
	s := &stream{data: data, now: 1_600_000_000 * second}
	for i := range s.conns {
		c := &s.conns[i]
		c.lb = tcpstate.Endpoint{Addr: tcpstate.Addr4([]byte{10, 0, 0, byte(2 + i/4)}), Port: uint16(41000 + i/2*2)}
		c.target = tcpstate.Endpoint{Addr: tcpstate.Addr4([]byte{10, 0, 1, byte(9 + i&1)}), Port: 8080}
		c.seq = [2]tcpstate.Seq{tcpstate.Seq(i) << 30, 0xfffffff0 + tcpstate.Seq(i)}
	}
	s.conns[5].target = s.conns[5].lb // to itself
	return s
}

var bodies = []string{
	"GET /a HTTP/1.1\r\nHost: x\r\nX-Request-Id: 1\r\n\r\n",
	"POST /a HTTP/1.1\r\nContent-Length: 40\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 200 OK\r\nContent-Length: 200\r\nKeep-Alive: timeout=5\r\n\r\n",
	"HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n",
	"HTTP/1.1 413 Too Large\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
	"\x17\x03\x03\x00\x20abcdefghijklmnopqrstuvwxyz012345",
	"\x15\x03\x03\x00\x13abcdefghijklmnopqrs",
	"\x16\x03\x01\x00\x04\x01\x00\x00\x00",
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
	"\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
	"\x00\x00\x01\x01\x05\x00\x00\x00\x01\x88",
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x03\x01\x05\x00\x00\x00\x01\x82\x86\x84\x00\x00\x03\x01\x05\x00\x00\x00\x03\x83\x86\x84",
	"\x00\x00\x03\x01\x05\x00\x00\x00\x05\x82\x86\x84",
	"\x00\x00\x01\x01\x04\x00\x00\x00\x03\x88\x00\x00\x01\x00\x00\x00\x00\x00\x03x",
	"\x00\x00\x04\x03\x00\x00\x00\x00\x03\x00\x00\x00\x07",
	"\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x08",
	"\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00",
	"GET /\x1b[31m<script> HTTP/1.1\r\n\r\n",
	"\x00",
}

// next makes the next segment; false where it is only something else that happens.
func (s *stream) next() (seg tcpstate.Segment, ok bool) {
	op, which, x, dt := s.data[0], s.data[1], s.data[2], s.data[3]
	s.data = s.data[4:]
	s.now += pace[dt&15]
	c := &s.conns[int(which>>1)%len(s.conns)]
	from := int(which & 1)
	ends := [2]tcpstate.Endpoint{c.lb, c.target}
	seg = tcpstate.Segment{
		Time: s.now, Src: ends[from], Dst: ends[1-from], Seq: c.seq[from], Ack: c.seq[1-from], Flags: tcpstate.ACK,
		IPID: uint16(s.frame),
	}
	switch op % 16 {
	case 0:
		c.seq[from] = tcpstate.Seq(x) << 24
		seg.Seq, seg.Ack, seg.Flags = c.seq[from], 0, tcpstate.SYN
		c.seq[from]++
	case 1:
		c.seq[from] = tcpstate.Seq(x)<<24 + 5
		seg.Seq, seg.Flags = c.seq[from], tcpstate.SYN|tcpstate.ACK
		c.seq[from]++
	case 2:
	case 3, 4, 5, 6:
		body := bodies[int(x)%len(bodies)]
		seg.Len, seg.Payload, seg.Flags = uint32(len(body)), []byte(body), tcpstate.ACK|tcpstate.PSH
		c.seq[from] += tcpstate.Seq(seg.Len)
	case 7:
		seg.Flags |= tcpstate.FIN
		c.seq[from]++
	case 8:
		seg.Flags = tcpstate.RST
	case 9:
		seg.Flags |= tcpstate.RST
	case 10: // again, or what comes late
		if len(s.sent) == 0 {
			return seg, false
		}
		seg = s.sent[max(0, len(s.sent)-1-int(x)%64)]
		seg.Time = s.now
	case 11: // what the other side has not seen
		seg.Ack -= tcpstate.Seq(x)
	case 12: // lost: the next ones come without it
		c.seq[from] += tcpstate.Seq(x)
		return seg, false
	case 13:
		seg.Seq, seg.Ack = seg.Seq+tcpstate.Seq(x)<<24, seg.Ack-tcpstate.Seq(x)<<20
		seg.Len = uint32(x) << 8
		seg.Flags = tcpstate.Flags(x)
	case 14:
		seg.Quoted, seg.NoLength, seg.Bogus = x&1 != 0, x&3 != 0, x&4 != 0
		seg.Flags = tcpstate.Flags(x >> 3)
	case 15:
		return seg, false
	}
	s.frame++
	seg.Frame = s.frame
	if len(seg.Payload) > 0 && x&0x80 != 0 { // cut by the snapshot length
		seg.Payload = seg.Payload[:int(x)%len(seg.Payload)]
	}
	s.sent = append(s.sent, seg)
	return seg, true
}

// newest is the stream of the segment that was tracked last.
func newest(t *tcpstate.Tracker) uint32 {
	_, stream := t.Newest()
	return stream
}

// FuzzDetector: whatever comes, no panic, and what a finding says of a frame is what that
// frame was.
func FuzzDetector(f *testing.F) {
	// A race, a refusal, a SYN again and again, a truncated answer.
	f.Add([]byte{0, 0, 1, 0, 1, 1, 1, 3, 2, 0, 0, 3, 3, 0, 0, 3, 4, 1, 2, 3, 7, 1, 0, 9, 3, 0, 0, 1, 8, 1, 0, 3}, byte(0))
	f.Add([]byte{0, 0, 1, 0, 9, 1, 0, 3, 0, 4, 1, 0, 10, 0, 0, 7, 10, 0, 0, 8, 10, 0, 0, 9, 2, 8, 0, 11}, byte(0))
	f.Add([]byte{0, 0, 1, 0, 1, 1, 1, 3, 2, 0, 0, 3, 3, 0, 0, 3, 4, 1, 3, 3, 7, 1, 0, 3, 15, 0, 0, 0, 2, 0, 0, 12, 2, 0, 0, 3}, byte(1))
	// A request although the handshake fails, and the same one again.
	f.Add([]byte{0, 1, 119, 7, 1, 1, 105, 2, 0, 0, 193, 3, 10, 3, 253, 6, 3, 180, 109, 114, 10, 1, 3, 4, 10, 159, 105, 6, 32, 0, 116, 2, 10, 211, 229, 219, 1, 187, 20, 4}, byte(0))
	f.Fuzz(func(t *testing.T, data []byte, opt byte) {
		if len(data) > 4000 {
			data = data[:4000]
		}
		var told, updated int
		o := detect.Options{Streams: true, Exchanges: opt&2 != 0, Live: opt&4 != 0}
		if opt&1 != 0 {
			o.MaxFlows = 2
		}
		if opt&16 != 0 {
			o.MaxTargets = 1
		}
		ids, tries := map[int]bool{}, map[int]detect.Tries{}
		if opt&8 != 0 {
			o.OnFinding = func(f *detect.Finding) {
				told++
				if ids[f.ID] {
					t.Fatalf("id %d twice", f.ID)
				}
				ids[f.ID], tries[f.ID] = true, f.Tries()
			}
			o.OnUpdate = func(f *detect.Finding) {
				if updated++; !ids[f.ID] {
					t.Fatalf("an update of %d, which nobody was told of", f.ID)
				}
				tries[f.ID] = f.Tries()
			}
		}
		d := detect.New(o)
		numbers := tcpstate.NewTracker(tcpstate.Config{})
		type place struct {
			capture int
			frame   uint64
		}
		type seen struct {
			tcpstate.Segment
			stream uint32
		}
		input := map[place]seen{}
		capture := 0
		segments := uint64(0)
		d.BeginCapture(0)
		for s := newStream(data); len(s.data) >= 4; {
			what := s.data[0] % 16
			seg, ok := s.next()
			switch {
			case ok:
				n := seg
				numbers.Track(&n)
				input[place{capture, seg.Frame}] = seen{seg, newest(numbers)}
				d.Segments([]tcpstate.Segment{seg})
				if !seg.Quoted {
					segments++
				}
			case what == 15 && s.frame%7 == 6:
				capture++
				s.frame, s.sent = 0, nil
				d.BeginCapture(capture)
				numbers.BeginCapture()
			case what == 15 && s.frame%7 == 5:
				d.Gap(s.frame+1, s.now)
			case what == 15 && o.Live:
				d.Advance(s.now)
			}
		}
		r := d.Finish()
		if r.Totals.Segments != segments {
			t.Fatalf("%d segments, want %d", r.Totals.Segments, segments)
		}
		last := map[int]bool{}
		for _, f := range r.Findings {
			if f.ID < 1 || last[f.ID] {
				t.Fatalf("id %d twice", f.ID)
			}
			last[f.ID] = true
			if o.OnFinding != nil && !ids[f.ID] {
				t.Fatalf("finding %d was not told", f.ID)
			}
			if f.Rule == nil || f.Summary == "" || len(f.Evidence) == 0 || len(f.Evidence) > 200 || f.Cause == "" || f.Fix == "" {
				t.Fatalf("incomplete: %+v", f)
			}
			for _, m := range []detect.Duration{f.Measures.Idle, f.Measures.RTT, f.Measures.Outstanding, f.Measures.Delay} {
				if m.Known && m.NS < 0 {
					t.Fatalf("negative: %+v", f.Measures)
				}
			}
			for i := range f.Evidence {
				e := &f.Evidence[i]
				if p := &f.Evidence[max(i, 1)-1]; e.Capture < p.Capture || e.Capture == p.Capture && e.Frame < p.Frame {
					t.Fatalf("evidence not in order: %+v", f.Evidence)
				}
				s, ok := input[place{e.Capture, e.Frame}]
				if !ok {
					t.Fatalf("evidence of a frame that is not there: %+v", e)
				}
				if s.Time != e.Time || s.Flags != e.Flags || s.Ack != e.Ack || uint32(e.Seq-s.Seq) > s.Len+2 || uint32(e.Seq-s.Seq)+e.Len > s.Len+2 {
					t.Fatalf("%s: evidence\n%+v\nof\n%+v", f.Rule.ID, e, s)
				}
				if from := s.Src; e.FromLB == (from == f.Target) && s.Src != s.Dst {
					t.Fatalf("%s: evidence\n%+v\nsent by %v, LB %v, target %v", f.Rule.ID, e, from, f.LB, f.Target)
				}
				if !f.Inexact && o.MaxFlows == 0 && s.stream != e.Stream {
					t.Fatalf("%s: evidence\n%+v\nis of stream %d", f.Rule.ID, e, s.stream)
				}
			}
		}
		counted := detect.Result{Targets: []detect.Target{{}}}
		for _, f := range r.Findings {
			counted.Tally(f.Target, f.Tries())
		}
		var ofTargets detect.Tries
		for i := range r.Targets {
			ofTargets.Add(r.Targets[i].Tries, 1)
		}
		if r.Totals.Tries != ofTargets || r.Totals.Tries != counted.Totals.Tries {
			t.Fatalf("%+v in total, %+v of the targets, %+v by the findings", r.Totals.Tries, ofTargets, counted.Totals.Tries)
		}
		for _, f := range r.Findings {
			if o.OnFinding != nil && tries[f.ID] != f.Tries() {
				t.Fatalf("finding %d counts for %+v, and %+v was told", f.ID, f.Tries(), tries[f.ID])
			}
		}
		for i := range r.Targets {
			if r.Targets[i].Connections > uint64(len(input)) || r.Targets[i].LostRequests > uint64(len(input)) {
				t.Fatalf("counts below 0: %+v", r.Targets[i])
			}
		}
		type request struct {
			place
			id uint32 // of HTTP/2
		}
		requests := map[request]*detect.Finding{}
		for _, f := range r.Findings {
			if f.Severity != detect.Error || f.Request == nil {
				continue
			}
			at := request{place: place{f.Capture, f.Request.Frame}}
			if len(f.Requests) > 0 {
				at.id = f.Requests[0].ID
			}
			if g := requests[at]; g != nil && g.Stream == f.Stream {
				t.Fatalf("two errors of one request: %s %+v\nand %s %+v", g.Rule.ID, g.Evidence, f.Rule.ID, f.Evidence)
			}
			requests[at] = f
		}
		if _, err := json.Marshal(r.Findings); err != nil {
			t.Fatal(fmt.Errorf("%w: %+v", err, r.Findings))
		}
	})
}
