package tcpstate

import (
	"slices"

	"connrace/tcpstate/internal/framing"
)

// HTTP2 are the streams of an HTTP/2 connection, whose requests run side by side.
type HTTP2 struct {
	// Streams are those that are open, and those that have ended and were not looked at yet, in
	// the order of their ids.
	Streams []*H2Stream
	// GoAway is the target's GOAWAY that refuses the most streams, all above Last; unset: there
	// was none that refuses any. Code is its error code.
	GoAway SegRef
	Last   uint32
	Code   uint16
	Idle   int64 // when the last stream ended of which none was left; 0: none has

	// ahead are streams on which the target's frames came before the request's, for something is
	// missing or out of order. lost: there were too many.
	ahead []uint32
	lost  uint32 // the newest for which there was no room
	sweep int
	// unread: which streams a GOAWAY of the target refuses was not captured.
	unread bool

	open   int   // streams that have neither an end nor a reset
	failAt int64 // when failed ones are to be looked at; 0: there are none
}

// H2Stream is one request of an HTTP/2 connection, and what became of it.
type H2Stream struct {
	ID      uint32
	Request SegRef // the segment in which its HEADERS begin; Seq is their first octet
	Answer  SegRef // the same of the final answer; unset: none
	// ResetByLB and ResetByTarget are the segments of their RST_STREAM, Seq its first octet.
	ResetByLB, ResetByTarget SegRef
	Code, CodeByLB           uint16 // of the target's and the LB's reset; 0xffff: not captured
	Status                   uint16 // of the answer; 0: unknown
	GRPCStatus               uint8  // grpc-status and one; 0: none
	Done                     bool   // the answer is complete
	Due                      bool   // reset or refused, and what belongs to that has come
	Whole                    bool   // the header block of its request was complete
	// Gap is how long the connection had been idle when it was opened, ns; -1: it was not, or
	// that is not known.
	Gap      int64
	Received uint64 // octets of the answer's DATA frames, padding too
	Head     RequestHead
	// ContentType is of the answer, "": unknown. Timeout is the request's grpc-timeout, ns; 0: none.
	ContentType string
	Timeout     int64

	sentAll bool    // the request is complete
	sentEnd Seq     // behind its last octet; valid iff sentAll
	end     Seq     // behind the last octet of the answer; valid iff Done
	missing [2]bool // octets of a side are missing since, that may have ended it
}

// Doubtful reports whether what the capture does not have may have ended the stream.
func (s *H2Stream) Doubtful() bool { return s.missing[0] || s.missing[1] }

// Behind reports whether the request was complete before an octet of the LB.
func (s *H2Stream) Behind(at Seq) bool { return s.sentAll && s.sentEnd.AtOrBefore(at) }

// Refused reports whether the target said of a stream that it was never processed (RFC 9113 §6.8).
func (h *HTTP2) Refused(s *H2Stream) bool {
	return h.GoAway.Set() && s.ID > h.Last && !s.Answer.Set()
}

// IdleAt is since when no stream was open that a close of the target had seen, which had
// acknowledged the LB's octets below ack; 0: one was, or that is not known.
func (h *HTTP2) IdleAt(ack Seq) int64 {
	for _, s := range h.Streams {
		switch {
		case s.Done || s.ResetByLB.Set() || s.ResetByTarget.Set():
		case h.Refused(s) || s.Request.Seq.AtOrAfter(ack):
			if s.Gap < 0 {
				return 0
			}
			return s.Request.Time - s.Gap
		default:
			return 0
		}
	}
	return h.Idle
}

const (
	// maxStreams bounds the streams of a connection that are followed; those of all share the room
	// that there is for HTTP/2, as do their names.
	maxStreams = 1 << 10
	// streamCost is the memory that a stream takes, without its names.
	streamCost = 448
)

// cost is the memory that it takes.
func (s *H2Stream) cost() int { return streamCost + s.Head.Octets() + len(s.ContentType) }

// http2Room is what the memory of the flow table leaves for HTTP/2: a quarter, and 16 MB at least.
func http2Room(maxFlows int) int64 { return max(int64(maxFlows)*FlowCost/4, 16<<20) }

// http2Flows is how many flows less there may be for what HTTP/2 takes.
func (t *Tracker) http2Flows() int {
	return min(int(t.carries.Taken()/FlowCost), t.cfg.MaxFlows/4)
}

// HTTP2 reports whether HTTP/2 in clear text was recognised.
func (f *Flow) HTTP2() bool { return f.framing.Protocol() == framing.HTTP2 }

// HTTP2 are the streams of a flow; nil where it is no HTTP/2 in clear text, or has none. They
// are valid until the tracker's next call.
func (t *Tracker) HTTP2(f *Flow) *HTTP2 { return t.http2[f.index] }

// http2Of are the streams of a flow that is HTTP/2.
func (t *Tracker) http2Of(f *Flow) *HTTP2 {
	h := t.http2[f.index]
	if h == nil {
		h = &HTTP2{Last: framing.NoLastStream}
		t.http2[f.index] = h
	}
	return h
}

// dropHTTP2 forgets the streams of a flow.
func (t *Tracker) dropHTTP2(f *Flow) {
	if h := t.http2[f.index]; h != nil {
		t.ForgetStreams(f, func(*H2Stream) bool { return true })
		delete(t.http2, f.index)
	}
}

