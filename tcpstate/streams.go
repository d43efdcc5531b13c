package tcpstate

// StreamStats are the figures of one stream as Wireshark counts them; A is the sender
// of its first segment.
type StreamStats struct {
	Capture          int // index of the capture that Stream counts in
	Stream           uint32
	A, B             Endpoint
	FirstFrame       uint64
	Segments         uint64
	SYN, SYNACK      uint64 // SYN without, and with ACK
	FIN, RST         uint64
	BytesAB, BytesBA uint64 // payload by the headers, retransmissions included
	AIsLB            bool   // valid iff RolesKnown
	RolesKnown       bool
	StateA, StateB   State
}

// StreamStats are the figures of all streams, in order; streams
// that only ICMP errors quoted are left out.
func (t *Tracker) StreamStats() []StreamStats {
	out := t.stats[:0:0]
	for _, x := range t.stats {
		if x.Segments > 0 {
			out = append(out, x)
		}
	}
	return out
}

// StreamsCut reports whether there were more than MaxStreams.
func (t *Tracker) StreamsCut() bool { return t.statsCut }

// Number is Wireshark's tcp.stream of a segment. It follows nothing and fires no event:
// for a second look at a capture. A tracker either numbers or tracks.
func (t *Tracker) Number(s *Segment) uint32 {
	var q query
	queryOf(s, &q)
	f, _ := t.lookup(s, &q)
	f.LastTime = max(f.LastTime, s.Time)
	return f.stream
}

// count adds a segment to its stream's figures.
func (t *Tracker) count(f *Flow, dir int, s *Segment) {
	x := t.statsOf(f)
	if x == nil {
		return
	}
	if x.Segments == 0 {
		x.Capture, x.Stream, x.FirstFrame = t.capture, f.stream, s.Frame
		x.A, x.B = s.Src, s.Dst
	}
	x.Segments++
	if s.Flags&SYN != 0 {
		if s.Flags&ACK != 0 {
			x.SYNACK++
		} else {
			x.SYN++
		}
	}
	if s.Flags&FIN != 0 {
		x.FIN++
	}
	if s.Flags&RST != 0 {
		x.RST++
	}
	if s.Src == x.A && s.Dst == x.B {
		x.BytesAB += uint64(s.Len)
	} else {
		x.BytesBA += uint64(s.Len)
	}
}

// statsOf are the figures of the flow's stream in the current capture; nil where they are
// not kept.
func (t *Tracker) statsOf(f *Flow) *StreamStats {
	if int64(f.stream) >= int64(t.cfg.MaxStreams) {
		t.statsCut = true
		return nil
	}
	i := t.statsBefore + int(f.stream)
	for len(t.stats) <= i {
		t.stats = append(t.stats, StreamStats{})
	}
	return &t.stats[i]
}

// finishStats puts a flow's last state into its stream's figures.
func (t *Tracker) finishStats(f *Flow) {
	if !t.cfg.Streams || f.flags&flowStale != 0 || f.flags&flowRevived != 0 {
		return
	}
	x := t.statsOf(f)
	if x == nil || x.Segments == 0 {
		return
	}
	a := 0
	if t.Endpoint(f, 0) != x.A {
		a = 1
	}
	x.StateA, x.StateB = t.State(f, a), t.State(f, 1-a)
	x.AIsLB, x.RolesKnown = f.LB() == a, true
}