// find is the place of a stream among those that are followed.
func (h *HTTP2) find(id uint32) (*H2Stream, bool) {
	i, ok := slices.BinarySearchFunc(h.Streams, id, func(s *H2Stream, id uint32) int { return int(int64(s.ID) - int64(id)) })
	if !ok {
		return nil, false
	}
	return h.Streams[i], true
}

// ForgetStreams forgets the streams of a flow that are not to be looked at again.
func (t *Tracker) ForgetStreams(f *Flow, done func(*H2Stream) bool) {
	h := t.http2[f.index]
	h.Streams = slices.DeleteFunc(h.Streams, func(s *H2Stream) bool {
		if !done(s) {
			return false
		}
		t.carries.Give(s.cost())
		return true
	})
}

// doubtStreams says that octets of a side are missing, or not understood.
func (t *Tracker) doubtStreams(f *Flow, dir int) {
	if h := t.http2[f.index]; h != nil {
		for _, s := range h.Streams {
			s.missing[dir] = s.missing[dir] || !s.Done
		}
	}
}

// doubtUnanswered says that a GOAWAY of the target, half dir, may have refused any stream.
func (h *HTTP2) doubtUnanswered(dir int) {
	for _, s := range h.Streams {
		s.missing[dir] = s.missing[dir] || !s.Answer.Set()
	}
}

// doubtFor is how long a stream is kept that may have ended in what the capture lacks, by judgement:
// most calls are shorter, and it is told of only if it shows that it is open.
const doubtFor = 30 * second

// forgetDoubtful makes room of the streams that have been doubtful for long.
func (t *Tracker) forgetDoubtful(f *Flow, h *HTTP2, now int64) {
	old := h.open
	t.ForgetStreams(f, func(s *H2Stream) bool {
		if !s.Doubtful() || now-s.Request.Time <= doubtFor {
			return false
		}
		if !s.Done && !s.ResetByLB.Set() && !s.ResetByTarget.Set() {
			h.open--
		}
		return true
	})
	if old > 0 && h.open == 0 {
		h.Idle = 0 // it is not known
	}
}

// finish notes that the answer is complete.
func (s *H2Stream) finish(h *HTTP2, end Seq, at int64) {
	if s.Done {
		return
	}
	if s.Done, s.end = true, end; !s.ResetByLB.Set() && !s.ResetByTarget.Set() {
		h.ended(at)
	}
}

// early remembers a stream whose request was not seen yet.
func (h *HTTP2) early(id uint32) {
	const most = 64
	if len(h.ahead) >= most {
		h.lost = max(h.lost, id)
	} else if !slices.Contains(h.ahead, id) {
		h.ahead = append(h.ahead, id)
	}
}

// resetBy is the reset of the LB or of the target.
func (s *H2Stream) resetBy(lb bool) *SegRef {
	if lb {
		return &s.ResetByLB
	}
	return &s.ResetByTarget
}

// ended notes that a stream is open no more.
func (h *HTTP2) ended(at int64) {
	if h.open--; h.open == 0 {
		h.Idle = at
	}
}

// failLater looks at what failed when what belongs to it, such as a reset of the other side that
// crossed it, has come.
func (t *Tracker) failLater(f *Flow, h *HTTP2, at int64) {
	if h.failAt == 0 {
		h.failAt = at + t.linger(f)
		t.arm(f, h.failAt)
	}
}

// checkStreams says that streams failed, each once.
func (t *Tracker) checkStreams(f *Flow) {
	h := t.http2[f.index]
	if h == nil || h.failAt == 0 {
		return
	}
	if t.now < h.failAt {
		t.arm(f, h.failAt)
		return
	}
	wait, next, due := t.linger(f), int64(0), false
	for _, s := range h.Streams {
		at := s.failed(h)
		switch {
		case at == 0 || s.Due:
		case at+wait <= t.now:
			s.Due, due = true, true
		case next == 0 || at+wait < next:
			next = at + wait
		}
	}
	if h.failAt = next; next != 0 {
		t.arm(f, next)
	}
	if due {
		t.fire(StreamsFailed, f, 0, nil)
	}
}

// failed is when a stream failed by itself, 0: it has not.
func (s *H2Stream) failed(h *HTTP2) int64 {
	switch {
	case s.ResetByLB.Set() || s.ResetByTarget.Set():
		return max(s.ResetByLB.Time, s.ResetByTarget.Time)
	case !s.Done && h.Refused(s):
		return max(s.Request.Time, h.GoAway.Time)
	}
	return 0
}

// fireStream is fire for the events about a stream.
func (t *Tracker) fireStream(k Kind, f *Flow, side int, s *Segment, st *H2Stream) {
	t.ev.Stream = st
	t.fire(k, f, side, s)
}

// shift moves the times.
func (h *HTTP2) shift(by int64) {
	shift(&h.Idle, by)
	shift(&h.failAt, by)
	shift(&h.GoAway.Time, by)
	for _, s := range h.Streams {
		for _, r := range []*SegRef{&s.Request, &s.Answer, &s.ResetByLB, &s.ResetByTarget} {
			shift(&r.Time, by)
		}
	}
}
